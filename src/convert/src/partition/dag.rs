/// A graph to be grouped, reduced to what grouping needs. Nodes are in topological order: every
/// edge goes from a lower to a higher index.
#[derive(Debug, Clone, Default)]
pub struct Dag {
    /// Successors of each node.
    pub successors: Vec<Vec<usize>>,
    /// Predecessors of each node.
    pub predecessors: Vec<Vec<usize>>,
    /// May the node be in a segment?
    pub candidate: Vec<bool>,
}

impl Dag {
    /// A graph of `candidate.len()` nodes with these edges.
    pub fn new(candidate: Vec<bool>, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut dag = Self {
            successors: vec![Vec::new(); candidate.len()],
            predecessors: vec![Vec::new(); candidate.len()],
            candidate,
        };
        for (from, to) in edges {
            if !dag.successors[from].contains(&to) {
                dag.successors[from].push(to);
                dag.predecessors[to].push(from);
            }
        }
        dag
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.candidate.len()
    }

    /// Has it no nodes?
    pub fn is_empty(&self) -> bool {
        self.candidate.is_empty()
    }

    /// Do the clusters, each taken as one node, form a graph without a cycle?
    pub fn is_acyclic(&self, cluster: &[Option<usize>]) -> bool {
        let clusters = cluster.iter().flatten().max().map_or(0, |max| max + 1);
        let unit = |node: usize| cluster[node].unwrap_or(clusters + node);
        let count = clusters + self.len();
        let mut successors: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut waiting = vec![0usize; count];
        for (from, targets) in self.successors.iter().enumerate() {
            for &to in targets {
                if unit(from) != unit(to) {
                    successors[unit(from)].push(unit(to));
                    waiting[unit(to)] += 1;
                }
            }
        }
        let mut ready: Vec<usize> = (0..count).filter(|&unit| waiting[unit] == 0).collect();
        let mut done = 0;
        while let Some(unit) = ready.pop() {
            done += 1;
            for &next in &successors[unit] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.push(next);
                }
            }
        }
        done == count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_around_an_outsider_is_a_cycle() {
        let dag = Dag::new(vec![true, false, true], [(0, 1), (1, 2), (0, 2)]);
        assert!(!dag.is_acyclic(&[Some(0), None, Some(0)]));
        assert!(dag.is_acyclic(&[Some(0), None, Some(1)]));
    }

    #[test]
    fn two_clusters_that_need_each_other_are_a_cycle() {
        let dag = Dag::new(vec![true; 4], [(0, 1), (2, 3)]);
        assert!(!dag.is_acyclic(&[Some(0), Some(1), Some(1), Some(0)]));
        assert!(dag.is_acyclic(&[Some(0), Some(1), Some(0), Some(1)]));
    }
}
