//! Rust names for whatever an API calls its resources and fields.

use std::collections::BTreeSet;

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use proc_macro2::{Ident, Span};

mod singular;

pub(crate) use singular::singular;

/// The longest name: rustdoc makes files of type names, and file systems stop at 255 bytes.
const MAXIMUM_CHARACTERS: usize = 64;

/// Strict and reserved keywords of edition 2024 that can be written as raw identifiers.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Keywords that cannot be raw identifiers.
const UNNAMEABLE: &[&str] = &["_", "Self", "crate", "self", "super"];

/// Type names that generated code uses itself, or that would hide what every program uses.
const RESERVED_TYPES: &[&str] = &[
    "AsMut",
    "AsRef",
    "Box",
    "Client",
    "Clone",
    "Config",
    "Copy",
    "Debug",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Self",
    "Send",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Unpin",
    "Vec",
];

/// Functions of the client that are no resources; `clone` comes from its `Clone`.
const RESERVED_FUNCTIONS: &[&str] = &["clone", "fmt", "from_environment", "new", "with_options"];

/// The field of a record type that is no field of the API.
pub(crate) const RESCUED_FIELD: &str = "rescued";

/// Names of types that are all different.
#[derive(Debug)]
pub(crate) struct TypeNames {
    taken: BTreeSet<String>,
}

impl TypeNames {
    /// Only what generated code uses itself is taken.
    pub(crate) fn new() -> Self {
        Self {
            taken: RESERVED_TYPES.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether nobody has the name yet.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        !self.taken.contains(name)
    }

    /// A free name as near to the wanted one as can be.
    pub(crate) fn take(&mut self, wanted: &str) -> String {
        let mut name = type_name(wanted);
        if RESERVED_TYPES.contains(&name.as_str()) {
            name.push_str("Record");
        }
        let name = free(&name, "", &self.taken);
        self.taken.insert(name.clone());
        name
    }
}

/// The names of a record's fields in their order; `rescued` tells whether the record has the field
/// of that name beside them.
pub(crate) fn fields(names: &[&str], rescued: bool) -> Vec<Ident> {
    let reserved: &[&str] = if rescued { &[RESCUED_FIELD] } else { &[] };
    members(names, "field", reserved)
}

/// The names of the functions for these resources.
pub(crate) fn functions(names: &[&str]) -> Vec<Ident> {
    members(names, "resource", RESERVED_FUNCTIONS)
}

/// A name that is not written as it is gets the first free number, after all that are: so the
/// order of fields decides as little as possible.
fn members(names: &[&str], kind: &str, reserved: &[&str]) -> Vec<Ident> {
    let mut taken: BTreeSet<String> = reserved.iter().map(ToString::to_string).collect();
    let mut result: Vec<Option<String>> = vec![None; names.len()];
    for exact in [true, false] {
        for (name, slot) in names.iter().zip(&mut result) {
            let mut wanted = member_name(name, kind);
            if slot.is_some() || exact != (wanted == *name) {
                continue;
            }
            if reserved.contains(&wanted.as_str()) {
                wanted = format!("{wanted}_{kind}");
            }
            let free = free(&wanted, "_", &taken);
            taken.insert(free.clone());
            *slot = Some(free);
        }
    }
    result
        .into_iter()
        .map(|name| identifier(&name.unwrap_or_default()))
        .collect()
}

/// The wanted name, or the first of `wanted2`, `wanted3` … that is free.
fn free(wanted: &str, separator: &str, taken: &BTreeSet<String>) -> String {
    let numbered = |number: usize| match number {
        1 => wanted.to_owned(),
        _ => format!("{wanted}{separator}{number}"),
    };
    let mut number = 1;
    while taken.contains(&numbered(number)) {
        number += 1;
    }
    numbered(number)
}

/// The identifier of a clean name, raw when it is a keyword.
pub(crate) fn identifier(name: &str) -> Ident {
    if KEYWORDS.contains(&name) {
        Ident::new_raw(name, Span::call_site())
    } else if UNNAMEABLE.contains(&name) {
        Ident::new(&format!("{name}_"), Span::call_site())
    } else if is_plain(name) {
        Ident::new(name, Span::call_site())
    } else {
        // Unreachable through this module's own functions, which clean every name first.
        Ident::new(&member_name(name, "name"), Span::call_site())
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// `snake_case`, never empty, beginning with a letter.
fn member_name(name: &str, kind: &str) -> String {
    let snake = cut(&ascii(name).to_snake_case())
        .trim_end_matches('_')
        .to_owned();
    match snake.chars().next() {
        None => kind.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{kind}_{snake}"),
        Some(_) => snake,
    }
}

/// `UpperCamelCase`, never empty, beginning with a letter.
pub(crate) fn type_name(name: &str) -> String {
    let camel = cut(&ascii(name).to_upper_camel_case()).to_owned();
    match camel.chars().next() {
        None => "Record".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("Record{camel}"),
        Some(_) => camel,
    }
}

fn cut(name: &str) -> &str {
    name.get(..MAXIMUM_CHARACTERS).unwrap_or(name)
}

/// The name in ASCII letters, digits and underscores.
///
/// Rust permits most letters, but warns of scripts that look like others, so letters with marks
/// lose them and all others are written as their code point.
fn ascii(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            text.push(character);
        } else if let Some(plain) = without_marks(character) {
            text.push_str(plain);
        } else if character.is_alphanumeric() {
            text.push_str(&format!("_u{:x}_", u32::from(character)));
        } else {
            text.push('_');
        }
    }
    text
}

/// The letters of Latin-1 and Latin Extended-A as people write them without marks.
fn without_marks(character: char) -> Option<&'static str> {
    const TABLE: &[(&str, &str)] = &[
        ("ÀÁÂÃÅĀĂĄ", "A"),
        ("àáâãåāăą", "a"),
        ("Ä", "Ae"),
        ("ä", "ae"),
        ("Æ", "Ae"),
        ("æ", "ae"),
        ("ÇĆĈĊČ", "C"),
        ("çćĉċč", "c"),
        ("ÐĎĐ", "D"),
        ("ðďđ", "d"),
        ("ÈÉÊËĒĔĖĘĚ", "E"),
        ("èéêëēĕėęě", "e"),
        ("ĜĞĠĢ", "G"),
        ("ĝğġģ", "g"),
        ("ĤĦ", "H"),
        ("ĥħ", "h"),
        ("ÌÍÎÏĨĪĬĮİ", "I"),
        ("ìíîïĩīĭįı", "i"),
        ("Ĵ", "J"),
        ("ĵ", "j"),
        ("Ķ", "K"),
        ("ķ", "k"),
        ("ĹĻĽĿŁ", "L"),
        ("ĺļľŀł", "l"),
        ("ÑŃŅŇ", "N"),
        ("ñńņň", "n"),
        ("ÒÓÔÕŌŎŐ", "O"),
        ("òóôõōŏő", "o"),
        ("ÖØŒ", "Oe"),
        ("öøœ", "oe"),
        ("ŔŖŘ", "R"),
        ("ŕŗř", "r"),
        ("ŚŜŞŠ", "S"),
        ("śŝşš", "s"),
        ("ß", "ss"),
        ("ŢŤŦ", "T"),
        ("ţťŧ", "t"),
        ("Þ", "Th"),
        ("þ", "th"),
        ("ÙÚÛŨŪŬŮŰŲ", "U"),
        ("ùúûũūŭůűų", "u"),
        ("Ü", "Ue"),
        ("ü", "ue"),
        ("Ŵ", "W"),
        ("ŵ", "w"),
        ("ÝŶŸ", "Y"),
        ("ýŷÿ", "y"),
        ("ŹŻŽ", "Z"),
        ("źżž", "z"),
    ];
    TABLE
        .iter()
        .find(|(letters, _)| letters.contains(character))
        .map(|(_, plain)| *plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_valid_and_different() {
        #[track_caller]
        fn check(names: &[&str], expect: &[&str]) {
            let found: Vec<String> = fields(names, true).iter().map(Ident::to_string).collect();
            assert_eq!(found, expect);
        }
        check(
            &["file_id", "fileName", "HTTPStatus"],
            &["file_id", "file_name", "http_status"],
        );
        check(
            &["type", "self", "_", "gen"],
            &["r#type", "self_", "field", "r#gen"],
        );
        check(&["", "-", "🙂"], &["field", "field_2", "field_3"]);
        check(&["1st", "2"], &["field_1st", "field_2"]);
        // Whoever is written as the name is gets it, wherever it stands.
        check(&["_id", "id", "ID"], &["id_2", "id", "id_3"]);
        check(&["a.b", "a_b", "a_b_2"], &["a_b_3", "a_b", "a_b_2"]);
        check(
            &["rescued", "_rescued"],
            &["rescued_field", "rescued_field_2"],
        );
        check(
            &["größe", "имя", "名"],
            &["groesse", "u438_u43c_u44f", "u540d"],
        );
        check(&["Self", "crate", "super"], &["self_", "crate_", "super_"]);
        check(&["union", "raw", "x"], &["union", "raw", "x"]);
    }

    #[test]
    fn suffixed_keywords_do_not_meet_other_names() {
        let found: Vec<String> = fields(&["self", "self_", "self_2"], false)
            .iter()
            .map(Ident::to_string)
            .collect();
        let different: BTreeSet<&String> = found.iter().collect();
        assert_eq!(different.len(), found.len(), "{found:?}");
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let (a, b) = ("x".repeat(300), format!("{}y", "x".repeat(300)));
        let found = fields(&[&a, &b], true);
        assert_eq!(found[0].to_string(), "x".repeat(64));
        assert_eq!(found[1].to_string(), format!("{}_2", "x".repeat(64)));
    }

    #[test]
    fn functions_leave_the_clients_own_alone() {
        let found: Vec<String> = functions(&["new", "files", "clone", "type"])
            .iter()
            .map(Ident::to_string)
            .collect();
        assert_eq!(found, ["new_resource", "files", "clone_resource", "r#type"]);
    }

    #[test]
    fn types_are_valid_and_different() {
        let mut names = TypeNames::new();
        let mut check = |wanted: &str, expect: &str| assert_eq!(names.take(wanted), expect);
        check("cloud_storage_file", "CloudStorageFile");
        check("cloudStorageFile", "CloudStorageFile2");
        check("option", "OptionRecord");
        check("Client", "ClientRecord");
        check("self", "SelfRecord");
        check("", "Record");
        check("3d_model", "Record3dModel");
        check("名", "U540d");
    }
}
