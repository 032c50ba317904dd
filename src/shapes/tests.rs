use tfjet_core::{
    DType, Decoder, Function, InputSpec, NetworkTensor, Summary, TensorId, Value, ValueId,
    ValueSource,
};

use super::*;

/// Dims with spaces between them, or with `|` where formulas have spaces.
fn shape(text: &str) -> Shape {
    let between = if text.contains('|') { '|' } else { ' ' };
    let dims = text.split(between).filter(|dim| !dim.is_empty());
    let dims = dims.map(|dim| match dim.parse() {
        Ok(size) => Dim::Fixed(size),
        Err(_) => Dim::Symbolic(dim.into()),
    });
    Shape(dims.collect())
}

pub(crate) fn manifest(inputs: &[(&str, &str)]) -> Manifest {
    Manifest {
        model: "test".into(),
        tfjet_version: String::new(),
        target: String::new(),
        inputs: inputs
            .iter()
            .map(|(name, dims)| InputSpec {
                name: (*name).into(),
                dtype: DType::F32,
                shape: Some(shape(dims)),
            })
            .collect(),
        outputs: Vec::new(),
        preprocess: None,
        decoder: Decoder::Raw,
        labels: Vec::new(),
        summary: Summary::default(),
    }
}

/// One segment for each list of inputs, with a schedule that binds them by name.
pub(crate) fn segments(inputs: &[&[(&str, &str)]]) -> (Schedule, Vec<NetworkSpec>) {
    let mut schedule = Schedule::default();
    let mut networks = Vec::new();
    for (index, inputs) in (0..).zip(inputs) {
        let mut network = NetworkSpec {
            name: format!("segment_{index}"),
            ..NetworkSpec::default()
        };
        let mut ids = Vec::new();
        for (name, dims) in *inputs {
            network.inputs.push(TensorId(network.tensors.len() as u32));
            network.tensors.push(NetworkTensor {
                name: format!("{name} inside"),
                dtype: DType::F32,
                shape: shape(dims),
            });
            ids.push(ValueId(schedule.values.len() as u32));
            schedule.values.push(Value {
                name: (*name).into(),
                dtype: DType::F32,
                shape: Some(shape(dims)),
                source: ValueSource::Input,
            });
        }
        schedule.steps.push(Step::Engine {
            segment: index,
            inputs: ids,
            outputs: Vec::new(),
        });
        networks.push(network);
    }
    (schedule, networks)
}

fn check(
    inputs: &[(&str, &str)],
    of_segments: &[&[(&str, &str)]],
    flags: &[&str],
) -> Result<SegmentProfiles, String> {
    let mut set = ShapeSet::default();
    for flag in flags {
        set.add_flag(&flag.parse().unwrap());
    }
    let (manifest, (schedule, networks)) = (manifest(inputs), segments(of_segments));
    let interface = Interface::new(&manifest, &schedule, &networks);
    interface.profiles(&set).map_err(|error| error.0)
}

pub(crate) fn range(min: &[u64], opt: &[u64], max: &[u64]) -> ShapeRange {
    [min.to_vec(), opt.to_vec(), max.to_vec()]
}

#[test]
fn flags_are_a_shape_or_three() {
    let flag: ShapeFlag = "a/b:0=1x3:8x3:300x3".parse().unwrap();
    assert_eq!(flag.name, "a/b:0");
    assert_eq!(flag.extents, [[1, 8, 300], [3, 3, 3]]);
    let flag: ShapeFlag = "x=4".parse().unwrap();
    assert_eq!(flag.extents, [[4, 4, 4]]);
    for (text, expected) in [
        ("x", "expected NAME=SHAPE"),
        ("x=", "`` in `` is no size"),
        ("x=0x3", "`0` in `0x3` is no size"),
        ("x=-1x3", "`-1` in `-1x3` is no size"),
        ("x=99999999999", "is no size"),
        ("x=1:2", "expected SHAPE or MIN:OPT:MAX"),
        ("x=1:2x2:3", "different ranks"),
        (
            "x=4:2:8",
            "MIN <= OPT <= MAX in every dimension, found 4:2:8",
        ),
    ] {
        let error = text.parse::<ShapeFlag>().unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_segment_of_a_loops_body_gets_its_shapes_as_others_do() {
    let (mut schedule, networks) = segments(&[&[("x", "n 3")], &[("carried", "n 3")]]);
    let body = schedule.steps.split_off(1);
    schedule.functions.push(Function {
        steps: body,
        ..Function::default()
    });
    let manifest = manifest(&[("x", "n 3")]);
    let interface = Interface::new(&manifest, &schedule, &networks);
    let mut set = ShapeSet::default();
    set.add_flag(&"x=1x3:2x3:4x3".parse().unwrap());
    let expected = vec![range(&[1, 3], &[2, 3], &[4, 3])];
    let found = interface.profiles(&set).map_err(|error| error.0).unwrap();
    assert_eq!(found.segments, [expected.clone(), expected]);
    set.add_flag(&"carried=1x3:2x3:8x3".parse().unwrap());
    let error = interface
        .profiles(&set)
        .map_err(|error| error.0)
        .unwrap_err();
    assert!(error.contains("carried"), "{error}");
}

#[test]
fn fixed_shapes_need_no_flag() {
    let found = check(&[("x", "1 3")], &[&[("x", "1 3"), ("y", "")]], &[]).unwrap();
    let expected = vec![range(&[1, 3], &[1, 3], &[1, 3]), range(&[], &[], &[])];
    assert_eq!(found.segments, [expected]);
    assert_eq!(found.assumed, [""; 0]);
}

#[test]
fn the_symbols_of_inputs_size_all_segments() {
    let found = check(
        &[("x", "n h 3")],
        &[&[("x", "n h 3")], &[("mid", "n ceil(ceil(h/2)/2) 8")]],
        &["x:0=1x30x3:4x63x3:8x64x3"],
    );
    let expected = [
        vec![range(&[1, 30, 3], &[4, 63, 3], &[8, 64, 3])],
        vec![range(&[1, 8, 8], &[4, 16, 8], &[8, 16, 8])],
    ];
    assert_eq!(found.unwrap().segments, expected);
}

#[test]
fn sizes_by_formula_follow_those_of_the_inputs() {
    let found = check(
        &[("x", "n h w 3")],
        &[&[("mid", "n|floor((h - 3)/2) + 1|max(h, w)|min(40, 40) - w")]],
        &["x=1x11x8x3:4x13x8x3:8x15x16x3"],
    );
    let expected = range(&[1, 5, 11, 24], &[4, 6, 13, 32], &[8, 7, 16, 32]);
    assert_eq!(found.unwrap().segments, [[expected]]);
}

#[test]
fn an_open_first_dim_is_a_batch_of_one() {
    let found = check(
        &[("x", "n 3"), ("y", "m 3")],
        &[&[("x", "n 3")]],
        &["y=2x3"],
    )
    .unwrap();
    assert_eq!(found.segments, [[range(&[1, 3], &[1, 3], &[1, 3])]]);
    assert_eq!(
        found.assumed,
        ["`x` [n,3]: batch 1, since no --shape says more"]
    );
}

#[test]
fn a_tensor_between_segments_can_be_sized_by_name() {
    let of_segments: &[&[(&str, &str)]] = &[&[("x", "2 3")], &[("found", "k 4")]];
    let error = check(&[("x", "2 3")], of_segments, &[]).unwrap_err();
    assert_eq!(
        error,
        "segment 1 (`segment_1`): input `found` [k,4]: nothing gives `k` a size: give --shape \
         found=MIN:OPT:MAX"
    );
    let found = check(&[("x", "2 3")], of_segments, &["found=1x4:10x4:100x4"]).unwrap();
    assert_eq!(found.segments[1], [range(&[1, 4], &[10, 4], &[100, 4])]);
}

#[test]
fn refuses_flags_that_do_not_fit() {
    for (inputs, flags, expected) in [
        (
            &[("x", "n 3")][..],
            &["z=1x3"][..],
            "--shape z: the model's inputs are `x`",
        ),
        (
            &[("x", "n 3")],
            &["x=1"],
            "--shape x: 1 dimensions, `x` is [n,3]",
        ),
        (
            &[("x", "n 3")],
            &["x=1x4"],
            "--shape x: 4 on axis 1, `x` is [n,3]",
        ),
        (
            &[("x", "n 3")],
            &["x=1x1:1x2:1x3"],
            "--shape x: 1:2:3 on axis 1, `x` is [n,3]",
        ),
        (
            &[("x", "n 3"), ("y", "n 4")],
            &["x=1x3", "y=1x4:2x4:2x4"],
            "`--shape y` makes `n` 1:2:2, and `--shape x` makes it 1",
        ),
        (
            &[("x", "n h w 3")],
            &[],
            "input `x` [n,h,w,3]: nothing gives `n` a size: give --shape x=MIN:OPT:MAX",
        ),
        (
            &[("x", "1 h 3")],
            &[],
            "input `x` [1,h,3]: nothing gives `h` a size: give --shape x=MIN:OPT:MAX",
        ),
    ] {
        let error = check(inputs, &[], flags).unwrap_err();
        assert_eq!(error, expected);
    }
}

#[test]
fn a_request_is_served_with_all_smaller_batches_of_it() {
    let (manifest, (schedule, networks)) = (
        manifest(&[("x", "n h 3"), ("y", "n 4"), ("z", "2 m")]),
        segments(&[
            &[("x", "n h 3"), ("y", "n 4")],
            &[("z", "2 m"), ("mid", "n ceil(h/2)")],
        ]),
    );
    let interface = Interface::new(&manifest, &schedule, &networks);
    let request = [vec![8, 31, 3], vec![8, 4], vec![2, 5]];
    let found = interface.profiles_for_request(&request).unwrap();
    let expected = [
        vec![
            range(&[1, 31, 3], &[8, 31, 3], &[8, 31, 3]),
            range(&[1, 4], &[8, 4], &[8, 4]),
        ],
        vec![
            range(&[2, 5], &[2, 5], &[2, 5]),
            range(&[1, 16], &[8, 16], &[8, 16]),
        ],
    ];
    assert_eq!(found.segments, expected);
    for (request, expected) in [
        (
            [vec![0, 31, 3], vec![0, 4], vec![2, 5]],
            "no engine takes a size of 0",
        ),
        (
            [vec![8, 31, 3], vec![7, 4], vec![2, 5]],
            "makes `n` 1:7:7, and `input x` makes it 1:8:8",
        ),
        ([vec![8, 31], vec![8, 4], vec![2, 5]], "2 dimensions"),
    ] {
        let error = interface.profiles_for_request(&request).unwrap_err();
        assert!(error.0.contains(expected), "{error}");
    }
}

#[test]
fn a_size_that_is_a_batch_elsewhere_begins_at_one_too() {
    let (manifest, (schedule, networks)) = (
        manifest(&[("x", "n 3"), ("y", "2 n")]),
        segments(&[&[("x", "n 3"), ("y", "2 n")]]),
    );
    let interface = Interface::new(&manifest, &schedule, &networks);
    let found = interface.profiles_for_request(&[vec![4, 3], vec![2, 4]]);
    let expected = [
        range(&[1, 3], &[4, 3], &[4, 3]),
        range(&[2, 1], &[2, 4], &[2, 4]),
    ];
    assert_eq!(found.unwrap().segments, [expected]);
}
