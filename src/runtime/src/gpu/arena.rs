//! Where the tensors of a block lie in one allocation.

/// Every tensor starts at a multiple of this: TensorRT wants it of the memory it is given.
pub(crate) const ALIGNMENT: usize = 256;

/// A tensor to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) len_bytes: usize,
    /// First step that touches it.
    pub(crate) first: usize,
    /// Last step that touches it; `usize::MAX` where it outlives the block.
    pub(crate) last: usize,
}

/// The offset of each span, and the bytes of all. Spans that no step touches both may share their
/// place. `None` where the sum does not fit the address space.
pub(crate) fn place(spans: &[Span]) -> Option<(Vec<usize>, usize)> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&span| std::cmp::Reverse(spans[span].len_bytes));
    let mut offsets = vec![0; spans.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(spans.len());
    let mut total = 0;
    for span in order {
        let len = aligned(spans[span].len_bytes)?;
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for &other in &placed {
            if spans[other].first <= spans[span].last && spans[span].first <= spans[other].last {
                taken.push((offsets[other], aligned(spans[other].len_bytes)?));
            }
        }
        taken.sort_unstable();
        let mut offset: usize = 0;
        for (start, taken_len) in taken {
            if offset.checked_add(len)? <= start {
                break;
            }
            offset = offset.max(start.checked_add(taken_len)?);
        }
        offsets[span] = offset;
        total = total.max(offset.checked_add(len)?);
        placed.push(span);
    }
    Some((offsets, total))
}

fn aligned(len_bytes: usize) -> Option<usize> {
    len_bytes.max(1).checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(len_bytes: usize, first: usize, last: usize) -> Span {
        Span {
            len_bytes,
            first,
            last,
        }
    }

    #[test]
    fn tensors_that_are_never_needed_together_share() {
        for (spans, expected) in [
            (vec![], (vec![], 0)),
            (vec![span(0, 0, 0)], (vec![0], 256)),
            (vec![span(300, 0, 1), span(1, 1, 2)], (vec![0, 512], 768)),
            (vec![span(300, 0, 1), span(1, 2, 2)], (vec![0, 0], 512)),
            (
                vec![
                    span(256, 0, 1),
                    span(256, 1, 2),
                    span(256, 2, 3),
                    span(256, 3, usize::MAX),
                ],
                (vec![0, 256, 0, 256], 512),
            ),
            (
                vec![
                    span(1024, 0, 0),
                    span(512, 1, 2),
                    span(512, 1, 2),
                    span(256, 0, 2),
                ],
                (vec![0, 0, 512, 1024], 1280),
            ),
        ] {
            assert_eq!(place(&spans), Some(expected), "{spans:?}");
        }
    }

    #[test]
    fn no_two_tensors_overlap_while_both_are_needed() {
        let mut seed = 1u64;
        let mut below = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((seed >> 33) % bound).unwrap()
        };
        for _ in 0..500 {
            let spans: Vec<Span> = (0..12)
                .map(|_| {
                    let first = below(10);
                    span(below(3000), first, first + below(4))
                })
                .collect();
            let (offsets, total) = place(&spans).unwrap();
            for (i, a) in spans.iter().enumerate() {
                assert_eq!(offsets[i] % ALIGNMENT, 0);
                assert!(offsets[i] + a.len_bytes <= total);
                for (j, b) in spans.iter().enumerate().skip(i + 1) {
                    let together = a.first <= b.last && b.first <= a.last;
                    let apart = offsets[i] + a.len_bytes <= offsets[j]
                        || offsets[j] + b.len_bytes <= offsets[i];
                    assert!(!together || apart, "{a:?} and {b:?} overlap");
                }
            }
        }
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        assert_eq!(place(&[span(usize::MAX, 0, 0)]), None);
        assert_eq!(
            place(&[span(usize::MAX / 2, 0, 1), span(usize::MAX / 2 + 1, 0, 1)]),
            None
        );
    }
}
