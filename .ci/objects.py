"""Runs a connector against a bucket of an S3 server and compares it with the same runs on the disk.

usage: objects.py CARGO_CONNECTOR_BINARY WORK_FOLDER

The server is moto's, on loopback, in this process: every request of the connector is seen, and the
connector can be killed at any of them. What is in the bucket is read by pyarrow and by Polars.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import boto3
import checks
import polars
import pyarrow.dataset
import pyarrow.fs
from checks import expect, serve
from moto.core.authorization import enable_iam_authentication
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET = "AKIAOBJECTSTEST00001", "not-a-secret-but-never-shown"
SPEC = """
client: {{base_url: "{url}"}}
resource_defaults:
  endpoint: {{paginator: single_page}}
  schema: {{fields: {{id: integer, value: string}}}}
resources:
- {{name: merged, endpoint: {{path: /items}}, primary_key: id, write_disposition: merge}}
- {{name: appended, endpoint: {{path: /news}}, write_disposition: append}}
- {{name: replaced, endpoint: {{path: /items}}, write_disposition: replace}}
"""
RESOURCES = ["merged", "appended", "replaced"]
VERSIONS = [
    {"/items": [(n, f"old {n}") for n in range(400)], "/news": [(n, "first") for n in range(50)]},
    {"/items": [(n, f"new {n}") for n in range(390, 440)], "/news": [(n, "second") for n in range(20)]},
    {"/items": [(7, "newest"), (1000, "last")], "/news": [(0, "third")]},
]


class Api:
    """What the API serves now; `gate` holds its answers back."""

    version = 0
    gate = threading.Event()
    waiting = threading.Event()

    @staticmethod
    def answer(path):
        Api.waiting.set()
        Api.gate.wait(timeout=120)
        return [{"id": n, "value": value} for n, value in VERSIONS[Api.version][path]]


class Bucket:
    """The S3 server; `watch` is asked about every request."""

    def __init__(self):
        self.watch = None
        self.app = DomainDispatcherApplication(create_backend_app)
        quiet = type("Quiet", (WSGIRequestHandler,), {"log": lambda *_: None})
        self.server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
        )
        self.client.create_bucket(Bucket="lake")
        self.arrow = pyarrow.fs.S3FileSystem(
            endpoint_override=self.url, access_key=KEY, secret_key=SECRET, region="us-east-1", scheme="http"
        )

    def __call__(self, environ, start):
        if self.watch is not None:
            self.watch(environ)
        return self.app(environ, start)

    def keys(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def json(self, key):
        return json.loads(self.client.get_object(Bucket="lake", Key=key)["Body"].read())


class Connector:
    def __init__(self, binary, work, api, bucket):
        self.binary, self.work, self.api = binary, work, api
        self.spec = work / "shop.yaml"
        self.spec.write_text(SPEC.format(url=api))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": bucket.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self, out, *words, machine="a", **environment):
        return subprocess.Popen(
            [self.binary, "run", self.spec, "--base-url", self.api, "--out", out]
            + ["--work-dir", self.work / f"machine-{machine}", "--progress", "none", *words],
            env=self.environment | environment,
            cwd=self.work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, out, *words, code=0, **options):
        process = self.start(out, *words, **options)
        stdout, stderr = process.communicate(timeout=300)
        if process.returncode != code:
            sys.exit(f"{words} ended with {process.returncode}, not {code}\n{stdout}{stderr}")
        for secret in (KEY, SECRET):
            expect("credentials in what is shown", secret in stdout + stderr, False)
        return stdout + stderr


def rows_on_disk(folder):
    table = pyarrow.dataset.dataset(folder, format="parquet").to_table()
    return sorted((row["id"], row["value"]) for row in table.to_pylist())


def check_bucket(bucket, prefix, expected):
    """Two engines find the rows of `expected` in the bucket, and the state knows each file."""
    state = bucket.json(f"{prefix}/shop/_connector/state.json")
    for name, rows in expected.items():
        keys = [key for key in bucket.keys(f"{prefix}/shop/{name}/")]
        known = [f"{prefix}/shop/{name}/{file['name']}" for file in state["resources"][name]["files"]]
        expect(f"files of {name}", sorted(keys), sorted(known))
        dataset = pyarrow.dataset.dataset(f"lake/{prefix}/shop/{name}", format="parquet", filesystem=bucket.arrow)
        found = sorted((row["id"], row["value"]) for row in dataset.to_table().to_pylist())
        expect(f"{name} in pyarrow", found, rows)
        frame = polars.read_parquet(
            f"s3://lake/{prefix}/shop/{name}/*.parquet",
            storage_options={
                "aws_access_key_id": KEY,
                "aws_secret_access_key": SECRET,
                "aws_region": "us-east-1",
                "aws_endpoint_url": bucket.url,
                "aws_allow_http": "true",
            },
        )
        expect(f"{name} in Polars", frame.select("id", "value").sort("id", "value").rows(), rows)
    expect("files of no dataset", bucket.keys(f"{prefix}/shop/_connector/tmp/"), [])
    lease = bucket.json(f"{prefix}/shop/_connector/lease.json")
    expect("the lease", (lease["holder"], lease["journals"]), (None, {}))


def check_state_holds_no_secret(bucket, prefix):
    for key in bucket.keys(f"{prefix}/shop/_connector/"):
        text = bucket.client.get_object(Bucket="lake", Key=key)["Body"].read()
        for secret in (KEY, SECRET):
            expect(f"credentials in {key}", secret.encode() in text, False)


def dispositions(connector, bucket, work):
    """Append, replace and merge, three times: what is in the bucket is what is on the disk."""
    for Api.version in range(3):
        local = connector.run(work / "disk")
        remote = connector.run("s3://lake/plain")
        expect("the command to read it", "s3://lake/plain/shop/merged/*.parquet" in remote, True)
        expect("tables", "merged" in local and "merged" in remote, True)
        expected = {name: rows_on_disk(work / "disk" / "shop" / name) for name in RESOURCES}
        check_bucket(bucket, "plain", expected)
    expect("rows", {name: len(rows) for name, rows in expected.items()}, {"merged": 441, "appended": 71, "replaced": 2})
    check_state_holds_no_secret(bucket, "plain")
    return expected


def commands(connector, bucket, work, expected):
    """Everything else that looks at datasets takes an address, too."""
    show = json.loads(connector.run("s3://lake/plain", "state", "show", "--json"))
    expect("state show", show["resources"]["merged"]["rows"], 441)
    runs = bucket.keys("plain/shop/_connector/runs/")
    listed = json.loads(connector.run("s3://lake/plain", "runs", "--json"))
    expect("runs", (len(listed), len(runs) >= 3), (len(runs), True))
    connector.run("s3://lake/plain", "report", str(work / "report.html"))
    expect("report", "merged" in (work / "report.html").read_text(), True)
    connector.run("s3://lake/plain", "schema", "--diff")
    connector.run("s3://lake/plain", "state", "reset", "merged")
    connector.run("s3://lake/plain", "--full-refresh", "-r", "merged")
    check_bucket(bucket, "plain", expected | {"merged": sorted(VERSIONS[2]["/items"])})
    text = connector.run("s3://lake/nothing", "state", "show")
    expect("no state", "holds no dataset" in text, True)
    expect("an address is no folder", (work / "s3:").exists(), False)


def copies(connector, bucket, work):
    """A bucket copied to a disk goes on there, and a disk copied to a bucket goes on there."""
    for key in bucket.keys("plain/"):
        path = work / "copy" / key.removeprefix("plain/")
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket.client.download_file("lake", key, str(path))
    Api.version = 1
    connector.run(work / "copy")
    for path in (work / "copy").rglob("*"):
        if path.is_file():
            bucket.client.upload_file(str(path), "lake", f"back/{path.relative_to(work / 'copy')}")
    Api.version = 2
    connector.run(work / "copy")
    connector.run("s3://lake/back")
    check_bucket(bucket, "back", {name: rows_on_disk(work / "copy" / "shop" / name) for name in RESOURCES})


def kills(connector, bucket, work):
    """Killed at any request; the next run leaves what one run on the disk leaves."""
    count = 0

    def counted(environ):
        nonlocal count
        count += 1

    def is_copy(environ):
        return "HTTP_X_AMZ_COPY_SOURCE" in environ

    Api.version = 0
    connector.run("s3://lake/counted")
    Api.version = 1
    bucket.watch = counted
    connector.run("s3://lake/counted")
    bucket.watch = None
    step = max(1, count // 12)
    deaths = {f"request {at}": (lambda at: lambda environ, seen: seen == at)(at) for at in range(0, count, step)}
    # Between the commit and the publication, between its steps, and before the state is written.
    deaths["copy"] = lambda environ, seen: is_copy(environ)
    deaths["delete"] = lambda environ, seen: environ["REQUEST_METHOD"] == "POST" and "delete" in environ["QUERY_STRING"]
    deaths["state"] = lambda environ, seen: (
        environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith("/state.json")
    )
    once = sorted(VERSIONS[1]["/news"])
    for number, (name, dies) in enumerate(deaths.items()):
        prefix = f"killed-{number}"
        Api.version = 0
        connector.run(f"s3://lake/{prefix}")
        Api.version = 1
        seen = -1
        lock = threading.Lock()
        ready = threading.Event()

        def watch(environ):
            nonlocal seen
            ready.wait(timeout=60)
            with lock:
                seen += 1
                if process.poll() is None and dies(environ, seen):
                    process.send_signal(signal.SIGKILL)
                    process.wait()

        bucket.watch = watch
        process = connector.start(f"s3://lake/{prefix}")
        ready.set()
        process.communicate(timeout=300)
        bucket.watch = None
        expect(f"killed at {name}", process.returncode, -signal.SIGKILL)
        # The same machine does not have to wait for the end of the lease. What was appended before
        # the kill is there, and the API sends the same again: a run more, a load more.
        state = json.loads(connector.run(f"s3://lake/{prefix}", "state", "show", "--json"))
        connector.run(f"s3://lake/{prefix}")
        merged = dict(VERSIONS[0]["/items"]) | dict(VERSIONS[1]["/items"])
        first = sorted(VERSIONS[0]["/news"])
        news = rows_in(bucket, f"{prefix}/shop/appended")
        loads = (len(news) - len(first)) // len(once)
        expect(f"loads after a kill at {name}", loads in (1, 2), True)
        if state["resources"]["appended"]["rows"] > len(first):
            expect(f"what was committed is there after a kill at {name}", loads, 2)
        check_bucket(
            bucket,
            prefix,
            {
                "merged": sorted(merged.items()),
                "appended": sorted(first + once * loads),
                "replaced": sorted(VERSIONS[1]["/items"]),
            },
        )
    return len(deaths)


def rows_in(bucket, folder):
    table = pyarrow.dataset.dataset(f"lake/{folder}", format="parquet", filesystem=bucket.arrow).to_table()
    return table.to_pylist()


def second_run(connector, bucket):
    """A run of another machine is told who holds the lease; the first one is not disturbed."""
    Api.version = 0
    Api.gate.clear()
    Api.waiting.clear()
    first = connector.start("s3://lake/leased", machine="a")
    expect("the first run reads", Api.waiting.wait(timeout=60), True)
    text = connector.run("s3://lake/leased", machine="b", code=2)
    expect("who holds the lease", "another run is writing to `s3://lake/leased/shop` (process" in text, True)
    expect("when it ends", "its lease ends in" in text, True)
    text = connector.run("s3://lake/leased", machine="a", code=2)
    expect("who holds the folder", "another run is writing to" in text, True)
    expect("runs", "running" in connector.run("s3://lake/leased", "runs", machine="b"), True)
    Api.gate.set()
    first.communicate(timeout=300)
    expect("the first run", first.returncode, 0)
    connector.run("s3://lake/leased", machine="b", code=0)


def refusals(connector, bucket):
    with enable_iam_authentication():
        text = connector.run("s3://lake/denied", code=5)
    expect("wrong credentials", "`s3://lake/denied/shop/_connector/lease.json`" in text, True)
    expect("what to do", "check the credentials in the environment" in text, True)
    text = connector.run("s3://no-such-bucket/x", code=5)
    expect("no such bucket", "check the name of the bucket" in text, True)
    text = connector.run("s3://lake/x", code=5, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    expect("no such server", "check the network" in text, True)


def main():
    binary, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    began = time.monotonic()
    Api.gate.set()
    bucket = Bucket()
    with serve(Api.answer) as url:
        connector = Connector(binary, work, url, bucket)
        expected = dispositions(connector, bucket, work)
        commands(connector, bucket, work, expected)
        copies(connector, bucket, work)
        killed = kills(connector, bucket, work)
        second_run(connector, bucket)
        refusals(connector, bucket)
    for machine in work.glob("machine-*/*/tmp"):
        expect("what is left of runs", list(machine.iterdir()), [])
    bucket.server.shutdown()
    seconds = time.monotonic() - began
    print(f"object storage: {killed} kills, {checks.comparisons} comparisons hold ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
