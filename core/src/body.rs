//! The bodies of answers as the decoder takes them: JSON in UTF-8, whatever the API sends.

mod charset;
mod csv;
mod media;
mod xml;

use std::borrow::Cow;
use std::io::Read as _;

use connector_plan::{BodyFormat, Endpoint, Path, ResponseBody, Step};
use flate2::read::MultiGzDecoder;

use crate::Json;
use crate::http::{Response, Transport};

/// What the bodies of a resource are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyReader<'a> {
    pub plan: &'a ResponseBody,
    /// The way to the records.
    pub selector: &'a [Step],
    /// The bytes that a body may have when it is unpacked, and four times as many as JSON.
    pub limit: usize,
}

/// A page as JSON: the body of its answer, or what was made of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// The body from this byte on: behind its byte order mark.
    Body {
        from: usize,
    },
    Converted(Vec<u8>),
}

impl Document {
    /// Keeps what was read of an answer, without a copy of its body.
    pub(crate) fn of(read: Cow<'_, [u8]>, response: &Response) -> Self {
        match read {
            // Of a body, only its beginning is ever passed over.
            Cow::Borrowed(rest) => Self::Body {
                from: response.body.len().saturating_sub(rest.len()),
            },
            Cow::Owned(document) => Self::Converted(document),
        }
    }

    /// The JSON, or the JSON Lines.
    pub(crate) fn bytes<'a>(&'a self, response: &'a Response) -> &'a [u8] {
        match self {
            Self::Body { from } => response.body.get(*from..).unwrap_or_default(),
            Self::Converted(document) => document,
        }
    }
}

/// Why a body is no page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub message: String,
    pub hint: Option<String>,
    /// Whether it looks like the beginning of a body that was whole when it was sent.
    pub cut: bool,
}

impl Unreadable {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            cut: false,
        }
    }

    /// A body that ends too early.
    fn cut(message: impl Into<String>) -> Self {
        Self {
            cut: true,
            ..Self::new(message)
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<'a> BodyReader<'a> {
    /// The reader of an endpoint's answers.
    pub(crate) fn new(endpoint: &'a Endpoint, transport: &Transport) -> Self {
        Self {
            plan: &endpoint.response,
            selector: &endpoint.data_selector.steps,
            limit: transport.max_body(),
        }
    }
}

impl BodyReader<'_> {
    /// The page as JSON, or as JSON Lines where the format is that.
    pub(crate) fn read<'r>(&self, response: &'r Response) -> Result<Cow<'r, [u8]>, Unreadable> {
        let format = &self.plan.format;
        let media = media::MediaType::of(&response.headers);
        let text = self.text(response, &media)?;
        media.check(format, &text)?;
        let converted = match format {
            BodyFormat::Json | BodyFormat::Jsonl => return Ok(text),
            BodyFormat::Csv(csv) => csv::to_json(utf8(&text)?, csv, self.limit.saturating_mul(4))?,
            BodyFormat::Xml => {
                let limit = self.limit.saturating_mul(4);
                xml::to_json(utf8(&text)?, self.selector, limit)?
            }
        };
        Ok(Cow::Owned(converted))
    }

    /// Whether a text occurs in an answer, as it was before it was packed and encoded.
    pub(crate) fn contains(&self, response: &Response, wanted: &str) -> bool {
        let text = self.text(response, &media::MediaType::of(&response.headers));
        // What cannot be decoded is still looked at as it came.
        let text = text.unwrap_or(Cow::Borrowed(&response.body));
        String::from_utf8_lossy(&text).contains(wanted)
    }

    /// The values that paths lead to in an answer, which may be no page: failures are told in JSON
    /// by APIs whose pages are something else, too. What is no document has none of these values.
    pub(crate) fn capture(&self, response: &Response, paths: &[Path]) -> Vec<Option<Json>> {
        let values = |document: Result<Cow<'_, [u8]>, Unreadable>| {
            connector_decode::capture(&document.ok()?, paths).ok()
        };
        values(self.text(response, &media::MediaType::of(&response.headers)))
            .or_else(|| values(self.read(response)))
            .unwrap_or_else(|| vec![None; paths.len()])
    }

    /// The text of an answer in UTF-8, unpacked.
    fn text<'r>(
        &self,
        response: &'r Response,
        media: &media::MediaType,
    ) -> Result<Cow<'r, [u8]>, Unreadable> {
        let mut bytes = Cow::Borrowed(&*response.body);
        // A file that its server calls gzip-encoded too has been unpacked on the way.
        if self.plan.gzip && (bytes.starts_with(&GZIP) || GZIP.starts_with(&bytes)) {
            bytes = Cow::Owned(self.unpack(&bytes)?);
        }
        charset::decode(bytes, media, self.plan.format == BodyFormat::Xml)
    }

    fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let mut unpacked = Vec::new();
        let limit = self.limit as u64;
        let mut decoder = MultiGzDecoder::new(packed).take(limit.saturating_add(1));
        match decoder.read_to_end(&mut unpacked) {
            Ok(_) if unpacked.len() > self.limit => Err(too_large(self.limit)),
            Ok(_) => Ok(unpacked),
            // Damage looks like the missing end of something else: both are worth another look.
            Err(error) => Err(Unreadable::cut(format!(
                "the gzip file is incomplete or damaged: {error}"
            ))),
        }
    }
}

const GZIP: [u8; 2] = [0x1F, 0x8B];

fn too_large(limit: usize) -> Unreadable {
    Unreadable::new(format!(
        "the body has more than {limit} bytes when it is unpacked"
    ))
    .hint("ask for smaller pages: lower `limit` of the paginator")
}

fn utf8(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let message = format!("the body is not UTF-8 at byte {at}");
        if error.error_len().is_none() {
            Unreadable::cut(message)
        } else {
            Unreadable::new(message).hint(
                "the API or a proxy has cut or recoded it, or names another charset than it uses",
            )
        }
    })
}

/// Writes a text as a JSON string.
fn push_json(out: &mut Vec<u8>, text: &str) -> Result<(), Unreadable> {
    serde_json::to_writer(out, text).map_err(|error| Unreadable::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn response(content_type: &str, body: &[u8]) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        Response {
            status: StatusCode::OK,
            headers,
            url: "https://a/".parse().unwrap(),
            body: body.into(),
            ignored: false,
        }
    }

    fn read(plan: &ResponseBody, response: &Response) -> Result<String, Unreadable> {
        let reader = BodyReader {
            plan,
            selector: &[],
            limit: 1_000,
        };
        let read = reader.read(response)?;
        Ok(String::from_utf8(read.into_owned()).unwrap())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_files_are_unpacked_up_to_the_limit_and_never_in_part() {
        let plan = ResponseBody {
            gzip: true,
            ..ResponseBody::default()
        };
        let check = |body: &[u8]| read(&plan, &response("application/gzip", body));
        let packed = gzip(b"[1]");
        assert_eq!(check(&packed), Ok("[1]".to_owned()));
        // Several files one behind the other are one file.
        let two = [gzip(b"[1"), gzip(b"]")].concat();
        assert_eq!(check(&two), Ok("[1]".to_owned()));
        for length in [1, 5, packed.len() / 2, packed.len() - 1] {
            let error = check(&packed[..length]).unwrap_err();
            assert!(error.cut, "{length}: {}", error.message);
        }
        let mut damaged = packed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(check(&damaged).unwrap_err().cut);
        let bomb = check(&gzip(&vec![b' '; 1_001])).unwrap_err();
        assert!(bomb.message.contains("more than 1000 bytes"), "{bomb:?}");
        assert!(!bomb.cut);
        assert_eq!(check(b"[1]"), Ok("[1]".to_owned()));
    }
}
