//! A thread on which asynchronous work is done for those who wait for it.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread;

use object_store::Error as StoreError;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// A thread for what is asynchronous.
pub(super) struct Worker {
    handle: Handle,
    /// The thread ends when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Worker {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name("object-store".to_owned())
            .spawn(move || runtime.block_on(stopped))?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    /// Waits for the end of this work.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Nobody stops waiting.
            let _ = sender.send(work.await);
        });
        receiver.recv().unwrap_or_else(|_| {
            Err(StoreError::Generic {
                store: "the object store",
                source: "its thread has ended".into(),
            })
        })
    }
}
