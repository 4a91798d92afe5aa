//! Objects whose members are columns of their own in the data files.

use serde::{Deserialize, Serialize};

use crate::{Field, FieldType};

/// How the members of objects become columns of their own. Records, as programs have them, keep
/// their objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlattenColumns {
    /// What stands between the names; `__` by default.
    pub separator: String,
    /// How many levels of objects are lifted; all of them by default.
    pub depth: u32,
    /// The fields of the record that are lifted; all of them when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl Default for FlattenColumns {
    fn default() -> Self {
        Self {
            separator: "__".to_owned(),
            depth: u32::MAX,
            fields: Vec::new(),
        }
    }
}

impl FlattenColumns {
    /// The name of the column of an object's member.
    #[must_use]
    pub fn join(&self, object: &str, member: &str) -> String {
        format!("{object}{}{member}", self.separator)
    }

    /// The columns that these fields become.
    #[must_use]
    pub fn columns(&self, fields: &[Field]) -> Vec<FlatColumn> {
        let mut columns = Vec::new();
        for field in fields {
            let is_meant = self.fields.is_empty() || self.fields.contains(&field.name);
            let depth = if is_meant { self.depth } else { 0 };
            let column = FlatColumn {
                path: vec![field.name.clone()],
                field: field.clone(),
            };
            self.lift(column, depth, &mut columns);
        }
        columns
    }

    fn lift(&self, column: FlatColumn, depth: u32, columns: &mut Vec<FlatColumn>) {
        let FlatColumn { path, field } = &column;
        let FieldType::Object(members) = &field.field_type else {
            columns.push(column);
            return;
        };
        if depth == 0 || members.is_empty() {
            columns.push(column);
            return;
        }
        for member in members {
            let lifted = FlatColumn {
                path: [path.as_slice(), std::slice::from_ref(&member.name)].concat(),
                field: Field {
                    name: self.join(&field.name, &member.name),
                    nullable: field.nullable || member.nullable,
                    ..member.clone()
                },
            };
            self.lift(lifted, depth - 1, columns);
        }
    }
}

/// A column and where its values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatColumn {
    /// The names of the objects around it in a record, the outermost first, and its own.
    pub path: Vec<String>,
    /// What it is, with the name of the column.
    pub field: Field,
}
