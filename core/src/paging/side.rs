//! What a page says beside its records: the members that a detection looks at.

use std::fmt;

use connector_plan::Step;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Json;

/// Members of objects this deep are looked at.
const DEPTH: usize = 5;
/// More members than this are an object used as a map of records.
const MEMBERS: usize = 1000;

/// The scalar members of a page outside of its records and of all arrays, in document order.
#[derive(Debug, Default)]
pub(super) struct Side {
    members: Vec<(Vec<String>, Json)>,
    /// Whether the page itself is an object.
    pub is_object: bool,
    /// Why the members are not all there: one is nothing that JSON values can be, such as `1e999`.
    pub error: Option<serde_json::Error>,
}

impl Side {
    /// Reads a page, of JSON Lines the first one; what lies below `records` is passed over.
    pub(super) fn read(body: &[u8], records: &[Step]) -> Self {
        let records: Vec<&str> = records
            .iter()
            .map_while(|step| match step {
                Step::Key(key) => Some(key.as_str()),
                Step::Index(_) | Step::Wildcard => None,
            })
            .collect();
        let mut side = Self {
            is_object: body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'),
            ..Self::default()
        };
        let mut path = Vec::new();
        let seed = Collect {
            path: &mut path,
            records: &records,
            members: &mut side.members,
        };
        let mut reader = serde_json::Deserializer::from_slice(body);
        side.error = seed.deserialize(&mut reader).err();
        side
    }

    /// The members, each with its path.
    pub(super) fn members(&self) -> impl Iterator<Item = (&[String], &Json)> {
        self.members
            .iter()
            .map(|(path, value)| (path.as_slice(), value))
    }

    /// The value at a path.
    pub(super) fn get(&self, path: &[String]) -> Option<&Json> {
        self.members()
            .find(|(known, _)| *known == path)
            .map(|(_, value)| value)
    }
}

/// Collects the scalars below the value at hand.
struct Collect<'a> {
    path: &'a mut Vec<String>,
    records: &'a [&'a str],
    members: &'a mut Vec<(Vec<String>, Json)>,
}

impl Collect<'_> {
    fn push<E>(self, value: Json) -> Result<(), E> {
        if !self.path.is_empty() && self.members.len() < MEMBERS {
            self.members.push((self.path.clone(), value));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.push(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.push(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.push(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.push(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.push(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.push(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.path.push(key);
            let is_records = !self.records.is_empty()
                && self.path.len() == self.records.len()
                && self.path.iter().zip(self.records).all(|(a, b)| a == b);
            if is_records || self.path.len() > DEPTH {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Collect {
                    path: self.path,
                    records: self.records,
                    members: self.members,
                })?;
            }
            self.path.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_arrays_are_passed_over() {
        #[track_caller]
        fn check(body: &str, records: &[&str], expect: &str) {
            let steps: Vec<Step> = records
                .iter()
                .map(|key| Step::Key((*key).to_owned()))
                .collect();
            let side = Side::read(body.as_bytes(), &steps);
            assert!(side.error.is_none(), "{body}");
            let shown: Vec<String> = side
                .members()
                .map(|(path, value)| format!("{}={value}", path.join(".")))
                .collect();
            assert_eq!(shown.join(" "), expect, "{body}");
        }
        check(
            r#"{"a":{"next":null},"data":{"next":1},"b":[{"next":2}],"c":true}"#,
            &["data"],
            "a.next=null c=true",
        );
        check(
            r#"{"data":{"items":[1],"next":"x"}}"#,
            &["data", "items"],
            r#"data.next="x""#,
        );
        check(r#"[{"next":1}]"#, &[], "");
        check(
            r#"{"a":{"b":{"c":{"d":{"e":{"f":1}}}}},"z":-1}"#,
            &[],
            "z=-1",
        );
        check("{\"a\":1}\n{\"b\":2}", &[], "a=1");
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        for body in [
            r#"{"a":1"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            "id,next",
        ] {
            assert!(Side::read(body.as_bytes(), &[]).error.is_some(), "{body}");
        }
    }
}
