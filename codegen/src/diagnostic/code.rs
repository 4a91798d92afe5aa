//! The codes of diagnostics: what kind of problem, in a form that tools can rely on.

macro_rules! codes {
    ($($name:ident = $text:literal),* $(,)?) => {
        $(pub(crate) const $name: &str = $text;)*

        #[cfg(test)]
        pub(crate) const ALL: &[&str] = &[$($text),*];
    };
}

codes! {
    CONFLICT = "conflict",
    CREDENTIALS_IN_CLEAR = "credentials-in-clear",
    CYCLE = "cycle",
    DUPLICATE_FIELD = "duplicate-field",
    DUPLICATE_KEY = "duplicate-key",
    DUPLICATE_NAME = "duplicate-name",
    EMPTY = "empty",
    ENCODING = "encoding",
    ENDLESS = "endless",
    EXPRESSION = "expression",
    INVALID_NAME = "invalid-name",
    INVALID_VALUE = "invalid-value",
    KEY = "key",
    LITERAL_SECRET = "literal-secret",
    MERGE_KEY = "merge-key",
    MISSING_KEY = "missing-key",
    MULTIPLE_DOCUMENTS = "multiple-documents",
    NO_EFFECT = "no-effect",
    NO_SCHEMA = "no-schema",
    NOT_SUPPORTED = "not-supported",
    OTHER_ORIGIN = "other-origin",
    PRIMARY_KEY = "primary-key",
    READ = "read",
    RESERVED_NAME = "reserved-name",
    SYNTAX = "syntax",
    TAG = "tag",
    TOO_DEEP = "too-deep",
    TOO_LARGE = "too-large",
    UNBOUND = "unbound",
    UNKNOWN_FIELD = "unknown-field",
    UNKNOWN_KEY = "unknown-key",
    UNKNOWN_RESOURCE = "unknown-resource",
    UNKNOWN_SETTING = "unknown-setting",
    UNKNOWN_VALUE = "unknown-value",
    UNUSED = "unused",
    WRONG_TYPE = "wrong-type",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_rendered_example() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots");
        let mut rendered = String::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            rendered.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        for code in ALL {
            // Files that cannot be read as text are tested where they are read.
            let elsewhere = matches!(*code, ENCODING | READ);
            assert!(
                elsewhere || rendered.contains(&format!("[{code}]")),
                "{code}"
            );
        }
    }
}
