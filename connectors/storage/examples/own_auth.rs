//! The connector's whole command line with authentication of the program's own: an API key and the
//! request's path, sealed together, in place of the spec's OAuth 2.0.
//!
//! `API_KEY=… cargo run -p connector-storage --example own_auth -- --base-url https://…`

use std::process::ExitCode;
use std::sync::Arc;

use connector_core::{Auth, AuthRequest, ClientOptions, Grant, Result, Secret, cli};
use futures_util::future::BoxFuture;

#[derive(Debug)]
struct Sealed {
    key: Secret,
}

impl Auth for Sealed {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Grant>> {
        Box::pin(async move {
            // A real API would want a keyed hash here.
            let seal = format!("{}:{}", request.url.path(), self.key.expose());
            Ok(Grant::new()
                .header("x-api-key", self.key.clone())
                .header("x-seal", seal.into()))
        })
    }
}

fn main() -> ExitCode {
    let options = ClientOptions {
        auth: Some(Arc::new(Sealed {
            key: std::env::var("API_KEY").unwrap_or_default().into(),
        })),
        ..ClientOptions::default()
    };
    cli::main_with_options(
        &connector_storage::CONNECTOR,
        connector_sandbox::start,
        options,
        std::env::args_os(),
    )
}
