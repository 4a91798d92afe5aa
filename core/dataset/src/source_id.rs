//! Where the rows of a dataset came from.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Where the rows of a dataset came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceId {
    /// The connector's own sandbox: sample data.
    Sandbox,
    /// A server, by its origin such as `https://api.example.com`.
    Origin(String),
}

impl SourceId {
    /// The server of this URL; what is not its origin (user, password, path, query) is left out.
    #[must_use]
    pub fn origin(url: &str) -> Self {
        let lower = |text: &str| text.to_ascii_lowercase();
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self::Origin(lower(url.split(['?', '#', '@']).next().unwrap_or_default()));
        };
        let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let scheme = lower(scheme);
        let host = match (scheme.as_str(), lower(host)) {
            ("https", host) => host
                .strip_suffix(":443")
                .map_or(host.clone(), str::to_owned),
            ("http", host) => host.strip_suffix(":80").map_or(host.clone(), str::to_owned),
            (_, host) => host,
        };
        Self::Origin(format!("{scheme}://{host}"))
    }

    /// Whether both are the same source.
    ///
    /// Loopback servers compare without their port: test servers and tunnels listen on another one
    /// each time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Origin(one), Self::Origin(two)) => {
                one == two
                    || loopback(one).is_some_and(|host| loopback(two).as_ref() == Some(&host))
            }
            (one, two) => one == two,
        }
    }
}

/// The scheme and host of an origin whose host is this machine.
fn loopback(origin: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = origin.split_once("://")?;
    let host = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => rest.split(':').next()?,
    };
    let is_loopback = host == "localhost"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|host| host.is_loopback())
        || host
            .parse::<Ipv6Addr>()
            .is_ok_and(|host| host.is_loopback());
    is_loopback.then_some((scheme, host))
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandbox => f.write_str("the sandbox"),
            Self::Origin(origin) => write!(f, "`{origin}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_holds_nothing_else() {
        #[track_caller]
        fn check(url: &str, expect: &str) {
            assert_eq!(SourceId::origin(url), SourceId::Origin(expect.to_owned()));
        }
        check("https://api.example.com", "https://api.example.com");
        check("https://API.example.com:443/v1/", "https://api.example.com");
        check("http://api.example.com:80", "http://api.example.com");
        check(
            "http://api.example.com:8080?x=1",
            "http://api.example.com:8080",
        );
        check(
            "https://user:secret@api.example.com/",
            "https://api.example.com",
        );
        check("http://[::1]:4000/v1", "http://[::1]:4000");
    }

    #[test]
    fn loopback_ports_do_not_matter() {
        #[track_caller]
        fn check(one: &str, two: &str, expect: bool) {
            assert_eq!(
                SourceId::origin(one).is_same(&SourceId::origin(two)),
                expect
            );
        }
        check("http://127.0.0.1:1", "http://127.0.0.1:2", true);
        check("http://localhost", "http://localhost:2/x", true);
        check("http://[::1]:1", "http://[::1]:2", true);
        check("http://127.0.0.1:1", "https://127.0.0.1:1", false);
        check("http://127.0.0.1:1", "http://localhost:1", false);
        check("https://a.example:1", "https://a.example:2", false);
        check("https://a.example", "https://a.example", true);
        assert!(!SourceId::Sandbox.is_same(&SourceId::origin("http://127.0.0.1")));
        assert!(SourceId::Sandbox.is_same(&SourceId::Sandbox));
    }
}
