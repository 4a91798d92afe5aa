//! Sample values of the settings, and the templates that read them.

use std::collections::BTreeMap;

use connector_plan::{
    Auth, Expression, Part, Plan, Root, Setting, SettingKind, SettingRole, Step, Template, follow,
};
use serde_json::{Map, Value};
use url::Url;

use crate::assertion::sample_keys;
use crate::random::{combine, hash_text, opaque};

/// The values that a client of the sandbox is configured with.
#[derive(Clone)]
pub(crate) struct Samples {
    values: BTreeMap<String, Value>,
    /// What a client has to be told, beside the base URL.
    pub(crate) given: Vec<(String, String)>,
    /// Where the base URL of the plan is now.
    pub(crate) base: Url,
    plan_base: Url,
    origin: String,
}

impl Samples {
    pub(crate) fn new(
        plan: &Plan,
        origin: &str,
        seed: u64,
        chosen: &[(String, String)],
    ) -> Result<Self, String> {
        let plan_base = Url::parse(&plan.client.base_url).map_err(|error| {
            format!(
                "the base URL `{}` is not a URL: {error}",
                plan.client.base_url
            )
        })?;
        let base = Url::parse(&format!(
            "{origin}{}",
            plan_base.path().trim_end_matches('/')
        ))
        .map_err(|error| format!("the sandbox has no URL: {error}"))?;
        let mut samples = Self {
            values: BTreeMap::new(),
            given: Vec::new(),
            base,
            plan_base,
            origin: origin.to_owned(),
        };
        let keys = sample_keys(plan)?;
        let all: Vec<(String, String)> = chosen.iter().chain(&keys).cloned().collect();
        for setting in &plan.settings {
            samples.add(setting, seed, &all)?;
        }
        if let Some((name, _)) = chosen.iter().find(|(name, _)| plan.setting(name).is_none()) {
            return Err(format!("the plan has no setting `{name}`"));
        }
        samples.move_token_url(plan)?;
        Ok(samples)
    }

    fn add(
        &mut self,
        setting: &Setting,
        seed: u64,
        chosen: &[(String, String)],
    ) -> Result<(), String> {
        if setting.role != SettingRole::Input {
            return Ok(());
        }
        let chosen = chosen.iter().find(|(name, _)| *name == setting.name);
        let text = if let Some((_, text)) = chosen {
            text.clone()
        } else if let Some(default) = &setting.default {
            self.values.insert(setting.name.clone(), default.clone());
            return Ok(());
        } else if setting.required || setting.secret {
            sample(setting, seed, &self.origin)
        } else {
            return Ok(());
        };
        let value = match setting.kind {
            SettingKind::Integer | SettingKind::Number | SettingKind::Boolean => {
                serde_json::from_str(&text)
                    .map_err(|_| format!("`{text}` is not a value of `{}`", setting.name))?
            }
            _ => Value::String(text.clone()),
        };
        self.values.insert(setting.name.clone(), value);
        self.given.push((setting.name.clone(), text));
        Ok(())
    }

    /// A token URL of another origin does not move with the base URL: its own setting moves it.
    fn move_token_url(&mut self, plan: &Plan) -> Result<(), String> {
        let auths = std::iter::once(&plan.client.auth).chain(
            plan.resources
                .iter()
                .filter_map(|resource| resource.endpoint.auth.as_ref()),
        );
        for auth in auths {
            let Auth::Oauth2(oauth2) = auth else { continue };
            let Ok(url) = Url::parse(&oauth2.token_url) else {
                continue;
            };
            if url.origin() == self.plan_base.origin() {
                continue;
            }
            let setting = plan
                .settings
                .iter()
                .find(|setting| setting.role == SettingRole::TokenUrl)
                .ok_or_else(|| {
                    format!(
                        "the token URL `{}` has another origin than the base URL, and no setting \
                         moves it to the sandbox",
                        oauth2.token_url
                    )
                })?;
            if !self.given.iter().any(|(name, _)| *name == setting.name) {
                let moved = format!("{}{}", self.origin, url.path());
                self.given.push((setting.name.clone(), moved));
            }
        }
        Ok(())
    }

    /// The URL at which the sandbox serves this path.
    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The path at which the sandbox serves a URL of the plan, relative or of the plan's origin.
    pub(crate) fn path_of(&self, url: &str) -> Option<String> {
        match Url::parse(url) {
            Ok(url) if url.origin() == self.plan_base.origin() => Some(url.path().to_owned()),
            Ok(_) => None,
            Err(_) => Some(format!(
                "{}/{}",
                self.base.path().trim_end_matches('/'),
                url.trim_start_matches('/')
            )),
        }
    }

    /// The value of a template that reads nothing but settings; null when one is not set.
    ///
    /// # Errors
    /// When it reads something else, which `what` names.
    pub(crate) fn value(&self, template: &Template, what: &str) -> Result<Value, String> {
        self.value_in(template, what, None)
    }

    /// The value of a template for one partition.
    pub(crate) fn value_for(
        &self,
        template: &Template,
        what: &str,
        partition: &Map<String, Value>,
    ) -> Result<Value, String> {
        self.value_in(template, what, Some(partition))
    }

    fn value_in(
        &self,
        template: &Template,
        what: &str,
        partition: Option<&Map<String, Value>>,
    ) -> Result<Value, String> {
        match template {
            Template::Literal(value) => Ok(value.clone()),
            Template::Expression(expression) => self.lookup(expression, what, partition),
            Template::Parts(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(piece) => text.push_str(piece),
                        Part::Expression(expression) => {
                            match self.lookup(expression, what, partition)? {
                                Value::Null => return Ok(Value::Null),
                                value => text.push_str(&text_of(&value)),
                            }
                        }
                    }
                }
                Ok(Value::String(text))
            }
            Template::Object(members) => {
                let members = members.iter().map(|member| {
                    let value = self.value_in(&member.value, what, partition)?;
                    Ok((member.name.clone(), value))
                });
                Ok(Value::Object(members.collect::<Result<_, String>>()?))
            }
            Template::List(elements) => {
                let elements = elements
                    .iter()
                    .map(|element| self.value_in(element, what, partition));
                Ok(Value::Array(elements.collect::<Result<_, String>>()?))
            }
        }
    }

    /// The same as text.
    pub(crate) fn text(&self, template: &Template, what: &str) -> Result<String, String> {
        Ok(text_of(&self.value(template, what)?))
    }

    fn lookup(
        &self,
        expression: &Expression,
        what: &str,
        partition: Option<&Map<String, Value>>,
    ) -> Result<Value, String> {
        if let Expression::Lookup(lookup) = expression
            && lookup.root == Root::Partition
            && let Some(Step::Key(name)) = lookup.path.first()
        {
            // Where no partition is at hand, only the place counts and not the value.
            let value = partition.map(|partition| partition.get(name).cloned());
            return Ok(value
                .unwrap_or_else(|| Some(name.as_str().into()))
                .unwrap_or_default());
        }
        if let Expression::Lookup(lookup) = expression
            && matches!(lookup.root, Root::Config | Root::Secrets)
            && let Some(Step::Key(name)) = lookup.path.first()
        {
            let value = self.values.get(name);
            let value = value.and_then(|value| follow(value, &lookup.path[1..]));
            return Ok(value
                .or(lookup.default.as_ref())
                .cloned()
                .unwrap_or_default());
        }
        Err(format!(
            "the sandbox cannot know the value of {what} beforehand"
        ))
    }
}

/// A JSON value as a parameter or a header writes it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn sample(setting: &Setting, seed: u64, origin: &str) -> String {
    if let Some(first) = setting.allowed.first() {
        return text_of(first);
    }
    match setting.kind {
        SettingKind::String => {
            let random = opaque(combine(seed, hash_text(&setting.name)), 9);
            format!("sandbox-{}-{random}", setting.name.replace('_', "-"))
        }
        SettingKind::Integer | SettingKind::Number => "1".to_owned(),
        SettingKind::Boolean => "true".to_owned(),
        SettingKind::Date => "2024-01-01".to_owned(),
        SettingKind::Timestamp => "2024-01-01T00:00:00Z".to_owned(),
        SettingKind::Url => origin.to_owned(),
    }
}
