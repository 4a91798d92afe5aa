"""Reads datasets of every layout: codecs, folders of partitions, sorted and flattened files.

usage: layouts.py CARGO_CONNECTOR_BINARY WORK_FOLDER

DuckDB, Polars, pyarrow and, where it is installed, Spark must find the same rows with the same types
whether or not they look at the folders. Spark's documented rules are checked on the files themselves,
so that they hold where there is no Spark, too.
"""

import datetime
import decimal
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import duckdb
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import checks
from checks import expect, serve

SPEC = """
client: {{base_url: "{url}"}}
resources:
- name: items
  endpoint: {{path: /items, paginator: single_page}}
  primary_key: id
  write_disposition: merge
  layout: {{{layout}}}
  schema:
    fields:
      id: integer
      region: string
      at: timestamp
      day: date
      size: number
      ok: boolean
      price: {{type: decimal, precision: 20, scale: 4}}
      small: {{type: decimal, precision: 5, scale: 2}}
      note: json
      tags: {{type: array, items: string}}
      owner: {{type: object, fields: {{name: string, home: {{type: object, fields: {{town: string}}}}}}}}
"""
REGIONS = [
    "eu", "EU", "a/b=c", "", None, "Zürich", "007", "..", "x" * 300, "__HIVE_DEFAULT_PARTITION__", "a b+c%", "\\",
]
TYPES = {
    "id": pyarrow.int64(),
    "region": pyarrow.string(),
    "at": pyarrow.timestamp("us", tz="UTC"),
    "day": pyarrow.date32(),
    "size": pyarrow.float64(),
    "ok": pyarrow.bool_(),
    "price": pyarrow.decimal128(20, 4),
    "small": pyarrow.decimal128(5, 2),
    "note": pyarrow.string(),
}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
# Names of columns that Spark refuses to write, and older versions to read.
REFUSED = re.compile(r"[ ,;{}()\n\t=]")


def item(number, shift):
    """A record; `shift` moves it to another region and another day."""
    return {
        "id": number,
        "region": REGIONS[(number + shift) % len(REGIONS)],
        "at": f"2026-01-{1 + (number + shift) % 3:02}T23:59:59.{number:06}Z",
        "day": f"2026-02-{1 + number % 28:02}",
        "size": number / 7,
        "ok": number % 2 == 0,
        "price": f"{number}.0001",
        "small": f"{number % 100}.25",
        "note": {"number": number},
        "tags": ["t", None, str(number)][: number % 4],
        "owner": {"name": f"n{number}", "home": {"town": "x"} if number % 2 else None} if number % 5 else None,
    }


def row(record):
    """What every reader must find of a record."""
    at = datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00"))
    micros = (at - EPOCH) // datetime.timedelta(microseconds=1)
    return (record["id"], record["region"], micros, decimal.Decimal(record["price"]), record["size"])


def run(binary, spec, base_url, out):
    done = subprocess.run(
        [binary, "run", spec, "--base-url", base_url, "--out", out, "--progress", "none"],
        env={"PATH": os.environ["PATH"], "HOME": str(out.parent)},
        cwd=out.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        sys.exit(f"the run ended with {done.returncode}\n{done.stdout}{done.stderr}")


def from_arrow(table):
    micros = table.column("at").cast(pyarrow.timestamp("us", tz="UTC")).cast(pyarrow.int64()).to_pylist()
    names = ["id", "region", "price", "size"]
    columns = {name: table.column(name).to_pylist() for name in names}
    return sorted(zip(columns["id"], columns["region"], micros, columns["price"], columns["size"]))


def check_engines(what, folder, expected, folders):
    glob = f"{folder}/**/*.parquet"
    readings = {
        "pyarrow": lambda: pyarrow.parquet.read_table(folder),
        "pyarrow without partitions": lambda: pyarrow.parquet.read_table(folder, partitioning=None),
        "pyarrow.dataset by hive": lambda: pyarrow.dataset.dataset(folder, partitioning="hive").to_table(),
        "pyarrow.dataset": lambda: pyarrow.dataset.dataset(folder).to_table(),
    }
    for name, read in readings.items():
        table = read()
        for column, declared in TYPES.items():
            expect(f"{what}: {column} in {name}", table.schema.field(column).type, declared)
        expect(f"{what}: rows in {name}", from_arrow(table), expected)
    for hive in (True, False):
        frames = {"folder": folder, "glob": glob}
        for form, source in frames.items():
            frame = polars.read_parquet(source, hive_partitioning=hive)
            expect(f"{what}: region in Polars", frame.schema["region"], polars.String())
            expect(f"{what}: at in Polars", frame.schema["at"], polars.Datetime("us", "UTC"))
            expect(f"{what}: rows of a {form} in Polars", from_arrow(frame.to_arrow()), expected)
            has_folders = any(name.endswith("_day") for name in frame.columns)
            expect(f"{what}: folders of a {form} in Polars", has_folders, hive and folders)
        source = f"read_parquet('{glob}', hive_partitioning = {hive})"
        types = dict(line[:2] for line in duckdb.sql(f"DESCRIBE FROM {source}").fetchall())
        expect(f"{what}: region in DuckDB", types["region"], "VARCHAR")
        expect(f"{what}: at in DuckDB", types["at"], "TIMESTAMP WITH TIME ZONE")
        rows = duckdb.sql(f"SELECT id, region, epoch_us(\"at\"), price, size FROM {source}").fetchall()
        expect(f"{what}: rows in DuckDB", sorted(rows), expected)
    if folders:
        days = f"SELECT DISTINCT at_day FROM '{glob}' ORDER BY 1"
        found = [day for (day,) in duckdb.sql(days).fetchall()]
        expect(f"{what}: days in DuckDB", found, [datetime.date(2026, 1, day) for day in (1, 2, 3)])


def check_spark_rules(what, folder, codec, sort):
    """The rules of Spark's Parquet reader and of its discovery of partitions."""
    keys = set()
    for path in sorted(folder.rglob("*.parquet")):
        file = pyarrow.parquet.ParquetFile(path)
        parts = path.relative_to(folder).parent.parts
        keys.add(tuple(part.partition("=")[0] for part in parts))
        names = [field.name.lower() for field in file.schema_arrow] + [part.partition("=")[0].lower() for part in parts]
        expect(f"{what}: names without regard to case", len(set(names)), len(names))
        for index in range(len(file.schema)):
            column = file.schema.column(index)
            where = f"{what}: {column.path}"
            logical = json.loads(column.logical_type.to_json())
            kind = logical["Type"]
            expect(f"{where} has a name for Spark", REFUSED.search(column.path), None)
            expect(f"{where} has a type", kind in ("Null", "Undefined") or column.physical_type == "INT96", False)
            if kind == "Timestamp":
                found = (column.physical_type, logical["timeUnit"], logical["isAdjustedToUTC"])
                expect(f"{where} is an instant", found, ("INT64", "microseconds", True))
            elif kind == "Int":
                expect(f"{where} has a sign", logical["isSigned"], True)
            elif kind == "Decimal":
                physical = "INT32" if column.precision <= 9 else "INT64" if column.precision <= 18 else "FIXED_LEN_BYTE_ARRAY"
                expect(f"{where} is a decimal", (column.physical_type, column.precision <= 38), (physical, True))
            elif kind == "None":
                known = ("BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE")
                expect(f"{where} has a plain type", column.physical_type in known, True)
            else:
                expect(f"{where} has a known type", kind in ("String", "Date", "JSON"), True)
            if column.path.startswith("tags"):
                expect(f"{where} has three levels", column.path, "tags.list.element")
        for index in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(index)
            found = {group.column(number).compression for number in range(group.num_columns)}
            expect(f"{what}: codec", found, {codec})
            order = [(column.column_index, column.descending, column.nulls_first) for column in group.sorting_columns]
            expect(f"{what}: order", order, sort)
            values = file.read_row_group(index, columns=["size"]).column(0).to_pylist()
            if sort:
                expect(f"{what}: sorted", values, sorted(values, reverse=True))
    expect(f"{what}: folders of one form", len(keys), 1)


def spark():
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        return None
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def check_spark(session, what, folder, expected):
    frame = session.read.parquet(str(folder))
    types = dict(frame.dtypes)
    found = {name: types[name] for name in ("id", "region", "at", "day", "price", "small", "tags")}
    types = {
        "id": "bigint",
        "region": "string",
        "at": "timestamp",
        "day": "date",
        "price": "decimal(20,4)",
        "small": "decimal(5,2)",
        "tags": "array<string>",
    }
    expect(f"{what}: types in Spark", found, types)
    rows = frame.selectExpr("id", "region", "unix_micros(`at`)", "price", "size").collect()
    expect(f"{what}: rows in Spark", sorted(tuple(row) for row in rows), expected)


def main():
    binary, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    session = spark()
    first = [item(number, 0) for number in range(300)]
    second = [item(number, 1) for number in range(250, 320)]
    folders = "partition_by: [region, {field: at, by: day}]"
    # Readers pass over folders that begin with `_`.
    hidden = "partition_by: [{field: region, as: _kind}, {field: at, by: day}]"
    order = "sort_by: [{field: size, order: descending}]"
    by_size = [(4, True, False)]
    cases = [
        ("compression: zstd", "ZSTD", [], False),
        (f"compression: zstd(19), {folders}, {order}", "ZSTD", by_size, True),
        (f"compression: snappy, {hidden}, flatten: true", "SNAPPY", [], True),
        (f"compression: none, {order}, flatten: [owner]", "UNCOMPRESSED", by_size, False),
    ]
    served = []
    with serve(lambda _: served) as url:
        for number, (layout, codec, sort, has_folders) in enumerate(cases):
            out = work / str(number)
            out.mkdir()
            spec = out / "spec.yaml"
            spec.write_text(SPEC.format(url=url, layout=layout))
            expected = {}
            for records in (first, second):
                served[:] = records
                run(binary, spec, url, out / "data")
                expected |= {record["id"]: row(record) for record in records}
                folder = next((out / "data").glob("*/items"))
                rows = [expected[key] for key in sorted(expected)]
                check_engines(layout, folder, rows, has_folders)
                check_spark_rules(layout, folder, codec, sort)
                if session is not None:
                    check_spark(session, layout, folder, rows)
                if "flatten" in layout:
                    names = pyarrow.parquet.read_table(folder, partitioning=None).column_names
                    expect(f"{layout}: columns", names[-2 - names.count("_rescued") :][:2], ["owner__name", "owner__home__town"])
    if session is not None:
        session.stop()
    by_spark = "Spark's rules" if session is None else "Spark"
    print(f"layouts: {len(cases)} layouts, 2 runs, {checks.comparisons} comparisons hold by DuckDB, Polars, pyarrow and {by_spark}")


if __name__ == "__main__":
    main()
