//! Cursors in the state, shown and set by hand.

use std::collections::BTreeMap;

use connector_plan::{Incremental, Resource, WriteDisposition};
use serde_json::json;

use super::value::{Codec, CursorValue};
use super::{binding_names, identity, no_value, refused};
use crate::cli::cell;
use crate::template::to_text;
use crate::{Json, Result};

/// What the state calls the partition of a resource that is read by itself.
pub(crate) const WHOLE: &str = "{}";

/// The cursors that a state has of a resource, by partition: the value and how many records at
/// exactly this value are told apart. `None` when they are none.
pub(crate) fn read(state: &Json) -> Option<BTreeMap<String, (Json, usize)>> {
    let partitions = state.get("partitions")?.as_object()?;
    partitions
        .iter()
        .map(|(key, entry)| {
            let boundary = match entry.get("boundary") {
                None => 0,
                Some(hashes) => hashes.as_array()?.len(),
            };
            Some((key.clone(), (entry.get("value")?.clone(), boundary)))
        })
        .collect()
}

/// A cursor that was set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CursorChange {
    pub partition: String,
    pub before: Option<Json>,
    pub after: Json,
}

/// What a resource's cursor can be set to.
#[derive(Debug)]
pub(crate) struct CursorEditor<'a> {
    resource: &'a Resource,
    codec: Codec,
    path: String,
    identity: String,
    /// The names of the values that its partitions have.
    names: Vec<&'a str>,
}

impl<'a> CursorEditor<'a> {
    /// # Errors
    /// When the resource has no cursor, or is replaced as a whole by every run.
    pub(crate) fn new(resource: &'a Resource) -> Result<Self> {
        let name = &resource.name;
        let Some(plan) = &resource.incremental else {
            return Err(refused(format!("`{name}` has no incremental cursor"))
                .hint("declare `incremental: {cursor_path: …}` in the spec"));
        };
        if resource.write_disposition == WriteDisposition::Replace {
            return Err(refused(format!(
                "`{name}` is replaced as a whole by every run, so it keeps no cursor"
            ))
            .hint("choose where one run begins with `--since`"));
        }
        let names = binding_names(resource);
        Ok(Self {
            resource,
            codec: Codec::new(plan)?,
            path: cursor_path(plan),
            identity: identity(resource, plan, &names),
            names,
        })
    }

    /// The state with this cursor for the partition, or for all that it knows when none is named.
    ///
    /// # Errors
    /// When the text is no value of the cursor, no partition is meant, or records that the dataset
    /// has would be appended to it again.
    pub(crate) fn set(
        &self,
        state: Option<&Json>,
        text: &str,
        partition: &[String],
    ) -> Result<(Json, Vec<CursorChange>)> {
        let value = self.parse(text)?;
        let mut state = match state {
            None => json!({ "cursor": self.path, "identity": self.identity, "partitions": {} }),
            Some(state) => self.own(state)?.clone(),
        };
        let Some(known) = state.get_mut("partitions").and_then(Json::as_object_mut) else {
            return Err(damaged(&self.resource.name));
        };
        let keys = self.keys(known, partition)?;
        let mut changes = Vec::new();
        for key in keys {
            let before = known
                .get(&key)
                .and_then(|entry| entry.get("value"))
                .cloned();
            let old = before.as_ref().and_then(|old| self.codec.read_state(old));
            self.check(&key, old.as_ref(), &value)?;
            let after = self.codec.state(&value);
            // What is known of the records at a cursor goes with it.
            if old.as_ref() != Some(&value) {
                known.insert(key.clone(), json!({ "value": after }));
            }
            changes.push(CursorChange {
                partition: key,
                before,
                after,
            });
        }
        Ok((state, changes))
    }

    fn parse(&self, text: &str) -> Result<CursorValue> {
        let number = || serde_json::from_str::<serde_json::Number>(text).ok();
        self.codec
            .parse(&Json::from(text))
            .or_else(|| self.codec.parse(&Json::Number(number()?)))
            .ok_or_else(|| no_value("the cursor", &Json::from(text), &self.path))
    }

    /// The state, when it is of this cursor.
    fn own<'s>(&self, state: &'s Json) -> Result<&'s Json> {
        let text = |name: &str| state.get(name).and_then(Json::as_str).unwrap_or_default();
        if (text("cursor"), text("identity")) == (self.path.as_str(), self.identity.as_str()) {
            return Ok(state);
        }
        Err(refused(format!(
            "the state of `{}` belongs to the cursor `{}` ({}), the spec has `{}` ({})",
            self.resource.name,
            text("cursor"),
            text("identity"),
            self.path,
            self.identity
        ))
        .hint(format!(
            "remove it first with `state reset {}`",
            self.resource.name
        )))
    }

    /// The partitions that are meant.
    fn keys(
        &self,
        known: &serde_json::Map<String, Json>,
        partition: &[String],
    ) -> Result<Vec<String>> {
        let name = &self.resource.name;
        if self.names.is_empty() {
            return if partition.is_empty() {
                Ok(vec![WHOLE.to_owned()])
            } else {
                Err(refused(format!(
                    "`{name}` is read by itself: it has one cursor and no partitions"
                ))
                .hint("leave out `--partition`"))
            };
        }
        if partition.is_empty() {
            return if known.is_empty() {
                Err(refused(format!(
                    "`{name}` has a cursor for each {}, and none is known yet",
                    self.names.join(", ")
                ))
                .hint(format!("name one with `--partition {}=…`", self.names[0])))
            } else {
                Ok(known.keys().cloned().collect())
            };
        }
        // As the state writes it, which `state show` prints.
        if let [key] = partition
            && known.contains_key(key)
        {
            return Ok(vec![key.clone()]);
        }
        let mut asked = BTreeMap::new();
        for pair in partition {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                refused(format!("`--partition {pair}` is no NAME=VALUE"))
                    .hint(format!("such as `--partition {}=…`", self.names[0]))
            })?;
            asked.insert(name.trim(), value.trim());
        }
        let given: Vec<&str> = asked.keys().copied().collect();
        if given != self.names {
            return Err(refused(format!(
                "`{name}` has a cursor for each {}, `--partition` names {}",
                self.names.join(", "),
                given.join(", ")
            ))
            .hint("repeat `--partition` for every name"));
        }
        let is_meant = |key: &&String| {
            let values: serde_json::Map<String, Json> =
                serde_json::from_str(key).unwrap_or_default();
            asked.iter().all(|(name, text)| {
                let value = values.get(*name).and_then(to_text);
                value.as_deref() == Some(*text)
            })
        };
        let keys: Vec<String> = known.keys().filter(is_meant).cloned().collect();
        if keys.is_empty() {
            let some: Vec<String> = known
                .keys()
                .take(5)
                .map(|key| format!("`{}`", cell::to_text(&Json::from(key.as_str()))))
                .collect();
            let error = refused(format!(
                "`{name}` has no cursor for {}",
                partition.join(", ")
            ));
            return Err(if some.is_empty() {
                error.hint("nothing is known of its partitions yet: a run sets their cursors")
            } else {
                error.hint(format!(
                    "it has {} of them: {}; `state show {name}` lists all",
                    known.len(),
                    some.join(", ")
                ))
            });
        }
        Ok(keys)
    }

    /// Appended records are in the dataset for good.
    fn check(&self, key: &str, old: Option<&CursorValue>, new: &CursorValue) -> Result<()> {
        let Some(old) = old.filter(|old| {
            self.resource.write_disposition == WriteDisposition::Append && new < *old
        }) else {
            return Ok(());
        };
        let of = if key == WHOLE {
            String::new()
        } else {
            format!(" of {key}")
        };
        Err(refused(format!(
            "`{}` appends: from `{}` on, before its cursor `{}`{of}, the next run would append records that the dataset has already",
            self.resource.name,
            self.codec.show(new),
            self.codec.show(old)
        ))
        .hint("declare `write_disposition: merge` with a `primary_key`, or begin anew with `--full-refresh --since …`"))
    }
}

/// The path of a cursor as the state writes it.
pub(super) fn cursor_path(plan: &Incremental) -> String {
    crate::paging::show(&plan.cursor)
        .trim_start_matches("$.")
        .to_owned()
}

/// The state of a resource whose cursors cannot be read.
pub(crate) fn damaged(resource: &str) -> crate::Error {
    refused(format!(
        "the cursor of `{resource}` in the state is damaged"
    ))
    .hint(format!(
        "restore the state from a backup, or remove the cursor with `state reset {resource}`"
    ))
}
