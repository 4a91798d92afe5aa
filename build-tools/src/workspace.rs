//! Where the connectors are.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, ValueHint, value_parser};

use crate::Error;

/// The workspace that holds the connectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// `--root DIR`.
pub(crate) fn argument() -> Arg {
    Arg::new("root")
        .long("root")
        .value_name("DIR")
        .value_hint(ValueHint::DirPath)
        .value_parser(value_parser!(PathBuf))
        .help("The workspace; by default the one that the current folder is in")
}

impl Workspace {
    /// The workspace that the arguments name, or the one around the current folder.
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, Error> {
        if let Some(root) = matches.get_one::<PathBuf>("root") {
            return if is_workspace(root) {
                Ok(Self { root: root.clone() })
            } else {
                Err(Error::usage(format!(
                    "`{}` is not a workspace of connectors: `Cargo.toml` or `connectors` is missing",
                    root.display()
                )))
            };
        }
        let here = std::env::current_dir()
            .map_err(|error| Error::usage("the current folder cannot be read").caused_by(error))?;
        here.ancestors()
            .find(|folder| is_workspace(folder))
            .map(|root| Self {
                root: relative(root, &here),
            })
            .ok_or_else(|| {
                Error::usage("the current folder is in no workspace of connectors")
                    .hint("change to the workspace, or name it with `--root DIR`")
            })
    }

    /// The folder of a connector, whether it exists or not.
    pub(crate) fn connector(&self, name: &str) -> PathBuf {
        self.root.join("connectors").join(name)
    }

    /// The names of the connectors, in order.
    pub(crate) fn connectors(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.root.join("connectors"));
        let mut names: Vec<String> = folders
            .into_iter()
            .flatten()
            .flatten()
            .filter(|folder| folder.path().join("spec.yaml").is_file())
            .filter_map(|folder| folder.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The workspace's own `Cargo.toml`.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("Cargo.toml")
    }

    /// What has been measured.
    pub(crate) fn benchmarks(&self) -> PathBuf {
        self.root.join("BENCHMARKS.md")
    }

    /// The committed JSON Schema of the spec language.
    pub(crate) fn schema(&self) -> PathBuf {
        self.root.join("codegen").join("spec.schema.json")
    }

    /// The committed reference of the spec language.
    pub(crate) fn reference(&self) -> PathBuf {
        self.root.join("codegen").join("SPEC.md")
    }
}

fn is_workspace(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() && folder.join("connectors").is_dir()
}

/// The way up to the root, so that messages show short paths.
fn relative(root: &Path, here: &Path) -> PathBuf {
    let levels = here
        .strip_prefix(root)
        .map_or(0, |below| below.components().count());
    std::iter::repeat_n("..", levels).collect()
}
