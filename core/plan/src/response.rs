//! How answers are read: the format of their bodies, and what is done about some of them.

use serde::{Deserialize, Serialize};

use crate::Condition;

/// How the body of a page is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseBody {
    /// The format.
    pub format: BodyFormat,
    /// Whether the body is a gzip file (RFC 1952), beside any content encoding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gzip: bool,
}

impl ResponseBody {
    /// Whether it is plain JSON, which is what a plan that says nothing means.
    #[must_use]
    pub fn is_json(&self) -> bool {
        *self == Self::default()
    }
}

/// The format of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// One JSON document (RFC 8259).
    #[default]
    Json,
    /// JSON Lines: a JSON value per line.
    Jsonl,
    /// Comma-separated values (RFC 4180).
    Csv(Csv),
    /// XML 1.0: elements become members, attributes `@name`, text beside them `#text`, and elements
    /// of the same name a list.
    Xml,
}

/// How comma-separated values are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// What stands between two values: an ASCII character.
    pub delimiter: char,
    /// What stands around values that have delimiters or line breaks, twice within them: an ASCII
    /// character.
    pub quote: Option<char>,
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// The names of the columns, in place of those of the header; empty when the header counts.
    pub columns: Vec<String>,
    /// The unquoted values that are null.
    pub nulls: Vec<String>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: Some('"'),
            header: true,
            columns: Vec::new(),
            nulls: vec![String::new()],
        }
    }
}

/// Something that is done about an answer when everything that it says is true of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseAction {
    /// The status is in one of these ranges; any status without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<StatusRange>,
    /// The answer has these headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderValueIs>,
    /// The text of the body contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// This is true of the answer, whose body is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<Condition>,
    /// What is done.
    pub action: Action,
    /// What an error says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long to wait before a retry, in the order of preference; the retry rules otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRange {
    /// The first.
    pub from: u16,
    /// The last.
    pub to: u16,
}

impl StatusRange {
    /// Whether a status is among them.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.from..=self.to).contains(&status)
    }
}

/// A header and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderValueIs {
    /// The name, in lower case.
    pub name: String,
    /// The whole value.
    pub value: String,
}

/// What is done about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is a page without records, the last one; it is counted.
    Ignore,
    /// The request is sent again, by the retry rules.
    Retry,
    /// The reading fails.
    Fail,
    /// The credentials are renewed and the request is sent again, once; then the reading fails.
    RefreshToken,
    /// It is a page, whatever its status.
    Success,
}

/// How long to wait before a retry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// So many seconds.
    Seconds(f64),
    /// As many seconds as this header says, when the answer has it.
    Header(String),
    /// Until the second since 1970 that this header says, when the answer has it.
    Until {
        /// The header.
        header: String,
        /// The shortest wait, in seconds.
        #[serde(default)]
        minimum: f64,
    },
}
