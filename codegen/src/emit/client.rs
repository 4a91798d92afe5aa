//! The client: one function per resource.

use connector_plan::Plan;
use proc_macro2::TokenStream;
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
    let functions = plan
        .resources
        .iter()
        .zip(names::functions(&resource_names))
        .enumerate()
        .map(|(index, (resource, function))| {
            let name = &resource.name;
            let record = records.name(index);
            let about = docs.line(
                &prose(
                    &resource.description,
                    &format!("The records of {}.", code(name)),
                ),
                &format!("resources.{name}"),
            );
            quote! {
                #about
                pub fn #function(&self) -> connector_core::Request<#record> {
                    self.0.request(#name)
                }
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

            #(#functions)*
        }
    }
}
