use tfjet::core::{
    ColorOrder, DType, Decoder, ImageLayout, InputSpec, Preprocess, ResizeFilter, ResizeMode,
    Shape, Summary,
};
use tfjet::runtime::write_npz;

use super::*;

fn manifest(inputs: &[&str], has_image: bool) -> Manifest {
    let shape = Shape::fixed(&[1, 4, 4, 3]);
    Manifest {
        model: "toy".into(),
        tfjet_version: String::new(),
        target: "x86-cpu".into(),
        inputs: inputs
            .iter()
            .map(|name| InputSpec {
                name: (*name).into(),
                dtype: DType::F32,
                shape: Some(shape.clone()),
            })
            .collect(),
        outputs: Vec::new(),
        preprocess: has_image.then_some(Preprocess {
            input: 0,
            width: 4,
            height: 4,
            resize: ResizeMode::Stretch,
            filter: ResizeFilter::Nearest,
            color: ColorOrder::Bgr,
            mean: [1.0; 3],
            scale: [2.0; 3],
            layout: ImageLayout::Nhwc,
        }),
        decoder: Decoder::Raw,
        labels: Vec::new(),
        summary: Summary::default(),
    }
}

/// A PNG of 1x1 pixels, (10, 20, 30).
const PIXEL: [u8; 69] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0,
    0, 0, 144, 119, 83, 222, 0, 0, 0, 12, 73, 68, 65, 84, 120, 218, 99, 224, 18, 145, 3, 0, 0, 104,
    0, 61, 106, 245, 112, 91, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn picks_are_even_and_have_the_first() {
    let picked = |total: usize, count| pick((0..total).collect(), count);
    assert_eq!(picked(10, 3), [0, 3, 6]);
    assert_eq!(picked(5, 5), [0, 1, 2, 3, 4]);
    assert_eq!(picked(5, 9).len(), 5);
    assert_eq!(picked(7, 1), [0]);
    assert_eq!(picked(100, 32).len(), 32);
}

#[test]
fn images_go_through_the_manifests_pre_processing() {
    let folder = folder(&[("b.png", &PIXEL), ("a.png", &PIXEL), ("notes.txt", b"x")]);
    let mut samples = Samples::open(folder.path(), None, None, &manifest(&["x"], true)).unwrap();
    assert_eq!((samples.len(), samples.name(0).as_str()), (2, "a.png"));
    let input = samples.read(1).unwrap().unwrap()[0].clone();
    assert_eq!(input.shape(), [1, 4, 4, 3]);
    // blue, green, red; minus 1, times 2
    assert_eq!(input.as_slice::<f32>().unwrap()[..3], [58.0, 38.0, 18.0]);
}

#[test]
fn files_that_cannot_be_read_are_named_once() {
    let folder = folder(&[("a.png", &PIXEL), ("b.png", &PIXEL[..30]), ("c.jpg", b"no")]);
    let mut samples = Samples::open(folder.path(), None, None, &manifest(&["x"], true)).unwrap();
    for _ in 0..2 {
        let read: Vec<bool> = (0..3)
            .map(|index| samples.read(index).unwrap().is_some())
            .collect();
        assert_eq!(read, [true, false, false]);
    }
    let bad: Vec<String> = samples.unreadable().into_iter().map(|it| it.file).collect();
    assert_eq!(bad, ["b.png", "c.jpg"]);
    assert_eq!(samples.check_any().unwrap(), 1);
}

#[test]
fn a_folder_without_a_readable_file_is_an_error() {
    let all_bad = folder(&[("b.png", &PIXEL[..30])]);
    let mut samples = Samples::open(all_bad.path(), None, None, &manifest(&["x"], true)).unwrap();
    assert!(samples.read(0).unwrap().is_none());
    let error = samples.check_any().unwrap_err().to_string();
    assert!(
        error.contains("none of its 1 files") && error.contains("b.png"),
        "{error}"
    );
}

#[track_caller]
fn refused(folder: &Path, kind: Option<SampleKind>, manifest: &Manifest) -> String {
    match Samples::open(folder, kind, None, manifest) {
        Ok(_) => panic!("it was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn folders_that_do_not_fit_are_refused_with_a_hint() {
    let image = manifest(&["x"], true);
    let with_arrays = folder(&[("a.npz", b"")]);
    let with_images = folder(&[("a.png", &PIXEL)]);
    let nested = folder(&[]);
    std::fs::create_dir(nested.path().join("cats")).unwrap();
    for (folder, kind, manifest, expected) in [
        (
            &with_arrays,
            Some(SampleKind::Images),
            &image,
            "use --inputs",
        ),
        (
            &with_images,
            Some(SampleKind::Arrays),
            &image,
            "use --images",
        ),
        (&nested, None, &image, "its 1 folders are not looked into"),
        (
            &with_images,
            None,
            &manifest(&["x"], false),
            "give --image-size",
        ),
        (
            &with_images,
            None,
            &manifest(&["x", "y"], true),
            "has 2 inputs (x, y)",
        ),
    ] {
        let error = refused(folder.path(), kind, manifest);
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let error = refused(&nested.path().join("none"), None, &image);
    assert!(error.contains("none"), "{error}");
}

#[test]
fn arrays_are_found_by_the_inputs_names() {
    let folder = folder(&[("broken.npz", b"PK")]);
    let x = Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap();
    let y = Tensor::from_slice(&[1], &[3.0f32]).unwrap();
    let arrays = [("in:y".to_owned(), y.view()), ("x".to_owned(), x.view())];
    write_npz(&folder.path().join("a.npz"), &arrays).unwrap();
    let manifest = manifest(&["x", "y"], false);
    let mut samples = Samples::open(folder.path(), None, None, &manifest).unwrap();
    assert_eq!(samples.read(0).unwrap().unwrap(), [x.clone(), y.clone()]);
    assert!(samples.read(1).unwrap().is_none());
    write_npz(&folder.path().join("a.npz"), &arrays[1..]).unwrap();
    let mut samples = Samples::open(folder.path(), None, None, &manifest).unwrap();
    let error = format!("{:#}", samples.read(0).unwrap_err());
    assert!(error.contains("a.npz") && error.contains("`y`"), "{error}");
}
