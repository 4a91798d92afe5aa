//! A running sandbox, as tests hold it.

use std::{sync::Arc, time::Duration};

use connector_plan::{
    Plan,
    sandbox::{RunningSandbox, SandboxOptions},
};
use serde_json::{Value, json};

use crate::{
    Options, RequestRecord,
    api::{Api, Front},
    server::{Bound, Server},
    settings::Samples,
};

/// Starts the sandbox of a plan: what a connector does when nothing is configured.
///
/// # Errors
/// When the port is taken or the plan has something that the sandbox cannot serve; a sentence for
/// the user.
pub fn start(plan: &Plan, options: &SandboxOptions) -> Result<RunningSandbox, String> {
    let options = Options {
        // Nobody asks for them.
        keep_requests: false,
        ..Options::from(options)
    };
    let sandbox = Sandbox::start(plan, options)?;
    Ok(RunningSandbox {
        base_url: sandbox.base_url.clone(),
        settings: sandbox.settings.clone(),
        server: Box::new(sandbox),
    })
}

/// A server on 127.0.0.1 that speaks a plan's API, until it is dropped.
pub struct Sandbox {
    origin: String,
    base_url: String,
    settings: Vec<(String, String)>,
    api: Arc<Api>,
    _server: Server,
}

impl Sandbox {
    /// Starts it.
    ///
    /// # Errors
    /// When the port is taken or the plan has something that the sandbox cannot serve; a sentence
    /// for the user.
    pub fn start(plan: &Plan, options: Options) -> Result<Self, String> {
        let bound = Bound::new(options.port)?;
        let origin = bound.origin();
        let samples = Samples::new(plan, &origin, options.seed, &options.settings)?;
        let api = Arc::new(Api::new(plan, options, &samples, origin.clone())?);
        let server = Server::start(bound, Arc::new(Front(Arc::clone(&api))))?;
        Ok(Self {
            origin,
            base_url: samples.base.as_str().trim_end_matches('/').to_owned(),
            settings: samples.given,
            api,
            _server: server,
        })
    }

    /// The base URL of the plan, moved to the sandbox; no slash at its end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Names and values of the settings that a client needs beside the base URL.
    ///
    /// They are every required or secret input without a default, and the token URL when it does
    /// not move with the base URL.
    #[must_use]
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The value of one of the [`settings`](Self::settings).
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every request so far in the order of arrival, those below `/_sandbox/` left out; empty
    /// when [`Options::keep_requests`] is off.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.api.requests()
    }

    /// The requests of the token endpoints.
    #[must_use]
    pub fn token_requests(&self) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|request| self.api.is_token_path(&request.path));
        requests
    }

    /// The requests of everything else.
    #[must_use]
    pub fn data_requests(&self) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|request| !self.api.is_token_path(&request.path));
        requests
    }

    /// The records that a full read of a resource must give, in the order of the pages; none for
    /// an unknown resource. A record that is not JSON is its text.
    #[must_use]
    pub fn truth(&self, resource: &str) -> Vec<Value> {
        let mut records = self.api.truth(resource);
        records.retain(|record| !self.api.is_marked(resource, record));
        records
    }

    /// Makes a resource `count` generated records, as a fresh sandbox with so many has them;
    /// false for an unknown resource.
    pub fn set_records(&self, resource: &str, count: u64) -> bool {
        let table = self.api.table(resource);
        self.edited(table.map(|table| table.set(count)).is_some())
    }

    /// Makes a resource these records, each the text of a JSON value, served byte for byte; false
    /// for an unknown resource.
    pub fn set_raw_records(&self, resource: &str, records: Vec<String>) -> bool {
        let table = self.api.table(resource);
        self.edited(table.map(|table| table.set_raw(records)).is_some())
    }

    /// Adds generated records behind the others, newer than all of them; gives how many.
    pub fn add_records(&self, resource: &str, count: u64) -> u64 {
        let table = self.api.table(resource);
        self.edited(table.map_or(0, |table| table.add(count)))
    }

    /// Changes the generated records at the chosen positions; gives how many.
    ///
    /// The primary key and the time of creation stay; other times become newer than those of all
    /// other records.
    pub fn update_records(&self, resource: &str, chosen: impl FnMut(usize) -> bool) -> u64 {
        let table = self.api.table(resource);
        self.edited(table.map_or(0, |table| table.update(chosen)))
    }

    /// Removes the records at the chosen positions; gives how many.
    pub fn delete_records(&self, resource: &str, chosen: impl FnMut(usize) -> bool) -> u64 {
        let table = self.api.table(resource);
        self.edited(table.map_or(0, |table| table.delete(chosen)))
    }

    /// The records of children follow those of their parents.
    fn edited<T>(&self, result: T) -> T {
        // What a plan cannot serve has been found at the start.
        drop(self.api.relate());
        result
    }

    /// Ends every access token given out so far.
    pub fn expire_tokens(&self) {
        self.api.expire_tokens();
    }

    /// Moves the clock by which tokens expire.
    pub fn advance(&self, time: Duration) {
        self.api.advance(time);
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.api.counters()
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Requests, those below `/_sandbox/` left out.
    pub requests: u64,
    /// Of them, requests of a token endpoint that no script answered.
    pub token_requests: u64,
    /// Pages served whole.
    pub pages: u64,
    /// Records in them.
    pub records: u64,
    /// Data requests that were the client's own mistake: 4xx without 429.
    pub refused: u64,
    /// Faults of [`Options::faults`].
    pub faults: u64,
    /// The most requests under way at once.
    pub most_under_way: u64,
}

impl Counters {
    pub(crate) fn to_json(self) -> Value {
        json!({
            "connections": self.connections,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "pages": self.pages,
            "records": self.records,
            "refused": self.refused,
            "faults": self.faults,
            "most_under_way": self.most_under_way,
        })
    }
}
