"""Tests of bundles in processes of scikit-learn: results, limits, and workers that end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, QuantileTransformer

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models import sklearn_messages as messages
from device_scorer.models.sklearn_bundle import (
    MEMORY_PER_BUNDLE_BYTE,
    WORKER_MEMORY_BYTES,
    RemoteBundle,
    RemoteModel,
    WorkerEnded,
    _parse_description,
    _parse_failure,
)
from device_scorer.models.sklearn_process import LOAD_SECONDS, PREDICT_SECONDS, MemoryBudget, ScikitLearnProcess
from tests.testkit.hostile_code import HARMS, OnLoad, OnPredict
from tests.testkit.scorer_fleet import a_model, bundle
from tests.testkit.waiting import until

COLUMN = np.round(np.random.default_rng(5).normal(10, 2, (300, 1)), 2)
SKEWED = 10 - np.exp(np.random.default_rng(6).normal(0, 0.4, (300, 1)))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def process() -> Iterator[ScikitLearnProcess]:
    process = ScikitLearnProcess(memory=MemoryBudget(2**30), load_seconds=120, predict_seconds=120)
    yield process
    process.stop()


def load(process: ScikitLearnProcess, models: dict[str, Any], *, trust_any: bool = False) -> dict[str, Any]:
    return dict(RemoteBundle(process, bundle(models), trust_any=trust_any).models())


def sound_labels(process: ScikitLearnProcess) -> Any:
    models = load(process, {"1": a_model()})
    return models["1"].predict([9.0, 10.0, 99.0])


def test_worker_has_256_mib_and_6_bytes_a_byte_of_its_bundle_and_60_s_a_request() -> None:
    assert (WORKER_MEMORY_BYTES, MEMORY_PER_BUNDLE_BYTE) == (268_435_456, 6)
    assert (LOAD_SECONDS, PREDICT_SECONDS) == (60.0, 60.0)


def test_worker_returns_the_labels_and_scores_of_scikit_learn(process: ScikitLearnProcess) -> None:
    forest = IsolationForest(n_estimators=3, random_state=1).fit(COLUMN)
    models = load(process, {"1": a_model(), "2": forest, "3": "nothing"})
    for tag, estimator in (("1", a_model()), ("2", forest)):
        labels, scores = models[tag].predict(COLUMN.ravel().tolist())
        assert labels == [0 if label == 1 else 1 for label in estimator.predict(COLUMN)]
        assert scores == estimator.decision_function(COLUMN).tolist()
    assert isinstance(models["3"], ModelInvalid)
    assert models["2"].kind == "IsolationForest"


def test_many_values_are_sent_in_parts(process: ScikitLearnProcess) -> None:
    column = np.resize(COLUMN, (2 * messages.MAX_VALUES + 1, 1))
    labels, scores = load(process, {"1": a_model()})["1"].predict(column.ravel().tolist())
    assert scores == a_model().decision_function(column).tolist()
    assert len(labels) == len(column)


def test_model_without_scores_has_labels(process: ScikitLearnProcess) -> None:
    models = load(process, {"1": OnPredict()}, trust_any=True)
    assert models["1"].predict([1.0, 2.0]) == ([0, 0], None)
    assert models["1"].predict([]) == ([], [])


def test_value_that_becomes_infinite_is_an_anomaly_without_a_score(process: ScikitLearnProcess) -> None:
    steps = make_pipeline(PowerTransformer(), IsolationForest(n_estimators=3, random_state=1)).fit(SKEWED)
    labels, scores = load(process, {"1": steps})["1"].predict([9.0, 1e149, 8.5])
    assert labels[1] == 1
    assert np.isnan(scores[1])
    assert [scores[0], scores[2]] == steps.decision_function([[9.0], [8.5]]).tolist()


@pytest.mark.fault("F32")
@pytest.mark.parametrize("harm", HARMS)
def test_harm_of_loading_costs_only_its_own_bundle(
    process: ScikitLearnProcess, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = a_model().decision_function([[9.0], [10.0], [99.0]]).tolist()
    with monkeypatch.context() as limits:
        if harm in ("loop", "sleep"):
            limits.setattr(process, "load_seconds", 3)
        with pytest.raises(ModelInvalid) as error:
            raise load(process, {"1": a_model(), "2": OnLoad(harm)}, trust_any=True)["2"]
    if harm in ("loop", "sleep"):
        assert "does not evaluate it within 3 seconds" in str(error.value)
    assert "\n" not in str(error.value)
    assert sound_labels(process) == ([0, 0, 1], expected)


@pytest.mark.fault("F32")
@pytest.mark.parametrize("harm", ["crash", "loop", "exhaust_memory", "write_garbage"])
def test_harm_of_predicting_is_invalid(process: ScikitLearnProcess, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as limits:
        if harm == "loop":
            limits.setattr(process, "predict_seconds", 1)
        model = load(process, {"1": OnPredict(harm)}, trust_any=True)["1"]
        assert isinstance(model, RemoteModel)
        with pytest.raises(ModelInvalid):
            model.predict([1.0, 30_000.0])
    assert model.predict([1.0, 2.0]) == ([0, 0], None)


@pytest.mark.fault("T15")
def test_worker_has_a_limit_of_memory(process: ScikitLearnProcess) -> None:
    with pytest.raises(ModelInvalid, match=r"too little memory.*raise the memory of the fleet's scorer"):
        load(process, {"1": OnLoad("exhaust_memory")}, trust_any=True)


def test_another_process_that_kills_a_worker_costs_no_label(process: ScikitLearnProcess) -> None:
    model = load(process, {"1": a_model()})["1"]
    assert process._server is not None
    server = process._server._process.pid
    for victim in (*workers_of(server), server):
        os.kill(victim, signal.SIGKILL)
        assert model.predict([99.0])[0] == [1]


@pytest.mark.fault("F32")
def test_models_that_end_the_fork_server_cost_no_other_bundle_a_label(process: ScikitLearnProcess) -> None:
    results: list[Any] = []
    begun, ended = threading.Event(), threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while not ended.is_set():
            begun.set()
            with contextlib.suppress(ModelInvalid):
                load(process, {"1": OnLoad("kill_parent")}, trust_any=True)
            kills += 1

    def label() -> None:
        assert begun.wait(120)
        results.extend(sound_labels(process)[0] for _ in range(3))

    killer = threading.Thread(target=kill)
    labellers = [threading.Thread(target=label) for _ in range(2)]
    for thread in (killer, *labellers):
        thread.start()
    for thread in labellers:
        thread.join(240)
    ended.set()
    killer.join(240)
    assert kills >= 1
    assert results == [[0, 0, 1]] * 6


def workers_of(server: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]


def test_closed_bundle_has_no_worker(process: ScikitLearnProcess) -> None:
    loaded = RemoteBundle(process, bundle({"1": a_model()}), trust_any=False)
    assert process._server is not None
    server = process._server._process.pid
    assert workers_of(server)
    loaded.close()
    until(lambda: not workers_of(server), "no worker")
    loaded.close()
    ((_, model),) = loaded.models()
    assert isinstance(model, RemoteModel)
    assert model.predict([99.0])[0] == [1]
    del loaded, model
    until(lambda: not workers_of(server), "no worker")


def test_bundles_share_the_memory(process: ScikitLearnProcess) -> None:
    held = [RemoteBundle(process, bundle({"1": a_model()}), trust_any=False) for _ in range(3)]
    done = threading.Event()

    def wait() -> None:
        sound_labels(process)
        done.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not done.wait(0.3)
    held.pop()
    assert done.wait(120)
    waiting.join()


def test_threads_use_workers_at_the_same_time(process: ScikitLearnProcess) -> None:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(sound_labels(process))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert len(results) == 12
    assert all(labels == [0, 0, 1] for labels, _ in results)


def test_bundle_of_another_convention_is_incompatible(process: ScikitLearnProcess) -> None:
    quantiles = QuantileTransformer(n_quantiles=10).fit(COLUMN)
    models = load(process, {"1": quantiles})
    assert isinstance(models["1"], ModelIncompatible)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 100_000,
        b"[1]",
        b"[1, {}]",
        b"[[1], {}]",
        b"[[], {}, {}]",
        b'[[["1", "kind", "1.9.1", ""]], {}]',
        b'[[["1", "kind", "1.9.1", "", 5]], {}]',
        b'[["12345"], {}]',
        b"\xff\xfe",
    ],
)
def test_malformed_description_is_the_end_of_the_worker(payload: bytes) -> None:
    with pytest.raises(WorkerEnded):
        _parse_description(bytearray(payload))
    with pytest.raises(WorkerEnded):
        _parse_failure(bytearray(payload))


def test_reply_of_a_worker_is_cleaned() -> None:
    row = ["1", "a\nb", "1.9\r\nx-ms-meta-complete: false", "", ""]
    sensors = {"version": 1, "tags": {"1": [15.0, 8.0, 12.0, 30.0], "2": [float("nan"), 8.0, 12.0, 30.0]}}
    ((_, kind, version, error),), found = _parse_description(bytearray(json.dumps([[row], sensors]).encode()))
    assert (kind, version, error, found) == ("a b", "unknown", None, {"1": (15.0, 8.0, 12.0, 30.0)})
    failure = _parse_failure(bytearray(json.dumps(["SystemExit", "a\nb"]).encode()))
    assert (type(failure), str(failure)) == (ModelInvalid, "a b")


class Liar:
    """A process whose workers send a fixed reply."""

    predict_seconds = load_seconds = 120.0

    def __init__(self, reply: bytes, memory: Any) -> None:
        self.reply, self.memory = reply, memory

    @contextlib.contextmanager
    def isolated(self) -> Iterator["Liar"]:
        yield self

    def connect(self, _: int) -> Any:
        mine, theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=[theirs], daemon=True).start()
        return mine

    def _serve(self, connection: Any) -> None:
        with connection:
            _, size = messages.LOAD.unpack(messages.receive(connection, messages.LOAD.size))
            messages.receive(connection, size)
            description = b'[[["1", "", "1.9.1", "", ""]], {}]'
            connection.sendall(messages.REPLY.pack(messages.DESCRIPTION, len(description)) + description)
            try:
                _, count = messages.PREDICT.unpack(messages.receive(connection, messages.PREDICT.size))
                messages.receive(connection, 8 * count)
                connection.sendall(self.reply)
                connection.recv(1)
            except (OSError, EOFError):
                return


@pytest.mark.parametrize(
    "reply",
    [
        messages.REPLY.pack(messages.PREDICTION, 1) + b"\x02",
        messages.REPLY.pack(messages.PREDICTION, 2) + b"\x00\x00",
        messages.REPLY.pack(messages.PREDICTION, 2**40),
        messages.REPLY.pack(messages.DESCRIPTION, 1) + b"\x00",
        messages.REPLY.pack(messages.FAILURE, 2**20),
        messages.REPLY.pack(b"?", 0),
        messages.REPLY.pack(messages.FAILURE, 2) + b"{}",
    ],
    ids=["label", "length", "size", "kind", "failure size", "unknown kind", "failure"],
)
def test_malformed_prediction_is_invalid(reply: bytes, process: ScikitLearnProcess) -> None:
    started = time.monotonic()
    liar: Any = Liar(reply, process.memory)
    ((_, model),) = RemoteBundle(liar, b"content", trust_any=False).models()
    assert isinstance(model, RemoteModel)
    with pytest.raises(ModelInvalid, match="crashes or has too little memory"):
        model.predict([1.0])
    assert time.monotonic() - started < 60  # far less than the time for a prediction


def test_scorer_imports_neither_numpy_nor_scikit_learn_nor_this_module() -> None:
    names = ["numpy", "sklearn", "joblib", "device_scorer.models.sklearn_bundle"]
    code = "import sys, device_scorer.models.bundle as b; print([n for n in %r if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code % (names,)], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
