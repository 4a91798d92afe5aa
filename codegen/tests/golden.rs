//! The generated code of the fixtures is what the repository holds.
//!
//! After a change that is meant, run `UPDATE_GOLDENS=1 cargo test -p connector-codegen --test
//! golden` and read the difference. That the code compiles, without a warning, is checked by
//! building the package in `fixtures`.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests fail like tests"
)]

use std::path::{Path, PathBuf};

use connector_codegen::Config;

#[track_caller]
fn check(name: &str) {
    let fixture = Path::new("fixtures").join(name);
    let spec = match name {
        "storage" => PathBuf::from("../connectors/storage/spec.yaml"),
        _ => fixture.join("spec.yaml"),
    };
    // A folder of its own, so that the path in the first line is that of every build script.
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().join("spec.yaml");
    std::fs::copy(&spec, &shown).unwrap();
    let config = Config::new().name(name).quiet();
    let files = config.out_dir(folder.path()).compile(&shown);
    let files = files.unwrap_or_else(|error| panic!("{error}"));
    for path in [files.code, files.plan, files.guide] {
        let golden = fixture.join(path.file_name().unwrap());
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace(shown.to_str().unwrap(), "spec.yaml");
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            text == expected,
            "{} is out of date; see the first lines of this test's file. It is now:\n{text}",
            golden.display()
        );
    }
}

#[test]
fn storage() {
    check("storage");
}

#[test]
fn nested() {
    check("nested");
}

#[test]
fn hostile() {
    check("hostile");
}

#[test]
fn collisions() {
    check("collisions");
}

#[test]
fn schemaless() {
    check("schemaless");
}
