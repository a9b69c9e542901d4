"""Files in the container of predictions that another client has replaced: named, never believed, never fatal."""

import gzip
import json
from pathlib import Path

import pytest

from device_scorer.cli import build_parser
from device_scorer.cli.report import run
from device_scorer.errors import BlobEncodingInvalid
from device_scorer.store.base import Blob
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_report import ARGUMENTS, SLUG, read_summary, read_table, write_predictions

TILE = "_history/default/PT3600S/2018-W35.csv.gz"
RECORD = "_runs/u1/job.json"
PLACES = (
    *(TILE, "_history/default/PT3600S/2018-W34.csv.gz", "_mutes.csv", "_outbox/default.json", RECORD),
    *(f"{SLUG}/_failures.csv", f"{SLUG}/_empty.csv", f"{SLUG}/press-2.csv"),
)
CONTENTS = {
    "nothing": b"",
    "zeros": bytes(1000),
    "page": b"<html>403</html>",
    "list": b"[[[[1,2]]]]",
    "cut": gzip.compress(b"# fleet=default length=PT3600S first=1535328000 windows=168\nDevice,States\n")[:-9],
    "bomb": gzip.compress(bytes(100_000_000)),
}


class EncodedStore(FolderStore):
    """A store in which one blob has a Content-Encoding that cannot be decoded."""

    encoded = ""

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        if name == self.encoded and max_bytes is not None:  # without a limit it is only for the properties
            raise BlobEncodingInvalid(name, "utf-8", "is not supported")
        return super().read(container, name, max_bytes=max_bytes)


def report_of(folder: Path, encoded: str = "") -> None:
    write_predictions(folder, "press-1", {"1": "000111"})
    store = EncodedStore(folder)
    store.encoded = encoded
    arguments = build_parser("report").parse_args(["--store", str(folder), *ARGUMENTS, "--run-uid", "u1"])
    assert run(arguments, open_store=lambda _: store) == 0
    assert read_summary(folder)["devices"]["total"] >= 1
    assert read_table(folder, "_incidents.csv") == []


@pytest.fixture(autouse=True)
def receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}
    monkeypatch.setenv("FLEETSCORE_NOTIFY", json.dumps([hook]))


@pytest.mark.parametrize("name", PLACES)
def test_blob_with_an_unknown_encoding_is_named_and_does_not_end_the_report(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    FolderStore(tmp_path).write("predictions", name, b"x", metadata={"failures": "1"} if name == RECORD else {})
    report_of(tmp_path, name)
    assert f"{name} is invalid: its Content-Encoding 'utf-8' is not supported" in capsys.readouterr().err


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_replaced_file_does_not_end_the_report(tmp_path: Path, name: str, content: bytes) -> None:
    FolderStore(tmp_path).write("predictions", name, content, metadata={"failures": "1"} if name == RECORD else {})
    report_of(tmp_path)
    if name == TILE:
        assert "the history of its windows begins again" in read_summary(tmp_path)["problems"][0]
