//! What a connector crate is to the runtime.

use connector_plan::Plan;

use crate::{Error, ErrorKind, Result};

/// A connector, as its crate embeds it.
#[derive(Clone, Copy, Debug)]
pub struct Connector {
    /// The name, such as `storage`.
    pub name: &'static str,
    /// The version of the connector's crate.
    pub version: &'static str,
    /// The plan, as the JSON that codegen wrote.
    pub plan: &'static str,
}

impl Connector {
    /// Reads the embedded plan.
    ///
    /// # Errors
    /// When another version of codegen wrote it.
    pub fn plan(&self) -> Result<Plan> {
        Plan::from_json(self.plan).map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                "the connector's plan does not fit this runtime",
            )
            .with("connector", self.name)
            .caused_by(error)
        })
    }
}
