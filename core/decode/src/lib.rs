//! JSON bytes to Arrow columns in one pass, driven by the field table.
//!
//! A [`Decoder`] walks a page once: it finds the records wherever the selector puts them, appends
//! every value straight to its column, takes the side values that paging asks for, and sends what
//! no column can hold to `_rescued`. There is no tree of values and no allocation per record.
//!
//! ```
//! use connector_decode::{Decoder, DecoderOptions, RecordSchema};
//! use connector_plan::{Field, FieldType, Selector, Step};
//!
//! # fn main() -> Result<(), connector_decode::Error> {
//! let schema = RecordSchema::new(&[Field {
//!     name: "file_id".to_owned(),
//!     field_type: FieldType::String,
//!     nullable: false,
//!     description: String::new(),
//! }]);
//! let options = DecoderOptions {
//!     selector: Selector {
//!         text: "files".to_owned(),
//!         steps: vec![Step::Key("files".to_owned())],
//!         ..Selector::default()
//!     },
//!     captures: vec![vec![Step::Key("next".to_owned())]],
//!     ..DecoderOptions::default()
//! };
//! let mut decoder = Decoder::new(schema, options)?;
//! let page = decoder.decode_page(br#"{"files": [{"file_id": "a"}, {"file_id": "b"}], "next": 2}"#)?;
//! assert_eq!(page.records, 2);
//! assert_eq!(page.captures[0], Some(2.into()));
//! assert_eq!(decoder.take_batch()?.num_rows(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What is accepted
//!
//! Documents of RFC 8259 in UTF-8, with or without a byte order mark. Where other readers differ:
//!
//! | input | here |
//! |---|---|
//! | duplicate keys of one object | the last one wins, and they are counted |
//! | `\ud800` without its other half, in a value that a text column would take | the raw value goes to `_rescued` |
//! | `\u0000` | a NUL character in the text |
//! | numbers | never go through a double unless the field is one; what a column cannot hold exactly goes to `_rescued` |
//! | nesting beyond [`DecoderOptions::max_depth`] | an error, also in values that no column takes |

mod column;
mod decoder;
mod draft;
mod error;
mod filter;
mod members;
mod number;
mod place;
mod processor;
mod query;
mod rescue;
mod schema;
mod shape;
mod timestamp;
mod tokens;
mod walk;

pub use decoder::{Decoder, DecoderOptions, Page, capture, select};
pub use draft::{Draft, Node};
pub use error::{Error, ErrorKind};
pub use filter::RecordFilter;
pub use processor::RecordProcessor;
pub use rescue::{Report, RescuedField};
pub use schema::{RAW_COLUMN, RecordSchema};
pub use shape::{Shape, regrow};
pub use timestamp::{TimestampFormat, parse_date, parse_timestamp};
