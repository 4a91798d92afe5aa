//! The errors of the decoder and of the dataset as errors of the runtime.

use connector_dataset::ErrorKind as DatasetKind;
use connector_decode::ErrorKind as DecodeKind;

use crate::secret::Redactor;
use crate::{Error, ErrorKind};

/// A page that could not be decoded; what the page said is shown without secrets.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
pub(crate) fn decode_error(error: connector_decode::Error, redactor: &Redactor) -> Error {
    let kind = match error.kind() {
        DecodeKind::SchemaContract => ErrorKind::SchemaContract,
        DecodeKind::Internal | DecodeKind::Configuration => ErrorKind::Internal,
        _ => ErrorKind::Source,
    };
    let mut converted = Error::new(kind, redactor.redact(&error.to_string()));
    if let Some(hint) = error.hint() {
        converted = converted.hint(redactor.redact(hint));
    }
    converted
}

/// A dataset that could not be read or written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
pub(crate) fn dataset_error(error: connector_dataset::Error) -> Error {
    let kind = match error.kind() {
        DatasetKind::Configuration | DatasetKind::Conflict => ErrorKind::Configuration,
        DatasetKind::Destination => ErrorKind::Destination,
        DatasetKind::SchemaContract => ErrorKind::SchemaContract,
        _ => ErrorKind::Internal,
    };
    let mut converted = Error::new(kind, error.to_string());
    if let Some(hint) = error.hint() {
        converted = converted.hint(hint);
    }
    match std::error::Error::source(&error) {
        Some(cause) => converted.caused_by(cause.to_string()),
        None => converted,
    }
}
