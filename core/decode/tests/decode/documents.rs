//! Random schemas, and random documents that more or less fit them.

use connector_plan::{Field, FieldType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::cells::{field, key};
use crate::input::NAMES;

/// A document, down to how it is spelled.
#[derive(Clone, Debug)]
pub enum Document {
    Scalar(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Document {
    /// Its text; `spaces` says, by turns, what stands between the tokens.
    pub fn render(&self, spaces: &[&str]) -> String {
        let mut text = String::new();
        self.write(&mut text, &mut spaces.iter().cycle().copied());
        text
    }

    fn write<'a>(&self, text: &mut String, spaces: &mut impl Iterator<Item = &'a str>) {
        let mut space = |text: &mut String| text.push_str(spaces.next().unwrap_or_default());
        space(text);
        match self {
            Self::Scalar(raw) => text.push_str(raw),
            Self::Array(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    element.write(text, spaces);
                }
                spaces
                    .next()
                    .into_iter()
                    .for_each(|space| text.push_str(space));
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    spaces
                        .next()
                        .into_iter()
                        .for_each(|space| text.push_str(space));
                    text.push_str(key);
                    spaces
                        .next()
                        .into_iter()
                        .for_each(|space| text.push_str(space));
                    text.push(':');
                    value.write(text, spaces);
                }
                spaces
                    .next()
                    .into_iter()
                    .for_each(|space| text.push_str(space));
                text.push('}');
            }
        }
        spaces
            .next()
            .into_iter()
            .for_each(|space| text.push_str(space));
    }
}

/// What stands between tokens.
pub fn spaces() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        Just(vec![""]),
        Just(vec!["", "", " "]),
        vec(
            select(&["", " ", "\n", "\t\r\n", "             "][..]),
            1..6
        ),
    ]
}

/// The fields of a record; only those at the top may be required.
pub fn fields() -> impl Strategy<Value = Vec<Field>> {
    fields_of(field_type().boxed()).prop_flat_map(|fields| {
        vec(prop::bool::weighted(0.05), fields.len()).prop_map(move |required| {
            let fields = fields.iter().zip(required);
            fields
                .map(|(field, required)| match required {
                    true => key(&field.name, field.field_type.clone()),
                    false => field.clone(),
                })
                .collect()
        })
    })
}

fn fields_of(field_type: BoxedStrategy<FieldType>) -> impl Strategy<Value = Vec<Field>> {
    prop::sample::subsequence(NAMES, 0..=NAMES.len())
        .prop_shuffle()
        .prop_flat_map(move |names| {
            vec(field_type.clone(), names.len()).prop_map(move |types| {
                let fields = names.iter().zip(types);
                fields
                    .map(|(name, field_type)| field(name, field_type))
                    .collect()
            })
        })
}

fn field_type() -> impl Strategy<Value = FieldType> {
    let scalar = prop_oneof![
        Just(FieldType::Boolean),
        Just(FieldType::Integer),
        Just(FieldType::Number),
        Just(FieldType::String),
        Just(FieldType::Timestamp {
            formats: vec!["rfc3339".to_owned()]
        }),
        Just(FieldType::Date),
        (1..=38_u8)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| FieldType::Decimal { precision, scale }),
        Just(FieldType::Json),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            fields_of(inner.clone()).prop_map(FieldType::Object),
            inner.prop_map(|item| FieldType::List(Box::new(item))),
        ]
    })
}

/// Records of these fields, more or less.
pub fn records(fields: &[Field]) -> impl Strategy<Value = Vec<Document>> + use<> {
    let fits = object_of(fields);
    vec(prop_oneof![30 => fits, 1 => any_document()], 0..8)
}

fn object_of(fields: &[Field]) -> BoxedStrategy<Document> {
    let member = |field: &Field| {
        let value = prop_oneof![
            12 => value_of(&field.field_type),
            1 => Just(Document::Scalar("null".to_owned())),
            1 => any_document(),
        ];
        (spelled_key(&field.name), value).boxed()
    };
    let members: Vec<_> = fields.iter().map(member).collect();
    let strange = (select(NAMES).prop_flat_map(spelled_key), any_document());
    let count = members.len();
    (
        members,
        vec(strange, 0..2),
        vec(0..count.max(1), 0..2),
        0..12_u8,
    )
        .prop_map(move |(mut members, strange, dropped, order)| {
            for index in dropped {
                if index < members.len() {
                    members.remove(index);
                }
            }
            members.extend(strange);
            let half = members.len() / 2;
            match order {
                0 => members.reverse(),
                1 => members.rotate_left(half),
                _ => {}
            }
            Document::Object(members)
        })
        .boxed()
}

fn value_of(field_type: &FieldType) -> BoxedStrategy<Document> {
    match field_type {
        FieldType::Boolean => pool(&["true", "false"]),
        FieldType::Integer | FieldType::Number => number(),
        FieldType::Decimal { .. } => prop_oneof![number(), number().prop_map(quoted)].boxed(),
        FieldType::String => string(),
        FieldType::Timestamp { .. } => pool(TIMESTAMPS),
        FieldType::Date => pool(&[r#""2024-02-29""#, r#""2023-02-29""#, r#""1969-12-31""#]),
        FieldType::Json => any_document(),
        FieldType::Object(fields) => object_of(fields),
        FieldType::List(item) => {
            let item = prop_oneof![
                9 => value_of(item),
                1 => Just(Document::Scalar("null".to_owned())),
                1 => any_document(),
            ];
            vec(item, 0..4).prop_map(Document::Array).boxed()
        }
    }
}

/// Any value.
pub fn any_document() -> BoxedStrategy<Document> {
    let scalar = prop_oneof![
        pool(&["null", "true", "false"]),
        number(),
        string(),
        pool(TIMESTAMPS),
    ];
    scalar
        .prop_recursive(3, 12, 4, |inner| {
            let member = (select(NAMES).prop_flat_map(spelled_key), inner.clone());
            prop_oneof![
                vec(inner, 0..4).prop_map(Document::Array),
                vec(member, 0..4).prop_map(Document::Object),
            ]
        })
        .boxed()
}

fn pool(texts: &'static [&'static str]) -> BoxedStrategy<Document> {
    select(texts)
        .prop_map(|text| Document::Scalar(text.to_owned()))
        .boxed()
}

const TIMESTAMPS: &[&str] = &[
    r#""2024-02-29T12:34:56Z""#,
    r#""2024-02-29T12:34:56.123456+05:30""#,
    r#""2024-02-29T12:34:56.1234567Z""#,
    r#""2024-02-29t12:34:56z""#,
    r#""2024-02-29T12:34:56""#,
    r#""2024-02-29T23:59:60Z""#,
    r#""2024-02-29T24:00:00Z""#,
    r#""0000-01-01T00:00:00Z""#,
    r#""9999-12-31T23:59:59.999999-12:00""#,
    r#""2024-02-29T12:34:56\u005a""#,
    r#""2023-02-29T12:34:56Z""#,
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "1e3",
    "1.5",
    "1E+2",
    "12e-1",
    "120e-1",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "9999999999999999999",
    "99999999999999999999999999999999999999",
    "100000000000000000000000000000000000000",
    "0.1",
    "0.30000000000000004",
    "123456789012345678.9",
    "1e22",
    "1e23",
    "1e308",
    "1e400",
    "-1e400",
    "1e-400",
    "2.2250738585072014e-308",
    "5e-324",
    "0.000000000000000000000000000000000000001",
];

fn number() -> BoxedStrategy<Document> {
    prop_oneof![
        select(NUMBERS).prop_map(str::to_owned),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<i16>().prop_map(|value| value.to_string()),
        any::<f64>().prop_filter_map("finite", |value| {
            value.is_finite().then(|| format!("{value:?}"))
        }),
        (any::<i32>(), 0..10_000_u32).prop_map(|(whole, part)| format!("{whole}.{part}")),
    ]
    .prop_map(Document::Scalar)
    .boxed()
}

fn quoted(document: Document) -> Document {
    match document {
        Document::Scalar(raw) => Document::Scalar(format!("\"{raw}\"")),
        other => other,
    }
}

const STRINGS: &[&str] = &[
    r#""""#,
    r#""\ud800""#,
    r#""x\udc00y""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d\ud83d\ude00""#,
    r#""\ud83d\n""#,
    r#""\u0000\b\f\n\r\t\/\\\"""#,
    "\"\u{7f}\u{80}\u{7ff}\u{800}\u{2028}\u{ffff}\u{10000}\"",
];

fn string() -> BoxedStrategy<Document> {
    prop_oneof![
        select(STRINGS).prop_map(str::to_owned),
        (any::<String>(), any::<u64>()).prop_map(|(text, escapes)| spelled(&text, escapes)),
        "[a-z ]{0,40}".prop_map(|text| spelled(&text, 0)),
    ]
    .prop_map(Document::Scalar)
    .boxed()
}

fn spelled_key(key: &str) -> BoxedStrategy<String> {
    let key = key.to_owned();
    prop_oneof![15 => Just(0), 1 => any::<u64>()]
        .prop_map(move |escapes| spelled(&key, escapes))
        .boxed()
}

/// A text as JSON, in which the characters that bits choose are escaped.
fn spelled(text: &str, escapes: u64) -> String {
    let mut spelled = String::from("\"");
    for (index, character) in text.chars().enumerate() {
        let must = matches!(character, '"' | '\\' | '\0'..' ');
        if must || escapes >> (index % 64) & 1 != 0 {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                spelled.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            spelled.push(character);
        }
    }
    spelled.push('"');
    spelled
}
