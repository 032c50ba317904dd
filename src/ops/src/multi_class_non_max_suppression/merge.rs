/// When a class and the whole have enough, and what counts.
#[derive(Debug)]
pub(super) struct Limits {
    /// Boxes that a class may keep.
    pub(super) per_class: usize,
    /// Detections in all.
    pub(super) total: usize,
    /// A box goes where its overlap with a kept one of its class is above this.
    pub(super) iou: f32,
    /// A score counts where it is above this.
    pub(super) score: f32,
}

/// A box that was kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detection {
    pub(super) index: usize,
    pub(super) class: usize,
    pub(super) score: f32,
    pub(super) corners: [f32; 4],
}

/// The detections of all classes, the best first: of equal scores that of the lower class, then of
/// the lower index.
///
/// Candidates come in that order over all classes, so that each class sees its own in the order of
/// its suppression, and no more of them are looked at than it takes to fill `limits.total`.
///
/// `before` gives the box of an index and class that suppression sees, `after` what becomes of a
/// kept one; `None` where it goes.
pub(super) fn merge(
    scores: &[f32],
    (count, classes): (usize, usize),
    limits: &Limits,
    before: impl Fn(usize, usize) -> Option<[f32; 4]>,
    after: impl Fn([f32; 4]) -> Option<[f32; 4]>,
) -> Vec<Detection> {
    let mut kept: Vec<Vec<Edges>> = vec![Vec::new(); classes];
    let mut found = Vec::new();
    let mut candidates = Candidates {
        scores,
        count,
        classes,
        threshold: limits.score,
        last: None,
    };
    let mut batch = limits.total.saturating_mul(8).max(512);
    let mut keys = Vec::new();
    loop {
        let more = candidates.next(batch, &mut keys);
        for &key in &keys {
            let (class, index) = candidates.place(key);
            let Some(kept) = kept.get_mut(class).filter(|k| k.len() < limits.per_class) else {
                continue;
            };
            let Some(corners) = before(index, class) else {
                continue;
            };
            let edges = Edges::new(corners);
            if kept.iter().any(|other| edges.iou(other) > limits.iou) {
                continue;
            }
            kept.push(edges);
            if let Some(corners) = after(corners) {
                found.push(Detection {
                    index,
                    class,
                    score: scores[index * classes + class],
                    corners,
                });
                if found.len() == limits.total {
                    return found;
                }
            }
        }
        if !more {
            return found;
        }
        batch = batch.saturating_mul(4);
    }
}

/// The scores above a threshold, the best first.
///
/// A candidate is a key whose order is theirs: the score in the upper half, so that a higher one
/// makes a smaller key, class and index in the lower half.
struct Candidates<'a> {
    /// A row for each box, a column for each class.
    scores: &'a [f32],
    count: usize,
    classes: usize,
    threshold: f32,
    /// The greatest key that was given.
    last: Option<u64>,
}

/// Scores that are compared at once.
const LANES: usize = 16;

impl Candidates<'_> {
    /// The next `batch` keys in order. Are there more?
    fn next(&mut self, batch: usize, keys: &mut Vec<u64>) -> bool {
        keys.clear();
        let after = self.last;
        let mut more = false;
        let mut bound = u64::MAX;
        let mut floor = f32::NEG_INFINITY;
        for (row, lanes) in self.scores.chunks(LANES).enumerate() {
            if !counts(lanes, self.threshold, floor) {
                continue;
            }
            for (lane, &score) in lanes.iter().enumerate() {
                if !(score > self.threshold && score >= floor) {
                    continue;
                }
                let key = self.key(score, row * LANES + lane);
                if after.is_some_and(|after| key <= after) {
                    continue;
                }
                if key >= bound {
                    more = true;
                    continue;
                }
                keys.push(key);
                if keys.len() == batch.saturating_mul(2) {
                    more = true;
                    bound = shorten(keys, batch);
                    floor = score_of(bound);
                }
            }
        }
        // A score below the floor was passed over without a look at its key.
        more |= keys.len() > batch;
        if keys.len() > batch {
            shorten(keys, batch);
        }
        keys.sort_unstable();
        self.last = keys.last().copied().or(after);
        more
    }

    fn key(&self, score: f32, at: usize) -> u64 {
        let (index, class) = (at / self.classes, at % self.classes);
        let place = (class * self.count + index) as u64;
        (u64::from(falling(score)) << 32) | place
    }

    /// Class and index.
    fn place(&self, key: u64) -> (usize, usize) {
        let place = (key & u64::from(u32::MAX)) as usize;
        (place / self.count, place % self.count)
    }
}

fn counts(lanes: &[f32], threshold: f32, floor: f32) -> bool {
    let mut any = false;
    for &score in lanes {
        any |= (score > threshold) & (score >= floor);
    }
    any
}

/// Leaves the `batch` smallest keys, and gives the greatest of them.
fn shorten(keys: &mut Vec<u64>, batch: usize) -> u64 {
    let (_, &mut greatest, _) = keys.select_nth_unstable(batch - 1);
    keys.truncate(batch);
    greatest
}

/// Bits whose order is the reverse of that of the numbers; both zeros have the same.
fn falling(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 {
        !(bits | 1 << 31)
    } else {
        bits
    }
}

/// The score in a key.
fn score_of(key: u64) -> f32 {
    let bits = (key >> 32) as u32;
    f32::from_bits(if bits >> 31 == 0 {
        !bits & !(1 << 31)
    } else {
        bits
    })
}

/// A box with its corners in order, and its area.
#[derive(Debug, Clone, Copy)]
struct Edges {
    edges: [f32; 4],
    area: f32,
}

impl Edges {
    fn new([y0, x0, y1, x1]: [f32; 4]) -> Self {
        let edges = [y0.min(y1), x0.min(x1), y0.max(y1), x0.max(x1)];
        let area = (edges[2] - edges[0]) * (edges[3] - edges[1]);
        Self { edges, area }
    }

    /// Intersection over union.
    fn iou(&self, other: &Self) -> f32 {
        if self.area <= 0.0 || other.area <= 0.0 {
            return 0.0;
        }
        let (a, b) = (&self.edges, &other.edges);
        let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
        let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
        let intersection = height * width;
        intersection / (self.area + other.area - intersection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_falling_scores() {
        let scores = [f32::INFINITY, 2.0, 1.0, 1e-40, 0.0, -1e-40, -1.0, -5.0];
        let keys = scores.map(falling);
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert_eq!(falling(0.0), falling(-0.0));
        for score in scores {
            assert_eq!(score_of(u64::from(falling(score)) << 32), score);
        }
    }

    #[test]
    fn batches_go_through_all_candidates_once() {
        let scores: Vec<f32> = (0..997).map(|i| (i * 31 % 50) as f32).collect();
        let mut candidates = Candidates {
            scores: &scores,
            count: 997,
            classes: 1,
            threshold: 0.5,
            last: None,
        };
        let (mut keys, mut all, mut batch) = (Vec::new(), Vec::new(), 7);
        while candidates.next(batch, &mut keys) {
            assert_eq!(keys.len(), batch);
            all.append(&mut keys);
            batch *= 2;
        }
        all.append(&mut keys);
        assert!(all.is_sorted_by(|a, b| a < b));
        assert_eq!(all.len(), scores.iter().filter(|&&s| s > 0.5).count());
    }
}
