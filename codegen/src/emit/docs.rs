//! Documentation comments from texts that anybody wrote.
//!
//! Descriptions are prose with code in backticks and bare links; all other Markdown and HTML in
//! them is escaped, so that it can neither break the documentation nor run as a test.

use proc_macro2::TokenStream;
use quote::quote;

use crate::Ir;

/// Columns of a documentation line, without its indentation.
const WIDTH: usize = 92;

/// The longest name that is repeated in documentation, in characters.
const MAXIMUM_NAME: usize = 80;

/// Writes documentation that leads back to the spec.
#[derive(Debug)]
pub(super) struct Docs<'a> {
    ir: &'a Ir,
    file: String,
}

impl<'a> Docs<'a> {
    pub(super) fn new(ir: &'a Ir, spec_path: &str) -> Self {
        let file = spec_path.rsplit(['/', '\\']).next().unwrap_or(spec_path);
        Self {
            ir,
            file: printable(file),
        }
    }

    /// A text on one line with the place in the spec, where `key` or what it lies in is.
    pub(super) fn line(&self, text: &str, key: &str) -> TokenStream {
        comment(&self.with_place(text, key))
    }

    /// A text with the place in the spec as a paragraph of its own.
    pub(super) fn block(&self, text: &str, key: &str) -> TokenStream {
        comment(&match self.place(key) {
            Some(place) => format!("{text}\n\n{place}"),
            None => text.to_owned(),
        })
    }

    fn with_place(&self, text: &str, key: &str) -> String {
        match self.place(key) {
            Some(place) => format!("{text} {place}"),
            None => text.to_owned(),
        }
    }

    fn place(&self, key: &str) -> Option<String> {
        let mut key = key;
        loop {
            if let Some(line) = self.ir.lines.get(key) {
                return Some(code(&format!("{}:{line}", self.file)));
            }
            key = key.rsplit_once('.')?.0;
        }
    }
}

/// One `///` line per line of the text.
pub(super) fn comment(text: &str) -> TokenStream {
    let lines = text
        .split("\n\n")
        .flat_map(|paragraph| std::iter::once(String::new()).chain(wrap(paragraph)))
        .skip(1)
        .map(|line| {
            if line.is_empty() {
                line
            } else {
                format!(" {line}")
            }
        });
    quote! { #(#[doc = #lines])* }
}

/// A description as Markdown: one line per paragraph, empty lines between, a full stop at the end
/// of each; `otherwise` when it says nothing.
pub(super) fn prose(description: &str, otherwise: &str) -> String {
    let lines: Vec<&str> = description.lines().map(str::trim).collect();
    let paragraphs: Vec<String> = lines
        .split(|line| line.is_empty())
        .map(|lines| sentence(&escape(&lines.join(" "))))
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    if paragraphs.is_empty() {
        otherwise.to_owned()
    } else {
        paragraphs.join("\n\n")
    }
}

/// A name or value as code, whatever is in it.
pub(super) fn code(name: &str) -> String {
    let mut text = printable(name);
    if let Some((cut, _)) = text.char_indices().nth(MAXIMUM_NAME) {
        text.truncate(cut);
        text.push('…');
    }
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    if !text.contains('`') {
        return format!("`{text}`");
    }
    let mut fence = String::from("``");
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence} {text} {fence}")
}

/// The text on one line, without characters that are not seen or that reorder what is.
pub(super) fn printable(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|character| {
            if character.is_whitespace() {
                ' '
            } else {
                character
            }
        })
        .filter(|character| !is_invisible(*character))
        .collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters, and what rustc refuses in comments because it reorders text.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn sentence(text: &str) -> String {
    let closed = text.ends_with(['.', '!', '?', ':', ';', ',', '…', '。']);
    if text.is_empty() || closed {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn escape(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut previous = ' ';
    while let Some(character) = rest.chars().next() {
        let next = rest[character.len_utf8()..].chars().next().unwrap_or(' ');
        let taken = match character {
            '`' if previous != '`' => code_span(rest),
            'h' => link(rest),
            _ => None,
        };
        if let Some(taken) = taken {
            let (text, behind) = rest.split_at(taken);
            if character == '`' {
                escaped.push_str(text);
            } else {
                escaped.push('<');
                escaped.push_str(text);
                escaped.push('>');
            }
            previous = text.chars().next_back().unwrap_or(' ');
            rest = behind;
            continue;
        }
        let marks = match character {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '~' | '|' => true,
            // Within a word it is only a letter: `file_id` stays readable.
            '_' => !(previous.is_alphanumeric() && next.is_alphanumeric()),
            '&' => next == '#' || next.is_alphanumeric(),
            _ => false,
        };
        if marks {
            escaped.push('\\');
        }
        escaped.push(character);
        previous = character;
        rest = &rest[character.len_utf8()..];
    }
    escaped
}

/// The length of the code in single backticks that the text begins with.
fn code_span(text: &str) -> Option<usize> {
    let inner = text[1..].find('`')?;
    let end = inner + 2;
    let alone = inner > 0 && !text[end..].starts_with('`');
    alone.then_some(end)
}

/// The length of the link that the text begins with.
fn link(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))?;
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !"-._~:/?#@!$&'()*+,;=%".contains(c))
        .unwrap_or(text.len());
    let link =
        text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'', '*', '_', '~']);
    (link.len() > scheme.len()).then_some(link.len())
}

/// Breaks a paragraph into lines none of which begins a list, a heading or a table.
fn wrap(paragraph: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(paragraph) {
        if line.is_empty() {
            line = line_start(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(std::mem::replace(&mut line, line_start(word)));
        }
    }
    lines.push(line);
    lines
}

/// The words of a text; code in backticks is never broken.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut fence = 0;
    let mut escaped = false;
    let mut at = 0;
    while at < text.len() {
        let character = text[at..].chars().next().unwrap_or(' ');
        if character == '`' && !(escaped && fence == 0) {
            let run = text[at..].len() - text[at..].trim_start_matches('`').len();
            if fence == 0 {
                fence = run;
            } else if fence == run {
                fence = 0;
            }
            at += run;
            escaped = false;
            continue;
        }
        if character == ' ' && fence == 0 {
            if start < at {
                words.push(&text[start..at]);
            }
            start = at + 1;
        }
        escaped = character == '\\' && !escaped;
        at += character.len_utf8();
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

fn line_start(word: &str) -> String {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match &word[digits..] {
        mark @ ("." | ")") if digits > 0 => format!("{}\\{mark}", &word[..digits]),
        _ if word.starts_with(['-', '+', '=', '#', ':']) => format!("\\{word}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_in_descriptions_is_only_text() {
        #[track_caller]
        fn check(description: &str, expect: &str) {
            assert_eq!(prose(description, "otherwise"), expect);
        }
        check("Name of the file", "Name of the file.");
        check("Is it `null`?", "Is it `null`?");
        check(
            "the file_id, _not_ **id**",
            "the file_id, \\_not\\_ \\*\\*id\\*\\*.",
        );
        check("", "otherwise");
        check(" \n\t\n ", "otherwise");
        check("one\ntwo\n\n\nthree", "one two.\n\nthree.");
        check(
            "a [link](javascript:x) <script>",
            "a \\[link\\](javascript:x) \\<script\\>.",
        );
        check("see https://a.example/x_y.", "see <https://a.example/x_y>.");
        check("```\npanic!()\n```", "\\`\\`\\` panic!() \\`\\`\\`.");
        check("`a``b` only", "\\`a\\`\\`b\\` only.");
        check("&lt; & AT&T \\", "\\&lt; & AT\\&T \\\\.");
        check("\u{202e}evil\u{0}", "evil.");
        check("a \u{2028} b", "a b.");
    }

    #[test]
    fn lines_begin_no_block() {
        #[track_caller]
        fn check(text: &str, expect: &[&str]) {
            assert_eq!(wrap(text), expect);
        }
        check("- x", &["\\- x"]);
        check("1. x", &["1\\. x"]);
        check("12) x", &["12\\) x"]);
        check("1.5 x", &["1.5 x"]);
        check("# x", &["\\# x"]);
        check("=== x", &["\\=== x"]);
        check("", &[""]);
        let long = format!("{} - `b c` d", "a".repeat(91));
        check(&long, &[&"a".repeat(91), "\\- `b c` d"]);
    }

    #[test]
    fn code_holds_anything() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(code("a\n\u{0}b"), "`a b`");
        assert_eq!(code(""), "(empty)");
        assert_eq!(code(&"x".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn code_is_never_broken() {
        assert_eq!(
            words("a `b c` `` d `e `` \\` f g"),
            ["a", "`b c`", "`` d `e ``", "\\`", "f", "g"]
        );
    }
}
