use super::Dag;

/// Groups candidates by the number of times that the longest path to them enters a segment anew.
/// No path leaves a level and comes back, so a level can be one segment.
pub(super) fn earliest(dag: &Dag) -> Vec<Option<usize>> {
    let levels = earliest_levels(dag);
    (0..dag.len())
        .map(|node| dag.candidate[node].then_some(levels[node]))
        .collect()
}

fn earliest_levels(dag: &Dag) -> Vec<usize> {
    let mut levels = vec![0usize; dag.len()];
    for node in 0..dag.len() {
        levels[node] = dag.predecessors[node]
            .iter()
            .map(|&from| levels[from] + usize::from(dag.candidate[from] && !dag.candidate[node]))
            .max()
            .unwrap_or(0);
    }
    levels
}

/// [`earliest`], with each candidate moved to the level of its first consumer where that keeps
/// the order.
pub(super) fn anchored(dag: &Dag) -> Vec<Option<usize>> {
    let earliest = earliest_levels(dag);
    let mut levels = vec![usize::MAX; dag.len()];
    for node in (0..dag.len()).rev() {
        let mut latest = usize::MAX;
        let mut consumer = usize::MAX;
        for &to in &dag.successors[node] {
            if dag.candidate[node] && !dag.candidate[to] {
                latest = latest.min(levels[to].saturating_sub(1).max(earliest[node]));
                if levels[to] == usize::MAX {
                    latest = latest.min(usize::MAX - 1);
                }
            } else {
                latest = latest.min(levels[to]);
            }
            if dag.candidate[to] {
                consumer = consumer.min(levels[to]);
            }
        }
        levels[node] = match dag.candidate[node] {
            true if consumer != usize::MAX && latest == consumer => consumer,
            true => earliest[node],
            false => latest,
        };
    }
    (0..dag.len())
        .map(|node| dag.candidate[node].then_some(levels[node]))
        .collect()
}
