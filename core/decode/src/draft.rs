//! A record that is being changed: only what is changed is taken apart, the rest keeps its text.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

use connector_plan::Step;
use serde_json::Value;

use crate::error::Error;
use crate::tokens::{Tokens, excerpt};

/// The member that holds the value of a record that is no object.
const BARE_FIELD: &str = "value";

/// A record that is being changed.
///
/// What is not touched is written as the page spells it: numbers keep their digits, texts their
/// escapes.
#[derive(Clone, Debug)]
pub struct Draft<'p> {
    record: Node<'p>,
    /// The record taken apart, while it is only looked at: many expressions look at one record.
    parts: OnceCell<Content<'p>>,
}

/// A value of a record.
#[derive(Clone, Debug)]
pub struct Node<'p>(Content<'p>);

#[derive(Clone, Debug)]
enum Content<'p> {
    /// As JSON.
    Text(Cow<'p, [u8]>),
    Object(Vec<Member<'p>>),
    Array(Vec<Node<'p>>),
}

#[derive(Clone, Debug)]
struct Member<'p> {
    name: String,
    /// The name as the page spells it, with its quotes.
    spelled: Option<&'p [u8]>,
    node: Node<'p>,
}

impl<'p> Draft<'p> {
    /// The record that is this JSON text. One that is no object has its value as the member
    /// `value`; null has nothing.
    pub(crate) fn new(text: &'p [u8]) -> Self {
        let whole = Node(Content::Text(text.into()));
        let record = match text.first() {
            Some(b'{') => whole,
            Some(b'n') => Node(Content::Object(Vec::new())),
            _ => Node(Content::Object(vec![Member::new(BARE_FIELD, whole)])),
        };
        Self {
            record,
            parts: OnceCell::new(),
        }
    }

    fn find(&self, path: &[Step]) -> Option<Node<'p>> {
        if path.is_empty() || !matches!(self.record.0, Content::Text(_)) {
            return self.record.find(path);
        }
        let parts = self.parts.get_or_init(|| {
            let mut record = self.record.clone();
            record.unfold();
            record.0
        });
        parts.find(path)
    }

    /// The record, to be changed.
    fn change(&mut self) -> &mut Node<'p> {
        if let Some(parts) = self.parts.take() {
            self.record.0 = parts;
        }
        &mut self.record
    }

    /// The value at a path, as expressions see it: an integer of more than 64 bits is a text.
    ///
    /// # Errors
    /// A sentence, when JSON values have nothing like it.
    pub fn value(&self, path: &[Step]) -> Result<Option<Value>, String> {
        match self.find(path) {
            Some(node) => node.value().map(Some),
            None => Ok(None),
        }
    }

    /// The value at a path, as it stands there.
    #[must_use]
    pub fn node(&self, path: &[Step]) -> Option<Node<'p>> {
        self.find(path)
    }

    /// Puts a value at a path, in place of what is there.
    ///
    /// # Errors
    /// A sentence, when something on the way is neither an object nor null.
    pub fn set(&mut self, path: &[String], node: Node<'p>) -> Result<(), String> {
        let (name, way) = split(path);
        let object = self.change().reach(way)?;
        let mut members = object.iter_mut().filter(|member| member.name == name);
        match members.next_back() {
            Some(member) => member.node = node,
            None => object.push(Member::new(name, node)),
        }
        Ok(())
    }

    /// Takes the value at a path out of the record.
    pub fn take(&mut self, path: &[String]) -> Option<Node<'p>> {
        let (name, way) = split(path);
        let object = self.change().object_at(way)?;
        let mut taken = None;
        object.retain_mut(|member| {
            let gone = member.name == name;
            if gone {
                // Of duplicate names the last one counts.
                taken = Some(std::mem::replace(&mut member.node, Node::null()));
            }
            !gone
        });
        taken
    }

    /// Removes what a path leads to, which may have wildcards.
    pub fn remove(&mut self, path: &[Step]) {
        self.change().remove(path);
    }

    /// Lifts the members of the object at a path, or of all objects in the record, into the object
    /// around it: `levels` of them, or all.
    ///
    /// # Errors
    /// A sentence, when two members come to have one name.
    pub fn flatten(
        &mut self,
        path: Option<&[String]>,
        prefix: &str,
        separator: &str,
        levels: Option<u32>,
    ) -> Result<(), String> {
        let levels = levels.unwrap_or(u32::MAX);
        let (name, way) = path.map(split).unzip();
        let Some(object) = self.change().object_at(way.unwrap_or_default()) else {
            return Ok(());
        };
        let mut lifted: Vec<Member<'p>> = Vec::new();
        for mut member in std::mem::take(object) {
            match name {
                Some(name) if member.name != name => lifted.push(member),
                Some(_) if member.node.is_null() => {}
                Some(_) if member.node.open().is_some() => {
                    lift(member.node, prefix, separator, levels, &mut lifted);
                }
                Some(_) => lifted.push(member),
                None if member.node.open().is_some() => {
                    lift(member.node, &member.name, separator, levels, &mut lifted);
                }
                None => lifted.push(member),
            }
        }
        let mut names = HashSet::new();
        let twice = lifted.iter().find(|member| !names.insert(&member.name));
        if let Some(twice) = twice {
            return Err(format!("two members are called `{}`", twice.name));
        }
        *object = lifted;
        Ok(())
    }

    /// Appends the record as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.record.write(out);
    }
}

/// Appends the members of an object under names that begin with a prefix.
fn lift<'p>(
    mut object: Node<'p>,
    prefix: &str,
    separator: &str,
    levels: u32,
    out: &mut Vec<Member<'p>>,
) {
    for mut member in object.open().map(std::mem::take).unwrap_or_default() {
        let name = match prefix {
            "" => member.name,
            prefix => format!("{prefix}{separator}{}", member.name),
        };
        if levels > 1 && member.node.open().is_some() {
            lift(member.node, &name, separator, levels - 1, out);
        } else {
            out.push(Member::new(&name, member.node));
        }
    }
}

impl<'p> Node<'p> {
    /// A value that is not from the page.
    #[must_use]
    pub fn new(value: &Value) -> Self {
        Self(Content::Text(value.to_string().into_bytes().into()))
    }

    /// Nothing.
    #[must_use]
    pub fn null() -> Self {
        Self(Content::Text(b"null".into()))
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.begins_with(b'n')
    }

    /// Whether it has not been taken apart, and its text begins like this.
    fn begins_with(&self, byte: u8) -> bool {
        matches!(&self.0, Content::Text(text) if text.first() == Some(&byte))
    }

    /// The elements, when it is a list; otherwise itself.
    ///
    /// # Errors
    /// Itself, when it is no list.
    pub fn into_elements(mut self) -> Result<Vec<Self>, Self> {
        if self.begins_with(b'[') {
            self.unfold();
        }
        match self.0 {
            Content::Array(elements) => Ok(elements),
            other => Err(Self(other)),
        }
    }

    /// As expressions see it.
    fn value(&self) -> Result<Value, String> {
        let mut text = Vec::new();
        self.write(&mut text);
        let integer = text
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'-');
        match serde_json::from_slice(&text) {
            // An integer of more than 64 bits would become a double: its digits are kept instead.
            Ok(Value::Number(number)) if integer && number.is_f64() => {
                Ok(Value::String(String::from_utf8_lossy(&text).into_owned()))
            }
            Ok(value) => Ok(value),
            Err(_) => Err(format!("`{}` cannot be represented", excerpt(&text))),
        }
    }

    /// Takes an object or a list apart, one level.
    fn unfold(&mut self) {
        let Content::Text(text) = &self.0 else { return };
        let unfolded = match text.first() {
            Some(b'{') => members(text).map(Content::Object),
            Some(b'[') => elements(text).map(Content::Array),
            _ => return,
        };
        // It was read before, so it is a value.
        if let Ok(content) = unfolded {
            self.0 = content;
        }
    }

    /// The members, when it is an object.
    fn open(&mut self) -> Option<&mut Vec<Member<'p>>> {
        if self.begins_with(b'{') {
            self.unfold();
        }
        match &mut self.0 {
            Content::Object(members) => Some(members),
            Content::Text(_) | Content::Array(_) => None,
        }
    }

    fn find(&self, path: &[Step]) -> Option<Self> {
        match &self.0 {
            _ if path.is_empty() => Some(self.clone()),
            Content::Text(_) => {
                let mut unfolded = self.clone();
                unfolded.unfold();
                unfolded.0.find(path)
            }
            content => content.find(path),
        }
    }

    /// The members of the object at a path, which is made where nothing is.
    fn reach(&mut self, path: &[String]) -> Result<&mut Vec<Member<'p>>, String> {
        if self.is_null() {
            self.0 = Content::Object(Vec::new());
        }
        if self.open().is_none() {
            let mut text = Vec::new();
            self.write(&mut text);
            return Err(format!("`{}` is no object", excerpt(&text)));
        }
        let Content::Object(members) = &mut self.0 else {
            return Err("there is no object".to_owned());
        };
        let Some((name, rest)) = path.split_first() else {
            return Ok(members);
        };
        let at = match members.iter().rposition(|member| member.name == *name) {
            Some(at) => at,
            None => {
                members.push(Member::new(name, Self::null()));
                members.len() - 1
            }
        };
        members[at].node.reach(rest)
    }

    /// The members of the object at a path, when there is one.
    fn object_at(&mut self, path: &[String]) -> Option<&mut Vec<Member<'p>>> {
        let members = self.open()?;
        let Some((name, rest)) = path.split_first() else {
            return Some(members);
        };
        let member = members.iter_mut().rfind(|member| member.name == *name)?;
        member.node.object_at(rest)
    }

    fn remove(&mut self, path: &[Step]) {
        let Some((step, rest)) = path.split_first() else {
            return;
        };
        self.unfold();
        match (&mut self.0, step) {
            (Content::Object(members), Step::Key(_) | Step::Wildcard) => {
                let is_next = |member: &Member<'_>| match step {
                    Step::Key(key) => member.name == *key,
                    _ => true,
                };
                if rest.is_empty() {
                    members.retain(|member| !is_next(member));
                } else {
                    let next = members.iter_mut().filter(|member| is_next(member));
                    next.for_each(|member| member.node.remove(rest));
                }
            }
            (Content::Array(elements), Step::Wildcard) if rest.is_empty() => elements.clear(),
            (Content::Array(elements), Step::Wildcard) => {
                elements.iter_mut().for_each(|element| element.remove(rest));
            }
            (Content::Array(elements), Step::Index(index)) => {
                if let Some(at) = position(*index, elements.len()) {
                    if rest.is_empty() {
                        elements.remove(at);
                    } else {
                        elements[at].remove(rest);
                    }
                }
            }
            _ => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Content::Text(text) => out.extend_from_slice(text),
            Content::Object(members) => {
                out.push(b'{');
                for (number, member) in members.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    match member.spelled {
                        Some(spelled) => out.extend_from_slice(spelled),
                        None => out.extend(Value::from(member.name.as_str()).to_string().bytes()),
                    }
                    out.push(b':');
                    member.node.write(out);
                }
                out.push(b'}');
            }
            Content::Array(elements) => {
                out.push(b'[');
                for (number, element) in elements.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
        }
    }
}

impl<'p> Member<'p> {
    fn new(name: &str, node: Node<'p>) -> Self {
        Self {
            name: name.to_owned(),
            spelled: None,
            node,
        }
    }
}

impl<'p> Content<'p> {
    /// The value below an object or a list that has been taken apart.
    fn find(&self, path: &[Step]) -> Option<Node<'p>> {
        let (step, rest) = path.split_first()?;
        match (self, step) {
            (Self::Object(members), Step::Key(key)) => {
                let member = members.iter().rfind(|member| member.name == *key)?;
                member.node.find(rest)
            }
            (Self::Array(elements), Step::Index(index)) => {
                elements.get(position(*index, elements.len())?)?.find(rest)
            }
            _ => None,
        }
    }
}

/// The last name of a path, and the way to its object.
fn split(path: &[String]) -> (&str, &[String]) {
    match path.split_last() {
        Some((name, way)) => (name, way),
        None => ("", &[]),
    }
}

/// The index of an element; negative ones count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let distance = usize::try_from(index.unsigned_abs()).ok()?;
    let at = if index < 0 {
        length.checked_sub(distance)?
    } else {
        distance
    };
    (at < length).then_some(at)
}

fn part<'p>(text: &Cow<'p, [u8]>, range: Range<usize>) -> Cow<'p, [u8]> {
    match text {
        Cow::Borrowed(text) => text.get(range).unwrap_or_default().into(),
        Cow::Owned(text) => text.get(range).unwrap_or_default().to_vec().into(),
    }
}

fn members<'p>(text: &Cow<'p, [u8]>) -> Result<Vec<Member<'p>>, Error> {
    let mut tokens = Tokens::new(text, usize::MAX);
    let mut members = Vec::new();
    tokens.open()?;
    if tokens.peek() == b'}' {
        return Ok(members);
    }
    loop {
        let start = tokens.at;
        let name = tokens.text()?;
        let spelled = match text {
            Cow::Borrowed(text) => text.get(start..tokens.at),
            Cow::Owned(_) => None,
        };
        tokens.colon()?;
        let start = tokens.at;
        tokens.skip_value()?;
        members.push(Member {
            name,
            spelled,
            node: Node(Content::Text(part(text, start..tokens.at))),
        });
        if !tokens.separator(b'}')? {
            return Ok(members);
        }
    }
}

fn elements<'p>(text: &Cow<'p, [u8]>) -> Result<Vec<Node<'p>>, Error> {
    let mut tokens = Tokens::new(text, usize::MAX);
    let mut elements = Vec::new();
    tokens.open()?;
    if tokens.peek() == b']' {
        return Ok(elements);
    }
    loop {
        let start = tokens.at;
        tokens.skip_value()?;
        elements.push(Node(Content::Text(part(text, start..tokens.at))));
        if !tokens.separator(b']')? {
            return Ok(elements);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    fn steps(text: &str) -> Vec<Step> {
        let steps = text.split('.').map(|step| match (step, step.parse()) {
            ("*", _) => Step::Wildcard,
            (_, Ok(index)) => Step::Index(index),
            (key, Err(_)) => Step::Key(key.to_owned()),
        });
        steps.collect()
    }

    #[track_caller]
    fn check(record: &str, change: impl FnOnce(&mut Draft<'_>), expect: &str) {
        let mut draft = Draft::new(record.as_bytes());
        change(&mut draft);
        let mut text = Vec::new();
        draft.write(&mut text);
        assert_eq!(String::from_utf8(text).unwrap(), expect, "{record}");
    }

    #[test]
    fn only_what_is_changed_is_taken_apart() {
        let record = r#"{"a" : 1.00, "o": {"p" : [1e2 , {"q":0}], "r": "\u00e9"}}"#;
        check(record, |_| {}, record);
        check(
            record,
            |draft| {
                draft
                    .set(&path("o.r"), Node::new(&Value::from("x")))
                    .unwrap();
            },
            r#"{"a":1.00,"o":{"p":[1e2 , {"q":0}],"r":"x"}}"#,
        );
        check(
            record,
            |draft| draft.remove(&steps("o.p.*.q")),
            r#"{"a":1.00,"o":{"p":[1e2,{}],"r":"\u00e9"}}"#,
        );
        check(
            record,
            |draft| draft.remove(&steps("o.p.-1")),
            r#"{"a":1.00,"o":{"p":[1e2],"r":"\u00e9"}}"#,
        );
        check(
            record,
            |draft| {
                let node = draft.take(&path("o.p")).unwrap();
                draft.set(&path("new.list"), node).unwrap();
            },
            r#"{"a":1.00,"o":{"r":"\u00e9"},"new":{"list":[1e2 , {"q":0}]}}"#,
        );
        check("[1]", |_| {}, r#"{"value":[1]}"#);
        check("null", |_| {}, "{}");
    }

    #[test]
    fn a_record_is_taken_apart_once_and_written_as_it_is_when_nothing_changes() {
        let record = r#"{"a": 1, "o" : {"p": 2}, "o": {"p": 3}}"#;
        let mut draft = Draft::new(record.as_bytes());
        assert!(draft.parts.get().is_none());
        assert_eq!(draft.value(&steps("a")), Ok(Some(Value::from(1))));
        let address = |draft: &Draft<'_>| match draft.parts.get() {
            Some(Content::Object(members)) => members.as_ptr().addr(),
            other => panic!("{other:?}"),
        };
        let parts = address(&draft);
        assert_eq!(draft.value(&steps("o.p")), Ok(Some(Value::from(3))));
        assert_eq!(address(&draft), parts);
        let mut text = Vec::new();
        draft.write(&mut text);
        assert_eq!(String::from_utf8(text).unwrap(), record);
        draft.set(&path("a"), Node::new(&Value::from(7))).unwrap();
        assert_eq!(draft.value(&steps("a")), Ok(Some(Value::from(7))));
        assert_eq!(draft.value(&steps("o.p")), Ok(Some(Value::from(3))));
    }

    #[test]
    fn of_duplicate_names_the_last_one_counts() {
        let record = r#"{"a": 1, "b": 2, "a": 3}"#;
        let draft = Draft::new(record.as_bytes());
        assert_eq!(draft.value(&steps("a")), Ok(Some(Value::from(3))));
        check(record, |draft| draft.remove(&steps("a")), r#"{"b":2}"#);
        check(
            record,
            |draft| {
                let node = draft.take(&path("a")).unwrap();
                draft.set(&path("c"), node).unwrap();
            },
            r#"{"b":2,"c":3}"#,
        );
    }

    #[test]
    fn expressions_see_values() {
        let record =
            br#"{"big": 123456789012345678901, "list": [{"a": 1.50}], "n": null, "far": 1e999}"#;
        let draft = Draft::new(record);
        let value = |path: &str| draft.value(&steps(path));
        assert_eq!(value("big"), Ok(Some("123456789012345678901".into())));
        assert_eq!(value("list.0.a"), Ok(Some(1.5.into())));
        assert_eq!(value("list.-1"), Ok(Some(serde_json::json!({"a": 1.5}))));
        assert_eq!(value("list.1"), Ok(None));
        assert_eq!(value("n"), Ok(Some(Value::Null)));
        assert_eq!(value("n.further"), Ok(None));
        assert_eq!(
            value("far"),
            Err("`1e999` cannot be represented".to_owned())
        );
        assert_eq!(
            draft.node(&steps("far")).map(|node| node.is_null()),
            Some(false)
        );
    }
}
