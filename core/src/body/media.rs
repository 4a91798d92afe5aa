//! The `Content-Type` of an answer, and whether it contradicts what the spec expects.

use connector_plan::BodyFormat;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::Unreadable;

/// A media type (RFC 9110, section 8.3.1), as far as it matters.
#[derive(Debug, Default)]
pub(super) struct MediaType {
    /// As it came, cut to a length that messages can show.
    written: String,
    kind: Option<Kind>,
    /// The parameter `charset`.
    pub(super) charset: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Jsonl,
    Csv,
    Xml,
    Html,
}

impl MediaType {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE);
        let Some(value) = value.and_then(|value| value.to_str().ok()) else {
            return Self::default();
        };
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value.trim().trim_matches('"').to_owned());
        Self {
            written: value.chars().take(100).collect(),
            kind: kind(&essence),
            charset: charset.filter(|charset| !charset.is_empty()),
        }
    }

    /// Refuses a body that is clearly something else than what the spec expects.
    ///
    /// Servers label JSON as `text/html` or `text/plain`, so that for formats which the decoder
    /// can tell from others the label alone decides nothing; any text is CSV, so there it does.
    pub(super) fn check(&self, format: &BodyFormat, text: &[u8]) -> Result<(), Unreadable> {
        let first = text.trim_ascii_start();
        let markup = first.starts_with(b"<");
        let html = markup && {
            let start = first.get(..15).unwrap_or(first).to_ascii_lowercase();
            start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
        };
        let looks_like_json = matches!(first.first(), Some(b'{' | b'['));
        let contradicts = match (format, self.kind) {
            (BodyFormat::Json, Some(Kind::Jsonl)) | (BodyFormat::Xml, Some(Kind::Html)) => true,
            (BodyFormat::Json | BodyFormat::Jsonl, Some(Kind::Csv | Kind::Xml | Kind::Html)) => {
                !looks_like_json
            }
            (BodyFormat::Json | BodyFormat::Jsonl, _) => html,
            (BodyFormat::Csv(_), kind) => html || !matches!(kind, None | Some(Kind::Csv)),
            (BodyFormat::Xml, Some(Kind::Json | Kind::Jsonl | Kind::Csv)) => !markup,
            (BodyFormat::Xml, _) => html,
        };
        if !contradicts {
            return Ok(());
        }
        let page = self.kind == Some(Kind::Html) || html;
        let found = match (self.written.as_str(), page) {
            ("", _) => "an HTML page".to_owned(),
            (written, true) => format!("`{written}`, an HTML page,"),
            (written, false) => format!("`{written}`"),
        };
        let expected = match format {
            BodyFormat::Json => "JSON",
            BodyFormat::Jsonl => "JSON Lines",
            BodyFormat::Csv(_) => "CSV",
            BodyFormat::Xml => "XML",
        };
        let error = Unreadable::new(format!(
            "the API answered with {found} where the spec expects {expected}"
        ));
        let word = match self.kind {
            _ if page => {
                return Err(error.hint(
                    "a login or error page is the usual reason: check the URL and the access",
                ));
            }
            Some(Kind::Jsonl) => "jsonl",
            Some(Kind::Csv) => "csv",
            Some(Kind::Xml) => "xml",
            _ => "json",
        };
        Err(error.hint(format!(
            "if this is what the API gives, write `response: {{format: {word}}}` in the endpoint"
        )))
    }
}

fn kind(essence: &str) -> Option<Kind> {
    Some(match essence {
        "application/json" | "text/json" => Kind::Json,
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/json-lines"
        | "text/jsonl"
        | "text/x-ndjson" => Kind::Jsonl,
        "text/csv"
        | "application/csv"
        | "text/x-csv"
        | "text/comma-separated-values"
        | "text/tab-separated-values" => Kind::Csv,
        "text/html" | "application/xhtml+xml" => Kind::Html,
        "application/xml" | "text/xml" => Kind::Xml,
        other if other.ends_with("+json") => Kind::Json,
        other if other.ends_with("+xml") => Kind::Xml,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use connector_plan::Csv;

    use super::*;

    #[test]
    fn a_contradicting_content_type_is_refused_and_a_wrong_label_is_not() {
        #[track_caller]
        fn check(format: &BodyFormat, content_type: &str, body: &str, expect: Option<&str>) {
            let mut headers = HeaderMap::new();
            if !content_type.is_empty() {
                headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            }
            let found = MediaType::of(&headers).check(format, body.as_bytes());
            match (found, expect) {
                (Ok(()), None) => {}
                (Err(error), Some(expect)) => {
                    let text = format!("{}; {}", error.message, error.hint.unwrap());
                    assert!(text.contains(expect), "{text}");
                }
                (found, _) => panic!("{format:?} {content_type} {body}: {found:?}"),
            }
        }
        let (json, jsonl, xml) = (&BodyFormat::Json, &BodyFormat::Jsonl, &BodyFormat::Xml);
        let csv = &BodyFormat::Csv(Csv::default());
        check(json, "application/json", "[]", None);
        check(json, "application/vnd.api+json; charset=utf-8", "[]", None);
        check(json, "", "[]", None);
        check(json, "text/html", " [1]", None);
        check(json, "text/plain", "[1]", None);
        check(
            json,
            "text/html",
            "<p>",
            Some("`text/html`, an HTML page, where the spec expects JSON"),
        );
        check(json, "text/html", "Please log in", Some("HTML page"));
        check(
            json,
            "",
            "<!DOCTYPE html><p>",
            Some("with an HTML page where"),
        );
        check(
            json,
            "application/x-ndjson",
            "{}",
            Some("`response: {format: jsonl}`"),
        );
        check(json, "text/csv", "a,b", Some("`response: {format: csv}`"));
        check(
            json,
            "application/atom+xml",
            "<feed/>",
            Some("`response: {format: xml}`"),
        );
        check(jsonl, "application/json", "{}\n{}", None);
        check(jsonl, "application/x-ndjson", "{}", None);
        check(jsonl, "text/html", "<html>", Some("expects JSON Lines"));
        check(csv, "text/csv; header=present", "a,b", None);
        check(csv, "text/plain", "a,b", None);
        check(csv, "application/octet-stream", "a,b", None);
        check(
            csv,
            "application/json",
            "{\"error\": 1}",
            Some("`response: {format: json}`"),
        );
        check(csv, "", "<html>", Some("an HTML page"));
        check(xml, "text/xml", "<a/>", None);
        check(xml, "application/json", "<a/>", None);
        check(
            xml,
            "application/json",
            "{}",
            Some("`response: {format: json}`"),
        );
        check(xml, "text/html", "<html>", Some("login"));
    }
}
