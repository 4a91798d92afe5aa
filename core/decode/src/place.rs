//! Where in a document the decoder is: a chain of steps on the stack.

use std::fmt::Write as _;

use crate::tokens::Tokens;

/// A value's place: the last step and, through `parent`, all steps before it.
///
/// It lives on the stack and is read only when something has to be reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: PlaceStep<'a>,
}

#[derive(Clone, Copy, Debug)]
enum PlaceStep<'a> {
    /// The document.
    Root,
    /// A member, by where the opening quote of its key is in the page.
    Key(usize),
    /// A member that the page does not have, by its name.
    Name(&'a str),
    /// An element.
    Index(usize),
    /// No step: what follows is inside of the record of this number in the page, from 1.
    Record(u64),
}

impl<'a> Place<'a> {
    pub(crate) const ROOT: Place<'static> = Place {
        parent: None,
        step: PlaceStep::Root,
    };

    /// The member whose key's opening quote is the byte `at` of the page.
    #[inline]
    pub(crate) fn key(&'a self, at: usize) -> Place<'a> {
        self.then(PlaceStep::Key(at))
    }

    pub(crate) fn name(&'a self, name: &'a str) -> Place<'a> {
        self.then(PlaceStep::Name(name))
    }

    #[inline]
    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        self.then(PlaceStep::Index(index))
    }

    #[inline]
    pub(crate) fn record(&'a self, number: u64) -> Place<'a> {
        self.then(PlaceStep::Record(number))
    }

    #[inline]
    fn then(&'a self, step: PlaceStep<'a>) -> Place<'a> {
        Place {
            parent: Some(self),
            step,
        }
    }

    /// The path from the document's root: `$.files[17].owner`.
    pub(crate) fn json_path(&self, page: &[u8]) -> String {
        let mut path = String::from("$");
        self.write(page, &mut path, Scope::Document);
        path
    }

    /// The path from the record, `owner.tags[3]`, with keys as the page spells them: it can stand
    /// between the quotes of a JSON string.
    pub(crate) fn write_field_path(&self, page: &[u8], path: &mut String) {
        let start = path.len();
        self.write(page, path, Scope::Record);
        strip_dot(path, start);
    }

    /// The path from the record with every index as `[*]`: the same for all records.
    pub(crate) fn general_field_path(&self, page: &[u8]) -> String {
        let mut path = String::new();
        self.write(page, &mut path, Scope::Field);
        strip_dot(&mut path, 0);
        path
    }

    /// The number of the record that it is in, from 1; 0 outside of all records.
    pub(crate) fn record_number(&self) -> u64 {
        match (self.step, self.parent) {
            (PlaceStep::Record(number), _) => number,
            (_, Some(parent)) => parent.record_number(),
            (_, None) => 0,
        }
    }

    fn write(&self, page: &[u8], path: &mut String, scope: Scope) {
        if matches!(self.step, PlaceStep::Record(_)) && !matches!(scope, Scope::Document) {
            return;
        }
        if let Some(parent) = self.parent {
            parent.write(page, path, scope);
        }
        match self.step {
            PlaceStep::Root | PlaceStep::Record(_) => {}
            PlaceStep::Key(at) => {
                path.push('.');
                let mut tokens = Tokens::new(page, 0);
                tokens.at = at;
                // It was read before, so it is a string.
                let key = tokens.raw_string().map_or(&[][..], |(raw, _)| raw);
                path.push_str(&String::from_utf8_lossy(key));
            }
            PlaceStep::Name(name) => {
                path.push('.');
                path.push_str(name);
            }
            PlaceStep::Index(_) if matches!(scope, Scope::Field) => path.push_str("[*]"),
            PlaceStep::Index(index) => {
                // Writing to a string cannot fail.
                let _ = write!(path, "[{index}]");
            }
        }
    }
}

/// What part of a path to write.
#[derive(Clone, Copy)]
enum Scope {
    Document,
    Record,
    Field,
}

fn strip_dot(path: &mut String, start: usize) {
    if path[start..].starts_with('.') {
        path.remove(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_the_way_from_the_root_and_from_the_record() {
        let page = br#"{"files":[{"owner":{"ta\"gs":0"#;
        let files = Place::ROOT.key(1);
        let element = files.index(17);
        let record = element.record(18);
        let owner = record.key(11);
        let tags = owner.key(20);
        let tag = tags.index(3);
        assert_eq!(tag.json_path(page), r#"$.files[17].owner.ta\"gs[3]"#);
        assert_eq!(tag.general_field_path(page), r#"owner.ta\"gs[*]"#);
        let mut path = String::from("x");
        tag.write_field_path(page, &mut path);
        assert_eq!(path, r#"xowner.ta\"gs[3]"#);
        assert_eq!(tag.record_number(), 18);
        assert_eq!(files.record_number(), 0);
        assert_eq!(Place::ROOT.name("a").json_path(page), "$.a");
    }
}
