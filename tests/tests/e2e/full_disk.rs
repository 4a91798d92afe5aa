//! A disk without room for a dataset leaves the old one, and the error says so.

use std::process::{Command, Stdio};

use connector_sandbox::Options;
use connector_tests::{Outcome, Rows, Workspace};

use crate::{RESOURCE, server};

/// A shell that runs a connector (`"$@"`) where little can be written.
struct Confined {
    /// What it needs before the connector starts.
    before: &'static str,
    /// What starts the shell.
    shell: &'static [&'static str],
}

/// No file may be longer (setrlimit(2)): the first part that is, cannot be written.
const LIMITED: Confined = Confined {
    before: "trap '' XFSZ; ulimit -f 64",
    shell: &["sh", "-c"],
};
/// A real file system of 320 kB, seen by this shell alone; what is on it is copied in and out.
const TMPFS: Confined = Confined {
    before: "mount -t tmpfs -o size=320k none data && cp -r kept/. data",
    shell: &[
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
    ],
};

/// Publishes a small dataset, then has no room for a large one.
fn check(confined: &Confined, reason: &str) {
    let workspace = Workspace::new();
    let small = server(Options {
        records: 50,
        ..Options::default()
    });
    let storage = || workspace.storage().args(["--progress", "none"]);
    storage().against(&small).run().expect(0);
    let before = workspace.files().parquet();
    std::fs::rename(workspace.path("data"), workspace.path("kept")).unwrap();
    std::fs::create_dir(workspace.path("data")).unwrap();
    if confined.shell.len() == 2 {
        std::fs::remove_dir(workspace.path("data")).unwrap();
        std::fs::rename(workspace.path("kept"), workspace.path("data")).unwrap();
    }
    let large = server(Options {
        records: 60_000,
        seed: 2,
        ..Options::default()
    });
    let run = storage().against(&large).into_command();
    let script = format!(
        "{} || exit 99\n\"$@\"\ncode=$?\n[ -d kept ] && rm -r kept && cp -r data kept\nexit $code",
        confined.before
    );
    let mut command = Command::new(confined.shell[0]);
    command
        .args(&confined.shell[1..])
        .args([&script, "sh"])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(workspace.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null());
    let outcome = Outcome::new(&command.output().unwrap());
    outcome.expect(5).says(&[reason, "error"]);
    if confined.shell.len() > 2 {
        std::fs::remove_dir_all(workspace.path("data")).unwrap();
        std::fs::rename(workspace.path("kept"), workspace.path("data")).unwrap();
    }
    assert_eq!(
        workspace.files().parquet(),
        before,
        "the old dataset is there"
    );
    // With room again, the same run succeeds.
    storage().against(&large).run().expect(0);
    let rows = Rows::read(&workspace.path("data/storage").join(RESOURCE));
    assert!(rows.count() >= 60_000);
    assert_eq!(workspace.files().unfinished(), [""; 0]);
}

#[test]
fn a_file_that_cannot_grow_leaves_the_old_dataset() {
    check(&LIMITED, "File too large");
}

#[test]
fn a_full_file_system_leaves_the_old_dataset() {
    // Not every system lets its users mount.
    let may_mount = Command::new(TMPFS.shell[0])
        .args(&TMPFS.shell[1..])
        .arg("mount -t tmpfs none /tmp")
        .stderr(Stdio::null())
        .status();
    if may_mount.is_ok_and(|status| status.success()) {
        check(&TMPFS, "No space left on device");
    }
}
