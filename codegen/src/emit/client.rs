//! The client: one function per resource.

use connector_plan::{Binding, Field, FieldType, Plan, Resource, Step};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::docs::{Docs, code, comment, prose};
use super::records::Records;
use crate::names;

pub(super) fn client(plan: &Plan, records: &Records, docs: &Docs<'_>) -> TokenStream {
    let resource_names: Vec<&str> = plan
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    let of_names: Vec<String> = resource_names
        .iter()
        .map(|name| format!("{name}_of"))
        .collect();
    let all_names: Vec<&str> = resource_names
        .iter()
        .copied()
        .chain(of_names.iter().map(String::as_str))
        .collect();
    let idents = names::functions(&all_names);
    let (whole, parts) = idents.split_at(resource_names.len());
    let functions = plan
        .resources
        .iter()
        .zip(whole.iter().zip(parts))
        .enumerate()
        .map(|(index, (resource, (function, of)))| {
            let name = &resource.name;
            let record = records.name(index);
            let about = docs.line(
                &prose(
                    &resource.description,
                    &format!("The records of {}.", code(name)),
                ),
                &format!("resources.{name}"),
            );
            let part = parent_arguments(plan, resource).map(|(arguments, calls)| {
                let about = comment(&part_prose(resource, function));
                quote! {
                    #about
                    pub fn #of(&self, #arguments) -> connector_core::Request<#record> {
                        self.#function()#calls
                    }
                }
            });
            quote! {
                #about
                pub fn #function(&self) -> connector_core::Request<#record> {
                    self.0.request(#name)
                }
                #part
            }
        });
    let about = comment(&prose(
        &plan.description,
        &format!("The API of {}.", code(&plan.name)),
    ));
    quote! {
        #about
        ///
        /// A clone is cheap and shares connections, token and rate limit.
        #[derive(Clone, Debug)]
        pub struct Client(connector_core::Client);

        impl Client {
            /// A client with this configuration; nothing is sent yet.
            ///
            /// # Errors
            /// When a setting is not of the form that it must have.
            pub fn new(config: Config) -> Result<Self, connector_core::Error> {
                connector_core::Client::new(&CONNECTOR, config.into()).map(Self)
            }

            /// A client with the settings of the environment variables that [`Config`] names.
            ///
            /// # Errors
            /// When a required one is missing, or one is not of the form that it must have.
            pub fn from_environment() -> Result<Self, connector_core::Error> {
                connector_core::Client::from_environment(&CONNECTOR).map(Self)
            }

            /// A client with authentication, paginators or a token store of the program's own.
            ///
            /// # Errors
            /// When a setting is not of the form that it must have, or an option names a resource
            /// that there is not.
            pub fn with_options(
                config: Config,
                options: &connector_core::ClientOptions,
            ) -> Result<Self, connector_core::Error> {
                connector_core::Client::with_options(&CONNECTOR, config.into(), options).map(Self)
            }

            #(#functions)*
        }
    }
}

/// The values of parents as arguments of a function, and what it does with them; nothing for a
/// resource without parents.
fn parent_arguments(plan: &Plan, resource: &Resource) -> Option<(TokenStream, TokenStream)> {
    let bindings: Vec<(&str, &Binding)> = bindings(resource).collect();
    if bindings.is_empty() {
        return None;
    }
    let names: Vec<&str> = bindings.iter().map(|(_, one)| one.name.as_str()).collect();
    let mut arguments = TokenStream::new();
    let mut calls = TokenStream::new();
    for ((parent, binding), ident) in bindings.into_iter().zip(names::fields(&names, false)) {
        let name = &binding.name;
        let field = plan
            .resource(parent)
            .and_then(|parent| Field::at(&parent.fields, &binding.field))
            .map(|field| &field.field_type);
        let value = match field {
            Some(FieldType::Integer) => quote! { i64 },
            Some(FieldType::Number) => quote! { f64 },
            Some(FieldType::Boolean) => quote! { bool },
            Some(FieldType::String) => quote! { impl Into<String> },
            _ => quote! { impl Into<connector_core::Json> },
        };
        arguments.extend(quote! { #ident: #value, });
        calls.extend(match field {
            Some(FieldType::String) => quote! { .of(#name, Into::<String>::into(#ident)) },
            _ => quote! { .of(#name, #ident) },
        });
    }
    Some((arguments, calls))
}

/// Each parent's name with a value that it gives.
fn bindings(resource: &Resource) -> impl Iterator<Item = (&str, &Binding)> {
    resource.relations.parents.iter().flat_map(|parent| {
        let bindings = parent.bindings.iter();
        bindings.map(|binding| (parent.resource.as_str(), binding))
    })
}

fn part_prose(resource: &Resource, function: &Ident) -> String {
    let sources: Vec<String> = bindings(resource)
        .map(|(parent, binding)| {
            let path: Vec<&str> = binding.field.iter().filter_map(key).collect();
            format!(
                "{} is {} of {}",
                code(&binding.name),
                code(&path.join(".")),
                code(parent)
            )
        })
        .collect();
    format!(
        "Those of [`{function}`](Self::{function}) that belong to one parent: {}.",
        sources.join(", ")
    )
}

fn key(step: &Step) -> Option<&str> {
    match step {
        Step::Key(key) => Some(key),
        Step::Index(_) | Step::Wildcard => None,
    }
}
