use std::collections::BTreeSet;

use super::Dag;

/// TF-TRT's greedy grouping: candidates swallow their consumers along edges, from the outputs to
/// the inputs, unless that would close a cycle. `names` break ties as TF-TRT's walk does.
pub(super) fn contract(dag: &Dag, names: &[&str]) -> Vec<Option<usize>> {
    let mut merge = Merge::new(dag);
    for node in post_order(dag, names) {
        if !dag.candidate[node] {
            continue;
        }
        loop {
            let source = merge.root(node);
            let mut targets: Vec<usize> = merge.successors[source].iter().copied().collect();
            targets.retain(|&target| merge.candidate[target] && !merge.detour(source, target));
            if targets.is_empty() {
                break;
            }
            for target in targets {
                let (source, target) = (merge.root(node), merge.root(target));
                if source != target && !merge.detour(source, target) {
                    merge.join(source, target);
                }
            }
        }
    }
    let mut clusters: Vec<Option<usize>> = (0..dag.len())
        .map(|node| dag.candidate[node].then(|| merge.root(node)))
        .collect();
    merge_apart(dag, &mut clusters);
    clusters
}

/// Nodes after all their successors; among several, the walk goes to the largest name first.
fn post_order(dag: &Dag, names: &[&str]) -> Vec<usize> {
    let sorted = |nodes: &[usize]| {
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|&node| names[node]);
        nodes
    };
    let roots: Vec<usize> = (0..dag.len())
        .filter(|&node| dag.predecessors[node].is_empty())
        .collect();
    let mut seen = vec![false; dag.len()];
    let mut order = Vec::with_capacity(dag.len());
    let mut stack: Vec<(usize, bool)> = sorted(&roots).into_iter().map(|n| (n, false)).collect();
    while let Some((node, leaving)) = stack.pop() {
        if leaving {
            order.push(node);
            continue;
        }
        if std::mem::replace(&mut seen[node], true) {
            continue;
        }
        stack.push((node, true));
        stack.extend(
            sorted(&dag.successors[node])
                .into_iter()
                .map(|n| (n, false)),
        );
    }
    order
}

/// The graph while its edges are contracted.
struct Merge {
    parent: Vec<usize>,
    successors: Vec<BTreeSet<usize>>,
    predecessors: Vec<BTreeSet<usize>>,
    candidate: Vec<bool>,
    seen: Vec<u32>,
    round: u32,
}

impl Merge {
    fn new(dag: &Dag) -> Self {
        let collect = |lists: &[Vec<usize>]| -> Vec<BTreeSet<usize>> {
            lists
                .iter()
                .map(|list| list.iter().copied().collect())
                .collect()
        };
        Self {
            parent: (0..dag.len()).collect(),
            successors: collect(&dag.successors),
            predecessors: collect(&dag.predecessors),
            candidate: dag.candidate.clone(),
            seen: vec![0; dag.len()],
            round: 0,
        }
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.parent[node] != node {
            self.parent[node] = self.parent[self.parent[node]];
            node = self.parent[node];
        }
        node
    }

    /// Is there a way from `source` to `target` besides their direct edge?
    fn detour(&mut self, source: usize, target: usize) -> bool {
        self.round += 1;
        let mut stack: Vec<usize> = self.predecessors[target]
            .iter()
            .copied()
            .filter(|&node| node != source)
            .collect();
        while let Some(node) = stack.pop() {
            if node == source {
                return true;
            }
            if std::mem::replace(&mut self.seen[node], self.round) != self.round {
                stack.extend(self.predecessors[node].iter().copied());
            }
        }
        false
    }

    fn join(&mut self, source: usize, target: usize) {
        self.parent[target] = source;
        for next in std::mem::take(&mut self.successors[target]) {
            self.predecessors[next].remove(&target);
            if next != source {
                self.predecessors[next].insert(source);
                self.successors[source].insert(next);
            }
        }
        for before in std::mem::take(&mut self.predecessors[target]) {
            self.successors[before].remove(&target);
            if before != source {
                self.successors[before].insert(source);
                self.predecessors[source].insert(before);
            }
        }
        self.successors[source].remove(&target);
    }
}

/// Above this many clusters pairs are not tried one by one.
const MAX_PAIRWISE: usize = 96;

/// Merges clusters that no edge joins, where that closes no cycle.
fn merge_apart(dag: &Dag, clusters: &mut [Option<usize>]) {
    let mut roots: Vec<usize> = clusters.iter().flatten().copied().collect();
    roots.sort_unstable();
    roots.dedup();
    if roots.len() > MAX_PAIRWISE {
        return;
    }
    let mut index = 0;
    while index < roots.len() {
        let keep = roots[index];
        let mut other = index + 1;
        while other < roots.len() {
            let gone = roots[other];
            let merged: Vec<Option<usize>> = clusters
                .iter()
                .map(|cluster| {
                    if *cluster == Some(gone) {
                        Some(keep)
                    } else {
                        *cluster
                    }
                })
                .collect();
            if dag.is_acyclic(&merged) {
                clusters.copy_from_slice(&merged);
                roots.remove(other);
            } else {
                other += 1;
            }
        }
        index += 1;
    }
}
