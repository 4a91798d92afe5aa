//! A visitor of serde that puts the values of the one shape where they belong, without values between.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::columns::{Columns, Text};
use crate::timestamp::rfc3339;

/// Reads a page.
pub fn page<'de, D: Deserializer<'de>>(
    deserializer: D,
    columns: &mut Columns,
) -> Result<(), D::Error> {
    Page(columns).deserialize(deserializer)
}

struct Page<'a>(&'a mut Columns);
struct Records<'a>(&'a mut Columns);
struct Record<'a>(&'a mut Columns);
struct Into<'a>(&'a mut Text);
struct Instant;

/// A seed is its own visitor.
macro_rules! seed {
    ($name:ident, $method:ident, $value:ty) => {
        impl<'de> DeserializeSeed<'de> for $name {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$value, D::Error> {
                from.$method(self)
            }
        }
    };
    ($name:ident<'_>, $method:ident) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
                from.$method(self)
            }
        }
    };
}
seed!(Page<'_>, deserialize_map);
seed!(Records<'_>, deserialize_seq);
seed!(Record<'_>, deserialize_map);
seed!(Into<'_>, deserialize_str);
seed!(Instant, deserialize_str, i64);

/// A key, without a copy where it has no escapes.
struct Key;
seed!(Key, deserialize_identifier, Field);

enum Field {
    Records,
    Id,
    Number,
    Name,
    Owner,
    Status,
    Path,
    Size,
    Score,
    Latitude,
    Shared,
    CreatedAt,
    UpdatedAt,
    Other,
}

impl Visitor<'_> for Key {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Field, E> {
        Ok(match key {
            "records" => Field::Records,
            "id" => Field::Id,
            "number" => Field::Number,
            "name" => Field::Name,
            "owner" => Field::Owner,
            "status" => Field::Status,
            "path" => Field::Path,
            "size" => Field::Size,
            "score" => Field::Score,
            "latitude" => Field::Latitude,
            "shared" => Field::Shared,
            "created_at" => Field::CreatedAt,
            "updated_at" => Field::UpdatedAt,
            _ => Field::Other,
        })
    }
}

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Field::Records => map.next_value_seed(Records(self.0))?,
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while records.next_element_seed(Record(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let columns = self.0;
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Field::Id => map.next_value_seed(Into(&mut columns.id))?,
                Field::Number => columns.number.push(map.next_value()?),
                Field::Name => map.next_value_seed(Into(&mut columns.name))?,
                Field::Owner => map.next_value_seed(Into(&mut columns.owner))?,
                Field::Status => map.next_value_seed(Into(&mut columns.status))?,
                Field::Path => map.next_value_seed(Into(&mut columns.path))?,
                Field::Size => columns.size.push(map.next_value()?),
                Field::Score => columns.score.push(map.next_value()?),
                Field::Latitude => columns.latitude.push(map.next_value()?),
                Field::Shared => columns.shared.push(map.next_value()?),
                Field::CreatedAt => columns.created_at.push(map.next_value_seed(Instant)?),
                Field::UpdatedAt => columns.updated_at.push(map.next_value_seed(Instant)?),
                Field::Records | Field::Other => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

impl Visitor<'_> for Into<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.values.extend_from_slice(text.as_bytes());
        self.0.end();
        Ok(())
    }
}

impl Visitor<'_> for Instant {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        match rfc3339(text.as_bytes()) {
            Some((micros, length)) if length == text.len() => Ok(micros),
            _ => Err(E::custom("no instant")),
        }
    }
}
