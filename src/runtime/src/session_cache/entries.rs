use super::ShapeKey;
use crate::Session;

/// A session and the shapes that it was built for.
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) shapes: ShapeKey,
    pub(super) session: Box<Session>,
    /// Runs that failed since the last one that did not.
    pub(super) failed_runs: u32,
}

/// Sessions by shapes, the one that was used last first.
pub(super) struct Entries {
    capacity: usize,
    list: Vec<Entry>,
    next_id: u64,
}

impl Entries {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            list: Vec::new(),
            next_id: 0,
        }
    }

    pub(super) fn list(&self) -> &[Entry] {
        &self.list
    }

    /// The smallest entry whose shapes serve, which becomes the one that was used last.
    pub(super) fn find(&mut self, serves: impl Fn(&ShapeKey) -> bool) -> Option<&Entry> {
        let entries = self.list.iter().enumerate();
        let fitting = entries.filter(|(_, entry)| serves(&entry.shapes));
        // All but their batches are equal.
        let (index, _) = fitting.min_by_key(|(_, entry)| &entry.shapes)?;
        self.list.get_mut(..=index)?.rotate_right(1);
        self.list.first()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Entry> {
        self.list.iter().find(|entry| entry.id == id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.list.iter_mut().find(|entry| entry.id == id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        let index = self.list.iter().position(|entry| entry.id == id)?;
        Some(self.list.remove(index))
    }

    /// Drops the entries that were not used for longest until there is room for one more, and gives
    /// their number.
    pub(super) fn make_room(&mut self) -> u64 {
        let mut dropped = 0;
        while self.list.len() >= self.capacity
            && let Some(entry) = self.list.pop()
        {
            tracing::debug!(shapes = %entry.shapes, "dropped the session that was unused for longest");
            dropped += 1;
        }
        dropped
    }

    /// Adds a session as the one that was used last, and gives its id.
    pub(super) fn insert(&mut self, shapes: ShapeKey, session: Session) -> u64 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let entry = Entry {
            id,
            shapes,
            session: Box::new(session),
            failed_runs: 0,
        };
        self.list.insert(0, entry);
        id
    }
}
