//! The memory of bodies, used again: what is freed by one thread and asked for by another goes back
//! to the system and comes back page by page, which cost a tenth of a whole run.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes that are kept for bodies to come. Larger bodies than this are not kept at all.
const KEPT: usize = 8 << 20;
/// Bodies differ a little from page to page: room is made in pieces of this size.
const PIECE: usize = 64 << 10;

/// Memory that no body is in at present.
#[derive(Debug, Default)]
pub(crate) struct Bodies(Mutex<Vec<Vec<u8>>>);

/// The bytes of an answer.
#[cfg_attr(test, derive(Default))]
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// Where the memory goes back to.
    bodies: Arc<Bodies>,
}

impl Bodies {
    /// An empty body with room for so many bytes.
    pub(crate) fn body(self: &Arc<Self>, capacity: usize) -> Body {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let large = free.iter().enumerate();
        let large = large.filter(|(_, bytes)| bytes.capacity() >= capacity);
        let bytes = match large.min_by_key(|(_, bytes)| bytes.capacity()) {
            Some((at, _)) => free.swap_remove(at),
            // In place of one that is too small.
            None => {
                drop(free.pop());
                Vec::with_capacity(capacity.next_multiple_of(PIECE))
            }
        };
        Body {
            bytes,
            bodies: Arc::clone(self),
        }
    }

    fn keep(&self, mut bytes: Vec<u8>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(Vec::capacity).sum();
        if bytes.capacity() > 0 && kept.saturating_add(bytes.capacity()) <= KEPT {
            bytes.clear();
            free.push(bytes);
        }
    }
}

impl Body {
    pub(crate) fn extend(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.bodies.keep(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        let mut body = Self::default();
        body.extend(bytes);
        body
    }
}

/// What an API sends is shown as excerpts, without secrets.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sizes: &[usize], capacity: usize) {
        let bodies = Arc::new(Bodies::default());
        let mut memory = Vec::new();
        // All at once, so that each has its own.
        let before: Vec<Body> = sizes.iter().map(|size| bodies.body(*size)).collect();
        for mut body in before {
            body.extend(b"secret");
            memory.push(body.as_ptr());
        }
        let body = bodies.body(capacity);
        assert!(body.is_empty(), "what was in it is gone");
        assert!(body.bytes.capacity() >= capacity);
        let is_used_again = memory.contains(&body.bytes.as_ptr());
        assert!(is_used_again, "{sizes:?}, {capacity}");
    }

    #[test]
    fn memory_is_used_again_where_it_suffices() {
        check(&[1_000], 900);
        // Up to the next piece.
        check(&[PIECE + 1], 2 * PIECE);
        check(&[500_000, 1_000], 400_000);
        check(&[KEPT], KEPT);
    }

    #[test]
    fn little_memory_is_kept() {
        let bodies = Arc::new(Bodies::default());
        let kept = |bodies: &Bodies| bodies.0.lock().unwrap().iter().map(Vec::capacity).sum();
        drop(bodies.body(KEPT + 1));
        let nothing: usize = kept(&bodies);
        assert_eq!(nothing, 0);
        let many: Vec<Body> = (0..100).map(|_| bodies.body(KEPT / 10)).collect();
        drop(many);
        let some: usize = kept(&bodies);
        assert!((KEPT / 2..=KEPT).contains(&some), "{some}");
        // One that is too small makes room for one that is not.
        drop(bodies.body(KEPT / 2));
        let other: usize = kept(&bodies);
        assert!((KEPT / 2..=KEPT).contains(&other), "{other}");
    }
}
