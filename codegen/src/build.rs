//! What a connector's build script calls.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Diagnostic, Diagnostics, EmitOptions, LowerOptions, Source, emit, lower};

/// The prefix of connector packages: `connector-storage` is the connector `storage`.
const PACKAGE_PREFIX: &str = "connector-";

/// Generates a connector from its spec; the whole of its build script.
///
/// ```no_run
/// connector_codegen::compile("spec.yaml");
/// ```
///
/// `connector.rs`, `plan.json` and `connector.md` are written to Cargo's `OUT_DIR`, where the
/// connector's `lib.rs` includes them; the build runs again when the spec changes. A wrong spec
/// ends the build with everything that is wrong with it. [`Config`] does the same with other
/// folders and names, and returns errors.
#[expect(
    clippy::exit,
    reason = "the failed build script shows its messages and nothing else, no panic and no backtrace"
)]
pub fn compile(spec: impl AsRef<Path>) {
    if let Err(error) = Config::new().compile(spec) {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            text.push_str(&format!(": {source}"));
            cause = source.source();
        }
        // Nobody is left to tell when this fails.
        let _ = writeln!(io::stderr(), "{text}");
        std::process::exit(1);
    }
}

/// How a connector is generated; the defaults are those of a build script that Cargo runs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    package: Option<String>,
    name: Option<String>,
    out_dir: Option<PathBuf>,
    quiet: bool,
}

/// The files of a generated connector.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Files {
    /// The Rust code, `connector.rs`.
    pub code: PathBuf,
    /// The plan that the code embeds, `plan.json`.
    pub plan: PathBuf,
    /// The documentation of the crate, `connector.md`.
    pub guide: PathBuf,
}

/// Why a connector was not generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The spec is wrong; the message is all that is.
    #[error("{0}")]
    Spec(Diagnostics),
    /// Cargo sets this variable, so the call was made outside of a build script.
    #[error("`{0}` is not set: call it from a build script, or set the value on `Config`")]
    Environment(&'static str),
    /// The plan has a number that JSON cannot write.
    #[error("the plan cannot be written as JSON")]
    Plan(#[source] connector_plan::PlanError),
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Config {
    /// Everything as Cargo tells build scripts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The package that is built; by default `CARGO_PKG_NAME`.
    #[must_use]
    pub fn package(mut self, package: impl Into<String>) -> Self {
        self.package = Some(package.into());
        self
    }

    /// The connector's name; by default the package's without `connector-`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The folder that is written to; by default `OUT_DIR`.
    #[must_use]
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Prints no instructions to Cargo, for callers that are no build script.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Generates the connector; files that would not change are left alone.
    ///
    /// # Errors
    /// When the spec is wrong, or a file cannot be read or written.
    pub fn compile(&self, spec: impl AsRef<Path>) -> Result<Files, BuildError> {
        let spec = spec.as_ref();
        self.instruct(&format!("rerun-if-changed={}", spec.display()));
        let package = self.package_name()?;
        let name = match &self.name {
            Some(name) => name,
            None => package.strip_prefix(PACKAGE_PREFIX).unwrap_or(&package),
        };
        let out_dir = match &self.out_dir {
            Some(folder) => folder.clone(),
            None => environment("OUT_DIR")?.into(),
        };
        let source = Source::read(spec).map_err(BuildError::Spec)?;
        let (ir, warnings) = lower(&source, &LowerOptions::new(name)).map_err(BuildError::Spec)?;
        self.warn(&source, &warnings);
        let plan = ir.plan.to_json().map_err(BuildError::Plan)?;
        let options = EmitOptions {
            spec_path: source.path,
            package,
        };
        let generated = emit(&ir, &options);
        Ok(Files {
            code: write(&out_dir, "connector.rs", &generated.code)?,
            plan: write(&out_dir, "plan.json", &plan)?,
            guide: write(&out_dir, "connector.md", &generated.guide)?,
        })
    }

    fn package_name(&self) -> Result<String, BuildError> {
        match (&self.package, &self.name) {
            (Some(package), _) => Ok(package.clone()),
            (None, Some(name)) if self.quiet => Ok(format!("{PACKAGE_PREFIX}{name}")),
            _ => environment("CARGO_PKG_NAME"),
        }
    }

    fn warn(&self, source: &Source, warnings: &[Diagnostic]) {
        for warning in warnings {
            // An instruction ends with its line, so each line of the message is one of its own.
            for line in warning.render(source, false).lines() {
                self.instruct(&format!("warning={line}"));
            }
        }
    }

    fn instruct(&self, instruction: &str) {
        if !self.quiet {
            // Cargo has gone when this fails, and the build with it.
            let _ = writeln!(io::stdout(), "cargo::{instruction}");
        }
    }
}

fn environment(name: &'static str) -> Result<String, BuildError> {
    std::env::var(name).map_err(|_| BuildError::Environment(name))
}

/// Writes a file, unless it has this text already: its time of change makes Cargo build again.
fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, BuildError> {
    let path = folder.join(name);
    if std::fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(path);
    }
    match std::fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(BuildError::Write { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "\
description: Things.
client: {base_url: https://api.example.com}
resources:
  - name: things
    schema: {fields: {id: integer}}
";

    fn config(folder: &Path) -> Config {
        Config::new().name("thing").out_dir(folder).quiet()
    }

    #[test]
    fn unchanged_files_are_not_written_again() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let spec = folder.path().join("spec.yaml");
        std::fs::write(&spec, SPEC)?;
        let files = config(folder.path()).compile(&spec)?;
        assert!(std::fs::read_to_string(&files.code)?.contains("pub struct Thing {"));
        assert!(std::fs::read_to_string(&files.guide)?.contains("use connector_thing::Client;"));
        let plan = connector_plan::Plan::from_json(&std::fs::read_to_string(&files.plan)?)?;
        assert_eq!(plan.name, "thing");

        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options()
            .write(true)
            .open(&files.code)?
            .set_modified(long_ago)?;
        config(folder.path()).compile(&spec)?;
        assert_eq!(std::fs::metadata(&files.code)?.modified()?, long_ago);

        std::fs::write(&spec, SPEC.replace("integer", "string"))?;
        config(folder.path()).compile(&spec)?;
        assert!(std::fs::metadata(&files.code)?.modified()? > long_ago);
        Ok(())
    }

    #[test]
    fn a_wrong_spec_writes_nothing_and_says_all() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let spec = folder.path().join("spec.yaml");
        std::fs::write(&spec, "clinet: 1\nresorces: 2\n")?;
        let error = config(folder.path())
            .compile(&spec)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`clinet`") && error.contains("`resorces`"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let spec = folder.path().join("spec.yaml");
        std::fs::write(&spec, SPEC)?;
        let missing = folder.path().join("missing");
        let error = config(&missing).compile(&spec).unwrap_err().to_string();
        assert!(error.starts_with("cannot write `"), "{error}");
        assert!(error.ends_with("connector.rs`"), "{error}");
        Ok(())
    }
}
