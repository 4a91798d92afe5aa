//! The URLs of a plan, moved to where the settings say the API is.

use url::Url;

use crate::{Error, ErrorKind, Result};

/// Where the API is: the spec's base URL and the one in use.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    declared: Url,
    base: Url,
}

impl Site {
    /// The base URL of the spec, and the one that replaces it.
    pub(crate) fn new(declared: &str, base: &str) -> Result<Self> {
        Ok(Self {
            declared: parse(declared)?,
            base: parse(base)?,
        })
    }

    /// The base URL in use.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The URL of an endpoint's path: below the base URL, or an absolute URL of the spec.
    pub(crate) fn endpoint(&self, path: &str) -> Result<Url> {
        if path.starts_with("http://") || path.starts_with("https://") {
            return self.moved(path);
        }
        let base = self.base.as_str().trim_end_matches('/');
        match path.trim_start_matches('/') {
            "" => Ok(self.base.clone()),
            path => parse(&format!("{base}/{path}")),
        }
    }

    /// A URL of the spec: on the spec's own origin it moves with the base URL.
    ///
    /// Below the path of the declared base URL that path is exchanged too, so that a base URL
    /// behind a gateway's prefix carries its token endpoint along.
    pub(crate) fn moved(&self, url: &str) -> Result<Url> {
        let url = parse(url)?;
        if url.origin() != self.declared.origin() {
            return Ok(url);
        }
        let mut moved = self.base.clone();
        let declared_path = self.declared.path().trim_end_matches('/');
        let path = match url.path().strip_prefix(declared_path) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{}{rest}", self.base.path().trim_end_matches('/'))
            }
            _ => url.path().to_owned(),
        };
        moved.set_path(&path);
        moved.set_query(url.query());
        Ok(moved)
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| {
        Error::new(ErrorKind::Configuration, format!("`{url}` is not a URL")).caused_by(error)
    })
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(declared: &str, base: &str, url: &str, expect: &str) {
        let site = Site::new(declared, base).unwrap();
        assert_eq!(site.moved(url).unwrap().as_str(), expect);
    }

    #[test]
    fn urls_on_the_declared_origin_move_with_the_base_url() {
        let api = "https://api.example.com";
        check(
            api,
            "http://127.0.0.1:81",
            "https://api.example.com/oauth/token",
            "http://127.0.0.1:81/oauth/token",
        );
        check(
            api,
            "http://h/proxy",
            "https://api.example.com/oauth/token",
            "http://h/proxy/oauth/token",
        );
        let v2 = "https://api.example.com/v2";
        check(
            v2,
            "http://h/v2",
            "https://api.example.com/v2/auth/token",
            "http://h/v2/auth/token",
        );
        check(
            v2,
            "http://h/p/v3",
            "https://api.example.com/v2/auth/token",
            "http://h/p/v3/auth/token",
        );
        check(
            v2,
            "http://h/p/v3",
            "https://api.example.com/v22/token",
            "http://h/v22/token",
        );
        check(
            api,
            "http://h",
            "https://login.example.com/token",
            "https://login.example.com/token",
        );
        check(
            api,
            "http://h",
            "http://api.example.com/token",
            "http://api.example.com/token",
        );
    }

    #[test]
    fn paths_are_joined_to_the_base_url_with_one_slash() {
        let site = Site::new("https://a/v2/", "https://b/v2/").unwrap();
        let endpoint = |path: &str| site.endpoint(path).unwrap().to_string();
        assert_eq!(endpoint("/files"), "https://b/v2/files");
        assert_eq!(endpoint("files?x=1"), "https://b/v2/files?x=1");
        assert_eq!(endpoint(""), "https://b/v2/");
        assert_eq!(endpoint("https://a/v2/x"), "https://b/v2/x");
        assert_eq!(endpoint("https://c/x"), "https://c/x");
    }
}
