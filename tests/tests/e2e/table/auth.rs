//! Every form of authentication: accepted, refused, ended and renewed.

use std::collections::BTreeMap;

use connector_sandbox::Answer;
use serde_json::json;

use super::{Case, check, page};

/// A form of authentication, as its spec writes it and as requests carry it.
struct Form {
    name: &'static str,
    auth: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// What the hint names when the credentials are refused.
    environment: &'static [&'static str],
    /// The request for a token, of the first and of the second one.
    token: Option<[&'static str; 2]>,
    /// Where a request carries the credentials: a header, or a query parameter behind a `?`.
    carrier: Option<(&'static str, &'static str)>,
}

/// What becomes of the credentials.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Accepted,
    /// Every request for data is answered with `401`.
    Refused,
    /// The first one is.
    Ended,
    /// The request for a token is.
    NoToken,
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";

fn forms() -> Vec<Form> {
    let secrets: &[_] = &[("client_id", "me"), ("client_secret", "s:1 %")];
    let both: &[_] = &["`TABLE_CLIENT_ID`", "`TABLE_CLIENT_SECRET`"];
    let refresh: &[_] = &[
        ("client_id", "me"),
        ("client_secret", "s:1 %"),
        ("refresh_token", "r1"),
    ];
    let bearer = Some(("authorization", "Bearer {token}"));
    vec![
        Form {
            name: "none",
            auth: "none",
            settings: &[],
            environment: &["check the credentials"],
            token: None,
            carrier: None,
        },
        Form {
            name: "bearer",
            auth: "{type: bearer, token: \"{{ secrets.key }}\"}",
            settings: &[("key", "k1")],
            environment: &["`TABLE_KEY`"],
            token: None,
            carrier: Some(("authorization", "Bearer k1")),
        },
        Form {
            name: "bearer by default, dlt's way",
            auth: "{token: 'dlt.secrets[\"key\"]'}",
            settings: &[("key", "k1")],
            environment: &["`TABLE_KEY`"],
            token: None,
            carrier: Some(("authorization", "Bearer k1")),
        },
        Form {
            name: "api_key",
            auth: "api_key",
            settings: &[("api_key", "k1")],
            environment: &["`TABLE_API_KEY`"],
            token: None,
            carrier: Some(("authorization", "k1")),
        },
        Form {
            name: "api_key in a header",
            auth: "{type: api_key, name: X-Key, api_key: \"Key {{ secrets.key }}\"}",
            settings: &[("key", "k1")],
            environment: &["`TABLE_KEY`"],
            token: None,
            carrier: Some(("x-key", "Key k1")),
        },
        Form {
            name: "api_key in the query",
            auth: "{type: api_key, name: key, location: query}",
            settings: &[("api_key", "k&1")],
            environment: &["`TABLE_API_KEY`"],
            token: None,
            carrier: Some(("?", "key=k&1")),
        },
        Form {
            name: "api_key in a cookie",
            auth: "{type: api_key, name: sid, location: cookie}",
            settings: &[("api_key", "k1")],
            environment: &["`TABLE_API_KEY`"],
            token: None,
            carrier: Some(("cookie", "sid=k1")),
        },
        Form {
            name: "http_basic",
            auth: "http_basic",
            settings: &[("username", "me"), ("password", "a:ü")],
            environment: &["`TABLE_USERNAME`", "`TABLE_PASSWORD`"],
            token: None,
            carrier: Some(("authorization", "Basic bWU6YTrDvA==")),
        },
        Form {
            name: "oauth2, credentials in the body",
            auth: "{type: oauth2, token_url: \"https://api.example.com/token\", client_id: \"{{ secrets.client_id }}\", client_secret: \"{{ secrets.client_secret }}\"}",
            settings: secrets,
            environment: both,
            token: Some(["client_id=me&client_secret=s%3A1+%25&grant_type=client_credentials"; 2]),
            carrier: bearer,
        },
        Form {
            name: "oauth2 with everything else, dlt's names",
            auth: "{type: oauth2_client_credentials, access_token_url: \"https://api.example.com/token\", client_id: \"{{ secrets.client_id }}\", client_secret: \"{{ secrets.client_secret }}\", scope: \"read list\", audience: all, access_token_request_data: {tenant: 7}}",
            settings: secrets,
            environment: both,
            token: Some(
                ["audience=all&client_id=me&client_secret=s%3A1+%25&grant_type=client_credentials&scope=read+list&tenant=7";
                    2],
            ),
            carrier: bearer,
        },
        Form {
            name: "oauth2, Basic",
            auth: "{type: oauth2, client_authentication: basic, token_url: \"https://api.example.com/token\", client_id: \"{{ secrets.client_id }}\", client_secret: \"{{ secrets.client_secret }}\", scopes: [read]}",
            settings: secrets,
            environment: both,
            token: Some(
                ["authorization: Basic bWU6cyUzQTErJTI1 | grant_type=client_credentials&scope=read";
                    2],
            ),
            carrier: bearer,
        },
        Form {
            name: "oauth2, refresh token that is replaced",
            auth: "{type: oauth2, token_url: \"https://api.example.com/token\", client_id: \"{{ secrets.client_id }}\", client_secret: \"{{ secrets.client_secret }}\", refresh_token: \"{{ secrets.refresh_token }}\"}",
            settings: refresh,
            environment: &["`TABLE_CLIENT_ID`", "`TABLE_REFRESH_TOKEN`"],
            token: Some([
                "client_id=me&client_secret=s%3A1+%25&grant_type=refresh_token&refresh_token=r1",
                "client_id=me&client_secret=s%3A1+%25&grant_type=refresh_token&refresh_token=r2",
            ]),
            carrier: bearer,
        },
        Form {
            name: "oauth2, refresh token of a public client",
            auth: "{type: oauth2, token_url: \"https://api.example.com/token\", client_id: me, client_secret: null, refresh_token: \"{{ secrets.refresh_token }}\"}",
            settings: &[("refresh_token", "r1")],
            environment: &["`TABLE_REFRESH_TOKEN`"],
            token: Some([
                "client_id=me&grant_type=refresh_token&refresh_token=r1",
                "client_id=me&grant_type=refresh_token&refresh_token=r2",
            ]),
            carrier: bearer,
        },
        Form {
            name: "session_token",
            auth: "{type: session_token, login_path: /token, data: {user: me, password: \"{{ secrets.password }}\"}, token_path: access_token}",
            settings: &[("password", "p&1")],
            environment: &["`TABLE_PASSWORD`"],
            token: Some(["password=p%261&user=me"; 2]),
            carrier: bearer,
        },
        Form {
            name: "session_token in a header of its own",
            auth: "{type: session_token, login_path: /token, data: {key: \"{{ secrets.password }}\"}, token_path: access_token, name: X-Session}",
            settings: &[("password", "p1")],
            environment: &["`TABLE_PASSWORD`"],
            token: Some(["key=p1"; 2]),
            carrier: Some(("x-session", "{token}")),
        },
        Form {
            name: "session_token in the query",
            auth: "{type: session_token, login_path: /token, data: {key: \"{{ secrets.password }}\"}, token_path: access_token, name: session, location: query}",
            settings: &[("password", "p1")],
            environment: &["`TABLE_PASSWORD`"],
            token: Some(["key=p1"; 2]),
            carrier: Some(("?", "session={token}")),
        },
        Form {
            name: "session_token in a cookie",
            auth: "{type: session_token, login_path: /token, data: {key: \"{{ secrets.password }}\"}, token_path: access_token, name: sid, location: cookie}",
            settings: &[("password", "p1")],
            environment: &["`TABLE_PASSWORD`"],
            token: Some(["key=p1"; 2]),
            carrier: Some(("cookie", "sid={token}")),
        },
    ]
}

/// The request for data with these credentials, in the form of `Asked::show`.
fn data(form: &Form, method: &str, token: &str) -> String {
    let mut query = "?q=x".to_owned();
    let mut headers = BTreeMap::new();
    let value = |value: &str| value.replace("{token}", token);
    match form.carrier {
        None => {}
        Some(("?", pair)) => query.push_str(&format!("&{}", value(pair))),
        Some((name, pair)) => {
            headers.insert(name, value(pair));
        }
    }
    let mut body = "";
    if method == "POST" {
        headers.insert("content-type", "application/json".to_owned());
        body = " | {\"a\":1}";
    }
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!(" | {name}: {value}"))
        .collect();
    format!("{method} /items{query}{}{body}", headers.concat())
}

fn token_request(shown: &str) -> String {
    match shown.split_once(" | ") {
        Some((header, body)) => format!("POST /token | {header} | {FORM} | {body}"),
        None => format!("POST /token | {FORM} | {shown}"),
    }
}

fn case(form: &Form, method: &str, outcome: Outcome, own: bool) -> Case {
    let mut case = Case::plain(&format!("{} {method} {outcome:?} {own}", form.name));
    let body = if method == "POST" {
        "\njson: {a: 1}"
    } else {
        ""
    };
    let auth = format!("auth: {}", form.auth);
    case.endpoint = format!(
        "path: /items\nmethod: {method}\nparams: {{q: x}}\ndata_selector: data\npaginator: single_page{body}"
    );
    if own {
        case.client = "auth: {type: bearer, token: \"{{ secrets.other }}\"}".to_owned();
        case.settings.push(("other", "never".to_owned()));
        case.endpoint.push_str(&format!("\n{auth}"));
    } else {
        case.client = auth;
    }
    for (name, value) in form.settings {
        case.settings.push((name, (*value).to_owned()));
    }
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let rotates = form.auth.contains("refresh_token");
    case.server = Box::new(move |asked, nth| {
        if asked.path == "/token" {
            if outcome == Outcome::NoToken {
                return Answer::json(401, r#"{"error":"invalid_client"}"#);
            }
            let mut body = json!({"access_token": format!("t{nth}"), "token_type": "Bearer", "expires_in": 3600});
            if rotates {
                body["refresh_token"] = json!(format!("r{}", nth.div_ceil(2) + 1));
            }
            return Answer::json(200, body.to_string());
        }
        let first = seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let refused = match outcome {
            Outcome::Refused => true,
            Outcome::Ended => first,
            Outcome::Accepted | Outcome::NoToken => false,
        };
        if refused {
            Answer::json(401, "{}")
        } else {
            Answer::json(200, page(0..2, json!({})).to_string())
        }
    });
    let renewed = matches!(outcome, Outcome::Refused | Outcome::Ended) && form.token.is_some();
    let fails = match outcome {
        Outcome::Accepted => false,
        Outcome::Refused | Outcome::NoToken => true,
        Outcome::Ended => form.token.is_none(),
    };
    // What has been seen on the way is replaced, so that no credential is in a message.
    case.expect = if fails {
        Err(form
            .environment
            .iter()
            .map(|name| (*name).to_owned())
            .collect())
    } else {
        Ok(vec![0, 1])
    };
    case.requests = match form.token {
        None => vec![data(form, method, "")],
        Some([first, _]) if outcome == Outcome::NoToken => vec![token_request(first)],
        Some([first, second]) => {
            let mut requests = vec![token_request(first), data(form, method, "t1")];
            if renewed {
                requests.extend([token_request(second), data(form, method, "t3")]);
            }
            requests
        }
    };
    case
}

#[test]
fn every_form_of_authentication() {
    let mut cases = Vec::new();
    for form in forms() {
        for method in ["GET", "POST"] {
            for own in [false, true] {
                for outcome in [
                    Outcome::Accepted,
                    Outcome::Refused,
                    Outcome::Ended,
                    Outcome::NoToken,
                ] {
                    if outcome != Outcome::NoToken || form.token.is_some() {
                        cases.push(case(&form, method, outcome, own));
                    }
                }
            }
        }
    }
    check(220, cases);
}
