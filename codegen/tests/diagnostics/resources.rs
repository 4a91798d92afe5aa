//! Mistakes in what a resource is made of: parents, cursors, responses, steps, contracts, layouts.

use super::{check, client, endpoint, fields, resource};

/// A spec with folders, collections and organizations, and these resources more.
fn family(resources: &str) -> String {
    format!(
        "client:\n  base_url: https://api.example.com\nresource_defaults:\n  schema: {{fields: {{id: integer, tags: json, at: {{type: object, fields: {{id: string}}}}}}}}\nresources:\n- folders\n- collections\n- organizations\n{resources}"
    )
}

#[test]
fn what_is_wrong_with_parents() {
    check(
        "parent_unbound",
        &family(
            "- {name: adaccounts, endpoint: '/organizations/{organization_id}/adaccounts'}\n- name: collaborations\n  endpoint: \"/folders/{{ stream_slice['folder_id'] }}/collaborations\"\n- name: items\n  endpoint: \"/collections/{{ stream_partition.collection }}/items\"\n",
        ),
    );
    check(
        "parent_unknown",
        &family(
            "- name: items\n  parent: [{resource: folder, field: id, as: a}, {resource: folders, field: ident, as: b}, {resource: collections, field: at.name, as: c}, {resource: organizations, field: tags, as: d}]\n  endpoint: '/items/{a}/{b}/{c}/{d}'\n",
        ),
    );
    check(
        "parent_unused",
        &family(
            "- name: items\n  parent: {resource: folders, field: id, as: folder_id}\n  partitions: {region: [eu, us]}\n",
        ),
    );
    check(
        "parent_cycle",
        &family(
            "- name: a\n  parent: {resource: c, field: id, as: x}\n  endpoint: /a/{x}\n- name: b\n  endpoint: '/b/{resources.a.id}'\n- name: c\n  parent: {resource: b, field: id}\n  endpoint: /c/{id}\n- name: d\n  endpoint: '/d/{resources.d.id}'\n",
        ),
    );
    check(
        "parent_twice",
        &family(
            "- name: a\n  parent: [{resource: folders, field: id, as: x}, {resource: folders, field: id, as: y}]\n  endpoint: /a/{x}/{y}\n- name: b\n  parent: {resource: folders, field: id, as: x}\n  endpoint: '/b/{resources.folders.id}'\n- name: c\n  parent: {resource: folders, field: id, as: x}\n  partitions: {x: [1, 2]}\n  endpoint: '/c/{x}'\n- name: d\n  parent: {resource: folders, field: id, as: x}\n  endpoint: {path: '/d/{x}', params: {x: {type: resolve, resource: folders, field: id}}}\n",
        ),
    );
    check(
        "parent_related",
        &family(
            "- name: files\n  parent: {resource: folders, field: id, as: x}\n  endpoint: /a/{x}\n- name: comments\n  endpoint: '/b/{resources.folders.id}/{resources.files.id}'\n",
        ),
    );
    check(
        "parent_include",
        &family(
            "- name: a\n  include_from_parent: id\n- name: b\n  parent: {resource: folders, field: id}\n  endpoint: /b/{id}\n  include_from_parent: [id, tag]\n  schema: {fields: {_folders_id: integer}}\n",
        ),
    );
    check(
        "parent_keys",
        &family(
            "- name: a\n  parent: {field: id, as: 'a b'}\n  on_parent_error: ignore\n- name: b\n  parents: {resource: folders, field: 'x[0]', as: 'a b'}\n",
        ),
    );
    check(
        "partitions",
        &family(
            "- name: a\n  partitions: {}\n- name: b\n  partitions: [{x: 1}, {y: 2}, {x: 1}]\n  endpoint: '/b/{x}'\n- name: c\n  partitions: {x: []}\n  endpoint: \"/c/{{ stream_slice['x']['y'] }}\"\n",
        ),
    );
    check(
        "parent_of_the_client",
        &client("headers: {X-File: \"{{ stream_slice['file_id'] }}\"}"),
    );
}

/// A spec whose resource has a cursor with these lines, and these fields.
fn incremental(lines: &str, more: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n      ");
    let more = more.trim_end().replace('\n', "\n    ");
    format!(
        "client:\n  base_url: https://api.example.com\nresources:\n  - name: events\n    primary_key: id\n    incremental:\n      {lines}\n    {more}\n    schema:\n      fields:\n        id: integer\n        at: timestamp\n        day: date\n        name: string\n        size: number\n        tags: {{type: array, items: string}}\n"
    )
}

#[test]
fn cursors() {
    let merge = "write_disposition: merge";
    check("cursor_missing", &incremental("lag: PT1H", merge));
    check(
        "cursor_unknown_field",
        &incremental("cursor_path: att", merge),
    );
    check("cursor_type", &incremental("cursor_path: size", merge));
    check("cursor_list", &incremental("cursor_path: tags", merge));
    check(
        "cursor_unknown_key",
        &incremental("cursor_path: at\nlags: P1D", merge),
    );
    check(
        "cursor_values",
        &incremental(
            "cursor_path: at\ninitial_value: soon\nstep: P1\nlag: 1 fortnight\nformat: '%Q'\nstart_param: from\nend_param: to",
            merge,
        ),
    );
    check(
        "cursor_values_of_integers",
        &incremental(
            "cursor_path: id\ninitial_value: a\nstep: 5\nstart_param: a\nend_param: b",
            merge,
        ),
    );
    check(
        "cursor_formats_without_effect",
        &incremental(
            "cursor_path: at\ncursor_formats: '%s'\ngranularity: PT1S",
            merge,
        ),
    );
    check(
        "cursor_text_without_lengths",
        &incremental("cursor_path: name\nlag: P1D\nformat: '%Y'", merge),
    );
    check(
        "cursor_windows",
        &incremental("cursor_path: at\nstep: P1D\nstart_param: from", merge),
    );
    check(
        "cursor_append",
        &incremental(
            "cursor_path: at\nlag: P1D\nclient_side: false\non_cursor_value_missing: include",
            "write_disposition: append",
        ),
    );
    check(
        "cursor_places",
        &incremental(
            "cursor_path: at\nstart_param: since\nstart_option: {inject_into: header, field_name: X-Since}\nend_option: {inject_into: body_json, field_path: [a, b]}",
            "write_disposition: merge\nendpoint: {path: /events, params: {since: 1}}",
        ),
    );
    check(
        "cursor_twice",
        &incremental(
            "cursor_path: at",
            "write_disposition: merge\nendpoint: {params: {since: {type: incremental, cursor_path: at}}}",
        ),
    );
    check(
        "cursor_placeholders",
        &incremental(
            "cursor_path: at",
            "write_disposition: merge\nendpoint: {params: {a: '{incremental.start}', b: '{incremental.start_value}'}}",
        ),
    );
    check(
        "cursor_unbound",
        &endpoint(
            "params:\n  a: '{incremental.start_value}'\n  b: \"{{ stream_interval.start_time }}\"",
        ),
    );
    check(
        "cursor_of_a_parent",
        "client:\n  base_url: https://api.example.com\nresources:\n  - name: events\n    incremental: {cursor_path: at}\n    schema: {fields: {id: integer, at: timestamp}}\n  - name: folders\n    schema: {fields: {id: integer}}\n  - name: notes\n    parent:\n      - {resource: events, field: id, as: event_id}\n      - {resource: folders, field: id, as: folder_id, new_only: true}\n    endpoint: '/e/{event_id}/{folder_id}'\n    schema: {fields: {id: integer}}\n",
    );
}

#[test]
fn what_is_wrong_with_responses() {
    check(
        "response_unknown",
        &endpoint("response: {format: parquet, delimitr: ';'}"),
    );
    check(
        "response_only_csv",
        &endpoint("response: {format: jsonl, delimiter: ';', quote: null}"),
    );
    check(
        "response_csv",
        &endpoint(
            "data_selector: items\nresponse: {format: csv, delimiter: ab, header: false}\npaginator: {type: cursor, cursor_path: next, cursor_param: c}",
        ),
    );
    check(
        "response_csv_stop",
        &endpoint(
            "response: csv\npaginator: {type: page_number, stop_condition: \"{{ response.next is none }}\"}",
        ),
    );
    check(
        "response_csv_cursor",
        &endpoint(
            "response: csv\npaginator: {type: cursor, cursor_value: \"{{ response.get('next') or '' }}\"}",
        ),
    );
    check(
        "response_csv_columns",
        &endpoint("response: {format: csv, delimiter: ';', quote: ';', columns: [id, id]}"),
    );
    check(
        "response_csv_types",
        &format!(
            "{}      tags: {{type: array, items: string}}\n      owner: {{type: object, fields: {{id: integer}}}}\n",
            endpoint("response: csv")
        ),
    );
    check("response_xml_without_root", &endpoint("response: xml"));
    check(
        "response_place",
        &resource("response: csv\nresponse_actions: []"),
    );
    check(
        "response_actions",
        &endpoint(
            "response_actions:\n- {status_code: 404}\n- {action: ignore}\n- {status_code: [600, 6xx, a], action: skip}\n- {content: '', action: fail, wait: 5}\n- {status_code: 429, action: retry, wait: {header: A, until_header: B}}\n- {predicate: \"{{ record.id }}\", action: fail}\n- {predicate: text, action: fail}",
        ),
    );
    check(
        "response_actions_that_never_count",
        &endpoint(
            "response_actions:\n- {status_code: 4xx, action: ignore}\n- {status_code: [404, 410], action: fail}\n- {status_code: 503, content: x, action: fail}\n- {status_code: 503, action: retry}",
        ),
    );
    check(
        "response_error_handler",
        &endpoint(
            "retry: {max_retries: 2}\nerror_handler:\n  type: DefaultErrorHandler\n  max_retries: 5\n  response_filters:\n  - {action: IGNORE}\n  backoff_strategies:\n  - {type: CustomBackoffStrategy}\n  - {type: WaitTimeFromHeader}",
        ),
    );
}

/// A spec whose records are of a few fields, with these processing steps.
fn steps(lines: &str) -> String {
    let lines = lines.trim_end().replace('\n', "\n  ");
    format!(
        "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  primary_key: id\n  \
         processing_steps:\n  {lines}\n  schema:\n    fields:\n      id: integer\n      name: string\n      \
         owner: {{type: object, fields: {{login: string}}}}\n      more: json\n"
    )
}

#[test]
fn processing_steps() {
    check(
        "steps_no_request",
        "client:\n  base_url: https://api.example.com\nresources:\n\
         - {name: files, schema: {fields: {id: integer}}}\n\
         - name: comments\n  primary_key: id\n  write_disposition: merge\n\
         \x20 parent: {resource: files, field: id, as: file_id}\n\
         \x20 partitions: {region: [eu, us]}\n\
         \x20 processing_steps:\n\
         \x20 - set: {file: \"{{ stream_slice.file_id }}\", area: \"{{ stream_slice.region }}\"}\n\
         \x20 schema: {fields: {id: integer, file: integer, area: string}}\n",
    );
    check(
        "steps_range",
        "client:\n  base_url: https://api.example.com\nresources:\n\
         - name: comments\n\
         \x20 incremental: {cursor_path: id, initial_value: 1, start_param: since}\n\
         \x20 processing_steps:\n\
         \x20 - set: {since: \"{{ stream_slice.start_time }}\"}\n\
         \x20 schema: {fields: {id: integer, since: string}}\n",
    );
    check(
        "steps_form",
        &steps(
            "- filtr: x\n- {}\n- map: lambda\n- filter: \"{{ record.a }}\"\n  remove: b\n- remove\n\
             - explode: {as: name}\n- flatten: {field: a, levels: 0}\n- set: {}\n- set: {more: {a: \"{{ record.a }}\"}}",
        ),
    );
    check(
        "steps_expressions",
        &steps(
            "- filter: record.a == 1\n- filter: \"{{ recrd.a }}\"\n- set: {name: \"{{ response.total }}\"}\n\
             - set: {name: \"{{ secrets.token }} x\"}\n- set: {name: \"{{ stream_slice.org }}\"}\n\
             - set: {name: \"{{ record.a | uper }}\"}",
        ),
    );
    check(
        "steps_paths",
        &steps(
            "- set: {\"a[0]\": 1}\n- rename: {a.*.b: name}\n- remove: \"a..b\"\n- explode: \"a b\"\n\
             - rename: {name: name, a: owner.login, b: owner.login}\n- explode: {field: c, as: id, index: id}",
        ),
    );
    check(
        "steps_names",
        &steps(
            "- set: {nme: x, owner.lgin: y, more.anything: z, temporary: 1}\n- rename: {size: ide}\n\
             - filter: \"{{ record.temporary }}\"\n- explode: {field: parts, as: part}\n\
             - set: {id: \"{{ record.parts[0] }}\"}",
        ),
    );
    check(
        "steps_gone",
        &steps(
            "- remove: [name, owner.login]\n- rename: {old: id}\n\
             - set: {more: \"{{ record.old ~ record.owner.login }}\"}\n- flatten: old",
        ),
    );
    check(
        "steps_types",
        &steps(
            "- set: {id: one, name: 1, owner: [], more: 1.5}\n- set: {id: null}\n\
             - set: {id: \"{{ record.a }}-{{ record.b }}\"}",
        ),
    );
    check(
        "steps_explode_key",
        &steps("- explode: name\n- filter: \"{{ record.name }}\""),
    );
    check(
        "steps_in_endpoint",
        &endpoint("processing_steps: [{remove: a}]"),
    );
}

#[test]
fn contracts() {
    check(
        "contract_modes",
        &resource("schema_contract: {tables: evolv, columns: discard_rows, data_types: freeze}"),
    );
    check("contract_word", &resource("schema_contract: freez"));
    check("contract_form", &resource("schema_contract: [freeze]"));
    check(
        "contract_without_schema",
        "client:\n  base_url: https://api.example.com\nresource_defaults:\n  schema_contract: freeze\nresources:\n- name: files\n",
    );
    check(
        "contract_of_fields",
        &fields(
            "id: {type: integer, schema_contract: {columns: freeze}}\n\
             name: {type: string, schema_contract: {tables: freeze, data_type: discard}}\n\
             tags: {type: array, items: {type: string, schema_contract: freeze}}",
        ),
    );
    check(
        "contract_of_a_history",
        "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2, retire_absent: true}\n  schema_contract: {data_type: discard_row}\n  schema: {fields: {id: integer}}\n",
    );
}

#[test]
fn layouts() {
    check(
        "layout_keys",
        &resource(
            "layout: {compresion: zstd, file_byte: 1, row_group_rows: 99, page_size_kb: 8, block_size_mb: 128}",
        ),
    );
    check("layout_form", &resource("layout: zstd"));
    check("layout_codec", &resource("layout: {compression: snapy}"));
    check(
        "layout_codec_not_built_in",
        &resource("layout: {compression: GZIP}"),
    );
    check(
        "layout_codec_unclosed",
        &resource("layout: {compression: zstd(9}"),
    );
    check("layout_codec_form", &resource("layout: {compression: 9}"));
    check(
        "layout_codec_level",
        &resource("layout: {compression: zstd(23)}"),
    );
    check(
        "layout_codec_levels",
        &resource("layout:\n  compression:\n    type: zstd\n    level: 0"),
    );
    check(
        "layout_codec_without_levels",
        &resource("layout: {compression: {type: snappy, level: 3}}"),
    );
    check(
        "layout_codec_word_without_levels",
        &resource("layout: {compression: none(3)}"),
    );
    check(
        "layout_size_unit",
        &resource("layout: {file_bytes: 128 M, row_group_bytes: 16 MeB}"),
    );
    check(
        "layout_size_range",
        &resource("layout: {file_bytes: 4 KiB, row_group_bytes: 2 GiB}"),
    );
    check(
        "layout_size_form",
        &resource("layout: {file_bytes: [1], row_group_bytes: big}"),
    );
    check(
        "layout_of_all_resources",
        "client:\n  base_url: https://api.example.com\nresource_defaults:\n  layout: {file_bytes: -1}\n  schema: {fields: {id: integer}}\nresources: [a, b]\n",
    );
    check("layout_beside", &resource("compression: zstd"));
    let layout = |keys: &str| {
        format!(
            "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  layout:\n    {keys}\n  schema: {{fields: {{id: integer, size: number, tags: json, name: string, name_value: string, day: date, at: timestamp}}}}\n"
        )
    };
    check(
        "layout_sort_fields",
        &layout(
            "sort_by: [nam, tags, id, {field: id, order: descending}, {order: up, nulls: last}, {field: at, null: first}]",
        ),
    );
    let nested = |keys: &str| {
        format!(
            "client:\n  base_url: https://api.example.com\nresources:\n- name: files\n  layout: {{{keys}}}\n  schema:\n    fields:\n      id: integer\n      owner__name: string\n      owner:\n        type: object\n        fields:\n          name: string\n          home: {{type: object, fields: {{town: string}}}}\n"
        )
    };
    check("layout_flatten_clash", &nested("flatten: true"));
    check("layout_flatten_fields", &nested("flatten: [ownr, id]"));
    check(
        "layout_flatten_form",
        &nested("flatten: {separator: \"a b\", depth: 0, field: owner}"),
    );
    check("layout_flatten_word", &nested("flatten: owner"));
    check(
        "layout_flatten_columns",
        &nested(
            "flatten: {separator: _}, sort_by: [owner.home.town, owner_home_town, owner.home], partition_by: owner_nam",
        ),
    );
    check(
        "layout_flatten_objects",
        &nested("flatten: {separator: _}, sort_by: owner, partition_by: [owner.home]"),
    );
    check("layout_sort_by_nothing", &layout("sort_by: []"));
    check(
        "layout_partition_fields",
        &layout(
            "partition_by: [nam, tags, size, at, name, {field: id, by: day}, {field: day, by: hour}, {field: at, by: week}]",
        ),
    );
    check(
        "layout_partition_names",
        &layout(
            "partition_by: [id, {field: at, by: day, as: id_value}, {field: at, by: hour, as: SIZE}, {field: at, by: year, as: \"\"}, {field: day, as: ID_value}, {field: day, as: \"////////////////////////\"}]",
        ),
    );
    check(
        "layout_partition_by_much",
        &layout(
            "partition_by: [id, {field: at, by: day}, {field: at, by: hour}, {field: at, by: year}, {field: at, by: month}, {field: day, by: year}, {field: day, by: month}, {field: day, by: day}, {field: day, as: days}]",
        ),
    );
}
