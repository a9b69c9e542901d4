"""CPU and memory of the report of large windows, on a server that lists as Azure does.

Every device has 1,200 rows in five tags, a model, readings and predictions of this window and of the one before; one
device of fifty is anomalous. The server renders pages on demand and is not part of the measurement. Measured is the
user and system time of the process `device-scorer report` (getrusage).
"""

import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.testkit.http_server import RequestHandler, serve

from bench.goals import Goals, print_progress
from bench.listing_server import BLOB_TEMPLATE, connection_string
from bench.scorer import create_image_environment
from device_scorer.contract.digest import DeviceDigest, TagDigest, encode_digest

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = (START, START + timedelta(hours=1))
TAGS, ROWS = [f"sensor-{number}" for number in range(5)], 1200
SIZES = (1_000, 10_000, 100_000)
MAX_CPU_MS, MAX_RSS_MIB, MAX_GROWTH = 1.0, 200, 1.2
ANOMALIES = 30
"""Anomalies of an anomalous device."""


@dataclass(frozen=True)
class Measurement:
    """The cost of one report: CPU in milliseconds per device, and peak memory in MiB."""

    cpu_ms: float
    rss_mib: float


def main(*, quick: bool) -> bool:
    """Measure reports of three sizes, and one without digests, and print the table."""
    sizes = (100, 1_000) if quick else SIZES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = create_image_environment(folder / "python")
        found = {size: _measure(python, folder, size) for size in sizes}
        without = _measure(python, folder, sizes[0], digests=False)
    goals = Goals()
    print("| report | CPU per device (ms) | peak RSS (MiB) |")
    print("|---|---|---|")
    for size, one in found.items():
        cpu = goals.format_cell(one.cpu_ms, 3, at_most=MAX_CPU_MS if size >= SIZES[1] else None)
        rss = goals.format_cell(one.rss_mib, 0, at_most=MAX_RSS_MIB)
        print(f"| {size:,} devices | {cpu} | {rss} |")
    print(f"| {sizes[0]:,} devices without digests | {without.cpu_ms:.3f} | {without.rss_mib:.0f} |")
    growth = found[sizes[-1]].cpu_ms / found[sizes[-2]].cpu_ms
    verdict = goals.check_goal(growth, at_most=MAX_GROWTH)
    print(f"\nCPU per device: {sizes[-1]:,} devices take {growth:.2f} times as much as {sizes[-2]:,} ({verdict}).")
    return goals.all_met


def _measure(python: Path, folder: Path, size: int, *, digests: bool = True) -> Measurement:
    devices = [f"device-{number:06}-hall-{number % 7}" for number in range(size)]
    (folder / "list").write_bytes(zlib.compress("\n".join(devices).encode()))
    progress = {"outcomes": {"scored": f"0-{size - 1}"}, "reasons": {}, "samples": []}
    (folder / "progress").write_bytes(zlib.compress(json.dumps(progress).encode()))
    command = [str(python), "-m", "device_scorer", "report", "--run-uid", "uid"]
    command += ["--window-start", f"{WINDOW[0]:%Y-%m-%dT%H:%M:%SZ}", "--window-end", f"{WINDOW[1]:%Y-%m-%dT%H:%M:%SZ}"]
    command += ["--devices", str(folder / "list"), "--progress", str(folder / "progress")]
    measured = [sys.executable, "-I", "-S", str(Path(__file__).with_name("measure_process.py")), *command]
    with serve(_Handler, devices=devices, digests=digests) as url:
        environment = {
            **os.environ,
            "AZURE_STORAGE_CONNECTION_STRING": connection_string(url),
            "FLEETSCORE_AUTH": "connectionString",
        }
        done = subprocess.run(measured, env=environment, capture_output=True, text=True, check=True, cwd=folder)
    code, cpu, rss = done.stdout.split()
    if code != "0" or f"{size:,} scored" not in done.stderr:
        sys.exit(f"the report of {size:,} devices ended with {code}:\n{done.stdout}{done.stderr}")
    print_progress(f"report of {size:,} devices: {float(cpu):.1f} s of CPU, {float(rss):.0f} MiB")
    return Measurement(float(cpu) / size * 1000, float(rss))


class _Handler(RequestHandler):
    """The requests of a report to the account of a fleet. Every write succeeds, and only lists and readings exist."""

    devices: Sequence[str]
    digests: bool

    def handle_request(self) -> None:
        if self.command == "PUT":
            self.read_body()
            self._answer(HTTPStatus.CREATED)
        elif self.command == "GET":
            self._read_blobs()
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def _read_blobs(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        name = unquote(url.path).rpartition("/")[2]
        if query.get("comp") == "list":
            self._answer(HTTPStatus.OK, _render(self.devices, name, query, digests=self.digests))
        elif name.startswith("device-"):
            self._answer(HTTPStatus.OK, _predictions(name.removesuffix(".csv")))
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def _answer(self, status: int, content: bytes = b"") -> None:
        headers = {"x-ms-error-code": "BlobNotFound"} if status == HTTPStatus.NOT_FOUND else {}
        headers |= {
            "ETag": '"0x8DE4A3B5C6D7E8F"',
            "Content-Type": "application/xml",
            "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}",
        }
        self.respond(status, content, headers)


@cache
def _metadata(*, anomalous: bool, digests: bool) -> str:
    count = ANOMALIES if anomalous else 0
    values = {
        "runuid": "uid",
        "window": "w",
        "tags": "*",
        "complete": "true",
        "dataetags": "0x8DE4A3B5C6D7E8F",
        "modeletag": "0x8DE4A3B5C6D7E8F",
        "modelsha256": "a" * 64,
        "scorer": "1.0.0",
        "sklearn": "1.7.2",
        "rows": str(ROWS),
        "badrows": "0",
        "unscoredrows": "0",
        "anomalies": str(count),
    }
    if digests:
        values["digest"] = encode_digest(_digest(count))
    return f"<Metadata>{''.join(f'<{key}>{value}</{key}>' for key, value in values.items())}</Metadata>"


def _render(devices: Sequence[str], container: str, query: Mapping[str, str], *, digests: bool) -> bytes:
    """Return a page of a listing. Only the prefixes of windows, partitions and models have blobs."""
    prefix, at = query.get("prefix", ""), int(query.get("marker") or "0")
    size = int(query.get("maxresults", "5000"))
    suffix = {"models": ".joblib", "data": ".csv", "predictions": ".csv"}[container]
    known = container == "models" or prefix.endswith("Z/")
    blobs = []
    for index in range(at, min(at + size, len(devices)) if known else at):
        blob = BLOB_TEMPLATE.format(f"{prefix}{devices[index]}{suffix}")
        if "metadata" in query.get("include", ""):
            found = _metadata(anomalous=index % 50 == 0, digests=digests)
            blob = blob.replace("<OrMetadata />", f"{found}<OrMetadata />")
        blobs.append(blob)
    marker = at + size if known and at + size < len(devices) else ""
    page = f"<Blobs>{''.join(blobs)}</Blobs><NextMarker>{marker}</NextMarker>"
    return f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults>{page}</EnumerationResults>'.encode()


def _digest(anomalies: int) -> DeviceDigest:
    rows, found, end = ROWS // len(TAGS), anomalies // len(TAGS), int(WINDOW[1].timestamp())
    texts = ("2026-01-01T12:10:00.000Z", "2026-01-01T12:50:00.000Z", "2026-01-01T12:20:00.000Z", "31.27", -0.0123)
    tags = tuple(
        TagDigest(tag, rows, 0, end - 3600, end - 15, 12.5 + index, 31.27 + index, 20.1234567 + index, 45, found)
        if not found
        else TagDigest(tag, rows, 0, end - 3600, end - 15, 12.5 + index, 31.27 + index, 20.1234567, 45, found, *texts)
        for index, tag in enumerate(TAGS)
    )
    return DeviceDigest(tags, end - 15, (anomalies, *[0] * 59) if anomalies else ())


@cache
def _predictions(device: str) -> bytes:
    every = ROWS // ANOMALIES
    lines = []
    for row in range(ROWS):
        at = START + timedelta(seconds=row // len(TAGS) * 15)
        label = int(row % every == 0)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{device},{TAGS[row % len(TAGS)]},{row % 97}.25,{label},{0.5 - label}\n")
    return b"TS,Device,Tag,Val,Prediction,Score\n" + "".join(lines).encode()
