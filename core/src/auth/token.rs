//! Access tokens: one per client, fetched once for all, renewed in time.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Authenticator, Carrier, Credentials};
use crate::http::Request;
use crate::meter::Meter;
use crate::{Result, Secret};

/// An access token as its endpoint gave it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub value: Secret,
    pub lifetime: Duration,
}

/// Where access tokens come from.
pub(crate) trait TokenSource: Debug + Send + Sync {
    /// Asks for a new token.
    fn fetch<'a>(&'a self, meter: &'a Meter) -> BoxFuture<'a, Result<Token>>;
}

/// A token is renewed this long before it ends, so that it does not end on the way.
const SKEW: Duration = Duration::from_secs(60);

/// Puts an access token into requests.
#[derive(Debug)]
pub(crate) struct TokenAuth {
    source: Box<dyn TokenSource>,
    carrier: Carrier,
    /// Held while a token is fetched: every other request waits for that one.
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    credentials: Arc<Credentials>,
    renew_at: Option<Instant>,
}

impl TokenAuth {
    pub(crate) fn new(source: Box<dyn TokenSource>, carrier: Carrier) -> Self {
        Self {
            source,
            carrier,
            current: Mutex::new(None),
        }
    }

    async fn fetch(&self, generation: u64, meter: &Meter) -> Result<Current> {
        let asked_at = Instant::now();
        let token = self.source.fetch(meter).await?;
        let credentials = Arc::new(self.carrier.credentials(&token.value, generation)?);
        Ok(Current {
            credentials,
            renew_at: renew_at(asked_at, token.lifetime),
        })
    }
}

/// When a token is to be renewed; never for one that outlives the calendar.
fn renew_at(asked_at: Instant, lifetime: Duration) -> Option<Instant> {
    // A short-lived token keeps most of its life, or it would be renewed for every request.
    asked_at.checked_add(lifetime - SKEW.min(lifetime / 10))
}

impl Authenticator for TokenAuth {
    fn credentials<'a>(
        &'a self,
        _: &'a Request,
        meter: &'a Meter,
    ) -> BoxFuture<'a, Result<Arc<Credentials>>> {
        Box::pin(async move {
            let mut current = self.current.lock().await;
            if let Some(current) = current.as_ref()
                && current.renew_at.is_none_or(|at| Instant::now() < at)
            {
                return Ok(Arc::clone(&current.credentials));
            }
            let generation = current
                .as_ref()
                .map_or(0, |current| current.credentials.generation + 1);
            let renewed = self.fetch(generation, meter).await?;
            Ok(Arc::clone(&current.insert(renewed).credentials))
        })
    }

    fn renew<'a>(
        &'a self,
        refused: &'a Credentials,
        meter: &'a Meter,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let mut current = self.current.lock().await;
            let newer = current
                .as_ref()
                .is_some_and(|current| current.credentials.generation > refused.generation);
            if !newer {
                *current = Some(self.fetch(refused.generation + 1, meter).await?);
            }
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use http::HeaderMap;

    use super::*;

    #[derive(Debug)]
    struct Counting {
        fetched: Arc<AtomicU64>,
        lifetime: u64,
    }

    impl TokenSource for Counting {
        fn fetch<'a>(&'a self, _: &'a Meter) -> BoxFuture<'a, Result<Token>> {
            Box::pin(async {
                tokio::task::yield_now().await;
                let number = self.fetched.fetch_add(1, Relaxed);
                Ok(Token {
                    value: format!("token-{number}").into(),
                    lifetime: Duration::from_secs(self.lifetime),
                })
            })
        }
    }

    fn auth(lifetime: u64) -> (Arc<TokenAuth>, Arc<AtomicU64>) {
        let fetched = Arc::new(AtomicU64::new(0));
        let source = Counting {
            fetched: Arc::clone(&fetched),
            lifetime,
        };
        (
            Arc::new(TokenAuth::new(Box::new(source), Carrier::bearer())),
            fetched,
        )
    }

    fn request() -> Request {
        Request {
            method: http::Method::GET,
            url: "https://api.example.com/".parse().unwrap(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    fn header(credentials: &Credentials) -> String {
        let mut headers = HeaderMap::new();
        let mut url = "https://api.example.com/".parse().unwrap();
        credentials.apply(&mut url, &mut headers);
        headers["authorization"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn many_requests_share_one_fetch() -> Result<()> {
        let (auth, fetched) = auth(3600);
        let meter = Meter::default();
        let request = request();
        let all =
            futures_util::future::join_all((0..50).map(|_| auth.credentials(&request, &meter)))
                .await;
        for credentials in all {
            assert_eq!(header(&*credentials?), "Bearer token-0");
        }
        assert_eq!(fetched.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let now = Instant::now();
        let after = |lifetime| renew_at(now, Duration::from_secs(lifetime)).map(|at| at - now);
        assert_eq!(after(3600), Some(Duration::from_secs(3540)));
        assert_eq!(after(100), Some(Duration::from_secs(90)));
        assert_eq!(after(u64::MAX), None);
    }

    #[tokio::test]
    async fn a_token_that_has_ended_is_fetched_again() -> Result<()> {
        let (auth, fetched) = auth(0);
        let meter = Meter::default();
        assert_eq!(
            header(&*auth.credentials(&request(), &meter).await?),
            "Bearer token-0"
        );
        assert_eq!(
            header(&*auth.credentials(&request(), &meter).await?),
            "Bearer token-1"
        );
        assert_eq!(fetched.load(Relaxed), 2);
        Ok(())
    }

    #[tokio::test]
    async fn many_refusals_of_one_token_renew_it_once() -> Result<()> {
        let (auth, fetched) = auth(3600);
        let meter = Meter::default();
        let refused = auth.credentials(&request(), &meter).await?;
        let renewals =
            futures_util::future::join_all((0..20).map(|_| auth.renew(&refused, &meter))).await;
        assert!(
            renewals
                .into_iter()
                .all(|renewed| renewed.is_ok_and(|renewed| renewed))
        );
        assert_eq!(fetched.load(Relaxed), 2);
        assert_eq!(
            header(&*auth.credentials(&request(), &meter).await?),
            "Bearer token-1"
        );
        Ok(())
    }
}
