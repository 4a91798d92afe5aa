//! Assertions that the client signs (RFC 7523), looked at by a server of the test's own.

use std::sync::Mutex;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, KeyPair as _, ParsedPublicKey, RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use connector_sandbox::{Answer, Options, Sandbox};
use serde_json::{Value, json};

use super::{Asked, Case, check, page};

/// A key, and what its signatures are checked with.
struct Pair {
    algorithm: &'static str,
    private: String,
    public: Option<(&'static dyn VerificationAlgorithm, Vec<u8>)>,
}

const SECRET: &str = "a shared secret of the client & the server";

fn pem(der: &[u8], separator: &str) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let body = lines.join(separator);
    [
        "-----BEGIN PRIVATE KEY-----",
        &body,
        "-----END PRIVATE KEY-----",
        "",
    ]
    .join(separator)
}

/// Keys of every kind; that of RSA has its line breaks as two characters.
fn pairs() -> Vec<Pair> {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = rsa.as_der().unwrap();
    let with_rsa = |algorithm, verify: &'static dyn VerificationAlgorithm, separator| Pair {
        algorithm,
        private: pem(der.as_ref(), separator),
        public: Some((verify, rsa.public_key().as_ref().to_vec())),
    };
    let with_ec = |algorithm, sign, verify: &'static dyn VerificationAlgorithm| {
        let der = EcdsaKeyPair::generate_pkcs8(sign, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(sign, der.as_ref()).unwrap();
        Pair {
            algorithm,
            private: pem(der.as_ref(), "\n"),
            public: Some((verify, pair.public_key().as_ref().to_vec())),
        }
    };
    let with_hmac = |algorithm| Pair {
        algorithm,
        private: SECRET.to_owned(),
        public: None,
    };
    vec![
        with_rsa("RS256", &signature::RSA_PKCS1_2048_8192_SHA256, "\n"),
        with_rsa("RS384", &signature::RSA_PKCS1_2048_8192_SHA384, "\\n"),
        with_rsa("RS512", &signature::RSA_PKCS1_2048_8192_SHA512, "\r\n"),
        with_ec(
            "ES256",
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &signature::ECDSA_P256_SHA256_FIXED,
        ),
        with_ec(
            "ES384",
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            &signature::ECDSA_P384_SHA384_FIXED,
        ),
        with_hmac("HS256"),
        with_hmac("HS384"),
        with_hmac("HS512"),
    ]
}

/// Header and claims of the assertion of a token request, when its signature is genuine.
fn genuine(pair: &Pair, asked: &Asked) -> Option<(Value, Value)> {
    let assertion = asked.form("assertion")?;
    let (signed, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let verified = match &pair.public {
        Some((algorithm, key)) => ParsedPublicKey::new(*algorithm, key)
            .ok()?
            .verify_sig(signed.as_bytes(), &signature)
            .is_ok(),
        None => {
            let algorithm = match pair.algorithm {
                "HS256" => hmac::HMAC_SHA256,
                "HS384" => hmac::HMAC_SHA384,
                _ => hmac::HMAC_SHA512,
            };
            let key = hmac::Key::new(algorithm, SECRET.as_bytes());
            hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
        }
    };
    let (header, claims) = signed.split_once('.')?;
    let json = |text| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    verified.then_some((json(header)?, json(claims)?))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Accepted,
    Ended,
    Refused,
    NoToken,
}

/// Spec keys beside the usual ones, the claims and the fields that they make.
const VARIANTS: [(&str, &str, &str); 4] = [
    ("", r#"{"iss":"me","sub":"me"}"#, ""),
    (
        ", subject: you, audience: all, scopes: [a, b], key_id: k7, lifetime: 60, claims: {tenant: 7, kind: app}",
        r#"{"aud":"all","iss":"me","kind":"app","scope":"a b","sub":"you","tenant":7}"#,
        "",
    ),
    (
        ", client_secret: \"{{ secrets.client_secret }}\", extra: {scope: x}",
        r#"{"iss":"me","sub":"me"}"#,
        "&client_id=me&client_secret=s1",
    ),
    (
        ", client_secret: \"{{ secrets.client_secret }}\", client_authentication: basic",
        r#"{"iss":"me","sub":"me"}"#,
        "basic",
    ),
];

fn case(pair: Pair, variant: usize, outcome: Outcome) -> Case {
    let (keys, claims, fields) = VARIANTS[variant];
    let mut case = Case::plain(&format!("{} {variant} {outcome:?}", pair.algorithm));
    case.client = format!(
        "auth: {{type: jwt, token_url: \"https://api.example.com/token\", client_id: me, algorithm: {}{keys}}}",
        pair.algorithm
    );
    case.endpoint.push_str("\npaginator: single_page");
    case.settings = vec![("private_key", pair.private.clone())];
    if !fields.is_empty() {
        case.settings.push(("client_secret", "s1".to_owned()));
    }
    let basic = if fields == "basic" {
        " | authorization: Basic bWU6czE="
    } else {
        ""
    };
    let mut form = vec![
        "assertion=*".to_owned(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer".to_owned(),
    ];
    if let Some(fields) = fields.strip_prefix('&') {
        form.extend(fields.split('&').map(str::to_owned));
        form.push("scope=x".to_owned());
    }
    form.sort();
    let token = format!(
        "POST /token{basic} | content-type: application/x-www-form-urlencoded | {}",
        form.join("&")
    );
    let data = |nth| format!("GET /items | authorization: Bearer t{nth}");
    case.requests = match outcome {
        Outcome::Accepted => vec![token, data(1)],
        Outcome::NoToken => vec![token],
        Outcome::Ended | Outcome::Refused => vec![token.clone(), data(1), token, data(3)],
    };
    case.expect = match outcome {
        Outcome::Accepted | Outcome::Ended => Ok(vec![0, 1]),
        Outcome::Refused | Outcome::NoToken => Err(vec!["`TABLE_PRIVATE_KEY`".to_owned()]),
    };
    let claims: Value = serde_json::from_str(claims).unwrap();
    let (lifetime, key_id) = if variant == 1 {
        (60, json!("k7"))
    } else {
        (3600, Value::Null)
    };
    let seen = Mutex::new(Vec::new());
    case.server = Box::new(move |asked, nth| {
        if asked.path != "/token" {
            let refused = outcome == Outcome::Refused || (outcome == Outcome::Ended && nth == 2);
            return if refused {
                Answer::json(401, "{}")
            } else {
                Answer::json(200, page(0..2, json!({})).to_string())
            };
        }
        let Some((header, mut found)) = genuine(&pair, asked) else {
            return Answer::json(400, r#"{"error":"the signature is not genuine"}"#);
        };
        let mut seen = seen.lock().unwrap();
        let id = found["jti"].as_str().unwrap_or_default().to_owned();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let issued = found["iat"].as_u64().unwrap_or_default();
        let timely = now.abs_diff(issued) < 120 && found["exp"] == json!(issued + lifetime);
        let members = found.as_object_mut().unwrap();
        for name in ["iat", "exp", "jti"] {
            members.remove(name);
        }
        let mut expect = claims.clone();
        if expect.get("aud").is_none() {
            // The audience is the whole URL of this case.
            let audience = members
                .get("aud")
                .and_then(Value::as_str)
                .unwrap_or_default();
            assert!(audience.starts_with("http://127.0.0.1:") && audience.ends_with("/token"));
            expect["aud"] = json!(audience);
        }
        let as_declared = header["alg"] == pair.algorithm
            && header["typ"] == "JWT"
            && header.get("kid").cloned().unwrap_or_default() == key_id
            && found == expect;
        if !timely || !as_declared || id.is_empty() || seen.contains(&id) {
            return Answer::json(
                400,
                json!({"error": format!("{header} {found}")}).to_string(),
            );
        }
        seen.push(id);
        if outcome == Outcome::NoToken {
            return Answer::json(400, r#"{"error":"invalid_grant"}"#);
        }
        let token = json!({"access_token": format!("t{nth}"), "expires_in": 3600});
        Answer::json(200, token.to_string())
    });
    case
}

#[test]
fn assertions() {
    let mut cases = Vec::new();
    for variant in 0..VARIANTS.len() {
        for outcome in [
            Outcome::Accepted,
            Outcome::Ended,
            Outcome::Refused,
            Outcome::NoToken,
        ] {
            // Every algorithm in every variant, every outcome in every variant.
            for pair in pairs() {
                let usual = pair.algorithm == "RS256";
                if outcome == Outcome::Accepted || usual {
                    cases.push(case(pair, variant, outcome));
                }
            }
        }
    }
    check(44, cases);
}

/// Keys that are none are told before the first request, by the name of their setting.
#[test]
fn keys_that_are_none() {
    let mut cases = Vec::new();
    let ec = pairs()
        .into_iter()
        .find(|pair| pair.algorithm == "ES256")
        .unwrap();
    let rsa = pairs()
        .into_iter()
        .find(|pair| pair.algorithm == "RS256")
        .unwrap();
    for (algorithm, key, problem) in [
        ("RS256", "hunter2".to_owned(), "is not a private key in PEM"),
        (
            "RS256",
            ec.private.clone(),
            "is not an RSA key that can be used",
        ),
        ("ES384", ec.private, "is not a key of this curve"),
        ("ES256", rsa.private, "is not a key of this curve"),
        (
            "RS256",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"
                .to_owned(),
            "has a passphrase",
        ),
    ] {
        let mut case = Case::plain(&format!("{algorithm}: {problem}"));
        case.client = format!(
            "auth: {{type: jwt, auth_endpoint: \"https://api.example.com/token\", issuer: me, algorithm: {algorithm}}}"
        );
        case.settings = vec![("private_key", key)];
        case.expect = Err(vec![problem.to_owned(), "TABLE_PRIVATE_KEY".to_owned()]);
        cases.push(case);
    }
    check(5, cases);
}

/// The sandbox makes a key, gives it to the client and looks at what is signed with it.
#[test]
fn the_sandbox_takes_what_is_signed_with_its_key() {
    for algorithm in ["RS256", "ES256", "HS256"] {
        for (keys, _, _) in VARIANTS {
            let mut case = Case::plain(algorithm);
            case.client = format!(
                "auth: {{type: jwt, token_url: \"https://api.example.com/token\", client_id: me, algorithm: {algorithm}{keys}}}"
            );
            let plan = case.connector().plan().unwrap();
            let options = Options {
                records: 250,
                ..Options::default()
            };
            let server = Sandbox::start(&plan, options).unwrap();
            case.settings = server
                .settings()
                .iter()
                .map(|(name, value)| (name.clone().leak() as &str, value.clone()))
                .collect();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let found = runtime.block_on(case.read(server.base_url(), 1)).unwrap();
            let truth = server.truth("rows");
            let truth: Vec<i64> = truth.iter().filter_map(|row| row["id"].as_i64()).collect();
            assert_eq!(found, truth, "{algorithm}{keys}");
            assert_eq!(server.token_requests().len(), 1, "{algorithm}{keys}");
        }
    }
}
