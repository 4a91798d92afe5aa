//! What happens to what the fields of a resource do not say.

use std::collections::BTreeMap;

use connector_plan::{Contract, ContractMode, Field, FieldType, Merge};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{
    ContractModeSpec, ContractSpec, FieldMapping, FieldSpec, Key, Named, ResourceMapping,
};
use crate::words::quote;

impl Lowering<'_, '_> {
    /// The contract of a resource; its fields and how they are merged are known.
    pub(super) fn contract(
        &mut self,
        resource: &ResourceMapping,
        fields: &[Field],
        merge: &Merge,
    ) -> Contract {
        let own = modes(&resource.schema_contract, &Contract::default());
        if resource.schema.is_unset() {
            self.no_schema(resource);
            return Contract::default();
        }
        let schema = resource.schema.get();
        let written = schema.and_then(|schema| schema.fields.get());
        let contract = Contract {
            fields: self.field_contracts(written, fields, &own),
            ..own
        };
        if contract.has(ContractMode::DiscardRow)
            && merge.history().is_some_and(|history| history.retire_absent)
        {
            let name = resource.name.given();
            let blame = name.map_or(resource.blame, |name| name.span);
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    "records that are dropped would be taken for absent",
                )
                .label(
                    resource.schema_contract.key_span().unwrap_or(blame),
                    "`discard_row` drops records, and `retire_absent` ends what is absent",
                )
                .help("choose `discard_value`, or remove `retire_absent`"),
            );
        }
        contract
    }

    /// Without a schema the columns follow the records, and there is nothing else to keep to.
    fn no_schema(&mut self, resource: &ResourceMapping) {
        let Some(given) = resource.schema_contract.given() else {
            return;
        };
        let is_evolve = match &given.value {
            ContractSpec::Mode(mode) => *mode == ContractModeSpec::Evolve,
            ContractSpec::Mapping(mapping) => [&mapping.columns, &mapping.data_type]
                .into_iter()
                .all(|key| {
                    key.get()
                        .is_none_or(|mode| *mode == ContractModeSpec::Evolve)
                }),
        };
        if is_evolve {
            return;
        }
        let name = resource.name.given();
        let blame = name.map_or(resource.blame, |name| name.span);
        self.report(
            Diagnostic::error(code::MISSING_KEY, "`schema_contract` needs `schema`")
                .label(given.key.span, "there are no fields to keep to")
                .label(
                    blame,
                    "this resource has no `schema`: its columns follow its records",
                )
                .help(
                    "`cargo connector infer SPEC` prints one; without it only `evolve` can be \
                     promised",
                ),
        );
    }

    /// The contracts of fields that have their own, or of which a part has.
    fn field_contracts(
        &mut self,
        written: Option<&Named<FieldSpec>>,
        fields: &[Field],
        around: &Contract,
    ) -> BTreeMap<String, Contract> {
        let mut contracts = BTreeMap::new();
        for (name, given) in written.into_iter().flat_map(Named::given) {
            let spec = &given.value.0;
            let field = fields.iter().find(|field| field.name == name.text);
            let field_type = field.map(|field| &field.field_type);
            self.check_contract(&spec.schema_contract, field_type);
            let own = modes(&spec.schema_contract, around);
            let (inner, fields) = self.members(spec, field_type);
            let contract = Contract {
                fields: self.field_contracts(inner, fields, &own),
                ..own
            };
            if contract != around.field(&name.text) {
                contracts.insert(name.text.clone(), contract);
            }
        }
        contracts
    }

    /// The members of the object that a field is, or of those in its list.
    fn members<'s, 'f>(
        &mut self,
        spec: &'s FieldMapping,
        field_type: Option<&'f FieldType>,
    ) -> (Option<&'s Named<FieldSpec>>, &'f [Field]) {
        match field_type {
            Some(FieldType::Object(fields)) => (spec.fields.get(), fields),
            Some(FieldType::List(item)) => {
                let Some(items) = spec.items.get().map(|items| &items.0.0) else {
                    return (None, &[]);
                };
                if let Some(span) = items.schema_contract.key_span() {
                    self.report(
                        Diagnostic::error(
                            code::CONFLICT,
                            "`schema_contract` is for fields, not for elements",
                        )
                        .label(span, "elements have the contract of their array")
                        .help("move it to the array"),
                    );
                }
                self.members(items, Some(item))
            }
            _ => (None, &[]),
        }
    }

    fn check_contract(&mut self, key: &Key<ContractSpec>, field_type: Option<&FieldType>) {
        let Some(ContractSpec::Mapping(mapping)) = key.get() else {
            return;
        };
        let mut misplaced = |span: Span, label: &str| {
            let key = quote(span.of(self.reporter.text));
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    format!("{key} has no meaning for this field"),
                )
                .label(span, label)
                .help("remove it"),
            );
        };
        if let Some(span) = mapping.tables.key_span() {
            misplaced(span, "only a resource has tables");
        }
        if let Some(span) = mapping.columns.key_span()
            && field_type.is_some_and(|field_type| !has_members(field_type))
        {
            misplaced(span, "only an object has members");
        }
    }
}

fn has_members(field_type: &FieldType) -> bool {
    match field_type {
        FieldType::Object(_) => true,
        FieldType::List(item) => has_members(item),
        _ => false,
    }
}

/// The modes that are written, and for the others those of what is around.
fn modes(key: &Key<ContractSpec>, around: &Contract) -> Contract {
    let (columns, data_type) = match key.get() {
        None => (None, None),
        Some(ContractSpec::Mode(mode)) => (Some(*mode), Some(*mode)),
        Some(ContractSpec::Mapping(mapping)) => (
            mapping.columns.get().copied(),
            mapping.data_type.get().copied(),
        ),
    };
    Contract {
        columns: columns.map_or(around.columns, mode),
        data_type: data_type.map_or(around.data_type, mode),
        fields: BTreeMap::new(),
    }
}

fn mode(mode: ContractModeSpec) -> ContractMode {
    match mode {
        ContractModeSpec::Rescue => ContractMode::Rescue,
        ContractModeSpec::Evolve => ContractMode::Evolve,
        ContractModeSpec::Freeze => ContractMode::Freeze,
        ContractModeSpec::DiscardValue => ContractMode::DiscardValue,
        ContractModeSpec::DiscardRow => ContractMode::DiscardRow,
    }
}
