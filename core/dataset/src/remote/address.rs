//! Addresses of object stores: which there are, how they are shown, and where their runs work.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::disk::hexadecimal;

/// What an output folder may be, beside a folder.
pub(super) const SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"];
/// Schemes in whose addresses a container stands before the host: `abfss://container@account…`.
const WITH_CONTAINER: [&str; 3] = ["az", "abfs", "abfss"];

/// Whether an output folder is the address of an object store, or of something else that is none.
#[must_use]
pub fn is_address(out: &Path) -> bool {
    scheme(out).is_some()
}

/// The folder of the local disk in which runs work whose datasets are in an object store, and where
/// what no bucket should hold is kept: below `base`, or by default below `rivulet` in the user's
/// folder for such things (`$XDG_STATE_HOME`, `~/.local/state`, `%LOCALAPPDATA%`), or the
/// system's temporary folder where there is no such folder.
#[must_use]
pub fn work_folder(out: &Path, connector: &str, base: Option<&Path>) -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let default = || {
        let state = variable("XDG_STATE_HOME").or_else(|| variable("LOCALAPPDATA"));
        let state = state.map(PathBuf::from).or_else(|| {
            let home = variable("HOME")?;
            Some(Path::new(&home).join(".local").join("state"))
        });
        state.unwrap_or_else(std::env::temp_dir).join("rivulet")
    };
    let base = base.map_or_else(default, Path::to_owned);
    let address = Sha256::digest(normalised(out));
    let address = hexadecimal(address.get(..8).unwrap_or_default());
    base.join(format!("{connector}-{address}"))
}

/// What the spellings of one address have in common: `s3a://lake//raw/` is `s3://lake/raw`, and what
/// `abfs://lake@account.blob.core.windows.net` leads to, `abfss://lake@account.dfs.core.windows.net`
/// leads to as well.
fn normalised(out: &Path) -> Vec<u8> {
    let mut is_azure = false;
    let parts = out.iter().enumerate().map(|(index, part)| {
        let part = part.as_encoded_bytes();
        match (index, part) {
            (0, b"s3a:") => b"s3:".to_vec(),
            (0, b"az:" | b"adl:" | b"azure:" | b"abfs:" | b"abfss:") => {
                is_azure = true;
                b"az:".to_vec()
            }
            (1, part) if is_azure => match part.strip_suffix(b".blob.core.windows.net") {
                Some(account) => [account, b".dfs.core.windows.net"].concat(),
                None => part.to_vec(),
            },
            _ => part.to_vec(),
        }
    });
    parts.collect::<Vec<_>>().join(&b'/')
}

/// The scheme of an address (RFC 3986, section 3.1); a single letter is a drive of Windows.
pub(super) fn scheme(out: &Path) -> Option<&str> {
    let (scheme, _) = out.to_str()?.split_once("://")?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some(scheme)
}

/// Refuses credentials and parameters in an address: it is shown, and written to files.
pub(super) fn check(out: &Path) -> Result<(), Error> {
    let text = out.to_string_lossy();
    if has_credentials(&text) || text.contains(['?', '#']) {
        return Err(Error::configuration(format!(
            "the address `{}` cannot be used: credentials and parameters have no place in it",
            shown(out)
        ))
        .with_hint(
            "give credentials, region and endpoint in the environment (`AWS_…`, `GOOGLE_…`, \
             `AZURE_…`)",
        ));
    }
    Ok(())
}

/// An address without what may be a secret. Nobody can tell where a secret that is not encoded ends
/// (those of S3 have slashes), so nothing is shown that follows one.
pub(super) fn shown(out: &Path) -> String {
    let text = out.to_string_lossy();
    if has_credentials(&text) {
        let (scheme, _) = text.split_once("://").unwrap_or_default();
        return format!("{scheme}://…");
    }
    match text.split_once(['?', '#']) {
        Some((address, _)) => format!("{address}…"),
        None => text.into_owned(),
    }
}

/// Whether something stands before the host, or behind it: no bucket has a port.
fn has_credentials(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains(':') || authority.contains('@') && !WITH_CONTAINER.contains(&scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_address_is_shown() {
        #[track_caller]
        fn check(out: &str, expect: &str) {
            let out = Path::new(out);
            assert_eq!(shown(out), expect);
            let error = super::check(out).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Configuration);
            let text = format!("the address `{expect}` cannot be used: credentials and parameters");
            assert!(error.to_string().starts_with(&text), "{error}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
        check("s3://AKIA:s3cr3t@bucket/x", "s3://…");
        check("s3://AKIA:a/s3cr3t@bucket/x", "s3://…");
        check("s3://AKIA:a?/s3cr3t@bucket/x", "s3://…");
        check("s3://:s3cr3t@bucket/x", "s3://…");
        check("s3://s3cr3t@bucket/x", "s3://…");
        check("gs://s3cr3t@bucket", "gs://…");
        check(
            "abfss://c:s3cr3t@account.dfs.core.windows.net/x",
            "abfss://…",
        );
        check("s3://bucket/x?sig=s3cr3t", "s3://bucket/x…");
        check("az://bucket?sig=s3cr3t@x", "az://bucket…");
        check("s3://bucket/x#s3cr3t", "s3://bucket/x…");
    }

    #[test]
    fn addresses_without_secrets_are_shown_as_they_are() {
        #[track_caller]
        fn check(out: &str) {
            assert_eq!(shown(Path::new(out)), out);
            super::check(Path::new(out)).unwrap();
        }
        check("s3://bucket/a@b/c:d");
        check("gs://bucket");
        check("abfss://container@account.dfs.core.windows.net/x");
        check("az://container/x");
    }

    #[test]
    fn a_drive_is_no_scheme() {
        for (out, expect) in [
            ("s3://b", Some("s3")),
            ("C://data", None),
            ("data", None),
            ("a b://c", None),
        ] {
            assert_eq!(scheme(Path::new(out)), expect, "{out}");
        }
    }

    #[test]
    fn one_address_has_one_working_folder() {
        let folder = |out: &str| work_folder(Path::new(out), "shop", Some(Path::new("base")));
        // A folder of an earlier version is found again.
        assert_eq!(
            folder("s3://lake/raw"),
            Path::new("base/shop-b19db8d4ac5bc22e")
        );
        for out in ["s3://lake/raw/", "s3a://lake/raw", "s3://lake//raw/./"] {
            assert_eq!(folder(out), folder("s3://lake/raw"), "{out}");
        }
        for scheme in ["az", "adl", "azure", "abfs", "abfss"] {
            assert_eq!(
                folder(&format!("{scheme}://lake/raw")),
                folder("az://lake/raw")
            );
        }
        let azure = |scheme: &str, host: &str| {
            folder(&format!(
                "{scheme}://lake@account.{host}.core.windows.net/raw"
            ))
        };
        assert_eq!(azure("abfss", "dfs"), azure("abfs", "blob"));
        assert_ne!(azure("abfss", "dfs"), folder("az://lake/raw"));
        for out in [
            "az://lake/raw",
            "s3://lake",
            "s3://lake/raw/x",
            "gs://lake/raw",
            "s3://lakeraw",
        ] {
            assert_ne!(folder(out), folder("s3://lake/raw"), "{out}");
        }
    }
}
