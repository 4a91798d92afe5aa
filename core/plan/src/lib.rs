//! The plan of a connector: its spec, resolved into plain data.
//!
//! `connector-codegen` lowers a YAML spec into a [`Plan`] and embeds it in the connector as JSON;
//! `connector-core` interprets it. This crate is all that the two share, so it depends on serde
//! alone: a build script that links it stays cheap, and the runtime knows neither YAML nor code
//! generation.
//!
//! A plan is *resolved*: defaults are filled in, aliases are gone, references are checked. Reading
//! one back (see [`Plan::from_json`]) can fail only when it was written by another version.

mod client;
mod contract;
mod endpoint;
mod expression;
mod field;
mod flatten;
mod incremental;
mod layout;
mod merge;
mod paginator;
mod plan;
mod processing;
mod relations;
mod resource;
mod response;
pub mod sandbox;
mod selector;
mod setting;
mod template;

pub use client::{
    ApiKeyLocation, Auth, Client, ClientAuthentication, Grant, JwtAlgorithm, JwtGrant,
    NamedTemplate, OAuth2, RateLimit, Retry, SessionToken, Timeouts,
};
pub use contract::{Contract, ContractMode};
pub use endpoint::{Body, Endpoint, Method, Parameter};
pub use expression::{
    Comparison, Condition, FILTERS, FUNCTIONS, Jinja, Operand, Predicate, Read, TESTS,
};
pub use field::{Field, FieldType};
pub use flatten::{FlatColumn, FlattenColumns};
pub use incremental::{CursorKind, Incremental, Length, MissingCursor, RowOrder};
pub use layout::{Compression, Layout, Nulls, PartitionBy, PartitionColumn, SortColumn};
pub use merge::{DedupSort, History, Merge, MergeStrategy, SortOrder};
pub use paginator::{Cursor, CursorSource, Offset, PageNumber, Paginator, Stop, Target};
pub use plan::{PLAN_VERSION, Plan, PlanError};
pub use processing::{Assignment, Explode, Flatten, MemberPath, ProcessingStep, Renaming};
pub use relations::{Binding, Include, Parent, Relations};
pub use resource::{Resource, WriteDisposition};
pub use response::{
    Action, BodyFormat, Csv, HeaderValueIs, ResponseAction, ResponseBody, StatusRange, Wait,
};
pub use selector::{Path, Segment, Selector, Step, follow};
pub use setting::{Setting, SettingKind, SettingRole};
pub use template::{Expression, Lookup, Part, Root, Template};

/// The column that holds, as JSON text, what the declared fields could not.
pub const RESCUED_COLUMN: &str = "_rescued";
