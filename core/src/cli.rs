//! The command line of every connector.
//!
//! A connector's `main` is one call of [`main`]. Results go to standard output, everything meant
//! for people (progress, notes, errors) to standard error.

mod arguments;
pub(crate) mod cell;
mod check;
pub(crate) mod console;
pub(crate) mod context;
mod inspect;
mod logging;
mod preview;
pub(crate) mod progress;
mod report;
pub(crate) mod runs;
mod sandbox;
mod schema_diff;
mod state;
pub(crate) mod summary;
pub(crate) mod table;
mod trial;

use std::ffi::OsString;
use std::process::ExitCode;

use connector_plan::sandbox::StartSandbox;

use self::arguments::{Action, Arguments};
use self::console::Console;
use self::context::{Context, block_on, block_on_whole};
use crate::suggest::nearest;
use crate::{ClientOptions, Connector, Error, ErrorKind, Result};

/// Runs a connector's command line and gives the exit code of the process.
///
/// The exit code is 0 when everything that was asked for was done, otherwise the
/// [`ErrorKind::exit_code`] of the first failure; 7 when some resources failed and others were
/// published.
pub fn main(connector: &Connector, start_sandbox: StartSandbox) -> ExitCode {
    main_with(connector, start_sandbox, std::env::args_os())
}

/// Like [`main`], with these arguments; the first one is the program's name.
pub fn main_with(
    connector: &Connector,
    start_sandbox: StartSandbox,
    arguments: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    main_with_options(
        connector,
        start_sandbox,
        ClientOptions::default(),
        arguments,
    )
}

/// Like [`main_with`], with authentication, paginators or a token store of the program's own.
///
/// What the command line says of waits and certificates wins over the options.
pub fn main_with_options(
    connector: &Connector,
    start_sandbox: StartSandbox,
    options: ClientOptions,
    arguments: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    keep_freed_memory();
    let plan = match connector.plan() {
        Ok(plan) => plan,
        Err(error) => return Console::new(false).fail(&error),
    };
    let command = arguments::command(connector, &plan);
    let matches = match command.clone().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are results, the rest are mistakes; clap knows the stream.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let arguments = Arguments::new(&matches, &command, &plan);
    let console = Console::new(arguments.json_logs);
    logging::start(&arguments, &console);
    let mut context = Context {
        connector,
        plan,
        start_sandbox,
        options,
        arguments,
        console: console.clone(),
        trace: None,
    };
    match dispatch(&mut context, command) {
        Ok(code) => code,
        Err(error) => console.fail(&error),
    }
}

/// Has the allocator keep memory that is freed, up to 2 MB for each thread, in place of giving it
/// back to the system page after page; [`main`] does this first.
///
/// That of glibc takes the largest block that was ever freed for the size of what comes and goes
/// (`mallopt(3)`, `M_MMAP_THRESHOLD`), and keeps twice as much. It saves a tenth of the processor
/// time of a run; other allocators take no notice.
pub fn keep_freed_memory() {
    const COMES_AND_GOES: usize = 1000 << 10;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(
        COMES_AND_GOES,
    )));
}

fn dispatch(context: &mut Context<'_>, command: clap::Command) -> Result<ExitCode> {
    match context.arguments.action.clone() {
        Action::Run => block_on_whole(crate::run::command(context)),
        Action::Check => block_on(check::run(context)),
        Action::Preview {
            resource,
            rows,
            json,
        } => block_on(preview::run(context, &resource, rows, json)),
        Action::Try { rows, form } => block_on(trial::run(context, rows, form)),
        // An interrupt is how serving ends.
        Action::Sandbox(options) => match block_on(sandbox::serve(context, &options)) {
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) =>
            {
                Ok(ExitCode::SUCCESS)
            }
            served => served,
        },
        Action::Resources { json } => inspect::resources(context, json),
        Action::Schema {
            resource,
            diff: true,
            json,
        } => schema_diff::run(context, resource.as_deref(), json),
        Action::Schema { resource, json, .. } => {
            inspect::schema(context, resource.as_deref(), json)
        }
        Action::State { action, json } => state::run(context, &action, json),
        Action::Runs(action) => runs::run(context, &action),
        Action::Report { file } => report::run(context, file.as_deref()),
        Action::Completions(shell) => inspect::completions(context, shell, command),
    }
}

/// The error for a resource name that the connector does not have.
pub(crate) fn unknown_resource(name: &str, known: &[&str]) -> Error {
    let error = Error::new(
        ErrorKind::Configuration,
        format!("unknown resource `{name}`"),
    );
    let all = format!("the resources are {}", known.join(", "));
    match nearest(name, known.iter().copied()) {
        Some(nearest) => error.hint(format!("did you mean `{nearest}`?")).hint(all),
        None => error.hint(all),
    }
}
