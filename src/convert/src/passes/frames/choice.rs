use super::analysis::Analysis;
use super::conditions::Alive;
use crate::graph::{MAX_DEPTH, NodeId, WireId};

/// A merge for which no choice was found in so many attempts has none.
const MAX_ATTEMPTS: usize = 1 << 10;

/// How a `Merge` comes by its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is input number so.
    Input(usize),
    /// It depends on a predicate: an index in [`Analysis::choices`] for each of its values.
    Split {
        predicate: WireId,
        branches: Vec<usize>,
    },
}

/// An input's number, and when it is alive.
type Input = (usize, Alive);

impl Analysis {
    /// How one of the inputs is chosen wherever one of them is alive.
    pub(super) fn chosen(&mut self, merge: NodeId, inputs: &[Alive]) -> Option<usize> {
        let alive = |(_, alive): &Input| *alive != Alive::NEVER;
        let inputs = inputs.iter().copied().enumerate();
        let inputs = inputs.filter(alive).collect();
        self.choose(merge, inputs, MAX_DEPTH, &mut 0)
    }

    /// Splits by predicates that are there wherever an input is, until a single input can be alive.
    /// A predicate that tells all inputs apart comes before one that rules some of them out.
    fn choose(
        &mut self,
        merge: NodeId,
        inputs: Vec<Input>,
        depth: usize,
        attempts: &mut usize,
    ) -> Option<usize> {
        if let [(index, _)] = inputs.as_slice() {
            return Some(self.add_choice(merge, Choice::Input(*index)));
        }
        let one = self.conditions.any(inputs.iter().map(|(_, alive)| *alive));
        let asked = inputs.iter().map(|(_, alive)| *alive);
        let asked = asked.flat_map(|alive| self.conditions.predicates(alive));
        let mut predicates = Vec::new();
        for predicate in asked {
            let is_there = self.conditions.implies(one, self.alive(predicate));
            if is_there && !predicates.contains(&predicate) {
                predicates.push(predicate);
            }
        }
        let mut splits = Vec::new();
        for predicate in predicates {
            let values = 0..self.conditions.values(predicate);
            let sides: Vec<Vec<Input>> = values
                .map(|value| {
                    let literal = self.conditions.literal(predicate, value);
                    let side = inputs.iter();
                    let side = side.map(|(of, it)| (*of, self.conditions.all([*it, literal])));
                    side.filter(|(_, it)| *it != Alive::NEVER).collect()
                })
                .collect();
            let placed: usize = sides.iter().map(Vec::len).sum();
            let tells = placed < sides.len() * inputs.len();
            if tells && !sides.iter().any(Vec::is_empty) {
                splits.push((placed, predicate, sides));
            }
        }
        splits.sort_by_key(|(placed, ..)| *placed);
        let depth = depth.checked_sub(1)?;
        for (_, predicate, sides) in splits {
            *attempts += 1;
            if *attempts > MAX_ATTEMPTS {
                return None;
            }
            let before = self.choices.len();
            let branches = sides.into_iter();
            let branches = branches.map(|side| self.choose(merge, side, depth, attempts));
            if let Some(branches) = branches.collect() {
                let split = Choice::Split {
                    predicate,
                    branches,
                };
                return Some(self.add_choice(merge, split));
            }
            self.choices.truncate(before);
        }
        None
    }

    fn add_choice(&mut self, merge: NodeId, choice: Choice) -> usize {
        self.choices.push((merge, choice));
        self.choices.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use tfjet_core::{AttrValue, Attrs};

    use super::*;
    use crate::graph::{Graph, GraphOutput, Node};

    const LOOP: &str = "enter Enter x; header Merge enter next; cond LoopCond less; \
        less Less header same; carried Switch header cond; same Constant y; other Constant z; \
        next NextIteration carried:1; out Exit carried";

    /// `name op inputs` of each node; the choice of the node `merge`.
    fn analysed(text: &str) -> (Graph, Analysis) {
        let text = format!("x Placeholder; y Placeholder; z Placeholder; {LOOP}; {text}");
        let lines = text.split(';').map(|line| line.split_whitespace());
        let lines: Vec<Vec<&str>> = lines.map(Iterator::collect).collect();
        let wire = |text: &str| {
            let (name, slot) = text.split_once(':').unwrap_or((text, "0"));
            let node = lines.iter().position(|line| line[0] == name).expect(name);
            let node = NodeId(u32::try_from(node).expect("few nodes"));
            WireId::new(node, slot.parse().expect("a slot"))
        };
        let mut graph = Graph::default();
        for line in &lines {
            let attrs = Attrs::default()
                .with("frame_name", AttrValue::Str(b"loop".to_vec()))
                .with("is_constant", AttrValue::Bool(line[1] == "Constant"));
            let op = line[1].replace("Constant", "Enter");
            let inputs = line[2..].iter().map(|input| wire(input)).collect();
            graph.add(Node::new(line[0], op, attrs, inputs));
        }
        for name in ["merge", "out"] {
            graph.outputs.push(GraphOutput {
                name: name.into(),
                wire: wire(name),
            });
        }
        let analysis = Analysis::new(&graph).expect("control flow");
        (graph, analysis)
    }

    fn shown(graph: &Graph, analysis: &Analysis, choice: usize) -> String {
        match &analysis.choices[choice].1 {
            Choice::Input(index) => index.to_string(),
            Choice::Split {
                predicate,
                branches,
            } => {
                let sides = branches.iter().map(|it| shown(graph, analysis, *it));
                let sides: Vec<String> = sides.collect();
                format!("{}({})", graph.wire_name(*predicate), sides.join(" "))
            }
        }
    }

    #[test]
    fn predicates_tell_which_input_of_a_merge_is_alive() {
        for (text, expected) in [
            ("a Switch x y; merge Merge a a:1", "y(0 1)"),
            (
                "a Switch x y; b Switch a:1 z; merge Merge a b b:1",
                "y(0 z(1 2))",
            ),
            (
                "a Switch x y; b Switch z y; q Less a:1 a:1; c Switch b:1 q; merge Merge c c:1 a",
                "y(2 q(0 1))",
            ),
            // One side is alive in every pass of the loop, the other one not behind its last.
            (
                "q Less same other; a Switch carried:1 q; b Switch other q; merge Merge b a:1",
                "q(0 1)",
            ),
            (
                "q Less same other; a Switch carried:1 q; b Switch other q; r Less b:1 b:1; \
                 c Switch a:1 r; d Switch b:1 r; e Merge c d:1; merge Merge b e",
                "q(0 1)",
            ),
            // One side is taken in the last pass, two share the others.
            (
                "q Less same other; a Switch carried:1 q; merge Merge carried a a:1",
                "cond(0 q(1 2))",
            ),
            // What enters twice is one predicate.
            (
                "again Constant z; a Switch carried:1 other; b Switch same again; \
                 merge Merge b a:1",
                "other(0 1)",
            ),
            // A predicate that is known already.
            (
                "a Switch x y; b Switch a:1 y; c Merge b b:1; merge Merge a c",
                "y(0 1)",
            ),
            ("a Switch x y; b Switch a:1 y; merge Merge b b:1", "1"),
            // What is never alive, and merges of such.
            (
                "a Switch x y; b Switch a:1 y; c Switch b z; d Merge c c:1; merge Merge a:1 d a",
                "y(2 0)",
            ),
        ] {
            let (graph, analysis) = analysed(text);
            let (merge, choice) = analysis.merges.iter().next_back().expect("a merge");
            assert_eq!(graph.node(*merge).name, "merge");
            let choice = choice.map(|choice| shown(&graph, &analysis, choice));
            assert_eq!(choice.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_merge_of_what_may_be_alive_at_once_has_no_choice() {
        for text in [
            "merge Merge x y",
            "a Switch x y; merge Merge a:1 x",
            "a Switch x y; b Switch x z; merge Merge a b",
            "q Less same other; a Switch carried:1 q; merge Merge other a",
        ] {
            let (_, analysis) = analysed(text);
            let choices: Vec<_> = analysis.merges.values().collect();
            assert_eq!(choices, [&None], "{text}");
        }
    }
}
