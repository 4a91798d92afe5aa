//! Answers that are no plain UTF-8: what pages say beside their records, and what actions look for.

use std::io::Write as _;

use connector_sandbox::Answer;
use serde_json::json;

use crate::responses::actions::acted;
use crate::responses::ran;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A text as an API may send it: keys of the endpoint, the content type, the bytes.
fn encoded(text: &str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json = "application/json";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    vec![
        ("", json, text.as_bytes().to_vec()),
        ("", json, [b"\xEF\xBB\xBF", text.as_bytes()].concat()),
        ("", json, [b"\xFF\xFE", wide.as_slice()].concat()),
        ("", json, wide.clone()),
        ("", "application/json; charset=utf-16le", wide),
        ("", "application/json; charset=iso-8859-1", latin),
        (
            "response: {compression: gzip}",
            "application/gzip",
            gzip(text.as_bytes()),
        ),
        (
            "response: {compression: gzip}",
            json,
            gzip(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()),
        ),
    ]
}

#[test]
fn what_nobody_declared_is_found_in_every_encoding() {
    let first = json!({"data": [{"id": 1, "name": "é"}], "next": "/items?page=2"}).to_string();
    let last = json!({"data": [{"id": 2, "name": "é"}], "next": null}).to_string();
    for ((endpoint, kind, first), (.., last)) in encoded(&first).into_iter().zip(encoded(&last)) {
        let answers = [first, last].map(|body| Answer::new(200, kind, body));
        let ran = ran(
            &format!("data_selector: data\n{endpoint}"),
            answers.to_vec(),
            0,
        );
        assert_eq!(ran.ids(), [1, 2], "{endpoint} {kind}");
        assert_eq!(ran.server.data_requests().len(), 2, "{endpoint} {kind}");
    }
    let pages = ["<next>/items?page=2</next>", ""].into_iter().zip(1..);
    let xml = pages.map(|(next, id)| {
        let page = format!("<?xml version=\"1.0\"?><r><i><id>{id}</id></i>{next}</r>");
        Answer::new(200, "application/xml", page)
    });
    let ran = ran("data_selector: r.i\nresponse: xml", xml.collect(), 0);
    assert_eq!(ran.ids(), [1, 2]);
    assert_eq!(ran.server.data_requests().len(), 2);
}

#[test]
fn what_beside_the_records_cannot_be_read_is_no_end_of_the_pages() {
    let page = r#"{"data": [{"id": 1}], "cost": 1e999, "next": "/items?page=2"}"#;
    let refused = ran("data_selector: data", vec![Answer::json(200, page)], 4);
    refused.says(&[
        "beside its records cannot be read: number out of range",
        "paginator",
    ]);
    // A document that is the record says nothing about pages.
    let record = r#"{"id": 1, "cost": 1e999}"#;
    let single = ran("response: json", vec![Answer::json(200, record)], 0);
    assert_eq!(single.ids(), [1]);
}

#[test]
fn actions_see_answers_in_every_encoding() {
    let gone = json!({"message": "Déjà supprimé", "error": {"code": 7}}).to_string();
    for (endpoint, kind, body) in encoded(&gone) {
        for rule in [
            "predicate: \"{{ response.error.code == 7 }}\"",
            "content: Déjà supprimé",
        ] {
            let actions = format!("response_actions: [{{{rule}, action: ignore}}]\n{endpoint}");
            acted(
                &actions,
                Answer::new(404, kind, body.clone()),
                0,
                &[1, 2],
                2,
                1,
            );
        }
    }
}

#[test]
fn actions_see_failures_in_the_format_of_the_pages_and_in_json() {
    let predicate = "predicate: \"{{ response.error.code in [7, '7'] }}\", action: ignore";
    for (response, page, failure) in [
        (
            "data_selector: r.i\nresponse: xml",
            "<r><i><id>1</id></i></r>",
            "<error><code>7</code></error>",
        ),
        (
            "data_selector: r.i\nresponse: xml",
            "<r><i><id>1</id></i></r>",
            r#"{"error": {"code": 7}}"#,
        ),
        ("response: csv", "id\n1\n", r#"{"error": {"code": 7}}"#),
    ] {
        let kind = match failure.starts_with('<') {
            true => "application/xml",
            false => "application/json",
        };
        let answers = vec![Answer::new(200, "", page), Answer::new(400, kind, failure)];
        let ran = ran(
            &format!(
                "{response}\nresponse_actions: [{{{predicate}}}]\npaginator: {{type: page_number, base_page: 1}}"
            ),
            answers,
            0,
        );
        assert_eq!(ran.ids(), [1], "{response} {failure}");
        assert_eq!(ran.server.data_requests().len(), 2, "{response} {failure}");
    }
}
