//! Incremental cursors: which records a request asks for by a start and an end.
//!
//! Both ends belong to what is served, at the precision of the format in which requests write
//! them: a client that trusts the ends gets records of a boundary twice.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use connector_plan::{
    Body, CursorKind, Endpoint, Expression, Field, FieldType, Incremental, Resource, Root,
    RowOrder, Step, Target, Template, follow,
};
use hyper::StatusCode;
use serde_json::Value;

use crate::{
    received::Received,
    refusal::Refusal,
    settings::{Samples, text_of},
};

/// The cursor of a resource, as its API sees it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    plan: Incremental,
    /// How records write an instant.
    record_formats: Vec<String>,
    start: Vec<Target>,
    end: Vec<Target>,
    /// The range of a client's first run.
    first: (Option<Key>, Option<Key>),
}

/// A cursor's value, to be compared with others of the same cursor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// Microseconds, an integer, or a decimal number of 38 digits behind the point at most.
    Number(i128),
    Text(String),
}

/// What one request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    from: Option<Key>,
    to: Option<Key>,
}

impl Cursor {
    /// The cursor of a resource, when it has one.
    pub(crate) fn new(resource: &Resource, samples: &Samples) -> Option<Self> {
        let plan = resource.incremental.clone()?;
        let mut record_formats = plan.record_formats.clone();
        if record_formats.is_empty()
            && let Some(field) = Field::at(&resource.fields, &plan.cursor)
            && let FieldType::Timestamp { formats } = &field.field_type
        {
            record_formats.clone_from(formats);
        }
        let [mut start, mut end] =
            ["start_value", "end_value"].map(|name| named(&resource.endpoint, &plan, name));
        start.extend(plan.start_target.clone());
        end.extend(plan.end_target.clone());
        let mut cursor = Self {
            plan,
            record_formats,
            start,
            end,
            first: (None, None),
        };
        // An expression is computed by the client alone: the sandbox cannot know its range.
        let value = |template: &Option<Template>| {
            let value = samples
                .value(template.as_ref()?, "an end of the range")
                .ok()?;
            cursor.parse(&value)
        };
        cursor.first = (value(&cursor.plan.initial), value(&cursor.plan.end));
        Some(cursor)
    }

    /// The places of a request in which a start or an end may stand, whatever the endpoint says.
    pub(crate) fn targets(plan: Option<&Incremental>) -> impl Iterator<Item = &Target> {
        plan.into_iter()
            .flat_map(|plan| plan.start_target.iter().chain(&plan.end_target))
    }

    /// What a request asks for.
    pub(crate) fn range(&self, received: &Received<'_>) -> Result<Range, Refusal> {
        let value = |targets: &[Target]| -> Result<Option<Key>, Refusal> {
            for target in targets {
                let Some(value) = received.value(target)? else {
                    continue;
                };
                return match self.parse(&value) {
                    Some(key) => Ok(Some(key)),
                    None => Err(Refusal::new(
                        StatusCode::BAD_REQUEST,
                        "invalid_range",
                        format!("`{}` is no value of the cursor", text_of(&value)),
                    )),
                };
            }
            Ok(None)
        };
        Ok(Range {
            from: value(&self.start)?,
            to: value(&self.end)?,
        })
    }

    /// The records of a range by their positions, in the order that the API has.
    pub(crate) fn select(&self, records: &[bytes::Bytes], range: &Range) -> Vec<usize> {
        let mut found: Vec<(Option<Key>, usize)> = Vec::new();
        for (position, record) in records.iter().enumerate() {
            let key = self.key(record);
            let inside = key.as_ref().is_none_or(|key| {
                let key = self.floor(key);
                range.from.as_ref().is_none_or(|from| key >= *from)
                    && range.to.as_ref().is_none_or(|to| key <= *to)
            });
            if inside {
                found.push((key, position));
            }
        }
        match self.plan.row_order {
            Some(RowOrder::Ascending) => found.sort_by(|a, b| a.0.cmp(&b.0)),
            Some(RowOrder::Descending) => found.sort_by(|a, b| b.0.cmp(&a.0)),
            None => {}
        }
        found.into_iter().map(|(_, position)| position).collect()
    }

    /// Whether a client's first run keeps a record.
    pub(crate) fn keeps(&self, record: &[u8]) -> bool {
        let Some(key) = self.key(record) else {
            return true;
        };
        let (from, to) = &self.first;
        if !self.plan.client_side {
            let key = self.floor(&key);
            return (self.start.is_empty() || from.as_ref().is_none_or(|from| key >= *from))
                && (self.end.is_empty() || to.as_ref().is_none_or(|to| key <= *to));
        }
        from.as_ref().is_none_or(|from| key >= *from)
            && to.as_ref().is_none_or(|to| {
                if self.plan.end_closed {
                    self.floor(&key) <= self.floor(to)
                } else {
                    key < *to
                }
            })
    }

    fn key(&self, record: &[u8]) -> Option<Key> {
        let record: Value = serde_json::from_slice(record).ok()?;
        let value = follow(&record, &self.plan.cursor)?;
        if self.plan.kind == CursorKind::Timestamp {
            let text = text_of(value);
            let mut formats = self.record_formats.iter();
            return formats
                .find_map(|format| instant(&text, format))
                .map(Key::Number);
        }
        self.parse(value)
    }

    /// A value as requests and specs write it.
    fn parse(&self, value: &Value) -> Option<Key> {
        let text = text_of(value);
        match self.plan.kind {
            CursorKind::String => Some(Key::Text(text)),
            CursorKind::Integer => text.parse().ok().map(Key::Number),
            CursorKind::Decimal(scale) => decimal(&text, scale).map(Key::Number),
            CursorKind::Timestamp | CursorKind::Date => {
                let own = [&self.plan.format]
                    .into_iter()
                    .chain(&self.record_formats)
                    .chain(&self.plan.value_formats);
                own.map(String::as_str)
                    .chain(["rfc3339", "%Y-%m-%d"])
                    .find_map(|format| instant(&text, format))
                    .map(Key::Number)
            }
        }
    }

    /// A value as precise as requests can write it.
    fn floor(&self, key: &Key) -> Key {
        let Key::Number(micros) = key else {
            return key.clone();
        };
        if !matches!(self.plan.kind, CursorKind::Timestamp | CursorKind::Date) {
            return key.clone();
        }
        let written = i64::try_from(*micros)
            .ok()
            .and_then(DateTime::from_timestamp_micros)
            .and_then(|at| write(at, &self.plan.format));
        written
            .and_then(|text| instant(&text, &self.plan.format))
            .map_or_else(|| key.clone(), Key::Number)
    }
}

/// The places of an endpoint whose whole value is the start, or the end.
fn named(endpoint: &Endpoint, plan: &Incremental, name: &str) -> Vec<Target> {
    let own = &plan.names[usize::from(name == "end_value")];
    let is_it = |template: &Template| match template {
        Template::Expression(Expression::Lookup(lookup)) => match lookup.path.as_slice() {
            [Step::Key(key)] => {
                (lookup.root == Root::Interval && key == name)
                    || (lookup.root == Root::Partition && key == own)
            }
            _ => false,
        },
        _ => false,
    };
    let mut targets = Vec::new();
    for param in &endpoint.params {
        if matches!(param.values.as_slice(), [value] if is_it(value)) {
            targets.push(Target::Query(param.name.clone()));
        }
    }
    for header in endpoint
        .headers
        .iter()
        .filter(|header| is_it(&header.value))
    {
        targets.push(Target::Header(header.name.clone()));
    }
    match &endpoint.body {
        Some(Body::Json(members)) => {
            for member in members.iter().filter(|member| is_it(&member.value)) {
                targets.push(Target::Json(vec![member.name.clone()]));
            }
        }
        Some(Body::Form(fields)) => {
            for field in fields.iter().filter(|field| is_it(&field.value)) {
                targets.push(Target::Form(field.name.clone()));
            }
        }
        None => {}
    }
    targets
}

/// The microseconds of an instant in a format.
fn instant(text: &str, format: &str) -> Option<i128> {
    let number = |unit: i128| decimal(text, 6).map(|micros| micros / unit);
    match format {
        "rfc3339" => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| at.timestamp_micros().into()),
        "epoch_seconds" => number(1),
        "epoch_milliseconds" => number(1_000),
        pattern => {
            let pattern = pattern
                .replace(".%f", "%.f")
                .replace("%f", "%6f")
                .replace("%z", "%#z");
            let zoned = DateTime::parse_from_str(text, &pattern)
                .ok()
                .map(|at| at.timestamp_micros());
            let local = || {
                NaiveDateTime::parse_from_str(text, &pattern)
                    .ok()
                    .map(|at| at.and_utc().timestamp_micros())
            };
            let date = || {
                let date = NaiveDate::parse_from_str(text, &pattern).ok()?;
                Some(
                    date.and_time(chrono::NaiveTime::MIN)
                        .and_utc()
                        .timestamp_micros(),
                )
            };
            zoned.or_else(local).or_else(date).map(i128::from)
        }
    }
}

fn write(at: DateTime<Utc>, format: &str) -> Option<String> {
    use std::fmt::Write as _;
    let micros = at.timestamp_micros();
    Some(match format {
        "rfc3339" => at.to_rfc3339(),
        "epoch_seconds" => micros.div_euclid(1_000_000).to_string(),
        "epoch_milliseconds" => micros.div_euclid(1_000).to_string(),
        pattern => {
            let mut text = String::new();
            write!(text, "{}", at.format(&pattern.replace("%f", "%6f"))).ok()?;
            text
        }
    })
}

/// A decimal number times ten to this.
fn decimal(text: &str, digits: u8) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let width = usize::from(digits);
    format!("{whole}{fraction:0<width$.width$}").parse().ok()
}

/// Makes the fields along a path ones that are never null.
pub(crate) fn require(fields: &mut [Field], path: &[Step]) {
    let Some((Step::Key(key), rest)) = path.split_first() else {
        return;
    };
    if let Some(field) = fields.iter_mut().find(|field| field.name == *key) {
        field.nullable = false;
        if let FieldType::Object(inner) = &mut field.field_type {
            require(inner, rest);
        }
    }
}
