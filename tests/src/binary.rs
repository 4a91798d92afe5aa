//! Where the binaries of the workspace are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// The path of a binary of this workspace, built when it is not there or not fresh.
///
/// # Panics
/// When the workspace does not build.
#[must_use]
#[expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a test that cannot start has failed"
)]
pub fn binary(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    BUILD.call_once(|| {
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--workspace",
                "--bins",
                "--manifest-path",
            ])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the binaries build");
    });
    // <target>/debug/deps/e2e-… is this very test.
    let test = std::env::current_exe().expect("the test knows its path");
    let folder = test
        .parent()
        .and_then(std::path::Path::parent)
        .expect("it is in a target folder");
    let binary = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !binary.exists() {
        panic!("{} has not been built", binary.display());
    }
    binary
}
