use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const METHODS: [Method; 6] = [
    Method::Entropy,
    Method::OnnxRuntimeEntropy,
    Method::Percentile(99.9),
    Method::Percentile(100.0),
    Method::MinMax,
    Method::Mse,
];

#[derive(Deserialize)]
struct Goldens {
    onnxruntime: String,
    modelopt: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    width: f32,
    bins: Vec<Run>,
    onnxruntime: usize,
    percentiles: std::collections::BTreeMap<String, usize>,
    tensorrt: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Run {
    One(u64),
    Equal(u64, usize),
}

impl Case {
    fn bins(&self) -> Vec<u64> {
        let runs = self.bins.iter();
        runs.flat_map(|run| match *run {
            Run::One(count) => vec![count],
            Run::Equal(count, bins) => vec![count; bins],
        })
        .collect()
    }

    /// A histogram of these bins, each value in the middle of its bin; none where that would be too
    /// many values.
    fn histogram(&self) -> Option<Histogram> {
        let mut histogram = Histogram::new();
        for (index, count) in self.bins().into_iter().enumerate() {
            let count = usize::try_from(count)
                .ok()
                .filter(|count| *count < 1 << 22)?;
            histogram.add(&vec![(index as f32 + 0.5) * self.width; count]);
        }
        Some(histogram)
    }
}

fn goldens() -> Goldens {
    let text = include_str!("../../../../../tests/goldens/calibration_goldens.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn entropy_is_that_of_onnx_runtime() {
    let goldens = goldens();
    assert!(goldens.cases.len() >= 24);
    let mut wrong = Vec::new();
    for case in &goldens.cases {
        let found = entropy::onnx_runtime(&case.bins());
        if found != case.onnxruntime {
            wrong.push((&case.name, found, case.onnxruntime));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:?}", goldens.onnxruntime);
}

#[test]
fn entropy_is_that_of_nvidia() {
    let goldens = goldens();
    let known = goldens.cases.iter().filter(|case| case.tensorrt.is_some());
    assert!(known.count() >= 20);
    let mut wrong = Vec::new();
    for case in &goldens.cases {
        let found = entropy::tensorrt(&case.bins());
        if case.tensorrt.is_some_and(|expected| expected != found) {
            wrong.push((&case.name, found, case.tensorrt));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:?}", goldens.modelopt);
}

#[test]
fn percentiles_lie_in_the_bins_of_onnx_runtime() {
    for case in goldens().cases {
        let Some(histogram) = case.histogram() else {
            continue;
        };
        assert_eq!(histogram.used(), case.bins());
        for (percent, &bin) in &case.percentiles {
            let method: Method = format!("percentile:{percent}").parse().unwrap();
            let range = method.range(&histogram).unwrap();
            let magnitude = histogram.magnitude().unwrap();
            let upper = ((bin + 1) as f32 * case.width).min(magnitude);
            assert_eq!(range, upper, "{} {percent}", case.name);
        }
    }
}

#[test]
fn a_histogram_gives_the_range_of_its_bins() {
    for case in goldens().cases {
        let Some(histogram) = case.histogram() else {
            continue;
        };
        let magnitude = histogram.magnitude().unwrap();
        let at = |bins: usize| (bins as f32 * case.width).min(magnitude);
        let onnx_runtime = Method::OnnxRuntimeEntropy.range(&histogram);
        assert_eq!(onnx_runtime, Some(at(case.onnxruntime)), "{}", case.name);
        if let Some(bins) = case.tensorrt {
            let entropy = Method::Entropy.range(&histogram);
            assert_eq!(entropy, Some(at(bins)), "{}", case.name);
        }
    }
}

#[test]
fn one_value_is_its_own_range() {
    for value in [
        3.25f32,
        -3.25,
        1e-30,
        1e30,
        1.0,
        f32::MAX,
        f32::MIN_POSITIVE,
    ] {
        for zeros in [0, 1000] {
            let mut histogram = Histogram::new();
            histogram.add(&[value; 50]);
            histogram.add(&vec![0.0; zeros]);
            for method in [
                Method::Entropy,
                Method::MinMax,
                Method::Percentile(99.99),
                Method::Mse,
            ] {
                assert_eq!(
                    method.range(&histogram),
                    Some(value.abs()),
                    "{method} {value:e}, {zeros} zeros"
                );
            }
        }
    }
}

#[test]
fn nothing_but_zeros_or_no_numbers_has_no_range() {
    for values in [
        &[][..],
        &[0.0; 10],
        &[f32::NAN, f32::INFINITY],
        &[f32::NAN, -0.0],
    ] {
        let mut histogram = Histogram::new();
        histogram.add(values);
        for method in METHODS {
            assert_eq!(method.range(&histogram), None, "{method} {values:?}");
        }
    }
}

#[test]
fn an_outlier_is_cut_off_by_all_but_min_max() {
    let mut histogram = Histogram::new();
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = (0..100_000)
        .map(|_| (0..12).map(|_| uniform()).sum())
        .collect();
    histogram.add(&values);
    let typical = histogram.magnitude().unwrap();
    histogram.add(&[typical * 15.0]);
    assert_eq!(Method::MinMax.range(&histogram), Some(typical * 15.0));
    for (method, limit) in [
        (Method::Entropy, 1.5),
        (Method::Percentile(99.99), 1.5),
        (Method::Mse, 14.0),
    ] {
        let range = method.range(&histogram).unwrap();
        assert!(range < typical * limit, "{method}: {range} of {typical}");
    }
}

#[test]
fn signs_and_scale_do_not_matter() {
    let values: Vec<f32> = (1..5000)
        .map(|i| (i as f32 * 0.37).sin() * 10.0 / (i as f32))
        .collect();
    for method in METHODS {
        let of = |factor: f32| {
            let mut histogram = Histogram::new();
            histogram.add(
                &values
                    .iter()
                    .map(|value| value * factor)
                    .collect::<Vec<_>>(),
            );
            method.range(&histogram).unwrap()
        };
        let range = of(1.0);
        for factor in [-1.0, (2f32).powi(90), -(2f32).powi(-90)] {
            assert_eq!(of(factor), range * factor.abs(), "{method} {factor:e}");
        }
    }
}

#[test]
fn huge_counts_have_a_range() {
    let mut histogram = Histogram::new();
    histogram.add(
        &(0..4096)
            .map(|i| (i as f32 * 0.7).cos())
            .collect::<Vec<_>>(),
    );
    let ranges = METHODS.map(|method| method.range(&histogram).unwrap());
    for _ in 0..40 {
        histogram.merge(&histogram.clone());
    }
    for (method, range) in METHODS.into_iter().zip(ranges) {
        let huge = method.range(&histogram).unwrap();
        let is_near = (huge - range).abs() <= 0.1 * range;
        assert!(
            is_near || method == Method::OnnxRuntimeEntropy,
            "{method}: {huge}, {range}"
        );
    }
    for _ in 0..40 {
        histogram.merge(&histogram.clone());
    }
    for method in METHODS {
        assert!(
            method.range(&histogram).is_some_and(|range| range <= 1.0),
            "{method}"
        );
    }
}

#[test]
fn error_is_that_of_rounding() {
    let values: Vec<f32> = (0..1 << 18).map(|i| i as f32 / (1 << 16) as f32).collect();
    let mut histogram = Histogram::new();
    histogram.add(&values);
    for range in [4.0, 3.1, 1.7, 0.9, 0.01] {
        let step = f64::from(range) / 127.0;
        let squares = values.iter().map(|&value| {
            let value = f64::from(value);
            let rounded = (value.min(f64::from(range)) / step).round_ties_even() * step;
            (value - rounded).powi(2)
        });
        let expected = squares.sum::<f64>() / values.len() as f64;
        let found = histogram.error(range);
        assert!(
            (found / expected - 1.0).abs() < 0.01,
            "{range}: {found} {expected}"
        );
    }
}

#[test]
fn names_are_read_and_written() {
    for method in METHODS {
        assert_eq!(method.to_string().parse(), Ok(method));
    }
    assert_eq!("percentile".parse(), Ok(Method::Percentile(99.99)));
    assert_eq!(Method::default(), Method::Entropy);
    for text in [
        "",
        "kl",
        "Entropy",
        "percentile:",
        "percentile:0",
        "percentile:100.1",
        "percentile:nan",
        "percentile:inf",
        "min-max:1",
        "entropy:trt",
    ] {
        assert_eq!(
            text.parse::<Method>(),
            Err(CalibrateError::Method(text.into()))
        );
    }
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let value = prop_oneof![
        6 => (-1f32..1.0).prop_map(|x| x * x * x),
        1 => -20f32..20.0,
        1 => Just(0.0f32),
    ];
    (prop::collection::vec(value, 1..300), -60i32..60).prop_map(|(values, exponent)| {
        let mut histogram = Histogram::new();
        let factor = (2f32).powi(exponent);
        histogram.add(
            &values
                .iter()
                .map(|value| value * factor)
                .collect::<Vec<_>>(),
        );
        histogram
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn min_max_is_the_widest(histogram in histogram()) {
        let widest = Method::MinMax.range(&histogram);
        for method in METHODS {
            let range = method.range(&histogram);
            prop_assert_eq!(range.is_some(), widest.is_some());
            prop_assert!(range <= widest, "{}", method);
            prop_assert!(range.is_none_or(|range| range.is_finite() && range > 0.0));
        }
        prop_assert_eq!(Method::Percentile(100.0).range(&histogram), widest);
    }

    #[test]
    fn mse_has_the_least_error(histogram in histogram()) {
        if let Some(range) = Method::Mse.range(&histogram) {
            let least = histogram.error(range);
            for method in METHODS {
                let other = histogram.error(method.range(&histogram).unwrap());
                prop_assert!(least <= other * (1.0 + 1e-9), "{}: {} {}", method, least, other);
            }
        }
    }

    #[test]
    fn a_percentile_covers_its_share(histogram in histogram(), percent in 1.0f64..100.0) {
        if let Some(range) = Method::Percentile(percent).range(&histogram) {
            let bins = (range / histogram.bin_width()).ceil() as usize;
            let inside: u64 = histogram.bins()[..bins].iter().sum();
            prop_assert!(inside as f64 >= histogram.count() as f64 * percent / 100.0 - 1e-9);
        }
    }
}
