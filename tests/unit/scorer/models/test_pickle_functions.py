"""Tests of the emulated functions and of the budget of a file."""

import pickle
import time
import tracemalloc

import numpy as np
import pytest

from device_scorer.errors import ModelInvalid, ModelRejected
from device_scorer.models import bundle as bundles
from device_scorer.models.inert import Dtype, GlobalName
from device_scorer.models.pickle_functions import (
    MAX_COPIED_ITEMS,
    MAX_DIMENSIONS,
    MAX_INSTRUCTIONS,
    MAX_ITEM_BYTES,
    MAX_OBJECTS,
    MAX_PRODUCED_BYTES,
    Budget,
    ScikitLearnNeeded,
    call,
    set_dtype_state,
    validate_shape,
)
from device_scorer.models.unpickler import load_inert
from tests.testkit.hostile_models import BOMBS
from tests.testkit.scorer_fleet import a_model, bundle


@pytest.mark.fault("T15")
@pytest.mark.parametrize("name", BOMBS)
def test_file_that_exceeds_the_budget_is_left_to_scikit_learn(name: str) -> None:
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(ScikitLearnNeeded):
        load_inert(BOMBS[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400 * 2**20
    assert time.process_time() - started < 60


def test_budget_has_2_million_instructions_and_items_and_256_mib() -> None:
    assert MAX_INSTRUCTIONS == 2_000_000
    assert MAX_OBJECTS == 400_000
    assert MAX_COPIED_ITEMS == 2_000_000
    assert MAX_PRODUCED_BYTES == 268_435_456
    assert (MAX_DIMENSIONS, MAX_ITEM_BYTES) == (8, 1024)


@pytest.mark.parametrize("part", ["objects", "items", "size"])
def test_each_part_of_the_budget_ends(part: str) -> None:
    with pytest.raises(ScikitLearnNeeded):
        Budget().take(**{part: 10**12})


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "shape", [(1,) * 9, (1,) * 1_500_000, "3", (-1,), (2**40,), (1.5,)], ids=lambda one: str(one)[:9]
)
def test_malformed_shape_is_invalid(shape: object) -> None:
    with pytest.raises(ModelInvalid, match="shape of an array is malformed"):
        validate_shape(shape)


@pytest.mark.fault("T15")
def test_shared_model_is_converted_once() -> None:
    model = a_model()
    loaded = bundles.load(bundle(dict.fromkeys(map(str, range(200)), model)), max_unpacked_bytes=2**26)
    assert len({id(one) for one in loaded.models.values()}) == 1


@pytest.mark.fault("T15")
def test_many_broken_tags_leave_the_sound_one() -> None:
    content = pickle.dumps({**dict.fromkeys(map(str, range(100_000)), 1), "good": a_model()}, 4)
    loaded = bundles.load(content, max_unpacked_bytes=2**26)
    assert isinstance(loaded.models["7"], ModelInvalid)
    assert not isinstance(loaded.models["good"], ModelInvalid)


@pytest.mark.fault("F31")
@pytest.mark.parametrize("name", ["numpy.ndarray", "builtins.object", "sklearn.svm._classes.OneClassSVM"])
def test_call_that_models_do_not_need_is_rejected(name: str) -> None:
    with pytest.raises(ModelRejected):
        call(GlobalName(name), (), Budget())


@pytest.mark.fault("D7")
@pytest.mark.parametrize("code", ["", "f", "f-8", "f8f8f8f8f8f8", "f²", 8, None])
def test_malformed_type_of_elements_is_invalid(code: object) -> None:
    with pytest.raises(ModelInvalid, match="unknown type"):
        call(GlobalName("numpy.dtype"), (code, False, True), Budget())


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    "state",
    [
        None,
        (3, "?", None, None, None, -1, -1, 0),
        (3, "<"),
        (3, "|", None, ("a",), {"a": (Dtype("f8"), 0)}, 2000, 1, 16),
        (3, "|", None, ("a",), {"a": (Dtype("f8"), 0.5)}, 8, 1, 16),
        (3, "|", None, ("a",), {"a": ("f8", 0)}, 8, 1, 16),
    ],
)
def test_malformed_state_of_a_type_is_invalid(state: object) -> None:
    with pytest.raises(ModelInvalid):
        set_dtype_state(Dtype("V8"), state)


def test_names_of_features_are_skipped() -> None:
    names = np.array(["value"], dtype=object)
    for content in (pickle.dumps([names, 7], 2), pickle.dumps([names, 7], 5), bundle({"x": names, "y": 7})):
        found = load_inert(content)
        array, seven = found.values() if isinstance(found, dict) else found
        assert (array.data, seven) == (None, 7)
