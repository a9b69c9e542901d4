"""Bundles that mean harm to the process that reads them. The allow-list does not reject all of their names."""

import io
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import numpy as np
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from device_scorer.models.pickle_functions import MAX_INSTRUCTIONS, MAX_OBJECTS
from tests.testkit.hostile_code import HARMS, OnLoad, OnPredict
from tests.testkit.scorer_fleet import bundle

COLUMN = np.round(np.random.default_rng(5).normal(10, 2, (60, 1)), 2)


def sound_models() -> dict[str, Any]:
    """Return a small fitted model of each estimator of the allow-list."""
    detectors: dict[str, Any] = {
        "svm": OneClassSVM(gamma=0.1, nu=0.1),
        "linear svm": OneClassSVM(kernel="linear", nu=0.1),
        "poly svm": OneClassSVM(kernel="poly", nu=0.1),
        "sgd": SGDOneClassSVM(random_state=1),
        "forest": IsolationForest(n_estimators=2, max_samples=16, random_state=1),
        "envelope": EllipticEnvelope(random_state=1),
        "kd tree": LocalOutlierFactor(n_neighbors=3, novelty=True, algorithm="kd_tree"),
        "ball tree": LocalOutlierFactor(n_neighbors=3, novelty=True, algorithm="ball_tree"),
        "brute": LocalOutlierFactor(n_neighbors=3, novelty=True, algorithm="brute"),
    }
    scalers: dict[str, Any] = {
        "standard": StandardScaler(),
        "min max": MinMaxScaler(),
        "max abs": MaxAbsScaler(),
        "robust": RobustScaler(),
        "power": PowerTransformer(),
        "quantile": QuantileTransformer(n_quantiles=5, random_state=1),
    }
    models = {name: detector.fit(COLUMN) for name, detector in detectors.items()}
    for name, scaler in scalers.items():
        models[name] = make_pipeline(scaler, OneClassSVM(gamma=0.1, nu=0.1)).fit(COLUMN)
    return models


def _changed(model: Any, change: Callable[[Any], object]) -> bytes:
    """Return a bundle of a model after a change."""
    change(model)
    return bundle({"1": model})


def _set(target: Any, **attributes: Any) -> None:
    vars(target).update(attributes)


def _with_state(model: Any, change: Callable[[Any], object]) -> bytes:
    """Return a bundle of a forest whose first tree has a changed state."""
    tree = model.estimators_[0].tree_
    state = tree.__getstate__()
    change(state)

    class Tree:
        def __reduce__(self) -> Any:
            return (*tree.__reduce__()[:2], state)

    vars(model.estimators_[0])["tree_"] = Tree()
    return bundle({"1": model})


def _neighbours(algorithm: str, **changes: Any) -> bytes:
    """Return a bundle of a local outlier factor whose tree has other elements in its state."""
    model = LocalOutlierFactor(n_neighbors=3, leaf_size=5, novelty=True, algorithm=algorithm).fit(COLUMN)
    tree = model._tree
    state = list(tree.__getstate__())
    for index, change in changes.items():
        state[int(index[1:])] = change(state[int(index[1:])])

    class Tree:
        def __reduce__(self) -> Any:
            return (*tree.__reduce__()[:2], tuple(state))

    model._tree = Tree()
    return bundle({"1": model})


def _fill(value: Any) -> Callable[[Any], Any]:
    return lambda array: np.full_like(array, value)


def _fill_field(name: str, value: Any) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        changed = array.copy()
        changed[name] = value
        return changed

    return change


def _forest() -> Any:
    return IsolationForest(n_estimators=2, max_samples=16, random_state=1).fit(COLUMN)


def _loop(state: dict[str, Any]) -> None:
    state["nodes"]["left_child"], state["nodes"]["right_child"] = 0, 0


def _outside(state: dict[str, Any]) -> None:
    state["nodes"]["left_child"], state["nodes"]["right_child"] = 2**40, -(2**40)


def _deep(opening: bytes, depth: int, ending: bytes) -> bytes:
    return b"\x80\x04}" + b")" + opening * depth + ending


def _text(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


def _encoded_again(times: int) -> bytes:
    """Return a pickle that encodes one text many times; each copy is twice as large as the text."""
    encode = b"c_codecs\nencode\nq\x00"
    text = _text("é".encode() * 30_000) + b"q\x01"
    call = b"h\x00h\x01" + _text(b"utf8") + b"\x86R"
    return b"\x80\x02" + encode + b"0" + text + b"0](" + call * times + b"e."


def _with_shape(shape: bytes) -> bytes:
    """Return a file of joblib with an array that has the shape: the instructions that push a tuple."""
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + _text(b"dtype") + b"cnumpy\ndtype\n"
    dtype = _text(b"f8") + b"K\x00K\x01\x87R" + _text(b"shape") + shape + _text(b"order") + _text(b"C")
    return b"\x80\x02}" + _text(b"1") + wrapper + dtype + _text(b"allow_mmap") + b"\x88ub" + bytes(64) + b"s."


def _nested(model: Any, depth: int) -> Any:
    for _ in range(depth):
        model = Pipeline([("model", model)])
    return model


def _build_on_a_class(state: bytes) -> bytes:
    return b"\x80\x02}" + _text(b"1") + b"csklearn.svm._classes\nOneClassSVM\n" + state + b"bs."


BOMBS = {
    "lists": b"\x80\x04" + b"]" * (MAX_OBJECTS + 1) + b".",
    "dictionaries": b"\x80\x04" + b"}" * (MAX_OBJECTS + 1) + b".",
    "nested tuples": b"\x80\x04)" + b"\x85" * (MAX_OBJECTS + 1) + b".",
    "instructions": b"\x80\x04" + b"N0" * (MAX_INSTRUCTIONS // 2 + 1) + b".",
    "text encoded again": b"\x80\x02"
    + _text(b"x" * 2**20)
    + b"q\x000"
    + b"c_codecs\nencode\nh\x00\x85R0" * 300
    + b"N.",
    "one state of many objects": b"\x80\x02}q\x00("
    + b"".join(b"J" + struct.pack("<i", number) + b"N" for number in range(40_000))
    + b"u0"
    + b"csklearn.svm._classes\nOneClassSVM\n)\x81h\x00b0" * 60
    + b"N.",
}
"""Pickles that exceed the budget of the inert reader, by name."""

PLAIN: dict[str, Callable[[], bytes]] = {
    "byte array": lambda: b"\x80\x05\x96" + struct.pack("<Q", 1_500_000_000) + b".",
    "byte array of scikit-learn": lambda: (
        b"\x80\x05csklearn.ensemble._iforest\nIsolationForest\n\x96" + struct.pack("<Q", 1_500_000_000) + b"."
    ),
    "encoded text": lambda: _encoded_again(20_000),
    "decompression": lambda: zlib.compress(bytes(300 * 2**20), 9),
    "deep keys": lambda: _deep(b"\x85", 300_000, b"K\x01s."),
    "deep lists": lambda: b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b".",
    "deep sets": lambda: b"\x80\x04(" + b")" + b"\x85" * 300_000 + b"\x91.",
    "deep tags": lambda: b"\x80\x02csklearn.ensemble._iforest\nIsolationForest\n0})" + b"\x85" * 300_000 + b"K\x01s.",
    "class with another predict": lambda: _build_on_a_class(b"N}" + _text(b"predict") + b"K\x01s\x86"),
    "class with another state": lambda: _build_on_a_class(b"}" + _text(b"decision_function") + b"K\x01s"),
    "function with attributes": lambda: b"\x80\x02c_codecs\nencode\nN}" + _text(b"x") + b"K\x01s\x86b.",
    "forest without trees": lambda: _changed(_forest(), lambda model: model.estimators_.clear()),
    "forest without a tree": lambda: _changed(_forest(), lambda model: vars(model.estimators_[0]).pop("tree_")),
    "tree without nodes": lambda: _with_state(_forest(), lambda state: state.update(nodes=state["nodes"][:0])),
    "tree without state": lambda: _with_state(_forest(), lambda state: state.clear()),
    "tree that loops": lambda: _with_state(_forest(), _loop),
    "tree with children outside": lambda: _with_state(_forest(), _outside),
    "tree with too many nodes": lambda: _with_state(_forest(), lambda state: state.update(node_count=2**40)),
    "tree with values of objects": lambda: _with_state(
        _forest(), lambda state: state.update(values=np.array([None], dtype=object))
    ),
    **{
        f"{algorithm} with {name}": lambda algorithm=algorithm, changes=changes: _neighbours(algorithm, **changes)  # type: ignore[misc]
        for algorithm in ("kd_tree", "ball_tree")
        for name, changes in {
            "indexes outside": {"_1": _fill(2**40)},
            "negative indexes": {"_1": _fill(-(2**40))},
            "node data outside": {"_2": _fill_field("idx_end", 2**40)},
            "node data without a leaf": {"_2": _fill_field("is_leaf", 0)},
            "negative leaf size": {"_4": lambda _: -5},
            "too many levels": {"_5": lambda _: 60},
            "too many nodes": {"_6": lambda _: 2**40},
            "no metric": {"_10": lambda _: None},
            "objects for data": {"_0": lambda array: array.astype(object)},
            "no data": {"_0": lambda array: array[:0]},
        }.items()
    },
    "svm with a precomputed kernel": lambda: _changed(
        OneClassSVM(gamma=0.1).fit(COLUMN), lambda svm: _set(svm, kernel="precomputed", _gamma=0.0)
    ),
    "svm without vectors": lambda: _changed(
        OneClassSVM(kernel="poly").fit(COLUMN), lambda svm: _set(svm, support_vectors_=np.empty((0, 1)))
    ),
    "svm with too many coefficients": lambda: _changed(
        OneClassSVM(kernel="poly").fit(COLUMN), lambda svm: _set(svm, _dual_coef_=np.ones((1, 10**6)))
    ),
    "svm with a count of vectors": lambda: _changed(
        OneClassSVM(kernel="poly").fit(COLUMN), lambda svm: _set(svm, _n_support=np.array([2**30, 2**30], dtype="i4"))
    ),
    "svm with vectors of text": lambda: _changed(
        OneClassSVM(kernel="poly").fit(COLUMN), lambda svm: _set(svm, support_vectors_=np.array([["a"]] * 60))
    ),
    "svm with an integer for gamma": lambda: _changed(
        OneClassSVM(gamma=0.1).fit(COLUMN), lambda svm: _set(svm, _gamma=10**5000 % (10**400), gamma=-1e9)
    ),
    "pipeline that contains itself": lambda: _changed(
        make_pipeline(StandardScaler(), OneClassSVM()).fit(COLUMN),
        lambda pipeline: pipeline.steps.append(("self", pipeline)),
    ),
    "array of 1.5 million dimensions": lambda: _with_shape(b"(" + b"K\x01" * 1_500_000 + b"t"),
    "array of a huge size": lambda: _with_shape(b"\x8a\x08" + struct.pack("<q", 2**62) + b"\x85"),
    "array of a negative size": lambda: _with_shape(b"J" + struct.pack("<i", -1) + b"\x85"),
    **{
        f"scaler with {attribute} {number}": lambda attribute=attribute, number=number: _changed(  # type: ignore[misc]
            make_pipeline(StandardScaler(), OneClassSVM(gamma=0.1)).fit(COLUMN),
            lambda pipeline: _set(pipeline[0], **{attribute: np.array([number])}),
        )
        for attribute, number in [("scale_", 5e-324), ("scale_", 0.0), ("scale_", -1.0), ("mean_", float("nan"))]
    },
    "scaler with numbers of objects": lambda: _changed(
        make_pipeline(StandardScaler(), OneClassSVM(gamma=0.1)).fit(COLUMN),
        lambda pipeline: _set(pipeline[0], mean_=np.array([None], dtype=object)),
    ),
    "forest with a huge negative offset": lambda: _changed(_forest(), lambda model: _set(model, offset_=-1e308)),
    "forest with a count of features": lambda: _changed(_forest(), lambda model: _set(model, n_features_in_=10**30)),
    "svm with a negative gamma": lambda: _changed(
        OneClassSVM(gamma=0.1).fit(COLUMN), lambda svm: _set(svm, _gamma=-1e9, gamma=-1e9)
    ),
    "version with a header": lambda: _changed(
        OneClassSVM(gamma=0.1).fit(COLUMN), lambda svm: _set(svm, _sklearn_version="1.9\r\nx-ms-meta-complete: false")
    ),
    "pipelines nested 30 deep": lambda: bundle({"1": _nested(OneClassSVM(gamma=0.1).fit(COLUMN), 30)}),
    "broken tags": lambda: pickle.dumps({f"tag-{number}": ["x" * 50] for number in range(5_000)}),
    **{name: lambda content=content: content for name, content in BOMBS.items()},  # type: ignore[misc]
    "a million tags": lambda: pickle.dumps(dict.fromkeys(range(1_000_000), 1)),
    "a huge integer": lambda: b"\x80\x02}\x8b" + struct.pack("<I", 60_000) + b"\xff" * 60_000 + b"K\x01s.",
    "cut": lambda: bundle({"1": _forest()})[:-30],
}
"""Bundles that the allow-list admits in part, by name."""

ANY: dict[str, Callable[[], bytes]] = {
    **{f"load: {harm}": lambda harm=harm: bundle({"1": OnLoad(harm)}) for harm in HARMS if harm != "sleep"},  # type: ignore[misc]
    **{f"predict: {harm}": lambda harm=harm: bundle({"1": OnPredict(harm)}) for harm in HARMS if harm != "loop"},  # type: ignore[misc]
}
"""Bundles that need `trust: any`, by name."""


def mutations(content: bytes, count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Yield changed copies of a pickle: one or two changes of bytes, numbers, instructions or parts.

    Args:
        content: The pickle.
        count: The number of copies.
        random: The source of the changes.
    """
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(int(random.integers(1, 3))):
            _CHANGES[int(random.integers(len(_CHANGES)))](changed, random)
        yield bytes(changed)


_INSTRUCTIONS = (
    b"0(.12FINTUVXabcdegGhijJKMlnoprRsStu}])\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8e\x8f\x90\x91\x93\x94\x96"
)
_NUMBERS = [
    *(struct.pack("<d", number) for number in (0.0, -1.0, 1e308, -1e308, float("nan"), float("inf"))),
    *(struct.pack("<q", number) for number in (0, -1, -2, 2**31, 2**40, -(2**63), 2**63 - 1)),
]


def _change_byte(content: bytearray, random: np.random.Generator) -> None:
    content[random.integers(len(content))] = random.integers(256)


def _change_bit(content: bytearray, random: np.random.Generator) -> None:
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))


def _change_instruction(content: bytearray, random: np.random.Generator) -> None:
    content[random.integers(len(content))] = _INSTRUCTIONS[random.integers(len(_INSTRUCTIONS))]


def _change_number(content: bytearray, random: np.random.Generator) -> None:
    """Write a number over eight bytes, of an array in most cases, as arrays are most of a file."""
    start = int(random.integers(max(1, len(content) - 8)))
    content[start : start + 8] = _NUMBERS[random.integers(len(_NUMBERS))]


def _copy_part(content: bytearray, random: np.random.Generator) -> None:
    source, target = (int(random.integers(len(content))) for _ in range(2))
    length = int(random.integers(1, 64))
    content[target : target + length] = content[source : source + length]


def _insert_part(content: bytearray, random: np.random.Generator) -> None:
    source, target = (int(random.integers(len(content))) for _ in range(2))
    content[target:target] = content[source : source + int(random.integers(1, 64))]


def _delete_part(content: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(len(content)))
    if len(content) > 100:
        del content[start : start + int(random.integers(1, 32))]


_CHANGES = (
    *(_change_byte, _change_bit, _change_instruction, _change_number, _change_number),
    *(_copy_part, _insert_part, _delete_part),
)


def written(model: Any, protocol: int | None) -> bytes:
    """Return a bundle as a file of joblib, or (with a protocol) as a pickle."""
    if protocol is not None:
        return pickle.dumps({"1": model}, protocol)
    target = io.BytesIO()
    joblib.dump({"1": model}, target)
    return target.getvalue()
