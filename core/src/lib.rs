//! The runtime of every connector: paging, authentication, retry, extraction and the command line.
//!
//! A connector crate is generated from a YAML spec and holds typed records, a typed client and the
//! spec's [plan](connector_plan::Plan). This crate interprets the plan: it makes the requests,
//! decodes their pages straight into Arrow columns and either streams them to a program
//! ([`Client`], [`Request`]) or publishes them as a Parquet dataset ([`cli`]).
//!
//! ```text
//! plan + settings ─► Client ─► Request ─► pages ─► columns ─► record batches ─► stream of records
//!                                                                           └─► Parquet dataset
//! ```

mod auth;
mod body;
mod calendar;
pub mod cli;
mod client;
mod connector;
mod convert;
mod cursor;
mod error;
mod expression;
mod extract;
mod filter;
mod http;
mod infer;
mod lock;
mod meter;
mod paging;
mod partition;
mod processing;
mod record;
mod report;
mod request;
mod run;
mod secret;
mod settings;
mod suggest;
mod template;
mod urls;

pub mod runs {
    //! Records of runs: what each did, as it is kept in `_connector/runs/<run>.json`.

    pub use connector_dataset::{
        ColumnChange, DataFile, LoadReport, RunId, SchemaChange, SourceId,
    };

    pub use crate::cursor::{CursorRecord, CursorSpan};
    pub use crate::run::{
        ErrorRecord, RECORD_VERSION, ReadingRecord, RescuedRecord, ResourceRecord, ResumedRecord,
        RunRecord, RunStatus, StageSeconds, Status, WaitRecord,
    };
}

/// The Arrow version whose types this crate's functions return.
pub use arrow;
pub use auth::{Auth, AuthRequest, Grant, LockedToken, TokenFile, TokenOrigin, TokenStore};
pub use client::{Client, ClientOptions};
pub use connector::Connector;
/// A path into a document, and where a paging value goes in a request.
pub use connector_plan::{Path, Step, Target};
pub use cursor::CursorInput;
pub use error::{Error, ErrorKind, Result};
pub use http::{Exchange, Trace};
pub use meter::{Meter, Reading};
pub use paging::{CustomPaginator, PageFacts, Paginator, Turn};
pub use record::{Cell, Date, Decimal, FromCell, Json, JsonObject, Record, Row, Timestamp};
pub use request::Request;
pub use secret::Secret;
pub use settings::{SettingValue, Settings};
