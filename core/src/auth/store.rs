//! Refresh tokens that an API has replaced: kept before their successor is used.

use std::fmt::{self, Debug};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{Result, Secret};

/// Keeps refresh tokens that an API has given in place of older ones (RFC 6749, section 6).
///
/// Many APIs accept a refresh token once and answer with its successor; who loses that has to log
/// in again, and who sends the old one again may lose both (RFC 9700, section 4.14.2). So a client
/// [locks](Self::lock) the store, refreshes with what it finds there, and
/// [replaces](LockedToken::replace) it before the new access token is used.
///
/// By default a client keeps them in memory, which is enough for one process. The command line
/// keeps them in [`TokenFile`](crate::TokenFile)s.
pub trait TokenStore: Debug + Send + Sync {
    /// Waits until nobody else refreshes this token.
    ///
    /// # Errors
    /// When the store cannot be reached, is damaged, or is held for too long.
    fn lock<'a>(
        &'a self,
        origin: &'a TokenOrigin,
    ) -> BoxFuture<'a, Result<Box<dyn LockedToken + 'a>>>;
}

/// A refresh token that nobody else uses until this is dropped.
pub trait LockedToken: Debug + Send {
    /// The latest token that descends from the configured one; none when it was never replaced.
    fn current(&self) -> Option<&Secret>;

    /// Keeps a new token; it is durable when this returns.
    ///
    /// It is called without a pause behind the answer that brought the token, so that nothing can
    /// come between the two.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn replace(&mut self, token: &Secret) -> Result<()>;
}

/// Where a chain of refresh tokens began: at an endpoint, for a client, with a configured token.
#[derive(Clone)]
pub struct TokenOrigin {
    endpoint: String,
    client_id: String,
    configured: Secret,
}

impl TokenOrigin {
    pub(crate) fn new(endpoint: &str, client_id: &str, configured: &Secret) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            client_id: client_id.to_owned(),
            configured: configured.clone(),
        }
    }

    /// A name of this origin that tells nothing about its token: a salted SHA-256 in hexadecimal.
    ///
    /// Another configured token has another fingerprint, so that a new login wins over what is
    /// stored; another endpoint has one too, so that it never sees tokens of the first.
    #[must_use]
    pub fn fingerprint(&self, salt: &str) -> String {
        let mut hash = Sha256::new();
        for part in [
            salt,
            &self.endpoint,
            &self.client_id,
            self.configured.expose(),
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl Debug for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenOrigin")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Keeps tokens as long as the client lives.
#[derive(Debug, Default)]
pub(crate) struct TokenMemory(Arc<Mutex<Vec<(String, Secret)>>>);

impl TokenStore for TokenMemory {
    fn lock<'a>(
        &'a self,
        origin: &'a TokenOrigin,
    ) -> BoxFuture<'a, Result<Box<dyn LockedToken + 'a>>> {
        Box::pin(async move {
            let fingerprint = origin.fingerprint("");
            let tokens = Arc::clone(&self.0).lock_owned().await;
            Ok(Box::new(LockedMemory {
                fingerprint,
                tokens,
            }) as Box<dyn LockedToken>)
        })
    }
}

#[derive(Debug)]
struct LockedMemory {
    fingerprint: String,
    tokens: OwnedMutexGuard<Vec<(String, Secret)>>,
}

impl LockedToken for LockedMemory {
    fn current(&self) -> Option<&Secret> {
        self.tokens
            .iter()
            .find(|(origin, _)| *origin == self.fingerprint)
            .map(|(_, token)| token)
    }

    fn replace(&mut self, token: &Secret) -> Result<()> {
        self.tokens
            .retain(|(origin, _)| *origin != self.fingerprint);
        self.tokens.push((self.fingerprint.clone(), token.clone()));
        Ok(())
    }
}
