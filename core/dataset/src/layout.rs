//! Where everything of one connector lies below the output folder.

use std::path::{Path, PathBuf};

use crate::partition::is_folder;
use crate::{Error, RunId};

/// The folder of a connector that holds everything but data.
const CONTROL: &str = "_connector";

/// Where everything of one connector lies below the output folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    connector: PathBuf,
    /// Where work is done that no dataset shows, when that is not beside them.
    work: Option<PathBuf>,
}

impl Layout {
    pub(crate) fn new(out: &Path, connector: &str) -> Result<Self, Error> {
        check_name("connector", connector)?;
        Ok(Self {
            connector: out.join(connector),
            work: None,
        })
    }

    /// With a working folder on the local disk, for datasets in an object store.
    pub(crate) fn with_work(self, work: &Path) -> Self {
        let work = Some(work.to_owned());
        Self { work, ..self }
    }

    /// The folder that the data folders lie in.
    pub(crate) fn connector(&self) -> &Path {
        &self.connector
    }

    /// The data folder of a resource.
    pub(crate) fn live(&self, resource: &str) -> PathBuf {
        self.connector.join(resource)
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.connector.join(CONTROL)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.control().join("state.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.control().join("lock")
    }

    pub(crate) fn journals(&self) -> PathBuf {
        self.control().join("journal")
    }

    pub(crate) fn journal(&self, resource: &str) -> PathBuf {
        self.journals().join(format!("{resource}.json"))
    }

    /// What is kept of loads that did not come to their end.
    pub(crate) fn all_kept(&self) -> PathBuf {
        self.control().join("resume")
    }

    pub(crate) fn kept(&self, resource: &str) -> PathBuf {
        self.all_kept().join(resource)
    }

    pub(crate) fn checkpoint(&self, resource: &str) -> PathBuf {
        self.kept(resource).join("checkpoint.json")
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.control().join("runs")
    }

    pub(crate) fn run_record(&self, run: RunId) -> PathBuf {
        self.runs().join(format!("{run}.json"))
    }

    /// The lease of an object store.
    pub(crate) fn lease(&self) -> PathBuf {
        self.control().join("lease.json")
    }

    /// What is not yet, or no longer, part of a dataset.
    pub(crate) fn temporary(&self) -> PathBuf {
        let work = self.work.clone();
        work.unwrap_or_else(|| self.control()).join("tmp")
    }

    /// In an object store, the new data files of runs before they are published.
    pub(crate) fn all_uploaded(&self) -> PathBuf {
        self.control().join("tmp")
    }

    /// The same of one resource.
    pub(crate) fn uploaded(&self, run: RunId, resource: &str) -> PathBuf {
        self.all_uploaded().join(run.to_string()).join(resource)
    }

    pub(crate) fn run(&self, run: RunId) -> PathBuf {
        self.temporary().join(run.to_string())
    }

    /// The new data files of a resource before they are published.
    pub(crate) fn staged(&self, run: RunId, resource: &str) -> PathBuf {
        self.run(run).join("staged").join(resource)
    }

    /// The sorted keys of a resource that do not fit in memory.
    pub(crate) fn spill(&self, run: RunId, resource: &str) -> PathBuf {
        self.run(run).join("spill").join(resource)
    }

    /// What a resource puts aside before it is loaded.
    pub(crate) fn aside(&self, run: RunId, resource: &str) -> PathBuf {
        self.run(run).join("aside").join(resource)
    }

    /// The next content of a data folder; after the exchange its previous content.
    pub(crate) fn next(&self, run: RunId, resource: &str) -> PathBuf {
        self.run(run).join("next").join(resource)
    }
}

/// The name of a data file.
pub(crate) fn part_name(number: u32, run: RunId) -> String {
    format!("part-{number:05}-{run}.parquet")
}

/// The number and run of a data file that this library named.
pub(crate) fn parse_part_name(name: &str) -> Option<(u32, RunId)> {
    let (number, run) = name
        .strip_prefix("part-")?
        .strip_suffix(".parquet")?
        .split_once('-')?;
    if number.len() < 5 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, run.parse().ok()?))
}

/// Like [`parse_part_name`], for the name of a data file below its dataset's folder, be it in the
/// folder of a partition or not.
pub(crate) fn parse_file_name(name: &str) -> Option<(u32, RunId)> {
    match name.rsplit_once('/') {
        Some((folder, name)) => parse_part_name(name).filter(|_| is_folder(folder)),
        None => parse_part_name(name),
    }
}

/// Refuses what cannot be a folder's name everywhere, or would leave its parent.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_good = !name.is_empty()
        && name.len() <= 120
        && name.bytes().all(plain)
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && name != CONTROL;
    if is_good {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "`{}` cannot be the name of a {what}",
        name.escape_debug()
    ))
    .with_hint(
        "use up to 120 ASCII letters, digits, `_`, `-` and `.`, starting with a letter or \
             digit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_their_folder() {
        #[track_caller]
        fn check(name: &str, expect: bool) {
            assert_eq!(check_name("resource", name).is_ok(), expect, "{name}");
        }
        check("files", true);
        check("a.b-c_D9", true);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "_connector",
            "-a",
            ".a",
            "a.",
            "a\0",
            "ä",
            "a b",
        ] {
            check(name, false);
        }
        check(&"a".repeat(121), false);
    }

    #[test]
    fn part_names_round_trip() {
        let run = RunId::new();
        assert_eq!(parse_part_name(&part_name(7, run)), Some((7, run)));
        assert_eq!(
            parse_part_name(&part_name(1_234_567, run)),
            Some((1_234_567, run))
        );
        let name = part_name(7, run);
        for folder in ["a=b/", "a=b/c=d/", ""] {
            assert_eq!(parse_file_name(&format!("{folder}{name}")), Some((7, run)));
        }
        for folder in [
            "/",
            "a=b//",
            "a/",
            "../",
            "a=b/../",
            "a=b/../../",
            "./",
            "a=b\\",
        ] {
            assert_eq!(
                parse_file_name(&format!("{folder}{name}")),
                None,
                "{folder}"
            );
        }
        for name in [
            "part-00000.parquet",
            "x.parquet",
            "part-0-x.parquet",
            "part-00000-x.csv",
        ] {
            assert_eq!(parse_part_name(name), None);
        }
    }
}
