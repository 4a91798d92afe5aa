//! Absolute URLs (RFC 3986), as strictly as a spec should write them.

/// The parts of a URL that matter for its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub secure: bool,
    /// In lower case, an IPv6 address with its brackets.
    pub host: String,
    pub port: u16,
    /// The path with its leading slash, empty when there is none.
    pub path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]`; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(wrong) = text.chars().find(|c| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '\\' | '"' | '<' | '>' | '`' | '|' | '^')
        }) {
            return Err(format!("a URL cannot hold `{}`", wrong.escape_default()));
        }
        let lower = text.to_ascii_lowercase();
        let (secure, length) = if lower.starts_with("https://") {
            (true, 8)
        } else if lower.starts_with("http://") {
            (false, 7)
        } else {
            return Err("it must begin with `https://` or `http://`".to_owned());
        };
        let rest = &text[length..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it must not hold credentials; use `auth`".to_owned());
        }
        if path.contains('#') {
            return Err("it must not have a fragment (`#`)".to_owned());
        }
        let (host, port) = authority_parts(authority)?;
        Ok(Self {
            secure,
            host,
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path: path.to_owned(),
        })
    }

    /// Whether the other URL has the same scheme, host and port (RFC 6454).
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        self.secure == other.secure && self.host == other.host && self.port == other.port
    }

    /// Whether requests do not leave this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.starts_with("127.") || self.host == "[::1]"
    }
}

/// The host, in lower case, and the port of `host[:port]`.
pub(super) fn authority_parts(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, rest)) => {
            let valid = address.contains(':')
                && address
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
            if !valid {
                return Err("its IPv6 address is wrong".to_owned());
            }
            (
                format!("[{address}]"),
                rest.strip_prefix(':')
                    .or((!rest.is_empty()).then_some(rest)),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (authority.to_owned(), None),
        },
    };
    let valid = host.starts_with('[')
        || host.len() <= 253
            && host.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            });
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    if !host.is_ascii() {
        return Err("its host must be written in ASCII (`xn--…`)".to_owned());
    }
    if !valid {
        return Err("its host is wrong".to_owned());
    }
    let port = match port {
        None => None,
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 && digits.bytes().all(|c| c.is_ascii_digit()) => Some(port),
            _ => return Err("its port is not a number from 1 to 65535".to_owned()),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_absolute_and_without_credentials() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let shown = match Url::parse(text) {
                Ok(url) => format!("{} {} {} {}", url.secure, url.host, url.port, url.path),
                Err(reason) => reason,
            };
            assert_eq!(shown, expect, "{text}");
        }
        check("https://api.example.com", "true api.example.com 443 ");
        check("HTTP://Example.com:8080/v1/", "false example.com 8080 /v1/");
        check("http://[::1]:80/x", "false [::1] 80 /x");
        check(
            "api.example.com",
            "it must begin with `https://` or `http://`",
        );
        check("ftp://a", "it must begin with `https://` or `http://`");
        check("https://", "it has no host");
        check("https://u:p@a", "it must not hold credentials; use `auth`");
        check(
            "https://a:99999",
            "its port is not a number from 1 to 65535",
        );
        check("https://a:+80", "its port is not a number from 1 to 65535");
        check("https://[::1", "its port is not a number from 1 to 65535");
        check("https://[::1]x", "its port is not a number from 1 to 65535");
        check("https://a..b", "its host is wrong");
        check(
            "https://ä.de",
            "its host must be written in ASCII (`xn--…`)",
        );
        check("https://a b", "a URL cannot hold ` `");
        check("https://a\\b", "a URL cannot hold `\\\\`");
        check("https://a/#x", "it must not have a fragment (`#`)");
    }
}
