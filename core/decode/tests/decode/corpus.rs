//! What the fuzz target has found worth keeping.

use std::path::Path;

use crate::input;

#[test]
fn the_corpus_agrees_with_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/decode");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        input::check(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no corpus");
}
