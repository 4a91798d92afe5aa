//! Sample data: the same for the same seed, of the declared types, with unique keys.

use std::collections::HashSet;

use chrono::DateTime;
use connector_plan::{Field, FieldType, Paginator, Resource};
use serde_json::Value;

use super::{
    client::Request,
    plans::{field, plan, resource, timestamp},
};
use crate::{Options, Sandbox};

fn wide() -> Resource {
    let mut wide = resource(
        "order_entries",
        "/v1/orders",
        "orders",
        Paginator::SinglePage,
    );
    let decimal = FieldType::Decimal {
        precision: 38,
        scale: 9,
    };
    let formats = |list: &[&str]| FieldType::Timestamp {
        formats: list.iter().map(|&format| format.to_owned()).collect(),
    };
    wide.fields = vec![
        field("id", FieldType::Integer, false),
        field("active", FieldType::Boolean, true),
        field("size", FieldType::Integer, false),
        field("price", FieldType::Number, true),
        field("latitude", FieldType::Number, true),
        field("total", decimal, true),
        field("created_at", timestamp(), false),
        field("updated_at", timestamp(), false),
        field("seen", formats(&["%Y-%m-%d %H:%M:%S.%f"]), true),
        field("epoch", formats(&["epoch_milliseconds"]), false),
        field("due", FieldType::Date, true),
        field("extra", FieldType::Json, true),
        field("email", FieldType::String, true),
        field("website_url", FieldType::String, true),
        field("status", FieldType::String, false),
        field("comment", FieldType::String, false),
        field("tags", FieldType::List(Box::new(FieldType::String)), true),
        field(
            "customer",
            FieldType::Object(vec![
                field("id", FieldType::String, false),
                field("name", FieldType::String, true),
                field(
                    "addresses",
                    FieldType::List(Box::new(FieldType::Object(vec![field(
                        "country",
                        FieldType::String,
                        false,
                    )]))),
                    false,
                ),
            ]),
            true,
        ),
    ];
    wide.primary_key = vec!["id".to_owned()];
    wide
}

fn serve(resource: Resource, change: impl FnOnce(&mut Options)) -> Sandbox {
    let mut options = Options::default();
    change(&mut options);
    Sandbox::start(&plan(vec![resource]), options).unwrap()
}

fn bytes(sandbox: &Sandbox) -> Vec<u8> {
    Request::get("/base/v1/orders").send(sandbox).body
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let of = |seed, prerender| {
        bytes(&serve(wide(), |options| {
            options.seed = seed;
            options.prerender = prerender;
        }))
    };
    assert_eq!(of(1, false), of(1, true));
    assert_ne!(of(1, false), of(2, false));
}

#[track_caller]
fn check_field(value: &Value, field: &Field) {
    let fits = match (&field.field_type, value) {
        (_, Value::Null) => field.nullable,
        (FieldType::Boolean, Value::Bool(_)) | (FieldType::Json, _) => true,
        (FieldType::Integer, Value::Number(number)) => number.is_i64(),
        (FieldType::Number, Value::Number(_)) => true,
        (FieldType::String, Value::String(_)) => true,
        (FieldType::Date, Value::String(text)) => text.parse::<chrono::NaiveDate>().is_ok(),
        (FieldType::Timestamp { formats }, value) => match (formats[0].as_str(), value) {
            ("rfc3339", Value::String(text)) => DateTime::parse_from_rfc3339(text).is_ok(),
            ("epoch_milliseconds", Value::Number(number)) => number.is_i64(),
            (format, Value::String(text)) => {
                let (seconds, micros) = text.split_once('.').unwrap();
                micros.len() == 6
                    && chrono::NaiveDateTime::parse_from_str(
                        seconds,
                        format.strip_suffix(".%f").unwrap(),
                    )
                    .is_ok()
            }
            _ => false,
        },
        (FieldType::Decimal { precision, scale }, Value::String(text)) => {
            let digits = text.trim_start_matches('-').replace('.', "");
            let fraction = text
                .split_once('.')
                .map_or(0, |(_, fraction)| fraction.len());
            digits.len() <= usize::from(*precision)
                && fraction == usize::from(*scale)
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        (FieldType::List(item), Value::Array(items)) => {
            for value in items {
                check_field(
                    value,
                    &Field {
                        field_type: (**item).clone(),
                        nullable: false,
                        ..field.clone()
                    },
                );
            }
            items.len() <= 4
        }
        (FieldType::Object(fields), Value::Object(_)) => {
            check_fields(value, fields);
            true
        }
        _ => false,
    };
    assert!(fits, "{value} is not a value of {field:?}");
}

#[track_caller]
fn check_fields(record: &Value, fields: &[Field]) {
    let members = record.as_object().unwrap();
    for field in fields {
        match members.get(&field.name) {
            Some(value) => check_field(value, field),
            None => assert!(field.nullable, "{} is missing", field.name),
        }
    }
    for name in members.keys() {
        assert!(fields.iter().any(|field| field.name == *name), "{name}");
    }
}

#[test]
fn values_have_the_declared_types_and_nulls_are_as_rare_as_told() {
    let sandbox = serve(wide(), |options| options.records = 10_000);
    let truth = sandbox.truth("order_entries");
    assert_eq!(truth.len(), 10_000);
    for record in &truth {
        check_fields(record, &wide().fields);
    }
    for name in ["active", "price", "due", "email", "customer"] {
        let nulls = truth
            .iter()
            .filter(|record| record.get(name) == Some(&Value::Null));
        let missing = truth.iter().filter(|record| record.get(name).is_none());
        assert!((400..600).contains(&nulls.count()), "{name}");
        assert!((180..320).contains(&missing.count()), "{name}");
    }
    let sizes: HashSet<u32> = truth
        .iter()
        .map(|record| record["size"].as_i64().unwrap().ilog2_or_zero())
        .collect();
    assert!(sizes.len() > 40, "sizes of every order of magnitude");
    assert!(sizes.contains(&53), "sizes beyond what a double holds");
    let comments = truth.iter().filter_map(|record| record["comment"].as_str());
    assert!(comments.clone().any(|text| !text.is_ascii()));
    assert!(comments.clone().any(|text| text.contains('"')));
    let calm = serve(wide(), |options| options.nulls = false);
    for record in calm.truth("order_entries") {
        assert_eq!(record.as_object().unwrap().len(), wide().fields.len());
        assert!(!record.as_object().unwrap().values().any(Value::is_null));
    }
}

trait Logarithm {
    fn ilog2_or_zero(self) -> u32;
}

impl Logarithm for i64 {
    fn ilog2_or_zero(self) -> u32 {
        self.checked_ilog2().unwrap_or_default()
    }
}

#[test]
fn times_increase_and_a_creation_is_not_behind_a_change() {
    let sandbox = serve(wide(), |_| {});
    let times = |name: &str| -> Vec<_> {
        sandbox
            .truth("order_entries")
            .iter()
            .map(|record| DateTime::parse_from_rfc3339(record[name].as_str().unwrap()).unwrap())
            .collect()
    };
    let before = times("updated_at");
    assert!(before.is_sorted());
    assert!(
        before
            .iter()
            .any(|time| time.timestamp_subsec_micros() % 1_000 > 0)
    );
    assert!(
        before
            .iter()
            .any(|time| time.offset().local_minus_utc() != 0)
    );
    let created = times("created_at");
    assert!(created.is_sorted());

    assert_eq!(
        sandbox.update_records("order_entries", |position| position % 10 == 3),
        125
    );
    assert_eq!(times("created_at"), created);
    let after = times("updated_at");
    let newest = before.iter().max().unwrap();
    for (position, time) in after.iter().enumerate() {
        if position % 10 == 3 {
            assert!(time > newest, "{position}");
        } else {
            assert_eq!(*time, before[position]);
        }
    }
}

/// The values of the key fields of every record.
fn keys(sandbox: &Sandbox, resource: &Resource) -> Vec<String> {
    let of = |record: &Value| {
        let parts = resource
            .primary_key
            .iter()
            .map(|key| record[key].to_string());
        parts.collect::<Vec<_>>().join("|")
    };
    sandbox.truth(&resource.name).iter().map(of).collect()
}

#[test]
fn records_change_come_and_go_and_keys_stay() {
    let sandbox = serve(wide(), |options| options.records = 1_000);
    let truth = || sandbox.truth("order_entries");
    let (before, old_keys) = (truth(), keys(&sandbox, &wide()));
    assert_eq!(
        sandbox.update_records("order_entries", |position| position < 10),
        10
    );
    let after = truth();
    assert_eq!(keys(&sandbox, &wide()), old_keys);
    assert!((0..10).all(|i| before[i] != after[i]));
    assert_eq!(before[10..], after[10..]);

    assert_eq!(sandbox.add_records("order_entries", 600), 600);
    assert_eq!(
        sandbox.delete_records("order_entries", |position| (10..20).contains(&position)),
        10
    );
    let now = keys(&sandbox, &wide());
    assert_eq!(now.len(), 1_590);
    assert_eq!(now.iter().collect::<HashSet<_>>().len(), 1_590);
    assert_eq!(now[10], old_keys[20]);
    let page: Value = serde_json::from_slice(&bytes(&sandbox)).unwrap();
    assert_eq!(page["orders"].as_array().unwrap(), &truth());

    let raw = vec!["{\"id\": 1,\n \"id\": 2}".to_owned(), "[]".to_owned()];
    assert!(sandbox.set_raw_records("order_entries", raw));
    assert!(
        String::from_utf8(bytes(&sandbox))
            .unwrap()
            .contains("[{\"id\": 1,\n \"id\": 2},[]]")
    );
    assert!(sandbox.set_records("order_entries", 1_000));
    assert_eq!(truth(), before);
    assert!(!sandbox.set_records("nobody", 1));
}

#[track_caller]
fn check_keys(types: &[(&str, FieldType)], expect: usize, first: &[&str]) {
    let mut resource = resource(
        "cloud_storage_files",
        "/v1/files",
        "files",
        Paginator::SinglePage,
    );
    resource.fields = types
        .iter()
        .map(|(name, field_type)| field(name, field_type.clone(), false))
        .collect();
    resource.primary_key = types.iter().map(|(name, _)| (*name).to_owned()).collect();
    let sandbox = serve(resource.clone(), |options| options.records = 3_000);
    let keys = keys(&sandbox, &resource);
    assert_eq!(keys.len(), expect);
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), expect);
    assert_eq!(keys[..first.len()], *first);
}

#[test]
fn keys_are_unique() {
    let decimal = |precision, scale| FieldType::Decimal { precision, scale };
    check_keys(
        &[("file_id", FieldType::String)],
        3_000,
        &["\"file_000001\""],
    );
    check_keys(&[("id", FieldType::String)], 3_000, &["\"file_000001\""]);
    check_keys(&[("uuid", FieldType::String)], 3_000, &[]);
    check_keys(
        &[("email", FieldType::String)],
        3_000,
        &["\"user000001@example.org\""],
    );
    check_keys(&[("name", FieldType::String)], 3_000, &[]);
    check_keys(&[("id", FieldType::Integer)], 3_000, &["1", "2"]);
    check_keys(&[("id", FieldType::Number)], 3_000, &["1"]);
    check_keys(
        &[("day", FieldType::Date)],
        3_000,
        &["\"2000-01-01\"", "\"2000-01-02\""],
    );
    check_keys(&[("at", timestamp())], 3_000, &[]);
    check_keys(&[("n", decimal(10, 2))], 3_000, &[]);
    // There are not more of them.
    check_keys(&[("n", decimal(4, 2))], 100, &[]);
    check_keys(&[("flag", FieldType::Boolean)], 2, &["false", "true"]);
    check_keys(
        &[
            ("region", FieldType::String),
            ("flag", FieldType::Boolean),
            ("id", FieldType::Integer),
        ],
        3_000,
        &[],
    );
    let mut nested = wide();
    nested.primary_key = vec!["customer".to_owned()];
    let problem = Sandbox::start(&plan(vec![nested]), Options::default()).unwrap_err();
    assert!(problem.contains("`customer`"), "{problem}");
}

#[test]
fn a_resource_without_fields_has_some_all_the_same() {
    let mut bare = resource("things", "/v1/orders", "orders", Paginator::SinglePage);
    bare.fields = Vec::new();
    bare.primary_key = vec!["code".to_owned()];
    let sandbox = serve(bare.clone(), |_| {});
    assert_eq!(
        keys(&sandbox, &bare).iter().collect::<HashSet<_>>().len(),
        1_250
    );
    assert!(sandbox.truth("things")[0]["id"].is_string());
}

#[test]
fn undeclared_fields_come_when_asked_for() {
    let sandbox = serve(wide(), |options| options.undeclared_every = 50);
    let truth = sandbox.truth("order_entries");
    let with = truth
        .iter()
        .filter(|record| record.get("undeclared_by_the_plan").is_some());
    assert_eq!(with.count(), 25);
}
