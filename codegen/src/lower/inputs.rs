//! The connector's settings: what the spec declares, what it refers to, and what every connector
//! has.

use connector_plan::{Auth, Client, Resource, Setting, SettingKind, SettingRole};
use serde_json::Value;

use super::Lowering;
use super::template::Purpose;
use super::url::Url;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{InputSpec, InputType, Named, Reporter, Spec};
use crate::words::{list, nearest, quote};

/// Names that the command line and the configuration file of every connector have already.
const RESERVED: [&str; 21] = [
    "base_url",
    "ca_file",
    "checkpoint_seconds",
    "concurrency",
    "config",
    "dry_run",
    "full_refresh",
    "help",
    "limit",
    "log_format",
    "max_wait",
    "memory",
    "out",
    "progress",
    "report",
    "resource",
    "resume_within",
    "token_url",
    "verbose",
    "version",
    "work_dir",
];

/// The inputs of a spec.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    items: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    span: Span,
    used: bool,
    /// Whether `config` declares it, rather than its first use.
    declared: bool,
    setting: Setting,
}

impl Inputs {
    /// Reads what `config` declares.
    pub(super) fn declare(config: Option<&Named<InputSpec>>, reporter: &mut Reporter<'_>) -> Self {
        let mut inputs = Self::default();
        for (name, key) in config.into_iter().flat_map(|config| &config.0) {
            if let Some(diagnostic) = check_name(&name.text, name.span) {
                reporter.report(diagnostic);
            }
            let setting = match key.get() {
                Some(spec) => declared(&name.text, spec, reporter),
                None => text_setting(&name.text, false, String::new()),
            };
            inputs.items.push(Input {
                span: name.span,
                used: false,
                declared: true,
                setting,
            });
        }
        inputs
    }

    /// Notes a use; what is wrong with it is returned. A secret declares itself by its first use.
    pub(super) fn refer(
        &mut self,
        name: &str,
        secret: bool,
        span: Span,
        purpose: Purpose,
    ) -> Option<Diagnostic> {
        if let Some(input) = self
            .items
            .iter_mut()
            .find(|input| input.setting.name == name)
        {
            input.used = true;
            if input.setting.secret == secret {
                return None;
            }
            let (is, word, other) = if secret {
                ("is not secret", "config", "declare it with `secret: true`")
            } else {
                ("is secret", "secrets", "declare it with `secret: false`")
            };
            return Some(
                Diagnostic::error(code::UNKNOWN_SETTING, format!("{} {is}", quote(name)))
                    .label(span, "read from the wrong place")
                    .label(input.span, "declared here")
                    .help(format!("write `{word}.{name}`, or {other}")),
            );
        }
        if !secret {
            let known: Vec<&str> = self
                .items
                .iter()
                .filter(|input| input.declared)
                .map(|input| input.setting.name.as_str())
                .collect();
            let near = nearest(name, known.iter().copied());
            let diagnostic = Diagnostic::error(
                code::UNKNOWN_SETTING,
                format!("{} is not declared in `config`", quote(name)),
            )
            .label(span, "unknown input")
            .help(match near {
                Some(near) => format!("did you mean {}?", quote(near)),
                None => format!("declare it: `config: {{ {name}: string }}`"),
            });
            return Some(if known.is_empty() {
                diagnostic
            } else {
                diagnostic.note(format!("`config` declares {}", list(&known, "and")))
            });
        }
        let problem = check_name(name, span);
        self.items.push(Input {
            span,
            used: true,
            declared: false,
            setting: text_setting(name, true, purpose.describe().to_owned()),
        });
        problem
    }
}

fn check_name(name: &str, span: Span) -> Option<Diagnostic> {
    if RESERVED.contains(&name) {
        return Some(
            Diagnostic::error(
                code::RESERVED_NAME,
                format!("an input cannot be called {}", quote(name)),
            )
            .label(
                span,
                "every connector has a setting or an option of this name",
            )
            .help("choose another name"),
        );
    }
    (!super::is_snake_case(name)).then(|| {
        Diagnostic::error(
            code::INVALID_NAME,
            format!("{} is not the name of an input", quote(name)),
        )
        .label(
            span,
            "expected at most 64 lower-case letters, digits and `_`, a letter first",
        )
    })
}

fn text_setting(name: &str, secret: bool, description: String) -> Setting {
    Setting {
        name: name.to_owned(),
        environment: String::new(),
        role: SettingRole::Input,
        kind: SettingKind::String,
        secret,
        required: true,
        default: None,
        allowed: Vec::new(),
        description,
    }
}

fn declared(name: &str, spec: &InputSpec, reporter: &mut Reporter<'_>) -> Setting {
    let spec = &spec.0;
    let kind = match spec.kind.get().copied().unwrap_or(InputType::String) {
        InputType::String => SettingKind::String,
        InputType::Integer => SettingKind::Integer,
        InputType::Number => SettingKind::Number,
        InputType::Boolean => SettingKind::Boolean,
        InputType::Date => SettingKind::Date,
        InputType::Timestamp => SettingKind::Timestamp,
        InputType::Url => SettingKind::Url,
    };
    let secret = spec.secret.get().copied().unwrap_or(false);
    let allowed: Vec<Value> = spec
        .allowed
        .get()
        .into_iter()
        .flatten()
        .map(|item| {
            check_value(&item.value, kind, item.span, reporter);
            item.value.clone()
        })
        .collect();
    if let Some(given) = spec.allowed.given()
        && allowed.is_empty()
    {
        reporter.report(
            Diagnostic::error(code::INVALID_VALUE, "`enum` is empty")
                .label(given.span, "no value would be accepted"),
        );
    }
    let default = spec.default.given();
    if let Some(given) = default {
        if secret {
            reporter.secrets.push(given.span);
            reporter.report(
                Diagnostic::error(code::LITERAL_SECRET, "a secret has no default")
                    .label(given.span, "hidden here")
                    .note("specs are committed, and embedded in the connector")
                    .help("remove `default`"),
            );
        } else {
            check_value(&given.value.value, kind, given.span, reporter);
            if !allowed.is_empty() && !allowed.contains(&given.value.value) {
                reporter.report(
                    Diagnostic::error(code::INVALID_VALUE, "the default is not in `enum`")
                        .label(given.span, "")
                        .label(
                            spec.allowed.key_span().unwrap_or_default(),
                            "the values accepted",
                        ),
                );
            }
        }
        if spec.required.get() == Some(&true) {
            let second = spec.required.key_span().unwrap_or_default();
            reporter.conflict(
                "an input with a default is never required",
                second,
                given.key.span,
            );
        }
    }
    Setting {
        name: name.to_owned(),
        environment: String::new(),
        role: SettingRole::Input,
        kind,
        secret,
        required: spec.required.get().copied().unwrap_or(default.is_none()),
        default: default.map(|given| given.value.value.clone()),
        allowed,
        description: spec
            .description
            .get()
            .map_or_else(String::new, |text| text.value.trim().to_owned()),
    }
}

/// Checks that a constant has the type of its input.
fn check_value(value: &Value, kind: SettingKind, span: Span, reporter: &mut Reporter<'_>) {
    let (fits, expected) = match kind {
        SettingKind::String => (value.is_string(), "a string"),
        SettingKind::Integer => (value.is_i64(), "an integer"),
        SettingKind::Number => (value.is_number(), "a number"),
        SettingKind::Boolean => (value.is_boolean(), "`true` or `false`"),
        SettingKind::Date => (
            value.as_str().is_some_and(is_date),
            "a date such as `2026-01-31`",
        ),
        SettingKind::Timestamp => (
            value.as_str().is_some_and(is_timestamp),
            "a timestamp such as `2026-01-31T12:00:00Z`",
        ),
        SettingKind::Url => (
            value.as_str().is_some_and(|text| Url::parse(text).is_ok()),
            "an absolute `http` or `https` URL",
        ),
    };
    if !fits {
        reporter.report(
            Diagnostic::error(
                code::WRONG_TYPE,
                "the value does not have the type of its input",
            )
            .label(span, format!("expected {expected}")),
        );
    }
}

/// Whether a text is a calendar date of RFC 3339.
pub(super) fn is_date(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u32>().ok())
    };
    let separated = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    separated && (1..=days).contains(&day)
}

/// Whether a text is a timestamp of RFC 3339.
pub(super) fn is_timestamp(text: &str) -> bool {
    let (Some(date), Some(separator), Some(rest)) =
        (text.get(..10), text.get(10..11), text.get(11..))
    else {
        return false;
    };
    let clock = |text: &str, hours: u32| {
        text.len() == 5
            && text.get(2..3) == Some(":")
            && text.bytes().filter(u8::is_ascii_digit).count() == 4
            && text
                .get(..2)
                .and_then(|hour| hour.parse().ok())
                .is_some_and(|hour: u32| hour < hours)
            && text
                .get(3..)
                .and_then(|minute| minute.parse().ok())
                .is_some_and(|minute: u32| minute < 60)
    };
    let Some(zone) = rest.find(['Z', 'z', '+', '-']) else {
        return false;
    };
    let (time, zone) = rest.split_at(zone);
    let (minutes, seconds) = time.split_at_checked(5).unwrap_or_default();
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let zone_fits = matches!(zone, "Z" | "z") || zone.get(1..).is_some_and(|zone| clock(zone, 24));
    is_date(date)
        && matches!(separator, "T" | "t" | " ")
        && clock(minutes, 24)
        && whole.len() == 3
        && whole.starts_with(':')
        && whole[1..].parse::<u32>().is_ok_and(|second| second <= 60)
        && !fraction.is_empty()
        && fraction.bytes().all(|c| c.is_ascii_digit())
        && zone_fits
}

impl Lowering<'_, '_> {
    /// All settings: those of every connector, then the inputs in the order of the spec.
    pub(super) fn settings(
        &mut self,
        spec: &Spec,
        client: &Client,
        resources: &[Resource],
    ) -> Vec<Setting> {
        let mut inputs = std::mem::take(&mut self.inputs).items;
        inputs.sort_by_key(|input| input.span.start);
        for input in &inputs {
            if !input.used {
                let name = quote(&input.setting.name);
                self.report(
                    Diagnostic::warning(code::UNUSED, format!("the input {name} is never used"))
                        .label(input.span, "declared here"),
                );
            }
            self.place(format!("settings.{}", input.setting.name), input.span);
        }
        let file_of = |input: &Input| {
            inputs.iter().find(|other| {
                other.setting.secret && format!("{}_file", other.setting.name) == input.setting.name
            })
        };
        let clashes: Vec<Diagnostic> = inputs
            .iter()
            .filter_map(|input| Some((input, file_of(input)?)))
            .map(|(input, secret)| {
                let (name, other) = (quote(&input.setting.name), quote(&secret.setting.name));
                Diagnostic::error(
                    code::RESERVED_NAME,
                    format!("{name} is where a file with the secret {other} is named"),
                )
                .label(input.span, "this name is taken")
                .label(secret.span, "by this secret")
                .help("rename one of them")
            })
            .collect();
        self.reporter.found.extend(clashes);

        let mut settings = vec![Setting {
            role: SettingRole::BaseUrl,
            kind: SettingKind::Url,
            required: false,
            default: Some(Value::String(client.base_url.clone())),
            ..text_setting(
                "base_url",
                false,
                "The URL of the API. Every URL of the spec on the same origin moves with it."
                    .to_owned(),
            )
        }];
        let mut auths = std::iter::once(&client.auth).chain(
            resources
                .iter()
                .filter_map(|resource| resource.endpoint.auth.as_ref()),
        );
        let token_url = auths.find_map(|auth| match auth {
            Auth::Oauth2(oauth2) => Some(&oauth2.token_url),
            _ => None,
        });
        if token_url.is_some() {
            settings.push(Setting {
                role: SettingRole::TokenUrl,
                kind: SettingKind::Url,
                required: false,
                ..text_setting(
                    "token_url",
                    false,
                    "The URL that access tokens come from, when it is not that of the spec."
                        .to_owned(),
                )
            });
        }
        if let Some(span) = spec
            .client
            .get()
            .and_then(|client| client.base_url.key_span())
        {
            self.place("settings.base_url".to_owned(), span);
        }
        settings.extend(inputs.into_iter().map(|input| input.setting));
        let prefix = self.name.replace('-', "_").to_ascii_uppercase();
        for setting in &mut settings {
            setting.environment = format!("{prefix}_{}", setting.name.to_ascii_uppercase());
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_calendar_dates() {
        #[track_caller]
        fn check(text: &str, date: bool, timestamp: bool) {
            assert_eq!(
                (is_date(text), is_timestamp(text)),
                (date, timestamp),
                "{text}"
            );
        }
        check("2026-01-31", true, false);
        check("2024-02-29", true, false);
        check("2026-02-29", false, false);
        check("2026-13-01", false, false);
        check("2026-1-1", false, false);
        check("2026-01-31T12:00:00Z", false, true);
        check("2026-01-31T12:00:00.123456+05:30", false, true);
        check("2026-01-31 12:00:00-01:00", false, true);
        check("2026-01-31T12:00:00", false, false);
        check("2026-01-31T24:00:00Z", false, false);
        check("2026-01-31T12:00Z", false, false);
        check("2026-01-31T12:00:00.Z", false, false);
        check("2026-01-31T12:00:00+25:00", false, false);
        check("ääääääää", false, false);
        check("", false, false);
    }
}
