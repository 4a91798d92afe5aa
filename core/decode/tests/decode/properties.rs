//! On random schemas and documents, whole and damaged, the decoder does what the reference does.

use connector_decode::{Decoder, DecoderOptions, ErrorKind, RecordSchema};
use connector_plan::{Field, Selector, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::value::RawValue;

use crate::cells::{Cell, Row, rows};
use crate::documents::{Document, any_document, fields, records, spaces};
use crate::reference::{Members, Refusal, is_json, page};

/// The rows of a decoder: the cells of the fields, and what was rescued, taken apart.
fn take(decoder: &mut Decoder) -> Vec<Row> {
    let batch = decoder.take_batch().unwrap();
    rows(&batch)
        .into_iter()
        .map(|mut cells| {
            let rescued = match cells.pop() {
                Some(Cell::Text(text)) => {
                    let Members(members) = serde_json::from_str(&text).unwrap();
                    let members = members.into_iter();
                    members
                        .map(|(key, value)| (key, value.get().to_owned()))
                        .collect()
                }
                Some(Cell::Null) => Vec::new(),
                other => panic!("`_rescued` is {other:?}"),
            };
            (cells, rescued)
        })
        .collect()
}

fn decoder(fields: &[Field], steps: Vec<Step>) -> Decoder {
    let options = DecoderOptions {
        selector: Selector {
            text: "random".to_owned(),
            steps,
            ..Selector::default()
        },
        ..DecoderOptions::default()
    };
    Decoder::new(RecordSchema::new(fields), options).unwrap()
}

/// Decodes pages one after the other and compares with the reference: what is accepted, the rows,
/// and that a page which is refused leaves no trace.
fn check(fields: &[Field], steps: &[Step], pages: &[Vec<u8>]) {
    let mut decoder = decoder(fields, steps.to_vec());
    let mut expected = Vec::new();
    for bytes in pages {
        let shown = String::from_utf8_lossy(bytes);
        let before = (decoder.rows(), decoder.report());
        let outcome = decoder.decode_page(bytes);
        if !is_json(bytes) {
            let error = outcome.expect_err(&shown);
            assert!(
                matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Encoding)
                    // Whichever is met first.
                    || error.kind() == ErrorKind::SchemaContract,
                "{error}: {shown}"
            );
            assert_eq!((decoder.rows(), decoder.report()), before);
            continue;
        }
        match page(std::str::from_utf8(bytes).unwrap(), steps, fields) {
            Ok(rows) => {
                let outcome = outcome.unwrap_or_else(|error| panic!("{error}: {shown}"));
                assert_eq!(outcome.records, rows.len() as u64, "{shown}");
                let rescued: usize = rows.iter().map(|(_, rescued)| rescued.len()).sum();
                assert_eq!(outcome.rescued, rescued as u64, "{shown}");
                expected.extend(rows);
                assert_eq!(decoder.rows(), expected.len());
            }
            Err(Refusal::Unrepresentable) => {
                let _ = decoder.take_batch().unwrap();
                expected.clear();
            }
            Err(refusal) => {
                let error = outcome.expect_err(&shown);
                let kind = match refusal {
                    Refusal::MatchesNothing => ErrorKind::SelectorMatchesNothing,
                    _ => ErrorKind::SchemaContract,
                };
                assert_eq!(error.kind(), kind, "{error}: {shown}");
                assert_eq!((decoder.rows(), decoder.report()), before);
            }
        }
    }
    let report = decoder.report();
    let counted: u64 = report.rescued.iter().map(|field| field.count).sum();
    if report.records == expected.len() as u64 {
        let rescued: usize = expected.iter().map(|(_, rescued)| rescued.len()).sum();
        assert_eq!(counted, rescued as u64);
    }
    let shown: Vec<_> = pages
        .iter()
        .map(|page| String::from_utf8_lossy(page))
        .collect();
    assert_eq!(take(&mut decoder), expected, "{shown:#?}");
    assert_eq!(decoder.rows(), 0);
}

fn pages_of(fields: Vec<Field>) -> impl Strategy<Value = (Vec<Field>, Vec<String>)> {
    let page = (records(&fields), spaces(), any::<bool>()).prop_map(|(records, spaces, bom)| {
        let mark = if bom { "\u{FEFF}" } else { "" };
        format!("{mark}{}", Document::Array(records).render(&spaces))
    });
    (Just(fields), vec(page, 1..4))
}

/// A change of one byte or of the length.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Remove(Index),
    Insert(Index, u8),
    Replace(Index, u8),
    Swap(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || {
        prop_oneof![
            any::<u8>(),
            select(&b"\"\\{}[]:,0123456789.-+eEtfnu \n\0"[..])
        ]
    };
    prop_oneof![
        1 => any::<Index>().prop_map(Damage::Cut),
        3 => any::<Index>().prop_map(Damage::Remove),
        3 => (any::<Index>(), byte()).prop_map(|(index, byte)| Damage::Insert(index, byte)),
        3 => (any::<Index>(), byte()).prop_map(|(index, byte)| Damage::Replace(index, byte)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Damage::Swap(one, other)),
    ]
}

fn damaged(page: &str, damages: &[Damage]) -> Vec<u8> {
    let mut page = page.as_bytes().to_vec();
    for damage in damages {
        let length = page.len().max(1);
        if page.is_empty() {
            break;
        }
        match damage {
            Damage::Cut(at) => page.truncate(at.index(length)),
            Damage::Remove(at) => {
                page.remove(at.index(length));
            }
            Damage::Insert(at, byte) => page.insert(at.index(length), *byte),
            Damage::Replace(at, byte) => page[at.index(length)] = *byte,
            Damage::Swap(one, other) => page.swap(one.index(length), other.index(length)),
        }
    }
    page
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => select(&["a", "id", "value", "naïve"][..]).prop_map(|key| Step::Key(key.to_owned())),
        1 => (-2..3_i64).prop_map(Step::Index),
        2 => Just(Step::Wildcard),
    ]
}

/// A third of the usual cases, which are large; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases / 3,
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn columns_equal_the_reference((fields, pages) in fields().prop_flat_map(pages_of)) {
        let pages: Vec<Vec<u8>> = pages.into_iter().map(String::into_bytes).collect();
        check(&fields, &[], &pages);
    }

    #[test]
    fn damaged_pages_are_refused_or_read_like_the_reference_and_leave_no_trace(
        (fields, pages) in fields().prop_flat_map(pages_of),
        damages in vec(vec(damage(), 1..3), 4),
    ) {
        // Whole and damaged pages by turns.
        let mut all = Vec::new();
        for (page, damage) in pages.iter().zip(&damages) {
            all.push(damaged(page, damage));
            all.push(page.clone().into_bytes());
        }
        check(&fields, &[], &all);
    }

    #[test]
    fn selectors_lead_where_the_reference_goes(
        fields in fields(),
        steps in vec(step(), 0..4),
        document in any_document(),
        spaces in spaces(),
    ) {
        check(&fields, &steps, &[document.render(&spaces).into_bytes()]);
    }

    #[test]
    fn bytes_of_any_kind_are_refused_like_the_reference(bytes in vec(any::<u8>(), 0..64)) {
        check(&[], &[], &[bytes]);
    }

    #[test]
    fn tokens_in_any_order_are_refused_like_the_reference(
        tokens in vec(select(&["{", "}", "[", "]", ",", ":", "\"a\"", "\"", "1", "-", "0", ".", "e", "null", "tru", "true", " ", "\\", "\u{e9}"][..]), 0..12),
    ) {
        let text = tokens.concat();
        check(&[], &[], &[text.clone().into_bytes()]);
        // What a value is depends on where it stands.
        check(&[], &[], &[format!("[{{\"a\":{text}}}]").into_bytes()]);
    }
}

#[test]
fn the_reference_keeps_the_text_of_values() {
    let Members(members) = serde_json::from_str(r#"{"a": 1.0, "a": [ ]}"#).unwrap();
    let members: Vec<_> = members
        .iter()
        .map(|(key, value)| (key.as_str(), RawValue::get(value)))
        .collect();
    assert_eq!(members, [("a", "1.0"), ("a", "[ ]")]);
}
