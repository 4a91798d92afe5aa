//! Markup by construction: text is escaped where it is put in, so that nothing from outside is ever
//! markup.

use std::fmt::Display;

/// An element of HTML or SVG with all it holds.
#[derive(Clone, Debug)]
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    content: String,
}

/// An element without attributes and content.
pub(super) fn element(name: &'static str) -> Element {
    Element {
        name,
        attributes: String::new(),
        content: String::new(),
    }
}

impl Element {
    /// Adds an attribute.
    pub(super) fn set(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push(' ');
        self.attributes.push_str(name);
        self.attributes.push_str("=\"");
        escape(&mut self.attributes, &value);
        self.attributes.push('"');
        self
    }

    /// Adds text.
    pub(super) fn text(mut self, text: impl Display) -> Self {
        escape(&mut self.content, &text);
        self
    }

    /// Adds an element.
    pub(super) fn child(mut self, child: Element) -> Self {
        child.write_to(&mut self.content);
        self
    }

    /// Adds elements.
    pub(super) fn children(self, children: impl IntoIterator<Item = Element>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    /// Adds a style sheet as it is: one of this program's own.
    pub(super) fn style_sheet(mut self, css: &'static str) -> Self {
        self.content.push_str(css);
        self
    }

    /// Adds the element to a page.
    pub(super) fn write_to(self, page: &mut String) {
        let Self {
            name,
            attributes,
            content,
        } = self;
        if name == "meta" {
            page.extend(["<meta", &attributes, " />\n"]);
            return;
        }
        page.extend(["<", name, &attributes, ">", &content, "</", name, ">"]);
        let is_block = matches!(
            name,
            "figure" | "g" | "h2" | "head" | "li" | "p" | "rect" | "section" | "title" | "tr"
        );
        page.push_str(if is_block { "\n" } else { "" });
    }
}

/// Adds text without any character that means something in markup, and without those that change
/// how the text around them is read.
fn escape(output: &mut String, text: &impl Display) {
    for character in text.to_string().chars() {
        match character {
            '&' => output.push_str("&amp;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            '"' => output.push_str("&quot;"),
            '\'' => output.push_str("&#39;"),
            '\n' | '\t' => output.push(character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                output.push(char::REPLACEMENT_CHARACTER);
            }
            other if other.is_control() => output.push(char::REPLACEMENT_CHARACTER),
            other => output.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markup(element: Element) -> String {
        let mut page = String::new();
        element.write_to(&mut page);
        page
    }

    #[test]
    fn text_is_never_markup() {
        let hostile = "</script><svg onload='x'>&\"\u{202e}\0";
        let escaped = "&lt;/script&gt;&lt;svg onload=&#39;x&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}";
        let found = markup(element("b").set("title", hostile).text(hostile));
        assert_eq!(found, format!("<b title=\"{escaped}\">{escaped}</b>"));
    }

    #[test]
    fn elements_hold_elements() {
        let list = element("ul").children(["a", "b"].map(|text| element("li").text(text)));
        assert_eq!(markup(list), "<ul><li>a</li>\n<li>b</li>\n</ul>");
        assert_eq!(
            markup(element("meta").set("charset", "utf-8")),
            "<meta charset=\"utf-8\" />\n"
        );
    }
}
