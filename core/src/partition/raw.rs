//! Partitions of records without a schema, which are texts until all of them are known.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use connector_decode::{RAW_COLUMN, capture};
use connector_plan::{Path, Step};
use serde_json::{Map, Value as Json};

use super::{Partition, Taken, Tap, internal};
use crate::{Error, ErrorKind, Result, infer};

/// A batch whose records have these members, too, in place of their own of the same names.
pub(super) fn with_members(
    batch: &RecordBatch,
    members: &Map<String, Json>,
) -> Result<RecordBatch> {
    let members = Json::Object(members.clone()).to_string();
    let texts = infer::texts(batch)?.map(|record| {
        let record = record.trim();
        match record.strip_suffix('}').filter(|_| record.starts_with('{')) {
            // The last of equal keys wins.
            Some(own) if own[1..].trim().is_empty() => members.clone(),
            Some(own) => format!("{own},{}", &members[1..]),
            None => format!("{{\"value\":{record},{}", &members[1..]),
        }
    });
    let texts = StringArray::from_iter_values(texts);
    let index = batch.schema().index_of(RAW_COLUMN).map_err(internal)?;
    let mut columns = batch.columns().to_vec();
    columns[index] = Arc::new(texts);
    RecordBatch::try_new(batch.schema(), columns).map_err(internal)
}

impl Tap<'_> {
    /// Takes what the child needs from the records of a parent without a schema.
    pub(super) fn collect_raw(&self, batch: &RecordBatch, taken: &mut Taken) -> Result<()> {
        let bindings = self.parent.bindings.iter();
        let includes = self.parent.include.iter();
        let paths: Vec<Path> = bindings
            .map(|binding| binding.field.clone())
            .chain(includes.map(|include| vec![Step::Key(include.field.clone())]))
            .collect();
        for record in infer::texts(batch)? {
            taken.records += 1;
            let found = capture(record.as_bytes(), &paths).map_err(internal)?;
            let mut found = found.into_iter().map(Option::unwrap_or_default);
            let (mut values, mut wrong) = (Map::new(), None);
            for binding in &self.parent.bindings {
                let value = found.next().unwrap_or_default();
                if value.is_null() || value.is_object() || value.is_array() {
                    wrong = wrong.or(Some((&binding.field, value.is_null())));
                }
                values.insert(binding.name.clone(), value);
            }
            if let Some((field, missing)) = wrong {
                taken.skipped += 1;
                let error = self.no_value(field, missing, taken.records);
                if !self.child.relations.skip_failures {
                    return Err(error);
                }
                taken.error.get_or_insert(error);
                continue;
            }
            let values = Json::Object(values);
            let hash = twox_hash::XxHash3_128::oneshot(values.to_string().as_bytes());
            if !taken.seen.insert(hash) {
                continue;
            }
            let includes = self.parent.include.iter();
            let members = includes.map(|include| include.column.clone()).zip(found);
            taken.partitions.push(Partition {
                values,
                members: members.collect(),
                ..Partition::whole()
            });
        }
        Ok(())
    }

    fn no_value(&self, field: &Path, missing: bool, number: u64) -> Error {
        let parent = &self.parent.resource;
        let field = crate::paging::show(field);
        let field = field.trim_start_matches("$.");
        let what = if missing {
            format!("a record of the parent `{parent}` has no `{field}`")
        } else {
            format!("`{field}` of a record of the parent `{parent}` is no single value")
        };
        let child = &self.child.name;
        Error::new(
            ErrorKind::Source,
            format!("{what}, which the requests of `{child}` need"),
        )
        .with("record", format!("number {number}"))
        .hint("`on_parent_error: skip` in the spec passes over such records and counts them")
        .hint(format!(
            "a `schema` of `{parent}` has this checked when the spec is built"
        ))
    }
}
