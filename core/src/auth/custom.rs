//! Authentication of a program's own.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use url::Url;

use super::{Authenticator, Credentials, header_name, sensitive};
use crate::http::Request;
use crate::meter::Meter;
use crate::secret::Redactor;
use crate::{Result, Secret};

/// Authentication of a program's own, in place of the spec's: a signature of each request, or a
/// token from wherever the program has it. [`ClientOptions::auth`](crate::ClientOptions::auth)
/// takes it.
///
/// The settings that the spec's own authentication names are asked for all the same; the spec of
/// an API that always needs a program's own says `auth: none`.
///
/// It fills one step only. The runtime sends the credentials to the origin of the base URL and to
/// no other, asks again after a `401`, and keeps every value out of messages and logs.
///
/// ```
/// use connector_core::{Auth, AuthRequest, Grant, Result, Secret};
/// use futures_util::future::BoxFuture;
///
/// /// An API that wants a key and the path, sealed with it, in two headers.
/// #[derive(Debug)]
/// struct Sealed {
///     key: Secret,
/// }
///
/// impl Auth for Sealed {
///     fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Grant>> {
///         Box::pin(async move {
///             let seal = format!("{}:{}", request.url.path(), self.key.expose());
///             Ok(Grant::new()
///                 .header("x-api-key", self.key.clone())
///                 .header("x-seal", seal.into()))
///         })
///     }
/// }
/// # let _ = connector_core::ClientOptions {
/// #     auth: Some(std::sync::Arc::new(Sealed { key: "k".into() })),
/// #     ..connector_core::ClientOptions::default()
/// # };
/// ```
pub trait Auth: Debug + Send + Sync {
    /// The credentials of one request, asked for before each attempt to send it.
    ///
    /// # Errors
    /// When there are none; the resource is not read then. An error of kind
    /// [`Authentication`](crate::ErrorKind::Authentication) says that nobody gets in.
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Grant>>;

    /// Called once for a request that the API answered with `401`: whether there are other
    /// credentials now, with which it is sent again. False by default.
    ///
    /// Requests are under way at the same time, so that several may ask for the same renewal.
    ///
    /// # Errors
    /// When new credentials cannot be had.
    fn renew(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

/// A request as it will be sent, without credentials.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuthRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The whole URL with its query.
    pub url: &'a Url,
    /// The headers of the spec and of the paginator.
    pub headers: &'a HeaderMap,
    /// The body, when there is one.
    pub body: Option<&'a Bytes>,
}

/// What authenticates one request.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    headers: Vec<(String, Secret)>,
    query: Vec<(String, Secret)>,
}

impl Grant {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header, in place of one of the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: Secret) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }

    /// Adds a query parameter, in place of those of the same name.
    #[must_use]
    pub fn query(mut self, name: &str, value: Secret) -> Self {
        self.query.push((name.to_owned(), value));
        self
    }

    fn credentials(self, redactor: &Redactor) -> Result<Credentials> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            redactor.learn_passing(value);
            headers.push((header_name(name)?, sensitive(value.expose())?));
        }
        for (_, value) in &self.query {
            redactor.learn_passing(value);
        }
        Ok(Credentials {
            headers,
            query: self.query,
            generation: 0,
        })
    }
}

/// Fills the runtime's step with a program's own.
#[derive(Debug)]
pub(crate) struct CustomAuth {
    auth: Arc<dyn Auth>,
    redactor: Redactor,
}

impl CustomAuth {
    pub(crate) fn new(auth: Arc<dyn Auth>, redactor: Redactor) -> Self {
        Self { auth, redactor }
    }
}

impl Authenticator for CustomAuth {
    fn credentials<'a>(
        &'a self,
        request: &'a Request,
        _: &'a Meter,
    ) -> BoxFuture<'a, Result<Arc<Credentials>>> {
        let request = AuthRequest {
            method: request.method.as_str(),
            url: &request.url,
            headers: &request.headers,
            body: request.body.as_ref(),
        };
        Box::pin(async move {
            let grant = self.auth.authenticate(request).await?;
            grant.credentials(&self.redactor).map(Arc::new)
        })
    }

    fn renew<'a>(&'a self, _: &'a Credentials, _: &'a Meter) -> BoxFuture<'a, Result<bool>> {
        self.auth.renew()
    }
}
