//! Resolves a spec: defaults, aliases, references, names, and the rules between keys.
//!
//! Every step reports what is wrong and goes on with something harmless in its place; when
//! anything was an error, the outcome is thrown away at the end. So one run finds all problems.

mod auth;
mod client;
mod condition;
mod contract;
mod endpoint;
mod fields;
mod flat;
mod header;
mod identity;
mod incremental;
mod inputs;
mod jwt;
mod layout;
mod merge;
mod paginator;
mod path;
mod processing;
mod relations;
mod request;
mod resource;
mod response;
mod scope;
mod selector;
mod session_token;
mod template;
mod url;

use std::collections::BTreeMap;

use connector_plan::{PLAN_VERSION, Plan};

use crate::diagnostic::{self, Diagnostic, Diagnostics, Severity, code};
use crate::ir::{Ir, RecordIr};
use crate::source::{Lines, Source, Span};
use crate::spec::read::FromNode as _;
use crate::spec::{Reporter, Spec};
use crate::words::quote;
use crate::yaml;
use inputs::Inputs;

/// What lowering must know beside the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// The connector's name: that of its folder, in lower case.
    pub name: String,
}

impl LowerOptions {
    /// Options for a connector of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// Resolves a spec, and returns the warnings beside it.
///
/// # Errors
/// When the spec is wrong: everything that is wrong with it, warnings included.
pub fn lower(
    source: &Source,
    options: &LowerOptions,
) -> Result<(Ir, Vec<Diagnostic>), Diagnostics> {
    let mut reporter = Reporter::new(source.body());
    let ir = yaml::load(source.body(), &mut reporter.found)
        .and_then(|node| Spec::from_node(&node, &mut reporter))
        .map(|spec| Lowering::new(options, &mut reporter, &spec).run(&spec, source));
    let mut found = reporter.found;
    diagnostic::sort(&mut found);
    // What stands in `resource_defaults` or `client` is lowered once per resource.
    found.dedup();
    let wrong = found.iter().any(|item| item.severity == Severity::Error);
    if wrong {
        // What looks unused may be used where something else is wrong.
        found.retain(|item| item.code != code::UNUSED);
    }
    match ir {
        Some(ir) if !wrong => Ok((ir, found)),
        _ => Err(Diagnostics::new(source, found).redact(&reporter.secrets)),
    }
}

/// The state of lowering.
struct Lowering<'r, 't> {
    name: String,
    reporter: &'r mut Reporter<'t>,
    inputs: Inputs,
    /// What the expressions of the resource at hand can name.
    scope: scope::Scope,
    lines: Lines<'t>,
    /// Where things stand, for documentation.
    places: BTreeMap<String, u32>,
}

impl<'r, 't> Lowering<'r, 't> {
    fn new(options: &LowerOptions, reporter: &'r mut Reporter<'t>, spec: &Spec) -> Self {
        let inputs = Inputs::declare(spec.config.get(), reporter);
        let lines = Lines::new(reporter.text);
        Self {
            name: options.name.clone(),
            reporter,
            inputs,
            scope: scope::Scope::default(),
            lines,
            places: BTreeMap::new(),
        }
    }

    fn run(mut self, spec: &Spec, source: &Source) -> Ir {
        self.check_name(spec);
        let client = self.client(spec);
        self.close_client_scope();
        let (resources, record_names): (Vec<_>, Vec<_>) =
            self.resources(spec, &client).into_iter().unzip();
        let settings = self.settings(spec, &client, &resources);
        let records = resources
            .iter()
            .zip(record_names)
            .map(|(resource, record_name)| RecordIr {
                resource: resource.name.clone(),
                record_name,
            })
            .collect();
        let plan = Plan {
            version: PLAN_VERSION,
            name: self.name,
            description: spec
                .description
                .get()
                .map_or_else(String::new, |text| text.value.trim().to_owned()),
            spec_hash: identity::sha256(source.text.as_bytes()),
            settings,
            client,
            resources,
        };
        Ir {
            plan,
            records,
            lines: self.places,
        }
    }

    fn check_name(&mut self, spec: &Spec) {
        let name = self.name.clone();
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 64
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
            && !is_device(&name);
        if !valid {
            self.report(
                Diagnostic::error(
                    code::INVALID_NAME,
                    format!("the connector cannot be called {}", quote(&name)),
                )
                .note("a name has at most 64 lower-case letters, digits, `-` and `_`, a letter first, and is no device of Windows such as `con`"),
            );
        }
        if let Some(given) = spec.name.given()
            && given.value.value != name
        {
            self.report(
                Diagnostic::error(
                    code::INVALID_NAME,
                    format!(
                        "the spec is called {}, its connector {}",
                        quote(&given.value.value),
                        quote(&name)
                    ),
                )
                .label(given.span, format!("expected {}", quote(&name)))
                .help("remove `name`, or rename one of them"),
            );
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.reporter.report(diagnostic);
    }

    /// Reports that a key is missing.
    fn missing(&mut self, key: &str, what: &str, blame: Span, help: &str) {
        self.report(
            Diagnostic::error(code::MISSING_KEY, format!("{what} needs {}", quote(key)))
                .label(blame, format!("{} is missing here", quote(key)))
                .help(help),
        );
    }

    /// Reports a value that its key does not take.
    fn invalid(&mut self, message: impl Into<String>, span: Span, label: impl Into<String>) {
        self.report(Diagnostic::error(code::INVALID_VALUE, message).label(span, label));
    }

    /// Remembers where something stands.
    fn place(&mut self, key: String, span: Span) {
        let (line, _) = self.lines.position(span.start);
        self.places
            .insert(key, u32::try_from(line).unwrap_or(u32::MAX));
    }
}

/// Whether Windows takes a file of this name for a device, whatever its extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    matches!(stem, "con" | "prn" | "aux" | "nul")
        || stem
            .strip_prefix("com")
            .or_else(|| stem.strip_prefix("lpt"))
            .is_some_and(|digit| digit.len() == 1 && digit.bytes().all(|c| c.is_ascii_digit()))
}

/// Whether a text is `snake_case`, at most 64 characters long.
fn is_snake_case(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}
