//! A filter: which records of a page go into the columns.

use std::fmt;
use std::sync::Arc;

use connector_plan::Path;
use serde_json::Value;

/// Judges a record by the values that its captures led to.
type Judge = dyn Fn(&[Option<Value>]) -> Result<bool, String> + Send + Sync;

/// Which records of a page go into the columns.
///
/// A record is read for its captures first, and only then, when it is kept, for its columns: what
/// is dropped leaves nothing behind, nor does it break the schema's contract.
#[derive(Clone)]
pub struct RecordFilter {
    pub(crate) captures: Vec<Path>,
    judge: Arc<Judge>,
}

impl RecordFilter {
    /// A filter that sees the values at these paths below each record; an empty path is the record
    /// itself. At most 64 paths, without wildcards.
    ///
    /// The error of `judge` is a sentence; it fails the page.
    pub fn new(
        captures: Vec<Path>,
        judge: impl Fn(&[Option<Value>]) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            captures,
            judge: Arc::new(judge),
        }
    }

    pub(crate) fn keeps(&self, values: &[Option<Value>]) -> Result<bool, String> {
        (self.judge)(values)
    }
}

impl fmt::Debug for RecordFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFilter")
            .field("captures", &self.captures)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use connector_plan::{Field, FieldType, Selector, Step};
    use serde_json::json;

    use super::*;
    use crate::{Decoder, DecoderOptions, ErrorKind, Page, RecordSchema};

    fn path(keys: &[&str]) -> Path {
        keys.iter()
            .map(|key| Step::Key((*key).to_owned()))
            .collect()
    }

    fn decoder(
        captures: Vec<Path>,
        judge: fn(&[Option<Value>]) -> Result<bool, String>,
    ) -> Decoder {
        let schema = RecordSchema::new(&[Field {
            name: "id".to_owned(),
            field_type: FieldType::Integer,
            nullable: false,
            description: String::new(),
        }]);
        let options = DecoderOptions {
            selector: Selector {
                text: "rows".to_owned(),
                steps: path(&["rows"]),
                ..Selector::default()
            },
            captures: vec![path(&["next"])],
            last_record_captures: vec![path(&["id"])],
            filter: Some(RecordFilter::new(captures, judge)),
            ..DecoderOptions::default()
        };
        Decoder::new(schema, options).unwrap()
    }

    fn keep_x(values: &[Option<Value>]) -> Result<bool, String> {
        Ok(values[0] == Some(json!("x")))
    }

    #[test]
    fn dropped_records_leave_nothing_but_a_count() {
        let mut decoder = decoder(vec![path(&["o", "kind"])], keep_x);
        let page = decoder
            .decode_page(
                br#"{"rows": [{"id": 1, "o": {"kind": "x"}}, {"id": null, "more": 1}, 7, null,
                    {"o": {"kind": "y", "kind": "x"}, "id": 2}, {"id": 3, "o": {"kind": "y"}}], "next": 9}"#,
            )
            .unwrap();
        let Page {
            records,
            filtered,
            rescued,
            ..
        } = page;
        assert_eq!((records, filtered, rescued), (6, 4, 2));
        assert_eq!(page.captures, [Some(json!(9))]);
        assert_eq!(page.last_record_captures, [Some(json!(3))]);
        let report = decoder.report();
        assert_eq!(report.rescued[0].path, "o");
        let batch = decoder.take_batch().unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(batch.column(0).null_count(), 0);
    }

    #[test]
    fn a_page_that_fails_takes_its_filtered_records_back() {
        let mut decoder = decoder(vec![path(&["o", "kind"])], keep_x);
        let broken = br#"{"rows": [{"id": 1}, {"id": null, "o": {"kind": "x"}}]}"#;
        let error = decoder.decode_page(broken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaContract);
        assert!(
            error.to_string().contains("`$.rows[1].id` of record 2"),
            "{error}"
        );
        let twice = br#"{"rows": [{"id": 1}], "rows": [{"id": 2}, {"id": 3}]}"#;
        let page = decoder.decode_page(twice).unwrap();
        assert_eq!((page.records, page.filtered), (2, 2));
        assert_eq!(decoder.rows(), 0);
    }

    #[test]
    fn the_whole_record_can_be_judged_and_a_failure_is_placed() {
        let mut decoder = decoder(vec![Path::new()], |values| match &values[0] {
            Some(Value::Object(members)) if members.len() == 1 => Ok(true),
            Some(Value::Object(_)) => Ok(false),
            _ => Err("no object".to_owned()),
        });
        let page = decoder
            .decode_page(br#"{"rows": [{"id": 1}, {"id": 2, "a": []}]}"#)
            .unwrap();
        assert_eq!((page.records, page.filtered), (2, 1));
        let error = decoder
            .decode_page(br#"{"rows": [{"id": 1}, 5]}"#)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Filter);
        assert_eq!(
            error.to_string(),
            "the filter fails at record 2 of the page: no object"
        );
        assert_eq!(decoder.rows(), 1);
    }
}
