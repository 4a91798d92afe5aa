//! HTTP: one request with credentials bound to their origin, redirects, retries and body limits.

mod actions;
mod bodies;
mod limiter;
mod retry;
mod roots;
mod session;
mod trace;
mod transport;

pub(crate) use actions::Actions;
pub use trace::{Exchange, Trace};

pub(crate) use limiter::{Limiter, Permit};
pub(crate) use retry::RetryPolicy;
pub(crate) use session::{Errand, Request, Session, pause};
pub(crate) use transport::{Call, Response, SendError, Transport, TransportOptions};
