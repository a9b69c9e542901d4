"""CPU and memory of one scoring process compared with the naive scorer, on Azurite.

Every round runs each variant once, so that a slow minute affects all variants alike. A figure is the median over the
rounds of the process's user and system time (getrusage), divided by that of the naive scorer.
"""

import io
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from azure.storage.blob import BlobServiceClient
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from bench.goals import Goals
from localcluster.addons.azurite import Azurite

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
END = START + timedelta(hours=1)
TAGS = [str(tag) for tag in range(1, 6)]
SMALL_ROWS, MEDIUM_ROWS, LARGE_ROWS = 240, 10_000, 100_000  # rows per tag
SMALL_DEVICES = [f"press-{number:03d}" for number in range(100)]
MIN_SHARED_DEVICES = 12  # devices in the CSV that the naive scorers share
ROUNDS = 7
MAX_DEVICE_RATIO, MAX_PACKED_DEVICE_RATIO = 0.06, 0.005  # CPU of one device relative to the naive scorer
MAX_RSS_MIB = 36
MAX_DETECTOR_RATIO = 0.15  # CPU of a device with other detectors relative to the naive scorer of the usual one
DETECTORS: dict[str, Callable[[], Any]] = {
    "IsolationForest": lambda: IsolationForest(random_state=1),
    "EllipticEnvelope": lambda: EllipticEnvelope(random_state=1),
    "LocalOutlierFactor": lambda: LocalOutlierFactor(novelty=True),
    "Nystroem and SGDOneClassSVM": lambda: make_pipeline(Nystroem(random_state=1), SGDOneClassSVM(random_state=1)),
}


@dataclass
class Variant:
    """A row of the table: a command, the number of its devices, and the variant to compare its CPU time with."""

    name: str
    command: list[str]
    baseline: str
    devices: int = 1
    goal: float | None = None
    max_rss_mib: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    cpu_seconds: list[float] = field(default_factory=list)
    rss_mib: float = 0.0


def run(*, python: Path, baseline_python: Path, connection_string: str, rounds: int) -> bool:
    """Measure all variants, print the table, and return False if a goal is missed.

    Args:
        python: The Python of the scorer.
        baseline_python: The Python of the naive scorer.
        connection_string: The storage account.
        rounds: The number of measurements of each variant.
    """
    service = BlobServiceClient.from_connection_string(connection_string)
    sizes = {
        **dict.fromkeys(SMALL_DEVICES, SMALL_ROWS),
        f"rows-{MEDIUM_ROWS}": MEDIUM_ROWS,
        f"rows-{LARGE_ROWS}": LARGE_ROWS,
    }
    upload_fleet(service, sizes, baseline_devices=(SMALL_DEVICES[0], f"rows-{MEDIUM_ROWS}", f"rows-{LARGE_ROWS}"))
    for index, detector in enumerate(DETECTORS.values()):
        upload_device(service, f"detector-{index}", {tag: _train(seed, detector()) for seed, tag in enumerate(TAGS)})
    variants = _variants(str(python), str(baseline_python))
    for number in range(rounds):
        for index, variant in enumerate(variants):
            print(f"\rround {number + 1}/{rounds}: {variant.name:<40}", end="", file=sys.stderr, flush=True)
            container = f"predictions-{number}-{index}"
            service.create_container(container)
            _measure(variant, container, connection_string)
    print(file=sys.stderr)
    return _report(variants, rounds)


def _variants(python: str, baseline_python: str) -> list[Variant]:
    score = [python, "-m", "device_scorer", "score", "--window-start", f"{START:%Y-%m-%dT%H:%M:%SZ}"]
    score += ["--window-end", f"{END:%Y-%m-%dT%H:%M:%SZ}"]
    naive = [baseline_python, "-m", "bench.baseline_scorer"]
    rows = [
        Variant("naive, 5 x 240 rows", [*naive, SMALL_DEVICES[0], *TAGS], "naive, 5 x 240 rows"),
        Variant(
            "scikit-learn, 5 x 240 rows", [*score, "--engine", "sklearn", "--", SMALL_DEVICES[0]], "naive, 5 x 240 rows"
        ),
        Variant(
            "auto, 5 x 240 rows",
            [*score, "--", SMALL_DEVICES[0]],
            "naive, 5 x 240 rows",
            goal=MAX_DEVICE_RATIO,
            max_rss_mib=MAX_RSS_MIB,
        ),
        Variant(
            "auto, 10 devices in a process", [*score, "--", *SMALL_DEVICES[:10]], "naive, 5 x 240 rows", devices=10
        ),
        Variant(
            "auto, 100 devices in a process",
            [*score, "--", *SMALL_DEVICES],
            "naive, 5 x 240 rows",
            devices=100,
            goal=MAX_PACKED_DEVICE_RATIO,
        ),
    ]
    rows += [
        Variant(
            f"auto, {name}, 5 x 240 rows",
            [*score, "--", f"detector-{index}"],
            "naive, 5 x 240 rows",
            goal=MAX_DETECTOR_RATIO,
        )
        for index, name in enumerate(DETECTORS)
    ]
    for size in (MEDIUM_ROWS, LARGE_ROWS):
        shared = {"BENCH_SHARED_CSV": f"shared-{size}.csv"}
        against = f"naive, 5 x {size:,} rows"
        rows += [
            Variant(against, [*naive, f"rows-{size}", *TAGS], against, environment=shared),
            Variant(f"scikit-learn, 5 x {size:,} rows", [*score, "--engine", "sklearn", "--", f"rows-{size}"], against),
            Variant(f"auto, 5 x {size:,} rows", [*score, "--", f"rows-{size}"], against),
        ]
    return rows


def upload_fleet(service: BlobServiceClient, sizes: Mapping[str, int], baseline_devices: Collection[str]) -> None:
    """Upload models and readings of devices, for some of them also in the format of the naive scorer.

    Args:
        service: The storage account.
        sizes: The number of rows per tag, by device.
        baseline_devices: The devices that the naive scorer scores. The small ones share a CSV of at least
            `MIN_SHARED_DEVICES` devices, each larger one has its own CSV.
    """
    models, data = service.create_container("models"), service.create_container("data")
    bundle = {tag: _train(index) for index, tag in enumerate(TAGS)}
    packed = _dump_bundle(bundle)
    folder = f"{START:%Y%m%dT%H%MZ}"
    shared: list[str] = []
    for device, size in sizes.items():
        rows = _readings(device, size)
        models.upload_blob(f"{device}.joblib", packed)
        data.upload_blob(f"{folder}/{device}.csv", _encode_csv(rows))
        if size != SMALL_ROWS:
            data.upload_blob(f"shared-{size}.csv", _encode_csv(rows))
        elif device in baseline_devices or len(shared) < MIN_SHARED_DEVICES:
            shared.append(rows)
    data.upload_blob("sensor_data.csv", _encode_csv("".join(shared)))
    for device in baseline_devices:
        for tag, model in bundle.items():
            models.upload_blob(f"model_{device}_{tag}", pickle.dumps(model))


def upload_device(service: BlobServiceClient, device: str, bundle: Mapping[str, Pipeline]) -> None:
    """Upload the models and readings of one device of `SMALL_ROWS` rows per tag.

    Args:
        service: The storage account.
        device: The device's id.
        bundle: The models by tag.
    """
    service.get_blob_client("models", f"{device}.joblib").upload_blob(_dump_bundle(bundle))
    name = f"{START:%Y%m%dT%H%MZ}/{device}.csv"
    service.get_blob_client("data", name).upload_blob(_encode_csv(_readings(device, SMALL_ROWS)))


def _train(seed: int, detector: Any = None) -> Pipeline:
    values = np.random.default_rng(seed).normal(20 * (seed + 1), 2, 1200).round(2).reshape(-1, 1)
    if detector is None:
        detector = OneClassSVM(nu=0.0001, kernel="rbf", gamma=0.01)
    return make_pipeline(StandardScaler(), detector).fit(values)


def _dump_bundle(bundle: Mapping[str, Pipeline]) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(dict(bundle), buffer)
    return buffer.getvalue()


def _readings(device: str, size: int) -> str:
    draw = np.random.default_rng(len(device))
    values = [draw.normal(20 * (index + 1), 2.2, size).round(2) for index in range(len(TAGS))]
    step = 3600 / size
    rows = []
    for number in range(size):
        at = (START + timedelta(seconds=number * step)).strftime("%Y-%m-%d %H:%M:%S.%f")
        rows += [f"{at},{device},{tag},{column[number]}\n" for tag, column in zip(TAGS, values, strict=True)]
    return "".join(rows)


def _encode_csv(rows: str) -> bytes:
    return b"TS,Device,Tag,Value\n" + rows.encode()


def _measure(variant: Variant, container: str, connection_string: str) -> None:
    environment = {
        **os.environ,
        "AZURE_STORAGE_CONNECTION_STRING": connection_string,
        "FLEETSCORE_AUTH": "connectionString",
        "FLEETSCORE_PREDICTIONS_CONTAINER": container,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **variant.environment,
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are not compiled during a measurement, as in the images
    measured = [sys.executable, "-I", "-S", str(Path(__file__).with_name("measure_process.py")), *variant.command]
    done = subprocess.run(measured, env=environment, capture_output=True, text=True, check=True)
    code, cpu, rss = done.stdout.split()
    if code != "0":
        sys.exit(f"{variant.name} ended with {code}:\n{done.stderr}")
    variant.cpu_seconds.append(float(cpu))
    variant.rss_mib = max(variant.rss_mib, float(rss))


def _report(variants: list[Variant], rounds: int) -> bool:
    medians = {variant.name: statistics.median(variant.cpu_seconds) for variant in variants}
    goals = Goals()
    print("| one process | CPU per device / naive | goal | peak RSS (MiB) |")
    print("|---|---|---|---|")
    for variant in variants:
        ratio = medians[variant.name] / medians[variant.baseline] / variant.devices
        goal = goals.check_goal(ratio, at_most=variant.goal)
        memory = goals.format_cell(variant.rss_mib, 0, at_most=variant.max_rss_mib)
        print(f"| {variant.name} | {ratio:.4f} | {goal} | {memory} |")
    print(f"\nnaive = {medians['naive, 5 x 240 rows']:.2f} s of CPU here; {rounds} interleaved rounds, medians")
    return goals.all_met


def create_image_environment(folder: Path) -> Path:
    """Create a Python with only the packages of the scorer image, because others are imported if they exist."""
    uv, python = str(Path(sys.executable).with_name("uv")), folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([*install, "--require-hashes", "-r", str(ROOT / "requirements" / "scorer.txt")], check=True)
    subprocess.run([*install, "--no-deps", str(ROOT / "scorer")], check=True)
    return python


def create_baseline_environment(folder: Path) -> Path:
    """Create a Python for the naive scorer: the packages of the scorer image, and pandas."""
    python = create_image_environment(folder)
    uv, pins = str(Path(sys.executable).with_name("uv")), str(ROOT / "requirements" / "dev.txt")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    subprocess.run([*install, "--constraint", pins, "pandas"], check=True)
    return python


def main(*, quick: bool) -> bool:
    """Start Azurite in a new folder and measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = create_image_environment(folder / "python")
        baseline_python = create_baseline_environment(folder / "baseline")
        with Azurite.start(folder / "azurite", containers=()) as azurite:
            return run(
                python=python,
                baseline_python=baseline_python,
                connection_string=azurite.connection_string,
                rounds=1 if quick else ROUNDS,
            )
