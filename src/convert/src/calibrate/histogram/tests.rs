use proptest::prelude::*;

use super::*;

fn of(values: &[f32]) -> Histogram {
    let mut histogram = Histogram::new();
    histogram.add(values);
    histogram
}

/// Bins of a width that is known beforehand.
fn counted(values: &[f32], width: f32) -> Vec<u64> {
    let mut bins = vec![0; Histogram::BINS];
    for value in values.iter().filter(|value| value.is_finite()) {
        bins[(f64::from(value.abs()) / f64::from(width)) as usize] += 1;
    }
    bins
}

#[test]
fn width_is_the_smallest_power_of_two_with_room() {
    for (largest, width) in [
        (1.0, 1.0 / 1024.0),
        (0.999, 1.0 / 2048.0),
        (2047.9, 1.0),
        (2048.0, 2.0),
        (1e-30, 1e-30f32.log2().floor().exp2() / 1024.0),
        (1e30, 1e30f32.log2().floor().exp2() / 1024.0),
        (f32::MAX, (2f32).powi(117)),
        (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
        (f32::from_bits(1), f32::MIN_POSITIVE),
    ] {
        for value in [largest, -largest] {
            let histogram = of(&[value]);
            assert_eq!(histogram.bin_width(), width, "{value:e}");
            assert_eq!(histogram.used().last(), Some(&1), "{value:e}");
            assert_eq!(histogram.bins().iter().sum::<u64>(), 1);
            assert!(largest < f32::MIN_POSITIVE * 2.0 || histogram.used().len() > 1024);
        }
    }
}

#[test]
fn what_is_not_finite_is_counted_apart() {
    let histogram = of(&[
        f32::NAN,
        1.5,
        f32::INFINITY,
        -0.0,
        0.0,
        f32::NEG_INFINITY,
        -3.0,
    ]);
    assert_eq!((histogram.count(), histogram.not_finite()), (4, 3));
    assert_eq!(histogram.zeros(), 2);
    assert_eq!((histogram.min(), histogram.max()), (Some(-3.0), Some(1.5)));
    assert_eq!(histogram.bins().iter().sum::<u64>(), 4);
    let histogram = of(&[f32::NAN; 5]);
    assert_eq!((histogram.count(), histogram.not_finite()), (0, 5));
    assert_eq!((histogram.min(), histogram.magnitude()), (None, None));
}

#[test]
fn nothing_and_zeros_have_no_magnitude() {
    assert_eq!(of(&[]), Histogram::new());
    let zeros = of(&[0.0, -0.0, 0.0]);
    assert_eq!(zeros.magnitude(), None);
    assert!(zeros.used().is_empty());
    assert_eq!((zeros.min(), zeros.count()), (Some(0.0), 3));
    let mut later = zeros.clone();
    later.add(&[-7.0]);
    assert_eq!(later, of(&[0.0, 0.0, -7.0, 0.0]));
    assert_eq!(later.bins()[0], 3);
}

#[test]
fn counts_stop_at_the_largest() {
    let mut histogram = of(&[1.0, 0.0, f32::NAN]);
    for _ in 0..70 {
        histogram.merge(&histogram.clone());
    }
    assert_eq!(histogram.count(), u64::MAX);
    assert_eq!(histogram.not_finite(), u64::MAX);
    assert_eq!(histogram.used().last(), Some(&u64::MAX));
    histogram.add(&[1e9]);
    assert_eq!(histogram.bins()[0], u64::MAX);
}

fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -4.0f32..4.0,
        2 => -1000.0f32..1000.0,
        1 => Just(0.0f32),
        1 => any::<f32>(),
    ]
}

proptest! {
    #[test]
    fn bins_are_those_of_the_final_width(
        parts in prop::collection::vec(prop::collection::vec(value(), 0..40), 0..12),
    ) {
        let all = parts.concat();
        let mut histogram = Histogram::new();
        for part in &parts {
            histogram.add(part);
        }
        prop_assert_eq!(histogram.bins(), counted(&all, histogram.bin_width()));
        prop_assert_eq!(&histogram, &of(&all));
    }

    #[test]
    fn order_and_grouping_do_not_matter(
        parts in prop::collection::vec(prop::collection::vec(value(), 0..20), 1..8),
        turn in 0usize..8,
    ) {
        let histograms: Vec<Histogram> = parts.iter().map(|part| of(part)).collect();
        let merged = |histograms: &[Histogram]| {
            let mut sum = Histogram::new();
            histograms.iter().for_each(|it| sum.merge(it));
            sum
        };
        let expected = of(&parts.concat());
        let mut turned = histograms.clone();
        turned.rotate_left(turn % histograms.len());
        turned.reverse();
        prop_assert_eq!(&merged(&histograms), &expected);
        prop_assert_eq!(&merged(&turned), &expected);
        let (left, right) = histograms.split_at(histograms.len() / 2);
        prop_assert_eq!(&merged(&[merged(left), merged(right)]), &expected);
    }
}
