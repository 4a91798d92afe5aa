//! The decoder does what the reference does.

use connector_decode::{Decoder, DecoderOptions, ErrorKind, RecordSchema, capture, select};
use connector_plan::{Field, Selector, Step};

use crate::cells::{Cell, Row, rows};
use crate::reference::{Members, Refusal, captured, depth, is_json, page, selected};

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

fn selector(steps: &[Step]) -> Selector {
    Selector {
        text: "random".to_owned(),
        steps: steps.to_vec(),
        ..Selector::default()
    }
}

fn decoder(fields: &[Field], steps: &[Step], max_depth: usize) -> Decoder {
    let options = DecoderOptions {
        selector: selector(steps),
        max_depth,
        ..DecoderOptions::default()
    };
    Decoder::new(RecordSchema::new(fields), options).unwrap()
}

/// Decodes pages one after the other and compares with the reference: what is accepted, the rows,
/// and that a page which is refused leaves no trace.
pub fn check(fields: &[Field], steps: &[Step], max_depth: usize, pages: &[&[u8]]) {
    let mut decoder = decoder(fields, steps, max_depth);
    let mut expected = Vec::new();
    for bytes in pages {
        let shown = String::from_utf8_lossy(bytes);
        let trace = |decoder: &Decoder| (decoder.rows(), decoder.report());
        let before = trace(&decoder);
        let outcome = decoder.decode_page(bytes);
        let too_deep = depth(bytes) > max_depth;
        if !is_json(bytes) || too_deep {
            let error = outcome.expect_err(&shown);
            assert!(
                match error.kind() {
                    ErrorKind::Malformed | ErrorKind::Encoding => !is_json(bytes),
                    kind => kind == ErrorKind::Limit && too_deep,
                },
                "{error}: {shown}"
            );
            assert_eq!(trace(&decoder), before);
            continue;
        }
        let text = std::str::from_utf8(bytes).unwrap();
        look(text, steps, max_depth);
        match page(text, steps, fields) {
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
                assert_eq!(trace(&decoder), before);
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

/// What can be had of a page without columns is what the reference finds there.
fn look(page: &str, steps: &[Step], max_depth: usize) {
    if max_depth != DecoderOptions::default().max_depth {
        return;
    }
    let Ok((values, _)) = selected(page, steps) else {
        return;
    };
    let found = select(page.as_bytes(), &selector(steps)).unwrap();
    let found: Vec<_> = found.into_iter().map(String::from_utf8_lossy).collect();
    assert_eq!(found, values, "{page}");
    if !steps.contains(&Step::Wildcard) {
        let found = capture(page.as_bytes(), &[steps.to_vec()]);
        match values.first().map(|value| captured(value)) {
            None => assert_eq!(found.unwrap(), [None], "{page}"),
            Some(Some(value)) => assert_eq!(found.unwrap(), [Some(value)], "{page}"),
            Some(None) => assert_eq!(found.unwrap_err().kind(), ErrorKind::Malformed, "{page}"),
        }
    }
}
