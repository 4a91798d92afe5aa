//! The typed configuration.

use connector_plan::{Plan, Setting, SettingKind};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::docs::{Docs, code, prose};
use crate::names;

/// The most parameters of a function that clippy finds bearable.
const CLIPPY_PARAMETERS: usize = 7;

pub(super) fn config(plan: &Plan, docs: &Docs<'_>) -> TokenStream {
    let setting_names: Vec<&str> = plan
        .settings
        .iter()
        .map(|setting| setting.name.as_str())
        .collect();
    let idents = names::fields(&setting_names, false);
    let settings: Vec<(&Setting, &Ident)> = plan.settings.iter().zip(&idents).collect();
    let members = settings.iter().map(|(setting, ident)| {
        let about = docs.line(
            &documentation(setting),
            &format!("settings.{}", setting.name),
        );
        let value = value_type(setting);
        if setting.required {
            quote! { #about pub #ident: #value, }
        } else {
            quote! { #about pub #ident: Option<#value>, }
        }
    });
    let required = settings.iter().any(|(setting, _)| setting.required);
    let default = (!required).then(|| quote! { Default, });
    let constructor = constructor(&settings);
    let conversion = conversion(&settings);
    quote! {
        /// The settings of a [`Client`].
        #[derive(Clone, Debug, #default)]
        pub struct Config { #(#members)* }

        impl Config { #constructor }

        #conversion
    }
}

fn constructor(settings: &[(&Setting, &Ident)]) -> TokenStream {
    let required: Vec<&(&Setting, &Ident)> = settings
        .iter()
        .filter(|(setting, _)| setting.required)
        .collect();
    if required.is_empty() {
        return quote! {
            /// No setting is required: all of them have their defaults.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }
        };
    }
    let parameters = required.iter().map(|(setting, ident)| {
        let value = value_type(setting);
        quote! { #ident: impl Into<#value> }
    });
    let values = settings.iter().map(|(setting, ident)| {
        if setting.required {
            quote! { #ident: #ident.into() }
        } else {
            quote! { #ident: None }
        }
    });
    let expectation = (required.len() > CLIPPY_PARAMETERS).then(|| {
        quote! { #[expect(clippy::too_many_arguments, reason = "the API requires as many")] }
    });
    quote! {
        /// The required settings; all others have their defaults.
        #[must_use]
        #expectation
        pub fn new(#(#parameters),*) -> Self {
            Self { #(#values),* }
        }
    }
}

fn conversion(settings: &[(&Setting, &Ident)]) -> TokenStream {
    if settings.is_empty() {
        return quote! {
            impl From<Config> for connector_core::Settings {
                fn from(_config: Config) -> Self {
                    Self::new()
                }
            }
        };
    }
    let required =
        settings
            .iter()
            .filter(|(setting, _)| setting.required)
            .map(|(setting, ident)| {
                let name = &setting.name;
                quote! { .with(#name, config.#ident) }
            });
    let optional: Vec<TokenStream> = settings
        .iter()
        .filter(|(setting, _)| !setting.required)
        .map(|(setting, ident)| {
            let name = &setting.name;
            quote! {
                if let Some(value) = config.#ident {
                    settings = settings.with(#name, value);
                }
            }
        })
        .collect();
    let body = if optional.is_empty() {
        quote! { Self::new() #(#required)* }
    } else {
        quote! {
            let mut settings = Self::new() #(#required)*;
            #(#optional)*
            settings
        }
    };
    quote! {
        impl From<Config> for connector_core::Settings {
            fn from(config: Config) -> Self { #body }
        }
    }
}

fn value_type(setting: &Setting) -> TokenStream {
    if setting.secret {
        return quote! { connector_core::Secret };
    }
    match setting.kind {
        SettingKind::String | SettingKind::Url => quote! { String },
        SettingKind::Integer => quote! { i64 },
        SettingKind::Number => quote! { f64 },
        SettingKind::Boolean => quote! { bool },
        SettingKind::Date => quote! { connector_core::Date },
        SettingKind::Timestamp => quote! { connector_core::Timestamp },
    }
}

fn documentation(setting: &Setting) -> String {
    let mut text = prose(
        &setting.description,
        &format!("The setting {}.", code(&setting.name)),
    );
    if !setting.allowed.is_empty() {
        let words: Vec<String> = setting
            .allowed
            .iter()
            .map(|value| code(&shown(value)))
            .collect();
        text.push_str(&format!(" One of {}.", words.join(", ")));
    }
    if let Some(default) = setting.default.as_ref().filter(|_| !setting.secret) {
        text.push_str(&format!(" Default: {}.", code(&shown(default))));
    }
    text.push_str(&format!(" Environment: {}.", code(&setting.environment)));
    text
}

fn shown(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
