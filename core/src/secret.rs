//! Values that are never shown.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

use crate::template::PATH_VALUE;

/// A text that is never shown: `Debug` and `Display` print `***`, memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// Removes every known secret from texts that come from outside, such as an API's error message.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    /// Those of the whole run.
    lasting: Vec<Secret>,
    /// Those of single requests, the last one used at the end.
    passing: VecDeque<Secret>,
}

/// How many secrets of single requests are remembered: more than requests are under way, so that
/// whatever is told about one of them is told without it.
const PASSING: usize = 256;

/// The bytes of a text that are searched for secrets before a piece of it is shown.
const SEARCHED: usize = 256 << 10;

/// Shorter texts are everywhere: replacing them would garble messages and hide nothing.
const SHORTEST: usize = 4;

impl Redactor {
    /// Learns a secret that counts as long as the client lives.
    pub(crate) fn learn(&self, secret: &Secret) {
        if secret.expose().len() < SHORTEST {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let lasting = &mut known.lasting;
        if !lasting.contains(secret) {
            lasting.push(secret.clone());
        }
    }

    /// Learns a secret of one request, such as its signature: after many others it is forgotten.
    pub(crate) fn learn_passing(&self, secret: &Secret) {
        if secret.expose().len() < SHORTEST {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.lasting.contains(secret) {
            return;
        }
        let passing = &mut known.passing;
        if let Some(at) = passing.iter().rposition(|other| other == secret) {
            passing.remove(at);
        } else if passing.len() == PASSING {
            passing.pop_front();
        }
        passing.push_back(secret.clone());
    }

    /// The text with every known secret replaced by `***`: as it is, percent-encoded and as JSON
    /// writes it.
    pub(crate) fn redact(&self, text: &str) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut secrets: Vec<&Secret> = known.lasting.iter().chain(&known.passing).collect();
        // The longest first, so that no secret survives as the rest of a shorter one.
        secrets.sort_by_key(|secret| Reverse(secret.expose().len()));
        let mut text = text.to_owned();
        for secret in secrets {
            for form in forms(secret.expose()) {
                if text.contains(&*form) {
                    text = text.replace(&*form, "***");
                }
            }
        }
        text
    }

    /// Up to 200 characters of a text on one line, without secrets.
    pub(crate) fn excerpt(&self, text: &[u8]) -> String {
        // Secrets go first: a cut through the middle of one would hide it from the search. Tokens
        // can be long, hence so much more than is shown.
        let text = String::from_utf8_lossy(text.get(..SEARCHED).unwrap_or(text));
        let text = self.redact(&text);
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(200) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// A URL as messages may show it: without user information and without secrets.
    pub(crate) fn url(&self, url: &url::Url) -> String {
        let mut url = url.clone();
        // Both fail only for URLs that cannot have user information.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        if url.query().is_some() {
            let pairs: Vec<(String, String)> = url
                .query_pairs()
                .map(|(name, value)| {
                    let value = if is_secret_name(&name) {
                        "***".into()
                    } else {
                        value
                    };
                    (name.into_owned(), value.into_owned())
                })
                .collect();
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        self.redact(url.as_str())
    }
}

/// How requests write a text: as it is, in a query or a form, in a path, in JSON.
fn forms(plain: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let query: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let path: Cow<'_, str> = percent_encoding::utf8_percent_encode(plain, PATH_VALUE).into();
    let json = serde_json::Value::from(plain).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let encoded = [query.into(), path, json.into()];
    let encoded = encoded.into_iter().filter(move |form| form != plain);
    std::iter::once(plain.into()).chain(encoded)
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// Whether a query parameter of this name usually carries a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    [
        "token",
        "secret",
        "password",
        "passwd",
        "pwd",
        "api_key",
        "apikey",
        "signature",
        "sig",
    ]
    .iter()
    .any(|word| name == *word || name.ends_with(&format!("_{word}")))
        || name.starts_with("x_amz_")
        || name == "key"
}

/// Whether a query parameter of this name, in a link that an API gives, may carry a credential.
///
/// Unlike [`is_secret_name`] it knows the tokens of pages, and names in camel case.
pub(crate) fn is_credential_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    const PAGING: [&str; 11] = [
        "page",
        "next",
        "cursor",
        "continuation",
        "pagination",
        "start",
        "scroll",
        "sync",
        "delta",
        "skip",
        "offset",
    ];
    const WORDS: [&str; 12] = [
        "token",
        "secret",
        "password",
        "passwd",
        "pwd",
        "key",
        "signature",
        "sig",
        "jwt",
        "auth",
        "authorization",
        "credential",
    ];
    let is_paging = PAGING.iter().any(|word| plain.contains(word));
    let has_word = WORDS.iter().any(|word| plain.ends_with(word));
    (has_word && !is_paging)
        || plain.starts_with("xamz")
        || plain.starts_with("xgoog")
        || matches!(
            plain.as_str(),
            "awsaccesskeyid" | "credentials" | "sessionid" | "sid"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let secret = Secret::from("canary-value");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[test]
    fn an_excerpt_has_no_piece_of_a_long_secret() {
        let redactor = Redactor::default();
        let secret = "canary".repeat(2_000);
        redactor.learn(&Secret::from(secret.as_str()));
        let body = format!("bad\ntoken  {secret} {}", "x".repeat(300));
        let excerpt = redactor.excerpt(body.as_bytes());
        assert_eq!(excerpt, format!("bad token *** {}…", "x".repeat(186)));
        let multibyte = "é".repeat(SEARCHED);
        assert_eq!(
            redactor.excerpt(multibyte.as_bytes()),
            format!("{}…", "é".repeat(200))
        );
    }

    #[test]
    fn known_secrets_leave_foreign_texts_plain_and_encoded() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::from("canary/1 2"));
        redactor.learn(&Secret::from("abc"));
        assert_eq!(
            redactor.redact("bad token canary/1 2 at ?t=canary%2F1+2, abc"),
            "bad token *** at ?t=***, abc"
        );
    }

    #[test]
    fn names_of_credentials_are_told_from_those_of_pages() {
        #[track_caller]
        fn check(name: &str, expect: bool) {
            assert_eq!(is_credential_name(name), expect, "{name}");
        }
        for name in [
            "token",
            "access_token",
            "accessToken",
            "X-Amz-Signature",
            "sig",
            "api_key",
            "apikey",
            "key",
            "Client-Secret",
            "auth",
            "sid",
        ] {
            check(name, true);
        }
        for name in [
            "page",
            "page_token",
            "pageToken",
            "nextPageToken",
            "continuation-token",
            "cursor",
            "offset",
            "starting_after",
            "limit",
            "q",
            "skiptoken",
        ] {
            check(name, false);
        }
    }

    #[test]
    fn secrets_of_requests_are_known_for_a_while_and_their_number_is_bounded() {
        let redactor = Redactor::default();
        let signature = |number: usize| Secret::from(format!("signature {number:04}/\"x\""));
        redactor.learn(&Secret::from("canary"));
        redactor.learn_passing(&Secret::from("canary"));
        for number in 0..10_000 {
            redactor.learn_passing(&signature(number));
            // One that is used again is not forgotten.
            redactor.learn_passing(&signature(0));
        }
        let known = redactor.0.read().unwrap();
        assert_eq!((known.lasting.len(), known.passing.len()), (1, PASSING));
        for number in [0, 9_999, 10_000 - PASSING + 1] {
            let plain = signature(number).expose().to_owned();
            let path = format!("/signature%20{number:04}%2F%22x%22/");
            let json = serde_json::json!({"a": plain, "canary": 1}).to_string();
            assert_eq!(
                redactor.redact(&format!("{plain} {path} {json}")),
                "*** /***/ {\"a\":\"***\",\"***\":1}"
            );
        }
    }

    #[test]
    fn urls_are_shown_without_credentials() {
        let redactor = Redactor::default();
        let url = "https://me:word@api.example.com/v1?access_token=abcdef&page=2#frag";
        assert_eq!(
            redactor.url(&url::Url::parse(url).unwrap()),
            "https://api.example.com/v1?access_token=***&page=2"
        );
    }
}
