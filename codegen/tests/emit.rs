//! Whatever the names and descriptions of a plan: the generated code is Rust, and says only what
//! was meant.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::collections::BTreeSet;

use connector_codegen::{EmitOptions, Ir, LowerOptions, RecordIr, Source, emit, lower};
use connector_plan::{Field, FieldType};
use proptest::prelude::*;
use syn::{Expr, Fields, ImplItem, Item, Lit, Meta, Type};

const SPEC: &str = "\
client: {base_url: https://api.example.com}
config: {a: string, b: {secret: true}}
resources:
  - name: things
    endpoint: {params: {a: '{{ config.a }}', b: '{{ secrets.b }}'}}
    schema: {fields: {id: integer}}
";

/// Texts that programs trip over, beside any others.
fn text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "",
        "_",
        "self",
        "Self",
        "crate",
        "super",
        "type",
        "gen",
        "Option",
        "String",
        "Client",
        "Config",
        "Record",
        "clone",
        "new",
        "rescued",
        "row",
        "*/",
        "/*",
        "///",
        "\"",
        "\\",
        "`",
        "``",
        "```\n",
        "#![x]",
        "{}",
        "{{",
        "\r",
        "\n\n    code",
        "\u{0}",
        "\u{202e}",
        "\u{2028}",
        "id",
        "ID",
        "_id",
        "id_2",
        "id2",
        "1",
        "ß",
        "名前",
        "🙂",
        "https://a.example/`",
        "<b>",
        "[x]",
        "[`X`]",
        "- ",
        "1. ",
        "# ",
    ]);
    prop_oneof![
        hostile.clone().prop_map(str::to_owned),
        prop::collection::vec(hostile, 0..4).prop_map(|texts| texts.concat()),
        any::<String>(),
        "[a-z_]{1,80}",
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let leaf = prop_oneof![
        Just(FieldType::String),
        Just(FieldType::Json),
        Just(FieldType::Date),
        Just(FieldType::Object(Vec::new())),
    ];
    let kind = leaf.prop_recursive(4, 24, 4, |inner| {
        let field = (text(), inner.clone(), any::<bool>(), text()).prop_map(new_field);
        prop_oneof![
            prop::collection::vec(field, 0..4).prop_map(FieldType::Object),
            inner.prop_map(|items| FieldType::List(Box::new(items))),
        ]
    });
    (text(), kind, any::<bool>(), text()).prop_map(new_field)
}

fn new_field(
    (name, field_type, nullable, description): (String, FieldType, bool, String),
) -> Field {
    Field {
        name,
        field_type,
        nullable,
        description,
    }
}

fn ir() -> impl Strategy<Value = Ir> {
    let resource = (
        text(),
        text(),
        prop::option::of(text()),
        prop::collection::vec(field(), 0..6),
    );
    let settings = (text(), text(), text(), text(), any::<bool>());
    (text(), prop::collection::vec(resource, 1..5), settings).prop_map(
        |(description, resources, (first, second, about, environment, required))| {
            let source = Source::new("spec.yaml", SPEC);
            let (mut ir, _) = lower(&source, &LowerOptions::new("things")).unwrap();
            ir.plan.description = description;
            let template = ir.plan.resources.remove(0);
            ir.records.clear();
            for (name, description, record_name, fields) in resources {
                let mut resource = template.clone();
                resource.name.clone_from(&name);
                resource.description = description;
                resource.fields = fields;
                ir.plan.resources.push(resource);
                ir.records.push(RecordIr {
                    resource: name,
                    record_name,
                });
            }
            for (setting, name) in ir.plan.settings.iter_mut().zip([first, second]) {
                setting.name = name;
                setting.description.clone_from(&about);
                setting.environment.clone_from(&environment);
                setting.required = required;
            }
            ir
        },
    )
}

/// What is said in the documentation comments of an item.
fn documentation(attributes: &[syn::Attribute]) -> Vec<String> {
    attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn check_documentation(attributes: &[syn::Attribute]) {
    let lines = documentation(attributes);
    assert!(
        lines.iter().any(|line| !line.trim().is_empty()),
        "{lines:?}"
    );
    for line in lines {
        // Deeper lines would be code, and code would be a test.
        assert!(line.is_empty() || line.starts_with(' '), "{line:?}");
        assert!(!line.starts_with("  "), "{line:?}");
        assert!(!line.trim_start().starts_with("```\n"), "{line:?}");
        assert!(
            !line.contains(|c: char| c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
            "{line:?}"
        );
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a syn::Ident>) {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name.to_string()), "two are called {name}");
    }
}

proptest! {
    #[test]
    fn any_plan_gives_rust(ir in ir(), path in text(), package in "[a-z][a-z0-9-]{0,20}") {
        let options = EmitOptions { spec_path: path, package };
        let generated = emit(&ir, &options);
        prop_assert_eq!(&generated, &emit(&ir, &options));
        let file = syn::parse_file(&generated.code).unwrap();
        // One line would mean that the formatter did not understand it.
        prop_assert!(generated.code.lines().count() > 30);
        prop_assert!(generated.code.starts_with("// @generated by connector-codegen from "));
        prop_assert_eq!(generated.guide.matches("```no_run\n").count(), 1);

        let mut structs = Vec::new();
        let mut implemented = Vec::new();
        for item in &file.items {
            match item {
                Item::Struct(item) => {
                    check_documentation(&item.attrs);
                    structs.push(&item.ident);
                    if let Fields::Named(fields) = &item.fields {
                        unique(fields.named.iter().filter_map(|field| field.ident.as_ref()));
                        fields.named.iter().for_each(|field| check_documentation(&field.attrs));
                    }
                }
                Item::Impl(item) => {
                    let functions = item.items.iter().filter_map(|item| match item {
                        ImplItem::Fn(function) => Some(&function.sig.ident),
                        _ => None,
                    });
                    unique(functions);
                    if let Type::Path(path) = item.self_ty.as_ref() {
                        implemented.extend(path.path.get_ident());
                    }
                }
                Item::Static(item) => prop_assert_eq!(item.ident.to_string(), "CONNECTOR"),
                _ => prop_assert!(false, "an item of another kind"),
            }
        }
        unique(structs.iter().copied());
        prop_assert!(implemented.iter().all(|name| structs.contains(name)));
        prop_assert!(structs.len() >= 2 + ir.plan.resources.len());
    }
}
