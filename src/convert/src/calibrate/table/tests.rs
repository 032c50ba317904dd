use proptest::prelude::*;

use super::*;

fn table() -> Table {
    let entry = |range, min, max| TableEntry {
        range,
        min,
        max,
        count: 1_204_224,
        not_finite: 3,
    };
    Table {
        model: "0f3a".into(),
        name: "mobile net".into(),
        method: "percentile:99.99".into(),
        samples: 8,
        tensors: BTreeMap::from([
            ("segment_0/x".into(), entry(Some(0.1), -0.25, 1e-30)),
            ("segment_0/a b".into(), entry(None, 0.0, 0.0)),
            (
                "segment_1/conv:1".into(),
                entry(Some(f32::MAX), -1.0, f32::MAX),
            ),
        ]),
        layers: BTreeMap::from([
            ("segment_0/conv".into(), vec![0.5, 0.0, 1e-7]),
            ("segment_0/none".into(), Vec::new()),
        ]),
    }
}

const TEXT: &str = "\
tfjet calibration table 1
model 0f3a
name mobile net
method percentile:99.99
samples 8
tensors 3
# tensor RANGE MIN MAX COUNT NOT-FINITE SEGMENT/TENSOR
tensor none 0.0 0.0 1204224 3 segment_0/a b
tensor 0.1 -0.25 1e-30 1204224 3 segment_0/x
tensor 3.4028235e38 -1.0 3.4028235e38 1204224 3 segment_1/conv:1
layers 2
# layer CHANNELS MAGNITUDE... SEGMENT/LAYER
layer 3 0.5 0.0 1e-7 segment_0/conv
layer 0 segment_0/none
";

#[test]
fn text_is_this() {
    assert_eq!(table().to_text(), TEXT);
    assert_eq!(Table::from_text(TEXT, "t"), Ok(table()));
    assert_eq!(Table::read(&TEXT.replace('\n', "\r\n"), "t"), Ok(table()));
    let empty = Table::default();
    assert_eq!(Table::from_text(&empty.to_text(), "t"), Ok(empty));
}

#[test]
fn damaged_lines_are_named() {
    let cases: [(&str, &str, &str); 21] = [
        (
            "model 0f3a\n",
            "",
            "a.table:13: the file ends without a line `model`",
        ),
        (
            "samples 8",
            "samples many",
            "a.table:5: `many` is not a number of samples",
        ),
        (
            "samples 8",
            "samples -1",
            "a.table:5: `-1` is not a number of samples",
        ),
        (
            "samples 8",
            "sample 8",
            "a.table:5: a line begins with `sample`",
        ),
        (
            "name mobile net",
            "samples 9",
            "a.table:5: a second line `samples`",
        ),
        (
            "tensors 3",
            "tensors 4",
            "a.table:14: the file ends after 3 of 4 tensors",
        ),
        (
            "layers 2",
            "layers 1",
            "a.table:14: the file ends after 2 of 1 layers",
        ),
        (
            "tensor 0.1 ",
            "tensor -0.1 ",
            "a.table:9: tensor `segment_0/x`: the range `-0.1` is no positive number",
        ),
        (
            "tensor 0.1 ",
            "tensor NaN ",
            "a.table:9: tensor `segment_0/x`: the range `NaN` is no positive number",
        ),
        (
            "tensor 0.1 ",
            "tensor 0 ",
            "a.table:9: tensor `segment_0/x`: the range `0` is no positive number",
        ),
        (
            "tensor 0.1 ",
            "tensor inf ",
            "a.table:9: tensor `segment_0/x`: the range `inf` is no positive number",
        ),
        (
            "0.1 -0.25",
            "0.1 nan",
            "a.table:9: `nan` is no finite number",
        ),
        (
            "0.1 -0.25",
            "0.1 0.25",
            "a.table:9: tensor `segment_0/x`: its smallest value 0.25 is above its largest 1e-30",
        ),
        (
            "1e-30 1204224",
            "1e-30 12.5",
            "a.table:9: `12.5` is not a count",
        ),
        (
            "tensor 0.1 -0.25 1e-30 1204224 3 segment_0/x",
            "tensor 0.1 -0.25",
            "a.table:9: a tensor has a range, min, max, two counts and a name",
        ),
        (
            "segment_0/x",
            "segment_0/a b",
            "a.table:9: a second line for tensor `segment_0/a b`",
        ),
        (
            "segment_0/x",
            "segment_0/\\x",
            "a.table:9: `segment_0/\\x` has a `\\` with nothing that it stands for",
        ),
        (
            "layer 3",
            "layer 5",
            "a.table:13: fewer magnitudes than channels, or no name",
        ),
        (
            "layer 3",
            "layer 18446744073709551616",
            "a.table:13: `18446744073709551616` is not a number of channels",
        ),
        (
            "0.5 0.0 1e-7",
            "0.5 -1 1e-7",
            "a.table:13: `-1` is no magnitude",
        ),
        (
            "segment_0/none",
            "segment_0/conv",
            "a.table:14: a second line for layer `segment_0/conv`",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(TEXT.contains(from), "{from}");
        let error = Table::from_text(&TEXT.replacen(from, to, 1), "a.table").unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn every_cut_is_found() {
    for (end, _) in TEXT.char_indices() {
        // Within the last name it is a table.
        if end < TEXT.len() - "egment_0/none\n".len() {
            assert!(
                Table::from_text(&TEXT[..end], "t").is_err(),
                "{}",
                &TEXT[..end]
            );
        }
    }
}

#[test]
fn other_files_and_versions_are_refused() {
    for text in ["", "\n", "TFJET calibration table 1\n", "{}", "tfjet"] {
        let error = Table::read(text, "f").unwrap_err();
        assert_eq!(error, CalibrateError::NoTable { file: "f".into() });
    }
    let error = Table::read(&TEXT.replacen("table 1", "table 2", 1), "f").unwrap_err();
    assert_eq!(
        error.to_string(),
        "f: calibration table of version 2, known is 1"
    );
}

fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{text}/"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/_:# \\\\\n\r\t]{0,12}", any::<String>()]
}

fn magnitude() -> impl Strategy<Value = f32> {
    any::<f32>()
        .prop_filter("finite", |it| it.is_finite())
        .prop_map(f32::abs)
}

fn entry() -> impl Strategy<Value = TableEntry> {
    let positive = magnitude().prop_map(|it| it.max(f32::from_bits(1)));
    let range = prop::option::of(positive);
    (range, magnitude(), magnitude(), any::<u64>(), any::<u64>()).prop_map(
        |(range, a, b, count, not_finite)| TableEntry {
            range,
            min: -a,
            max: b,
            count,
            not_finite,
        },
    )
}

proptest! {
    #[test]
    fn tables_survive(
        tensors in prop::collection::btree_map(name(), entry(), 0..8),
        layers in prop::collection::btree_map(name(), prop::collection::vec(magnitude(), 0..5), 0..5),
        texts in [text(), text()],
        samples in any::<usize>(),
    ) {
        let [name, method] = texts;
        let table = Table { model: "m".into(), name, method, samples, tensors, layers };
        let text = table.to_text();
        let read = Table::from_text(&text, "t").unwrap();
        prop_assert_eq!(&read, &table);
        prop_assert_eq!(read.to_text(), text);
    }

    #[test]
    fn no_text_panics(
        place in 0..TEXT.len(),
        inserted in any::<String>(),
        text in any::<String>(),
    ) {
        let _ = Table::read(&text, "t");
        let mut damaged = TEXT.to_owned();
        damaged.insert_str(place, &inserted);
        let _ = Table::read(&damaged, "t");
    }
}
