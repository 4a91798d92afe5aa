//! Columns of objects, the records themselves among them.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StructArray};
use arrow::datatypes::Fields;
use connector_plan::{Contract as Modes, ContractMode, Field};

use super::Column;
use super::validity::Validity;
use crate::error::{Error, ErrorKind};
use crate::members::Members;
use crate::place::Place;
use crate::rescue::{Fate, Rescue};
use crate::schema::{arrow_fields, type_name};
use crate::tokens::{Tokens, excerpt};

/// The field that takes a record which is no object.
const BARE_FIELD: &str = "value";

/// A column of objects.
#[derive(Debug)]
pub(crate) struct ObjectColumn {
    members: Members,
    columns: Vec<Column>,
    /// What the records have to say about each column.
    contracts: Vec<Contract>,
    /// What happens to members that are not declared.
    undeclared: ContractMode,
    fields: Fields,
    validity: Validity,
    len: usize,
    /// Whether the first column takes each record as its text.
    raw: bool,
}

#[derive(Debug)]
struct Contract {
    nullable: bool,
    name: Box<str>,
    expected: &'static str,
    /// What happens to values that do not fit.
    mode: ContractMode,
}

/// The violations of one object so far: a later member of the same key may heal one.
#[derive(Debug, Default)]
struct Violations(Vec<(usize, Error)>);

impl ObjectColumn {
    pub(crate) fn new(fields: &[Field], modes: &Modes, levels: usize) -> Result<Self, Error> {
        let levels = levels.checked_sub(1).ok_or_else(Error::schema_too_deep)?;
        let columns = fields
            .iter()
            .map(|field| Column::new(&field.field_type, &modes.field(&field.name), levels))
            .collect::<Result<_, _>>()?;
        let contracts = fields
            .iter()
            .map(|field| Contract {
                nullable: field.nullable,
                name: field.name.as_str().into(),
                expected: type_name(&field.field_type),
                mode: modes.field(&field.name).data_type,
            })
            .collect();
        Ok(Self {
            members: Members::new(fields),
            columns,
            contracts,
            undeclared: modes.columns,
            fields: arrow_fields(fields),
            validity: Validity::default(),
            len: 0,
            raw: false,
        })
    }

    /// Records that are kept as they are, in the first column.
    pub(crate) fn raw(self) -> Self {
        Self { raw: true, ..self }
    }

    #[cold]
    fn read_raw(
        &mut self,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        for column in &mut self.columns {
            column.read(tokens, rescue, place)?;
        }
        self.len += 1;
        Ok(())
    }

    /// The objects in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes an object, whose brace is next, and appends it.
    pub(crate) fn read(
        &mut self,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        if self.raw {
            return self.read_raw(tokens, rescue, place);
        }
        let start = rescue.position(tokens.at);
        let mut filled = 0;
        let mut violations = Violations::default();
        tokens.open()?;
        if tokens.peek() == b'}' {
            tokens.close();
        } else {
            let mut slot = Members::START;
            loop {
                let key_at = tokens.at;
                slot = self.members.find(tokens, slot)?;
                let field = Members::field(slot);
                let position = rescue.position(tokens.at);
                let seen = &mut self.members.slot_mut(slot).at;
                let before = std::mem::replace(seen, position);
                if before >= start {
                    self.take_back(field, before, tokens, rescue, &mut violations);
                } else {
                    filled += usize::from(field < self.columns.len());
                }
                self.read_member(slot, tokens, rescue, &place.key(key_at), &mut violations)?;
                if !tokens.separator(b'}')? {
                    break;
                }
            }
            self.members.settle();
        }
        self.finish(start, filled, tokens, rescue, place, violations)
    }

    /// Takes a record that is no object and appends it: its value is that of the field `value`.
    #[cold]
    pub(crate) fn read_bare(
        &mut self,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        if self.raw {
            return self.read_raw(tokens, rescue, place);
        }
        let start = rescue.position(tokens.at);
        let mut violations = Violations::default();
        let slot = self.members.slot_of(BARE_FIELD.as_bytes());
        self.members.slot_mut(slot).at = start;
        let filled = usize::from(Members::field(slot) < self.columns.len());
        let null = tokens.peek() == b'n';
        if filled == 0 && null {
            tokens.literal("null")?;
        } else {
            let place = place.name(BARE_FIELD);
            self.read_member(slot, tokens, rescue, &place, &mut violations)?;
        }
        self.finish(start, filled, tokens, rescue, place, violations)
    }

    /// Takes a member's value and appends it where it belongs.
    #[inline]
    fn read_member(
        &mut self,
        slot: usize,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let field = Members::field(slot);
        let value_at = tokens.at;
        let fits = match self.columns.get_mut(field) {
            Some(column) if tokens.peek() != b'n' => {
                column.read(tokens, rescue, place)?
                    || self.read_empty_text(field, value_at, tokens, rescue, place, violations)?
            }
            Some(column) => {
                tokens.literal("null")?;
                column.append_null();
                if !self.contracts[field].nullable {
                    self.violate(field, value_at, tokens, rescue, place, violations);
                }
                true
            }
            None => false,
        };
        if !fits {
            self.rescue_member(slot, value_at, tokens, rescue, place, violations)?;
        }
        Ok(())
    }

    /// Takes an empty text for null, where texts stand for values of other types.
    #[cold]
    #[inline(never)]
    fn read_empty_text(
        &mut self,
        field: usize,
        value_at: usize,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
        violations: &mut Violations,
    ) -> Result<bool, Error> {
        if !tokens.texts {
            return Ok(false);
        }
        tokens.at = value_at;
        if tokens.peek() != b'"' || !tokens.raw_string()?.0.trim_ascii().is_empty() {
            return Ok(false);
        }
        if let Some(column) = self.columns.get_mut(field) {
            column.append_null();
        }
        if !self.contracts[field].nullable {
            self.violate(field, value_at, tokens, rescue, place, violations);
        }
        Ok(true)
    }

    /// Takes a value that no column can, from its start.
    #[inline(never)]
    fn rescue_member(
        &mut self,
        slot: usize,
        value_at: usize,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        tokens.at = value_at;
        tokens.skip_value()?;
        let field = Members::field(slot);
        let mode = self
            .contracts
            .get(field)
            .map_or(self.undeclared, |c| c.mode);
        if let Some(column) = self.columns.get_mut(field) {
            column.append_null();
            if !self.contracts[field].nullable && mode != ContractMode::Freeze {
                self.violate(field, value_at, tokens, rescue, place, violations);
                if mode == ContractMode::DiscardRow {
                    return Ok(());
                }
            }
        }
        let fate = match mode {
            ContractMode::Freeze => {
                let expected = self.contracts.get(field).map(|contract| contract.expected);
                let found = tokens.since(value_at);
                violations.freeze(field, expected, tokens, value_at, found, place);
                return Ok(());
            }
            ContractMode::Rescue => Fate::Rescue,
            ContractMode::Evolve => Fate::Evolve,
            ContractMode::DiscardValue => Fate::DiscardValue,
            ContractMode::DiscardRow => Fate::DiscardRow,
        };
        let path = &mut self.members.slot_mut(slot).path;
        rescue.add(tokens, value_at..tokens.at, fate, place, path);
        Ok(())
    }

    /// A field that is never null is: the value at `at`, or nothing before what is there.
    #[cold]
    #[inline(never)]
    fn violate(
        &mut self,
        field: usize,
        at: usize,
        tokens: &Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
        violations: &mut Violations,
    ) {
        let contract = &self.contracts[field];
        if contract.mode == ContractMode::DiscardRow {
            let path = self.members.declared_path(field);
            // What is missing is where its object ends, so that it goes with the object.
            let start = at.min(tokens.at.saturating_sub(1));
            rescue.add(tokens, start..tokens.at, Fate::DiscardRow, place, path);
            return;
        }
        violations.null(field, contract.expected, tokens, at, place);
    }

    /// A key comes again: what its earlier value, which was at `before`, left is taken back.
    #[cold]
    #[inline(never)]
    fn take_back(
        &mut self,
        field: usize,
        before: u64,
        tokens: &Tokens<'_>,
        rescue: &mut Rescue,
        violations: &mut Violations,
    ) {
        if let Some(column) = self.columns.get_mut(field) {
            column.truncate(self.len);
        }
        violations.0.retain(|(violated, _)| *violated != field);
        rescue.take_back(tokens, before);
    }

    /// Fills the columns of fields that the object does not have.
    #[inline]
    fn finish(
        &mut self,
        start: u64,
        filled: usize,
        tokens: &Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
        mut violations: Violations,
    ) -> Result<(), Error> {
        if filled < self.columns.len() {
            let mut missing = Vec::new();
            for (field, column) in self.columns.iter_mut().enumerate() {
                if self.members.declared(field).at >= start {
                    continue;
                }
                column.append_null();
                if !self.contracts[field].nullable {
                    missing.push(field);
                }
            }
            for field in missing {
                let name = self.contracts[field].name.clone();
                let place = place.name(&name);
                self.violate(field, tokens.at, tokens, rescue, &place, &mut violations);
            }
        }
        self.len += 1;
        match violations.0.pop() {
            None => Ok(()),
            Some((_, error)) => Err(error),
        }
    }

    pub(crate) fn append_null(&mut self) {
        for column in &mut self.columns {
            column.append_null();
        }
        self.validity.set_null(self.len);
        self.len += 1;
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        for column in &mut self.columns {
            column.truncate(len);
        }
        self.validity.truncate(len);
        self.len = len;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum::<usize>() + self.validity.bytes()
    }

    /// The columns of the fields as arrays; they are empty afterwards.
    pub(crate) fn take_columns(&mut self) -> Result<Vec<ArrayRef>, Error> {
        let arrays = self.columns.iter_mut().map(Column::take).collect();
        self.len = 0;
        arrays
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        let len = self.len;
        let nulls = self.validity.take(len);
        let fields = self.fields.clone();
        let array = StructArray::try_new_with_length(fields, self.take_columns()?, nulls, len)
            .map_err(Error::from_arrow)?;
        debug_assert_eq!(array.len(), len);
        Ok(Arc::new(array))
    }
}

impl Violations {
    /// A field that is never null has no value, or one that does not fit.
    #[cold]
    fn null(
        &mut self,
        field: usize,
        expected: &str,
        tokens: &Tokens<'_>,
        at: usize,
        place: &Place<'_>,
    ) {
        let path = place.json_path(tokens.bytes());
        let record = place.record_number();
        let found = tokens.since(at);
        let message = if found.is_empty() {
            format!("record {record} of the page has no `{path}`: expected {expected}")
        } else {
            let found = excerpt(found);
            format!("`{path}` of record {record} of the page: expected {expected}, found `{found}`")
        };
        let error = Error::new(ErrorKind::SchemaContract, message)
            .at(at)
            .with_hint("a field that may be missing or null is declared `nullable: true`");
        self.0.push((field, error));
    }

    /// A member is not declared, or does not fit, where nothing may change.
    #[cold]
    fn freeze(
        &mut self,
        field: usize,
        expected: Option<&str>,
        tokens: &Tokens<'_>,
        at: usize,
        found: &[u8],
        place: &Place<'_>,
    ) {
        self.0
            .push((field, frozen(expected, tokens, at, found, place)));
    }
}

/// What a frozen contract says to a value; without an expected type its member is not declared.
#[cold]
pub(super) fn frozen(
    expected: Option<&str>,
    tokens: &Tokens<'_>,
    at: usize,
    found: &[u8],
    place: &Place<'_>,
) -> Error {
    let expected = expected.unwrap_or("no such field, as the schema declares none");
    let path = place.json_path(tokens.bytes());
    let record = place.record_number();
    let found = excerpt(found);
    Error::new(
        ErrorKind::SchemaContract,
        format!("`{path}` of record {record} of the page: expected {expected}, found `{found}`"),
    )
    .at(at)
    .with_hint(
        "the `schema_contract` is `freeze`: correct the `schema`, or choose a mode that goes on, \
         such as `rescue` or `evolve`",
    )
}
