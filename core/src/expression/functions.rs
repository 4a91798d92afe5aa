//! The functions, filters and methods of expressions beside Jinja's own.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use regex::Regex;
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use super::cache::Cache;
use super::time::{self, invalid};

/// Adds everything that is not Jinja's own.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function("now_utc", time::now_utc);
    environment.add_function("today_utc", time::today_utc);
    // Of all zones there is one.
    environment.add_function("today_with_timezone", |zone: &str| match zone {
        "UTC" | "utc" | "GMT" => Ok(time::today_utc()),
        zone => Err(invalid(format!(
            "the zone `{zone}` is not known, only `UTC`"
        ))),
    });
    environment.add_function("timestamp", |value: Value| time::timestamp(&value));
    environment.add_filter("timestamp", |value: Value| time::timestamp(&value));
    environment.add_function("str_to_datetime", |value: Value| {
        time::str_to_datetime(&value)
    });
    environment.add_function("strptime", |value: Value, format: &str| {
        time::strptime(&value, format)
    });
    environment.add_filter("strptime", |value: Value, format: &str| {
        time::strptime(&value, format)
    });
    environment.add_function("format_datetime", format_datetime);
    environment.add_filter("format_datetime", format_datetime);
    environment.add_function("day_delta", |days: i64, format: Option<&str>| {
        time::day_delta(days, format)
    });
    environment.add_function("duration", time::duration);
    // Build time writes `a + b` of times as these: operators know only numbers and texts.
    environment.add_function("__add", |a: Value, b: Value| time::add(&a, &b, false));
    environment.add_function("__subtract", |a: Value, b: Value| time::add(&a, &b, true));
    environment.add_function("max", |values: Rest<Value>| extreme(&values, true));
    environment.add_function("min", |values: Rest<Value>| extreme(&values, false));
    environment.add_filter("hash", hash);
    environment.add_filter("base64encode", |value: Value| {
        STANDARD.encode(value.to_string())
    });
    environment.add_filter("base64decode", base64decode);
    environment.add_filter("regex_search", regex_search);
    environment.add_filter("regex_replace", regex_replace);
}

/// The methods of Python. `get` of nothing is nothing, or its default.
pub(super) fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    if method == "get" && (value.is_undefined() || value.is_none()) {
        return Ok(arguments.get(1).cloned().unwrap_or(Value::from(())));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}

fn format_datetime(value: &Value, format: &str, input: Option<&str>) -> Result<String, Error> {
    time::format_datetime(value, format, input)
}

/// The largest or smallest of the arguments, or of the one list.
fn extreme(values: &[Value], largest: bool) -> Result<Value, Error> {
    let all: Vec<Value> = match values {
        [list] if matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            list.try_iter()?.collect()
        }
        values => values.to_vec(),
    };
    let found = if largest {
        all.into_iter().max()
    } else {
        all.into_iter().min()
    };
    found.ok_or_else(|| Error::new(ErrorKind::MissingArgument, "no values to choose from"))
}

/// The digest of a text and, behind it, a salt, in hexadecimal digits. Airbyte's filter: MD5 unless
/// another algorithm is named.
fn hash(value: &Value, algorithm: Option<&str>, salt: Option<&Value>) -> Result<String, Error> {
    let mut text = value.to_string();
    if let Some(salt) = salt {
        text.push_str(&salt.to_string());
    }
    let digest = match algorithm.unwrap_or("md5") {
        "md5" => Md5::digest(text).to_vec(),
        "sha1" => Sha1::digest(text).to_vec(),
        "sha224" => Sha224::digest(text).to_vec(),
        "sha256" => Sha256::digest(text).to_vec(),
        "sha384" => Sha384::digest(text).to_vec(),
        "sha512" => Sha512::digest(text).to_vec(),
        other => {
            return Err(invalid(format!(
                "unknown hash `{other}`; expected `md5`, `sha1`, `sha224`, `sha256`, `sha384` or \
                 `sha512`"
            )));
        }
    };
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn base64decode(text: &str) -> Result<String, Error> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| invalid("the text is not base64"))?;
    String::from_utf8(bytes).map_err(|_| invalid("the text in base64 is not UTF-8"))
}

fn regex(pattern: &str) -> Result<Arc<Regex>, Error> {
    static KNOWN: LazyLock<Cache<Regex>> = LazyLock::new(Cache::default);
    let compiled = KNOWN.get(pattern, Regex::new);
    compiled.map_err(|error| invalid(format!("no regular expression: {error}")))
}

/// The first group of the first match, or the match when there are no groups; none without one.
fn regex_search(text: &str, pattern: &str) -> Result<Value, Error> {
    let found = regex(pattern)?.captures(text).and_then(|captures| {
        let group = captures.get(1).or(captures.get(0))?;
        Some(group.as_str().to_owned())
    });
    Ok(found.map_or(Value::from(()), Value::from))
}

fn regex_replace(text: &str, pattern: &str, by: &str) -> Result<String, Error> {
    Ok(regex(pattern)?.replace_all(text, by).into_owned())
}
