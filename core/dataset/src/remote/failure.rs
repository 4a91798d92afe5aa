//! What an object store said, as errors without secrets.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;

/// The longest text of an error that is shown.
const LONGEST_TEXT: usize = 600;

/// What the store said, as an error of any file system.
pub(super) fn failure(error: &StoreError) -> io::Error {
    let text = text(error);
    let kind = match error {
        StoreError::NotFound { .. } => io::ErrorKind::NotFound,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        StoreError::NotImplemented { .. } | StoreError::NotSupported { .. } => {
            io::ErrorKind::Unsupported
        }
        StoreError::InvalidPath { .. } => io::ErrorKind::InvalidInput,
        // The address at which machines of a cloud are told their credentials.
        _ if text.contains("169.254.169.254") => {
            let none = "no credentials were found in the environment";
            return io::Error::new(io::ErrorKind::PermissionDenied, format!("{none}: {text}"));
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, text)
}

/// The text of an error and its causes, each once, without secrets and parameters of addresses.
pub(super) fn text(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    // `vars` panics at what is not Unicode.
    let secrets = std::env::vars_os().filter_map(|(name, value)| {
        let value = value.into_string().ok()?;
        (is_secret(name.to_str()?) && value.len() >= 6).then_some(value)
    });
    clean(&text, secrets)
}

/// Whether an environment variable may hold a part of credentials.
fn is_secret(name: &str) -> bool {
    let is_of_cloud = ["AWS_", "AZURE_", "GOOGLE_"].iter();
    let is_of_cloud = is_of_cloud.into_iter().any(|start| name.starts_with(start));
    let parts = ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS", "ACCOUNT"];
    is_of_cloud && parts.iter().any(|part| name.contains(part))
}

fn clean(text: &str, secrets: impl Iterator<Item = String>) -> String {
    let text = secrets.fold(text.to_owned(), |text, secret| text.replace(&secret, "***"));
    let words = text.split_whitespace().map(|word| {
        let is_address = word.contains("://");
        match word.split_once('?') {
            Some((address, _)) if is_address => format!("{address}?…"),
            _ => word.to_owned(),
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_hold_no_secrets() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let secrets = ["AKIA123456", "s3cr3t/s3cr3t"].map(str::to_owned);
            assert_eq!(clean(text, secrets.into_iter()), expect);
        }
        check("plain\n text", "plain text");
        check(
            "<Id>AKIA123456</Id> and s3cr3t/s3cr3t.",
            "<Id>***</Id> and ***.",
        );
        check(
            "GET https://a.blob.core.windows.net/c?sig=abc%2F: 403",
            "GET https://a.blob.core.windows.net/c?… 403",
        );
        check("is it? yes", "is it? yes");
        let long = clean(&"é".repeat(2 * LONGEST_TEXT), std::iter::empty());
        assert_eq!(long.chars().count(), LONGEST_TEXT + 1);
    }

    #[test]
    fn parts_of_credentials_are_known_by_their_names() {
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SESSION_TOKEN",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_CLIENT_SECRET",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["AWS_REGION", "AWS_ENDPOINT_URL", "HOME", "SECRET"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
