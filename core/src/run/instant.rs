//! Instants of a record: UTC, RFC 3339, always six digits of a second, so that texts sort by time.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(
    instant: &Option<DateTime<Utc>>,
    output: S,
) -> Result<S::Ok, S::Error> {
    let text = instant.map(|instant| instant.to_rfc3339_opts(SecondsFormat::Micros, true));
    text.serialize(output)
}

/// Whatever is no instant is none.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    let instant = text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    Ok(instant.map(|instant| instant.to_utc()))
}
