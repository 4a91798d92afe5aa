//! A second origin that should never be asked.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use hyper::StatusCode;

use crate::{
    RequestRecord,
    server::{Bound, Handler, Reply, Server},
};

/// A server of another origin, which answers everything with `{}` and keeps every request.
///
/// Tests let a link or a redirect lead to it, and then check that nothing has arrived.
pub struct Recorder {
    origin: String,
    state: Arc<State>,
    _server: Server,
}

#[derive(Default)]
struct State {
    connections: AtomicU64,
    requests: Mutex<Vec<RequestRecord>>,
}

impl Recorder {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When no port or thread is to be had; a sentence for the user.
    pub fn start() -> Result<Self, String> {
        let bound = Bound::new(0)?;
        let origin = bound.origin();
        let state = Arc::new(State::default());
        let server = Server::start(bound, Arc::<State>::clone(&state))?;
        Ok(Self {
            origin,
            state,
            _server: server,
        })
    }

    /// Its scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The connections accepted so far, also those without a request.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The requests received so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Handler for State {
    fn connected(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    fn answer(&self, request: RequestRecord) -> Reply {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        Reply::json(StatusCode::OK, &serde_json::json!({}))
    }
}
