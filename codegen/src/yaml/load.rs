//! Builds the tree from the parser's events.
//!
//! The events are used rather than a ready-made tree, because a tree cannot show both places of a
//! duplicate key, has no bound on depth or on what aliases multiply, and recurses.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, StrInput};

use super::{Entry, Name, Node, Value, scalar};
use crate::diagnostic::{Diagnostic, code};
use crate::source::{MAXIMUM_BYTES, Span};
use crate::words::quote;

/// The deepest nesting that is read. Two levels of a spec become at most three of the plan's
/// JSON, whose reader stops at 128.
const MAXIMUM_DEPTH: usize = 64;

/// The most values that a spec may hold, aliases expanded.
const MAXIMUM_NODES: usize = 500_000;

/// Reads one document. The tree is `None` only when there is nothing to read, which `found` then
/// explains.
pub(crate) fn load(text: &str, found: &mut Vec<Diagnostic>) -> Option<Node> {
    if text.len() > MAXIMUM_BYTES {
        found.push(
            Diagnostic::error(code::TOO_LARGE, "the spec is too large")
                .label(Span::new(0, 1).within(text), "")
                .note(format!(
                    "it has {} bytes, at most {MAXIMUM_BYTES} are read",
                    text.len()
                )),
        );
        return None;
    }
    let mut loader = Loader {
        text,
        offsets: Offsets::new(text),
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
        found,
    };
    // A syntax error ends the document: half a tree would only produce follow-up errors.
    loader.run().then_some(loader.root).flatten()
}

/// Byte offsets of character offsets.
struct Offsets {
    /// Absent when every character is one byte long.
    table: Option<Vec<usize>>,
    length: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        Self {
            table: (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect()),
            length: text.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.table {
            None => character.min(self.length),
            Some(table) => table.get(character).copied().unwrap_or(self.length),
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let start = self.byte(span.start.index());
        Span::new(start, self.byte(span.end.index()).max(start))
    }
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    start: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        seen: HashMap<String, Span>,
        /// Whether some entries come from a merge key.
        merged: bool,
        key: Option<Pending>,
    },
}

/// A key whose value has not come yet.
struct Pending {
    name: Name,
    /// Whether it is the merge key.
    merge: bool,
}

struct Loader<'t, 'f> {
    text: &'t str,
    offsets: Offsets,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    found: &'f mut Vec<Diagnostic>,
}

impl<'t> Loader<'t, '_> {
    /// Reads all events; false after an error that leaves no tree.
    fn run(&mut self) -> bool {
        let mut parser: Parser<'t, StrInput<'t>> = Parser::new_from_str(self.text);
        let mut documents = 0;
        loop {
            let (event, span) = match parser.next_event() {
                None => break,
                Some(Ok((event, span))) => (event, self.offsets.span(span)),
                Some(Err(error)) => {
                    self.syntax_error(&error);
                    return false;
                }
            };
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    self.fail(
                        code::MULTIPLE_DOCUMENTS,
                        "a spec is one YAML document",
                        span,
                        "a second one begins here",
                        "write one file per connector",
                    );
                    return false;
                }
            }
            if !self.event(event, span) {
                return false;
            }
        }
        let empty = self
            .root
            .as_ref()
            .is_none_or(|root| matches!(root.value, Value::Null));
        if empty {
            self.found.push(
                Diagnostic::error(code::EMPTY, "the spec is empty")
                    .label(Span::new(0, self.text.len().min(1)).within(self.text), "")
                    .help("a spec has at least `client` with a `base_url`, and `resources`"),
            );
        }
        !empty
    }

    fn event(&mut self, event: Event<'t>, span: Span) -> bool {
        self.nodes += 1;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_key = self.expects_key();
                let value = match scalar::resolve(&text, style, tag.as_deref()) {
                    // A key is its text, whatever that looks like.
                    Ok(_) if is_key => Value::String(text.into_owned()),
                    Ok(value) => value,
                    Err(reason) => {
                        self.found.push(
                            Diagnostic::error(code::TAG, "a YAML tag that does not fit")
                                .label(span, reason)
                                .help("remove the tag"),
                        );
                        Value::String(text.into_owned())
                    }
                };
                let merge = is_key
                    && style == saphyr_parser::ScalarStyle::Plain
                    && matches!(&value, Value::String(text) if text == "<<");
                let node = Node {
                    span: self.trimmed(span),
                    blame: self.trimmed(span),
                    value,
                };
                self.finish(node, anchor, merge)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(anchor, tag.is_some(), span, Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Mapping {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    merged: false,
                    key: None,
                };
                self.open(anchor, tag.is_some(), span, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => true,
        }
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Open {
                kind: Kind::Mapping { key: None, .. },
                ..
            })
        )
    }

    fn open(&mut self, anchor: usize, tagged: bool, span: Span, kind: Kind) -> bool {
        if tagged {
            self.found.push(
                Diagnostic::error(code::TAG, "a YAML tag that does not fit")
                    .label(span, "only scalars may have one")
                    .help("remove the tag"),
            );
        }
        if self.expects_key() {
            self.fail(
                code::KEY,
                "a key is a text",
                Span::new(span.start, span.end.max(span.start + 1)),
                "this key is a list or a mapping",
                "quote a text that begins with `{`, `[`, `- ` or `? `",
            );
            return false;
        }
        if self.stack.len() >= MAXIMUM_DEPTH {
            self.fail(
                code::TOO_DEEP,
                "the spec is nested too deeply",
                Span::new(span.start, span.end.max(span.start + 1)),
                &format!("this would be level {}", MAXIMUM_DEPTH + 1),
                "declare what lies this deep as `type: json`",
            );
            return false;
        }
        self.stack.push(Open {
            anchor,
            start: span.start,
            kind,
        });
        true
    }

    fn close(&mut self, span: Span) -> bool {
        let Some(open) = self.stack.pop() else {
            return true;
        };
        let (value, blame, end) = match open.kind {
            Kind::Sequence(items) => {
                let blame = items.first().map(|item| item.blame);
                let end = items.last().map(|item| item.span.end);
                (Value::Sequence(items), blame, end)
            }
            Kind::Mapping { entries, .. } => {
                let blame = entries.first().map(|entry| entry.key.span);
                let end = entries
                    .iter()
                    .map(|entry| entry.node.span.end.max(entry.key.span.end))
                    .max();
                (Value::Mapping(entries), blame, end)
            }
        };
        // The parser ends a block collection where the next token begins, which is lines later.
        let flow = self.text[..span.end].ends_with([']', '}']) && span.end > span.start;
        let end = if flow {
            span.end
        } else {
            end.unwrap_or(span.end)
        };
        let whole = Span::new(open.start, end.max(open.start));
        let node = Node {
            span: whole,
            blame: blame.unwrap_or(whole),
            value,
        };
        self.finish(node, open.anchor, false)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> bool {
        let Some(node) = self.anchors.get(&anchor) else {
            self.fail(
                code::SYNTAX,
                "an alias to a value that contains it",
                span,
                "the anchor is not complete here",
                "a value cannot contain itself",
            );
            return false;
        };
        let mut size = 0;
        let depth = measure(node, &mut size);
        self.nodes += size;
        if self.nodes > MAXIMUM_NODES || self.stack.len() + depth > MAXIMUM_DEPTH {
            self.fail(
                code::TOO_LARGE,
                "the aliases of the spec expand to too much",
                span,
                "this one is too many",
                "write less by aliases; `resource_defaults` holds what resources share",
            );
            return false;
        }
        let mut node = node.clone();
        if self.expects_key() {
            node.span = span;
        }
        node.blame = span;
        self.finish(node, 0, false)
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, mut node: Node, anchor: usize, merge: bool) -> bool {
        if self.nodes > MAXIMUM_NODES {
            self.fail(
                code::TOO_LARGE,
                "the spec has too many values",
                node.span,
                "reading stops here",
                "split it into several connectors",
            );
            return false;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return true;
        };
        match &mut open.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping {
                entries,
                seen,
                merged,
                key,
            } => match key.take() {
                None => {
                    let text = match node.value {
                        Value::String(text) => text,
                        // Only an alias leads here.
                        _ => node.span.of(self.text).to_owned(),
                    };
                    let name = Name {
                        text,
                        span: node.span,
                    };
                    *key = Some(Pending { name, merge });
                }
                Some(Pending { merge: true, name }) => {
                    self.merge(name.span, node);
                }
                Some(Pending { name, .. }) => {
                    node.blame = name.span;
                    // An empty value has no place of its own.
                    if node.span.start == node.span.end {
                        node.span = name.span;
                    }
                    if let Some(first) = seen.get(&name.text) {
                        self.found.push(
                            Diagnostic::error(
                                code::DUPLICATE_KEY,
                                format!("the key {} is given twice", quote(&name.text)),
                            )
                            .label(name.span, "the second time")
                            .label(*first, "the first time")
                            .help("remove one of them"),
                        );
                    } else {
                        seen.insert(name.text.clone(), name.span);
                        // What is written wins over what was merged, wherever the merge key stands.
                        if *merged {
                            entries.retain(|entry| entry.key.text != name.text);
                        }
                        entries.push(Entry { key: name, node });
                    }
                }
            },
        }
        true
    }

    /// Adds the entries of a merged mapping, or of a list of them, that are not there yet.
    fn merge(&mut self, key: Span, node: Node) {
        let mappings = match node.value {
            Value::Sequence(items) => items,
            _ => vec![node],
        };
        let Some(Open {
            kind: Kind::Mapping {
                entries, merged, ..
            },
            ..
        }) = self.stack.last_mut()
        else {
            return;
        };
        *merged = true;
        let mut known: HashSet<String> =
            entries.iter().map(|entry| entry.key.text.clone()).collect();
        for mapping in mappings {
            match mapping.value {
                Value::Mapping(new) => {
                    entries.extend(
                        new.into_iter()
                            .filter(|entry| known.insert(entry.key.text.clone())),
                    );
                }
                _ => self.found.push(
                    Diagnostic::error(code::MERGE_KEY, "the merge key `<<` takes mappings")
                        .label(mapping.span, format!("this is {}", mapping.describe()))
                        .label(key, "")
                        .help("write `<<: *anchor` or `<<: [*one, *other]`"),
                ),
            }
        }
    }

    /// A span without the blanks and line breaks behind it.
    fn trimmed(&self, span: Span) -> Span {
        let text = span.of(self.text).trim_end();
        Span::new(span.start, span.start + text.len())
    }

    fn fail(&mut self, code: &'static str, message: &str, span: Span, label: &str, help: &str) {
        self.found.push(
            Diagnostic::error(code, message)
                .label(span.within(self.text), label)
                .help(help),
        );
    }

    fn syntax_error(&mut self, error: &saphyr_parser::ScanError) {
        let start = self.offsets.byte(error.marker().index());
        // At the end of the text there is no character to underline, only a place.
        let length = self.text[start..]
            .chars()
            .next()
            .filter(|next| *next != '\n')
            .map_or(0, char::len_utf8);
        let span = Span::new(start, start + length);
        let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let tab = self.text[line..]
            .chars()
            .take_while(|c| c.is_whitespace())
            .any(|c| c == '\t');
        self.found.push(
            Diagnostic::error(code::SYNTAX, "the spec is not YAML")
                .label(span, error.info())
                .help_if(tab.then(|| "indent with spaces: YAML forbids tabs there".to_owned())),
        );
    }
}

/// Counts a tree's values and returns its depth.
fn measure(node: &Node, size: &mut usize) -> usize {
    *size += 1;
    match &node.value {
        Value::Sequence(items) => {
            1 + items
                .iter()
                .map(|item| measure(item, size))
                .max()
                .unwrap_or(0)
        }
        Value::Mapping(entries) => {
            1 + entries
                .iter()
                .map(|entry| measure(&entry.node, size))
                .max()
                .unwrap_or(0)
        }
        _ => 0,
    }
}
