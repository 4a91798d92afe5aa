//! What expressions compile out of texts, kept for the records behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// How much is kept. Texts that differ from record to record are rare, and whoever has them
/// compiles them each time.
const MOST: usize = 64;

/// What has been compiled, by its text.
#[derive(Debug)]
pub(super) struct Cache<T>(Mutex<HashMap<String, Arc<T>>>);

impl<T> Cache<T> {
    pub(super) fn get<E>(
        &self,
        text: &str,
        compile: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(known) = lock(&self.0).get(text) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(compile(text)?);
        let mut kept = lock(&self.0);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(text.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_compiled_once_and_what_is_kept_is_bounded() {
        let cache = Cache::default();
        let mut compiled = 0;
        let mut get = |text: &str| {
            let made = cache.get(text, |text| {
                compiled += 1;
                text.parse::<u32>()
            });
            made.map(|number| (*number, compiled))
        };
        assert_eq!(get("7"), Ok((7, 1)));
        assert_eq!(get("7"), Ok((7, 1)));
        assert!(get("x").is_err());
        for number in 0..10 * u32::try_from(MOST).unwrap() {
            assert_eq!(get(&number.to_string()).unwrap().0, number);
        }
        assert!(lock(&cache.0).len() <= MOST);
    }
}
