//! Interrupts of a run: heard by every reading, so that each ends in its own way.

use std::future::{Future, pending};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::context::{interrupt, interrupted};
use crate::{ErrorKind, Result};

/// Listens for an interrupt of the user or the system while it lives.
#[derive(Debug)]
pub(super) struct Interrupt {
    heard: watch::Receiver<Option<ErrorKind>>,
    listener: JoinHandle<()>,
}

impl Interrupt {
    pub(super) fn listen() -> Self {
        let (tell, heard) = watch::channel(None);
        let listener = tokio::spawn(async move {
            let kind = interrupted().await;
            // Whoever still listens hears it.
            let _ = tell.send(Some(kind));
        });
        Self { heard, listener }
    }

    /// Does this work to its end, or to an interrupt, which drops it.
    pub(super) async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut heard = self.heard.clone();
        let kind = async {
            match heard.wait_for(Option::is_some).await.map(|kind| *kind) {
                Ok(Some(kind)) => kind,
                // Nobody listens any more.
                _ => pending().await,
            }
        };
        tokio::select! {
            result = work => result,
            kind = kind => Err(interrupt(kind)),
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
