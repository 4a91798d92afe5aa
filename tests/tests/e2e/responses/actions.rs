//! What the spec says is done about answers: ignored, tried again, failed, a page even so.

use super::*;

const OFFSET: &str = "data_selector: items\npaginator: {type: offset, limit: 2}\n";

fn page(ids: &[i64]) -> Answer {
    let items: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    Answer::json(200, json!({"items": items}).to_string())
}

/// What actions make of a second answer: the exit code, the identifiers, the requests, the ignored.
#[track_caller]
pub(crate) fn acted(
    actions: &str,
    second: Answer,
    code: u8,
    ids: &[i64],
    requests: usize,
    ignored: u64,
) -> Ran {
    let answers = vec![page(&[1, 2]), second, page(&[3])];
    let ran = ran(&format!("{OFFSET}{actions}"), answers, code);
    if code == 0 {
        assert_eq!(ran.ids(), ids, "{actions}");
    }
    assert_eq!(ran.server.data_requests().len(), requests, "{actions}");
    let entry = entry(&ran.record, "items");
    assert_eq!(entry["ignored_responses"], ignored, "{actions}");
    ran
}

#[test]
fn ignored_answers_end_paging_and_are_counted() {
    let gone = || Answer::json(404, r#"{"message": "Not found"}"#);
    let actions = "response_actions: [{status_code: 404, action: ignore}]";
    acted(actions, gone(), 0, &[1, 2], 2, 1);
    let class = "response_actions: [{status_code: [410, 4xx], action: ignore}]";
    acted(class, gone(), 0, &[1, 2], 2, 1);
    let content = "response_actions: [{content: Not found, action: ignore}]";
    acted(content, gone(), 0, &[1, 2], 2, 1);
    acted(
        content,
        Answer::json(200, r#"{"items": [{"id": 9}], "w": "Not found"}"#),
        0,
        &[1, 2],
        2,
        1,
    );
    let both = "response_actions: [{status_code: 200, content: some text, action: ignore}]";
    acted(both, gone(), 4, &[], 2, 0).says(&["404 Not Found"]);
    acted(
        both,
        Answer::new(200, "text/plain", "some text, no JSON"),
        0,
        &[1, 2],
        2,
        1,
    );
    let header = "response_actions: [{headers: {X-Reason: empty}, action: ignore}]";
    acted(header, gone().header("x-reason", "empty"), 0, &[1, 2], 2, 1);
    acted(header, gone().header("x-reason", "other"), 4, &[], 2, 0);
    let predicate = "response_actions: [{predicate: \"{{ response.message in ['Not found'] }}\", action: ignore}]";
    acted(predicate, gone(), 0, &[1, 2], 2, 1);
    acted(predicate, Answer::json(404, "{}"), 4, &[], 2, 0);
    // An action comes before the retry rules, which list 503.
    let down = "response_actions: [{status_code: 503, action: ignore}]";
    acted(down, Answer::json(503, "{}"), 0, &[1, 2], 2, 1);
}

#[test]
fn answers_that_are_no_errors_can_be_and_errors_can_be_pages() {
    let limited = || Answer::json(200, r#"{"error": {"code": 17, "message": "rate limited"}}"#);
    let retry =
        "response_actions: [{predicate: \"{{ response.error.code == 17 }}\", action: retry}]";
    acted(retry, limited(), 0, &[1, 2, 3], 3, 0);
    let waits =
        "response_actions: [{content: rate limited, action: retry, wait: [{header: X-Wait}, 2]}]";
    acted(
        waits,
        limited().header("x-wait", "0.001"),
        0,
        &[1, 2, 3],
        3,
        0,
    );
    let fail = "response_actions: [{content: rate limited, action: fail, message: Ask for a higher quota}]";
    acted(fail, limited(), 4, &[], 2, 0).says(&["200 OK: Ask for a higher quota"]);
    let fail = "response_actions: [{content: rate limited, action: fail}]";
    acted(fail, limited(), 4, &[], 2, 0).says(&["200 OK with what the spec calls a failure"]);
    let never = "response_actions: [{status_code: 429, action: fail, message: Not today}]";
    acted(never, Answer::json(429, "{}"), 4, &[], 2, 0).says(&["429 Too Many Requests: Not today"]);
    let success = "response_actions: [{status_code: 404, action: success}]";
    acted(
        success,
        Answer::json(404, r#"{"items": [{"id": 5}]}"#),
        0,
        &[1, 2, 5],
        2,
        0,
    );
    // Retries are counted, whatever asked for them.
    let answers = vec![limited()];
    let ran = ran(
        &format!("{OFFSET}{retry}\nretry: {{max_retries: 2}}"),
        answers,
        4,
    );
    assert_eq!(ran.server.data_requests().len(), 3);
    ran.says(&["\"attempts\":\"3\""]);
}

#[test]
fn the_nearest_actions_come_first_and_null_takes_them_back() {
    #[track_caller]
    fn check(client: &str, defaults: &str, own: &str, status: u16, code: u8) {
        let connector = connector(&format!(
            "client: {{base_url: \"https://api.example.com\"{client}}}\n\
             resource_defaults: {{endpoint: {{data_selector: items{defaults}}}}}\n\
             resources:\n- name: items\n  endpoint: {{path: /items{own}}}\n\
             \x20 schema: {{fields: {{id: integer}}}}\n"
        ));
        let server = scripted(&connector, vec![Answer::json(status, "{}")]);
        let workspace = Workspace::new();
        let (found, _) = run(&connector, &server, &workspace, &[]);
        expect_code(found, code);
    }
    const IGNORE: &str = ", response_actions: [{status_code: 404, action: ignore}]";
    const FAIL: &str = ", response_actions: [{status_code: 4xx, action: fail}]";
    check(IGNORE, "", "", 404, 0);
    check("", IGNORE, "", 404, 0);
    check("", "", IGNORE, 404, 0);
    check(IGNORE, FAIL, "", 404, 4);
    check(FAIL, IGNORE, "", 404, 0);
    check("", FAIL, IGNORE, 404, 0);
    check("", IGNORE, FAIL, 404, 4);
    check("", FAIL, IGNORE, 403, 4);
    check(IGNORE, "", ", response_actions: null", 404, 4);
    check("", IGNORE, ", response_actions: null", 404, 4);
    const HANDLER: &str = ", error_handler: {type: DefaultErrorHandler, response_filters: \
                           [{http_codes: [404], action: IGNORE}]}";
    check("", "", HANDLER, 404, 0);
    check(HANDLER, "", "", 404, 0);
    check(HANDLER, "", FAIL, 404, 4);
}

#[test]
fn an_error_handler_of_a_manifest_works_as_it_stands() {
    const HANDLER: &str = r#"error_handler:
  type: CompositeErrorHandler
  error_handlers:
  - type: DefaultErrorHandler
    max_retries: 1
    backoff_strategies:
    - {type: WaitTimeFromHeader, header: X-Retry-In}
    - {type: ConstantBackoffStrategy, backoff_time_in_seconds: 5}
    response_filters:
    - {type: HttpResponseFilter, action: RATE_LIMITED, http_codes: [420]}
  - type: DefaultErrorHandler
    response_filters:
    - type: HttpResponseFilter
      action: IGNORE
      http_codes: [404]
      predicate: "{{ response.get('code') == 'GONE' }}"
      error_message_contains: no longer"#;
    acted(
        HANDLER,
        Answer::json(420, "{}").header("x-retry-in", "0"),
        0,
        &[1, 2, 3],
        3,
        0,
    );
    acted(HANDLER, Answer::json(404, "{}"), 0, &[1, 2], 2, 1);
    acted(
        HANDLER,
        Answer::json(200, r#"{"code": "GONE"}"#),
        0,
        &[1, 2],
        2,
        1,
    );
    acted(
        HANDLER,
        Answer::json(400, "It is no longer there"),
        0,
        &[1, 2],
        2,
        1,
    );
    acted(HANDLER, Answer::json(400, "{}"), 4, &[], 2, 0);
    let ran = ran(
        &format!("{OFFSET}{HANDLER}"),
        vec![Answer::json(420, "{}")],
        4,
    );
    assert_eq!(ran.server.data_requests().len(), 2, "one retry");
}

#[test]
fn a_token_is_renewed_when_the_spec_says_how_a_refusal_looks() {
    let auth = "auth: {type: session_token, login_path: /login, json: {user: u}}\n";
    let page = Answer::json(200, r#"{"items": [{"id": 1}]}"#);
    let refusal = Answer::json(403, r#"{"error": "token expired"}"#);
    let token = Answer::json(200, r#"{"token": "t-canary"}"#);
    for (refusals, code, logins) in [(1, 0, 2), (2, 4, 2)] {
        let actions =
            "response_actions: [{status_code: 403, content: expired, action: refresh_token}]";
        let connector = connector(&spec(&format!("data_selector: items\n{auth}{actions}")));
        let (page, refusal, token) = (page.clone(), refusal.clone(), token.clone());
        let options = Options {
            responder: Some(std::sync::Arc::new(move |request, nth| {
                Some(match request.path.as_str() {
                    "/login" => token.clone(),
                    _ if nth <= refusals => refusal.clone(),
                    _ => page.clone(),
                })
            })),
            ..Options::default()
        };
        let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
        let workspace = Workspace::new();
        let (found, _) = run(&connector, &server, &workspace, &[]);
        expect_code(found, code);
        let requests = server.requests();
        let paths = requests.iter().filter(|request| request.path == "/login");
        assert_eq!(paths.count(), logins, "{refusals} refusals");
        assert_eq!(requests.len(), logins + 2, "{refusals} refusals");
        assert!(workspace.holding("t-canary").is_empty());
    }
}

#[test]
fn an_ignored_child_leaves_the_others() {
    let connector = connector(
        "client: {base_url: \"https://api.example.com\", concurrency: 1}\n\
         resources:\n- name: orgs\n  endpoint: /orgs\n  schema: {fields: {id: integer}}\n\
         - name: items\n  parent: {resource: orgs, field: id, as: org}\n\
         \x20 endpoint: {path: '/orgs/{org}/items', response_actions: [{status_code: 404, action: ignore}]}\n\
         \x20 schema: {fields: {id: integer}}\n",
    );
    let options = Options {
        responder: Some(std::sync::Arc::new(|request, _| {
            Some(match request.path.as_str() {
                "/orgs" => Answer::json(200, r#"[{"id": 1}, {"id": 2}, {"id": 3}]"#),
                "/orgs/2/items" => Answer::json(404, "{}"),
                path => Answer::json(200, format!(r#"[{{"id": {}}}]"#, path.len())),
            })
        })),
        ..Options::default()
    };
    let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    let (code, record) = run(&connector, &server, &workspace, &[]);
    expect_code(code, 0);
    assert_eq!(rows(&workspace, "items").count(), 2);
    let entry = entry(&record, "items");
    assert_eq!(entry["ignored_responses"], 1);
    assert_eq!(entry["skipped_partitions"], 0);
}
