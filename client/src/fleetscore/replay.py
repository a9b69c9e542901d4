"""A repetition of a device's score here, by the scorer's own program, and its comparison with storage."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleetscore import model_bounds, scorer_program
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window
from fleetscore.data import MAX_TABLE_BYTES, FleetData
from fleetscore.errors import DataInvalid, NotFound
from fleetscore.frames import COUNT_COLUMNS, anomaly_counts, concat, predictions_frame
from fleetscore.interrupts import temporary_folder
from fleetscore.store.base import Blob, BlobInfo
from fleetscore.store.folder import FolderStore

if TYPE_CHECKING:
    import pandas as pd

MAX_ETAGS_CHARS = 1500
ANOMALY_COLUMNS = ("TS", "Tag", "Val", "Score", "Lowest", "Highest")


@dataclass(frozen=True)
class Replay:
    """The result of a repetition.

    Attributes:
        device: The device's id.
        window: The window.
        stored: True if storage has predictions.
        same: True if the bytes are those of the stored predictions.
        size: The size of the repeated predictions, in bytes; 0 without readings.
        trial: True if the model was tried from a file of the caller.
        differences: Sentences about what is another one than at the time of the stored predictions.
        message: The scorer's line about the device.
        anomalies: The anomalous readings: TS (UTC), Tag, Val and Score, and the bounds Lowest and Highest of the values
            that the model labels normal around the other readings (NaN if they are unknown or there is none).
        counts: The anomalies of the stored predictions and of these, by tag; see `frames.anomaly_counts`. Empty if the
            bytes are the same, or if storage has no readable predictions.
    """

    device: str
    window: Window
    stored: bool
    same: bool
    size: int
    trial: bool
    differences: Sequence[str]
    message: str
    anomalies: "pd.DataFrame"
    counts: "pd.DataFrame"


def replay(fleet: FleetData, device: str, window: Window, trial: Path | None = None) -> Replay:
    """Score a device again, in a temporary folder, with its readings and model of now.

    Args:
        fleet: The fleet.
        device: The device's id.
        window: The window.
        trial: A file with the bundle to use in place of the stored one; None for the stored one.

    Raises:
        NotFound: The device has no model or no readings, or `device-scorer` is not installed.
        DataInvalid: The device cannot be scored.
    """
    scorer_program.find_program()
    layout = fleet.layout
    model = fleet.model_bundle(device) if trial is None else _trial_bundle(trial, layout.models_path, device)
    try:
        readings = fleet.reading_blobs(device, window)
    except NotFound as error:
        raise NotFound(f"{error}; name another --window") from error
    name = blob_paths.prediction_name(layout.predictions_path, window, device)
    stored = fleet.store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
    with temporary_folder() as folder:
        store = FolderStore(folder)
        for container, blob in (("models", model), *(("data", one) for one in readings)):
            store.write(container, blob.info.name, blob.content, if_match=None)
        tags = requested_tags(stored.info.metadata if stored else {})
        message = scorer_program.score(folder, layout, window, device, tags)
        found = store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
    rows = predictions_frame(found.content, name) if found else None
    same = stored is not None and found is not None and found.content == stored.content
    return Replay(
        device,
        window,
        stored=stored is not None,
        same=same,
        size=len(found.content) if found else 0,
        trial=trial is not None,
        differences=differences(stored, found, None if trial else model, readings),
        message=message,
        anomalies=_anomalies(rows, model.content),
        counts=_counts(None if same else stored, rows),
    )


def requested_tags(metadata: Mapping[str, str]) -> list[str] | None:
    """Return the tags for which predictions were requested; None for all tags, and for a list that is only a hash.

    Args:
        metadata: The metadata of the predictions.
    """
    text = metadata.get("tags", "*")
    if text == "*" or text.startswith("sha256:"):
        return None
    return [tag for segment in text.split(" ") if (tag := blob_paths.decode_id(segment)) is not None]


def differences(stored: Blob | None, found: Blob | None, model: Blob | None, readings: Sequence[Blob]) -> list[str]:
    """Return sentences about what is another one now than when the stored predictions were made.

    Args:
        stored: The stored predictions; None if they do not exist.
        found: The repeated predictions; None without usable readings.
        model: The device's bundle in storage; None if another one was used.
        readings: The device's partitions.
    """
    if stored is None:
        return ["storage has no predictions of this device and window"]
    before, now = stored.info.metadata, found.info.metadata if found else {}
    lines = []
    sha256 = hashlib.sha256(model.content).hexdigest() if model else ""
    if model and before.get("modelsha256", sha256) != sha256:
        text = f"the predictions were made with another model (SHA-256 {before['modelsha256'][:12]}, now {sha256[:12]})"
        lines.append(f"{text}; score the window again with --write-policy IfChanged, or restore that model")
    etags = _hash_if_long(" ".join(one.info.etag for one in readings))
    if before.get("dataetags", etags) != etags:
        text = "the readings were written again after the predictions were made"
        lines.append(f"{text}; score the window again with --write-policy IfChanged to include the change")
    programs = [("scorer", "device-scorer"), *([("sklearn", "scikit-learn of the models")] if model else [])]
    for key, name in programs:
        if now and before.get(key, now.get(key)) != now.get(key):
            lines.append(f"{name}: {before.get(key)} then, {now.get(key)} now")
    if before.get("tags", "").startswith("sha256:"):
        lines.append(
            "the predictions were requested for a list of tags that is too long for storage; all tags are here"
        )
    return lines


def _anomalies(rows: "pd.DataFrame | None", bundle: bytes) -> "pd.DataFrame":
    if rows is None:
        return concat((), ANOMALY_COLUMNS)
    found = rows.loc[rows["Prediction"] == 1, ["TS", "Tag", "Val", "Score"]].reset_index(drop=True)
    try:
        bounds = model_bounds.find_bounds(bundle, rows) if len(found) else {}
    except DataInvalid:  # the anomalies are shown without bounds
        bounds = {}
    nothing = (float("nan"), float("nan"))
    found["Lowest"] = [bounds.get(tag, nothing)[0] for tag in found["Tag"]]
    found["Highest"] = [bounds.get(tag, nothing)[1] for tag in found["Tag"]]
    return found


def _counts(stored: Blob | None, rows: "pd.DataFrame | None") -> "pd.DataFrame":
    if stored is not None and rows is not None:
        with suppress(DataInvalid):  # stored predictions that are damaged cannot be compared
            return anomaly_counts(predictions_frame(stored.content, stored.info.name), rows)
    return concat((), COUNT_COLUMNS)


def _trial_bundle(path: Path, template: str, device: str) -> Blob:
    """Return the bundle in a file, under the name that it would have in storage."""
    text = f"the model {path} cannot be read"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise NotFound(f"{text}: {error.strerror}; name a bundle: a dict with a model per tag, by joblib") from error
    if len(content) > MAX_TABLE_BYTES:
        raise DataInvalid(f"{text}: it has more than {MAX_TABLE_BYTES:,} bytes; train a smaller one")
    return Blob(BlobInfo(blob_paths.model_name(template, device), len(content), ""), content)


def _hash_if_long(text: str) -> str:
    return text if len(text) <= MAX_ETAGS_CHARS else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
