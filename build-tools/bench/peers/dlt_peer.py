"""dlt: its REST source with defaults, to Parquet on the local disk. WORK URL OUT PAGE."""

import sys

import dlt
from dlt.sources.rest_api import rest_api_source


def resources(work: str, page: int) -> list[dict]:
    def resource(name: str, **more: object) -> dict:
        paginator = {"type": "offset", "limit": page, "total_path": None}
        endpoint = {"path": "records", "data_selector": "records", "paginator": paginator}
        return {"name": name, "endpoint": endpoint, **more}

    if work == "children":
        path = "items/{resources.parents.number}/children"
        child = {"path": path, "data_selector": "records", "paginator": "single_page"}
        return [resource("parents", selected=False), {"name": "children", "endpoint": child}]
    if work == "merge":
        # Merging needs a table format: on plain Parquet it appends.
        disposition = {"disposition": "merge", "strategy": "upsert"}
        return [resource("merge", write_disposition=disposition, primary_key="id", table_format="delta")]
    return [resource(work)]


def main() -> None:
    work, url, out, page = sys.argv[1:]
    source = rest_api_source({"client": {"base_url": url}, "resources": resources(work, int(page))})
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.filesystem(bucket_url=f"{out}/files"),
        dataset_name="data",
        pipelines_dir=f"{out}/pipelines",
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


main()
