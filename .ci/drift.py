"""Reads files of several ages of one dataset together, with DuckDB, Polars and pyarrow.

usage: drift.py CARGO_CONNECTOR_BINARY WORK_FOLDER

An API drifts: its records get a new field, a nested one, a list, and go back again; then the spec
declares a wider type. Every engine must read the files of all runs together, find every row, and
null where a file is older than a column.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import duckdb
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
from checks import expect, serve

SPEC = """
client: {{base_url: "{url}"}}
resources:
- name: items
  endpoint: {{path: /items, paginator: single_page}}
  schema_contract: {contract}
  schema:
    fields:
      id: integer
      size: {size}
      owner: {{type: object, fields: {{login: string}}}}
"""
VERSIONS = [
    [{"id": 1, "size": 1, "owner": {"login": "a"}}],
    [{"id": 2, "size": 2, "owner": {"login": "b", "nick": "q"}, "colour": "red", "tags": ["x"], "site": {"pin": 7}}],
    [{"id": 3, "size": 3, "owner": None}],
    [{"id": 4, "size": 0.5, "colour": "blue"}],
]
COLUMNS = ["id", "size", "owner", "colour", "tags", "site"]


def run(binary, work, url, contract, size, *words, code=0):
    spec = work / "drift.yaml"
    spec.write_text(SPEC.format(url=url, contract=contract, size=size))
    done = subprocess.run(
        [binary, "run", spec, "--base-url", url, "--out", work / "data", "--progress", "none", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(work)},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != code:
        sys.exit(f"{binary} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def expected(number):
    """The rows of the first versions, as engines see them once all columns are there."""
    rows = []
    for record in (record for version in VERSIONS[:number] for record in version):
        row = {column: record.get(column) for column in COLUMNS}
        if row["owner"] is not None:
            row["owner"] = {"login": row["owner"].get("login"), "nick": row["owner"].get("nick")}
        rows.append(row)
    return rows


def check(folder, number):
    rows = expected(number)
    names = ", ".join(COLUMNS)
    found = duckdb.sql(f"SELECT {names} FROM read_parquet('{folder}/*.parquet', union_by_name = true) ORDER BY id")
    expect("rows in DuckDB", [dict(zip(COLUMNS, row)) for row in found.fetchall()], rows)

    types = {}
    for path in sorted(folder.glob("*.parquet")):
        types |= polars.read_parquet_schema(path)
    types["owner"] = polars.Struct({"login": polars.String, "nick": polars.String})
    table = polars.scan_parquet(
        folder / "*.parquet",
        schema=types,
        missing_columns="insert",
        cast_options=polars.ScanCastOptions(missing_struct_fields="insert"),
    )
    table = table.select(COLUMNS).sort("id").collect()
    expect("rows in Polars", table.to_dicts(), rows)

    files = sorted(folder.glob("*.parquet"))
    schemas = [pyarrow.parquet.read_schema(path).remove_metadata() for path in files]
    schema = pyarrow.unify_schemas([plain(schema) for schema in schemas], promote_options="permissive")
    table = pyarrow.dataset.dataset(folder, format="parquet", schema=schema).to_table()
    found = sorted(table.select(COLUMNS).to_pylist(), key=lambda row: row["id"])
    expect("rows in pyarrow", found, rows)


def plain(schema):
    """Without the metadata of fields, which differs with their age."""
    return pyarrow.schema([field.remove_metadata() for field in schema])


def main():
    binary, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    folder = work / "data" / "drift" / "items"
    served = []
    with serve(lambda _: served) as url:
        for number, version in enumerate(VERSIONS, 1):
            served[:] = version
            # The last version is one of the spec, too: integers become numbers.
            last = number == len(VERSIONS)
            contract, size = ("rescue", "number") if last else ("evolve", "integer")
            if last:
                told = json.loads(run(binary, work, url, contract, size, "schema", "--diff", "--json"))
                changes = [(column["column"], column["change"]) for column in told["datasets"][0]["columns"]]
                expect("what the spec changes", changes, [("size", "widened")])
            run(binary, work, url, contract, size)
            if number > 1:
                check(folder, number)
        # An older type is refused, and nothing has happened.
        run(binary, work, url, "rescue", "integer", "schema", "--diff", code=6)
        run(binary, work, url, "rescue", "integer", code=6)
        check(folder, len(VERSIONS))
    print(f"drift: {len(VERSIONS)} runs, {len(list(folder.glob('*.parquet')))} files, 3 engines agree")


if __name__ == "__main__":
    main()
