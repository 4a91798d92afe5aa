//! What can be said on the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use connector_plan::sandbox::{Fault, SandboxOptions};
use connector_plan::{Plan, Setting};

use super::report;
use super::runs::{self, RunsAction};
use super::state::{self, StateAction};
use crate::Connector;
use crate::settings::Flag;

/// What was said on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub action: Action,
    pub resources: Vec<String>,
    pub out: Option<PathBuf>,
    /// Where runs work whose datasets are in a bucket.
    pub work_dir: Option<PathBuf>,
    pub full_refresh: bool,
    pub limit: Option<u64>,
    /// Where incremental resources begin and end, in this run.
    pub since: Option<String>,
    pub until: Option<String>,
    pub config: Option<PathBuf>,
    pub dry_run: bool,
    pub progress: Progress,
    pub json_logs: bool,
    pub verbosity: u8,
    pub report: Option<PathBuf>,
    /// How often a run keeps what it has read, should it not come to its end.
    pub checkpoint_interval: Duration,
    /// How long what was kept can be gone on with; zero for not at all.
    pub resume_within: Duration,
    /// The memory that a run gets along with, in bytes.
    pub memory: usize,
    pub max_wait: Option<Duration>,
    /// The most requests under way at once.
    pub concurrency: Option<u32>,
    pub ca_file: Option<PathBuf>,
    /// Settings given as flags, by setting name.
    pub settings: BTreeMap<String, Flag>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Run,
    Check,
    Resources {
        json: bool,
    },
    Schema {
        resource: Option<String>,
        diff: bool,
        json: bool,
    },
    Preview {
        resource: String,
        rows: u64,
        json: bool,
    },
    Try {
        rows: u64,
        form: Form,
    },
    State {
        action: StateAction,
        json: bool,
    },
    Runs(RunsAction),
    Report {
        file: Option<PathBuf>,
    },
    Sandbox(SandboxOptions),
    Completions(clap_complete::Shell),
}

/// What `try` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
    /// The inferred fields, as a `schema` of the spec.
    Schema,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Auto,
    Plain,
    Json,
    None,
}

/// The command line of a connector.
pub(crate) fn command(connector: &Connector, plan: &Plan) -> Command {
    let name = format!("connector-{}", connector.name);
    let about = if plan.description.is_empty() {
        format!("Reads {} into Parquet", connector.name)
    } else {
        first_sentence(&plan.description)
    };
    let mut command = Command::new(name)
        .version(connector.version)
        .about(about)
        .after_help(after_help(plan))
        .args_conflicts_with_subcommands(false)
        .subcommand_negates_reqs(true)
        .arg(resources())
        .arg(
            Arg::new("full-refresh")
                .long("full-refresh")
                .action(ArgAction::SetTrue)
                .help("Read everything again and replace what earlier runs wrote"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("RECORDS")
                .value_parser(value_parser!(u64).range(1..))
                .conflicts_with("full-refresh")
                .help("Stop each resource after so many records"),
        )
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("START")
                .value_parser(NonEmptyStringValueParser::new())
                .help("Read incremental resources from here, in place of where the last run ended"),
        )
        .arg(
            Arg::new("until")
                .long("until")
                .value_name("END")
                .value_parser(NonEmptyStringValueParser::new())
                .help("Read incremental resources up to here; the next run goes on from there"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Print what a run would do; send nothing, write nothing"),
        )
        .arg(
            Arg::new("progress")
                .long("progress")
                .value_name("HOW")
                .default_value("auto")
                .value_parser(PossibleValuesParser::new(["auto", "plain", "json", "none"]))
                .help("How to show progress on standard error"),
        )
        .arg(path("report", "Write the run record to this file, as JSON"))
        .arg(
            Arg::new("checkpoint-seconds")
                .long("checkpoint-seconds")
                .value_name("SECONDS")
                .default_value("30")
                .value_parser(ValueParser::new(parse_seconds))
                .help("How often to keep what has been read; 0 after every page"),
        )
        .arg(
            Arg::new("resume-within")
                .long("resume-within")
                .value_name("HOURS")
                .default_value("24")
                .value_parser(ValueParser::new(parse_hours))
                .help(
                    "Go on with a run that did not come to its end so many hours ago at most; 0 \
                     never",
                ),
        )
        .arg(
            Arg::new("memory")
                .long("memory")
                .value_name("MIB")
                .default_value("512")
                .value_parser(value_parser!(u32).range(128..))
                .help(
                    "The memory to get along with, in MiB, whatever the size of the datasets: with \
                     less, more is put aside on disk and row groups are smaller",
                ),
        )
        .arg(
            path(
                "out",
                "The folder for datasets, or a bucket such as s3://bucket/prefix [default: data]",
            )
            .short('o')
            .global(true),
        )
        .arg(
            path(
                "work-dir",
                "With a bucket, where files are made before they are uploaded [default: \
                 ~/.local/state/rivulet]",
            )
            .global(true),
        )
        .arg(
            path("config", "Read settings from this YAML file")
                .short('c')
                .global(true),
        )
        .arg(
            path(
                "ca-file",
                "Trust the certificate authorities of this PEM file, too",
            )
            .global(true),
        )
        .arg(
            Arg::new("max-wait")
                .long("max-wait")
                .value_name("SECONDS")
                .value_parser(ValueParser::new(parse_seconds))
                .global(true)
                .help(
                    "The longest wait before a failed request is sent again [default: the spec's]",
                ),
        )
        .arg(
            Arg::new("concurrency")
                .long("concurrency")
                .value_name("REQUESTS")
                .value_parser(value_parser!(u32).range(1..=256))
                .global(true)
                .help(
                    "The most requests under way at once; 1 for one after the other [default: the spec's]",
                ),
        )
        .arg(
            Arg::new("log-format")
                .long("log-format")
                .value_name("FORMAT")
                .default_value("text")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .global(true)
                .help("How to write log lines and errors on standard error"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .action(ArgAction::Count)
                .global(true)
                .help("Log more: -v what is done, -vv every request, -vvv everything"),
        );
    command = command
        .subcommand(
            Command::new("check")
                .about("Check the settings and read one page of each resource; write nothing"),
        )
        .subcommand(
            Command::new("resources")
                .about("List the resources")
                .arg(json_flag()),
        )
        .subcommand(
            Command::new("schema")
                .about("Print the columns of the datasets, or what would become of those there are")
                .arg(
                    Arg::new("name")
                        .value_name("RESOURCE")
                        .help("Only this resource"),
                )
                .arg(
                    Arg::new("diff")
                        .long("diff")
                        .action(ArgAction::SetTrue)
                        .help(
                            "Print what the next run does to the columns of the datasets that are \
                             there; nothing is asked or written, and the exit code is 6 when a \
                             dataset would be refused",
                        ),
                )
                .arg(json_flag()),
        )
        .subcommand(
            Command::new("preview")
                .about("Print the first records of a resource; write nothing")
                .arg(Arg::new("name").value_name("RESOURCE").required(true))
                .arg(rows("10"))
                .arg(json_flag()),
        )
        .subcommand(
            Command::new("try")
                .about("Print the first records of the resources, and how they were read")
                .long_about(
                    "Print the first records of the selected resources, or of those of \
                     --resource, the requests that were sent, and what was rescued or filtered. \
                     Only the pages are read that are needed; nothing is written.",
                )
                .arg(resources())
                .arg(
                    rows("5")
                        .help("How many records of each resource [default with --schema: 1000]"),
                )
                .arg(json_flag())
                .arg(
                    Arg::new("schema")
                        .long("schema")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("json")
                        .help(
                            "Print the fields of resources without a schema, inferred from these \
                             records and from the dataset, if any, to be pasted into the spec",
                        ),
                ),
        )
        .subcommand(state::command())
        .subcommand(runs::command())
        .subcommand(report::command())
        .subcommand(sandbox_command())
        .subcommand(
            Command::new("completions")
                .about("Print completions for a shell")
                .arg(
                    Arg::new("shell")
                        .value_name("SHELL")
                        .required(true)
                        .value_parser(value_parser!(clap_complete::Shell)),
                ),
        );
    let mut taken = BTreeSet::new();
    flags(&command, &mut taken);
    for setting in plan.settings.iter().filter(|setting| !setting.secret) {
        command = command.arg(
            Arg::new(id_of(setting))
                .long(flag_of(setting, &taken))
                .value_name(if setting.name.ends_with("url") {
                    "URL"
                } else {
                    "VALUE"
                })
                .help_heading("Settings of this connector")
                .global(true)
                .help(setting_help(setting)),
        );
    }
    command
}

fn sandbox_command() -> Command {
    Command::new("sandbox")
        .about("Serve the sandbox, sample data behind the API of the spec, until interrupted")
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .default_value("0")
                .value_parser(value_parser!(u16))
                .help("The port on 127.0.0.1; 0 takes a free one"),
        )
        .arg(
            Arg::new("records")
                .long("records")
                .value_name("RECORDS")
                .default_value("1250")
                .value_parser(value_parser!(u64))
                .help("Records per resource"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("NUMBER")
                .default_value("1")
                .value_parser(value_parser!(u64))
                .help("Another number gives other sample data"),
        )
        .arg(
            Arg::new("token-lifetime")
                .long("token-lifetime")
                .value_name("SECONDS")
                .default_value("3600")
                .value_parser(value_parser!(u64).range(1..))
                .help("How long access tokens last"),
        )
        .arg(
            Arg::new("fault")
                .long("fault")
                .value_name("KIND[:EVERY]")
                .action(ArgAction::Append)
                .value_parser(ValueParser::new(|text: &str| text.parse::<Fault>()))
                .help("Go wrong on purpose: 429, 503, slow or cut, at every n-th request"),
        )
}

fn path(name: &'static str, help: &'static str) -> Arg {
    let value_name = if matches!(name, "out" | "work-dir") {
        "DIR"
    } else {
        "FILE"
    };
    Arg::new(name)
        .long(name)
        .value_name(value_name)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn resources() -> Arg {
    Arg::new("resource")
        .long("resource")
        .short('r')
        .value_name("NAME")
        .action(ArgAction::Append)
        .value_delimiter(',')
        .help("Read only this resource; can be repeated")
}

fn rows(default: &'static str) -> Arg {
    Arg::new("rows")
        .long("rows")
        .short('n')
        .value_name("ROWS")
        .default_value(default)
        .value_parser(value_parser!(u64).range(1..))
        .help("How many records of each resource")
}

fn json_flag() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON")
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds".to_owned())
}

fn parse_hours(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|hours| Duration::try_from_secs_f64(hours * 3600.0).ok())
        .ok_or_else(|| "expected a number of hours".to_owned())
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].trim().trim_end_matches('.').to_owned()
}

fn setting_help(setting: &Setting) -> String {
    let mut help = first_sentence(&setting.description);
    help.push_str(&format!(" [env: {}]", setting.environment));
    if let Some(default) = &setting.default {
        let text = default
            .as_str()
            .map_or_else(|| default.to_string(), str::to_owned);
        help.push_str(&format!(" [default: {text}]"));
    }
    help
}

/// The part of help that no flag stands for: secrets and where they come from.
fn after_help(plan: &Plan) -> String {
    let secrets: Vec<&Setting> = plan
        .settings
        .iter()
        .filter(|setting| setting.secret)
        .collect();
    let mut help = String::new();
    if !secrets.is_empty() {
        help.push_str("Secrets of this connector (environment or file only):\n");
        let width = secrets
            .iter()
            .map(|setting| setting.environment.len())
            .max()
            .unwrap_or_default();
        for setting in secrets {
            let required = if setting.required { " (required)" } else { "" };
            let description = first_sentence(&setting.description);
            help.push_str(&format!(
                "  {:width$}  {description}{required}\n",
                setting.environment
            ));
        }
        help.push_str("  Each can also be read from the file that <NAME>_FILE names.\n\n");
    }
    help.push_str(
        "A flag comes before the environment, the environment before the file of --config.\n\
         With nothing configured the connector reads sample data from its own sandbox.",
    );
    help
}

/// The long flags of a command and those below it.
fn flags(command: &Command, found: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter_map(Arg::get_long);
    found.extend(own.map(str::to_owned));
    for command in command.get_subcommands() {
        flags(command, found);
    }
}

/// What clap knows a setting by: no argument of ours has a dot.
fn id_of(setting: &Setting) -> String {
    format!("config.{}", setting.name)
}

/// The flag of a setting; inputs are often called as what a command is told.
fn flag_of(setting: &Setting, taken: &BTreeSet<String>) -> String {
    let flag = setting.name.replace('_', "-");
    match taken.contains(&flag) {
        true => format!("config-{flag}"),
        false => flag,
    }
}

impl Arguments {
    pub(crate) fn new(matches: &ArgMatches, command: &Command, plan: &Plan) -> Self {
        let (action, at) = match matches.subcommand() {
            None => (Action::Run, matches),
            Some((name, sub)) => (action(name, sub), sub),
        };
        let flag = |name: &str| matches.get_flag(name);
        let text = |name: &str| at.get_one::<String>(name).map(String::as_str);
        let duration = |name: &str, default| {
            let given = matches.get_one::<Duration>(name).copied();
            given.unwrap_or(Duration::from_secs(default))
        };
        let progress = match matches.get_one::<String>("progress").map(String::as_str) {
            Some("plain") => Progress::Plain,
            Some("json") => Progress::Json,
            Some("none") => Progress::None,
            _ => Progress::Auto,
        };
        let settings = plan
            .settings
            .iter()
            .filter(|setting| !setting.secret)
            .filter_map(|setting| {
                let id = id_of(setting);
                let value = at.get_one::<String>(&id)?.clone();
                let mut known = command.get_arguments();
                let flag = known.find(|known| *known.get_id() == *id)?.get_long()?;
                let flag = flag.to_owned();
                Some((setting.name.clone(), Flag { flag, value }))
            })
            .collect();
        Self {
            action,
            resources: at
                .try_get_many::<String>("resource")
                .ok()
                .flatten()
                .or_else(|| matches.get_many("resource"))
                .map(|names| names.cloned().collect())
                .unwrap_or_default(),
            out: at.get_one::<PathBuf>("out").cloned(),
            work_dir: at.get_one::<PathBuf>("work-dir").cloned(),
            full_refresh: flag("full-refresh"),
            limit: matches.get_one::<u64>("limit").copied(),
            since: matches.get_one::<String>("since").cloned(),
            until: matches.get_one::<String>("until").cloned(),
            config: at.get_one::<PathBuf>("config").cloned(),
            dry_run: flag("dry-run"),
            progress,
            json_logs: text("log-format") == Some("json"),
            verbosity: at.get_count("verbose"),
            report: matches.get_one::<PathBuf>("report").cloned(),
            checkpoint_interval: duration("checkpoint-seconds", 30),
            resume_within: duration("resume-within", 24 * 3600),
            memory: (matches.get_one::<u32>("memory")).map_or(512, |mib| *mib as usize) << 20,
            max_wait: at.get_one::<Duration>("max-wait").copied(),
            concurrency: at.get_one::<u32>("concurrency").copied(),
            ca_file: at.get_one::<PathBuf>("ca-file").cloned(),
            settings,
        }
    }
}

fn action(name: &str, sub: &ArgMatches) -> Action {
    let text = |name: &str| sub.get_one::<String>(name).cloned();
    match name {
        "check" => Action::Check,
        "resources" => Action::Resources {
            json: sub.get_flag("json"),
        },
        "schema" => Action::Schema {
            resource: text("name"),
            diff: sub.get_flag("diff"),
            json: sub.get_flag("json"),
        },
        "preview" => Action::Preview {
            resource: text("name").unwrap_or_default(),
            rows: sub.get_one::<u64>("rows").copied().unwrap_or(10),
            json: sub.get_flag("json"),
        },
        "try" => {
            let form = match (sub.get_flag("schema"), sub.get_flag("json")) {
                (true, _) => Form::Schema,
                (_, true) => Form::Json,
                _ => Form::Text,
            };
            let given = sub.value_source("rows") == Some(ValueSource::CommandLine);
            let rows = sub.get_one::<u64>("rows").copied().unwrap_or(5);
            Action::Try {
                rows: if form == Form::Schema && !given {
                    1_000
                } else {
                    rows
                },
                form,
            }
        }
        "state" => Action::State {
            action: state::action(sub),
            json: sub.get_flag("json"),
        },
        "runs" => Action::Runs(runs::action(sub)),
        "report" => Action::Report {
            file: report::file(sub),
        },
        "sandbox" => {
            let defaults = SandboxOptions::default();
            let number = |name: &str, default| sub.get_one::<u64>(name).copied().unwrap_or(default);
            Action::Sandbox(SandboxOptions {
                port: sub.get_one::<u16>("port").copied().unwrap_or_default(),
                records: number("records", defaults.records),
                seed: number("seed", defaults.seed),
                token_lifetime: number("token-lifetime", defaults.token_lifetime),
                faults: sub
                    .get_many::<Fault>("fault")
                    .map(|faults| faults.copied().collect())
                    .unwrap_or_default(),
            })
        }
        _ => Action::Completions(
            sub.get_one::<clap_complete::Shell>("shell")
                .copied()
                .unwrap_or(clap_complete::Shell::Bash),
        ),
    }
}
