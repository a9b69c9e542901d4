"""The files of a fleet that the console shows, with hostile ids and messages."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window
from fleetscore.frames import TABLE_COLUMNS

HOSTILE = "<script>alert(1)</script>&\"'=,;../x\u202e"
HALL = "hall3-pump"
START = datetime(2018, 8, 27, tzinfo=UTC)  # a Monday: the first window of its tile
COUNT = 168
NEWEST = 40
WINDOW = Window(START + timedelta(hours=NEWEST), START + timedelta(hours=NEWEST + 1))
NEXT_TO_NEWEST = WINDOW.previous(1)


def tile(states: dict[str, str], *, first: datetime = START, count: int = COUNT, fleet: str = "default") -> bytes:
    """Return a tile of hourly windows, each device padded with unknown states."""

    def quoted(device: str) -> str:
        return '"' + device.replace('"', '""') + '"' if "," in device or '"' in device else device

    lines = "".join(f"{quoted(device)},{states[device].ljust(count, '?')}\n" for device in sorted(states))
    head = f"# fleet={fleet} length=PT3600S first={int(first.timestamp())} windows={count}\nDevice,States\n"
    return gzip.compress((head + lines).encode())


def write_fleet(folder: Path) -> Path:
    """Write the fleet: 3 devices, 41 windows, of which one was never scored, and return its folder."""
    normal = "N" * (NEWEST + 1)
    states = {
        HALL: normal[:-3] + "AAA",
        HOSTILE: normal[:-1] + "S",
        "press-1": "N" * 10 + "F" + normal[11:],
    }
    states = {device: f"{text[:20]}?{text[21:]}" for device, text in states.items()}
    files = {
        "_history/default/PT3600S/2018-W35.csv.gz": tile(states),
        blob_paths.report_name(WINDOW, blob_paths.REPORT_FILE): b"<html><script>alert(1)</script>report</html>",
        blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE): (
            "Id,Device,Cause,State,Since,Until,Windows,Tags,Strongest,Owner,Muted\n"
            f"a1,{HALL},machine,open,2018-08-28T14:00:00Z,,3,vibration,-0.4,<b>Ann</b>,\n"
            f"a2,press-1,data,open,2018-08-28T16:00:00Z,,1,,,Bob,maintenance\n"
        ).encode(),
        blob_paths.report_name(WINDOW, blob_paths.SENSORS_FILE): (
            "Device,Tag,Flag,Since,Rows,Detail\n"
            f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",temp,stuck,2018-08-28T16:00:00Z,60,<i>the value is 5</i>\n'
        ).encode(),
        blob_paths.prediction_name("{window}/{device}.csv", WINDOW, HALL): predictions(HALL, anomalous=True),
        blob_paths.prediction_name("{window}/{device}.csv", WINDOW, HOSTILE): predictions(HOSTILE),
    }
    for name, content in files.items():
        path = folder / "predictions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "models").mkdir()
    (folder / "models" / f"{HALL}.joblib").write_bytes(b"a model")
    return folder


def predictions(device: str, *, anomalous: bool = False) -> bytes:
    """Return the predictions of two tags in the newest window; the tag `vibration` can end with an anomaly."""
    name = device.replace('"', '""')
    rows = [
        f'{WINDOW.start + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ},"{name}",{tag},{value},{label},{-0.1 * label}'
        for tag in ("temp", "vibration")
        for minute in range(60)
        for label in [int(anomalous and tag == "vibration" and minute == 59)]
        for value in [5.0 + minute / 60 + 40 * label]
    ]
    return ("TS,Device,Tag,Val,Prediction,Score\n" + "\n".join(rows) + "\n").encode()


HOSTILE_TEXTS = (
    "W" * 128,
    "press-1 " * 12,
    "\u202e\u2066gnp.evil\u2069",
    "\u200b\u2060",
    "\u0645\u0636\u062e\u0629-\u0667",
    "Z\u0351\u036b\u0343\u036a\u0302" * 6,
    "javascript:alert(1)",
    "</title></svg><script>window.ran = true</script>",
    "\" onload='window.ran = true' autofocus onfocus=alert(1) x=\"",
    "{{ 7 * 7 }}{% include 'base.html' %}${7*7}#{7*7}",
    "red;}*{display:none}</style><style>*{background:url(//evil.example)}",
    "nul\0cr\rpage\x0cescape\x1b[31m\x85\u2028",
    "\U0001f469\u200d\U0001f680\U0010ffff\ufdd0",
    "../../../etc/passwd?x=1&amp;y#z%00%2e",
)
"""Ids, tags and texts of parties that may write storage."""


def write_hostile_fleet(folder: Path) -> Path:
    """Write a fleet whose ids, tags, causes, owners, flags, metadata and mutes are hostile, and return its folder."""
    write_fleet(folder)
    states = dict.fromkeys(HOSTILE_TEXTS, "N" * NEWEST + "A")
    files = {"_history/default/PT3600S/2018-W35.csv.gz": tile(states)}
    for file, state in ((blob_paths.INCIDENTS_FILE, "open"), (blob_paths.SENSORS_FILE, "")):
        columns = TABLE_COLUMNS[file]
        rows = [
            [state if name == "State" else "" if name == "Muted" else text for name in columns]
            for text in HOSTILE_TEXTS
        ]
        files[blob_paths.report_name(WINDOW, file)] = table([columns, *rows])
    files[blob_paths.MUTES_FILE] = table([[text, "soon", "", "", ""] for text in HOSTILE_TEXTS])
    for text in HOSTILE_TEXTS:
        tag = '"' + text.replace('"', '""') + '"'
        name = blob_paths.prediction_name("{window}/{device}.csv", WINDOW, text)
        files[name] = predictions(text).replace(b",temp,", f",{tag},".encode())
        content, model = text.encode(), blob_paths.model_name("{device}.joblib", text)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        files[f"../models/{model}"] = content
        files[f"../models/.meta/{model}.{digest[:12]}.json"] = json.dumps(dict.fromkeys(HOSTILE_TEXTS, text)).encode()
    for path, content in files.items():
        (folder / "predictions" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "predictions" / path).write_bytes(content)
    return folder


def table(rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV."""
    target = io.StringIO()
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows(rows)
    return target.getvalue().encode()
