//! Children: which of a table's records belong to which values of its parents.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use connector_plan::{
    Body, Endpoint, Expression, Paginator, Part, Plan, Resource, Root, Step, Target, Template,
    follow,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    random::{combine, hash_text, mix},
    received::{Received, values_of},
    settings::{Samples, text_of},
};

/// The values of one partition by the names of their bindings.
type Values = Map<String, Value>;

/// The records of children, for each resource of the plan.
pub(crate) struct Related {
    children: Vec<Option<Child>>,
    seed: u64,
}

struct Child {
    samples: Samples,
    endpoint: Endpoint,
    slots: Mutex<Arc<Slots>>,
}

/// What one resource is read for.
#[derive(Default)]
pub(crate) struct Slots {
    partitions: Vec<Values>,
    /// The partitions by what their requests say.
    by_request: HashMap<Vec<String>, usize>,
    /// Where the records of each partition begin, and where the last ones end.
    starts: Vec<usize>,
}

impl Slots {
    /// The records of a partition; an unknown one has none.
    pub(crate) fn window(&self, slot: usize) -> Range<usize> {
        match self.starts.get(slot..slot + 2) {
            Some([start, end]) => *start..*end,
            _ => 0..0,
        }
    }

    /// The records of every partition, in the order in which they are read.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.partitions.len()).map(|slot| self.window(slot))
    }

    fn total(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }
}

impl Related {
    pub(crate) fn new(plan: &Plan, samples: &Samples, seed: u64) -> Self {
        let children = plan.resources.iter().map(|resource| {
            (!resource.relations.is_empty()).then(|| Child {
                samples: samples.clone(),
                endpoint: resource.endpoint.clone(),
                slots: Mutex::default(),
            })
        });
        Self {
            children: children.collect(),
            seed,
        }
    }

    /// The partitions of a resource, when it has any.
    pub(crate) fn slots(&self, resource: usize) -> Option<Arc<Slots>> {
        let child = self.children.get(resource)?.as_ref()?;
        Some(Arc::clone(&lock(&child.slots)))
    }

    /// The partition that a request is for.
    pub(crate) fn slot(&self, resource: usize, received: &Received<'_>) -> Option<usize> {
        let child = self.children.get(resource)?.as_ref()?;
        let key = asked(&child.endpoint, received);
        lock(&child.slots).by_request.get(&key).copied()
    }

    /// Works out the partitions again: `truth` gives the records of a resource, and `resize` makes
    /// the table of one as long as it has to be.
    pub(crate) fn update(
        &self,
        plan: &Plan,
        truth: &dyn Fn(&str) -> Vec<Value>,
        resize: &dyn Fn(usize, u64),
    ) -> Result<(), String> {
        let mut done = vec![false; plan.resources.len()];
        for number in 0..plan.resources.len() {
            self.update_one(plan, number, &mut done, truth, resize)?;
        }
        Ok(())
    }

    fn update_one(
        &self,
        plan: &Plan,
        number: usize,
        done: &mut [bool],
        truth: &dyn Fn(&str) -> Vec<Value>,
        resize: &dyn Fn(usize, u64),
    ) -> Result<(), String> {
        if std::mem::replace(&mut done[number], true) {
            return Ok(());
        }
        let resource = &plan.resources[number];
        for parent in &resource.relations.parents {
            let above = plan
                .resources
                .iter()
                .position(|other| other.name == parent.resource);
            if let Some(above) = above {
                self.update_one(plan, above, done, truth, resize)?;
            }
        }
        let Some(child) = &self.children[number] else {
            return Ok(());
        };
        let partitions = partitions(resource, truth);
        let mut by_request = HashMap::new();
        let mut starts = vec![0];
        for (slot, values) in partitions.iter().enumerate() {
            let key = said(&child.endpoint, &child.samples, values)?;
            by_request.entry(key).or_insert(slot);
            let random = combine(
                combine(self.seed, hash_text(&resource.name)),
                hash_text(&Value::Object(values.clone()).to_string()),
            );
            starts.push(starts[slot] + count(slot, mix(random), &resource.endpoint.paginator));
        }
        let slots = Arc::new(Slots {
            partitions,
            by_request,
            starts,
        });
        let changed = {
            let mut known = lock(&child.slots);
            let changed = known.partitions != slots.partitions;
            *known = Arc::clone(&slots);
            changed
        };
        if changed {
            resize(number, slots.total() as u64);
        }
        Ok(())
    }
}

/// How many records a partition has: mostly a few, often none, sometimes whole pages.
fn count(slot: usize, random: u64, paginator: &Paginator) -> usize {
    let limit = match paginator {
        Paginator::Offset(paginator) => paginator.limit,
        Paginator::PageNumber(paginator) => paginator.limit,
        Paginator::Cursor(paginator) => paginator.limit,
        _ => None,
    };
    let page = usize::try_from(limit.unwrap_or(100))
        .unwrap_or(100)
        .min(100);
    match (slot, random % 8) {
        (1, _) => 2 * page + page / 2,
        (50 | 100, _) => page,
        (_, 0 | 1) => 0,
        _ => 1 + (random >> 8) as usize % 3,
    }
}

/// The distinct combinations of values that a resource is read for.
fn partitions(resource: &Resource, truth: &dyn Fn(&str) -> Vec<Value>) -> Vec<Values> {
    let mut all = vec![Values::new()];
    for parent in &resource.relations.parents {
        let mut own: Vec<Values> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for record in truth(&parent.resource) {
            let values: Option<Values> = parent
                .bindings
                .iter()
                .map(|binding| {
                    let value = follow(&record, &binding.field).filter(|value| !value.is_null())?;
                    Some((binding.name.clone(), value.clone()))
                })
                .collect();
            if let Some(values) = values
                && seen.insert(Value::Object(values.clone()).to_string())
            {
                own.push(values);
            }
        }
        all = product(&all, &own);
    }
    if resource.relations.partitions.is_empty() {
        all
    } else {
        product(&all, &resource.relations.partitions)
    }
}

fn product(left: &[Values], right: &[Values]) -> Vec<Values> {
    left.iter()
        .flat_map(|first| {
            right.iter().map(|second| {
                let mut both = first.clone();
                both.extend(second.clone());
                both
            })
        })
        .collect()
}

/// Whether a template depends on the partition.
fn depends(template: &Template) -> bool {
    template.expressions().any(|expression| match expression {
        Expression::Lookup(lookup) => lookup.root == Root::Partition,
        Expression::Jinja(jinja) => jinja.paths(Root::Partition).next().is_some(),
        _ => false,
    })
}

/// What a request for these values says, wherever a value goes.
fn said(endpoint: &Endpoint, samples: &Samples, values: &Values) -> Result<Vec<String>, String> {
    let mut said = Vec::new();
    let text = |template: &Template, what: &str| -> Result<String, String> {
        Ok(text_of(&samples.value_for(template, what, values)?))
    };
    if pages_path(endpoint) {
        // The paginator has its values there, too: each is looked at by itself.
        for expression in own_expressions(endpoint) {
            said.push(text(&Template::Expression(expression.clone()), "the path")?);
        }
    } else if depends(&endpoint.path) {
        let parts = match &endpoint.path {
            Template::Parts(parts) => parts.clone(),
            Template::Expression(expression) => vec![Part::Expression(expression.clone())],
            Template::Literal(_) | Template::Object(_) | Template::List(_) => Vec::new(),
        };
        let mut path = String::new();
        for part in parts {
            match part {
                Part::Text(text) => path.push_str(&text),
                Part::Expression(expression) => {
                    let text = text(&Template::Expression(expression), "the path")?;
                    path.extend(utf8_percent_encode(&text, NON_ALPHANUMERIC));
                }
            }
        }
        let path = samples.path_of(&path).unwrap_or(path);
        said.push(decoded(&path));
    }
    for param in &endpoint.params {
        for value in param.values.iter().filter(|value| depends(value)) {
            said.push(text(value, &param.name)?);
        }
    }
    for header in endpoint
        .headers
        .iter()
        .filter(|header| depends(&header.value))
    {
        said.push(text(&header.value, &header.name)?);
    }
    if let Some(Body::Json(members) | Body::Form(members)) = &endpoint.body {
        for member in members.iter().filter(|member| depends(&member.value)) {
            said.push(text(&member.value, &member.name)?);
        }
    }
    Ok(said)
}

/// What a request says in the same places.
fn asked(endpoint: &Endpoint, received: &Received<'_>) -> Vec<String> {
    let mut asked = Vec::new();
    if pages_path(endpoint) {
        let values = received.path.iter().map(|(name, value)| (name, value));
        let paged = |name: &String| {
            endpoint
                .paginator
                .targets()
                .any(|target| matches!(target, Target::Path(own) if own == name))
        };
        asked.extend(
            values
                .filter(|(name, _)| !name.is_empty() && !paged(name))
                .map(|(_, value)| value.clone()),
        );
    } else if depends(&endpoint.path) {
        asked.push(decoded(&received.request.path));
    }
    for param in &endpoint.params {
        let values = values_of(&received.request.query, &param.name);
        for (position, value) in param.values.iter().enumerate() {
            if depends(value) {
                asked.push(values.get(position).copied().unwrap_or_default().to_owned());
            }
        }
    }
    for header in endpoint
        .headers
        .iter()
        .filter(|header| depends(&header.value))
    {
        asked.push(
            received
                .request
                .header(&header.name)
                .unwrap_or_default()
                .to_owned(),
        );
    }
    match &endpoint.body {
        Some(Body::Json(members)) => {
            for member in members.iter().filter(|member| depends(&member.value)) {
                let value = received
                    .json
                    .as_ref()
                    .and_then(|json| json.get(&member.name));
                asked.push(value.map(text_of).unwrap_or_default());
            }
        }
        Some(Body::Form(members)) => {
            for member in members.iter().filter(|member| depends(&member.value)) {
                let values = values_of(&received.form, &member.name);
                asked.push(values.first().copied().unwrap_or_default().to_owned());
            }
        }
        None => {}
    }
    asked
}

/// Whether the paginator has values in the path.
fn pages_path(endpoint: &Endpoint) -> bool {
    let mut targets = endpoint.paginator.targets();
    targets.any(|target| matches!(target, Target::Path(_)))
}

/// The expressions of the path that parents give values to.
fn own_expressions(endpoint: &Endpoint) -> impl Iterator<Item = &Expression> {
    endpoint.path.expressions().filter(|expression| {
        let Expression::Lookup(lookup) = expression else {
            return false;
        };
        lookup.root == Root::Partition
            && !endpoint.paginator.targets().any(|target| {
                matches!((target, lookup.path.as_slice()), (Target::Path(own), [Step::Key(name)]) if own == name)
            })
    })
}

fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
