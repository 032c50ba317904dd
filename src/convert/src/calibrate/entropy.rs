//! The range that loses the least information: Kullback and Leibler's divergence between the values
//! and what is left of them in 128 levels, over all ranges from 128 bins on.

/// Levels of a magnitude in 8 bits.
const LEVELS: usize = 128;

/// Width of the best range in bins, by the algorithm that NVIDIA published for TensorRT's entropy
/// calibrator ([slides](https://on-demand.gputechconf.com/gtc/2017/presentation/s7310-8-bit-inference-with-tensorrt.pdf),
/// and with all details in the quantization toolkits that came after it).
///
/// * What lies in the first bin is taken to be as often as what lies in the second. It becomes 0 in
///   every range that is looked at, so how much there is says nothing; after a ReLU it is half of all
///   values, and would drag the range down.
/// * A range of `n` bins is compared with what 128 levels leave of it: each level's count, spread
///   evenly over those of its bins that are not empty. Bin `i` is of level `128 i / n`.
/// * What lies above the range counts to its last bin on the one side only.
/// * Of equal divergences the widest range is taken.
pub(super) fn tensorrt(bins: &[u64]) -> usize {
    if bins.len() <= LEVELS {
        return bins.len();
    }
    let mut counts: Vec<f64> = bins.iter().map(|&count| count as f64).collect();
    counts[0] = counts[1];
    let logs: Vec<f64> = counts.iter().map(|count| count.ln()).collect();
    let mut above: f64 = counts[LEVELS..].iter().sum();
    let (mut best, mut least) = (bins.len(), f64::INFINITY);
    for width in LEVELS..=counts.len() {
        let divergence = divergence(&counts[..width], &logs, above);
        if divergence <= least {
            (best, least) = (width, divergence);
        }
        if let Some(next) = counts.get(width) {
            above -= next;
        }
    }
    best
}

/// Between a range and its levels; `above` counts what lies over it.
fn divergence(counts: &[f64], logs: &[f64], above: f64) -> f64 {
    let width = counts.len();
    let last = width - 1;
    if above > 0.0 && counts[last] == 0.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut inside) = (0.0, 0.0);
    let mut start = 0;
    for level in 1..=LEVELS {
        let end = (level * width).div_ceil(LEVELS);
        let bins = &counts[start..end];
        let filled = bins.iter().filter(|count| **count > 0.0).count();
        if filled > 0 {
            let total: f64 = bins.iter().sum();
            inside += total;
            let level = if filled == 1 {
                total.ln()
            } else {
                (total / filled as f64).ln()
            };
            for (count, log) in bins.iter().zip(&logs[start..end]) {
                if *count > 0.0 {
                    sum += count * (log - level);
                }
            }
            if end == width && above > 0.0 {
                let (count, all) = (counts[last], counts[last] + above);
                sum += all * (all.ln() - level) - count * (logs[last] - level);
            }
        }
        start = end;
    }
    match inside > 0.0 {
        true => sum / (inside + above) + (inside / (inside + above)).ln(),
        false => f64::INFINITY,
    }
}

/// Number of a signed value's levels, when half of them are for the magnitudes.
const SIGNED_LEVELS: usize = 2 * LEVELS;

/// Weight that an empty bin gets.
const EPSILON: f32 = 1e-4;

/// Width of the best range in bins, exactly as ONNX Runtime's calibrator finds it in the histogram of
/// a tensor whose values are as often positive as negative.
///
/// It differs from [`tensorrt`] in that counts of levels are rounded down, each level has the same
/// number of bins and those left over belong to none, empty bins get a weight instead of being
/// passed over, the first bin counts as it is, and of equal divergences the narrowest range is taken.
pub(super) fn onnx_runtime(bins: &[u64]) -> usize {
    let zero = bins.len();
    if zero <= LEVELS {
        return zero;
    }
    let mirrored: Vec<u64> = bins.iter().rev().chain(bins).copied().collect();
    let (mut best, mut least) = (zero, f32::INFINITY);
    for half in LEVELS..=zero {
        let (start, end) = (zero - half, (zero + half + 1).min(mirrored.len()));
        let window = &mirrored[start..end];
        let mut reference = window.to_vec();
        let total = |bins: &[u64]| bins.iter().fold(0u64, |sum, &bin| sum.saturating_add(bin));
        reference[0] = reference[0].saturating_add(total(&mirrored[..start]));
        if let Some(last) = reference.last_mut() {
            *last = last.saturating_add(total(&mirrored[end..]));
        }
        let quantized = in_levels(window, &reference);
        if let (Some(reference), Some(quantized)) = (smooth(&reference), smooth(&quantized)) {
            let divergence = relative_entropy(reference, quantized);
            if divergence < least {
                (best, least) = ((half + 1).min(zero), divergence);
            }
        }
    }
    best
}

/// What the levels leave of a window.
fn in_levels(window: &[u64], reference: &[u64]) -> Vec<u64> {
    let each = window.len() / SIGNED_LEVELS;
    let mut quantized = vec![0; window.len()];
    for level in 0..SIGNED_LEVELS {
        let (start, mut end) = (level * each, (level + 1) * each);
        let filled = reference[start..end]
            .iter()
            .filter(|bin| **bin != 0)
            .count() as u64;
        let places = start..end;
        if level == SIGNED_LEVELS - 1 {
            end = window.len();
        }
        let bins = &window[start..end];
        let total = bins.iter().fold(0u64, |sum, &bin| sum.saturating_add(bin));
        if let Some(mean) = total.checked_div(filled) {
            quantized[places].fill(mean);
        }
    }
    quantized
}

/// Gives empty bins a weight and takes as much from the others; nothing where all are empty.
fn smooth(counts: &[u64]) -> Option<Vec<f32>> {
    let empty = counts.iter().filter(|count| **count == 0).count();
    let filled = counts.len() - empty;
    if filled == 0 {
        return None;
    }
    let taken = (1e-4 * empty as f64 / filled as f64) as f32;
    let weights = counts.iter().map(|&count| match count {
        0 => EPSILON,
        count => count as f32 - taken,
    });
    Some(weights.collect())
}

/// Of two distributions of the same length, each made to sum to 1.
fn relative_entropy(mut p: Vec<f32>, mut q: Vec<f32>) -> f32 {
    for side in [&mut p, &mut q] {
        let total = pairwise_sum(side);
        side.iter_mut().for_each(|weight| *weight /= total);
    }
    let terms = p.iter().zip(&q).map(|(&p, &q)| {
        let (p, q) = (f64::from(p), f64::from(q));
        (p * (p / q).ln()) as f32
    });
    pairwise_sum(&terms.collect::<Vec<_>>())
}

/// The sum in the order in which NumPy adds, since its rounding decides between ranges that are
/// nearly as good.
fn pairwise_sum(values: &[f32]) -> f32 {
    const BLOCK: usize = 128;
    const LANES: usize = 8;
    if values.len() < LANES {
        return values.iter().sum();
    }
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (first, second) = values.split_at(half - half % LANES);
        return pairwise_sum(first) + pairwise_sum(second);
    }
    let mut lanes = [0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for (index, chunk) in chunks.enumerate() {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if index == 0 { *value } else { *lane + value };
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(sum, |sum, value| sum + value)
}
