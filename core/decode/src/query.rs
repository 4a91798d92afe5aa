//! The part of a selector that needs the whole value: filters, slices, unions, descendants.
//!
//! The query runs on a tree of values; what it finds is then read where it stands in the page, so
//! that numbers and texts are taken as the page spells them.

use std::collections::HashMap;
use std::ptr;

use connector_plan::{Segment, Selector};
use serde_json::{Map, Number, Value};
use serde_json_path::JsonPath;

use crate::error::{Error, ErrorKind};
use crate::place::Place;
use crate::tokens::Tokens;
use crate::walk::Records;

/// The arrays and objects that may be open at once in what is queried: its tree is walked
/// recursively.
const MAX_DEPTH: usize = 512;

/// The segments of a selector behind its steps, compiled.
#[derive(Debug)]
pub(crate) struct Query {
    path: JsonPath,
    /// The first segments up to each one that selects by name, and its names.
    named: Vec<Named>,
    /// What the first filter or slice chooses from: what the API has sent, and paging counts.
    chosen_from: Option<JsonPath>,
}

#[derive(Debug)]
struct Named {
    before: JsonPath,
    through: JsonPath,
    names: Vec<String>,
}

/// A value that the query found, and how it is reached from where the query began.
#[derive(Debug)]
struct Found {
    at: usize,
    steps: Vec<FoundStep>,
}

#[derive(Clone, Copy, Debug)]
enum FoundStep {
    /// The member whose key's opening quote is at this byte of the page.
    Key(usize),
    Index(usize),
}

impl Query {
    /// The query of a selector that has more than steps.
    pub(crate) fn new(selector: &Selector, max_depth: usize) -> Result<Option<Self>, Error> {
        if selector.query.is_empty() {
            return Ok(None);
        }
        if max_depth > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("a selector with a query takes pages of at most {MAX_DEPTH} levels"),
            ));
        }
        let parse_text = |text: &str| {
            JsonPath::parse(text).map_err(|source| {
                let message = format!("selector `{}` is no JSONPath", selector.text);
                Error::new(ErrorKind::Configuration, message).with_source(source)
            })
        };
        let parse = |count| parse_text(&selector.query_text(count));
        let mut named = Vec::new();
        for (index, segment) in selector.query.iter().enumerate() {
            if !segment.names.is_empty() {
                named.push(Named {
                    before: parse(index)?,
                    through: parse(index + 1)?,
                    names: segment.names.clone(),
                });
            }
        }
        let chooses = |segment: &Segment| {
            segment.names.is_empty() && segment.text.starts_with('[') && segment.text != "[*]"
        };
        let chosen_from = match selector.query.iter().position(chooses) {
            Some(count) => Some(parse_text(&format!("{}[*]", selector.query_text(count)))?),
            None => None,
        };
        Ok(Some(Self {
            path: parse(selector.query.len())?,
            named,
            chosen_from,
        }))
    }

    /// The names that nothing in a value has, when that is why the query finds nothing.
    fn missing(&self, value: &Value) -> Option<&[String]> {
        let missing = self.named.iter().find(|named| {
            named.through.query(value).is_empty() && !named.before.query(value).is_empty()
        })?;
        Some(&missing.names)
    }
}

impl Records<'_> {
    /// Reads what the query finds in the value that is next.
    pub(crate) fn search(
        &mut self,
        query: &Query,
        tokens: &mut Tokens<'_>,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let start = tokens.at;
        let value = tree(tokens)?;
        let end = tokens.at;
        let nodes = query.path.query(&value).all();
        let before = self.received();
        let chosen_from = query
            .chosen_from
            .as_ref()
            .map_or(0, |from| from.query(&value).len());
        if nodes.is_empty() {
            match &value {
                Value::Null => self.matched = true,
                Value::Array(_) | Value::Object(_) => match query.missing(&value) {
                    Some(names) => {
                        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
                        let wanted = format!("member {}", names.join(" or "));
                        self.lose(tokens, start, place, &wanted, "");
                    }
                    // There is what the spec expects, and nothing of it is chosen.
                    None => self.matched = true,
                },
                _ => self.lose(tokens, start, place, "elements or members", ""),
            }
            self.filtered += chosen_from as u64;
            return Ok(());
        }
        self.matched = true;
        let mut wanted: HashMap<*const Value, usize> = HashMap::with_capacity(nodes.len());
        for node in &nodes {
            let next = wanted.len();
            wanted.entry(ptr::from_ref(*node)).or_insert(next);
        }
        let mut locating = Locating {
            found: wanted.iter().map(|_| None).collect(),
            wanted,
            steps: Vec::new(),
        };
        tokens.at = start;
        locating.walk(tokens, &value)?;
        let mut read_to = start;
        for node in nodes {
            let number = locating.wanted.get(&ptr::from_ref(node));
            let found = number.and_then(|number| locating.found.get(*number));
            let Some(Some(found)) = found else {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a selected value is not in the page",
                ));
            };
            if found.at < read_to {
                self.rewind(tokens);
            }
            tokens.at = found.at;
            self.read_at(tokens, place, &found.steps)?;
            read_to = tokens.at;
        }
        tokens.at = end;
        let chosen = self.received() - before;
        self.filtered += (chosen_from as u64).saturating_sub(chosen);
        Ok(())
    }

    /// Reads the value that is next, which these steps lead to from a place.
    fn read_at(
        &mut self,
        tokens: &mut Tokens<'_>,
        place: &Place<'_>,
        steps: &[FoundStep],
    ) -> Result<(), Error> {
        match steps {
            [] => self.read(tokens, place),
            [FoundStep::Key(at), rest @ ..] => self.read_at(tokens, &place.key(*at), rest),
            [FoundStep::Index(index), rest @ ..] => {
                self.read_at(tokens, &place.index(*index), rest)
            }
        }
    }
}

/// Takes any value as a tree. Of duplicate keys the last one wins.
///
/// What a tree cannot hold becomes what is nearest to it: a number beyond a double the largest
/// one, half of a surrogate pair U+FFFD. Only conditions of the query see it.
fn tree(tokens: &mut Tokens<'_>) -> Result<Value, Error> {
    Ok(match tokens.peek() {
        b'{' => {
            let mut members = Map::new();
            tokens.open()?;
            if tokens.peek() == b'}' {
                tokens.close();
                return Ok(Value::Object(members));
            }
            loop {
                let key = tokens.text()?;
                tokens.colon()?;
                let value = tree(tokens)?;
                members.insert(key, value);
                if !tokens.separator(b'}')? {
                    break Value::Object(members);
                }
            }
        }
        b'[' => {
            let mut elements = Vec::new();
            tokens.open()?;
            if tokens.peek() == b']' {
                tokens.close();
                return Ok(Value::Array(elements));
            }
            loop {
                elements.push(tree(tokens)?);
                if !tokens.separator(b']')? {
                    break Value::Array(elements);
                }
            }
        }
        b'"' => Value::String(tokens.text()?),
        b't' => {
            tokens.literal("true")?;
            Value::Bool(true)
        }
        b'f' => {
            tokens.literal("false")?;
            Value::Bool(false)
        }
        b'n' => {
            tokens.literal("null")?;
            Value::Null
        }
        _ => {
            let start = tokens.at;
            tokens.skip_value()?;
            number(tokens.since(start))
        }
    })
}

fn number(text: &[u8]) -> Value {
    if let Ok(number) = serde_json::from_slice::<Number>(text) {
        return Value::Number(number);
    }
    let largest = if text.starts_with(b"-") {
        f64::MIN
    } else {
        f64::MAX
    };
    Number::from_f64(largest).map_or(Value::Null, Value::Number)
}

/// Finds where the nodes of a tree stand in the page that it was made from.
#[derive(Debug)]
struct Locating {
    wanted: HashMap<*const Value, usize>,
    found: Vec<Option<Found>>,
    /// The way to the value that is next.
    steps: Vec<FoundStep>,
}

impl Locating {
    /// Walks through the value that is next, of which this is the tree.
    fn walk(&mut self, tokens: &mut Tokens<'_>, value: &Value) -> Result<(), Error> {
        if let Some(number) = self.wanted.get(&ptr::from_ref(value))
            && let Some(found) = self.found.get_mut(*number)
        {
            *found = Some(Found {
                at: tokens.at,
                steps: self.steps.clone(),
            });
        }
        match (tokens.peek(), value) {
            (b'{', Value::Object(members)) if !members.is_empty() => {
                tokens.open()?;
                loop {
                    let at = tokens.at;
                    let key = tokens.text()?;
                    tokens.colon()?;
                    match members.get(&key) {
                        // The last member of a name overwrites what those before it have given.
                        Some(member) => self.step(FoundStep::Key(at), tokens, member)?,
                        None => tokens.skip_value()?,
                    }
                    if !tokens.separator(b'}')? {
                        return Ok(());
                    }
                }
            }
            (b'[', Value::Array(elements)) if !elements.is_empty() => {
                tokens.open()?;
                let mut index = 0;
                loop {
                    match elements.get(index) {
                        Some(element) => self.step(FoundStep::Index(index), tokens, element)?,
                        None => tokens.skip_value()?,
                    }
                    index += 1;
                    if !tokens.separator(b']')? {
                        return Ok(());
                    }
                }
            }
            _ => tokens.skip_value(),
        }
    }

    fn step(
        &mut self,
        step: FoundStep,
        tokens: &mut Tokens<'_>,
        value: &Value,
    ) -> Result<(), Error> {
        self.steps.push(step);
        self.walk(tokens, value)?;
        self.steps.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::Int64Type;
    use connector_plan::{Field, FieldType, Segment, Step};

    use crate::{Decoder, DecoderOptions, ErrorKind, RecordSchema};

    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    fn decoder(steps: &[Step], query: &[(&str, &[&str])]) -> Decoder {
        let segments = query.iter().map(|(text, names)| Segment {
            text: (*text).to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        });
        let options = DecoderOptions {
            selector: Selector {
                text: "it".to_owned(),
                steps: steps.to_vec(),
                query: segments.collect(),
            },
            last_record_captures: vec![vec![key("id")]],
            ..DecoderOptions::default()
        };
        let field = |name: &str, field_type| Field {
            name: name.to_owned(),
            field_type,
            nullable: true,
            description: String::new(),
        };
        let fields = [
            field("id", FieldType::Integer),
            field("exact", FieldType::Json),
        ];
        Decoder::new(RecordSchema::new(&fields), options).unwrap()
    }

    /// The identifiers of the records in a page, or why there are none.
    fn ids(decoder: &mut Decoder, page: &str) -> Result<Vec<Option<i64>>, String> {
        let page = decoder
            .decode_page(page.as_bytes())
            .map_err(|error| error.to_string())?;
        let batch = decoder.take_batch().unwrap();
        assert_eq!(page.records - page.filtered, batch.num_rows() as u64);
        Ok(batch.column(0).as_primitive::<Int64Type>().iter().collect())
    }

    #[track_caller]
    fn check(steps: &[Step], query: &[(&str, &[&str])], page: &str, expect: Result<&[i64], &str>) {
        let found = ids(&mut decoder(steps, query), page);
        match (&found, expect) {
            (Ok(found), Ok(expect)) => {
                let expect: Vec<_> = expect.iter().copied().map(Some).collect();
                assert_eq!(*found, expect, "{query:?} {page}");
            }
            (Err(error), Err(expect)) => assert!(error.contains(expect), "{error}"),
            _ => assert_eq!(found.is_ok(), expect.is_ok(), "{query:?} {found:?}"),
        }
    }

    const FILTER: &[(&str, &[&str])] = &[("[?@.id > 1]", &[])];

    #[test]
    fn records_come_in_the_order_of_the_query() {
        let page =
            r#"{"a": [{"id": 1}, {"id": 2}, {"id": 3}], "b": {"y": {"id": 4}, "x": {"id": 5}}}"#;
        check(&[key("a")], FILTER, page, Ok(&[2, 3]));
        check(&[key("a")], &[("[2,0]", &[])], page, Ok(&[3, 1]));
        check(&[key("a")], &[("[::-1]", &[])], page, Ok(&[3, 2, 1]));
        check(&[key("a")], &[("[0,0]", &[])], page, Ok(&[1, 1]));
        check(
            &[key("b")],
            &[("['y','x']", &["y", "x"])],
            page,
            Ok(&[4, 5]),
        );
        // The list that a descent finds is a list of records, like that of a plain path.
        check(&[], &[("..a", &["a"])], page, Ok(&[1, 2, 3]));
        // Members of an object have no order in JSONPath: here it is that of their names.
        check(
            &[],
            &[("['a','b']", &["a", "b"]), ("[?@.id]", &[])],
            page,
            Ok(&[1, 2, 3, 5, 4]),
        );
        // A record and one inside of it.
        check(
            &[],
            &[("..[?@.id]", &[])],
            r#"[{"id": 1, "sub": [{"id": 2}]}, {"id": 3}]"#,
            Ok(&[1, 3, 2]),
        );
    }

    #[test]
    fn what_a_query_does_not_choose_has_been_received() {
        #[track_caller]
        fn check(query: &[(&str, &[&str])], expect: (u64, u64)) {
            let page =
                br#"{"a": [{"id": 1}, {"id": 2, "sub": [{"id": 8}, {"id": 9}]}, {"id": 3}]}"#;
            let page = decoder(&[key("a")], query).decode_page(page).unwrap();
            assert_eq!((page.records, page.filtered), expect, "{query:?}");
        }
        check(FILTER, (3, 1));
        check(&[("[?@.id > 9]", &[])], (3, 3));
        check(&[("[1:]", &[])], (3, 1));
        check(&[("[?@.sub]", &[]), ("[\"sub\"]", &["sub"])], (3, 1));
        check(&[("..sub", &["sub"])], (2, 0));
    }

    #[test]
    fn nothing_chosen_is_no_error_and_nothing_there_is_one() {
        check(&[key("a")], FILTER, r#"{"a": [{"id": 1}]}"#, Ok(&[]));
        check(&[key("a")], FILTER, r#"{"a": []}"#, Ok(&[]));
        check(&[key("a")], FILTER, r#"{"a": null}"#, Ok(&[]));
        check(
            &[key("a")],
            &[("[1:]", &[])],
            r#"{"a": [{"id": 1}]}"#,
            Ok(&[]),
        );
        check(
            &[key("a")],
            FILTER,
            r#"{"b": []}"#,
            Err("`$` has no member `a`"),
        );
        check(
            &[key("a")],
            FILTER,
            r#"{"a": "none"}"#,
            Err("`$.a` has no elements or members; it is `\"none\"`"),
        );
        let descent: &[(&str, &[&str])] = &[("..items", &["items"]), ("[?@.id > 1]", &[])];
        check(&[], descent, r#"{"x": {"items": [{"id": 1}]}}"#, Ok(&[]));
        check(
            &[],
            descent,
            r#"{"error": "denied"}"#,
            Err("`$` has no member `items`; its keys: `error`"),
        );
    }

    #[test]
    fn values_are_taken_from_the_page_itself() {
        let mut decoder = decoder(&[], &[("[?@.huge > 5 && @.exact]", &[])]);
        let page = r#"[{"id": 1, "huge": 1e999, "exact": [123456789012345678901234567890, 0.10]},
            {"huge": 9, "exact": "\ud800\u0041", "id": 2, "id": 3}, {"huge": 1}]"#;
        let found = decoder.decode_page(page.as_bytes()).unwrap();
        assert_eq!(found.last_record_captures, [Some(3.into())]);
        assert_eq!(found.duplicate_keys, 1);
        let batch = decoder.take_batch().unwrap();
        let exact = batch.column(1).as_string::<i32>();
        assert_eq!(exact.value(0), "[123456789012345678901234567890, 0.10]");
        assert_eq!(exact.value(1), r#""\ud800\u0041""#);
        // The last of two members counts, wherever the records of the first were.
        let twice = r#"{"a": [{"id": 1}, {"id": 2}], "a": [{"id": 3}]}"#;
        check(&[], &[("..a", &["a"])], twice, Ok(&[3]));
        check(&[], &[("..[?@.id]", &[])], twice, Ok(&[3]));
    }

    #[test]
    fn places_and_duplicates_are_those_of_the_page() {
        let mut decoder = decoder(&[key("a")], &[("[1,0]", &[])]);
        let page = br#"{"a": [{"id": "x"}, {"id": 5, "more": 1}]}"#;
        let found = decoder.decode_page(page).unwrap();
        assert_eq!((found.rescued, found.duplicate_keys), (2, 0));
        let report = decoder.report();
        assert_eq!(report.rescued[0].sample, "$.a[1].more");
        assert_eq!(report.rescued[1].sample, "$.a[0].id");
        assert_eq!(decoder.take_batch().unwrap().column(0).null_count(), 1);
    }

    #[test]
    fn what_cannot_be_queried_is_refused() {
        let selector = Selector {
            text: "$[".to_owned(),
            steps: Vec::new(),
            query: vec![Segment {
                text: "[".to_owned(),
                names: Vec::new(),
            }],
        };
        let refused = |max_depth| Query::new(&selector, max_depth).unwrap_err();
        assert_eq!(refused(128).kind(), ErrorKind::Configuration);
        assert!(refused(128).to_string().contains("no JSONPath"));
        assert!(refused(513).to_string().contains("512 levels"));
    }
}
