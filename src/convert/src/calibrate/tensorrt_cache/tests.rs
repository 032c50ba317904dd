use proptest::prelude::*;

use super::*;

/// 0.0078740157 is 1 / 127, 0.047244094 is 6 / 127.
const CACHE: &str = "\
TRT-8502-EntropyCalibration2
(Unnamed Layer* 0) [Convolution]_output: 3d418306
input:0: 3c010204
zeros: 0
";

#[test]
fn a_cache_is_read() {
    let table = Table::read(CACHE, "c").unwrap();
    let ranges: Vec<_> = table
        .tensors
        .iter()
        .map(|(name, it)| (name.as_str(), it.range))
        .collect();
    let expected = [
        ("(Unnamed Layer* 0) [Convolution]_output", Some(6.0)),
        ("input:0", Some(1.0)),
        ("zeros", None),
    ];
    assert_eq!(ranges, expected);
    assert_eq!(
        (table.model.as_str(), table.method.as_str()),
        ("", "EntropyCalibration2")
    );
    let crlf = CACHE.replace('\n', "\r\n");
    assert_eq!(Table::read(&crlf, "c"), Ok(table));
}

#[test]
fn what_is_written_is_what_was_read() {
    let table = Table::read(CACHE, "c").unwrap();
    let expected = CACHE.replace("zeros: 0\n", "");
    assert_eq!(table.to_tensorrt_cache(8502), expected);
}

#[test]
fn segments_are_left_out_and_the_widest_range_stays() {
    let entry = |range| TableEntry {
        range: Some(range),
        ..TableEntry::default()
    };
    let table = Table {
        model: "0f".into(),
        tensors: BTreeMap::from([
            ("segment_0/net/conv".into(), entry(6.0)),
            ("segment_1/net/conv".into(), entry(1.0)),
            ("segment_1/x".into(), entry(1.0)),
            ("segment_1/none".into(), TableEntry::default()),
        ]),
        ..Table::default()
    };
    assert_eq!(
        table.to_tensorrt_cache(100_300),
        "TRT-100300-EntropyCalibration2\nnet/conv: 3d418306\nx: 3c010204\n"
    );
}

#[test]
fn damaged_lines_are_named() {
    for (text, expected) in [
        (
            "TRT-8502\n",
            "c:1: `TRT-8502` does not name a release and a calibrator",
        ),
        (
            "TRT-x-Entropy\n",
            "c:1: `TRT-x-Entropy` does not name a release and a calibrator",
        ),
        (
            "TRT-1-E\nx 3c010204\n",
            "c:2: this is no `name: hexadecimal number`",
        ),
        (
            "TRT-1-E\n\nx: 3c01020g\n",
            "c:3: `3c01020g` are no bits of a float in hexadecimal",
        ),
        (
            "TRT-1-E\nx: +3c01020\n",
            "c:2: `+3c01020` are no bits of a float in hexadecimal",
        ),
        (
            "TRT-1-E\nx: 003c010204\n",
            "c:2: `003c010204` are no bits of a float in hexadecimal",
        ),
        (
            "TRT-1-E\nx: bc010204\n",
            "c:2: tensor `x`: -0.007874016 is no width of a step",
        ),
        (
            "TRT-1-E\nx: 7f800000\n",
            "c:2: tensor `x`: inf is no width of a step",
        ),
        (
            "TRT-1-E\nx: 7fc00000\n",
            "c:2: tensor `x`: NaN is no width of a step",
        ),
        ("TRT-1-E\nx: 1\nx: 1\n", "c:3: a second line for tensor `x`"),
    ] {
        assert_eq!(Table::read(text, "c").unwrap_err().to_string(), expected);
    }
}

proptest! {
    #[test]
    fn steps_survive(bits in 0x0100_0000u32..0x7f80_0000) {
        let entry = TableEntry { range: Some(f32::from_bits(bits)), ..TableEntry::default() };
        let tensors = BTreeMap::from([("x".into(), entry)]);
        let cache = Table { tensors, ..Table::default() }.to_tensorrt_cache(8201);
        let table = Table::read(&cache, "c").unwrap();
        prop_assert_eq!(table.to_tensorrt_cache(8201), cache);
    }
}
