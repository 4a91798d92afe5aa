//! What the user configured: values by name, from flags, environment, file and defaults.

use std::collections::BTreeMap;
use std::path::Path;

use connector_plan::{Plan, Setting, SettingKind};

use crate::suggest::nearest;
use crate::{Date, Error, ErrorKind, Json, Result, Secret, Timestamp};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SettingValue {
    /// Text, or a URL.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A double.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A calendar date.
    Date(Date),
    /// An instant.
    Timestamp(Timestamp),
    /// A text that is never shown.
    Secret(Secret),
}

macro_rules! from {
    ($($type:ty => $variant:ident),+) => {$(
        impl From<$type> for SettingValue {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
    )+};
}
from!(String => Text, i64 => Integer, f64 => Number, bool => Boolean, Date => Date, Timestamp => Timestamp, Secret => Secret);

impl From<&str> for SettingValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl SettingValue {
    /// The value as expressions see it; the caller keeps a secret's text to itself.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Integer(value) => Json::from(*value),
            Self::Number(value) => Json::from(*value),
            Self::Boolean(value) => Json::from(*value),
            Self::Date(date) => Json::from(date.to_string()),
            Self::Timestamp(instant) => {
                Json::from(instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
            }
            Self::Secret(secret) => Json::from(secret.expose()),
        }
    }

    fn parse(setting: &Setting, text: &str) -> Result<Self, String> {
        if setting.secret {
            return Ok(Self::Secret(text.into()));
        }
        match setting.kind {
            SettingKind::String => Ok(Self::Text(text.to_owned())),
            SettingKind::Integer => text
                .parse()
                .map(Self::Integer)
                .map_err(|_| "an integer".to_owned()),
            SettingKind::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Self::Number(number)),
                _ => Err("a number".to_owned()),
            },
            SettingKind::Boolean => match text {
                "true" | "1" | "yes" => Ok(Self::Boolean(true)),
                "false" | "0" | "no" => Ok(Self::Boolean(false)),
                _ => Err("`true` or `false`".to_owned()),
            },
            SettingKind::Date => text
                .parse()
                .map(Self::Date)
                .map_err(|_| "a date such as `2026-01-31`".to_owned()),
            SettingKind::Timestamp => chrono::DateTime::parse_from_rfc3339(text)
                .map(|instant| Self::Timestamp(instant.to_utc()))
                .map_err(|_| "an RFC 3339 timestamp such as `2026-01-31T12:00:00Z`".to_owned()),
            SettingKind::Url => match url::Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                    if url.username().is_empty() && url.password().is_none() {
                        Ok(Self::Text(text.to_owned()))
                    } else {
                        Err("a URL without user name and password".to_owned())
                    }
                }
                _ => Err("an `http` or `https` URL".to_owned()),
            },
        }
    }
}

/// The values of a connector's settings.
///
/// `Debug` shows names and values, but never a secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(BTreeMap<String, SettingValue>);

impl Settings {
    /// No settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<SettingValue>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SettingValue> {
        self.0.get(name)
    }

    /// The value of a setting that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            SettingValue::Text(text) => Some(text),
            SettingValue::Secret(secret) => Some(secret.expose()),
            _ => None,
        }
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.0.values().filter_map(|value| match value {
            SettingValue::Secret(secret) => Some(secret),
            _ => None,
        })
    }

    /// Fills in defaults and checks that nothing is missing, unknown or of another type.
    ///
    /// # Errors
    /// Naming every missing setting with its environment variable.
    pub(crate) fn complete(mut self, plan: &Plan) -> Result<Self> {
        for name in self.0.keys() {
            if plan.setting(name).is_none() {
                return Err(unknown_setting(plan, name));
            }
        }
        for setting in &plan.settings {
            if let Some(value) = self.0.get_mut(&setting.name) {
                if setting.secret
                    && let SettingValue::Text(text) = value
                {
                    *value = SettingValue::Secret(std::mem::take(text).into());
                }
                check_allowed(setting, value, &setting.environment)?;
            } else if let Some(default) = &setting.default {
                let text = default
                    .as_str()
                    .map_or_else(|| default.to_string(), str::to_owned);
                let value = SettingValue::parse(setting, &text)
                    .map_err(|expected| invalid(setting, &text, &expected, "the spec's default"))?;
                self.0.insert(setting.name.clone(), value);
            }
        }
        let missing: Vec<&Setting> = plan
            .settings
            .iter()
            .filter(|setting| setting.required && !self.0.contains_key(&setting.name))
            .collect();
        if missing.is_empty() {
            Ok(self)
        } else {
            Err(missing_settings(&missing))
        }
    }
}

/// The error for settings that a run needs and nobody set.
fn missing_settings(missing: &[&Setting]) -> Error {
    let names: Vec<String> = missing
        .iter()
        .map(|setting| format!("`{}`", setting.name))
        .collect();
    let plural = if missing.len() == 1 {
        "setting"
    } else {
        "settings"
    };
    let mut error = Error::new(
        ErrorKind::Configuration,
        format!("missing {plural} {}", names.join(", ")),
    );
    for setting in missing {
        let environment = &setting.environment;
        error = error.hint(if setting.secret {
            format!(
                "set `{environment}`, or `{environment}_FILE` to a file that holds it, \
                 or `{}` in the file of `--config`",
                setting.name
            )
        } else {
            format!(
                "set `{environment}`, or `{}` in the file of `--config`",
                setting.name
            )
        });
    }
    error
}

fn unknown_setting(plan: &Plan, name: &str) -> Error {
    let error = Error::new(
        ErrorKind::Configuration,
        format!("unknown setting `{name}`"),
    );
    let names: Vec<&str> = plan
        .settings
        .iter()
        .map(|setting| setting.name.as_str())
        .collect();
    match nearest(name, names.iter().copied()) {
        Some(known) => error.hint(format!("did you mean `{known}`?")),
        None => error.hint(format!("the settings are {}", names.join(", "))),
    }
}

fn invalid(setting: &Setting, text: &str, expected: &str, origin: &str) -> Error {
    let shown = if setting.secret { "***" } else { text };
    Error::new(
        ErrorKind::Configuration,
        format!(
            "setting `{}` is `{shown}`, expected {expected}",
            setting.name
        ),
    )
    .with("from", origin)
}

fn check_allowed(setting: &Setting, value: &SettingValue, origin: &str) -> Result<()> {
    let json = value.to_json();
    if setting.allowed.is_empty() || setting.allowed.contains(&json) {
        return Ok(());
    }
    let allowed: Vec<String> = setting
        .allowed
        .iter()
        .map(|value| format!("`{value}`"))
        .collect();
    let expected = format!("one of {}", allowed.join(", "));
    Err(invalid(setting, &json.to_string(), &expected, origin))
}

/// A setting that the command line gave.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// The flag, without its dashes.
    pub flag: String,
    pub value: String,
}

/// Where settings come from, strongest first.
#[derive(Debug, Default)]
pub(crate) struct SettingSources<'a> {
    /// What flags gave, by setting name.
    pub flags: BTreeMap<String, Flag>,
    /// The configuration file.
    pub file: Option<&'a Path>,
}

/// What the sources hold.
#[derive(Debug)]
pub(crate) struct Configured {
    /// The values that were set, without defaults.
    pub settings: Settings,
    /// The output folder, when a file or the environment sets it.
    pub out: Option<String>,
    /// Whether anything about the API was set at all.
    pub any: bool,
}

impl SettingSources<'_> {
    /// Reads flags, then the environment, then the file.
    pub(crate) fn read(
        &self,
        plan: &Plan,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Configured> {
        let mut file = match self.file {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        let file_name = self
            .file
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let mut settings = Settings::new();
        for setting in &plan.settings {
            let from_file = file.remove(&setting.name);
            let secret_file = setting
                .secret
                .then(|| file.remove(&format!("{}_file", setting.name)));
            let secret_path_variable = format!("{}_FILE", setting.environment);
            let found = if let Some(Flag { flag, value }) = self.flags.get(&setting.name) {
                Some((value.clone(), format!("--{flag}")))
            } else if let Some(text) = environment(&setting.environment) {
                Some((text, setting.environment.clone()))
            } else if let Some(path) = setting
                .secret
                .then(|| environment(&secret_path_variable))
                .flatten()
            {
                Some((
                    read_secret(&path, &secret_path_variable)?,
                    secret_path_variable,
                ))
            } else if let Some(text) = from_file {
                Some((text, file_name.clone()))
            } else if let Some(path) = secret_file.flatten() {
                let beside = self.file.and_then(Path::parent).unwrap_or(Path::new(""));
                let path = beside.join(path).display().to_string();
                Some((read_secret(&path, &file_name)?, file_name.clone()))
            } else {
                None
            };
            let Some((text, origin)) = found else {
                continue;
            };
            // An empty variable is a deployment's missing secret, not a wish for the sandbox.
            if text.trim().is_empty() {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("setting `{}` is set but empty", setting.name),
                )
                .with("from", origin)
                .hint(format!(
                    "give `{}` a value or unset it",
                    setting.environment
                )));
            }
            let value = SettingValue::parse(setting, &text)
                .map_err(|expected| invalid(setting, &text, &expected, &origin))?;
            check_allowed(setting, &value, &origin)?;
            settings.0.insert(setting.name.clone(), value);
        }
        let variable = format!("{}_OUT", plan.name.to_uppercase().replace('-', "_"));
        let out_in_file = file.remove("out");
        let out = environment(&variable)
            .filter(|out| !out.is_empty())
            .or(out_in_file);
        if let Some(name) = file.keys().next() {
            return Err(unknown_setting(plan, name).with("file", file_name));
        }
        let any = self.file.is_some() || !settings.0.is_empty();
        Ok(Configured { settings, out, any })
    }
}

fn read_secret(path: &str, origin: &str) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(
            ErrorKind::Configuration,
            "the file of a secret cannot be read",
        )
        .with("file", path)
        .with("from", origin)
        .caused_by(error)
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>> {
    let failed =
        |message: &str| Error::new(ErrorKind::Configuration, message).with("file", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed("the configuration file cannot be read").caused_by(error))?;
    // The cause is told by position only: the text of a YAML error may quote a secret.
    let map: BTreeMap<String, serde_yaml::Value> =
        serde_yaml::from_str::<Option<BTreeMap<String, serde_yaml::Value>>>(&text)
            .map_err(|error| {
                let place = error.location().map_or_else(String::new, |at| {
                    format!(" at {}:{}", at.line(), at.column())
                });
                failed(&format!(
                    "the configuration file is not a YAML mapping of names to values{place}"
                ))
            })?
            .unwrap_or_default();
    map.into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = match value {
                serde_yaml::Value::String(text) => text,
                serde_yaml::Value::Bool(value) => value.to_string(),
                serde_yaml::Value::Number(value) => value.to_string(),
                _ => {
                    return Err(failed(&format!(
                        "`{name}` in the configuration file is not a single value"
                    )));
                }
            };
            Ok((name, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use connector_plan::{
        Auth, Client, PLAN_VERSION, Plan, Retry, Setting, SettingKind, SettingRole, Timeouts,
    };

    use super::*;

    fn setting(name: &str, kind: SettingKind, secret: bool, required: bool) -> Setting {
        Setting {
            name: name.into(),
            environment: format!("X_{}", name.to_uppercase()),
            role: SettingRole::Input,
            kind,
            secret,
            required,
            default: None,
            allowed: Vec::new(),
            description: String::new(),
        }
    }

    fn plan() -> Plan {
        Plan {
            version: PLAN_VERSION,
            name: "x".into(),
            description: String::new(),
            spec_hash: String::new(),
            settings: vec![
                setting("client_id", SettingKind::String, true, true),
                setting("client_secret", SettingKind::String, true, true),
                Setting {
                    default: Some(7.into()),
                    ..setting("days", SettingKind::Integer, false, false)
                },
                Setting {
                    allowed: vec!["eu".into(), "us".into()],
                    ..setting("region", SettingKind::String, false, false)
                },
                setting("start", SettingKind::Date, false, false),
            ],
            client: Client {
                base_url: "https://api.example.com".into(),
                headers: Vec::new(),
                auth: Auth::None,
                retry: Retry {
                    statuses: Vec::new(),
                    max_retries: 0,
                    backoff_factor: 1.0,
                    max_delay: 1.0,
                    jitter: false,
                    waits: Vec::new(),
                },
                rate_limit: None,
                timeouts: Timeouts {
                    connect: 1.0,
                    read: 1.0,
                    total: 1.0,
                },
                concurrency: 1,
                allowed_hosts: Vec::new(),
            },
            resources: Vec::new(),
        }
    }

    struct Given {
        flags: &'static [(&'static str, &'static str)],
        environment: &'static [(&'static str, &'static str)],
        file: Option<&'static str>,
    }

    /// Reads and completes; the error is its message and hints.
    fn read(given: &Given) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "from-secret-file\n").unwrap();
        let path = folder.path().join("settings.yaml");
        if let Some(text) = given.file {
            std::fs::write(&path, text).unwrap();
        }
        let secret_path = folder.path().join("secret").display().to_string();
        let environment = |name: &str| {
            let (_, value) = given.environment.iter().find(|(known, _)| *known == name)?;
            Some(value.replace("SECRET_PATH", &secret_path))
        };
        let sources = SettingSources {
            flags: given
                .flags
                .iter()
                .map(|(name, value)| {
                    let (flag, value) = ((*name).to_owned(), (*value).to_owned());
                    (flag.clone(), Flag { flag, value })
                })
                .collect(),
            file: given.file.map(|_| path.as_path()),
        };
        let plan = plan();
        sources
            .read(&plan, &environment)
            .and_then(|configured| configured.settings.complete(&plan))
            .map_err(|error| {
                let text = format!("{error}; {}", error.hints().join("; "));
                text.replace(&folder.path().display().to_string(), "DIR")
            })
    }

    const CREDENTIALS: &[(&str, &str)] = &[("X_CLIENT_ID", "id"), ("X_CLIENT_SECRET", "canary")];

    #[test]
    fn flags_come_before_the_environment_before_the_file_before_defaults() {
        let file = "client_id: file-id\nclient_secret_file: secret\nregion: us\ndays: 1\n";
        let settings = read(&Given {
            flags: &[("region", "eu")],
            environment: &[("X_REGION", "us"), ("X_DAYS", "30")],
            file: Some(file),
        })
        .unwrap();
        assert_eq!(settings.get("region"), Some(&"eu".into()));
        assert_eq!(settings.get("days"), Some(&30.into()));
        assert_eq!(settings.text("client_id"), Some("file-id"));
        assert_eq!(settings.text("client_secret"), Some("from-secret-file"));
        let settings = read(&Given {
            flags: &[],
            environment: CREDENTIALS,
            file: None,
        })
        .unwrap();
        assert_eq!(settings.get("days"), Some(&7.into()));
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn a_secret_comes_from_a_file_that_the_environment_names() {
        let environment = &[
            ("X_CLIENT_ID", "id"),
            ("X_CLIENT_SECRET_FILE", "SECRET_PATH"),
        ];
        let settings = read(&Given {
            flags: &[],
            environment,
            file: None,
        })
        .unwrap();
        assert_eq!(settings.text("client_secret"), Some("from-secret-file"));
    }

    #[track_caller]
    fn check_error(
        environment: &'static [(&'static str, &'static str)],
        file: Option<&'static str>,
        expect: &str,
    ) {
        let error = read(&Given {
            flags: &[],
            environment,
            file,
        })
        .unwrap_err();
        assert_eq!(error, expect);
    }

    #[test]
    fn mistakes_are_named_with_what_to_do() {
        check_error(
            &[("X_CLIENT_ID", "id")],
            None,
            "missing setting `client_secret`; set `X_CLIENT_SECRET`, or `X_CLIENT_SECRET_FILE` to \
             a file that holds it, or `client_secret` in the file of `--config`",
        );
        check_error(
            &[("X_CLIENT_ID", " ")],
            None,
            "setting `client_id` is set but empty (from: X_CLIENT_ID); give `X_CLIENT_ID` a value \
             or unset it",
        );
        check_error(
            &[("X_DAYS", "many")],
            None,
            "setting `days` is `many`, expected an integer (from: X_DAYS); ",
        );
        check_error(
            &[("X_REGION", "asia")],
            None,
            "setting `region` is `\"asia\"`, expected one of `\"eu\"`, `\"us\"` (from: X_REGION); ",
        );
        check_error(
            CREDENTIALS,
            Some("start: yesterday\n"),
            "setting `start` is `yesterday`, expected a date such as `2026-01-31` (from: \
             DIR/settings.yaml); ",
        );
        check_error(
            CREDENTIALS,
            Some("regoin: eu\n"),
            "unknown setting `regoin` (file: DIR/settings.yaml); did you mean `region`?",
        );
        check_error(
            CREDENTIALS,
            Some("days: [1, 2]\n"),
            "`days` in the configuration file is not a single value (file: DIR/settings.yaml); ",
        );
        check_error(
            CREDENTIALS,
            Some("client_secret: \"canary\n"),
            "the configuration file is not a YAML mapping of names to values at 2:1 (file: \
             DIR/settings.yaml); ",
        );
    }
}
