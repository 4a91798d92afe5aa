//! What every command works with: the plan, the arguments, and the API they point at.

use std::future::Future;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector_dataset::{is_address, work_folder};
use connector_plan::sandbox::{RunningSandbox, SandboxOptions, StartSandbox};
use connector_plan::{Plan, Resource, SettingRole};

use super::arguments::Arguments;
use super::console::Console;
use crate::settings::{Configured, SettingSources};
use crate::{
    Client, ClientOptions, Connector, Error, ErrorKind, Result, Secret, Settings, TokenFile,
    TokenStore, Trace,
};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub connector: &'a Connector,
    pub plan: Plan,
    pub start_sandbox: StartSandbox,
    /// What the program itself brings.
    pub options: ClientOptions,
    pub arguments: Arguments,
    pub console: Console,
    /// Where what is sent is noted, when the command shows it.
    pub trace: Option<Trace>,
}

/// The API that a command reads from.
#[derive(Debug)]
pub(crate) struct Api {
    pub client: Client,
    pub out: PathBuf,
    /// The sandbox, when nothing is configured; it serves as long as this lives.
    pub sandbox: Option<RunningSandbox>,
}

impl Context<'_> {
    /// The settings of flags, environment and file.
    pub(crate) fn configured(&self) -> Result<Configured> {
        let sources = SettingSources {
            flags: self.arguments.settings.clone(),
            file: self.arguments.config.as_deref(),
        };
        sources.read(&self.plan, &|name| std::env::var(name).ok())
    }

    /// The folder for datasets.
    pub(crate) fn out(&self, configured: &Configured) -> PathBuf {
        let out = self.arguments.out.clone();
        out.or_else(|| configured.out.as_ref().map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("data"))
    }

    /// Where refresh tokens that the API replaces are kept: beside the state, which is never
    /// copied or shown to anybody together with it. A bucket has many readers, and gets none.
    fn token_file(&self, out: &Path) -> PathBuf {
        if is_address(out) {
            let base = self.arguments.work_dir.as_deref();
            return work_folder(out, &self.plan.name, base).join("tokens.json");
        }
        out.join(&self.plan.name)
            .join("_connector")
            .join("tokens.json")
    }

    /// The API that the settings point at, or the sandbox when there are none.
    pub(crate) fn api(&self) -> Result<Api> {
        let configured = self.configured()?;
        let out = self.out(&configured);
        let (settings, sandbox) = if configured.any {
            (configured.settings, None)
        } else {
            let sandbox = self.sandbox(&SandboxOptions::default())?;
            self.announce(&sandbox);
            (self.sandbox_settings(&sandbox), Some(sandbox))
        };
        let token_store: Option<Arc<dyn TokenStore>> = match &sandbox {
            // Its tokens end with it.
            Some(_) => None,
            None => Some(Arc::new(TokenFile::new(self.token_file(&out)))),
        };
        let client = self.client(settings, token_store)?;
        Ok(Api {
            client,
            out,
            sandbox,
        })
    }

    /// A client with these settings and the options of the command line.
    pub(crate) fn client(
        &self,
        settings: Settings,
        token_store: Option<Arc<dyn TokenStore>>,
    ) -> Result<Client> {
        let own = self.options.clone();
        let options = ClientOptions {
            max_wait: self.arguments.max_wait.or(own.max_wait),
            concurrency: self.arguments.concurrency.or(own.concurrency),
            ca_file: self.arguments.ca_file.clone().or(own.ca_file),
            token_store: own.token_store.or(token_store),
            trace: self.trace.clone(),
            ..own
        };
        Client::with_options(self.connector, settings, &options)
    }

    pub(crate) fn sandbox(&self, options: &SandboxOptions) -> Result<RunningSandbox> {
        (self.start_sandbox)(&self.plan, options)
            .map_err(|message| Error::new(ErrorKind::Internal, message))
    }

    fn sandbox_settings(&self, sandbox: &RunningSandbox) -> Settings {
        let mut settings = Settings::new();
        for (name, value) in &sandbox.settings {
            let Some(setting) = self.plan.setting(name) else {
                continue;
            };
            settings = if setting.secret {
                settings.with(name, Secret::from(value.as_str()))
            } else {
                settings.with(name, value.as_str())
            };
        }
        match self.base_url_setting() {
            Some(setting) => settings.with(&setting.name, sandbox.base_url.as_str()),
            None => settings,
        }
    }

    pub(crate) fn base_url_setting(&self) -> Option<&connector_plan::Setting> {
        self.plan
            .settings
            .iter()
            .find(|setting| setting.role == SettingRole::BaseUrl)
    }

    fn announce(&self, sandbox: &RunningSandbox) {
        let required: Vec<&str> = self
            .plan
            .settings
            .iter()
            .filter(|setting| setting.required)
            .map(|setting| setting.environment.as_str())
            .collect();
        let base = self
            .base_url_setting()
            .map_or("", |setting| &setting.environment);
        let declared = &self.plan.client.base_url;
        let how = if required.is_empty() {
            format!("set {base} (such as {declared})")
        } else {
            format!(
                "set {} (and {base}, when it is not {declared})",
                required.join(", ")
            )
        };
        self.console.note(&format!(
            "Nothing is configured: reading SAMPLE DATA from the built-in sandbox at {}.\n\
             To read the real API, {how}.\n",
            sandbox.base_url,
        ));
    }

    /// The resources to be read: those of `--resource`, or all that are selected.
    pub(crate) fn selected(&self) -> Result<Vec<Resource>> {
        if self.arguments.resources.is_empty() {
            let selected = self
                .plan
                .resources
                .iter()
                .filter(|resource| resource.selected);
            return Ok(selected.cloned().collect());
        }
        let names: Vec<&str> = self
            .plan
            .resources
            .iter()
            .map(|resource| resource.name.as_str())
            .collect();
        let mut selected: Vec<Resource> = Vec::new();
        for name in &self.arguments.resources {
            let resource = self
                .plan
                .resource(name)
                .ok_or_else(|| super::unknown_resource(name, &names))?;
            if !selected.iter().any(|known| known.name == resource.name) {
                selected.push(resource.clone());
            }
        }
        Ok(selected)
    }
}

/// Runs a command to its end, or to an interrupt.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    block_on_whole(async {
        tokio::select! {
            result = command => result,
            kind = interrupted() => Err(interrupt(kind)),
        }
    })
}

/// Runs a command to its end; it listens for interrupts itself.
pub(crate) fn block_on_whole<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    // One thread decodes, which is this one, another encodes; what is left of the cores receives.
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores - 1).clamp(1, 2))
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "the runtime cannot be started").caused_by(error)
        })?
        .block_on(command)
}

/// Waits for an interrupt of the user or the system.
pub(crate) async fn interrupted() -> ErrorKind {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return ErrorKind::Interrupted,
                _ = terminate.recv() => return ErrorKind::Terminated,
            }
        }
    }
    // Without a signal handler the process ends the system's way.
    match tokio::signal::ctrl_c().await {
        Ok(()) => ErrorKind::Interrupted,
        Err(_) => std::future::pending().await,
    }
}

/// The error of a command that was interrupted in this way.
pub(crate) fn interrupt(kind: ErrorKind) -> Error {
    let what = match kind {
        ErrorKind::Terminated => "terminated",
        _ => "interrupted",
    };
    Error::new(kind, format!("{what}; nothing unfinished is published"))
}
