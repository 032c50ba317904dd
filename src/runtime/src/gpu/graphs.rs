//! When a block is recorded as a graph and when it is replayed.

use smallvec::SmallVec;

/// For so many sets of addresses a graph is held. A graph has its contexts' state built in, and a run
/// with other addresses changes it: so there is one, and callers keep to the same tensors.
const MAX_GRAPHS: usize = 1;

/// Device addresses that a graph has built in and that may change from run to run.
pub(crate) type Addresses = SmallVec<[u64; 16]>;

/// What a run does with the block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Enqueues everything: what is new must run once before it can be recorded.
    Plain,
    /// Records a graph and replays it.
    Capture,
    /// Replays the graph of this index.
    Replay(usize),
}

/// The graphs of one set of shapes, those used last first.
#[derive(Debug)]
pub(crate) struct Graphs<G> {
    held: Vec<(Addresses, Option<G>)>,
}

impl<G> Default for Graphs<G> {
    fn default() -> Self {
        Self {
            held: Vec::with_capacity(MAX_GRAPHS),
        }
    }
}

impl<G> Graphs<G> {
    /// The turn of a run with these addresses: plain at their first run, recorded at the second,
    /// replayed from then on.
    pub(crate) fn turn(&mut self, addresses: &Addresses) -> Turn {
        if let Some(found) = self.held.iter().position(|(held, _)| held == addresses) {
            self.held[..=found].rotate_right(1);
            return match &self.held[0].1 {
                Some(_) => Turn::Replay(0),
                None => Turn::Capture,
            };
        }
        self.held.truncate(MAX_GRAPHS - 1);
        self.held.insert(0, (addresses.clone(), None));
        Turn::Plain
    }

    /// Holds the graph of the addresses whose turn was the latest.
    pub(crate) fn captured(&mut self, graph: G) -> Option<&G> {
        let latest = self.held.first_mut()?;
        Some(latest.1.insert(graph))
    }

    pub(crate) fn get(&self, index: usize) -> Option<&G> {
        self.held.get(index)?.1.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_of_addresses_runs_is_recorded_and_is_replayed() {
        let mut graphs = Graphs::default();
        let mut run = |address: u64| {
            let turn = graphs.turn(&Addresses::from_slice(&[address, 9]));
            match turn {
                Turn::Plain => "plain".to_owned(),
                Turn::Capture => format!("capture {}", graphs.captured(address).unwrap()),
                Turn::Replay(index) => format!("replay {}", graphs.get(index).unwrap()),
            }
        };
        for (address, expected) in [
            (1, "plain"),
            (1, "capture 1"),
            (1, "replay 1"),
            (1, "replay 1"),
            (2, "plain"),
            (1, "plain"),
            (2, "plain"),
            (2, "capture 2"),
            (2, "replay 2"),
            (1, "plain"),
            (1, "capture 1"),
        ] {
            assert_eq!(run(address), expected, "address {address}");
        }
    }

    #[test]
    fn a_graph_that_could_not_be_recorded_has_its_turn_again() {
        let mut graphs = Graphs::<u8>::default();
        let addresses = Addresses::new();
        assert_eq!(graphs.turn(&addresses), Turn::Plain);
        assert_eq!(graphs.turn(&addresses), Turn::Capture);
        assert_eq!(graphs.turn(&addresses), Turn::Capture);
        assert_eq!(graphs.get(0), None);
    }
}
