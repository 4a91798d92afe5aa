//! What is wrong with a spec, where, and what to write instead.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::json;

use crate::source::{Lines, Source, Span};
use crate::words::{list, nearest, quote};

pub(crate) mod code;

/// At most this many diagnostics are rendered; a file that is no spec at all has one per line.
const MAXIMUM_RENDERED: usize = 50;

/// Of a longer line, in bytes, only the position is told.
const MAXIMUM_LINE: usize = 10_000;

/// Something that is wrong with a spec, or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// What kind of problem it is, such as `unknown-key`; stable, for tools.
    pub code: &'static str,
    /// Whether it stops the build.
    pub severity: Severity,
    /// What is wrong: lower case, without a full stop.
    pub message: String,
    /// Where; the first is the place itself, others explain it. Empty when no place in the text
    /// is to blame.
    pub labels: Vec<Label>,
    /// Background, such as the words that are accepted.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

/// Whether a diagnostic stops the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

impl Severity {
    /// The word that messages begin with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in the text with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place, in bytes of [`Source::body`].
    pub span: Span,
    /// The remark; may be empty.
    pub text: String,
}

impl Diagnostic {
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message.into())
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message.into())
    }

    fn new(code: &'static str, severity: Severity, message: String) -> Self {
        Self {
            code,
            severity,
            message,
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    pub(crate) fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    pub(crate) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    pub(crate) fn help_if(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }

    /// Says which names there are, and which of them is like the one that was written.
    pub(crate) fn known(self, what: &str, written: &str, names: &[&str]) -> Self {
        let shown = &names[..names.len().min(20)];
        let near = nearest(written, names.iter().copied()).filter(|near| *near != written);
        self.note(format!("the {what} are {}", list(shown, "and")))
            .help_if(near.map(|near| format!("did you mean {}?", quote(near))))
    }

    /// The place itself.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// Writes it as rustc writes its own: the message, the line underlined, notes and help.
    #[must_use]
    pub fn render(&self, source: &Source, coloured: bool) -> String {
        self.render_text(&source.path, source.body(), coloured)
    }

    fn render_text(&self, path: &str, text: &str, coloured: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&self.message).id(self.code);
        let mut group = Group::with_title(title);
        if let Some((first, last)) = self.extent(text) {
            // Only the lines concerned are handed over: the renderer splits all that it is given.
            let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
            let rest = &text[last..text.floor_char_boundary(last + MAXIMUM_LINE)];
            let end = last + rest.find('\n').unwrap_or(rest.len());
            if first - start > MAXIMUM_LINE {
                let (line, column) = Lines::new(text).position(first);
                let origin = Origin::path(path).line(line).char_column(column);
                return self.render_group(group.element(origin), coloured);
            }
            let mut snippet = Snippet::source(&text[start..end])
                .path(path)
                .line_start(text[..start].matches('\n').count() + 1);
            for (position, label) in self.labels.iter().enumerate() {
                let kind = if position == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                let span = label.span.within(text);
                let annotation = kind.span(span.start - start..span.end - start);
                snippet = snippet.annotation(if label.text.is_empty() {
                    annotation
                } else {
                    annotation.label(&label.text)
                });
            }
            group = group.element(snippet);
        } else {
            group = group.element(Origin::path(path));
        }
        self.render_group(group, coloured)
    }

    /// Renders a group that has its place, with the notes and the help.
    fn render_group<'a>(&'a self, mut group: Group<'a>, coloured: bool) -> String {
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        let renderer = if coloured {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }

    /// The first and the last byte that a label touches.
    fn extent(&self, text: &str) -> Option<(usize, usize)> {
        let spans = || self.labels.iter().map(|label| label.span.within(text));
        let first = spans().map(|span| span.start).min()?;
        let last = spans().map(|span| span.end).max()?;
        Some((first, last))
    }

    /// The diagnostic for tools: code, severity, message, notes, help and the places with lines
    /// and columns from 1.
    #[must_use]
    pub fn to_json(&self, source: &Source) -> serde_json::Value {
        self.to_json_with(source, &Lines::new(source.body()))
    }

    fn to_json_with(&self, source: &Source, lines: &Lines<'_>) -> serde_json::Value {
        let text = source.body();
        let place = |label: &Label| {
            let span = label.span.within(text);
            let (line, column) = lines.position(span.start);
            let (end_line, end_column) = lines.position(span.end);
            json!({
                "path": source.path,
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
                "text": label.text,
            })
        };
        json!({
            "code": self.code,
            "severity": self.severity.as_str(),
            "message": self.message,
            "labels": self.labels.iter().map(place).collect::<Vec<_>>(),
            "notes": self.notes,
            "help": self.help,
        })
    }
}

/// Everything that is wrong with a spec, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// Credentials that the spec should not hold are blotted out in its text.
    source: Source,
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(source: &Source, mut items: Vec<Diagnostic>) -> Self {
        sort(&mut items);
        Self {
            source: Source::new(source.path.clone(), source.body()),
            items,
        }
    }

    /// Replaces what these spans cover, so that it reaches no log.
    pub(crate) fn redact(mut self, spans: &[Span]) -> Self {
        for span in spans {
            let span = span.within(&self.source.text);
            let stars: String = span
                .of(&self.source.text)
                .bytes()
                .map(|byte| if byte == b'\n' { '\n' } else { '*' })
                .collect();
            self.source.text.replace_range(span.start..span.end, &stars);
        }
        self
    }

    /// The diagnostics: at least one error, and the warnings beside it.
    #[must_use]
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// The spec that they speak of, credentials blotted out.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How many of them are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.items
            .iter()
            .filter(|item| item.severity == Severity::Error)
            .count()
    }

    /// Writes all of them as rustc would, and how many errors there are.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        let mut text = String::new();
        for item in self.items.iter().take(MAXIMUM_RENDERED) {
            text.push_str(&item.render(&self.source, coloured));
            text.push_str("\n\n");
        }
        let errors = self.errors();
        let plural = if errors == 1 { "" } else { "s" };
        // Writing to a string cannot fail.
        let _ = write!(text, "`{}` has {errors} error{plural}", self.source.path);
        if self.items.len() > MAXIMUM_RENDERED {
            let _ = write!(text, "; the first {MAXIMUM_RENDERED} messages are shown");
        }
        text
    }

    /// All of them for tools.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let lines = Lines::new(&self.source.text);
        self.items
            .iter()
            .map(|item| item.to_json_with(&self.source, &lines))
            .collect()
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Orders diagnostics by position; those without one come first.
pub(crate) fn sort(items: &mut [Diagnostic]) {
    items.sort_by_key(|item| item.span().map(|span| span.start));
}
