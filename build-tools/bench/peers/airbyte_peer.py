"""The Airbyte CDK: a declarative source, which prints its records as JSON lines. WORK URL OUT PAGE."""

import json
import sys
from pathlib import Path

from airbyte_cdk.cli.source_declarative_manifest import run


def stream(name: str, url: str, path: str, **retriever: object) -> dict:
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": [],
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {"type": "object", "additionalProperties": True, "properties": {}},
        },
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {"type": "HttpRequester", "url_base": url, "path": path, "http_method": "GET"},
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["records"]},
            },
            **retriever,
        },
    }


def paged(name: str, url: str, page: int) -> dict:
    def option(field: str) -> dict:
        return {"type": "RequestOption", "inject_into": "request_parameter", "field_name": field}

    return stream(
        name,
        url,
        "/records",
        paginator={
            "type": "DefaultPaginator",
            "page_token_option": option("offset"),
            "page_size_option": option("limit"),
            "pagination_strategy": {
                "type": "OffsetIncrement",
                "page_size": page,
                "inject_on_first_request": True,
            },
        },
    )


def main() -> None:
    work, url, out, page = sys.argv[1:]
    if work == "children":
        parents = {
            "type": "ParentStreamConfig",
            "stream": paged("parents", url, int(page)),
            "parent_key": "number",
            "partition_field": "number",
        }
        streams = [
            stream(
                work,
                url,
                "/items/{{ stream_partition.number }}/children",
                partition_router={
                    "type": "SubstreamPartitionRouter",
                    "parent_stream_configs": [parents],
                },
            )
        ]
    else:
        streams = [paged(work, url, int(page))]
    manifest = {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [work]},
        "streams": streams,
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 16, "max_concurrency": 16},
    }
    configured = {
        "stream": {"name": work, "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
        "sync_mode": "full_refresh",
        "destination_sync_mode": "append",
    }
    config, catalog = Path(out, "config.json"), Path(out, "catalog.json")
    config.write_text(json.dumps({"__injected_declarative_manifest": manifest}))
    catalog.write_text(json.dumps({"streams": [configured]}))
    sys.argv[1:] = ["read", "--config", str(config), "--catalog", str(catalog)]
    run()


main()
