"""`device-scorer train`: fits one model per device and tag from the readings in the store, one bundle per device.

The model is the original's: StandardScaler, then OneClassSVM(nu=0.0001, rbf, gamma=0.01). With so small a nu it is in
effect an interval around the readings it was trained on. That says which readings may be left out where there are more
than is useful: any, evenly, but the smallest and the largest.
"""

import argparse
import fnmatch
import io
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isnan
from typing import Any

import numpy as np

from device_scorer import log, paths, readings, settings
from device_scorer.blobs import Store, open_store
from device_scorer.errors import DataInvalid, TooLarge
from device_scorer.progress import Progress
from device_scorer.settings import Settings
from device_scorer.window import Window, parse_instant

NU, GAMMA = 0.0001, 0.01
# The solver's default of 0.001 is coarser than the whole decision function of a few hundred readings with this nu: it
# would stop at the first one and call all others anomalies. A finer one costs nothing and changes no larger model.
TOLERANCE = 1e-6
MIN_ROWS = 10
MAX_OWN_ANOMALIES = (
    0.05  # the ends of the interval are anomalous or not by rounding alone; a two-valued tag has no more
)
MAX_ROWS = 100_000
RESERVED_TAG = "_meta"
_TIME_DIGITS = {"yyyy": r"\d{4}", "MM": r"\d\d", "dd": r"\d\d", "HH": r"\d\d", "mm": r"\d\d"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)

DESCRIPTION = f"""\
Train one anomaly model per device and tag from the readings in the store, and write one bundle per device: a joblib
file that holds a dict tag -> scikit-learn pipeline (StandardScaler, then OneClassSVM with nu={NU}, rbf,
gamma={GAMMA}). An earlier bundle of the device is replaced.

A tag whose readings are all equal is refused by name, for its model would call everything an anomaly; so is one with
fewer than {MIN_ROWS} usable readings, and one whose model would call more than {MAX_OWN_ANOMALIES:.0%} of them
anomalies, as happens with a switch. The device's other tags are trained. Of more than --max-rows readings of a tag,
evenly spread ones are taken, and always the smallest and the largest.

exit codes: 0 every device has a bundle; 65 at least one has none, each is named; 64 wrong usage; 75 storage

example: train on everything before the hour that will be scored
  device-scorer train --store ./folder --end 2018-08-28T23:00:00Z"""


class Refused(Exception):  # noqa: N818 (a verdict about a tag's readings, not an error of the program)
    """No model can be trained on these values; the text says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    settings.add_store_argument(parser)
    add("--device", action="append", metavar="GLOB", help="only devices like GLOB, such as 'press-*'; may be repeated")
    add("--start", type=parse_instant, metavar="TIME", help="only readings from TIME on (all)")
    add("--end", type=parse_instant, metavar="TIME", help="only readings before TIME (all)")
    add("--max-rows", type=int, default=MAX_ROWS, metavar="N", help=f"readings per tag at most ({MAX_ROWS:,})")


def run(arguments: argparse.Namespace) -> int:
    """Train every device that has readings; 65 where one of them ends without a bundle."""
    config = settings.read(os.environ, arguments.store)
    window = Window(arguments.start or _EPOCH, arguments.end or _END_OF_TIME)
    store = open_store(config)
    sources = _sources(store, config, arguments.device or ["*"])
    if not sources:
        raise DataInvalid("the store has no readings of such devices: see `device-scorer import --help`")
    store.ensure_container("models")
    progress = Progress()
    models, without = 0, []
    for number, (device, names) in enumerate(sorted(sources.items()), 1):
        progress.show(f"training {device} ({number:,} of {len(sources):,})")
        trained = _train_device(store, config, device, names, window=window, max_rows=max(2, arguments.max_rows))
        models += trained
        if not trained:
            without.append(device)
    progress.clear()
    print(f"{models:,} models trained, in bundles of {len(sources) - len(without):,} of {len(sources):,} devices")
    if without:
        log.error(f"{len(without):,} devices have no bundle: {_few(without)}")
    return 65 if without else 0


def fit(values: Mapping[str, np.ndarray], *, max_rows: int = MAX_ROWS) -> tuple[dict[str, Any], dict[str, str]]:
    """Fit a pipeline per tag.

    Args:
        values: usable readings by tag, in the order of their blobs.
        max_rows: how many of a tag's readings are used at most; at least 2.

    Returns:
        Pipelines by tag, and why by refused tag.
    """
    models, refused = {}, {}
    for tag, numbers in sorted(values.items()):
        try:
            models[tag] = _pipeline(tag, thinned(numbers, max_rows))
        except Refused as verdict:
            refused[tag] = str(verdict)
    return models, refused


def thinned(numbers: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the numbers, in their order: evenly spread ones, always the smallest and the largest."""
    if len(numbers) <= most:
        return numbers
    extremes = {int(numbers.argmin()), int(numbers.argmax())}
    spread = np.linspace(0, len(numbers) - 1, most - len(extremes)).round().astype(int)
    return numbers[sorted(extremes.union(spread.tolist()))]


def _pipeline(tag: str, numbers: np.ndarray) -> Any:
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 (a second of imports that --help need not pay)
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 (as above)
    from sklearn.svm import OneClassSVM  # noqa: PLC0415 (as above)

    if tag == RESERVED_TAG or not tag.isprintable() or len(tag) > 256:
        raise Refused("a tag has 1 to 256 printable characters and is not '_meta'")
    if len(numbers) < MIN_ROWS:
        raise Refused(f"{len(numbers)} usable readings, {MIN_ROWS} are needed")
    scaler = StandardScaler().fit(numbers.reshape(-1, 1))
    # Where a column is constant but for rounding, StandardScaler leaves it unscaled: a scale of 1 for another variance.
    if numbers.min() == numbers.max() or scaler.scale_[0] != np.sqrt(scaler.var_[0]):
        raise Refused(f"all {len(numbers):,} readings are {numbers[0]:g}: its model would call everything an anomaly")
    classifier = OneClassSVM(nu=NU, kernel="rbf", gamma=GAMMA, tol=TOLERANCE)
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", classifier)]).fit(numbers.reshape(-1, 1))
    anomalous = np.mean(pipeline.predict(numbers.reshape(-1, 1)) == -1)
    if anomalous > MAX_OWN_ANOMALIES:
        raise Refused(f"its model would call {anomalous:.0%} of the readings it was trained on anomalies")
    return pipeline


def bundle(models: Mapping[str, Any]) -> bytes:
    """The bundle's file: joblib's, of a dict tag -> pipeline."""
    import joblib  # noqa: PLC0415 (as above)

    file = io.BytesIO()
    joblib.dump(dict(models), file)
    return file.getvalue()


def _sources(store: Store, config: Settings, globs: list[str]) -> dict[str, list[str]]:
    """Names of the blobs that hold readings, by device."""
    sources = defaultdict(list)
    for info in store.list("data", config.data_path.partition("{")[0]):
        device = paths.device_of(config.data_path, info.name)
        if device is not None and any(fnmatch.fnmatchcase(device, glob) for glob in globs):
            sources[device].append(info.name)
    return sources


@dataclass
class _History:
    """What a device's blobs hold: numbers by tag, and how many rows were no use."""

    numbers: defaultdict[str, "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    bad_rows: int = 0

    def add(self, content: bytes, device: str, window: Window) -> None:
        """Take the rows of one blob that are the device's and lie in the window."""
        start, end = int(window.start.timestamp()), int(window.end.timestamp())
        for _, owner, tag, _, at, number in readings.rows(content, on_bad=self._count_bad):
            if isnan(number):
                self.bad_rows += 1
            elif start <= at < end and owner == device:
                self.numbers[tag].append(number)

    def _count_bad(self, _line: bytes, _reason: str) -> None:
        self.bad_rows += 1


def _train_device(
    store: Store, config: Settings, device: str, names: list[str], *, window: Window, max_rows: int
) -> int:
    """Train one device and write its bundle; returns how many models it holds, 0 where none was written."""
    history = _History()
    for name in sorted(names):
        if not _overlaps(config, device, name, window):
            continue
        try:
            blob = store.read("data", name, max_bytes=config.limits.data_bytes)
            history.add(blob.content if blob else b"", device, window)
        except (DataInvalid, TooLarge) as error:
            log.warning(f"{name} is left out: {error}")
    if history.bad_rows:
        log.warning(f"{device}: {history.bad_rows:,} unusable rows are left out")
    values = {tag: np.frombuffer(numbers) for tag, numbers in history.numbers.items()}
    models, refused = fit(values, max_rows=max_rows)
    for tag, reason in refused.items():
        log.warning(f"{device}, tag {tag!r} gets no model: {reason}")
    if models:
        store.write("models", paths.model_name(config.models_path, device), bundle(models), overwrite=True)
    return len(models)


def _overlaps(config: Settings, device: str, name: str, window: Window) -> bool:
    """Whether the blob's partition meets the window; True where its name does not tell when the partition begins."""
    pattern = re.escape(config.data_path.replace("{device}", paths.segment(device)))
    for placeholder, digits in _TIME_DIGITS.items():
        pattern = pattern.replace(re.escape(f"{{{placeholder}}}"), f"(?P<{placeholder}>{digits})", 1)
    match = re.fullmatch(pattern, name)
    if match is None or len(match.groupdict()) < len(_TIME_DIGITS):
        return True
    try:
        start = datetime(*(int(match[placeholder]) for placeholder in _TIME_DIGITS), tzinfo=UTC)  # type: ignore[misc,arg-type]  # five ints
    except ValueError:
        return True
    return start < window.end and start + config.data_partition > window.start


def _few(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")
