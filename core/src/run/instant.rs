//! Instants of a record: UTC, RFC 3339, always six digits of a second, so that texts sort by time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RunRecord;

pub(super) fn serialize<S: Serializer>(
    instant: &Option<DateTime<Utc>>,
    output: S,
) -> Result<S::Ok, S::Error> {
    instant.map(RunRecord::instant).serialize(output)
}

/// Whatever is no instant is none.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    let instant = text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    Ok(instant.map(|instant| instant.to_utc()))
}
