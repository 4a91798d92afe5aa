//! What happens to what the declared fields do not say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What happens to members that are not declared, and to values that do not fit their type.
///
/// | | a member that is not declared | a value that does not fit its field |
/// |---|---|---|
/// | `rescue` | goes to `_rescued` | null in its column, the value in `_rescued` |
/// | `evolve` | becomes a column; in `_rescued` until its type is known | the column becomes wider where that is exact, as `rescue` otherwise |
/// | `freeze` | stops the resource | stops the resource |
/// | `discard_value` | is dropped and counted | null in its column, the value is counted |
/// | `discard_row` | its record is dropped and counted | its record is dropped and counted |
///
/// A missing value or a null in a field that is not nullable stops the resource whatever the mode,
/// except that `discard_row` drops the record and counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// For members that are not declared.
    #[serde(default, skip_serializing_if = "ContractMode::is_default")]
    pub columns: ContractMode,
    /// For values that do not fit the type of their field.
    #[serde(default, skip_serializing_if = "ContractMode::is_default")]
    pub data_type: ContractMode,
    /// The fields whose modes differ: `data_type` is for the values of the field, `columns` for the
    /// members of the object that it is, or of those in its list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Contract>,
}

impl Contract {
    /// Whether everything is rescued, which plans do not mention.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// That of a field: its own, or else this one.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.fields.get(name).cloned().unwrap_or(Self {
            columns: self.columns,
            data_type: self.data_type,
            fields: BTreeMap::new(),
        })
    }

    /// Whether a mode occurs in it.
    #[must_use]
    pub fn has(&self, mode: ContractMode) -> bool {
        self.columns == mode
            || self.data_type == mode
            || self.fields.values().any(|field| field.has(mode))
    }
}

/// What happens to something that a contract does not know.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ContractMode {
    /// It is kept in `_rescued`.
    #[default]
    Rescue,
    /// The columns follow.
    Evolve,
    /// The resource stops, and nothing of it is published.
    Freeze,
    /// It is dropped and counted.
    DiscardValue,
    /// Its record is dropped and counted.
    DiscardRow,
}

impl ContractMode {
    /// Whether it is the mode of whoever says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
