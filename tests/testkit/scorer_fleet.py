"""A small fleet in a folder: models by scikit-learn, readings by hand, and the command line run over them."""

import functools
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from device_scorer.store.folder import FolderStore
from device_scorer.window import Window
from tests.testkit.scorer_command import CommandResult, scorer

START, END = "2018-08-28T23:00:00Z", "2018-08-29T00:00:00Z"
WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
PARTITION = "20180828T2300Z"
PREDICTIONS = "20180828T230000Z_20180829T000000Z"
NORMAL = (9.5, 10.0, 10.5, 11.0, 9.0)
SPIKE = 99.0


def fitted(values: Iterable[float], *, nu: float = 0.0001, gamma: float = 0.01) -> Pipeline:
    """Return the trainer's pipeline, fitted on these values."""
    column = np.array(list(values), dtype=np.float64).reshape(-1, 1)
    steps = [("scaler", StandardScaler()), ("classifier", OneClassSVM(nu=nu, kernel="rbf", gamma=gamma))]
    return Pipeline(steps).fit(column)


@functools.cache
def a_model() -> Pipeline:
    """Return a model that labels 8 to 12 normal, and the values around them as anomalies."""
    return fitted(np.round(np.random.default_rng(1).normal(10, 1, 400).clip(8, 12), 2))


def bundle(models: Mapping[Any, Any]) -> bytes:
    target = io.BytesIO()
    joblib.dump(dict(models), target)
    return target.getvalue()


def csv_of(*rows: Sequence[str], header: str = "TS,Device,Tag,Value") -> bytes:
    return "".join(line + "\n" for line in (header, *(",".join(row) for row in rows))).encode()


def readings(device: str, *, tags: Sequence[str] = ("1",), values: Sequence[float] = NORMAL) -> bytes:
    """Return one reading per value and tag, a minute apart, from the start of the window."""
    return csv_of(
        *(
            (f"2018-08-28T23:{minute:02d}:00Z", device, tag, str(value))
            for minute, value in enumerate(values)
            for tag in tags
        ),
    )


class Fleet:
    """A store in a folder, and what the command line says about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FolderStore(folder)

    def device(
        self,
        name: str = "press-1",
        *,
        tags: Sequence[str] = ("1",),
        models: Mapping[str, Any] | bytes | None = None,
        data: bytes | None = None,
    ) -> str:
        """Put a device's bundle and readings into the store; a reading is normal unless `data` says otherwise."""
        content = models if isinstance(models, bytes) else bundle(models or dict.fromkeys(tags, a_model()))
        self.store.write("models", f"{name}.joblib", content, overwrite=True)
        self.put(name, readings(name, tags=tags) if data is None else data)
        return name

    def put(self, device: str, data: bytes, partition: str = PARTITION) -> None:
        self.store.write("data", f"{partition}/{device}.csv", data, overwrite=True)

    def score(self, *words: str, devices: Sequence[str] = ("press-1",)) -> CommandResult:
        return scorer(
            *("score", "--store", str(self.folder), "--window-start", START, "--window-end", END),
            *(*words, "--", *devices),
        )

    def termination_message(self, *words: str, devices: Sequence[str] = ("press-1",)) -> dict[str, Any]:
        """Score devices and return the termination message."""
        target = self.folder / "message"
        self.score("--termination-log", str(target), *words, devices=devices)
        message = json.loads(target.read_bytes())
        assert isinstance(message, dict)
        return message

    def predictions(self, device: str = "press-1") -> str | None:
        blob = self.store.read("predictions", f"{PREDICTIONS}/{device}.csv")
        return None if blob is None else blob.content.decode()

    def metadata(self, device: str = "press-1") -> dict[str, str]:
        info = self.store.head("predictions", f"{PREDICTIONS}/{device}.csv")
        assert info is not None
        return dict(info.metadata)

    def labels(self, device: str = "press-1") -> list[str]:
        text = self.predictions(device)
        assert text is not None
        return [line.rsplit(",", 2)[1] for line in text.splitlines()[1:]]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Return an empty fleet in a folder; the developer's environment does not affect it."""
    for name in ("FLEETSCORE_TERMINATION_LOG", "FLEETSCORE_ALLOW_OVERWRITE", "FLEETSCORE_MODELS_TRUST"):
        monkeypatch.delenv(name, raising=False)
    return Fleet(tmp_path / "fleet")
