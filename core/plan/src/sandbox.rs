//! What a connector's command line and its sandbox server agree on.

use std::any::Any;

use crate::Plan;

/// Starts the sandbox of a plan: a server on loopback that speaks the plan's own API.
///
/// The error is a sentence for the user.
pub type StartSandbox = fn(&Plan, &SandboxOptions) -> Result<RunningSandbox, String>;

/// What a sandbox serves, and how badly.
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxOptions {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Records per resource.
    pub records: u64,
    /// The seed of the sample data and of the faults.
    pub seed: u64,
    /// The lifetime of an access token, in seconds.
    pub token_lifetime: u64,
    /// What goes wrong, in the words of [`Fault::from_str`](std::str::FromStr).
    pub faults: Vec<Fault>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            records: 1_250,
            seed: 1,
            token_lifetime: 3_600,
            faults: Vec::new(),
        }
    }
}

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// It happens to every n-th data request, at least 2, so that a repeat succeeds.
    pub every: u32,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `429` with `Retry-After: 1`.
    RateLimited,
    /// `503`.
    Unavailable,
    /// An answer after this many milliseconds.
    Slow(u64),
    /// A body that ends in the middle.
    CutBody,
}

impl std::str::FromStr for Fault {
    type Err = String;

    /// Reads `KIND` or `KIND:EVERY`: `429:5`, `503:7`, `slow:2`, `cut:9`; EVERY defaults to 5.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, every) = text.split_once(':').unwrap_or((text, "5"));
        let kind = match kind {
            "429" => FaultKind::RateLimited,
            "503" => FaultKind::Unavailable,
            "slow" => FaultKind::Slow(200),
            "cut" => FaultKind::CutBody,
            _ => {
                return Err(format!(
                    "unknown fault `{kind}`; expected `429`, `503`, `slow` or `cut`"
                ));
            }
        };
        match every.parse() {
            Ok(every) if every >= 2 => Ok(Self { kind, every }),
            _ => Err(format!("`{every}` is not a number of requests, at least 2")),
        }
    }
}

/// A sandbox that serves until it is dropped.
pub struct RunningSandbox {
    /// The base URL that reaches it, with the path of the plan's own base URL.
    pub base_url: String,
    /// Names and values of the settings that it accepts, credentials included.
    pub settings: Vec<(String, String)>,
    /// Ends the server when dropped.
    pub server: Box<dyn Any + Send>,
}

impl std::fmt::Debug for RunningSandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningSandbox")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
