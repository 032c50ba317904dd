use std::time::{Duration, Instant};

use super::ShapeKey;

/// Shapes that are left alone for a while, and why. Those that are longest in the list make room.
pub(super) struct Refusals {
    list: Vec<Refusal>,
}

struct Refusal {
    shapes: ShapeKey,
    reason: String,
    /// None where the time lies beyond what the clock can tell.
    until: Option<Instant>,
}

/// How many are remembered.
const MOST: usize = 256;

impl Refusals {
    pub(super) fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Remembers a refusal for `duration`, in place of an earlier one of these shapes.
    pub(super) fn add(&mut self, shapes: ShapeKey, reason: String, duration: Duration) {
        self.list.retain(|refusal| refusal.shapes != shapes);
        if self.list.len() >= MOST {
            self.list.remove(0);
        }
        self.list.push(Refusal {
            shapes,
            reason,
            until: Instant::now().checked_add(duration),
        });
    }

    /// Why these shapes are left alone; `None` where they are not, or not any more.
    pub(super) fn reason(&mut self, shapes: &ShapeKey) -> Option<&str> {
        let index = self.list.iter().position(|it| it.shapes == *shapes)?;
        if self.list[index].is_over() {
            self.list.remove(index);
            return None;
        }
        Some(&self.list[index].reason)
    }

    /// All that hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ShapeKey, &str)> {
        let holding = self.list.iter().filter(|refusal| !refusal.is_over());
        holding.map(|refusal| (&refusal.shapes, refusal.reason.as_str()))
    }
}

impl Refusal {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(size: usize) -> ShapeKey {
        ShapeKey(vec![vec![size]])
    }

    #[test]
    fn a_refusal_holds_for_its_time() {
        let mut refusals = Refusals::new();
        refusals.add(key(1), "a".into(), Duration::ZERO);
        refusals.add(key(2), "b".into(), Duration::MAX);
        refusals.add(key(3), "c".into(), Duration::from_secs(999));
        assert_eq!(refusals.iter().count(), 2);
        assert_eq!(refusals.reason(&key(1)), None);
        assert_eq!(refusals.reason(&key(2)), Some("b"));
        refusals.add(key(2), "d".into(), Duration::from_secs(999));
        assert_eq!(refusals.reason(&key(2)), Some("d"));
        assert_eq!(refusals.list.len(), 2);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut refusals = Refusals::new();
        for size in 0..2 * MOST {
            refusals.add(key(size), String::new(), Duration::from_secs(999));
        }
        assert_eq!(refusals.iter().count(), MOST);
        assert_eq!(refusals.reason(&key(MOST - 1)), None);
        assert_eq!(refusals.reason(&key(MOST)), Some(""));
    }
}
