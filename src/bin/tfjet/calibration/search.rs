//! The fewest layers that must stay in floats.

/// Most kept layers that are tried one by one in INT8 again.
const GIVEN_BACK: usize = 24;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Places in the ranking of the layers that stay in floats, ascending.
    pub(crate) kept: Vec<usize>,
    /// What is lost then.
    pub(crate) loss: f64,
    /// Is that at most the limit?
    pub(crate) is_met: bool,
}

/// Looks for few of `layers` layers, which are ranked the most sensitive first, such that with them
/// in floats `loss` is at most `limit`; with none of them it is more. The most sensitive ones are
/// kept, their number found by doubling and bisection; then each of them, the least sensitive first,
/// is tried in INT8 again.
///
/// # Errors
/// What `loss` fails with.
pub(crate) fn fewest<E>(
    layers: usize,
    limit: f64,
    mut loss: impl FnMut(&[usize]) -> Result<f64, E>,
) -> Result<Found, E> {
    let first = |count: usize| -> Vec<usize> { (0..count).collect() };
    let (mut low, mut high) = (0, 1.min(layers));
    let mut found = loop {
        let kept = first(high);
        let loss = loss(&kept)?;
        let is_met = loss <= limit;
        let found = Found { kept, loss, is_met };
        if is_met {
            break found;
        }
        if high >= layers {
            return Ok(found);
        }
        low = high;
        high = (high * 2).min(layers);
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let kept = first(middle);
        let loss = loss(&kept)?;
        if loss <= limit {
            high = middle;
            found = Found {
                kept,
                loss,
                is_met: true,
            };
        } else {
            low = middle;
        }
    }
    // Without its last layer this choice was tried before.
    let tried: Vec<usize> = found.kept.iter().rev().skip(1).copied().collect();
    for layer in tried.into_iter().take(GIVEN_BACK) {
        let kept: Vec<usize> = found
            .kept
            .iter()
            .copied()
            .filter(|it| *it != layer)
            .collect();
        let loss = loss(&kept)?;
        if loss <= limit {
            found = Found {
                kept,
                loss,
                is_met: true,
            };
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each layer costs what stands in its place unless it is kept.
    fn search(costs: &[f64], limit: f64) -> (Found, usize) {
        let mut evaluations = 0;
        let found = fewest::<()>(costs.len(), limit, |kept| {
            evaluations += 1;
            let int8 = costs
                .iter()
                .enumerate()
                .filter(|(it, _)| !kept.contains(it));
            Ok(int8.map(|(_, cost)| cost).sum())
        });
        (found.unwrap(), evaluations)
    }

    #[test]
    fn the_smallest_number_of_the_most_sensitive_is_kept() {
        let mut costs = vec![1.0; 5];
        costs.extend([0.0; 40]);
        for (limit, kept) in [(0.5, 5), (1.5, 4), (4.5, 1)] {
            let (found, _) = search(&costs, limit);
            assert_eq!(found.kept, (0..kept).collect::<Vec<_>>(), "{limit}");
            assert!(found.is_met && found.loss <= limit);
        }
    }

    #[test]
    fn layers_that_the_ranking_misjudged_are_given_back() {
        // Places 1 and 3 cost nothing, place 4 much.
        let (found, evaluations) = search(&[1.0, 0.0, 1.0, 0.0, 5.0, 0.1, 0.0, 0.0], 0.5);
        assert_eq!(found.kept, [0, 2, 4]);
        assert!((found.loss - 0.1).abs() < 1e-9);
        assert!(evaluations < 12, "{evaluations}");
    }

    #[test]
    fn a_limit_that_no_choice_meets_is_told() {
        let found = fewest::<()>(3, 0.5, |_| Ok(1.0)).unwrap();
        assert_eq!((found.kept.len(), found.is_met), (3, false));
        let (found, _) = search(&[], -1.0);
        assert!(!found.is_met && found.kept.is_empty());
    }

    #[test]
    fn many_layers_take_few_evaluations() {
        let costs = vec![1.0; 200];
        let (found, evaluations) = search(&costs, 130.0);
        assert_eq!(found.kept.len(), 70);
        assert!(evaluations < 8 + 7 + GIVEN_BACK + 1, "{evaluations}");
    }
}
