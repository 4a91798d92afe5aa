//! Declared fields, grown by what records have beyond them.

use connector_plan::{Contract, ContractMode, Field, FieldType};

use super::{ARRAY, DOUBLE, NULL, OBJECT, Shape, TEXT, TIMESTAMP, WIDE};

impl Shape {
    /// The fields with what records of this shape have beyond them, as far as a contract lets them
    /// evolve.
    ///
    /// Members that are not declared come behind the fields, nullable, in the order of the inference
    /// without a schema and with its types; a member that has had nothing but null, `{}` and `[]` is
    /// none yet. A field becomes wider where all that it may hold stays exact: integers become
    /// numbers when there was one, dates become texts when there was another. Whether the integers
    /// that are there are exact as doubles is not known here.
    #[must_use]
    pub fn grow(&self, fields: &[Field], contract: &Contract) -> Vec<Field> {
        self.grow_fields(fields, contract, true)
    }

    fn grow_fields(&self, fields: &[Field], contract: &Contract, is_record: bool) -> Vec<Field> {
        let mut grown: Vec<Field> = fields.to_vec();
        for field in &mut grown {
            if let Some(member) = self.members.get(field.name.as_str()) {
                let contract = contract.field(&field.name);
                field.field_type = member.shape.grow_type(&field.field_type, &contract);
            }
        }
        if contract.columns != ContractMode::Evolve {
            return grown;
        }
        for mut field in self.declarable(is_record) {
            let known = |other: &Field| other.name.to_lowercase() == field.name.to_lowercase();
            if grown.iter().any(known) {
                continue;
            }
            let member = self.members.get(field.name.as_str());
            if let Some(field_type) = member.and_then(|member| member.shape.shown_type()) {
                field.field_type = field_type;
                grown.push(field);
            }
        }
        grown
    }

    fn grow_type(&self, old: &FieldType, contract: &Contract) -> FieldType {
        let evolves = contract.data_type == ContractMode::Evolve;
        let has = |kinds: u16| self.kinds & kinds != 0;
        match old {
            FieldType::Object(fields) => {
                FieldType::Object(self.grow_fields(fields, contract, false))
            }
            FieldType::List(item) => FieldType::List(match &self.item {
                Some(shape) => Box::new(shape.grow_type(item, contract)),
                None => item.clone(),
            }),
            FieldType::Integer if evolves && has(DOUBLE) && !has(WIDE) => FieldType::Number,
            FieldType::Date if evolves && has(TEXT | TIMESTAMP) => FieldType::String,
            old => old.clone(),
        }
    }

    /// The type of values like these; nothing while they do not show one.
    fn shown_type(&self) -> Option<FieldType> {
        match self.kinds & !NULL {
            0 => None,
            OBJECT => {
                let mut fields = self.declarable(false);
                fields.retain_mut(|field| {
                    let member = self.members.get(field.name.as_str());
                    match member.and_then(|member| member.shape.shown_type()) {
                        Some(field_type) => {
                            field.field_type = field_type;
                            true
                        }
                        None => false,
                    }
                });
                (!fields.is_empty()).then_some(FieldType::Object(fields))
            }
            ARRAY => {
                let item = self.item.as_ref()?.shown_type()?;
                Some(FieldType::List(Box::new(item)))
            }
            _ => Some(self.field_type()),
        }
    }
}

/// The fields as they were declared, with what an earlier growth added to them.
///
/// What is declared otherwise meanwhile counts as it is declared.
#[must_use]
pub fn regrow(declared: &[Field], grown: &[Field]) -> Vec<Field> {
    let mut fields: Vec<Field> = declared.to_vec();
    for field in &mut fields {
        if let Some(other) = grown.iter().find(|other| other.name == field.name) {
            field.field_type = regrow_type(&field.field_type, &other.field_type);
        }
    }
    for other in grown {
        let known = |field: &Field| field.name.to_lowercase() == other.name.to_lowercase();
        if !fields.iter().any(known) {
            fields.push(other.clone());
        }
    }
    fields
}

fn regrow_type(declared: &FieldType, grown: &FieldType) -> FieldType {
    match (declared, grown) {
        (FieldType::Object(declared), FieldType::Object(grown)) => {
            FieldType::Object(regrow(declared, grown))
        }
        (FieldType::List(declared), FieldType::List(grown)) => {
            FieldType::List(Box::new(regrow_type(declared, grown)))
        }
        (FieldType::Integer, FieldType::Number) | (FieldType::Date, FieldType::String) => {
            grown.clone()
        }
        _ => declared.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn field(name: &str, field_type: FieldType) -> Field {
        Field {
            name: name.to_owned(),
            field_type,
            nullable: true,
            description: String::new(),
        }
    }

    fn show(fields: &[Field]) -> String {
        let fields: Vec<String> = fields
            .iter()
            .map(|field| format!("{} {}", field.name, show_type(&field.field_type)))
            .collect();
        fields.join(", ")
    }

    fn show_type(field_type: &FieldType) -> String {
        match field_type {
            FieldType::Object(fields) => format!("{{{}}}", show(fields)),
            FieldType::List(item) => format!("[{}]", show_type(item)),
            FieldType::Timestamp { .. } => "timestamp".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// What fields become by records, in any order and in parts.
    #[track_caller]
    fn check(records: &[&str], contract: &Contract, expect: &str) {
        let inner = vec![field("login", FieldType::String)];
        let fields = [
            field("id", FieldType::Integer),
            field("day", FieldType::Date),
            field("owner", FieldType::Object(inner.clone())),
            field("team", FieldType::List(Box::new(FieldType::Object(inner)))),
        ];
        let mut forward = Shape::default();
        let mut backward = Shape::default();
        for record in records {
            forward.add_record(record.as_bytes()).unwrap();
        }
        for record in records.iter().rev() {
            let mut one = Shape::default();
            one.add_record(record.as_bytes()).unwrap();
            backward.join(&one);
        }
        let grown = forward.grow(&fields, contract);
        assert_eq!(show(&grown), expect);
        assert_eq!(backward.grow(&fields, contract), grown);
        // What has grown is a fixed point, and is found again from what is declared.
        assert_eq!(forward.grow(&grown, contract), grown);
        assert_eq!(regrow(&fields, &grown), grown);
    }

    const SAME: &str = "id integer, day date, owner {login string}, team [{login string}]";

    fn modes(columns: ContractMode, data_type: ContractMode) -> Contract {
        Contract {
            columns,
            data_type,
            fields: BTreeMap::new(),
        }
    }

    #[test]
    fn members_become_columns_when_they_show_a_type() {
        let columns = &modes(ContractMode::Evolve, ContractMode::Rescue);
        check(&[], columns, SAME);
        check(
            &[r#"{"n": null, "o": {}, "l": [], "m": [[], null], "p": {"q": null}, "id": 1.5}"#],
            columns,
            SAME,
        );
        check(
            &[
                r#"{"b": 1, "id": 1, "a": "x"}"#,
                r#"{"a": "2026-01-31", "b": null, "t": "2026-01-31T10:00:00Z"}"#,
            ],
            columns,
            &format!("{SAME}, a string, b integer, t timestamp"),
        );
        check(
            &[
                r#"{"o": {"x": null, "y": 1}, "l": [[], [0.5]], "mixed": 1}"#,
                r#"{"mixed": "a", "ID": 2}"#,
            ],
            columns,
            &format!("{SAME}, mixed json, o {{y integer}}, l [[number]]"),
        );
        check(
            &[r#"{"owner": {"nick": "a"}, "team": [{"login": "b"}, {"role": true}]}"#],
            columns,
            "id integer, day date, owner {login string, nick string}, \
             team [{login string, role boolean}]",
        );
    }

    #[test]
    fn types_become_wider_where_that_is_exact() {
        let types = &modes(ContractMode::Rescue, ContractMode::Evolve);
        let wide = "id number, day string, owner {login string}, team [{login string}]";
        check(&[r#"{"id": 1.5, "day": "soon", "new": 1}"#], types, wide);
        check(
            &[
                r#"{"id": 1.5, "day": "2026-01-31T10:00:00Z"}"#,
                r#"{"id": "x"}"#,
            ],
            types,
            wide,
        );
        check(
            &[r#"{"id": true, "day": 5}"#, r#"{"id": "x"}"#],
            types,
            SAME,
        );
        check(
            &[r#"{"id": 1.5}"#, r#"{"id": 9007199254740993}"#],
            types,
            SAME,
        );
        let mut apart = modes(ContractMode::Evolve, ContractMode::Evolve);
        apart.fields.insert("id".to_owned(), Contract::default());
        apart.fields.insert("owner".to_owned(), Contract::default());
        check(
            &[r#"{"id": 1.5, "owner": {"nick": 1}, "new": 1}"#],
            &apart,
            &format!("{SAME}, new integer"),
        );
    }
}
