use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::graph::WireId;

/// With more tests, or more of them behind each other, it is no longer followed when something is
/// alive.
const MAX_TESTS: usize = 1 << 18;
const MAX_BEHIND: u32 = 256;
const MAX_STEPS: usize = 1 << 21;
/// More branches than this are not followed either.
pub(super) const MAX_VALUES: u32 = 1 << 12;

/// When something is alive: a formula over predicates and their values, kept in [`Conditions`].
/// Formulas without unknown parts are equal where they say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Alive(u32);

impl Alive {
    pub(super) const NEVER: Self = Self(0);
    pub(super) const ALWAYS: Self = Self(1);
    /// Not followed. It is neither taken for alive nor for dead.
    pub(super) const UNKNOWN: Self = Self(2);
}

/// The value of a predicate decides which formula holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Test {
    /// Number of the predicate; formulas ask for lower ones first.
    predicate: u32,
    sides: Box<[Alive]>,
}

/// Formulas as decision diagrams.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    predicates: Vec<WireId>,
    numbers: BTreeMap<WireId, u32>,
    /// Predicates that number branches, with how many there are.
    numbered: BTreeMap<WireId, u32>,
    /// With how many tests are behind each other at most.
    tests: Vec<(Test, u32)>,
    known: HashMap<Test, Alive>,
    combined: HashMap<(bool, Alive, Alive), Alive>,
}

impl Conditions {
    pub(super) fn new(numbered: BTreeMap<WireId, u32>) -> Self {
        Self {
            numbered,
            ..Self::default()
        }
    }

    /// How many values a predicate has.
    pub(super) fn values(&self, predicate: WireId) -> u32 {
        self.numbered.get(&predicate).copied().unwrap_or(2)
    }

    /// Is it the number of a branch, no truth value?
    pub(super) fn is_numbered(&self, predicate: WireId) -> bool {
        self.numbered.contains_key(&predicate)
    }

    /// Where the predicate has this value: 0 or 1 of a truth value, else the number of a branch.
    pub(super) fn literal(&mut self, predicate: WireId, value: u32) -> Alive {
        let values = self.values(predicate);
        if value >= values {
            return Alive::NEVER;
        }
        if values > MAX_VALUES {
            return Alive::UNKNOWN;
        }
        let next = u32::try_from(self.predicates.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(predicate).or_insert(next);
        if number == next {
            self.predicates.push(predicate);
        }
        let side = |side| match side == value {
            true => Alive::ALWAYS,
            false => Alive::NEVER,
        };
        self.test(number, (0..values).map(side).collect())
    }

    /// Where all are.
    pub(super) fn all(&mut self, of: impl IntoIterator<Item = Alive>) -> Alive {
        of.into_iter()
            .fold(Alive::ALWAYS, |a, b| self.combine(true, a, b))
    }

    /// Where one of them is.
    pub(super) fn any(&mut self, of: impl IntoIterator<Item = Alive>) -> Alive {
        of.into_iter()
            .fold(Alive::NEVER, |a, b| self.combine(false, a, b))
    }

    /// Is what has the second formula alive wherever what has the first one is?
    pub(super) fn implies(&self, a: Alive, b: Alive) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![(a, b)];
        while let Some((a, b)) = stack.pop() {
            if a == Alive::NEVER || b == Alive::ALWAYS || !seen.insert((a, b)) {
                continue;
            }
            let Some(first) = self.first(a, b) else {
                return false;
            };
            let values = self.sides(first);
            stack.extend((0..values).map(|value| {
                let side = |of| self.side(of, first, value);
                (side(a), side(b))
            }));
        }
        true
    }

    /// The predicates that a formula asks for, in order.
    pub(super) fn predicates(&self, of: Alive) -> Vec<WireId> {
        let mut seen = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        let mut stack = vec![of];
        while let Some(of) = stack.pop() {
            if let Some(test) = self.get(of)
                && seen.insert(of)
            {
                numbers.insert(test.predicate);
                stack.extend(&test.sides);
            }
        }
        let wire = |number: u32| self.predicates.get(usize::try_from(number).ok()?).copied();
        numbers.into_iter().filter_map(wire).collect()
    }

    /// The one value that a predicate can have where something is alive.
    pub(super) fn value(&mut self, alive: Alive, predicate: WireId) -> Option<u32> {
        let values = 0..self.values(predicate).min(MAX_VALUES);
        let mut possible = values.filter(|value| {
            let literal = self.literal(predicate, *value);
            self.all([alive, literal]) != Alive::NEVER
        });
        let value = possible.next()?;
        possible.next().is_none().then_some(value)
    }

    fn get(&self, of: Alive) -> Option<&Test> {
        let index = of.0.checked_sub(3)?;
        let test = self.tests.get(usize::try_from(index).ok()?);
        test.map(|(test, _)| test)
    }

    fn behind(&self, of: Alive) -> u32 {
        let index = of.0.checked_sub(3).and_then(|it| usize::try_from(it).ok());
        let test = index.and_then(|index| self.tests.get(index));
        test.map_or(0, |(_, behind)| *behind)
    }

    /// The predicate that either asks for first.
    fn first(&self, a: Alive, b: Alive) -> Option<u32> {
        let asked = [a, b].into_iter().filter_map(|of| self.get(of));
        asked.map(|test| test.predicate).min()
    }

    fn sides(&self, number: u32) -> usize {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let predicate = self.predicates.get(index);
        let values = predicate.map_or(0, |predicate| self.values(*predicate));
        usize::try_from(values).unwrap_or(0)
    }

    /// What is left of a formula where a predicate, none before which it asks for, has a value.
    fn side(&self, of: Alive, number: u32, value: usize) -> Alive {
        match self.get(of) {
            Some(test) if test.predicate == number => {
                test.sides.get(value).copied().unwrap_or(Alive::NEVER)
            }
            _ => of,
        }
    }

    fn test(&mut self, predicate: u32, sides: Box<[Alive]>) -> Alive {
        let Some(&first) = sides.first() else {
            return Alive::NEVER;
        };
        if sides.iter().all(|side| *side == first) {
            return first;
        }
        let test = Test { predicate, sides };
        if let Some(known) = self.known.get(&test) {
            return *known;
        }
        let behind = test.sides.iter().map(|side| self.behind(*side)).max();
        let behind = behind.unwrap_or(0) + 1;
        let number = u32::try_from(self.tests.len() + 3);
        let (true, Ok(number)) = (self.tests.len() < MAX_TESTS && behind <= MAX_BEHIND, number)
        else {
            return Alive::UNKNOWN;
        };
        self.tests.push((test.clone(), behind));
        self.known.insert(test, Alive(number));
        Alive(number)
    }

    /// Where `both` are, or else where one of them is.
    fn combine(&mut self, both: bool, a: Alive, b: Alive) -> Alive {
        let (decides, leaves) = match both {
            true => (Alive::NEVER, Alive::ALWAYS),
            false => (Alive::ALWAYS, Alive::NEVER),
        };
        if a == decides || b == decides {
            return decides;
        }
        if a == leaves || a == b {
            return b;
        }
        let Some(first) = self.first(a, b).filter(|_| b != leaves) else {
            return a;
        };
        let key = (both, a.min(b), a.max(b));
        if let Some(known) = self.combined.get(&key) {
            return *known;
        }
        if self.combined.len() >= MAX_STEPS {
            return Alive::UNKNOWN;
        }
        let sides = (0..self.sides(first)).map(|value| {
            let (a, b) = (self.side(a, first, value), self.side(b, first, value));
            self.combine(both, a, b)
        });
        let sides = sides.collect();
        let made = self.test(first, sides);
        self.combined.insert(key, made);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;

    fn wire(node: u32) -> WireId {
        WireId::new(NodeId(node), 0)
    }

    #[test]
    fn formulas_that_say_the_same_are_equal() {
        let mut of = Conditions::new(BTreeMap::from([(wire(9), 3)]));
        let (p, not_p) = (of.literal(wire(0), 1), of.literal(wire(0), 0));
        let (q, not_q) = (of.literal(wire(1), 1), of.literal(wire(1), 0));
        let both = of.all([p, q]);
        let one = of.all([q, not_p]);
        let branches: Vec<Alive> = (0..4).map(|value| of.literal(wire(9), value)).collect();
        for (made, expected) in [
            (of.all([q, p]), both),
            (of.any([both, one]), q),
            (of.any([p, not_p]), Alive::ALWAYS),
            (of.all([p, not_p]), Alive::NEVER),
            (of.all([both, not_q]), Alive::NEVER),
            (of.any(branches[..3].iter().copied()), Alive::ALWAYS),
            (branches[3], Alive::NEVER),
            (of.all([]), Alive::ALWAYS),
            (of.any([]), Alive::NEVER),
        ] {
            assert_eq!(made, expected);
        }
        let either = of.any([not_q, both]);
        for (a, b, expected) in [
            (both, p, true),
            (p, both, false),
            (p, either, true),
            (either, p, false),
            (not_q, either, true),
            (q, either, false),
            (Alive::NEVER, p, true),
            (Alive::ALWAYS, either, false),
        ] {
            assert_eq!(of.implies(a, b), expected, "{a:?} {b:?}");
        }
        assert_eq!(of.predicates(either), [wire(0), wire(1)]);
        assert_eq!(of.value(both, wire(1)), Some(1));
        assert_eq!(of.value(either, wire(1)), None);
        assert_eq!(of.value(branches[2], wire(9)), Some(2));
    }

    #[test]
    fn what_is_not_followed_is_taken_neither_for_alive_nor_for_dead() {
        let mut of = Conditions::default();
        let literals: Vec<Alive> = (0..MAX_BEHIND + 1)
            .map(|node| of.literal(wire(node), 1))
            .collect();
        let long = of.all(literals.iter().rev().copied());
        let unknown = of.all([literals[0], Alive::UNKNOWN]);
        for made in [long, unknown] {
            assert_ne!(made, Alive::NEVER);
            assert!(!of.implies(literals[0], made));
            assert!(!of.implies(made, Alive::NEVER));
        }
        assert_eq!(of.all([Alive::NEVER, Alive::UNKNOWN]), Alive::NEVER);
        assert_eq!(of.any([Alive::ALWAYS, Alive::UNKNOWN]), Alive::ALWAYS);
    }
}
