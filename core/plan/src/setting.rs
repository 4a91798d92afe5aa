//! What a user of a connector can configure.

use serde::{Deserialize, Serialize};

/// One input of a connector: a flag, an environment variable, a key of the configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The name in snake case: the key in configuration files, `--base-url` as a flag.
    pub name: String,
    /// The environment variable, such as `STORAGE_BASE_URL`.
    ///
    /// A secret can also be read from the file that `<environment>_FILE` names.
    pub environment: String,
    /// What the setting does.
    pub role: SettingRole,
    /// The type of its value.
    pub kind: SettingKind,
    /// Whether it is never shown and never accepted as a flag.
    pub secret: bool,
    /// Whether a run against a real API needs it; false whenever there is a default.
    pub required: bool,
    /// The value used when nothing sets it.
    pub default: Option<serde_json::Value>,
    /// The only values accepted, when not empty.
    pub allowed: Vec<serde_json::Value>,
    /// One sentence for help and documentation.
    pub description: String,
}

/// What a setting does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingRole {
    /// Moves every URL of the spec that lies on the spec's own origin.
    BaseUrl,
    /// Moves the token URL alone.
    TokenUrl,
    /// An input that templates read as `config.<name>` or `secrets.<name>`.
    Input,
}

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// Text.
    String,
    /// A 64-bit signed integer.
    Integer,
    /// A double.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A calendar date, `2026-01-31`.
    Date,
    /// An RFC 3339 timestamp.
    Timestamp,
    /// An absolute `http` or `https` URL.
    Url,
}
