//! On random schemas and documents, whole and damaged, the decoder does what the reference does.

use connector_plan::{Field, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::value::RawValue;

use crate::agreement;
use crate::documents::{Document, any_document, fields, records, spaces};
use crate::reference::Members;

fn check(fields: &[Field], steps: &[Step], pages: &[Vec<u8>]) {
    let pages: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
    agreement::check(fields, steps, 128, &pages);
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
