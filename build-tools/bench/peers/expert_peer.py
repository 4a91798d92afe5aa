"""What an expert writes by hand: requests, orjson and pyarrow, for one API. WORK URL OUT PAGE."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import requests

INSTANT = pa.timestamp("us", "UTC")
TEXT, WHOLE, REAL, BOOLEAN = pa.string(), pa.int64(), pa.float64(), pa.bool_()
FLAT = pa.schema(
    {
        "id": TEXT,
        "number": WHOLE,
        "name": TEXT,
        "owner": TEXT,
        "status": TEXT,
        "path": TEXT,
        "size": WHOLE,
        "score": REAL,
        "latitude": REAL,
        "shared": BOOLEAN,
        "created_at": INSTANT,
        "updated_at": INSTANT,
    }
)
PLACE = pa.struct({"latitude": REAL, "longitude": REAL})
ADDRESS = pa.struct({"street": TEXT, "city": TEXT, "postcode": TEXT, "country": TEXT, "place": PLACE})
NESTED = pa.schema(
    {
        "id": TEXT,
        "number": WHOLE,
        "name": TEXT,
        "status": TEXT,
        "description": TEXT,
        "created_at": INSTANT,
        "updated_at": INSTANT,
        "owner": pa.struct(
            {
                "id": TEXT,
                "name": TEXT,
                "email": TEXT,
                "active": BOOLEAN,
                "joined_at": INSTANT,
                "address": ADDRESS,
            }
        ),
        "usage": pa.struct({"views": WHOLE, "downloads": WHOLE, "bytes": WHOLE, "score": REAL, "share": REAL}),
        "plan": pa.struct(
            {
                "name": TEXT,
                "currency": TEXT,
                "amount": REAL,
                "tax": pa.struct({"rate": REAL, "included": BOOLEAN}),
                "period": pa.struct({"start": INSTANT, "end": INSTANT}),
            }
        ),
        "checksum": TEXT,
        "parent": TEXT,
        "revision": WHOLE,
        "locked": BOOLEAN,
        "tags": pa.list_(TEXT),
        "permissions": pa.list_(pa.struct({"user": TEXT, "role": TEXT, "granted_at": INSTANT})),
    }
)
CHILD = pa.schema({"id": TEXT, "number": WHOLE})
SCHEMAS = {"nested": NESTED, "children": CHILD}
BATCH = 50_000


def as_sent(kind: pa.DataType) -> pa.DataType:
    """The type before instants are made of their texts."""
    if pa.types.is_timestamp(kind):
        return TEXT
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, as_sent(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(as_sent(kind.value_type))
    return kind


def columns(records: list[dict], schema: pa.Schema) -> pa.Table:
    sent = pa.schema([pa.field(field.name, as_sent(field.type)) for field in schema])
    return pa.Table.from_pylist(records, sent).cast(schema)


def pages(url: str, page: int) -> Iterator[list[dict]]:
    session, offset = requests.Session(), 0
    while True:
        response = session.get(f"{url}/records", params={"offset": offset, "limit": page})
        response.raise_for_status()
        if not (records := orjson.loads(response.content)["records"]):
            return
        yield records
        offset += page


def ahead(url: str, page: int, in_flight: int) -> Iterator[list[dict]]:
    """As many requests at once; a page that is empty is the last."""
    of_thread = local()

    def get(offset: int) -> list[dict]:
        if not hasattr(of_thread, "session"):
            of_thread.session = requests.Session()
        response = of_thread.session.get(f"{url}/records", params={"offset": offset, "limit": page})
        response.raise_for_status()
        return orjson.loads(response.content)["records"]

    with ThreadPoolExecutor(in_flight) as pool:
        waiting = [pool.submit(get, page * number) for number in range(in_flight)]
        offset = page * in_flight
        while records := waiting.pop(0).result():
            yield records
            waiting.append(pool.submit(get, offset))
            offset += page


def children(url: str, page: int) -> Iterator[list[dict]]:
    of_thread = local()

    def get(number: int) -> list[dict]:
        if not hasattr(of_thread, "session"):
            of_thread.session = requests.Session()
        response = of_thread.session.get(f"{url}/items/{number}/children")
        response.raise_for_status()
        return orjson.loads(response.content)["records"]

    with ThreadPoolExecutor(16) as pool:
        for parents in pages(url, page):
            yield from pool.map(get, [parent["number"] for parent in parents])


def write(batches: Iterator[list[dict]], schema: pa.Schema, path: Path) -> None:
    rows: list[dict] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for records in batches:
            rows += records
            if len(rows) >= BATCH:
                writer.write_table(columns(rows, schema))
                rows = []
        if rows:
            writer.write_table(columns(rows, schema))


def merge(changes: Iterator[list[dict]], path: Path) -> None:
    """Reads the file, drops the rows whose id has come again, and writes all of it again."""
    if not path.exists():
        write(changes, FLAT, path)
        return
    new = pa.concat_tables([columns(records, FLAT) for records in changes])
    old = pq.read_table(path)
    kept = old.filter(pc.invert(pc.is_in(old["id"], new["id"].combine_chunks())))
    pq.write_table(pa.concat_tables([kept, new]), path.with_suffix(".new"), compression="zstd")
    path.with_suffix(".new").rename(path)


def main() -> None:
    work, url, out, size = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    schema, path = SCHEMAS.get(work, FLAT), out / "data.parquet"
    if work == "merge":
        merge(pages(url, size), path)
    elif work == "children":
        write(children(url, size), schema, path)
    elif work == "slow":
        write(ahead(url, size, 16), schema, path)
    else:
        write(pages(url, size), schema, path)


main()
