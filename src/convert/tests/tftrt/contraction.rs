use std::collections::{BTreeMap, BTreeSet};

use super::Node;

/// Candidates that were merged into one.
pub(super) struct Cluster {
    /// The member that gives the cluster its place among the segments.
    pub(super) root: usize,
    pub(super) members: BTreeSet<usize>,
}

/// Lets every candidate swallow the candidates that read it, from the graph's outputs to its
/// inputs, as long as no cycle appears.
pub(super) fn contract(nodes: &[Node], candidate: &dyn Fn(usize) -> bool) -> Vec<Cluster> {
    let mut graph = EdgeList::new(nodes);
    let mut sets = DisjointSets::new(nodes.len());
    for node in leave_order(nodes) {
        if !candidate(node) {
            continue;
        }
        loop {
            let mut marked: BTreeSet<usize> = graph.outgoing[node]
                .iter()
                .copied()
                .filter(|&edge| candidate(graph.edges[edge].to) && graph.is_contractible(edge))
                .collect();
            if marked.is_empty() {
                break;
            }
            while let Some(edge) = marked.pop_first() {
                sets.merge(graph.edges[edge].from, graph.edges[edge].to);
                for removed in graph.contract(edge) {
                    marked.remove(&removed);
                }
            }
        }
    }
    let mut clusters: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for node in (0..nodes.len()).filter(|&node| candidate(node)) {
        clusters.entry(sets.root(node)).or_default().insert(node);
    }
    clusters
        .into_iter()
        .map(|(root, members)| Cluster { root, members })
        .collect()
}

/// Nodes as a depth-first walk from the graph's sources leaves them: each after all its readers.
/// Where the walk has a choice it takes the last name.
fn leave_order(nodes: &[Node]) -> Vec<usize> {
    enum Step {
        Enter(usize),
        Leave(usize),
    }
    let by_name = |mut choice: Vec<usize>| {
        choice.sort_by(|&a, &b| nodes[a].name.cmp(&nodes[b].name));
        choice.into_iter().map(Step::Enter)
    };
    let readers = |node: usize| -> Vec<usize> {
        (0..nodes.len())
            .filter(|&other| nodes[other].inputs.contains(&node))
            .collect()
    };
    let sources = (0..nodes.len())
        .filter(|&node| nodes[node].inputs.is_empty())
        .collect();
    let mut stack: Vec<Step> = by_name(sources).collect();
    let mut seen = vec![false; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(step) = stack.pop() {
        match step {
            Step::Leave(node) => order.push(node),
            Step::Enter(node) if seen[node] => {}
            Step::Enter(node) => {
                seen[node] = true;
                stack.push(Step::Leave(node));
                stack.extend(by_name(readers(node)));
            }
        }
    }
    order
}

#[derive(Clone, Copy)]
struct Edge {
    from: usize,
    to: usize,
}

/// A graph with one edge for each data input, whose edges can be contracted.
struct EdgeList {
    /// Every edge there ever was; an edge's place is its id.
    edges: Vec<Edge>,
    incoming: Vec<Vec<usize>>,
    outgoing: Vec<Vec<usize>>,
}

impl EdgeList {
    fn new(nodes: &[Node]) -> Self {
        let mut graph = Self {
            edges: Vec::new(),
            incoming: vec![Vec::new(); nodes.len()],
            outgoing: vec![Vec::new(); nodes.len()],
        };
        for (to, node) in nodes.iter().enumerate() {
            for &from in &node.inputs {
                graph.add(Edge { from, to });
            }
        }
        graph
    }

    fn add(&mut self, edge: Edge) {
        let id = self.edges.len();
        self.edges.push(edge);
        self.outgoing[edge.from].push(id);
        self.incoming[edge.to].push(id);
    }

    /// Does no other way lead from the edge's start to its end?
    fn is_contractible(&self, edge: usize) -> bool {
        let Edge { from, to } = self.edges[edge];
        let mut seen = vec![false; self.incoming.len()];
        let mut stack: Vec<usize> = self.producers(to).filter(|&other| other != from).collect();
        while let Some(node) = stack.pop() {
            if node == from {
                return false;
            }
            if !std::mem::replace(&mut seen[node], true) {
                stack.extend(self.producers(node));
            }
        }
        true
    }

    fn producers(&self, node: usize) -> impl Iterator<Item = usize> {
        self.incoming[node]
            .iter()
            .map(|&edge| self.edges[edge].from)
    }

    /// Makes the edge's end a part of its start. Gives the edges that are gone.
    fn contract(&mut self, edge: usize) -> Vec<usize> {
        let Edge {
            from: kept,
            to: gone,
        } = self.edges[edge];
        let incoming = std::mem::take(&mut self.incoming[gone]);
        let outgoing = std::mem::take(&mut self.outgoing[gone]);
        for &id in &incoming {
            let from = self.edges[id].from;
            self.outgoing[from].retain(|&other| other != id);
            if from != kept {
                self.add(Edge { from, to: kept });
            }
        }
        for &id in &outgoing {
            let to = self.edges[id].to;
            self.incoming[to].retain(|&other| other != id);
            self.add(Edge { from: kept, to });
        }
        incoming.into_iter().chain(outgoing).collect()
    }
}

struct DisjointSets(Vec<usize>);

impl DisjointSets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, member: usize) -> usize {
        let parent = self.0[member];
        if parent == member {
            return member;
        }
        let root = self.root(parent);
        self.0[member] = root;
        root
    }

    /// The first set's root becomes the root of both.
    fn merge(&mut self, first: usize, second: usize) {
        let (first, second) = (self.root(first), self.root(second));
        self.0[second] = first;
    }
}
