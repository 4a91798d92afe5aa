//! Texts that fit the name of their field.

use super::{
    json::{push_digits, push_escaped, push_hex, push_padded, push_u64},
    time::{self, Instant},
};
use crate::random::mix;

const GIVEN: &[&str] = &[
    "Ada",
    "Barbara",
    "Chen",
    "Dennis",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "Ivan",
    "Jean",
    "Katherine",
    "Leslie",
    "Margaret",
    "Niklaus",
    "Olga",
    "Radia",
];
const FAMILY: &[&str] = &[
    "Allen", "Borg", "Cerf", "Dijkstra", "Easley", "Feinler", "Goldberg", "Hamilton", "Ito",
    "Johnson", "Knuth", "Lamport", "Moser", "Noether", "Okafor", "Perlman",
];
const WORDS: &[&str] = &[
    "amber", "budget", "contract", "delta", "estimate", "forecast", "garden", "harbour", "invoice",
    "journal", "kernel", "ledger", "minutes", "notes", "outline", "plan", "quarter", "report",
    "summary", "timeline", "update", "vendor", "workshop", "yield",
];
const EXTENSIONS: &[&str] = &["csv", "docx", "jpg", "pdf", "png", "pptx", "txt", "xlsx"];
const STRANGE: &[&str] = &[
    "Zoë Łukasiewicz",
    "東京の資料",
    "naïve \"quoted\" text",
    "rocket 🚀 launch 👩‍💻",
    "two\nlines\tand a tab",
    "back\\slash / slash",
    "e\u{301} combining",
    "\u{2028}separator",
    "مرحبا",
    " spaces around ",
    "null",
    "bell \u{7} character",
];
const STATES: &[&str] = &["active", "archived", "draft", "pending"];
const TYPES: &[&str] = &["document", "folder", "image", "link", "video"];
const CURRENCIES: &[&str] = &["CHF", "EUR", "GBP", "JPY", "USD"];
const COUNTRIES: &[&str] = &["BR", "CH", "DE", "FR", "IN", "JP", "KE", "US"];
const LANGUAGES: &[&str] = &["de", "en", "es", "fr", "ja", "pt-BR"];
const ROLES: &[&str] = &["admin", "editor", "owner", "viewer"];
const MIME: &[&str] = &["application/pdf", "image/png", "text/csv", "text/plain"];
const COLOURS: &[&str] = &["blue", "green", "orange", "red", "violet"];

/// What a text is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// `file_000123`.
    Identifier(String),
    Uuid,
    Email,
    Url,
    FileName,
    Path,
    Person,
    /// One of a few words.
    Choice(&'static [&'static str]),
    Instant,
    Date,
    Sentence,
    Phone,
    Address,
    Digest,
    Words,
}

impl TextKind {
    /// The kind that fits a field's name; `entity` is what one record of the resource is.
    pub(crate) fn of(name: &str, entity: &str) -> Self {
        let lower = name.to_lowercase();
        let words: Vec<&str> = lower.split(['_', '-', ' ', '.']).collect();
        let last = words.last().copied().unwrap_or_default();
        let has = |candidates: &[&str]| candidates.iter().any(|c| words.contains(c));
        if has(&["uuid", "guid"]) {
            Self::Uuid
        } else if has(&["email", "mail", "login"]) {
            Self::Email
        } else if has(&["url", "uri", "link", "href", "website"]) {
            Self::Url
        } else if has(&["mime", "mimetype"]) || lower == "content_type" {
            Self::Choice(MIME)
        } else if has(&[
            "sha1", "sha256", "md5", "hash", "digest", "etag", "checksum",
        ]) {
            Self::Digest
        } else if has(&["phone", "mobile", "fax"]) {
            Self::Phone
        } else if has(&["ip"]) {
            Self::Address
        } else if last == "date" {
            Self::Date
        } else if is_instant(&lower) {
            Self::Instant
        } else if last == "id" || last == "key" || last == "sku" {
            let stem = words[..words.len() - 1].join("_");
            Self::Identifier(if stem.is_empty() {
                entity.to_owned()
            } else {
                stem
            })
        } else if has(&["status", "state"]) {
            Self::Choice(STATES)
        } else if has(&["type", "kind", "category", "class"]) {
            Self::Choice(TYPES)
        } else if has(&["currency"]) {
            Self::Choice(CURRENCIES)
        } else if has(&["country"]) {
            Self::Choice(COUNTRIES)
        } else if has(&["language", "locale", "lang"]) {
            Self::Choice(LANGUAGES)
        } else if has(&["role", "permission", "access"]) {
            Self::Choice(ROLES)
        } else if has(&["colour", "color"]) {
            Self::Choice(COLOURS)
        } else if has(&["path", "folder", "directory"]) {
            Self::Path
        } else if has(&["file", "filename"]) {
            Self::FileName
        } else if has(&[
            "user", "author", "owner", "person", "assignee", "member", "customer",
        ]) || has(&["first", "family", "given", "by"])
        {
            Self::Person
        } else if has(&[
            "description",
            "comment",
            "note",
            "notes",
            "message",
            "text",
            "summary",
        ]) || has(&["body", "content"])
        {
            Self::Sentence
        } else {
            Self::Words
        }
    }

    /// Writes a text, with quotes; `random` decides everything but time, which `position` does.
    pub(crate) fn push(&self, out: &mut Vec<u8>, random: u64, position: u64) {
        out.push(b'"');
        match self {
            Self::Identifier(stem) => push_identifier(out, stem, random % 1_000),
            Self::Uuid => push_uuid(out, random, mix(random)),
            Self::Email => push_email(out, random),
            Self::Url => push_url(out, random % 1_000_000),
            Self::Choice(words) => push_word(out, words, random),
            Self::Instant => time::push_rfc3339(out, Instant::new(position, random)),
            Self::Date => time::push_date(out, time::days_after_2000(random % 9_000)),
            Self::Phone => {
                out.extend_from_slice(b"+41 44 ");
                push_digits(out, random, 7);
            }
            Self::Address => {
                // The documentation range of RFC 5737.
                out.extend_from_slice(b"192.0.2.");
                push_u64(out, random % 256);
            }
            Self::Digest => {
                for part in 0..4 {
                    push_hex(out, mix(random ^ part), 16);
                }
            }
            Self::FileName | Self::Path | Self::Person | Self::Sentence | Self::Words => {
                if (random >> 50).is_multiple_of(16) {
                    let text = STRANGE[(random >> 20) as usize % STRANGE.len()];
                    push_escaped(out, text, (random >> 19) & 1 == 0);
                } else {
                    self.push_prose(out, random);
                }
            }
        }
        out.push(b'"');
    }

    /// Writes a text, with quotes, that no other `number` gives.
    pub(crate) fn push_unique(&self, out: &mut Vec<u8>, number: u64) {
        out.push(b'"');
        match self {
            Self::Identifier(stem) => push_identifier(out, stem, number + 1),
            Self::Uuid => push_uuid(out, mix(number), number),
            Self::Email => {
                out.extend_from_slice(b"user");
                push_padded(out, number + 1, 6);
                out.extend_from_slice(b"@example.org");
            }
            Self::Url => push_url(out, number + 1),
            _ => {
                push_word(out, WORDS, number % WORDS.len() as u64);
                out.push(b'-');
                push_padded(out, number + 1, 6);
            }
        }
        out.push(b'"');
    }

    fn push_prose(&self, out: &mut Vec<u8>, random: u64) {
        match self {
            Self::FileName => {
                push_word(out, WORDS, random);
                out.push(b'-');
                push_u64(out, 2_015 + (random >> 8) % 12);
                out.push(b'-');
                push_padded(out, (random >> 16) % 10_000, 4);
                out.push(b'.');
                push_word(out, EXTENSIONS, random >> 32);
            }
            Self::Path => {
                for shift in [0, 9, 18] {
                    out.push(b'/');
                    push_word(out, WORDS, random >> shift);
                }
            }
            Self::Person => {
                push_word(out, GIVEN, random);
                out.push(b' ');
                push_word(out, FAMILY, random >> 8);
            }
            Self::Sentence => {
                for i in 0..4 + (random >> 40) % 9 {
                    if i > 0 {
                        out.push(b' ');
                    }
                    push_word(out, WORDS, mix(random ^ i) >> 7);
                }
                out.push(b'.');
            }
            _ => {
                push_word(out, WORDS, random);
                out.push(b' ');
                push_word(out, WORDS, random >> 8);
                out.push(b' ');
                push_u64(out, (random >> 16) % 1_000);
            }
        }
    }
}

/// Whether a lower-case name is that of a point in time.
pub(crate) fn is_instant(name: &str) -> bool {
    let last = name.rsplit(['_', '-']).next().unwrap_or_default();
    matches!(
        last,
        "at" | "time" | "timestamp" | "modified" | "created" | "updated" | "datetime" | "since"
    )
}

/// Whether a lower-case name is that of a point in time that a change does not move.
pub(crate) fn is_beginning(name: &str) -> bool {
    ["created", "creation", "registered", "start"]
        .iter()
        .any(|word| name.contains(word))
}

fn push_word(out: &mut Vec<u8>, words: &[&str], random: u64) {
    out.extend_from_slice(words[(random % words.len() as u64) as usize].as_bytes());
}

fn push_identifier(out: &mut Vec<u8>, stem: &str, number: u64) {
    push_escaped(out, stem, false);
    out.push(b'_');
    push_padded(out, number, 6);
}

fn push_email(out: &mut Vec<u8>, random: u64) {
    for (words, shift) in [(GIVEN, 0), (FAMILY, 8)] {
        let start = out.len();
        push_word(out, words, random >> shift);
        out[start..].make_ascii_lowercase();
        out.push(b'.');
    }
    push_u64(out, (random >> 16) % 1_000);
    out.extend_from_slice(b"@example.org");
}

fn push_url(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(b"https://www.example.com/items/");
    push_padded(out, number, 6);
    out.extend_from_slice(b"?ref=api&v=2");
}

/// Writes a UUID of version 8 (RFC 9562, section 5.8), whose lower half is `number`.
fn push_uuid(out: &mut Vec<u8>, random: u64, number: u64) {
    push_hex(out, random >> 32, 8);
    out.push(b'-');
    push_hex(out, random >> 16, 4);
    out.extend_from_slice(b"-8");
    push_hex(out, random, 3);
    out.extend_from_slice(b"-8");
    push_hex(out, number >> 48, 3);
    out.push(b'-');
    push_hex(out, number, 12);
}
