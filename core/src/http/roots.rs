//! Which certificate authorities are trusted.

use std::path::Path;

use reqwest::{Certificate, ClientBuilder};

use crate::{Error, ErrorKind, Result};

/// Builds a client that trusts the system's authorities and those of a PEM file, when one is given.
///
/// A slim container has no authorities at all, and then not even a client for plain HTTP could be
/// built: Mozilla's list, which this program brings along, takes their place.
pub(super) fn build(
    builder: impl Fn() -> ClientBuilder,
    ca_file: Option<&Path>,
) -> Result<reqwest::Client> {
    let extra = match ca_file {
        Some(path) => read(path)?,
        None => Vec::new(),
    };
    let system = builder().tls_certs_merge(extra.iter().cloned()).build();
    if let Ok(client) = system {
        return Ok(client);
    }
    tracing::info!("the system has no CA certificates: using the bundled ones");
    let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|certificate| Certificate::from_der(certificate).ok());
    builder()
        .tls_certs_only(bundled.chain(extra))
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "the HTTP client cannot be set up").caused_by(error)
        })
}

fn read(path: &Path) -> Result<Vec<Certificate>> {
    let failed =
        |message: &str| Error::new(ErrorKind::Configuration, message).with("file", path.display());
    let text = std::fs::read(path)
        .map_err(|error| failed("the file of CA certificates cannot be read").caused_by(error))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(failed("the file has no CA certificates in PEM form")
            .hint("expected one or more blocks that open with `-----BEGIN CERTIFICATE-----`")),
    }
}
