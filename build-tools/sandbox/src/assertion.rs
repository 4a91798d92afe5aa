//! Assertions of clients (RFC 7523): what a token endpoint looks at, and a key to sign them with.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, ParsedPublicKey, RsaKeyPair,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use connector_plan::{Auth, Expression, Grant, JwtAlgorithm, JwtGrant, Plan, Root, Step, Template};
use serde_json::{Map, Value};

use crate::settings::{Samples, text_of};

/// What an assertion has to be.
pub(crate) struct AssertionCheck {
    algorithm: JwtAlgorithm,
    key: Key,
    key_id: Option<String>,
    /// Claims that are constant.
    claims: Map<String, Value>,
    lifetime: u64,
}

enum Key {
    Public(&'static dyn VerificationAlgorithm, Vec<u8>),
    Hmac(Box<hmac::Key>),
}

impl AssertionCheck {
    pub(crate) fn new(
        grant: &JwtGrant,
        issuer: &str,
        scopes: &[String],
        endpoint: &str,
        samples: &Samples,
    ) -> Result<Self, String> {
        let text = |template: &Option<Template>, what, default: &str| match template {
            Some(template) => samples.text(template, what),
            None => Ok(default.to_owned()),
        };
        let mut claims = Map::new();
        claims.insert("iss".into(), issuer.into());
        claims.insert(
            "sub".into(),
            text(&grant.subject, "the subject", issuer)?.into(),
        );
        claims.insert(
            "aud".into(),
            text(&grant.audience, "the audience", endpoint)?.into(),
        );
        if !scopes.is_empty() {
            claims.insert("scope".into(), scopes.join(" ").into());
        }
        for claim in &grant.claims {
            let what = format!("the claim `{}`", claim.name);
            claims.insert(claim.name.clone(), samples.value(&claim.value, &what)?);
        }
        let secret = samples.text(&grant.key, "the key")?;
        Ok(Self {
            algorithm: grant.algorithm,
            key: public(grant.algorithm, &secret)?,
            key_id: match &grant.key_id {
                Some(template) => Some(samples.text(template, "the key id")?),
                None => None,
            },
            claims,
            lifetime: grant.lifetime,
        })
    }

    /// The identifier of an assertion that may be taken.
    pub(crate) fn admit(&self, assertion: &str) -> Result<String, &'static str> {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err("the assertion does not have three parts");
        };
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let json = |text: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&decode(text)?).ok()
        };
        let signed = &assertion[..header.len() + 1 + claims.len()];
        let signature = decode(signature).ok_or("the signature is not base64url")?;
        let header = json(header).ok_or("the header is not JSON")?;
        if header.get("alg").and_then(Value::as_str) != Some(self.algorithm.as_str()) {
            return Err("`alg` is not that of the plan");
        }
        if header.get("kid").map(text_of) != self.key_id {
            return Err("`kid` is not that of the plan");
        }
        let genuine = match &self.key {
            Key::Public(algorithm, key) => ParsedPublicKey::new(*algorithm, key)
                .is_ok_and(|key| key.verify_sig(signed.as_bytes(), &signature).is_ok()),
            Key::Hmac(key) => hmac::verify(key, signed.as_bytes(), &signature).is_ok(),
        };
        if !genuine {
            return Err("the signature is not that of the key");
        }
        let claims = json(claims).ok_or("the claims are not JSON")?;
        let known = ["iat", "exp", "jti"];
        let same = claims
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .count()
            == self.claims.len()
            && self
                .claims
                .iter()
                .all(|(name, value)| claims.get(name) == Some(value));
        if !same {
            return Err("the claims are not those of the plan");
        }
        let number = |name: &str| claims.get(name).and_then(Value::as_u64);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        match (number("iat"), number("exp")) {
            (Some(iat), Some(exp)) if iat <= now + 5 && now < exp && exp == iat + self.lifetime => {
            }
            _ => return Err("the assertion is not valid now"),
        }
        claims
            .get("jti")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or("the assertion has no `jti`")
    }
}

/// The settings that hold keys of assertions, each with a new key.
pub(crate) fn sample_keys(plan: &Plan) -> Result<Vec<(String, String)>, String> {
    let auths = std::iter::once(&plan.client.auth).chain(
        plan.resources
            .iter()
            .filter_map(|resource| resource.endpoint.auth.as_ref()),
    );
    let mut keys: Vec<(String, String)> = Vec::new();
    for auth in auths {
        let Auth::Oauth2(oauth2) = auth else { continue };
        let Grant::JwtBearer(grant) = &oauth2.grant else {
            continue;
        };
        let Template::Expression(Expression::Lookup(lookup)) = &grant.key else {
            continue;
        };
        let (Root::Secrets, [Step::Key(name)]) = (lookup.root, lookup.path.as_slice()) else {
            continue;
        };
        if keys.iter().any(|(known, _)| known == name) {
            continue;
        }
        if let Some(key) =
            sample_key(grant.algorithm).map_err(|_| "no key can be made".to_owned())?
        {
            keys.push((name.clone(), key));
        }
    }
    Ok(keys)
}

/// A new private key in PEM; nothing where any text is a key.
fn sample_key(algorithm: JwtAlgorithm) -> Result<Option<String>, aws_lc_rs::error::Unspecified> {
    let ec = |algorithm: &'static EcdsaSigningAlgorithm| {
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())?;
        Ok(Some(pem(der.as_ref())))
    };
    match algorithm {
        JwtAlgorithm::Rs256 | JwtAlgorithm::Rs384 | JwtAlgorithm::Rs512 => {
            let der = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
            Ok(Some(pem(der.as_ref())))
        }
        JwtAlgorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        JwtAlgorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512 => Ok(None),
    }
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// RFC 7468, section 10.
fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("{BEGIN}\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text + END + "\n"
}

/// What verifies the signatures of a key.
fn public(algorithm: JwtAlgorithm, secret: &str) -> Result<Key, String> {
    let wrong = || "the sample key is not a key of the algorithm".to_owned();
    let der = || {
        let text: String = secret.replace(BEGIN, "").replace(END, "");
        let text: String = text.split_whitespace().collect();
        STANDARD.decode(text).map_err(|_| wrong())
    };
    let rsa = |verify: &'static dyn VerificationAlgorithm| {
        let key = RsaKeyPair::from_pkcs8(&der()?).map_err(|_| wrong())?;
        Ok(Key::Public(verify, key.public_key().as_ref().to_vec()))
    };
    let ec = |sign, verify: &'static dyn VerificationAlgorithm| {
        let key = EcdsaKeyPair::from_pkcs8(sign, &der()?).map_err(|_| wrong())?;
        Ok(Key::Public(verify, key.public_key().as_ref().to_vec()))
    };
    let hmac = |algorithm| {
        Ok(Key::Hmac(Box::new(hmac::Key::new(
            algorithm,
            secret.as_bytes(),
        ))))
    };
    match algorithm {
        JwtAlgorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        JwtAlgorithm::Rs384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        JwtAlgorithm::Rs512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        JwtAlgorithm::Es256 => ec(
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &signature::ECDSA_P256_SHA256_FIXED,
        ),
        JwtAlgorithm::Es384 => ec(
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            &signature::ECDSA_P384_SHA384_FIXED,
        ),
        JwtAlgorithm::Hs256 => hmac(hmac::HMAC_SHA256),
        JwtAlgorithm::Hs384 => hmac(hmac::HMAC_SHA384),
        JwtAlgorithm::Hs512 => hmac(hmac::HMAC_SHA512),
    }
}
