//! Assertions that the client signs itself: JSON Web Tokens (RFC 7519) for the grant of RFC 7523.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, RsaEncoding, RsaKeyPair};
use aws_lc_rs::{hmac, rand, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_plan::{JwtAlgorithm, JwtGrant, Template};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, json};

use super::AuthContext;
use crate::template::{render, render_text};
use crate::{Error, ErrorKind, Json, Result, Secret};

/// Signs one assertion for each token request.
#[derive(Debug)]
pub(super) struct Assertion {
    header: Json,
    /// The claims that do not change.
    claims: Map<String, Json>,
    lifetime: u64,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(Box<EcdsaKeyPair>),
    Hmac(Box<hmac::Key>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Assertion {
    pub(super) fn new(
        grant: &JwtGrant,
        issuer: &str,
        scopes: &[String],
        endpoint: &str,
        context: &AuthContext<'_>,
    ) -> Result<Self> {
        let text = |template: &Option<Template>, default: &str| match template {
            Some(template) => Ok(render_text(template, context.scope)?.0),
            None => Ok::<_, Error>(default.to_owned()),
        };
        let mut claims = Map::new();
        claims.insert("iss".into(), issuer.into());
        claims.insert("sub".into(), text(&grant.subject, issuer)?.into());
        claims.insert("aud".into(), text(&grant.audience, endpoint)?.into());
        if !scopes.is_empty() {
            claims.insert("scope".into(), scopes.join(" ").into());
        }
        for claim in &grant.claims {
            claims.insert(
                claim.name.clone(),
                render(&claim.value, context.scope)?.value,
            );
        }
        let mut header = json!({"alg": grant.algorithm.as_str(), "typ": "JWT"});
        if grant.key_id.is_some() {
            header["kid"] = text(&grant.key_id, "")?.into();
        }
        let secret = context.secret(&grant.key)?;
        let key = key(grant.algorithm, &secret).map_err(|problem| {
            // The key is the last of the credentials.
            let setting = context.environment.last();
            let setting = setting.map_or("the setting of the key", String::as_str);
            Error::new(
                ErrorKind::Configuration,
                format!("the key for {} {problem}", grant.algorithm.as_str()),
            )
            .hint(format!("check {setting}: {}", expected(grant.algorithm)))
        })?;
        Ok(Self {
            header,
            claims,
            lifetime: grant.lifetime,
            key,
        })
    }

    /// A new assertion.
    pub(super) fn sign(&self) -> Result<Secret> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut claims = self.claims.clone();
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(self.lifetime).into());
        // An identifier of its own, for servers that take each assertion once.
        claims.insert("jti".into(), uuid::Uuid::new_v4().to_string().into());
        let mut text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(self.header.to_string()),
            URL_SAFE_NO_PAD.encode(Json::Object(claims).to_string())
        );
        let signature = self
            .signature(text.as_bytes())
            .map_err(|_| Error::new(ErrorKind::Internal, "the assertion could not be signed"))?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(Secret::from(text))
    }

    fn signature(
        &self,
        text: &[u8],
    ) -> std::result::Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = rand::SystemRandom::new();
        match &self.key {
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, text, &mut signature)?;
                Ok(signature)
            }
            Key::Ec(key) => Ok(key.sign(&random, text)?.as_ref().to_vec()),
            Key::Hmac(key) => Ok(hmac::sign(key, text).as_ref().to_vec()),
        }
    }
}

/// Reads a key; the error says what is wrong with it and nothing of it.
fn key(algorithm: JwtAlgorithm, secret: &Secret) -> std::result::Result<Key, &'static str> {
    let rsa = |encoding| Ok(Key::Rsa(Box::new(rsa_key(secret)?), encoding));
    let ec = |algorithm| Ok(Key::Ec(Box::new(ec_key(secret, algorithm)?)));
    let hmac = |algorithm| match secret.expose() {
        "" => Err("is empty"),
        text => Ok(Key::Hmac(Box::new(hmac::Key::new(
            algorithm,
            text.as_bytes(),
        )))),
    };
    match algorithm {
        JwtAlgorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
        JwtAlgorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
        JwtAlgorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        JwtAlgorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        JwtAlgorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        JwtAlgorithm::Hs256 => hmac(hmac::HMAC_SHA256),
        JwtAlgorithm::Hs384 => hmac(hmac::HMAC_SHA384),
        JwtAlgorithm::Hs512 => hmac(hmac::HMAC_SHA512),
    }
}

fn expected(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm {
        JwtAlgorithm::Rs256 | JwtAlgorithm::Rs384 | JwtAlgorithm::Rs512 => {
            "expected an RSA private key of at least 2048 bits in PEM, without a passphrase"
        }
        JwtAlgorithm::Es256 => "expected a P-256 private key in PEM, without a passphrase",
        JwtAlgorithm::Es384 => "expected a P-384 private key in PEM, without a passphrase",
        _ => "expected the shared secret",
    }
}

fn pem(secret: &Secret) -> std::result::Result<PrivateKeyDer<'static>, &'static str> {
    // Environment variables and JSON files often hold line breaks as two characters.
    let text = secret.expose().replace("\\n", "\n");
    if text.contains("ENCRYPTED") {
        return Err("has a passphrase");
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| "is not a private key in PEM")
}

fn rsa_key(secret: &Secret) -> std::result::Result<RsaKeyPair, &'static str> {
    match pem(secret)? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err("is not an RSA key"),
    }
    .map_err(|_| "is not an RSA key that can be used")
}

fn ec_key(
    secret: &Secret,
    algorithm: &'static EcdsaSigningAlgorithm,
) -> std::result::Result<EcdsaKeyPair, &'static str> {
    match pem(secret)? {
        PrivateKeyDer::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der()),
        PrivateKeyDer::Sec1(der) => {
            EcdsaKeyPair::from_private_key_der(algorithm, der.secret_sec1_der())
        }
        _ => return Err("is not an elliptic curve key"),
    }
    .map_err(|_| "is not a key of this curve")
}
