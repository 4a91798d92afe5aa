//! The ends of data files in an object store, which hold their footers: read once, while there is
//! room for them.

use std::collections::HashMap;

use bytes::Bytes;

/// The most bytes that are kept.
const MOST_BYTES: usize = 16 << 20;

/// The lengths and the last bytes of data files, which never change.
#[derive(Debug, Default)]
pub(super) struct Tails {
    known: HashMap<String, (u64, Bytes)>,
    bytes: usize,
}

impl Tails {
    /// The length of a file and its last bytes, if they are kept.
    pub(super) fn find(&self, key: &str) -> Option<(u64, Bytes)> {
        self.known.get(key).cloned()
    }

    /// Keeps the end of a file; any others make room for it. Not the oldest ones: files are read in
    /// the same order again and again, and those would be needed next.
    pub(super) fn keep(&mut self, key: String, length: u64, tail: Bytes) {
        self.forget(&key);
        while self.bytes + tail.len() > MOST_BYTES
            && let Some(any) = self.known.keys().next().cloned()
        {
            self.forget(&any);
        }
        self.bytes += tail.len();
        self.known.insert(key, (length, tail));
    }

    /// Forgets a file, which may be gone.
    pub(super) fn forget(&mut self, key: &str) {
        if let Some((_, tail)) = self.known.remove(key) {
            self.bytes -= tail.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_many_files_are_kept_as_far_as_there_is_room() {
        let tail = Bytes::from(vec![0; 64 << 10]);
        let room = MOST_BYTES / tail.len();
        let mut tails = Tails::default();
        for number in 0..room + 100 {
            tails.keep(number.to_string(), number as u64, tail.clone());
            let kept = (0..=number).filter(|number| tails.find(&number.to_string()).is_some());
            assert_eq!(kept.count(), room.min(number + 1));
            assert_eq!(
                tails.find(&number.to_string()),
                Some((number as u64, tail.clone()))
            );
        }
        // Once more: none goes for it.
        let known: Vec<String> = tails.known.keys().cloned().collect();
        for key in &known {
            tails.keep(key.clone(), 1, tail.clone());
        }
        assert_eq!((tails.known.len(), tails.bytes), (room, MOST_BYTES));
        for key in &known {
            tails.forget(key);
        }
        assert_eq!((tails.known.len(), tails.bytes), (0, 0));
    }
}
