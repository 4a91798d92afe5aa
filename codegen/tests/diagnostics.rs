//! What people read when their spec is wrong: one rendered text per mistake.

#[path = "diagnostics/resources.rs"]
mod resources;

use connector_codegen::{LowerOptions, Source, lower};

/// Renders everything that is wrong with a spec, and compares it with the snapshot of this name.
#[track_caller]
fn check(name: &str, spec: &str) {
    let source = Source::new("spec.yaml", spec);
    let text = match lower(&source, &LowerOptions::new("storage")) {
        Err(diagnostics) => diagnostics.render(false),
        Ok((_, warnings)) => {
            assert!(!warnings.is_empty(), "nothing is wrong with\n{spec}");
            let texts: Vec<String> = warnings
                .iter()
                .map(|warning| warning.render(&source, false))
                .collect();
            texts.join("\n\n")
        }
    };
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// A spec whose client has these lines more.
fn client(lines: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n  ");
    format!(
        "client:\n  base_url: https://api.example.com\n  {lines}\nresources:\n- name: files\n  schema:\n    fields:\n      id: integer\n"
    )
}

/// A spec whose resource has these lines more.
fn resource(lines: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n  ");
    format!(
        "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  {lines}\n  schema:\n    fields:\n      id: integer\n"
    )
}

/// A spec whose endpoint has these lines more.
fn endpoint(lines: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n  ");
    resource(&format!("endpoint:\n  {lines}"))
}

/// A spec whose schema has these fields.
fn fields(lines: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n      ");
    format!(
        "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  primary_key: id\n  schema:\n    fields:\n      {lines}\n"
    )
}

#[test]
fn what_is_not_yaml() {
    check("yaml_empty", "");
    check("yaml_only_comments", "# nothing yet\n");
    check(
        "yaml_unclosed_quote",
        "client:\n  base_url: \"https://api\n",
    );
    check("yaml_unclosed_list", "resources: [a, b\nclient:\n");
    check("yaml_tab", "client:\n\tbase_url: x\n");
    check(
        "yaml_indentation",
        "client:\n    base_url: x\n  headers: {}\n",
    );
    check(
        "yaml_duplicate_key",
        "name: storage\nname: storage\nclient: {base_url: \"https://a\"}\n",
    );
    check("yaml_two_documents", "name: a\n---\nname: b\n");
    check("yaml_unknown_anchor", "client: *nothing\n");
    check("yaml_anchor_in_itself", "client: &a\n  headers: *a\n");
    check("yaml_tag", "client: !secret x\nresources: !!int abc\n");
    check("yaml_complex_key", "? [a, b]\n: c\n");
    check("yaml_merge_key", "client:\n  <<: text\n");
    check("yaml_too_deep", &"[".repeat(100));
    let laughs: String = (1..8)
        .map(|level| {
            format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{}", level - 1); 10].join(", ")
            )
        })
        .collect();
    check(
        "yaml_aliases",
        &format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{laughs}"),
    );
    check(
        "yaml_long_line",
        &format!("{{description: \"{}\", colour: red}}", "ä".repeat(6_000)),
    );
    check("yaml_list_at_the_top", "- client\n- resources\n");
    check("yaml_scalar_at_the_top", "storage\n");
}

#[test]
fn keys() {
    check("key_unknown", &endpoint("dataSelector: files"));
    check("key_unknown_far", &client("colour: red"));
    check(
        "key_unknown_at_the_top",
        "version: 1\nclint:\n  base_url: https://a\nresources: []\n",
    );
    check("key_missing", "name: storage\n");
    check(
        "key_missing_base_url",
        "client:\n  auth: none\nresources:\n- name: a\n  schema: {fields: {id: integer}}\n",
    );
    check(
        "key_alias_twice",
        &client(
            "auth:\n  type: oauth2\n  token_url: https://a/t\n  access_token_url: https://a/t\n  client_id: x\n  client_secret: \"{{ secrets.s }}\"",
        ),
    );
    check(
        "key_later",
        &resource(
            "incremental:\n  cursor_path: id\n  convert: f\nrecord_filter: \"{{ record.a }}\"",
        ),
    );
    check(
        "key_later_columns",
        &resource("columns: {a: {data_type: text}}"),
    );
    check("key_not_text", &client("404: x\n~: y"));
}

#[test]
fn types() {
    check(
        "type_wrong",
        &client(
            "concurrency: many\nheaders: [a]\nretry: {jitter: yes, max_retries: 1.5, statuses: 429}",
        ),
    );
    check(
        "type_range",
        &client(
            "concurrency: 0\nretry: {statuses: [200, 429], max_delay: -1, backoff_factor: .inf}\ntimeout: {read: 0}",
        ),
    );
    check(
        "type_concurrency",
        &client("concurrency: {maximum: 3, max: 300}"),
    );
    check("type_string_expected", &resource("description: 12"));
    check(
        "type_enum",
        &resource("write_disposition: upsert\nendpoint: {method: post}"),
    );
    check("type_enum_number", &resource("write_disposition: 1"));
    check(
        "type_parameter_mapping",
        &endpoint("params:\n  a: {b: c}\n  since: {type: incremental, cursor_path: a}"),
    );
    check(
        "type_multi_line",
        &client("auth:\n- type: bearer\n- token: x"),
    );
}

#[test]
fn names() {
    check(
        "name_connector",
        &client("allowed_hosts: []").replace("client:", "name: other\nclient:"),
    );
    check(
        "name_resource",
        &resource("selected: true").replace("name: files", "name: cloudStorage-Files"),
    );
    check(
        "name_resource_device",
        &resource("selected: true").replace("name: files", "name: aux"),
    );
    check(
        "name_resource_missing",
        &resource("selected: true")
            .replace("name: files", "selected: true")
            .replacen("  selected: true\n", "", 1),
    );
    check(
        "name_resource_twice",
        "client: {base_url: \"https://a\"}\nresource_defaults: {schema: {fields: {id: integer}}}\nresources: [a, b, a]\n",
    );
    check(
        "name_default",
        "client: {base_url: \"https://a\"}\nresource_defaults:\n  name: x\n  schema: {fields: {id: integer}}\nresources: [a]\n",
    );
    check("name_record", &resource("record: storage_file"));
    check(
        "name_header",
        &client("headers:\n  \"X Bad\": a\n  X-A: 1\n  x-a: 2\n  Host: b\n  X-Line: \"a\\nb\""),
    );
    check(
        "name_input",
        &client("headers: {X-A: \"{{ config.Start }}\"}").replace(
            "client:",
            "config:\n  Start: string\n  base_url: url\nclient:",
        ),
    );
    check(
        "name_input_file",
        &client("auth: bearer\nheaders: {X-A: \"{{ config.token_file }}\"}")
            .replace("client:", "config: {token_file: string}\nclient:"),
    );
}

#[test]
fn urls_and_origins() {
    check(
        "url_base",
        &client("concurrency: 1").replace("https://api.example.com", "api.example.com/v1"),
    );
    check(
        "url_base_query",
        &client("concurrency: 1")
            .replace("https://api.example.com", "https://api.example.com/?a=b"),
    );
    check(
        "url_base_credentials",
        &client("concurrency: 1").replace(
            "https://api.example.com",
            "https://user:canary@api.example.com",
        ),
    );
    check(
        "url_base_expression",
        &client("concurrency: 1").replace("https://api.example.com", "'https://{{ config.host }}'"),
    );
    check(
        "url_token",
        &client("auth: {type: oauth2, token_url: /oauth, client_id: a, client_secret: null}"),
    );
    check(
        "url_other_origin",
        &endpoint("path: https://files.example.org/v1"),
    );
    check("url_path", &endpoint("path: /a/../b"));
    check("url_path_blank", &endpoint("path: /a b"));
    check(
        "url_path_two_slashes",
        &endpoint("path: //evil.example.org/a"),
    );
    check(
        "url_allowed_host",
        &client("allowed_hosts: [\"https://a.example.com\"]"),
    );
    check(
        "url_in_clear",
        &client("auth: bearer").replace("https:", "http:"),
    );
}

#[test]
fn expressions() {
    check(
        "expression_operator",
        &client("headers:\n  X-A: \"a {{ config.start | uppper }}\"")
            .replace("client:", "config: {start: string}\nclient:"),
    );
    check(
        "expression_in_folded_text",
        &endpoint("params:\n  q: >-\n    all of\n    {{ response.a }}"),
    );
    check(
        "expression_unknown_variable",
        &client("headers: {X-A: \"{{ secret.token }}\"}"),
    );
    check(
        "expression_unknown_input",
        &endpoint("params: {since: \"{{ config.star_date }}\"}").replace(
            "client:",
            "config: {start_date: {type: date, default: 2026-01-01}}\nclient:",
        ),
    );
    check(
        "expression_undeclared_input",
        &endpoint("params: {since: 'dlt.config[\"since\"]'}"),
    );
    check(
        "expression_secret_as_config",
        &endpoint("params: {a: \"{{ config.key }}\", b: \"{{ secrets.since }}\"}").replace(
            "client:",
            "config: {key: {secret: true}, since: date}\nclient:",
        ),
    );
    check("expression_unclosed", &endpoint("path: \"/a/{{ config.b\""));
    check(
        "expression_braces",
        &endpoint("params: {filter: '{\"a\": 1}'}"),
    );
    check(
        "expression_statement",
        &endpoint("path: '/a/{% if x %}b{% endif %}'"),
    );
    check(
        "placeholder_unbound",
        &endpoint("path: /organizations/{organization_id}/files"),
    );
    check(
        "placeholder_stream_slice",
        &endpoint("path: \"/files/{{ stream_slice['file_id'] }}/comments\""),
    );
    check(
        "placeholder_parent",
        &endpoint("path: /files/{resources.files.id}/comments"),
    );
    check(
        "expression_nested_json",
        &endpoint("method: POST\njson: {filter: [x, {since: \"{{ config.a }}\"}]}"),
    );
    check(
        "expression_cursor",
        &endpoint(
            "paginator:\n  type: cursor\n  cursor_value: \"{{ response.next ~ nxt if rspnse.more }}\"",
        ),
    );
    check(
        "expression_cursor_record",
        &endpoint("paginator: {type: cursor, cursor_value: \"{{ record['id'] }}\"}"),
    );
    check(
        "expression_functions",
        &endpoint(
            "params:\n  since: \"{{ format_date(now_utc(), '%s') }}\"\n  until: \"{{ 'a' is nonne }}\"",
        ),
    );
    check(
        "expression_syntax",
        &endpoint("params:\n  since: >-\n    {{ 1 +\n    * 2 }}"),
    );
    check(
        "filter_of_a_page",
        &endpoint("record_filter: \"{{ record.a == response.b or secrets.c }}\""),
    );
    check(
        "filter_constant",
        &endpoint("record_filter: \"{{ 1 == 2 }}\""),
    );
    check("filter_text", &endpoint("record_filter: record.a"));
    check("filter_whole", &endpoint("record_filter: \"{{ record }}\""));
    check(
        "filter_input",
        &endpoint("record_filter: \"{{ record.a == config.kind }}\""),
    );
    check(
        "expression_cursor_text",
        &endpoint("paginator: {type: cursor, cursor_value: next_marker}"),
    );
}

#[test]
fn secrets() {
    let spec = client(
        "auth:\n  type: oauth2\n  token_url: https://a.example.com/t\n  client_id: abc\n  client_secret: canary-1\n  refresh_token: canary-2\n  extra: {password: canary-3}\nheaders: {Authorization: Bearer canary-4}",
    );
    check("secret_literal", &spec);
    check(
        "secret_parameter",
        &endpoint("path: /a?api_key=canary\nparams: {access_token: canary}"),
    );
    check(
        "secret_default",
        &client("auth: bearer").replace(
            "client:",
            "config: {token: {secret: true, default: canary}}\nclient:",
        ),
    );
    let source = Source::new("spec.yaml", spec);
    let error = lower(&source, &LowerOptions::new("storage")).unwrap_err();
    assert!(!error.render(true).contains("canary"));
    assert!(!error.to_json().to_string().contains("canary"));
    assert!(!error.source().text.contains("canary"));
}

#[test]
fn inputs() {
    check(
        "input_unknown_type",
        &client("auth: none").replace("client:", "config: {a: strng}\nclient:"),
    );
    check("input_values", &client("headers: {A: \"{{ config.a }}\", B: \"{{ config.b }}\", C: \"{{ config.c }}\"}").replace("client:", "config:\n  a: {type: date, default: 2026-02-30}\n  b: {type: integer, enum: [1, x], default: 3}\n  c: {default: x, required: true}\nclient:"));
    check(
        "input_unused",
        &client("auth: none").replace("client:", "config: {start_date: date}\nclient:"),
    );
}

#[test]
fn authentication() {
    check("auth_unknown_type", &client("auth: oauth"));
    check(
        "auth_jwt",
        &client(
            "auth: {type: jwt, algorithm: RS265, private_key: abc, private_key_passphrase: x, claims: {iss: a, jti: b}, extra: {assertion: c}}",
        ),
    );
    check("auth_incomplete", &client("auth: oauth2"));
    check(
        "auth_session_token",
        &client(
            "auth: {type: session_token, login_path: \"https://a/b\", token_path: \"a.*\", json: {user: ada, password: hunter2, more: [{Secret: hunter3, pass: \"{{ secrets.pass }}\"}]}, data: {api_key: 5}}",
        ),
    );
    check(
        "auth_public_client",
        &client(
            "auth: {type: oauth2, token_url: \"https://a/t\", client_id: a, client_secret: null}",
        ),
    );
    check(
        "auth_extra",
        &client(
            "auth:\n  type: oauth2\n  token_url: https://a/t\n  client_id: a\n  client_secret: dlt.secrets[\"s\"]\n  scopes: \"a {b}\"\n  extra: {grant_type: password, scope: x}",
        ),
    );
    check(
        "auth_none_with_keys",
        &client("auth: {type: none, token: x}"),
    );
}

#[test]
fn paginators() {
    check(
        "paginator_auto_with_keys",
        &endpoint("paginator: {type: auto, limit: 10}"),
    );
    check(
        "paginator_in_path",
        &endpoint("path: \"/a/{cursor}/{limit}\"\npaginator: {type: cursor, cursor_path: next}"),
    );
    check(
        "paginator_first_page",
        &endpoint("paginator: {type: page_number, base_page: 2, page: 1}"),
    );
    check("paginator_unknown", &endpoint("paginator: {type: page}"));
    check(
        "paginator_without_type",
        &endpoint("paginator: {limit: 100}"),
    );
    check(
        "paginator_two_places",
        &endpoint(
            "paginator: {type: cursor, cursor_param: a, cursor_header: b, cursor_path: x, cursor_value: \"{{ response.x }}\"}",
        ),
    );
    check(
        "paginator_parameter_taken",
        &endpoint("params: {offset: 5, limit: 10}\npaginator: {type: offset, limit: 100}"),
    );
    check(
        "paginator_endless",
        &endpoint("paginator: {type: offset, limit: 10, stop_after_empty_page: false}"),
    );
    check(
        "paginator_no_effect",
        &endpoint("paginator: {type: page_number, limit_param: size}"),
    );
    check(
        "paginator_short_page",
        &endpoint("paginator: {type: page_number, stop_on_short_page: true}"),
    );
    check(
        "paginator_body_of_get",
        &endpoint("paginator: {type: cursor, cursor_body_path: page.after}"),
    );
    check(
        "paginator_stop_condition",
        &endpoint(
            "paginator: {type: cursor, stop_condition: \"{{ response | length == 0 and record.x }}\"}",
        ),
    );
    check(
        "paginator_paths",
        &endpoint(
            "paginator: {type: offset, limit: 1, total_path: \"a..b\", has_more_path: \"a.*.b\"}\ndata_selector: \"$.a[?(@.b > )]\"",
        ),
    );
    check(
        "paginator_maximum",
        &endpoint("paginator: {type: page_number, base_page: 1, maximum_page: 1}"),
    );
}

#[test]
fn requests() {
    check(
        "request_two_bodies",
        &endpoint("method: POST\njson: {a: 1}\ndata: {b: 2}"),
    );
    check("request_body_of_get", &endpoint("json: {a: 1}"));
    check(
        "request_parameter_twice",
        &endpoint("path: /events?stream_type=admin_logs\nparams: {stream_type: all}"),
    );
}

#[test]
fn schemas() {
    check(
        "schema_missing",
        "client: {base_url: \"https://a\"}\nresources: [files]\n",
    );
    check(
        "schema_missing_in_parent",
        "client: {base_url: \"https://a\"}\nresources:\n- things\n- name: parts\n  parent: {resource: things, field: id.x, as: id}\n  include_from_parent: [name]\n  endpoint: {path: '/{id}'}\n  schema: {fields: {id: integer}}\n",
    );
    check(
        "schema_missing_for_cursor",
        "client: {base_url: \"https://a\"}\nresources:\n- name: things\n  incremental: {cursor_path: updated_at}\n",
    );
    check(
        "schema_no_fields",
        "client: {base_url: \"https://a\"}\nresources:\n- name: files\n  schema: {fields: {}}\n",
    );
    check(
        "schema_types",
        &fields(
            "id: int\na: {type: array}\nb: {type: object}\nc: {description: x}\nd:\ne: {type: string, format: date-time, items: string}",
        ),
    );
    check(
        "schema_names",
        &fields("id: integer\nID: integer\n_rescued: json\n\"\": string\n\"a\\nb\": string"),
    );
    check(
        "schema_timestamp",
        &fields("id: integer\nat: {type: timestamp, formats: [rfc3339, \"%H:%M\", iso]}"),
    );
    check(
        "schema_decimal",
        &fields("id: integer\nprice: {type: decimal, precision: 5, scale: 6}"),
    );
    check("primary_key_unknown", &fields("file_id: integer"));
    check(
        "primary_key_composite",
        &fields("id: {type: object, fields: {a: string}}"),
    );
    check(
        "primary_key_nullable",
        &fields("id: {type: integer, nullable: true}"),
    );
    check("merge_without_key", &resource("write_disposition: merge"));
    check(
        "merge_strategy",
        &resource("write_disposition: {disposition: append, strategy: upsert}\nprimary_key: []"),
    );
    check(
        "merge_strategy_unknown",
        &resource("write_disposition: {disposition: merge, strategy: scd1}\nprimary_key: id"),
    );
}

/// A merged resource with these lines more, and these fields.
fn merged(lines: &str, fields: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n  ");
    let fields = fields.trim_end().replace('\n', "\n      ");
    format!(
        "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  {lines}\n  schema:\n    fields:\n      {fields}\n"
    )
}

#[test]
fn merging() {
    let scd2 = "primary_key: id\nwrite_disposition:\n  disposition: merge\n  strategy: scd2";
    check(
        "merge_key_incremental",
        &merged(
            "primary_key: id\nmerge_key: day\nwrite_disposition: {disposition: merge, strategy: delete-insert}\n\
             incremental: {cursor_path: id, initial_value: 1, start_param: since}",
            "id: integer\nday: date",
        ),
    );
    check(
        "merge_key_unknown",
        &merged(
            "merge_key: dey\nwrite_disposition: merge",
            "id: integer\nday: date",
        ),
    );
    check(
        "merge_key_values",
        &merged(
            "merge_key: [day, day, raw]\nwrite_disposition: merge",
            "day: date\nraw: json",
        ),
    );
    check(
        "merge_key_empty",
        &merged("merge_key: []\nwrite_disposition: merge", "id: integer"),
    );
    check(
        "merge_key_upsert",
        &merged(
            "primary_key: id\nmerge_key: day\nwrite_disposition: {disposition: merge, strategy: upsert}",
            "id: integer\nday: date",
        ),
    );
    check(
        "merge_hints_of_append",
        &merged(
            "merge_key: id",
            "id: {type: integer, dedup_sort: asc}\ngone: {type: boolean, hard_delete: true}",
        ),
    );
    check(
        "merge_without_any_key",
        &merged(
            "write_disposition: {disposition: merge, strategy: delete-insert}",
            "id: {type: integer, dedup_sort: asc}",
        ),
    );
    check(
        "merge_hints_twice",
        &merged(
            "primary_key: id\nwrite_disposition: merge",
            "id: integer\na: {type: boolean, hard_delete: true}\nb: {type: boolean, hard_delete: true}\nc: {type: json, dedup_sort: desc}\nd: {type: date, dedup_sort: asc}",
        ),
    );
    check(
        "merge_hints_nested",
        &merged(
            "primary_key: id\nwrite_disposition: merge",
            "id: integer\na: {fields: {b: {type: boolean, hard_delete: true}}}\nc: {items: {fields: {d: {type: date, dedup_sort: latest}}}}\ne: {items: {fields: {f: {type: date, dedup_sort: asc}}}}",
        ),
    );
    check(
        "merge_insert_only_deletes",
        &merged(
            "primary_key: id\nwrite_disposition: {disposition: merge, strategy: insert-only}",
            "id: integer\ngone: {type: boolean, hard_delete: true}",
        ),
    );
    check(
        "merge_history_elsewhere",
        &merged(
            "primary_key: id\nwrite_disposition:\n  disposition: merge\n  strategy: upsert\n  validity_column_names: [a, b]\n  row_version_column_name: c\n  retire_absent: true\n  active_record_timestamp: null",
            "id: integer",
        ),
    );
    check(
        "merge_history_names",
        &merged(
            &format!(
                "{scd2}\n  validity_column_names: [from, _rescued]\n  row_version_column_name: From"
            ),
            "id: integer",
        ),
    );
    check(
        "merge_history_one_name",
        &merged(
            &format!(
                "{scd2}\n  validity_column_names: [from]\n  active_record_timestamp: '9999-12-31'"
            ),
            "id: integer",
        ),
    );
    check(
        "merge_history_clash",
        &merged(scd2, "id: integer\n_valid_to: timestamp"),
    );
    check(
        "merge_history_needs_a_key",
        &merged(
            "write_disposition: {disposition: merge, strategy: scd2}",
            "id: {type: integer, dedup_sort: asc}\ngone: {type: boolean, hard_delete: true}",
        ),
    );
    check(
        "merge_history_later",
        &merged(
            &format!("{scd2}\n  boundary_timestamp: '2026-01-01'\n  deduplicated: true"),
            "id: integer",
        ),
    );
    check(
        "merge_retire_absent",
        &merged(
            &format!(
                "{scd2}\n  retire_absent: true\nincremental: {{cursor_path: at, start_param: since}}\non_parent_error: skip"
            ),
            "id: integer\nat: timestamp",
        ),
    );
    check(
        "merge_retire_absent_new_only",
        "client: {base_url: \"https://api.example.com\"}\nresources:\n- name: events\n  incremental: {cursor_path: at}\n  schema: {fields: {id: integer, at: timestamp}}\n- name: notes\n  parent: {resource: events, field: id, as: event_id, new_only: true}\n  primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2, retire_absent: true}\n  endpoint: '/e/{event_id}'\n  schema: {fields: {id: integer}}\n",
    );
}

#[test]
fn everything_is_reported_in_one_go_and_in_order() {
    check(
        "many",
        "client:\n  base_url: api.example.com\n  headers: {X-A: \"{{ config.x }}\"}\nresources:\n- name: Files\n  primary_key: key\n  write_disposition: merg\n  endpoint: {path: \"/{id}\", paginator: ofset}\n  schema: {fields: {id: intger}}\n",
    );
}

#[test]
fn what_stands_in_defaults_is_reported_once() {
    check(
        "defaults_once",
        "client: {base_url: \"https://a\"}\nresource_defaults:\n  endpoint: {data_selector: \"a b\"}\n  schema: {fields: {id: integer}}\nresources: [a, b, c]\n",
    );
}

#[test]
fn a_wrong_connector_name_has_no_place_in_the_spec() {
    let source = Source::new("spec.yaml", fields("id: integer"));
    let error = lower(&source, &LowerOptions::new("My Api")).unwrap_err();
    insta::assert_snapshot!(error.render(false), @r"
    error[invalid-name]: the connector cannot be called `My Api`
    --> spec.yaml
     = note: a name has at most 64 lower-case letters, digits, `-` and `_`, a letter first, and is no device of Windows such as `con`

    `spec.yaml` has 1 error
    ");
}

#[test]
fn diagnostics_for_tools_have_lines_and_columns() {
    let source = Source::new("spec.yaml", endpoint("dataSelector: files"));
    let error = lower(&source, &LowerOptions::new("storage")).unwrap_err();
    let json = error.to_json();
    assert_eq!(json[0]["code"], "unknown-key");
    assert_eq!(json[0]["labels"][0]["line"], 6);
    assert_eq!(json[0]["labels"][0]["column"], 5);
    assert_eq!(json[0]["labels"][0]["end_column"], 17);
    assert_eq!(json[0]["help"], "did you mean `data_selector`?");
}
