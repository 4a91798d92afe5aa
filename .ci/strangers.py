"""Reads what a connector wrote with DuckDB, Polars and pyarrow and compares it with the API's truth.

usage: strangers.py CONNECTOR_BINARY WORK_FOLDER

The connector's own sandbox serves the API and tells, without any of our code, what a complete
reading must give. The files are read by three engines; each must find the same rows, types, sums
and unique keys. Then the connector runs again and nothing may change.
"""

import datetime
import decimal
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import checks
from checks import expect

ARROW_TYPES = {
    "string": pyarrow.string(),
    "json": pyarrow.string(),
    "integer": pyarrow.int64(),
    "number": pyarrow.float64(),
    "boolean": pyarrow.bool_(),
    "timestamp": pyarrow.timestamp("us", tz="UTC"),
    "date": pyarrow.date32(),
}


def settings(sandbox):
    """The `export NAME=VALUE` lines that the sandbox prints once it listens, up to an empty line."""
    found = {}
    while "=" in (line := sandbox.stdout.readline()):
        name, _, value = line.removeprefix("export ").strip().partition("=")
        found[name] = value
    return found


def get(url):
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read().decode()


def run(binary, out, environment):
    report = out.parent / "report.json"
    done = subprocess.run(
        [binary, "--out", out, "--progress", "none", "--report", report],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        sys.exit(f"{binary} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(report.read_text())


def check_type(where, found, declared):
    """Compares an Arrow type with the type that `schema` printed."""
    if declared.startswith("{"):
        expect(where, pyarrow.types.is_struct(found), True)
    elif declared.startswith("["):
        expect(where, pyarrow.types.is_list(found), True)
        check_type(f"{where}[]", found.value_type, declared[1:-1])
    elif declared.startswith("decimal("):
        precision, scale = declared[len("decimal(") : -1].split(", ")
        expect(where, found, pyarrow.decimal128(int(precision), int(scale)))
    else:
        expect(where, found, ARROW_TYPES[declared])


def total(values):
    """An exact sum; the order of floating-point additions must not matter."""
    return sum((decimal.Decimal(repr(value)) for value in values if value is not None), decimal.Decimal(0))


def typed(value, declared):
    """A value of the API as the column of its declared type holds it."""
    if value is None:
        return None
    if declared == "timestamp":
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    if declared == "date":
        return datetime.date.fromisoformat(value)
    if declared.startswith("decimal("):
        return decimal.Decimal(str(value))
    return value


def check_resource(resource, columns, folder, truth):
    name, key = resource["name"], resource["primary_key"]
    glob = f"{folder}/*.parquet"

    # pyarrow: schema and values, row by row.
    table = pyarrow.parquet.read_table(folder)
    expect(f"{name}: columns", table.column_names, [column["name"] for column in columns])
    for column in columns:
        check_type(f"{name}.{column['name']}", table.schema.field(column["name"]).type, column["type"])
    rows = table.to_pylist()
    expect(f"{name}: rows in pyarrow", len(rows), len(truth))
    identity = lambda row: tuple(row[column] for column in key)  # noqa: E731
    by_key = {identity(row): row for row in rows}
    expect(f"{name}: unique keys in pyarrow", len(by_key), len(truth))
    types = {column["name"]: column["type"] for column in columns}
    plain = [c["name"] for c in columns if c["type"] != "json" and c["type"][0] not in "{["]
    objects = [c["name"] for c in columns if c["type"].startswith("{")]
    for record in truth:
        key_values = tuple(typed(record[column], types[column]) for column in key)
        row = by_key[key_values]
        for column in plain:
            value = typed(record.get(column), types[column])
            expect(f"{name}.{column} of {key_values}", row[column], value)
        for column in objects:
            inner = record.get(column)
            expect(f"{name}.{column} of {key_values} is null", row[column] is None, inner is None)
            for field, value in (inner or {}).items():
                if isinstance(value, (str, bool)) and isinstance(row[column].get(field), (str, bool)):
                    expect(f"{name}.{column}.{field}", row[column][field], value)

    # DuckDB and Polars: the same rows, keys and sums by their own readers.
    keys = ", ".join(f'"{column}"' for column in key)
    count, distinct = duckdb.sql(
        f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT {keys} FROM '{glob}')) FROM '{glob}'"
    ).fetchall()[0]
    expect(f"{name}: rows in DuckDB", (count, distinct), (len(truth), len(truth)))
    frame = polars.read_parquet(glob)
    expect(f"{name}: rows in Polars", frame.height, len(truth))
    expect(f"{name}: unique keys in Polars", frame.select(key).n_unique(), len(truth))
    for column in columns:
        if column["type"] == "integer":
            expected = sum(record.get(column["name"]) or 0 for record in truth)
            by_duckdb = duckdb.sql(f'SELECT sum("{column["name"]}")::HUGEINT FROM \'{glob}\'').fetchall()[0][0]
            expect(f"{name}: sum of {column['name']} in DuckDB", by_duckdb or 0, expected)
            by_polars = sum(value or 0 for value in frame[column["name"]].to_list())
            expect(f"{name}: sum of {column['name']} in Polars", by_polars, expected)
        elif column["type"] == "number":
            expected = total(record.get(column["name"]) for record in truth)
            values = duckdb.sql(f'SELECT "{column["name"]}" FROM \'{glob}\'').fetchall()
            expect(f"{name}: sum of {column['name']} in DuckDB", total(v for (v,) in values), expected)
            expect(f"{name}: sum of {column['name']} in Polars", total(frame[column["name"]].to_list()), expected)
        elif column["type"] == "timestamp":
            instants = sorted(
                value.timestamp() for value in table.column(column["name"]).to_pylist() if value is not None
            )
            by_duckdb = duckdb.sql(
                f'SELECT epoch_us("{column["name"]}") FROM \'{glob}\' WHERE "{column["name"]}" IS NOT NULL'
            ).fetchall()
            expect(f"{name}: instants of {column['name']}", sorted(v / 1e6 for (v,) in by_duckdb), instants)


def main():
    binary, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out = work / "data"
    bare = {"PATH": os.environ["PATH"], "HOME": str(work)}
    describe = lambda *words: json.loads(  # noqa: E731
        subprocess.run([binary, *words, "--json"], env=bare, check=True, capture_output=True, text=True).stdout
    )
    resources, schema = describe("resources"), describe("schema")
    sandbox = subprocess.Popen(
        [binary, "sandbox", "--records", "1777"], env=bare, stdout=subprocess.PIPE, text=True
    )
    try:
        exports = settings(sandbox)
        base = next(value for name, value in exports.items() if name.endswith("_BASE_URL"))
        origin = "/".join(base.split("/")[:3])
        connector = binary.stem.removeprefix("connector-")
        for attempt in ("first", "second"):
            report = run(binary, out, bare | exports)
            for resource in resources:
                # Not splitlines(): JSON text may hold U+2028.
                lines = get(f"{origin}/_sandbox/truth/{resource['name']}").rstrip("\n").split("\n")
                truth = [json.loads(line) for line in lines]
                expect(f"{resource['name']}: records served", len(truth), 1777)
                folder = out / connector / resource["name"]
                check_resource(resource, schema[resource["name"]], folder, truth)
            statuses = {entry["status"] for entry in report["resources"]}
            expect(f"statuses of the {attempt} run", statuses, {"published"})
    finally:
        sandbox.terminate()
        sandbox.wait(timeout=10)
    print(f"{binary.stem}: {len(resources)} resources, 2 runs, {checks.comparisons} comparisons hold")


if __name__ == "__main__":
    main()
