//! The root of a plan.

use serde::{Deserialize, Serialize};

use crate::{Client, Resource, Setting};

/// The version of the plan's own format; raised whenever its JSON changes incompatibly.
pub const PLAN_VERSION: u32 = 1;

/// A connector's spec with every default, alias and reference resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The format version, [`PLAN_VERSION`].
    pub version: u32,
    /// The connector's name, such as `storage`: a folder name and the prefix of its settings.
    pub name: String,
    /// What the API is, for people.
    pub description: String,
    /// SHA-256 of the spec's text, in lower-case hexadecimal.
    pub spec_hash: String,
    /// What a user can configure, in the order in which help lists it.
    pub settings: Vec<Setting>,
    /// How every request is made.
    pub client: Client,
    /// The resources, in the order of the spec.
    pub resources: Vec<Resource>,
}

impl Plan {
    /// Reads a plan from the JSON that codegen embedded.
    ///
    /// # Errors
    /// When the text is not a plan of this version.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let plan: Self = serde_json::from_str(text).map_err(PlanError::Json)?;
        if plan.version == PLAN_VERSION {
            Ok(plan)
        } else {
            Err(PlanError::Version(plan.version))
        }
    }

    /// Writes the plan as pretty JSON; the same plan always gives the same text.
    ///
    /// # Errors
    /// Never for a plan that codegen made; JSON has no form for a NaN default.
    pub fn to_json(&self) -> Result<String, PlanError> {
        serde_json::to_string_pretty(self).map_err(PlanError::Json)
    }

    /// The resource of this name.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// The setting of this name.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

/// Why a text is not a plan.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlanError {
    /// Not the JSON of a plan.
    Json(serde_json::Error),
    /// A plan of another format version.
    Version(u32),
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(_) => f.write_str("the embedded plan cannot be read"),
            Self::Version(found) => write!(
                f,
                "the plan has format version {found}, this runtime reads version {PLAN_VERSION}"
            ),
        }
    }
}

impl std::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(source) => Some(source),
            Self::Version(_) => None,
        }
    }
}
