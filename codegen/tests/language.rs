//! What specs mean: aliases, defaults, merging, expressions.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests fail like tests"
)]

#[path = "language/json_schema.rs"]
mod json_schema;

use connector_codegen::{Ir, LowerOptions, Severity, Source, lower};
use connector_plan::{
    ApiKeyLocation, Auth, Body, ClientAuthentication, Cursor, CursorSource, FieldType, Grant,
    Method, PLAN_VERSION, Paginator, Plan, Resource, SettingKind, SettingRole, Step, Target,
    Template, Timeouts, WriteDisposition,
};
use serde_json::{Value, json};

const FULL: &str = include_str!("specs/full.yaml");

#[track_caller]
fn read(spec: &str) -> Ir {
    let source = Source::new("spec.yaml", spec);
    match lower(&source, &LowerOptions::new("storage")) {
        Ok((ir, warnings)) => {
            assert!(
                warnings
                    .iter()
                    .all(|item| item.severity == Severity::Warning)
            );
            ir
        }
        Err(error) => panic!("{error}"),
    }
}

fn full() -> Ir {
    read(FULL)
}

#[track_caller]
fn resource<'p>(plan: &'p Plan, name: &str) -> &'p Resource {
    plan.resource(name).unwrap_or_else(|| panic!("{name}"))
}

/// A template in short: literals as JSON, lookups as `<root/key>`.
fn show(template: &Template) -> String {
    use connector_plan::{Expression, Part};
    let lookup = |expression: &Expression| match expression {
        Expression::Lookup(lookup) => {
            let path: String = lookup
                .path
                .iter()
                .map(|step| match step {
                    Step::Key(key) => format!("/{key}"),
                    other => format!("{other:?}"),
                })
                .collect();
            format!("<{:?}{path}>", lookup.root)
        }
        other => format!("{other:?}"),
    };
    match template {
        Template::Literal(value) => value.to_string(),
        Template::Expression(expression) => lookup(expression),
        Template::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expression(expression) => lookup(expression),
            })
            .collect(),
        Template::Object(members) => {
            let members = members
                .iter()
                .map(|member| format!("{}: {}", member.name, show(&member.value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Template::List(elements) => {
            let elements: Vec<String> = elements.iter().map(show).collect();
            format!("[{}]", elements.join(", "))
        }
    }
}

fn params(resource: &Resource) -> Vec<String> {
    resource
        .endpoint
        .params
        .iter()
        .map(|param| {
            let values: Vec<String> = param.values.iter().map(show).collect();
            format!("{}={}", param.name, values.join(","))
        })
        .collect()
}

fn keys(path: &[&str]) -> Vec<Step> {
    path.iter()
        .map(|key| Step::Key((*key).to_owned()))
        .collect()
}

#[test]
fn a_plan_survives_its_json() {
    let plan = full().plan;
    assert_eq!(plan.version, PLAN_VERSION);
    assert_eq!(Plan::from_json(&plan.to_json().unwrap()).unwrap(), plan);
    assert_eq!(full().plan.to_json().unwrap(), plan.to_json().unwrap());
}

#[test]
fn the_client_is_read() {
    let client = full().plan.client;
    assert_eq!(client.base_url, "https://api.example.com/v2");
    let headers: Vec<String> = client
        .headers
        .iter()
        .map(|header| format!("{}: {}", header.name, show(&header.value)))
        .collect();
    assert_eq!(
        headers,
        [
            "Accept: \"application/json\"",
            "X-Region: <Config/region>",
            "X-Version: 3"
        ]
    );
    assert_eq!(client.retry.statuses, [403]);
    assert_eq!(client.retry.max_retries, 0);
    assert_eq!(
        (client.retry.backoff_factor, client.retry.max_delay),
        (0.5, 10.0)
    );
    assert!(!client.retry.jitter);
    let limit = client.rate_limit.unwrap();
    assert_eq!((limit.requests, limit.seconds), (10, 60));
    let timeouts = Timeouts {
        connect: 1.0,
        read: 2.5,
        total: 30.0,
    };
    assert_eq!(client.timeouts, timeouts);
    assert_eq!(client.concurrency, 8);
    assert_eq!(
        client.allowed_hosts,
        ["files.example.org", "other.example.org:8443"]
    );
    let Auth::Oauth2(oauth2) = client.auth else {
        panic!("{:?}", client.auth);
    };
    assert_eq!(oauth2.token_url, "https://login.example.com/token");
    assert_eq!(show(&oauth2.client_id), "<Secrets/client_id>");
    assert_eq!(
        oauth2.client_secret.as_ref().map(show).as_deref(),
        Some("<Secrets/client_secret>")
    );
    let Grant::RefreshToken(token) = &oauth2.grant else {
        panic!("{:?}", oauth2.grant);
    };
    assert_eq!(show(token), "<Secrets/refresh_token>");
    assert_eq!(oauth2.scopes, ["read", "write"]);
    let extra: Vec<String> = oauth2
        .extra
        .iter()
        .map(|field| format!("{}={}", field.name, show(&field.value)))
        .collect();
    assert_eq!(
        extra,
        ["audience=\"everyone\"", "resource=urn:<Config/region>"]
    );
    assert_eq!(oauth2.client_authentication, ClientAuthentication::Basic);
    assert_eq!(oauth2.default_expires_in, 60);
}

#[test]
fn defaults_are_those_of_the_language() {
    let ir = read(
        "client: {base_url: \"https://api.example.com\"}\nresources: [{name: a, schema: {fields: {id: integer}}}]",
    );
    let client = ir.plan.client;
    assert_eq!(client.auth, Auth::None);
    assert_eq!(client.retry.statuses, [429, 500, 502, 503, 504]);
    assert_eq!(client.retry.max_retries, 3);
    assert_eq!(
        (client.retry.backoff_factor, client.retry.max_delay),
        (1.0, 300.0)
    );
    assert!(client.retry.jitter);
    assert_eq!(client.rate_limit, None);
    let timeouts = Timeouts {
        connect: 10.0,
        read: 60.0,
        total: 300.0,
    };
    assert_eq!(client.timeouts, timeouts);
    assert_eq!(client.concurrency, 16);
    let resource = &ir.plan.resources[0];
    assert!(resource.selected);
    assert_eq!(resource.endpoint.path, Template::text("/a"));
    assert_eq!(resource.endpoint.method, Method::Get);
    assert_eq!(resource.endpoint.data_selector.steps, []);
    assert_eq!(resource.endpoint.paginator, Paginator::Auto);
    assert_eq!(resource.write_disposition, WriteDisposition::Append);
    assert_eq!(resource.primary_key, [""; 0]);
    assert!(resource.fields[0].nullable);
    assert_eq!(ir.plan.settings.len(), 1);
}

/// The endpoint with these lines, of a resource below `files`.
#[track_caller]
fn endpoint_of(lines: &str) -> connector_plan::Endpoint {
    let spec = format!(
        "client: {{base_url: \"https://api.example.com\"}}\nconfig: {{base: string}}\nresources:\n\
         - {{name: files, schema: {{fields: {{id: integer}}}}}}\n\
         - name: a\n  {lines}\n  schema: {{fields: {{id: integer}}}}\n"
    );
    read(&spec).plan.resource("a").unwrap().endpoint.clone()
}

#[test]
fn only_an_item_of_a_parent_is_one_page_without_a_paginator() {
    #[track_caller]
    fn check(lines: &str, single: bool) {
        let paginator = endpoint_of(lines).paginator;
        assert_eq!(
            paginator == Paginator::SinglePage,
            single,
            "{lines}: {paginator:?}"
        );
    }
    let parent = "parent: {resource: files, field: id, as: file_id}";
    check(
        &format!("{parent}\n  endpoint: {{path: '/files/{{file_id}}'}}"),
        true,
    );
    check(
        &format!("{parent}\n  endpoint: {{path: '/files/{{file_id}}.json'}}"),
        true,
    );
    check(
        "endpoint: {path: '/regions/{r}'}\n  partitions: {r: [eu, us]}",
        true,
    );
    check(
        &format!("{parent}\n  endpoint: {{path: '/files/{{file_id}}/notes'}}"),
        false,
    );
    check(
        &format!("{parent}\n  endpoint: {{path: '/folders/{{file_id}}', data_selector: entries}}"),
        false,
    );
    check("endpoint: {path: \"/v0/{{ config.base }}\"}", false);
    check("endpoint: {path: \"{{ config.base }}\"}", false);
    check(
        "endpoint: {path: '/users/{user}', params: {user: 5}}",
        false,
    );
}

#[test]
fn strategies_of_inner_error_handlers_count() {
    let retry = endpoint_of(
        "endpoint:\n    error_handler:\n      type: CompositeErrorHandler\n      error_handlers:\n\
         \x20     - type: CompositeErrorHandler\n        error_handlers:\n\
         \x20       - {type: DefaultErrorHandler, max_retries: 9, backoff_strategies: [{type: ExponentialBackoffStrategy, factor: 7}]}",
    )
    .retry
    .unwrap();
    assert_eq!((retry.max_retries, retry.backoff_factor), (9, 7.0));
}

#[test]
fn a_parameter_that_the_path_names_goes_into_the_path() {
    #[track_caller]
    fn check(lines: &str, path: &str, left: &[&str]) {
        let endpoint = endpoint_of(lines);
        assert_eq!(show(&endpoint.path), path, "{lines}");
        let names: Vec<&str> = endpoint
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        assert_eq!(names, left, "{lines}");
    }
    check(
        "endpoint: {path: 'users/{user_id}/posts', params: {user_id: 5, sort: id}}",
        "\"/users/5/posts\"",
        &["sort"],
    );
    check(
        "endpoint: {path: '/{kind}/{name}/{kind}', params: {name: 'a b/c?', kind: \"x{{ config.base }}\"}}",
        "/x<Config/base>/a%20b%2Fc%3F/x<Config/base>",
        &[],
    );
    // A parent that gives the value comes first, and so does a parameter that repeats.
    check(
        "parent: {resource: files, field: id, as: file_id}\n  endpoint: {path: '/files/{file_id}/x', params: {file_id: 5}}",
        "/files/<Partition/file_id>/x",
        &["file_id"],
    );
}

#[test]
fn paginators_have_the_defaults_of_dlt() {
    #[track_caller]
    fn check(paginator: &str, expect: &Value) {
        let spec = format!(
            "client: {{base_url: \"https://api.example.com\"}}\nresources: [{{name: a, endpoint: {{paginator: {paginator}}}, schema: {{fields: {{id: integer}}}}}}]"
        );
        let ir = read(&spec);
        let found = serde_json::to_value(&ir.plan.resources[0].endpoint.paginator).unwrap();
        assert_eq!(&found, expect, "{paginator}");
    }
    let stop = |empty: bool| json!({"after_empty_page": empty, "on_short_page": false, "total": null, "has_more": null});
    check(
        "offset",
        &json!({"type": "offset", "start": 0, "offset": {"query": "offset"}, "limit": null, "limit_target": null, "maximum": null, "stop": stop(true)}),
    );
    check(
        "{type: offset, limit: 5}",
        &json!({"type": "offset", "start": 0, "offset": {"query": "offset"}, "limit": 5, "limit_target": {"query": "limit"}, "maximum": null, "stop": stop(true)}),
    );
    check(
        "page_number",
        &json!({"type": "page_number", "start": 0, "page": {"query": "page"}, "limit": null, "limit_target": null, "maximum": null, "stop": stop(true)}),
    );
    check(
        "{type: page_number, page: 1}",
        &json!({"type": "page_number", "start": 1, "page": {"query": "page"}, "limit": null, "limit_target": null, "maximum": null, "stop": stop(true)}),
    );
    check(
        "cursor",
        &json!({"type": "cursor", "source": {"body": [{"key": "cursors"}, {"key": "next"}]}, "cursor": {"query": "cursor"}, "follow_links": true, "limit": null, "limit_target": null, "stop": stop(false)}),
    );
    check(
        "{type: cursor, cursor_param: c, cursor_value: \"{{ response.get('paging', {}).get('next_link', {}) }}\", stop_condition: \"{{ response.chunk_size == 0 }}\"}",
        &json!({"type": "cursor", "source": {"body": [{"key": "paging"}, {"key": "next_link"}]}, "cursor": {"query": "c"}, "limit": null, "limit_target": null, "stop": {
            "after_empty_page": false, "on_short_page": false, "total": null, "has_more": null,
            "condition": {"predicate": {"compare": [{"lookup": {"root": "response", "path": [{"key": "chunk_size"}], "default": null}}, "equal", {"literal": 0}]}}
        }}),
    );
    check(
        "{type: cursor, cursor_param: c, cursor_value: \"{{ last_record['id'] }}\"}",
        &json!({"type": "cursor", "source": {"last_record": [{"key": "id"}]}, "cursor": {"query": "c"}, "limit": null, "limit_target": null, "stop": stop(false)}),
    );
    check(
        "{type: cursor, cursor_param: c, cursor_value: \"{{ response.a.b | int + 1 }}\"}",
        &json!({"type": "cursor", "source": {"jinja": {"source": "response.a.b | int + 1", "reads": [{"root": "response", "path": [{"key": "a"}, {"key": "b"}]}]}}, "cursor": {"query": "c"}, "limit": null, "limit_target": null, "stop": stop(false)}),
    );
    check(
        "json_link",
        &json!({"type": "cursor", "source": {"body": [{"key": "next"}]}, "cursor": null, "limit": null, "limit_target": null, "stop": stop(false)}),
    );
    check(
        "header_link",
        &json!({"type": "cursor", "source": {"link": "next"}, "cursor": null, "limit": null, "limit_target": null, "stop": stop(false)}),
    );
    check(
        "header_cursor",
        &json!({"type": "cursor", "source": {"header": "next"}, "cursor": {"query": "cursor"}, "limit": null, "limit_target": null, "stop": stop(false)}),
    );
    check("single_page", &json!({"type": "single_page"}));
    check("auto", &json!({"type": "auto"}));
    check("null", &json!({"type": "auto"}));
}

#[test]
fn a_bare_resource_takes_all_defaults() {
    let plan = full().plan;
    let plain = resource(&plan, "plain");
    assert_eq!(show(&plain.endpoint.path), "\"/plain\"");
    assert_eq!(plain.primary_key, ["id"]);
    assert_eq!(plain.write_disposition, WriteDisposition::Merge);
    assert_eq!(plain.endpoint.data_selector.steps, keys(&["items"]));
    // The page size stood among the parameters, and the paginator sends it now.
    assert_eq!(params(plain), ["lang=\"en\""]);
    let Paginator::PageNumber(paginator) = &plain.endpoint.paginator else {
        panic!("{:?}", plain.endpoint.paginator);
    };
    assert_eq!(
        (paginator.start, paginator.limit, paginator.maximum),
        (1, Some(50), Some(9))
    );
    assert_eq!(paginator.page, Target::Query("p".to_owned()));
    assert_eq!(
        paginator.limit_target,
        Some(Target::Query("size".to_owned()))
    );
    assert_eq!(paginator.stop.total, Some(keys(&["pages"])));
}

#[test]
fn endpoints_are_merged_key_by_key_and_parameters_one_by_one() {
    let plan = full().plan;
    let events = resource(&plan, "events");
    assert!(!events.selected);
    assert_eq!(events.description, "What happened.");
    assert_eq!(show(&events.endpoint.path), "\"/v1/events\"");
    assert_eq!(
        params(events),
        [
            "stream_type=\"admin logs\"",
            "since=<Config/start_date>",
            "size=<Config/page_size>",
            "expand=\"a\",\"b\",<Config/region>",
            "strict=<Config/strict>",
        ]
    );
    assert_eq!(
        events.endpoint.data_selector.steps,
        [
            Step::Key("entries".to_owned()),
            Step::Wildcard,
            Step::Key("item.x".to_owned())
        ]
    );
    let Paginator::Cursor(cursor) = &events.endpoint.paginator else {
        panic!("{:?}", events.endpoint.paginator);
    };
    assert_eq!(cursor.source, CursorSource::Body(keys(&["paging", "next"])));
    assert_eq!(cursor.cursor, Some(Target::Query("after".to_owned())));
    assert_eq!(
        (cursor.limit, cursor.limit_target.clone()),
        (Some(100), Some(Target::Query("n".to_owned())))
    );
    assert!(cursor.stop.after_empty_page);
    let Some(Auth::ApiKey {
        name,
        value,
        location,
    }) = &events.endpoint.auth
    else {
        panic!("{:?}", events.endpoint.auth);
    };
    assert_eq!(
        (name.as_str(), show(value).as_str()),
        ("key", "<Secrets/key>")
    );
    assert_eq!(*location, ApiKeyLocation::Query);
    // Retry rules of an endpoint replace those of the client as a whole.
    assert_eq!(events.endpoint.retry.as_ref().unwrap().max_retries, 3);
    assert_eq!(events.write_disposition, WriteDisposition::Replace);
    assert_eq!(events.primary_key, ["id", "at"]);
}

#[test]
fn bodies_take_paging_values() {
    let plan = full().plan;
    let search = resource(&plan, "search");
    assert_eq!(search.endpoint.method, Method::Post);
    assert_eq!(
        show(&search.endpoint.path),
        "\"https://files.example.org/search\""
    );
    assert_eq!(search.primary_key, [""; 0]);
    assert_eq!(params(search), [""; 0]);
    assert_eq!(search.endpoint.auth, Some(Auth::None));
    let Some(Body::Json(members)) = &search.endpoint.body else {
        panic!("{:?}", search.endpoint.body);
    };
    let members: Vec<String> = members
        .iter()
        .map(|member| format!("{}={}", member.name, show(&member.value)))
        .collect();
    assert_eq!(
        members,
        [
            "query=<Config/region>",
            "deep={\"a\":[1,null]}",
            "none=null"
        ]
    );
    let Paginator::Offset(offset) = &search.endpoint.paginator else {
        panic!("{:?}", search.endpoint.paginator);
    };
    assert_eq!(
        offset.offset,
        Target::Json(vec!["page".to_owned(), "offset".to_owned()])
    );
    assert_eq!(
        (offset.limit, offset.limit_target.clone()),
        (Some(20), Some(Target::Json(vec!["limit".to_owned()])))
    );
    assert!(offset.stop.on_short_page && !offset.stop.after_empty_page);

    let form = resource(&plan, "form");
    let Some(Body::Form(fields)) = &form.endpoint.body else {
        panic!("{:?}", form.endpoint.body);
    };
    assert_eq!(
        (
            show(&fields[0].value).as_str(),
            show(&fields[1].value).as_str()
        ),
        ("1", "\"{x}\"")
    );
    let Paginator::Offset(offset) = &form.endpoint.paginator else {
        panic!("{:?}", form.endpoint.paginator);
    };
    assert_eq!((offset.start, offset.maximum), (5, Some(100)));
    assert_eq!(offset.offset, Target::Form("start".to_owned()));
    assert_eq!(
        offset.limit_target,
        Some(Target::Header("X-Limit".to_owned()))
    );
    let total = vec![
        Step::Key("a".to_owned()),
        Step::Index(0),
        Step::Key("b".to_owned()),
    ];
    assert_eq!(offset.stop.total, Some(total));
    assert!(
        matches!(&form.endpoint.auth, Some(Auth::Bearer { token }) if show(token) == "<Secrets/key>")
    );
}

#[test]
fn short_forms_are_whole_ones() {
    let plan = full().plan;
    let source = |name: &str| match &resource(&plan, name).endpoint.paginator {
        Paginator::Cursor(Cursor { source, cursor, .. }) => (source.clone(), cursor.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(source("links"), (CursorSource::Body(keys(&["next"])), None));
    assert_eq!(
        source("more_links"),
        (CursorSource::Body(keys(&["a", "b"])), None)
    );
    assert_eq!(
        source("header_links"),
        (CursorSource::Link("more".to_owned()), None)
    );
    let cursor = Some(Target::Header("X-Cursor".to_owned()));
    assert_eq!(
        source("header_cursors"),
        (CursorSource::Header("x-next".to_owned()), cursor)
    );
    assert!(
        matches!(&resource(&plan, "links").endpoint.auth, Some(Auth::Bearer { token }) if show(token) == "<Secrets/token>")
    );
    assert!(matches!(
        &resource(&plan, "more_links").endpoint.auth,
        Some(Auth::HttpBasic { username, password })
            if show(username) == "<Secrets/username>" && show(password) == "<Secrets/password>"
    ));
    let merged = resource(&plan, "merged");
    assert_eq!(show(&merged.endpoint.path), "/a/<Config/region>/b");
    assert_eq!(merged.endpoint.paginator, Paginator::Auto);
    assert_eq!(merged.fields.len(), 2);
}

#[test]
fn fields_have_types() {
    let ir = full();
    let events = resource(&ir.plan, "events");
    let found: Vec<Value> = events
        .fields
        .iter()
        .map(|field| json!([field.name, field.field_type, field.nullable]))
        .collect();
    assert_eq!(
        Value::from(found),
        json!([
            ["id", "integer", false],
            ["at", {"timestamp": {"formats": ["%Y-%m-%d %H:%M:%S"]}}, false],
            ["seen", {"timestamp": {"formats": ["rfc3339", "epoch_seconds"]}}, false],
            ["day", "date", true],
            ["price", {"decimal": {"precision": 10, "scale": 2}}, true],
            ["total", {"decimal": {"precision": 38, "scale": 9}}, true],
            ["ratio", "number", true],
            ["open", "boolean", true],
            ["raw", "json", true],
            ["who", {"object": [
                {"name": "name", "type": "string", "nullable": true, "description": ""},
                {"name": "tags", "type": {"list": "string"}, "nullable": true, "description": ""},
            ]}, true],
            ["parts", {"list": {"object": [
                {"name": "n", "type": "integer", "nullable": true, "description": ""},
            ]}}, true],
        ])
    );
    let line = |key: &str| {
        let number = ir.lines[key] as usize;
        FULL.lines().nth(number - 1).unwrap().trim().to_owned()
    };
    assert!(line("resources.events").contains("name: events"));
    assert!(line("resources.events.who.tags").contains("tags"));
    assert!(line("resources.events.parts.n").contains("n: integer"));
    assert!(line("settings.start_date").starts_with("start_date:"));
    assert!(line("settings.client_id").starts_with("client_id:"));
    assert!(line("settings.base_url").starts_with("base_url:"));
    let record = ir
        .records
        .iter()
        .find(|record| record.resource == "events")
        .unwrap();
    assert_eq!(record.record_name.as_deref(), Some("HappenedEvent"));
}

#[test]
fn settings_stand_in_the_order_of_the_spec() {
    let settings = full().plan.settings;
    let names: Vec<&str> = settings
        .iter()
        .map(|setting| setting.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "base_url",
            "token_url",
            "start_date",
            "region",
            "page_size",
            "strict",
            "key",
            "client_id",
            "client_secret",
            "refresh_token",
            "token",
            "username",
            "password",
        ]
    );
    let base = &settings[0];
    assert_eq!((base.role, base.required), (SettingRole::BaseUrl, false));
    assert_eq!(base.default, Some(json!("https://api.example.com/v2")));
    assert_eq!(settings[1].role, SettingRole::TokenUrl);
    let start = &settings[2];
    assert_eq!(start.environment, "STORAGE_START_DATE");
    assert_eq!(
        (start.kind, start.required, start.secret),
        (SettingKind::Date, false, false)
    );
    assert_eq!(start.default, Some(json!("2026-01-01")));
    assert_eq!(start.description, "The first day.");
    assert_eq!(settings[3].allowed, [json!("eu"), json!("us")]);
    assert_eq!(
        (settings[4].kind, settings[4].required),
        (SettingKind::Integer, true)
    );
    assert_eq!(
        (settings[5].kind, settings[5].required),
        (SettingKind::Boolean, false)
    );
    assert!(settings[6].secret && settings[6].required);
    assert_eq!(
        settings[7].description,
        "The client ID for OAuth2 authentication."
    );
}

#[test]
fn a_name_with_dashes_makes_a_prefix() {
    let source = Source::new(
        "spec.yaml",
        "client: {base_url: \"https://a\"}\nresources: [{name: a, schema: {fields: {id: date}}}]",
    );
    let (ir, _) = lower(&source, &LowerOptions::new("my-api")).unwrap();
    assert_eq!(ir.plan.settings[0].environment, "MY_API_BASE_URL");
}

#[test]
fn the_identity_of_a_resource_is_what_its_data_means() {
    let identity = |change: (&str, &str)| {
        let spec = "client: {base_url: \"https://api.example.com\"}\nresources:\n- name: a\n  description: d\n  primary_key: id\n  write_disposition: merge\n  endpoint: {path: /a, data_selector: items, paginator: {type: offset, limit: 10}}\n  schema: {fields: {id: integer, x: string}}\n";
        assert!(spec.contains(change.0));
        read(&spec.replace(change.0, change.1)).plan.resources[0]
            .identity
            .clone()
    };
    let same = identity(("a", "a"));
    assert_eq!(same.len(), 64);
    assert_eq!(same, identity(("limit: 10", "limit: 20")));
    assert_eq!(same, identity(("description: d", "description: e")));
    assert_eq!(same, identity(("x: string", "x: json")));
    assert_eq!(same, identity(("items", "$.items")));
    assert_ne!(same, identity(("path: /a", "path: /b")));
    assert_ne!(same, identity(("items", "records")));
    assert_ne!(same, identity(("id: integer", "id: string")));
    assert_ne!(same, identity(("merge", "replace")));
    assert_ne!(same, identity(("primary_key: id", "primary_key: x")));
}

#[test]
fn a_byte_order_mark_and_windows_lines_change_nothing() {
    let windows = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    let (plain, windows) = (full(), read(&windows));
    assert_eq!(plain.lines, windows.lines);
    assert_eq!(plain.plan.resources, windows.plan.resources);
    assert_ne!(plain.plan.spec_hash, windows.plan.spec_hash);
}

#[test]
fn what_is_written_wins_over_what_is_merged() {
    let ir = read(
        "client: {base_url: \"https://a\"}\nresources:\n- name: a\n  schema: &one {fields: &fields {id: integer, x: string}}\n- name: b\n  schema:\n    fields:\n      x: date\n      <<: *fields\n      id: number\n- name: c\n  schema: *one\n",
    );
    let types = |at: usize| -> Vec<(&str, &FieldType)> {
        let fields = &ir.plan.resources[at].fields;
        fields
            .iter()
            .map(|field| (field.name.as_str(), &field.field_type))
            .collect()
    };
    assert_eq!(
        types(1),
        [("x", &FieldType::Date), ("id", &FieldType::Number)]
    );
    assert_eq!(types(2), types(0));
}
