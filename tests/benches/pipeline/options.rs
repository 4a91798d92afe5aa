//! What can be said on the command line, by people and by the benchmark to its own processes.

use std::path::PathBuf;

use crate::Result;

#[derive(Clone, Debug)]
pub struct Options {
    pub rows: u64,
    /// Records per page.
    pub page: u64,
    pub rounds: usize,
    /// What this process does for another one.
    pub stage: Option<String>,
    /// Where the API is, for stages that use it.
    pub url: String,
    /// Where a stage writes its data and its measurement.
    pub folder: PathBuf,
}

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            rows: 1_000_000,
            page: 1_000,
            rounds: 3,
            stage: None,
            url: String::new(),
            folder: PathBuf::new(),
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            // Cargo says this to every benchmark.
            if name == "--bench" {
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("`{name}` needs a value"))?;
            match name.as_str() {
                "--rows" => options.rows = at_least_one(&name, &value)?,
                "--page" => options.page = at_least_one(&name, &value)?,
                "--rounds" => options.rounds = usize::try_from(at_least_one(&name, &value)?)?,
                "--stage" => options.stage = Some(value),
                "--url" => options.url = value,
                "--folder" => options.folder = value.into(),
                _ => {
                    return Err(format!(
                        "unknown option `{name}`; expected `--rows`, `--page` or `--rounds`"
                    )
                    .into());
                }
            }
        }
        Ok(options)
    }
}

fn at_least_one(name: &str, value: &str) -> Result<u64> {
    match value.replace('_', "").parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{name} {value}`: expected a number, at least 1").into()),
    }
}
