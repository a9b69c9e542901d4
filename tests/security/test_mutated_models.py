"""Sound models with one or two changes: they end no process, exceed no limit and change no label of another model."""

import resource
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from device_scorer.errors import PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models.bundle import Model
from device_scorer.models.sklearn_process import MemoryBudget, ScikitLearnProcess
from tests.testkit.hostile_models import COLUMN, mutations, sound_models, written
from tests.testkit.scorer_fleet import a_model, bundle

VALUES = [10.0, 1e9, -3.5]
MAX_GROWTH_KIB = 300 * 1024
"""Growth of this process's largest resident memory, in KiB, while it reads mutated files of a few KB."""

FORMS = {"joblib": None, "protocol 2": 2, "protocol 4": 4}

pytestmark = [pytest.mark.slow, pytest.mark.fuzz, pytest.mark.fault("F32"), pytest.mark.fault("T15")]


@pytest.fixture(scope="module")
def process() -> Iterator[ScikitLearnProcess]:
    process = ScikitLearnProcess(memory=MemoryBudget(2**29), load_seconds=4, predict_seconds=4)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def count(pytestconfig: pytest.Config) -> int:
    """Return the number of changed copies of each file."""
    return 800 if pytestconfig.getoption("--long") else 12


def score(content: bytes, engine: str, process: ScikitLearnProcess) -> str:
    """Load a bundle, label values with each model, and return the kind of the result."""
    try:
        loaded = bundles.load(content, max_unpacked_bytes=2**26, engine=engine, process=process)
    except PermanentError as error:
        return reason_of(error)
    with closing(loaded):
        return ",".join(sorted({predict(model) for model in loaded.models.values()}))


def predict(model: Model | PermanentError) -> str:
    try:
        if isinstance(model, PermanentError):
            raise model
        labels, scores = model.predict(VALUES)
    except PermanentError as error:
        return reason_of(error)
    assert set(labels) <= {0, 1}
    assert len(labels) == len(VALUES)
    assert scores is None or len(scores) == len(VALUES)
    return "labels"


def reason_of(error: PermanentError) -> str:
    """Return the reason of an error, whose text is one line of limited length."""
    assert "\n" not in str(error)
    assert 0 < len(str(error)) < 700
    return error.reason


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", sound_models())
def test_mutated_model_is_labelled_or_rejected(
    name: str, form: str, count: int, process: ScikitLearnProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(sound_models()[name], FORMS[form])
    random = np.random.default_rng([len(name), *name.encode(), len(form)])
    expected = a_model().decision_function(COLUMN).tolist()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for changed in mutations(content, count, random):
        for engine in ("auto", "sklearn"):
            score(changed, engine, process)
    with monkeypatch.context() as limits:  # a slow machine needs more than the seconds that a mutated model has
        limits.setattr(process, "load_seconds", 120)
        limits.setattr(process, "predict_seconds", 120)
        sound = bundles.load(bundle({"1": a_model()}), max_unpacked_bytes=2**26, engine="sklearn", process=process)
    assert sound.models["1"].predict(COLUMN.ravel().tolist())[1] == expected  # type: ignore[union-attr]  # a model
    sound.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KIB


def test_server_of_the_mutated_models_never_ends(process: ScikitLearnProcess) -> None:
    server = process._server
    for changed in mutations(written(sound_models()["ball tree"], None), 20, np.random.default_rng(1)):
        score(changed, "sklearn", process)
    assert server is None or (process._server is server and not server.has_ended())


def test_unchanged_models_have_labels(process: ScikitLearnProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "load_seconds", 120)
    monkeypatch.setattr(process, "predict_seconds", 120)
    for model in sound_models().values():
        for protocol in FORMS.values():
            assert score(written(model, protocol), "sklearn", process) == "labels"
