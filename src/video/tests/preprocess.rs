//! Pre-processing against the Python imaging library; `make_preprocess_goldens.py` made the
//! files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use tfjet_core::{ColorOrder, DType, ImageLayout, Preprocess, ResizeFilter, ResizeMode, Tensor};
use tfjet_video::{Frame, Preprocessor, Source, SourceOptions};

fn golden(name: &str) -> Frame {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{name}.png"));
    let mut source = Source::open(&SourceOptions::new(path.to_str().unwrap())).unwrap();
    let mut frame = Frame::new();
    assert!(source.next_frame(&mut frame).unwrap());
    frame
}

fn spec(size: (usize, usize), resize: ResizeMode, filter: ResizeFilter) -> Preprocess {
    Preprocess {
        input: 0,
        width: size.0,
        height: size.1,
        resize,
        filter,
        color: ColorOrder::Rgb,
        mean: [0.0; 3],
        scale: [1.0; 3],
        layout: ImageLayout::Nhwc,
    }
}

#[test]
fn equals_the_python_imaging_library() {
    let input = golden("input");
    for (name, resize, filter, tolerance) in [
        ("bicubic", ResizeMode::Stretch, ResizeFilter::Bicubic, 1),
        ("bicubic_up", ResizeMode::Stretch, ResizeFilter::Bicubic, 1),
        ("area", ResizeMode::Stretch, ResizeFilter::Area, 1),
        ("nearest", ResizeMode::Stretch, ResizeFilter::Nearest, 0),
        ("bilinear", ResizeMode::Stretch, ResizeFilter::Bilinear, 1),
        (
            "crop_7_8",
            ResizeMode::CenterCrop(0.875),
            ResizeFilter::Bicubic,
            1,
        ),
        (
            "crop_half",
            ResizeMode::CenterCrop(0.5),
            ResizeFilter::Bicubic,
            1,
        ),
    ] {
        let expected = golden(name);
        let spec = spec((expected.width(), expected.height()), resize, filter);
        let mut preprocessor = Preprocessor::new(&spec, DType::U8).unwrap();
        let mut out = Tensor::default();
        preprocessor.run(&input, &mut out).unwrap();
        let found = out.as_slice::<u8>().unwrap();
        assert_eq!(found.len(), expected.pixels().len());
        let worst = found
            .iter()
            .zip(expected.pixels())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(tolerance), "{name}: off by {worst:?}");
    }
}

#[test]
fn luma_equals_the_python_imaging_library() {
    let (input, expected) = (golden("input"), golden("gray"));
    let size = (input.width(), input.height());
    let mut spec = spec(size, ResizeMode::Stretch, ResizeFilter::Nearest);
    spec.color = ColorOrder::Gray;
    let mut out = Tensor::default();
    Preprocessor::new(&spec, DType::U8)
        .unwrap()
        .run(&input, &mut out)
        .unwrap();
    let expected: Vec<u8> = expected.pixels().iter().step_by(3).copied().collect();
    assert_eq!(out.as_slice::<u8>().unwrap(), expected);
}
