//! Answers: formats and charsets of bodies, what is done about some of them, and what is refused.

pub(crate) mod actions;

use std::io::Write as _;

use connector_core::Connector;
use connector_sandbox::{Answer, Ending, Options, Sandbox};
use connector_tests::Workspace;
use serde_json::{Value, json};

use crate::relations::{entry, expect_code, rows, run};

/// A connector without authentication; its name is that of the folder that `rows` reads.
fn connector(spec: &str) -> Connector {
    connector_tests::connector("tree", spec)
}

/// A resource `items` with these keys of its endpoint.
fn spec(endpoint: &str) -> String {
    format!(
        "client: {{base_url: \"https://api.example.com\", concurrency: 1}}\n\
         resources:\n- name: items\n  primary_key: id\n  write_disposition: merge\n\
         \x20 endpoint:\n    path: /items\n    {}\n\
         \x20 schema: {{fields: {{id: integer, name: string, open: boolean, at: timestamp}}}}\n",
        endpoint.replace('\n', "\n    ")
    )
}

const COLUMNS: [&str; 4] = ["id", "name", "open", "at"];

/// A server that gives these answers to `/items`, one after the other, the last one for ever.
fn scripted(connector: &Connector, answers: Vec<Answer>) -> Sandbox {
    let options = Options {
        responder: Some(std::sync::Arc::new(move |_, nth| {
            let nth = usize::try_from(nth).unwrap().min(answers.len());
            answers.get(nth - 1).cloned()
        })),
        ..Options::default()
    };
    Sandbox::start(&connector.plan().unwrap(), options).unwrap()
}

/// What a run came to.
pub(crate) struct Ran {
    workspace: Workspace,
    pub(crate) server: Sandbox,
    record: Value,
}

impl Ran {
    pub(crate) fn ids(&self) -> Vec<i64> {
        let ids = rows(&self.workspace, "items").column("id");
        ids.iter().map(|id| id.as_i64().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) {
        let error = entry(&self.record, "items")["error"].to_string();
        for text in texts {
            assert!(error.contains(text), "no `{text}` in {error}");
        }
        let parquet = self.workspace.files().parquet();
        assert_eq!(parquet.names().count(), 0, "nothing is published");
    }
}

#[track_caller]
pub(crate) fn ran(endpoint: &str, answers: Vec<Answer>, code: u8) -> Ran {
    let connector = connector(&spec(endpoint));
    let server = scripted(&connector, answers);
    let workspace = Workspace::new();
    let (found, record) = run(&connector, &server, &workspace, &[]);
    expect_code(found, code);
    Ran {
        workspace,
        server,
        record,
    }
}

/// The rows of a page in some format.
#[track_caller]
fn check(endpoint: &str, content_type: &str, body: impl Into<Vec<u8>>, expect: &Value) {
    let ran = ran(endpoint, vec![Answer::new(200, content_type, body)], 0);
    let found = rows(&ran.workspace, "items").objects(&COLUMNS);
    assert_eq!(Value::Array(found), *expect, "{endpoint}");
    assert_eq!(ran.server.data_requests().len(), 1);
}

/// A body that is refused: the exit code is 4, nothing is published; also how often it was asked
/// for.
#[track_caller]
fn refused(
    endpoint: &str,
    content_type: &str,
    body: impl Into<Vec<u8>>,
    requests: usize,
    says: &[&str],
) {
    let ran = ran(endpoint, vec![Answer::new(200, content_type, body)], 4);
    ran.says(says);
    assert_eq!(ran.server.data_requests().len(), requests, "{endpoint}");
}

fn one(name: &str) -> Value {
    json!([{"id": 1, "name": name, "open": null, "at": null}])
}

#[test]
fn every_format_is_spoken_by_the_sandbox_and_read_as_it_was_made() {
    for (format, selector, paginator) in [
        ("json", "", "{type: offset, limit: 20}"),
        (
            "{format: json, compression: gzip}",
            "data.items",
            "{type: cursor, cursor_path: data.next, cursor_param: c, limit: 20}",
        ),
        ("jsonl", "", "{type: offset, limit: 20}"),
        (
            "jsonl",
            "data.items",
            "{type: cursor, cursor_path: next, cursor_param: c, limit: 20}",
        ),
        ("{format: jsonl, compression: gzip}", "", "header_link"),
        (
            "csv",
            "",
            "{type: page_number, base_page: 1, limit: 20, limit_param: size}",
        ),
        (
            "{format: csv, delimiter: \"\\t\", compression: gzip}",
            "",
            "{type: offset, limit: 20}",
        ),
        (
            "{format: csv, quote: \"'\", null_values: ['NULL', ''], header: false, columns: [name, id, open, at]}",
            "",
            "{type: offset, limit: 20}",
        ),
        (
            "{format: csv, delimiter: ';', header: true, columns: [id, name, open, at]}",
            "",
            "single_page",
        ),
        (
            "xml",
            "feed.entry",
            "{type: cursor, cursor_path: feed.meta.next, cursor_param: c, limit: 20}",
        ),
        (
            "{format: xml, compression: gzip}",
            "r.list.item",
            "{type: offset, limit: 20}",
        ),
        ("xml", "r.group.item", "single_page"),
    ] {
        let selector = if selector.is_empty() {
            String::new()
        } else {
            format!("data_selector: {selector}\n")
        };
        let connector = connector(&spec(&format!(
            "{selector}response: {format}\npaginator: {paginator}"
        )));
        let server = Sandbox::start(
            &connector.plan().unwrap(),
            Options {
                records: 61,
                default_page_size: Some(20),
                ..Options::default()
            },
        )
        .unwrap();
        let workspace = Workspace::new();
        let (code, record) = run(&connector, &server, &workspace, &[]);
        expect_code(code, 0);
        let columns = ["id", "name", "open"];
        let truth = connector_tests::truth(&server.truth("items"), &columns);
        assert_eq!(truth.len(), 61);
        let found = rows(&workspace, "items").objects(&columns);
        assert_eq!(found, truth, "{format} {selector} {paginator}");
        let entry = entry(&record, "items");
        assert_eq!(entry["rescued"], json!([]), "{format}");
        let pages = if paginator == "single_page" { 1 } else { 4 };
        assert_eq!(server.data_requests().len(), pages, "{format} {paginator}");
    }
}

#[test]
fn texts_become_what_the_schema_says_and_what_does_not_fit_is_rescued() {
    let at = 1_772_323_200_000_000_i64;
    let expect = json!([
        {"id": 1, "name": "a, \"b\"", "open": true, "at": at},
        {"id": 2, "name": "", "open": false, "at": null},
        {"id": 3, "name": null, "open": null, "at": null},
    ]);
    check(
        "response: csv",
        "text/csv",
        "id,name,open,at\r\n1,\"a, \"\"b\"\"\",TRUE,2026-03-01T00:00:00Z\r\n 2 ,\"\",no,\"\"\r\n3,,,\r\n",
        &expect,
    );
    check(
        "response: xml\ndata_selector: r.i",
        "application/xml; charset=utf-8",
        "<r><i><id>1</id><name>a, &quot;b&quot;</name><open>1</open>\
         <at>2026-03-01T00:00:00Z</at></i></r>",
        &json!([expect[0]]),
    );
    let ran = ran(
        "response: csv",
        vec![Answer::new(
            200,
            "text/csv",
            "id,name,open,extra\n1,x,maybe,e\n9007199254740993,y,,f\n",
        )],
        0,
    );
    assert_eq!(ran.ids(), [1, 9_007_199_254_740_993]);
    let rescued = rows(&ran.workspace, "items").column("_rescued");
    assert_eq!(rescued[0], json!(r#"{"open":"maybe","extra":"e"}"#));
    assert_eq!(rescued[1], json!(r#"{"extra":"f"}"#));
}

#[test]
fn charsets_are_decoded_exactly_or_refused() {
    let plain = "paginator: single_page";
    let name = "[{\"id\": 1, \"name\": \"é€\"}]";
    let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_be: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check(plain, "application/json", name, &one("é€"));
    check(
        plain,
        "application/json",
        [b"\xEF\xBB\xBF", name.as_bytes()].concat(),
        &one("é€"),
    );
    check(
        plain,
        "application/json; charset=utf-16",
        utf16.clone(),
        &one("é€"),
    );
    check(
        plain,
        "application/json; charset=utf-16be",
        utf16_be.clone(),
        &one("é€"),
    );
    check(
        plain,
        "application/json",
        [b"\xFE\xFF", utf16_be.as_slice()].concat(),
        &one("é€"),
    );
    check(plain, "application/json", utf16, &one("é€"));
    check(
        plain,
        "application/json; charset=iso-8859-1",
        b"[{\"id\": 1, \"name\": \"\xE9\"}]",
        &one("é"),
    );
    check(
        "response: csv",
        "text/csv; charset=windows-1252",
        b"id,name\n1,\xE9\x80",
        &one("é€"),
    );
    check(
        "response: xml\ndata_selector: r",
        "application/xml",
        b"<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><r><id>1</id><name>\xE9</name></r>",
        &one("é"),
    );
    refused(
        plain,
        "application/json",
        b"[{\"id\": 1, \"name\": \"\xE9\"}]",
        1,
        &["not UTF-8 at byte 20", "GET http://127.0.0.1"],
    );
    refused(
        "response: csv",
        "text/csv",
        b"id,name\n1,\xE9\n",
        1,
        &["not UTF-8 at byte 10", "names another charset"],
    );
    refused(
        plain,
        "application/json; charset=klingon",
        "[]",
        1,
        &["the charset `klingon` is not known"],
    );
}

#[test]
fn an_answer_of_another_type_is_refused_and_names_it() {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    for (response, expects) in [
        ("json", "JSON"),
        ("jsonl", "JSON Lines"),
        ("csv", "CSV"),
        ("{format: xml}\ndata_selector: r.i", "XML"),
    ] {
        let endpoint = format!("response: {response}");
        let said =
            format!("`text/html; charset=utf-8`, an HTML page, where the spec expects {expects}");
        let body = "<title>Sign in</title>";
        let page_type = "text/html; charset=utf-8";
        refused(
            &endpoint,
            page_type,
            page,
            1,
            &[&said, body, "login or error page"],
        );
    }
    refused(
        "response: csv",
        "application/json",
        "{\"error\": \"quota\"}",
        1,
        &[
            "`application/json` where the spec expects CSV",
            "format: json",
        ],
    );
    refused(
        "response: json",
        "application/x-ndjson",
        "{\"id\": 1}\n{\"id\": 2}\n",
        1,
        &["where the spec expects JSON", "format: jsonl"],
    );
}

#[test]
fn a_body_that_was_cut_is_fetched_again_and_never_taken() {
    // Four attempts, and no row of any of them.
    for (endpoint, content_type, body, says) in [
        (
            "response: jsonl",
            "application/x-ndjson",
            "{\"id\": 1}\n{\"id\": 2, \"na",
            "the document ends at line 2",
        ),
        (
            "response: jsonl",
            "application/x-ndjson",
            "{\"id\": 1}\n{\"id\": 2",
            "`,` or `}`",
        ),
        (
            "response: csv",
            "text/csv",
            "id,name\n1,x\n2",
            "line 3 of the CSV page has 1 values",
        ),
        (
            "response: csv",
            "text/csv",
            "id,name\n1,x\n2,\"y",
            "ends within the quoted value",
        ),
        (
            "response: xml\ndata_selector: r.i",
            "text/xml",
            "<r><i><id>1</id></i><i><id>2",
            "ends within the element `id`",
        ),
        (
            "response: xml\ndata_selector: r.i",
            "text/xml",
            "<r><i><id>1</id></i",
            "malformed",
        ),
    ] {
        refused(endpoint, content_type, body, 4, &[says]);
    }
    // What is wrong in the middle is wrong the next time too.
    for (endpoint, content_type, body, says) in [
        (
            "response: jsonl",
            "application/x-ndjson",
            "{\"id\": 1}\n{\"id\": ]\n{\"id\": 3}",
            "expected",
        ),
        (
            "response: jsonl",
            "application/x-ndjson",
            "{\"id\": 1} {\"id\": 2}\n",
            "the end of the line",
        ),
        (
            "response: csv",
            "text/csv",
            "id,name\n1\n2,y\n",
            "line 2 of the CSV page has 1 values",
        ),
        (
            "response: csv",
            "text/csv",
            "id,name\n1,x,z\n2,y\n",
            "line 2 of the CSV page has 3 values",
        ),
        (
            "response: csv",
            "text/csv",
            "id,name,name\n1,x,y\n",
            "two columns called `name`",
        ),
        (
            "response: xml\ndata_selector: r.i",
            "text/xml",
            "<r><i></r>",
            "malformed",
        ),
        (
            "response: xml\ndata_selector: r.i",
            "text/xml",
            "<e><i/></e>",
            "`r`",
        ),
        (
            "response: xml\ndata_selector: r.i",
            "text/xml",
            "<!DOCTYPE r [<!ENTITY a \"1\">]><r/>",
            "declarations of its own",
        ),
    ] {
        refused(endpoint, content_type, body, 1, &[says]);
    }
    // A cut on the way, once: the whole page comes next.
    let whole = "id,name\n1,x\n2,y\n";
    for ending in [Ending::CutLength, Ending::CutChunked] {
        let answers = vec![
            Answer::new(200, "text/csv", whole).ending(ending),
            Answer::new(200, "text/csv", whole),
        ];
        let ran = ran("response: csv", answers, 0);
        assert_eq!(ran.ids(), [1, 2]);
        assert_eq!(ran.server.data_requests().len(), 2);
    }
}

/// A text in each content encoding, without compressing it much.
fn encoded(text: &str) -> [(&'static str, Vec<u8>); 4] {
    let text = text.as_bytes();
    let level = flate2::Compression::fast();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(text).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(text).unwrap();
    let length = u32::try_from(text.len()).unwrap();
    // RFC 7932, section 9.2: a window, an uncompressed meta-block, an empty last one.
    let header = ((length - 1) << 4) | (1 << 20);
    let brotli = [&header.to_le_bytes()[..3], text, &[3]].concat();
    // RFC 8878, section 3.1.1: a frame of one segment with one raw block.
    let size = u8::try_from(length).unwrap();
    let block = (length << 3) | 1;
    let magic = [0x28, 0xB5, 0x2F, 0xFD, 0x20, size];
    let zstd = [&magic[..], &block.to_le_bytes()[..3], text].concat();
    [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("br", brotli),
        ("zstd", zstd),
    ]
}

#[test]
fn every_content_encoding_is_decoded_and_one_that_is_cut_is_fetched_again() {
    for (encoding, body) in encoded("[{\"id\": 1, \"name\": \"a name that is long enough\"}]") {
        let answer =
            |body: &[u8]| Answer::json(200, body.to_vec()).header("content-encoding", encoding);
        let whole = ran("paginator: single_page", vec![answer(&body)], 0);
        assert_eq!(whole.ids(), [1], "{encoding}");
        assert_eq!(whole.server.data_requests().len(), 1, "{encoding}");
        let half = answer(&body[..body.len() / 2]);
        let again = ran("paginator: single_page", vec![half, answer(&body)], 0);
        assert_eq!(again.ids(), [1], "{encoding}");
        assert_eq!(again.server.data_requests().len(), 2, "{encoding}");
    }
}

#[test]
fn a_content_encoding_that_is_damaged_is_fetched_again() {
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let damaged = Answer::json(200, "[{\"id\": 1}]").header("content-encoding", encoding);
        let whole = Answer::json(200, "[{\"id\": 2}]");
        let ran = ran("paginator: single_page", vec![damaged, whole], 0);
        assert_eq!(ran.ids(), [2], "{encoding}");
        assert_eq!(ran.server.data_requests().len(), 2, "{encoding}");
    }
}

#[test]
fn pages_without_records_come_in_many_forms() {
    for (endpoint, answer) in [
        ("response: json", Answer::new(204, "text/plain", "")),
        ("response: json", Answer::json(200, "")),
        ("response: json", Answer::json(202, "null")),
        (
            "response: json\ndata_selector: a.b",
            Answer::json(200, "{\"a\": null}"),
        ),
        (
            "response: jsonl",
            Answer::new(200, "application/x-ndjson", ""),
        ),
        (
            "response: jsonl",
            Answer::new(200, "application/x-ndjson", "\n\n"),
        ),
        (
            "decoder: {type: CsvDecoder, separator: \",\"}",
            Answer::new(200, "text/csv", "id,name\n"),
        ),
        ("response: csv", Answer::new(200, "text/csv", "")),
        (
            "response: xml\ndata_selector: r.i",
            Answer::new(200, "text/xml", "<r/>"),
        ),
        (
            "response: xml\ndata_selector: r.i",
            Answer::new(200, "text/xml", "<r><n>0</n></r>"),
        ),
        (
            "response: xml\ndata_selector: r.l.i",
            Answer::new(200, "text/xml", "<r><l>\n</l></r>"),
        ),
    ] {
        let ran = ran(endpoint, vec![answer], 0);
        assert_eq!(entry(&ran.record, "items")["rows_read"], 0, "{endpoint}");
        assert_eq!(ran.server.data_requests().len(), 1, "{endpoint}");
    }
}
