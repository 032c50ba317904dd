use tfjet_core::{
    ColorOrder, DType, ImageLayout, Manifest, Preprocess, ResizeFilter, ResizeMode, Tensor,
};
use tfjet_runtime::{profile_for, write_npz};

use super::*;
use crate::shapes::tests::{manifest, range, segments};

/// Flags by words, samples as lists of (name, shape).
fn check(
    inputs: &[(&str, &str)],
    flags: &str,
    samples: &[Arrays<'_>],
    strategy: Strategy,
) -> Result<Vec<Profile>, String> {
    let flags: Vec<ShapeFlag> = flags
        .split_whitespace()
        .map(|flag| flag.parse().unwrap())
        .collect();
    let samples: Vec<ShapeSet> = samples
        .iter()
        .map(|sample| {
            let mut set = ShapeSet::default();
            for (name, shape) in *sample {
                set.add_shape(name, shape, "a sample");
            }
            set
        })
        .collect();
    let (manifest, (schedule, networks)) = (manifest(inputs), segments(&[inputs]));
    let interface = Interface::new(&manifest, &schedule, &networks);
    let found = profiles(&interface, &flags, &samples, strategy).map_err(|error| error.0)?;
    let [profiles] = <[_; 1]>::try_from(found.segments).unwrap();
    Ok(profiles)
}

fn one(shape: &[u64]) -> ShapeRange {
    range(shape, shape, shape)
}

/// What `profile_for` finds for a shape of both inputs: its number, and is it the best for it?
fn choose(profiles: &[Profile], size: usize) -> Option<(usize, bool)> {
    let shape = [size, size, 10];
    let chosen = profile_for(profiles, &[&shape, &shape])?;
    let best = shape.map(|size| size as u64);
    Some((
        chosen,
        profiles[chosen].iter().all(|[_, opt, _]| *opt == best),
    ))
}

/// TF-TRT's `TrtShapeOptimizationProfileTest`: a network of two inputs (-1, -1, 10), shapes
/// collected at (2,2,10), (3,3,10) and (16,16,10).
#[test]
fn strategies_make_the_profiles_of_tf_trt() {
    let inputs = [("x", "a b 10"), ("y", "a b 10")];
    let shapes = [[2, 2, 10], [3, 3, 10], [16, 16, 10]];
    let samples = shapes
        .each_ref()
        .map(|shape| [("x", &shape[..]), ("y", &shape[..])]);
    let samples: Vec<Arrays<'_>> = samples.iter().map(|it| &it[..]).collect();
    let flags = "x=2x2x10 y=2x2x10 x=3x3x10 y=3x3x10 x=16x16x10 y=16x16x10";
    for (strategy, count, is_best, serves_unseen) in [
        (Strategy::Range, 1, false, true),
        (Strategy::Optimal, 3, true, false),
        (Strategy::RangeOptimal, 4, true, true),
    ] {
        let profiles = check(&inputs, "", &samples, strategy).unwrap();
        assert_eq!(profiles.len(), count, "{strategy}");
        for (index, size) in [2, 3, 16].into_iter().enumerate() {
            let (chosen, best) = choose(&profiles, size).unwrap();
            assert!(best || !is_best, "{strategy}: {size}");
            assert_eq!(
                chosen,
                if is_best { index } else { 0 },
                "{strategy}: {size}"
            );
        }
        for unseen in [5, 9] {
            let expected = serves_unseen.then_some((count - 1, false));
            assert_eq!(choose(&profiles, unseen), expected, "{strategy}: {unseen}");
        }
        assert_eq!(choose(&profiles, 17), None, "{strategy}");
        assert_eq!(choose(&profiles, 1), None, "{strategy}");
        assert_eq!(check(&inputs, flags, &[], strategy).unwrap(), profiles);
    }
    let all = check(&inputs, "", &samples, Strategy::Range).unwrap();
    let expected = range(&[2, 2, 10], &[16, 16, 10], &[16, 16, 10]);
    assert_eq!(all, [vec![expected.clone(), expected]]);
}

#[test]
fn a_static_network_has_its_one_shape_whatever_the_strategy() {
    let inputs = [("x", "8 8 10"), ("y", "8 8 10")];
    for strategy in Strategy::ALL {
        for samples in [&[][..], &[&[][..]], &[&[("x", &[8, 8, 10][..])]]] {
            let profiles = check(&inputs, "", samples, strategy).unwrap();
            assert_eq!(profiles, [[one(&[8, 8, 10]), one(&[8, 8, 10])]]);
            assert_eq!(choose(&profiles, 8), Some((0, true)));
        }
    }
}

#[test]
fn flags_are_profiles_as_they_are_or_shapes_that_go_together() {
    let inputs = [("x", "n h"), ("y", "m")];
    for (flags, strategy, expected) in [
        (
            "x=1x2:4x6:8x9 y=3",
            Strategy::Optimal,
            vec![vec![range(&[1, 2], &[4, 6], &[8, 9]), one(&[3])]],
        ),
        (
            "x=1x2 x=8x9 y=3",
            Strategy::Range,
            vec![vec![range(&[1, 2], &[8, 9], &[8, 9]), one(&[3])]],
        ),
        (
            "x=1x9 y=3 y=5 x:0=8x2",
            Strategy::Range,
            vec![vec![
                range(&[1, 2], &[8, 9], &[8, 9]),
                range(&[3], &[5], &[5]),
            ]],
        ),
        (
            "x=1x2 x=1x2 x=8x9 y=3",
            Strategy::Optimal,
            vec![vec![one(&[1, 2]), one(&[3])], vec![one(&[8, 9]), one(&[3])]],
        ),
        (
            "x=1x2 x=8x9 x=1x1:2x2:3x3 y=3",
            Strategy::RangeOptimal,
            vec![
                vec![one(&[1, 2]), one(&[3])],
                vec![one(&[8, 9]), one(&[3])],
                vec![range(&[1, 1], &[2, 2], &[3, 3]), one(&[3])],
                vec![range(&[1, 2], &[8, 9], &[8, 9]), one(&[3])],
            ],
        ),
    ] {
        let found = check(&inputs, flags, &[], strategy).unwrap();
        assert_eq!(found, expected, "{flags} {strategy}");
    }
}

#[test]
fn flags_fill_in_what_samples_do_not_name_and_add_what_they_do() {
    let inputs = [("x", "n 3"), ("y", "m")];
    let samples: &[Arrays<'_>] = &[&[("x", &[1, 3])], &[("x", &[4, 3])]];
    let filled = check(&inputs, "y=7", samples, Strategy::Range).unwrap();
    assert_eq!(filled, [[range(&[1, 3], &[4, 3], &[4, 3]), one(&[7])]]);
    let added = check(&inputs, "y=7 x=1x3:8x3:9x3", samples, Strategy::Optimal).unwrap();
    let expected = [
        [one(&[1, 3]), one(&[7])],
        [one(&[4, 3]), one(&[7])],
        [range(&[1, 3], &[8, 3], &[9, 3]), one(&[7])],
    ];
    assert_eq!(added, expected);
    let wider = check(&inputs, "y=7 x=16x3", samples, Strategy::Range).unwrap();
    assert_eq!(wider, [[range(&[1, 3], &[16, 3], &[16, 3]), one(&[7])]]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let many: String = (1..=65).map(|size| format!("x={size}x3 ")).collect();
    let x: &[Arrays<'_>] = &[&[("x", &[1, 3])]];
    for (inputs, flags, samples, expected) in [
        (
            &[("x", "n 3"), ("y", "m")][..],
            "x=1x3 x=2x3 y=1 y=2 y=3",
            &[][..],
            "--shape names `x` 2 times and `y` 3 times",
        ),
        (
            &[("x", "n 3"), ("y", "m")],
            "y=1 y=2",
            x,
            "--shape y: given 2 times, and the samples do not say which is whose",
        ),
        (
            &[("x", "n 3")],
            &many,
            &[],
            "65 different shapes make 65 profiles",
        ),
        (
            &[("x", "n 4")],
            "",
            x,
            "a sample: 3 on axis 1, `x` is [n,4]",
        ),
        (
            &[("x", "n 3")],
            "z=1",
            x,
            "--shape z: the model's inputs are `x`",
        ),
    ] {
        let error = check(inputs, flags, samples, Strategy::Optimal).unwrap_err();
        assert!(error.contains(expected), "{flags}: {error}");
    }
    assert!(check(&[("x", "n 3")], &many, &[], Strategy::Range).is_ok());
}

#[test]
fn strategies_are_named_as_they_are_shown() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
    }
    assert!("Range".parse::<Strategy>().is_err());
}

fn floats(shape: &[usize]) -> Tensor {
    Tensor::zeros(DType::F32, shape).unwrap()
}

/// Arrays by name and shape.
type Arrays<'a> = &'a [(&'a str, &'a [usize])];

/// A folder of files, each of arrays; one without any has no `.npz` in it.
fn folder(files: &[(&str, Arrays<'_>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, arrays) in files {
        let path = folder.path().join(name);
        let arrays: Vec<(String, Tensor)> = arrays
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), floats(shape)))
            .collect();
        let views: Vec<_> = arrays
            .iter()
            .map(|(name, array)| (name.clone(), array.view()))
            .collect();
        match name.ends_with(".npz") {
            true => write_npz(&path, &views).unwrap(),
            false => std::fs::write(&path, "any").unwrap(),
        }
    }
    folder
}

fn of_folder(manifest: &Manifest, folder: &tempfile::TempDir) -> Result<Vec<ShapeSet>, String> {
    let (schedule, networks) = segments(&[&[("mid", "k 4")]]);
    let interface = Interface::new(manifest, &schedule, &networks);
    let found = samples(&interface, folder.path(), |name| name == "given");
    found.map_err(|error| {
        error
            .to_string()
            .replace(folder.path().to_str().unwrap(), "DIR")
    })
}

#[test]
fn samples_are_the_shapes_of_arrays_by_name_in_the_order_of_files() {
    let model = manifest(&[("x", "n 3"), ("fixed", "2"), ("given", "m")]);
    let folder = folder(&[
        (
            "b.npz",
            &[("x:0", &[2, 3]), ("out:y", &[9, 9]), ("other", &[1])],
        ),
        ("a.npz", &[("in:x", &[1, 3]), ("mid", &[5, 4])]),
        ("notes.txt", &[]),
    ]);
    let found = of_folder(&model, &folder).unwrap();
    let shapes: Vec<Vec<(&str, Vec<u64>)>> =
        found.iter().map(|set| set.shapes().collect()).collect();
    let expected = [
        vec![("x", vec![1, 3]), ("mid", vec![5, 4])],
        vec![("x:0", vec![2, 3])],
    ];
    assert_eq!(shapes, expected);
}

#[test]
fn samples_that_say_nothing_are_refused_with_their_file() {
    let model = manifest(&[("x", "n 3")]);
    for (files, expected) in [
        (
            &[][..],
            "DIR: no .npz file and no image to take shapes from",
        ),
        (&[("notes.txt", &[][..])], "DIR: no .npz file and no image"),
        (
            &[("a.npz", &[("z", &[1][..])])],
            "DIR/a.npz: no array `x` or `in:x` for the model's input, whose sizes are open",
        ),
        (
            &[("a.npz", &[("x", &[0, 3][..])])],
            "DIR/a.npz: `x` is [0, 3]: no engine takes a size of 0",
        ),
        (
            &[("a.PNG", &[][..])],
            "DIR/a.PNG: the bundle says no way from an image",
        ),
    ] {
        let error = of_folder(&model, &folder(files)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let none = folder(&[]);
    std::fs::remove_dir(none.path()).unwrap();
    assert!(of_folder(&model, &none).unwrap_err().starts_with("DIR: "));
}

#[test]
fn an_image_is_a_sample_of_what_the_bundle_makes_of_it() {
    let mut model = manifest(&[("image", "n h w 3")]);
    model.preprocess = Some(Preprocess {
        input: 0,
        width: 32,
        height: 24,
        resize: ResizeMode::Stretch,
        filter: ResizeFilter::Bilinear,
        color: ColorOrder::Rgb,
        mean: [0.0; 3],
        scale: [1.0; 3],
        layout: ImageLayout::Nhwc,
    });
    let folder = folder(&[("a.jpg", &[]), ("b.npz", &[("image", &[1, 48, 64, 3])])]);
    let found = of_folder(&model, &folder).unwrap();
    let shapes: Vec<Vec<u64>> = found
        .iter()
        .flat_map(|set| set.shapes().map(|(_, best)| best).collect::<Vec<_>>())
        .collect();
    assert_eq!(shapes, [[1, 24, 32, 3], [1, 48, 64, 3]]);
}
