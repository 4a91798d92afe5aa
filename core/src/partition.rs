//! Partitions: the values of parents and of the spec that a resource is read for, once each.
//!
//! A [`Family`] knows which resources are read together. While a parent is read, the values that
//! its children need are taken from its batches; a child begins when its parents have ended. What
//! is kept in memory is one entry per distinct combination of values, nothing of the other columns.

mod raw;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use connector_plan::{FieldType, Parent, Path, Plan, Resource, Step};

use crate::cli::cell;
use crate::lock::lock;
use crate::template::to_text;
use crate::{Error, ErrorKind, Json, Result};

/// Resources that are read together, parents first.
#[derive(Debug)]
pub(crate) struct Family<'p> {
    order: Vec<&'p Resource>,
    taps: Vec<Tap<'p>>,
    /// The resource that a reader asked for, and the values by name; others are passed over.
    asked: (String, serde_json::Map<String, Json>),
    failed: Mutex<HashMap<String, (ErrorKind, String)>>,
    /// The resources of which something was skipped or ignored.
    passed_over: Mutex<HashSet<String>>,
}

/// What one reading of a resource is for.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    /// The values that expressions can name, as an object.
    pub values: Json,
    /// The columns that parents give, each of one row.
    included: Vec<(String, ArrayRef)>,
    /// The members that they give to records without a schema.
    members: serde_json::Map<String, Json>,
}

/// The values that one child takes from one parent.
#[derive(Debug)]
struct Tap<'p> {
    child: &'p Resource,
    parent: &'p Parent,
    resource: &'p Resource,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Hashes of the values so far: 128 bits, so that two never share one by chance.
    seen: HashSet<u128>,
    partitions: Vec<Partition>,
    records: u64,
    skipped: u64,
    error: Option<Error>,
}

/// The partitions of a resource.
#[derive(Debug)]
pub(crate) struct Partitions {
    pub list: Vec<Partition>,
    /// The records of parents that gave no value, and the first reason.
    pub skipped: u64,
    pub reason: Option<Error>,
}

impl Partition {
    /// That of a resource which is read by itself.
    pub(crate) fn whole() -> Self {
        Self {
            values: Json::Object(serde_json::Map::new()),
            included: Vec::new(),
            members: serde_json::Map::new(),
        }
    }

    /// A hash of its values: 128 bits, so that two never share one by chance.
    pub(crate) fn key(&self) -> u128 {
        hash_of(&self.values)
    }

    /// The values for people: `file_id=17, region=eu`.
    pub(crate) fn describe(&self) -> String {
        let values = self.values.as_object().into_iter().flatten();
        let shown: Vec<String> = values
            .map(|(name, value)| format!("{name}={}", cell::to_text(value)))
            .collect();
        shown.join(", ")
    }

    /// A batch with the columns that parents give.
    pub(crate) fn complete(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if !self.members.is_empty() {
            return raw::with_members(&batch, &self.members);
        }
        if self.included.is_empty() {
            return Ok(batch);
        }
        let schema = batch.schema();
        let mut columns = batch.columns().to_vec();
        let zeros = UInt32Array::from_value(0, batch.num_rows());
        for (name, value) in &self.included {
            let index = schema.index_of(name).map_err(internal)?;
            columns[index] = take(value, &zeros, None).map_err(internal)?;
        }
        RecordBatch::try_new(schema, columns).map_err(internal)
    }

    /// This partition and another at once.
    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        if let (Json::Object(values), Json::Object(others)) = (&mut both.values, &other.values) {
            values.extend(others.clone());
        }
        both.included.extend(other.included.iter().cloned());
        both.members.extend(other.members.clone());
        both
    }
}

impl<'p> Family<'p> {
    /// These resources and all that they depend on.
    pub(crate) fn new<'n>(plan: &'p Plan, names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut order = Vec::new();
        let mut visited = HashSet::new();
        for name in names {
            visit(plan, name, &mut visited, &mut order);
        }
        let mut taps = Vec::new();
        for child in &order {
            for parent in &child.relations.parents {
                if let Some(resource) = plan.resource(&parent.resource) {
                    taps.push(Tap {
                        child,
                        parent,
                        resource,
                        taken: Mutex::default(),
                    });
                }
            }
        }
        Self {
            order,
            taps,
            asked: Default::default(),
            failed: Mutex::default(),
            passed_over: Mutex::default(),
        }
    }

    /// The same, but the resource is read for these values only.
    ///
    /// # Errors
    /// When nothing binds one of the names.
    pub(crate) fn asked(
        mut self,
        resource: &Resource,
        values: serde_json::Map<String, Json>,
    ) -> Result<Self> {
        let relations = &resource.relations;
        let bound = relations.parents.iter().flat_map(|parent| &parent.bindings);
        let listed = relations.partitions.iter().flat_map(serde_json::Map::keys);
        let mut names: Vec<&str> = bound.map(|binding| binding.name.as_str()).collect();
        names.extend(listed.map(String::as_str));
        let mut known = HashSet::new();
        names.retain(|name| known.insert(*name));
        if let Some(name) = values.keys().find(|name| !names.contains(&name.as_str())) {
            let read = if names.is_empty() {
                "read by itself, not for values of".to_owned()
            } else {
                format!("read for values of `{}`, not of", names.join("`, `"))
            };
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("`{}` is {read} `{name}`", resource.name),
            ));
        }
        self.asked = (resource.name.clone(), values);
        Ok(self)
    }

    /// The values of a resource that were asked for.
    fn asked_of(&self, resource: &Resource) -> impl Iterator<Item = (&String, &Json)> {
        let (name, values) = &self.asked;
        values.iter().filter(move |_| *name == resource.name)
    }

    /// Whether the values that were asked for stand for all that the parents would give.
    pub(crate) fn needs_parents(&self, resource: &Resource) -> bool {
        let asked = |name: &str| self.asked_of(resource).any(|(asked, _)| asked == name);
        resource.relations.parents.iter().any(|parent| {
            let mut bindings = parent.bindings.iter();
            !parent.include.is_empty() || bindings.any(|binding| !asked(&binding.name))
        })
    }

    /// The resources, parents before their children.
    pub(crate) fn order(&self) -> &[&'p Resource] {
        &self.order
    }

    /// Takes what children need from a batch of a resource.
    pub(crate) fn collect(&self, resource: &str, batch: &RecordBatch) {
        for tap in self
            .taps
            .iter()
            .filter(|tap| tap.parent.resource == resource)
        {
            let mut taken = lock(&tap.taken);
            if taken.error.is_some() && !tap.child.relations.skip_failures {
                continue;
            }
            if let Err(error) = tap.collect(batch, &mut taken) {
                taken.error.get_or_insert(error);
            }
        }
    }

    /// Notes that a resource could not be read.
    pub(crate) fn fail(&self, resource: &str, error: &Error) {
        let reason = (error.kind(), error.message().to_owned());
        lock(&self.failed).insert(resource.to_owned(), reason);
    }

    /// Forgets what children took from a resource that is read again from the beginning.
    pub(crate) fn forget(&self, parent: &str) {
        for tap in self.taps.iter().filter(|tap| tap.parent.resource == parent) {
            *lock(&tap.taken) = Taken::default();
        }
    }

    /// Notes that something of a resource was skipped or ignored.
    pub(crate) fn pass_over(&self, resource: &str) {
        lock(&self.passed_over).insert(resource.to_owned());
    }

    /// Why not all of a resource has been read, when that is so, in words.
    pub(crate) fn passed_over(&self, resource: &Resource) -> Option<String> {
        if lock(&self.passed_over).contains(&resource.name) {
            let name = &resource.name;
            return Some(format!("answers of `{name}` were skipped or ignored"));
        }
        resource.relations.parents.iter().find_map(|parent| {
            let name = &parent.resource;
            if parent.new_only {
                return Some(format!("only new records of `{name}` were read"));
            }
            let resource = self.order.iter().find(|other| other.name == *name)?;
            self.passed_over(resource)
        })
    }

    /// What a resource is read for, when its parents have been read.
    ///
    /// # Errors
    /// When a parent failed, or a record of one has no value.
    pub(crate) fn partitions(&self, child: &Resource) -> Result<Partitions> {
        self.combine(child, std::mem::take)
    }

    /// The same for a reading that may have to begin again, which asks once more then.
    ///
    /// # Errors
    /// As [`Self::partitions`].
    pub(crate) fn partitions_again(&self, child: &Resource) -> Result<Partitions> {
        self.combine(child, |taken| Taken {
            partitions: taken.partitions.clone(),
            skipped: taken.skipped,
            error: match &taken.error {
                Some(error) if child.relations.skip_failures => {
                    Some(Error::new(error.kind(), error.message().to_owned()))
                }
                _ => taken.error.take(),
            },
            ..Taken::default()
        })
    }

    /// What a resource is read for, as far as its parents have been read since the last call.
    ///
    /// # Errors
    /// As [`Self::partitions`].
    pub(crate) fn partitions_so_far(&self, child: &Resource) -> Result<Partitions> {
        self.combine(child, |taken| Taken {
            partitions: std::mem::take(&mut taken.partitions),
            skipped: std::mem::take(&mut taken.skipped),
            error: taken.error.take(),
            ..Taken::default()
        })
    }

    fn combine(&self, child: &Resource, take: impl Fn(&mut Taken) -> Taken) -> Result<Partitions> {
        let mut all = Partitions {
            list: vec![Partition::whole()],
            skipped: 0,
            reason: None,
        };
        let needs_parents = self.needs_parents(child);
        if !needs_parents {
            let parents = child.relations.parents.iter();
            let bound = |name: &str| {
                let mut bindings = parents.clone().flat_map(|parent| &parent.bindings);
                bindings.any(|binding| binding.name == name)
            };
            let values = self.asked_of(child).filter(|(name, _)| bound(name));
            all.list = vec![Partition {
                values: values
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                ..Partition::whole()
            }];
        }
        let taps = self.taps.iter().filter(|tap| tap.child.name == child.name);
        for tap in taps.filter(|_| needs_parents) {
            let parent = &tap.parent.resource;
            if let Some((kind, message)) = lock(&self.failed).get(parent) {
                return Err(Error::new(
                    *kind,
                    format!("its parent `{parent}` could not be read: {message}"),
                ));
            }
            let taken = take(&mut lock(&tap.taken));
            if let Some(error) = taken.error {
                if !child.relations.skip_failures {
                    return Err(error);
                }
                all.reason.get_or_insert(error);
            }
            all.skipped += taken.skipped;
            all.list = product(&all.list, &taken.partitions);
        }
        if !child.relations.partitions.is_empty() {
            let listed: Vec<Partition> = child
                .relations
                .partitions
                .iter()
                .map(|values| Partition {
                    values: Json::Object(values.clone()),
                    ..Partition::whole()
                })
                .collect();
            all.list = product(&all.list, &listed);
        }
        all.list.retain(|partition| {
            self.asked_of(child).all(|(name, value)| {
                let found = partition.values.get(name);
                found.is_some_and(|found| to_text(found) == to_text(value))
            })
        });
        Ok(all)
    }
}

fn visit<'p>(
    plan: &'p Plan,
    name: &str,
    visited: &mut HashSet<&'p str>,
    order: &mut Vec<&'p Resource>,
) {
    let Some(resource) = plan.resource(name) else {
        return;
    };
    if !visited.insert(&resource.name) {
        return;
    }
    for parent in &resource.relations.parents {
        visit(plan, &parent.resource, visited, order);
    }
    order.push(resource);
}

fn product(left: &[Partition], right: &[Partition]) -> Vec<Partition> {
    left.iter()
        .flat_map(|first| right.iter().map(|second| first.and(second)))
        .collect()
}

impl Tap<'_> {
    fn collect(&self, batch: &RecordBatch, taken: &mut Taken) -> Result<()> {
        if self.resource.inferred {
            return self.collect_raw(batch, taken);
        }
        let columns: Vec<Vec<&ArrayRef>> = self
            .parent
            .bindings
            .iter()
            .map(|binding| columns(batch, &binding.field))
            .collect::<Result<_>>()?;
        let mut first_error = None;
        for row in 0..batch.num_rows() {
            taken.records += 1;
            let mut values = serde_json::Map::new();
            let mut missing = None;
            for (binding, columns) in self.parent.bindings.iter().zip(&columns) {
                let value = match columns.split_last() {
                    Some((leaf, above)) if above.iter().all(|column| column.is_valid(row)) => {
                        cell::to_json(leaf.as_ref(), row, false)?
                    }
                    _ => Json::Null,
                };
                if value.is_null() {
                    missing = missing.or(Some(binding));
                }
                values.insert(binding.name.clone(), value);
            }
            if let Some(binding) = missing {
                taken.skipped += 1;
                if first_error.is_none() && taken.error.is_none() {
                    first_error = Some(self.missing(&binding.field, batch, row, taken.records)?);
                }
                if self.child.relations.skip_failures {
                    continue;
                }
                break;
            }
            let values = Json::Object(values);
            let hash = hash_of(&values);
            if !taken.seen.insert(hash) {
                continue;
            }
            let (mut included, mut members) = (Vec::new(), serde_json::Map::new());
            for include in &self.parent.include {
                let column = batch
                    .column_by_name(&include.field)
                    .ok_or_else(|| no_column(&include.field))?;
                if self.child.inferred {
                    let value = cell::to_json(column, row, self.is_json(&include.field))?;
                    members.insert(include.column.clone(), value);
                    continue;
                }
                let row = u32::try_from(row).map_err(internal)?;
                // A copy of the one value: a slice would keep the whole batch.
                let value = take(column, &UInt32Array::from_value(row, 1), None);
                included.push((include.column.clone(), value.map_err(internal)?));
            }
            taken.partitions.push(Partition {
                values,
                included,
                members,
            });
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Whether a field of the parent is JSON text.
    fn is_json(&self, name: &str) -> bool {
        let mut fields = self.resource.fields.iter();
        fields.any(|field| field.name == name && field.field_type == FieldType::Json)
    }

    /// The error of a record without a value that requests need.
    fn missing(&self, field: &Path, batch: &RecordBatch, row: usize, number: u64) -> Result<Error> {
        let mut record = Vec::new();
        for key in &self.resource.primary_key {
            if let Some(column) = batch.column_by_name(key) {
                let value = cell::to_json(column.as_ref(), row, false)?;
                record.push(format!("{key}={}", cell::to_text(&value)));
            }
        }
        record.push(format!("number {number}"));
        let field = crate::paging::show(field);
        Ok(Error::new(
            ErrorKind::Source,
            format!(
                "a record of the parent `{}` has no `{}`, which the requests of `{}` need",
                self.parent.resource,
                field.trim_start_matches("$."),
                self.child.name
            ),
        )
        .with("record", record.join(", "))
        .hint("`on_parent_error: skip` in the spec passes over such records and counts them"))
    }
}

/// The columns along a path: that of each object on the way, then the value's own.
pub(crate) fn columns<'b>(batch: &'b RecordBatch, path: &Path) -> Result<Vec<&'b ArrayRef>> {
    let mut columns: Vec<&ArrayRef> = Vec::new();
    for step in path {
        let Step::Key(key) = step else {
            return Err(no_column(&crate::paging::show(path)));
        };
        let next = match columns.last() {
            None => batch.column_by_name(key),
            Some(column) => column
                .as_struct_opt()
                .and_then(|object| object.column_by_name(key)),
        };
        columns.push(next.ok_or_else(|| no_column(key))?);
    }
    Ok(columns)
}

fn hash_of(values: &Json) -> u128 {
    twox_hash::XxHash3_128::oneshot(values.to_string().as_bytes())
}

fn no_column(name: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("the records have no column `{name}`"),
    )
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        ErrorKind::Internal,
        "the values of a parent cannot be taken",
    )
    .caused_by(error)
}
