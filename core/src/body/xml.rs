//! XML to JSON: elements become members, repeated ones lists.
//!
//! | XML | JSON |
//! |---|---|
//! | `<a>text</a>` | `"a": "text"` |
//! | `<a/>`, `<a> </a>` | `"a": null` |
//! | `<a x="1">text<b>2</b></a>` | `"a": {"@x": "1", "b": "2", "#text": "text"}` |
//! | `<a>1</a><a>2</a>` | `"a": ["1", "2"]` |
//!
//! Space around text counts, but not where there are elements beside it. The root element is the
//! document's only member. Names keep their prefixes. There are no entities but those that XML
//! itself has: a document that declares its own is refused.

use std::collections::HashMap;

use connector_plan::Step;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::{Unreadable, push_json, too_large};

/// The elements that may be open at once, as many as the decoder's arrays and objects.
const MAX_DEPTH: usize = 100;

/// The elements and attributes of a page: each takes some 200 bytes of memory.
const MAX_ELEMENTS: usize = 4_000_000;

/// With so many names in one element, they are found by hash.
const MANY: usize = 16;

/// A document as JSON. What the last key of the selector names is a list of none where the element
/// around it has none, because XML has no other way to say so.
pub(super) fn to_json(text: &str, selector: &[Step], limit: usize) -> Result<Vec<u8>, Unreadable> {
    let mut root = read(text, MAX_ELEMENTS)?;
    root.complete(selector);
    let mut out = Vec::new();
    root.write(&mut out, limit)?;
    Ok(out)
}

fn read(text: &str, most: usize) -> Result<Element, Unreadable> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    // The document itself stands below all elements.
    let mut open: Vec<(String, Element)> = vec![(String::new(), Element::default())];
    let mut count = 0;
    loop {
        let at = reader.buffer_position();
        let event = reader.read_event().map_err(|error| malformed(&error, at))?;
        let inside = open.len() > 1;
        let Some((_, top)) = open.last_mut() else {
            return Err(at_byte("more ends than elements", at));
        };
        match event {
            Event::Start(start) => {
                if inside || top.members.is_empty() {
                    let element = Element::of(&start, at)?;
                    count += 1 + element.members.len();
                    open.push((start.name().as_ref().to_owned(), element));
                } else {
                    return Err(at_byte("a second root element", at));
                }
                if open.len() > MAX_DEPTH {
                    return Err(Unreadable::new(format!(
                        "the XML page is nested deeper than {MAX_DEPTH} elements"
                    )));
                }
            }
            Event::Empty(start) => {
                if !inside && !top.members.is_empty() {
                    return Err(at_byte("a second root element", at));
                }
                let element = Element::of(&start, at)?;
                count += 1 + element.members.len();
                top.add(start.name().as_ref(), element);
            }
            Event::End(_) => {
                if let Some((name, element)) = open.pop()
                    && let Some((_, parent)) = open.last_mut()
                {
                    parent.add(&name, element);
                }
            }
            Event::Text(text) => top.text.push_str(&text.xml10_content()),
            Event::CData(text) => top.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference
                    .resolve_char_ref()
                    .map_err(|error| malformed(&error, at))?;
                let name = reference.xml10_content();
                match (character, quick_xml::escape::resolve_xml_entity(&name)) {
                    (Some(character), _) => top.text.push(character),
                    (None, Some(text)) => top.text.push_str(text),
                    (None, None) => {
                        let name: String = name.chars().take(40).collect();
                        return Err(at_byte(&format!("the unknown entity `{name}`"), at));
                    }
                }
            }
            Event::DocType(declaration) => {
                if declaration.xml10_content().contains('[') {
                    return Err(at_byte("declarations of its own, which are not read,", at));
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
        if count > most {
            return Err(Unreadable::new(format!(
                "the XML page has more than {most} elements and attributes"
            ))
            .hint("ask for smaller pages: lower `limit` of the paginator"));
        }
    }
    let end = reader.buffer_position();
    if open.len() > 1 {
        let name = open.last().map_or("", |(name, _)| name.as_str());
        let name: String = name.chars().take(60).collect();
        return Err(Unreadable::cut(format!(
            "the XML page ends within the element `{name}`"
        )));
    }
    let Some((_, document)) = open.pop() else {
        return Err(at_byte("more ends than elements", end));
    };
    if document.members.is_empty() {
        return Err(Unreadable::cut("the XML page has no element"));
    }
    if !document.text.trim().is_empty() {
        return Err(at_byte("text outside of its root element", end));
    }
    Ok(document)
}

fn at_byte(what: &str, at: u64) -> Unreadable {
    Unreadable::new(format!("the XML page has {what} at byte {at}"))
}

fn malformed(error: &quick_xml::Error, at: u64) -> Unreadable {
    let message = format!("the XML page is malformed at byte {at}: {error}");
    match error {
        // All of these are markup without its end.
        quick_xml::Error::Syntax(_) => Unreadable::cut(message),
        _ => Unreadable::new(message),
    }
}

/// An element: its attributes, its elements and its text.
#[derive(Debug, Default)]
struct Element {
    members: Vec<(String, Vec<Element>)>,
    /// Where the members are, when there are many.
    #[expect(
        clippy::box_collection,
        reason = "nearly all elements have none, and are smaller"
    )]
    index: Option<Box<HashMap<String, usize>>>,
    text: String,
}

impl Element {
    fn of(start: &BytesStart<'_>, at: u64) -> Result<Self, Unreadable> {
        let mut element = Self::default();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| malformed(&error.into(), at))?;
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|error| malformed(&error, at))?;
            let text = Self {
                text: value.into_owned(),
                ..Self::default()
            };
            let name = format!("@{}", attribute.key.as_ref());
            element.members.push((name, vec![text]));
        }
        Ok(element)
    }

    fn add(&mut self, name: &str, element: Self) {
        let known = if self.members.len() < MANY {
            self.members.iter().position(|(known, _)| known == name)
        } else {
            let members = &self.members;
            let index = self.index.get_or_insert_with(|| {
                let names = members.iter().enumerate();
                Box::new(names.map(|(at, (name, _))| (name.clone(), at)).collect())
            });
            index.get(name).copied()
        };
        match known.and_then(|at| self.members.get_mut(at)) {
            Some((_, elements)) => elements.push(element),
            None => {
                if let Some(index) = &mut self.index {
                    index.insert(name.to_owned(), self.members.len());
                }
                self.members.push((name.to_owned(), vec![element]));
            }
        }
    }

    /// Gives the element that the steps lead to an empty list where it has nothing.
    fn complete(&mut self, steps: &[Step]) {
        let Some((Step::Key(key), rest)) = steps.split_first() else {
            return;
        };
        let bare = self.members.is_empty();
        match self.members.iter_mut().find(|(name, _)| name == key) {
            Some((_, elements)) => {
                for element in elements {
                    element.complete(rest);
                }
            }
            None if rest.is_empty() && !bare => {
                self.members.push((key.clone(), Vec::new()));
            }
            None => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>, limit: usize) -> Result<(), Unreadable> {
        let elements = self.members.iter().any(|(name, _)| !name.starts_with('@'));
        let text = match self.text.trim() {
            trimmed if elements || trimmed.is_empty() => trimmed,
            _ => &self.text,
        };
        if self.members.is_empty() {
            if text.is_empty() {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            return push_json(out, text);
        }
        let mut separator = b'{';
        for (name, elements) in &self.members {
            out.push(separator);
            separator = b',';
            push_json(out, name)?;
            out.push(b':');
            match elements.as_slice() {
                [value] if name.starts_with('@') => push_json(out, &value.text)?,
                [element] => element.write(out, limit)?,
                elements => {
                    out.push(b'[');
                    for (number, element) in elements.iter().enumerate() {
                        if number > 0 {
                            out.push(b',');
                        }
                        element.write(out, limit)?;
                    }
                    out.push(b']');
                }
            }
        }
        if !text.is_empty() {
            out.extend_from_slice(b",\"#text\":");
            push_json(out, text)?;
        }
        out.push(b'}');
        if out.len() > limit {
            return Err(too_large(limit));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, selector: &str, expect: Result<&str, (&str, bool)>) {
        let steps = selector.split('.').filter(|key| !key.is_empty());
        let steps: Vec<Step> = steps.map(|key| Step::Key(key.to_owned())).collect();
        let found = to_json(text, &steps, 2_000)
            .map(|json| String::from_utf8(json).unwrap())
            .map_err(|error| (error.message, error.cut));
        match (&found, expect) {
            (Err((message, cut)), Err((expect, expect_cut))) => {
                assert!(message.contains(expect), "{message}");
                assert_eq!(*cut, expect_cut, "{message}");
            }
            (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{text}"),
            (found, expect) => panic!("{text}: {found:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn elements_become_members_and_repeated_ones_lists() {
        check("<a/>", "", Ok(r#"{"a":null}"#));
        check("<a> \n </a>", "", Ok(r#"{"a":null}"#));
        check("<a> text </a>", "", Ok(r#"{"a":" text "}"#));
        check(
            "<a x='1'> t</a>",
            "",
            Ok(r##"{"a":{"@x":"1","#text":" t"}}"##),
        );
        check(
            "<a>\n  <b/> t\n</a>",
            "",
            Ok(r##"{"a":{"b":null,"#text":"t"}}"##),
        );
        check(
            "<?xml version=\"1.0\"?><!DOCTYPE a><!-- c --><a x=\"1\">t<b>2</b></a>\n",
            "",
            Ok(r##"{"a":{"@x":"1","b":"2","#text":"t"}}"##),
        );
        check(
            "<a><b>1</b><c/><b>2</b></a>",
            "",
            Ok(r#"{"a":{"b":["1","2"],"c":null}}"#),
        );
        check(
            "<n:a xmlns:n=\"u:n\"><n:b>1</n:b></n:a>",
            "",
            Ok(r#"{"n:a":{"@xmlns:n":"u:n","n:b":"1"}}"#),
        );
        check(
            "<a q='&lt;&quot;&#233;'>&lt;&amp;&#x20AC;<![CDATA[<x>&amp;]]></a>",
            "",
            Ok(r##"{"a":{"@q":"<\"é","#text":"<&€<x>&amp;"}}"##),
        );
        check("<a>1\r\n2\r3</a>", "", Ok(r#"{"a":"1\n2\n3"}"#));
        check("<a b=''/>", "", Ok(r#"{"a":{"@b":""}}"#));
    }

    #[test]
    fn many_names_are_found_as_fast_as_few() {
        let members: String = (0..40).map(|n| format!("<e{n}>{n}</e{n}>")).collect();
        let text = format!("<a>{members}<e39>x</e39></a>");
        let json: serde_json::Value =
            serde_json::from_slice(&to_json(&text, &[], 2_000).unwrap()).unwrap();
        assert_eq!(json["a"]["e39"], serde_json::json!(["39", "x"]));
        assert_eq!(json["a"].as_object().unwrap().len(), 40);
    }

    #[test]
    fn a_page_takes_as_much_memory_as_it_has_elements_and_these_have_a_limit() {
        // Of most elements there are very many, and few have many names.
        assert_eq!(size_of::<Element>(), 56);
        let text = |elements: usize| format!("<a x='1'>{}</a>", "<b/>".repeat(elements));
        assert!(read(&text(98), 100).is_ok());
        let error = read(&text(99), 100).unwrap_err();
        assert!(
            error.message.contains("more than 100 elements"),
            "{error:?}"
        );
        assert!(!error.cut);
        let attributes: String = (0..100).map(|n| format!(" x{n}='1'")).collect();
        assert!(read(&format!("<a><b{attributes}/></a>"), 100).is_err());
    }

    #[test]
    fn a_list_without_elements_is_empty_where_the_selector_looks() {
        check(
            "<r><n>0</n></r>",
            "r.item",
            Ok(r#"{"r":{"n":"0","item":[]}}"#),
        );
        check("<r><n>0</n></r>", "r.items.item", Ok(r#"{"r":{"n":"0"}}"#));
        check(
            "<r><items n='0'/></r>",
            "r.items.item",
            Ok(r#"{"r":{"items":{"@n":"0","item":[]}}}"#),
        );
        check(
            "<r><i/><i><x>1</x></i></r>",
            "r.i.y",
            Ok(r#"{"r":{"i":[null,{"x":"1","y":[]}]}}"#),
        );
        check("<error>no</error>", "r.item", Ok(r#"{"error":"no"}"#));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        check(
            "<a><b>1</b>",
            "",
            Err(("ends within the element `a`", true)),
        );
        check("<a><b>1</", "", Err(("malformed at byte", true)));
        check("<a x=\"1", "", Err(("malformed at byte", true)));
        check("  ", "", Err(("has no element", true)));
        check("<a></b>", "", Err(("malformed at byte", false)));
        check(
            "<a/><b/>",
            "",
            Err(("a second root element at byte 4", false)),
        );
        check(
            "<a/>text",
            "",
            Err(("text outside of its root element", false)),
        );
        check("<a x='1' x='2'/>", "", Err(("malformed", false)));
        check("<a>&nbsp;</a>", "", Err(("unknown entity `nbsp`", false)));
        check(
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "",
            Err(("declarations of its own", false)),
        );
        check(
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a>&x;</a>",
            "",
            Err(("unknown entity `x`", false)),
        );
        let deep = "<a>".repeat(200);
        check(&deep, "", Err(("nested deeper than 100", false)));
        let long = format!("<a>{}</a>", "<b>1</b>".repeat(1_000));
        check(&long, "", Err(("more than 2000 bytes", false)));
    }
}
