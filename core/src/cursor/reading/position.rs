//! How far the reading of a partition has come, as data that a later run goes on from.

use serde_json::json;

use super::super::Cursors;
use super::super::interval::Range;
use super::{Counts, CursorReading, CursorValue, Ended, Saved, Windows};
use crate::{Error, ErrorKind, Json, Result};

impl CursorReading<'_> {
    /// What is known when the last batch has been kept.
    pub(crate) fn position(&self) -> Json {
        let codec = &self.cursors.codec;
        let value = |value: &Option<CursorValue>| value.as_ref().map(|value| codec.state(value));
        let range = self.windows.range();
        json!({
            "start": value(&range.start),
            "start_open": range.start_open,
            "end": value(&range.end),
            "initial": value(&range.initial),
            "highest": value(&self.highest),
            "top": hex(&self.top),
            "last": value(&self.last),
            "counts": counts(self.counts),
            "interrupted": self.interrupted,
        })
    }

    /// Goes on from what [`position`](Self::position) said in this window, counted from 0.
    ///
    /// # Errors
    /// When it is the position of no such reading.
    pub(crate) fn resume(&mut self, position: &Json, window: usize) -> Result<()> {
        let cursors = self.cursors;
        let value = |name: &str| cursors.read(&position[name]);
        let range = Range {
            start: value("start")?,
            start_open: position["start_open"].as_bool().ok_or_else(unknown)?,
            end: value("end")?,
            initial: value("initial")?,
            ..self.windows.range().clone()
        };
        self.start.clone_from(&range.start);
        self.windows = Windows::new(range);
        for _ in 0..=window {
            if !self.advance()? {
                return Err(unknown());
            }
        }
        self.highest = value("highest")?;
        self.top = read_hex(&position["top"])?;
        self.last = value("last")?;
        self.counts = read_counts(&position["counts"])?;
        self.interrupted = position["interrupted"].as_bool().ok_or_else(unknown)?;
        Ok(())
    }
}

impl Cursors {
    /// What came of a partition, as data.
    pub(super) fn ended(&self, key: &str, ended: &Ended) -> Json {
        let value =
            |value: &Option<CursorValue>| value.as_ref().map(|value| self.codec.state(value));
        json!({
            "key": key,
            "start": value(&ended.start),
            "highest": value(&ended.highest),
            "saved": ended.saved.as_ref().map(|saved| {
                json!({ "value": self.codec.state(&saved.value), "boundary": hex(&saved.boundary) })
            }),
            "gap": ended.gap,
            "counts": counts(ended.counts),
        })
    }

    /// Takes over a partition that an earlier run has read to its end.
    ///
    /// # Errors
    /// When the data is of no partition.
    pub(crate) fn resume_ended(&self, ended: &Json) -> Result<()> {
        let saved = &ended["saved"];
        let saved = match self.read(&saved["value"])? {
            None => None,
            Some(value) => Some(Saved {
                value,
                boundary: read_hex(&saved["boundary"])?,
            }),
        };
        let key = ended["key"].as_str().ok_or_else(unknown)?;
        let ended = Ended {
            start: self.read(&ended["start"])?,
            highest: self.read(&ended["highest"])?,
            saved,
            gap: ended["gap"].as_bool().ok_or_else(unknown)?,
            counts: read_counts(&ended["counts"])?,
        };
        self.end(key, ended);
        Ok(())
    }

    fn read(&self, value: &Json) -> Result<Option<CursorValue>> {
        match value {
            Json::Null => Ok(None),
            value => self.codec.read_state(value).map(Some).ok_or_else(unknown),
        }
    }
}

fn hex(hashes: &[u128]) -> Vec<String> {
    hashes.iter().map(|hash| format!("{hash:032x}")).collect()
}

fn read_hex(hashes: &Json) -> Result<Vec<u128>> {
    let hashes = hashes.as_array().ok_or_else(unknown)?;
    let read = hashes.iter().map(|hash| {
        hash.as_str()
            .and_then(|hash| u128::from_str_radix(hash, 16).ok())
            .ok_or_else(unknown)
    });
    read.collect()
}

fn counts(counts: Counts) -> [u64; 4] {
    [
        counts.outside,
        counts.repeated,
        counts.excluded,
        counts.included,
    ]
}

fn read_counts(value: &Json) -> Result<Counts> {
    let [outside, repeated, excluded, included] =
        serde_json::from_value(value.clone()).map_err(|_| unknown())?;
    Ok(Counts {
        outside,
        repeated,
        excluded,
        included,
    })
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the position of the cursor cannot be read",
    )
}
