//! Whatever the bytes of a spec: no panic, and either a plan or an explanation.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests fail like tests"
)]

use std::path::Path;

use connector_codegen::json_schema;
use proptest::prelude::*;
use serde_json::Value;

#[path = "mutations/check.rs"]
mod check;
use check::check;

const SPECS: [&str; 2] = [
    include_str!("../../connectors/storage/spec.yaml"),
    include_str!("specs/full.yaml"),
];

/// A change to the text of a spec.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Delete(usize),
    Duplicate(usize),
    Swap(usize, usize),
    Indent(usize),
    Truncate(usize),
    Word(usize, usize),
    Insert(usize, &'static str),
}

/// Texts that mean something to YAML, to expressions, to paths or to terminals.
const TEXTS: [&str; 36] = [
    "{{",
    "}}",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "!x ",
    "!!int ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "#",
    "%",
    "---\n",
    "...\n",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{1b}[31m",
    "\u{202e}",
    "ä",
    "\u{10ffff}",
    "null",
    "~",
    "\0",
    "dlt.secrets[",
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        any::<usize>().prop_map(Change::Delete),
        any::<usize>().prop_map(Change::Duplicate),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::Swap(one, other)),
        any::<usize>().prop_map(Change::Indent),
        any::<usize>().prop_map(Change::Truncate),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::Word(one, other)),
        (any::<usize>(), prop::sample::select(&TEXTS[..]))
            .prop_map(|(at, text)| Change::Insert(at, text)),
    ]
}

/// The bytes between characters that are no letters, as ranges.
fn words(bytes: &[u8]) -> Vec<(usize, usize)> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut found = Vec::new();
    let mut start = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (start, is_letter(byte)) {
            (None, true) => start = Some(at),
            (Some(first), false) => {
                found.push((first, at));
                start = None;
            }
            _ => {}
        }
    }
    found
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let count = lines.len();
    match change {
        Change::Flip(at, byte) => {
            let at = at % bytes.len();
            bytes[at] = *byte;
            return;
        }
        Change::Truncate(at) => return bytes.truncate(at % bytes.len()),
        Change::Insert(at, text) => {
            let at = at % bytes.len();
            bytes.splice(at..at, text.bytes());
            return;
        }
        Change::Word(one, other) => {
            let words = words(bytes);
            if words.is_empty() {
                return;
            }
            let (from, to) = words[other % words.len()];
            let copy = bytes[from..to].to_vec();
            let (start, end) = words[one % words.len()];
            bytes.splice(start..end, copy);
            return;
        }
        Change::Delete(at) => {
            lines.remove(at % count);
        }
        Change::Duplicate(at) => {
            let line = lines[at % count].clone();
            lines.insert(at % count, line);
        }
        Change::Swap(one, other) => lines.swap(one % count, other % count),
        Change::Indent(at) => lines[at % count].insert(0, b' '),
    }
    *bytes = lines.concat();
}

/// Every key and every word of the language, from its own JSON Schema.
fn vocabulary() -> (Vec<String>, Vec<String>) {
    fn walk(value: &Value, keys: &mut Vec<String>, words: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(properties) = members.get("properties").and_then(Value::as_object) {
                    keys.extend(properties.keys().cloned());
                }
                if let Some(listed) = members.get("enum").and_then(Value::as_array) {
                    words.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                members
                    .values()
                    .for_each(|member| walk(member, keys, words));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, keys, words)),
            _ => {}
        }
    }
    let (mut keys, mut words) = (Vec::new(), Vec::new());
    walk(&json_schema(), &mut keys, &mut words);
    keys.extend(["id", "a", "A", "", "aux", "incremental", "parent"].map(str::to_owned));
    words.extend(
        [
            "",
            "id",
            "a.b",
            "a.*",
            "$",
            "$['x']",
            "https://api.example.com",
            "http://x/y?z",
            "{{ config.a }}",
            "{{ secrets.a }}",
            "{{ response.get('a', {}).get('b') }}",
            "{id}",
            "{{ x",
            "dlt.secrets[\"a\"]",
            "/v1/a?b=c&d={{ config.a }}",
            "%Y",
            "a b",
            "é",
            "auto",
        ]
        .map(str::to_owned),
    );
    keys.sort();
    keys.dedup();
    words.sort();
    words.dedup();
    (keys, words)
}

/// Trees of the language's own keys and words, mostly at wrong places.
fn tree() -> impl Strategy<Value = Value> {
    let (keys, words) = vocabulary();
    let key = prop::sample::select(keys);
    let leaf = prop_oneof![
        4 => prop::sample::select(words).prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<f64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((key.clone(), inner), 0..7)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Puts a tree where the spec has a value, so that the rest around it is right.
fn graft(spec: &mut Value, at: usize, tree: Value) {
    fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    pointers(member, &format!("{path}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    pointers(item, &format!("{path}/{at}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    pointers(spec, "", &mut found);
    if let Some(place) = spec.pointer_mut(&found[at % found.len()]) {
        *place = tree;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_specs_are_accepted_or_explained(
        spec in prop::sample::select(&SPECS[..]),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut bytes = spec.as_bytes().to_vec();
        for change in &changes {
            apply(&mut bytes, change);
        }
        check(&bytes);
    }

    #[test]
    fn trees_of_known_words_are_accepted_or_explained(tree in tree()) {
        check(tree.to_string().as_bytes());
    }

    #[test]
    fn specs_with_a_strange_part_are_accepted_or_explained(
        at in any::<usize>(),
        tree in tree(),
    ) {
        let mut spec: Value = serde_yaml::from_str(SPECS[0]).unwrap();
        graft(&mut spec, at, tree);
        check(spec.to_string().as_bytes());
    }

    #[test]
    fn arbitrary_bytes_are_explained(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn arbitrary_text_is_explained(text in "[ -~\n\t{}:\\-\\[\\]'\"#&*!|>?%@,äö\u{2028}]{0,120}") {
        check(text.as_bytes());
    }
}

#[test]
fn the_corpus_is_accepted_or_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/spec");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no corpus");
}

#[test]
fn hostile_specs_are_explained() {
    #[track_caller]
    fn explained(text: &str) {
        assert!(!check(text.as_bytes()));
    }
    let many = 100_000;
    explained(&"[".repeat(many));
    explained(&"{a: ".repeat(many));
    explained(&"- ".repeat(many));
    explained(&format!("a: {}", "[{".repeat(many)));
    let steps: String = (0..2_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    explained(&steps);
    // Aliases of aliases: a billion values.
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    explained(&laughs);
    explained(&"x".repeat(10 * 1024 * 1024));
    explained(&"a: b\n".repeat(10_000));
    explained(
        &(0..5_000)
            .map(|at| format!("key{at}: 1\n"))
            .collect::<String>(),
    );
    explained(&format!(
        "client: {{base_url: \"{}\"}}",
        "é{".repeat(50_000)
    ));
    explained(&format!("\"{}", "a\n".repeat(20_000)));
    explained("\u{feff}");
    explained("\u{feff}\u{feff}client: 1");
    explained("\0");
    explained("%YAML 9.9\n---\na: b");
    explained("a: &a\n  b: *a");
    explained("&a *a");
    explained("<<: *a");
    explained("? \n? \n");
    explained("*a : 1");
    explained("a: \"\\ud800\"");
    explained("a: \"\\U00110000\"");
}

#[test]
fn fields_nested_as_deep_as_a_spec_goes_reach_the_plan() {
    let mut accepted = 0;
    for depth in 1..40 {
        let (open, close) = ("{fields: {x: ".repeat(depth), "}}".repeat(depth));
        let spec = format!(
            "client: {{base_url: \"https://a\"}}\nresources:\n- name: a\n  schema: {{fields: {{x: {open}integer{close}}}}}\n"
        );
        accepted += usize::from(check(spec.as_bytes()));
    }
    assert_eq!(accepted, 29);
}
