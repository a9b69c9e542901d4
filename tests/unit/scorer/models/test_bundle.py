"""Tests of bundles: what is loaded, and what is rejected before any code of it is executed."""

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import sys
import zlib
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.svm import OneClassSVM

from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models.bundle import Bundle
from device_scorer.models.expectations import META_SENSORS_KEY, Expectation, encode_expectations
from device_scorer.models.one_class_svm import ClosedFormSvm
from device_scorer.models.sklearn_bundle import RemoteModel
from tests.testkit.scorer_fleet import a_model, bundle, fitted

LIMIT = 64 * 2**20
VALUES = np.round(np.random.default_rng(5).normal(10, 2, 300), 2)


def load(content: bytes, **options: Any) -> Bundle:
    return bundles.load(content, max_unpacked_bytes=LIMIT, **options)


def pickle_of_0_19(pipeline: Pipeline, protocol: int) -> bytes:
    """Return the pickle that scikit-learn 0.19 writes: the modules of that version, without later attributes."""
    for step, extra in zip(
        pipeline.steps, (("n_features_in_",), ("n_features_in_", "_num_iter", "n_iter_")), strict=True
    ):
        for name in extra:
            step[1].__dict__.pop(name, None)
    content = pickle.dumps(pipeline, protocol)
    return content.replace(b"csklearn.preprocessing._data\n", b"csklearn.preprocessing.data\n").replace(
        b"csklearn.svm._classes\n", b"csklearn.svm.classes\n"
    )


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_pickle_of_every_protocol_is_read(protocol: int) -> None:
    pipeline = fitted(VALUES)
    loaded = load(pickle.dumps({"1": pipeline}, protocol)).models["1"]
    assert isinstance(loaded, ClosedFormSvm)
    assert loaded.predict(VALUES.tolist())[1] == pipeline.decision_function(VALUES.reshape(-1, 1)).tolist()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_pickle_of_scikit_learn_0_19_is_converted_with_the_same_numbers(protocol: int) -> None:
    expected = fitted(VALUES).decision_function(VALUES.reshape(-1, 1)).tolist()
    record = bundles.load_pipeline(pickle_of_0_19(fitted(VALUES), protocol), max_unpacked_bytes=LIMIT)
    written = bundles.encode_converted_bundle({"1": record})
    current = joblib.load(io.BytesIO(written))["1"]
    assert current.decision_function(VALUES.reshape(-1, 1)).tolist() == expected
    assert load(written).models["1"].predict(VALUES.tolist())[1] == expected  # type: ignore[union-attr]  # it is a model


@pytest.mark.parametrize("compress", [0, 3, ("zlib", 1), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_bundle_of_each_joblib_compression_is_read(compress: Any) -> None:
    target = io.BytesIO()
    joblib.dump({"1": a_model()}, target, compress=compress)
    assert isinstance(load(target.getvalue()).models["1"], ClosedFormSvm)


@pytest.mark.fault("D7")
@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_bundle_that_is_compressed_in_blocks_is_read(squeeze: Callable[[bytes], bytes]) -> None:
    plain = bundle({"1": a_model()})
    blocks = b"".join(squeeze(plain[at : at + 500]) for at in range(0, len(plain), 500)) + squeeze(b"")
    assert isinstance(load(blocks).models["1"], ClosedFormSvm)
    with pytest.raises(ModelInvalid, match="more than the 600 bytes"):
        bundles.load(blocks, max_unpacked_bytes=600)
    with pytest.raises(ModelInvalid, match="cannot be decompressed"):
        load(blocks[:-3])


@pytest.mark.fault("T15")
@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_decompression_ends_at_the_limit(squeeze: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ModelInvalid, match="more than the 1,000,000 bytes"):
        bundles.load(squeeze(bytes(50_000_000)), max_unpacked_bytes=1_000_000)


@pytest.mark.fault("D7")
@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_truncated_compressed_file_is_invalid(squeeze: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ModelInvalid, match=r"truncated|cannot be decompressed"):
        load(squeeze(bundle({"1": a_model()}))[:-20])


@pytest.mark.fault("D7")
@pytest.mark.parametrize("keep", [0, 1, 10, 500, 1500])
def test_truncated_bundle_is_invalid(keep: int) -> None:
    with pytest.raises(ModelInvalid):
        load(bundle({"1": a_model()})[:keep])


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        b"<html>not found</html>",
        b"\x80\x05.",
        bytes(1000),
        pickle.dumps([1, 2]),
        pickle.dumps({}),
        pickle.dumps("text"),
    ],
)
def test_content_that_is_not_a_bundle_is_invalid(content: bytes) -> None:
    with pytest.raises(ModelInvalid):
        load(content)


class Evil:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def by_name(module: str, name: str, argument: str) -> bytes:
    """Return a pickle that calls module.name(argument), even if the function cannot be pickled."""
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


def stack_global(module: str, name: str) -> bytes:
    def short(text: str) -> bytes:
        return b"\x8c" + bytes([len(text)]) + text.encode()

    return b"\x80\x04" + short(module) + short(name) + b"\x93" + short("touch {mark}") + b"\x85R."


NAMES = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("subprocess", "Popen"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "__import__"),
    ("builtins", "getattr"),
    ("__builtin__", "eval"),
    ("runpy", "run_path"),
    ("functools", "partial"),
    ("functools", "reduce"),
    ("operator", "methodcaller"),
    ("operator", "attrgetter"),
    ("importlib", "import_module"),
    ("pickle", "loads"),
    ("joblib", "load"),
    ("joblib.numpy_pickle", "load"),
    ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("numpy.ctypeslib", "load_library"),
    ("timeit", "timeit"),
    ("code", "InteractiveInterpreter"),
    ("webbrowser", "open"),
    ("shutil", "rmtree"),
    ("socket", "socket"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
    ("sklearn.svm._classes", "OneClassSVM.__init__"),
    ("sklearn.pipeline", "Pipeline.__init__.__globals__"),
    ("device_scorer.models.unpickler", "io.os.system"),
    ("sklearn.utils._joblib", "joblib.load"),
    ("sklearn.preprocessing._data", "np.load"),
    ("sklearn", "pipeline"),
]
"""Functions that malicious files call, and bypasses of a list that checks only part of a name."""


@pytest.mark.fault("F31")
@pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{module}.{name}" for module, name in NAMES])
@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_call_of_a_name_outside_the_allow_list_is_rejected(module: str, name: str, engine: str) -> None:
    for content in (by_name(module, name, "1"), stack_global(module, name), zlib.compress(by_name(module, name, "1"))):
        with pytest.raises((ModelRejected, ModelInvalid)) as rejected:
            load(content, engine=engine)
        assert isinstance(rejected.value, ModelRejected) or "." in name


def hidden_in(place: str, evil: Evil) -> Any:
    array = np.empty(2, dtype=object)
    array[0] = evil
    return {
        "a value": {"1": evil},
        "a key's neighbour": {"1": a_model(), "2": [evil]},
        "an object array": {"1": a_model(), "2": array},
        "a model's attribute": {"1": Pipeline([("s", StandardScaler()), ("c", evil)])},
        "_meta": {"_meta": evil, "1": a_model()},
    }[place]


@pytest.mark.fault("F31")
@pytest.mark.parametrize("place", ["a value", "a key's neighbour", "an object array", "a model's attribute", "_meta"])
@pytest.mark.parametrize("engine", ["auto", "sklearn"])
@pytest.mark.parametrize(
    "write",
    [
        bundle,
        *(lambda thing, p=p: pickle.dumps(thing, p) for p in range(6)),
        *(lambda thing, pack=pack: pack(bundle(thing)) for pack in (zlib.compress, gzip.compress, bz2.compress)),
        *(lambda thing, pack=pack: pack(pickle.dumps(thing, 2)) for pack in (lzma.compress, zlib.compress)),
    ],
)
def test_hidden_call_is_not_executed(place: str, engine: str, write: Callable[[Any], bytes], tmp_path: Any) -> None:
    mark = tmp_path / "ran"
    content = write(hidden_in(place, Evil(exec, f"open({str(mark)!r}, 'w').close()")))
    with pytest.raises(PermanentError):
        load(content, engine=engine)
    assert not mark.exists()


def test_trust_any_executes_the_hidden_call(tmp_path: Any) -> None:
    mark = tmp_path / "ran"
    content = bundle(hidden_in("an object array", Evil(exec, f"open({str(mark)!r}, 'w').close()")))
    load(content, engine="sklearn", trust_any=True)
    assert mark.exists()


def changing(module: bytes, name: bytes, attribute: bytes) -> bytes:
    """Return a BUILD with a slot state on a listed name. It would set an attribute for all later models."""
    text = b"X" + len(attribute).to_bytes(4, "little") + attribute
    return b"\x80\x02c" + module + b"\n" + name + b"\nN}" + text + b"K\x01s\x86b."


@pytest.mark.fault("F31")
@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_file_does_not_change_a_listed_class_or_function(engine: str) -> None:
    for content in (
        changing(b"sklearn.svm._classes", b"OneClassSVM", b"predict"),
        changing(b"numpy._core.numeric", b"_frombuffer", b"__doc__"),
    ):
        with pytest.raises(PermanentError):
            load(content, engine=engine)
    assert callable(OneClassSVM.predict)
    assert sys.modules["numpy._core.numeric"]._frombuffer.__doc__ != 1


def deep(opening: bytes, closing: bytes, depth: int) -> bytes:
    return b"\x80\x04" + opening * depth + closing * depth + b"."


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "content",
    [
        deep(b"]", b"a", 200_000)[:-2] + b".",
        b"\x80\x04}" + b")" + b"\x85" * 300_000 + b"K\x01s.",
        b"\x80\x04(" + b")" + b"\x85" * 300_000 + b"\x91.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(\x8a\x06\x00\x00\x00\x00\x00\x7ftU\x01b\x87R.",
        b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x.",
        b"\x80\x04r\xff\xff\xff\x7f.",
        b"\x80\x02]q\x00" + b"(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00l0" * 1000 + b".",
    ],
    ids=["deep lists", "deep key", "deep frozenset", "huge array", "huge bytes", "huge memo", "many references"],
)
def test_bomb_is_an_error(content: bytes) -> None:
    with pytest.raises(PermanentError):
        load(content)


@pytest.mark.fault("T15")
def test_array_larger_than_its_file_is_invalid() -> None:
    content = bundle({"1": fitted(VALUES)}).replace(b"K\x01\x85\x94", b"J\xff\xff\xff\x7f\x85\x94", 1)
    with pytest.raises(ModelInvalid):
        load(content)


@pytest.mark.fault("D7")
def test_unusable_tag_leaves_the_other_tags_usable() -> None:
    loaded = load(bundle({"1": a_model(), "2": {"no": "model"}}))
    assert isinstance(loaded.models["1"], ClosedFormSvm)
    assert isinstance(loaded.models["2"], ModelInvalid)


def test_unknown_key_or_format_of_meta_is_incompatible() -> None:
    assert list(load(bundle({"_meta": {"format": 1}, "1": a_model()})).models) == ["1"]
    with pytest.raises(ModelIncompatible, match="'joint' of _meta"):
        load(bundle({"_meta": {"format": 1, "joint": ["1", "2"]}, "1": a_model()}))
    with pytest.raises(ModelIncompatible, match="another format"):
        load(bundle({"_meta": {"format": 2}, "1": a_model()}))


@pytest.mark.fault("D7")
@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_bundle_with_only_meta_is_invalid(engine: str) -> None:
    with pytest.raises(ModelInvalid, match=r"the bundle has no models; write it with joblib\.dump"):
        load(bundle({"_meta": {"format": 1}}), engine=engine)


def test_bundle_lists_the_scikit_learn_versions_of_its_models() -> None:
    assert load(bundle({"1": a_model(), "2": a_model()})).sklearn_versions == [__import__("sklearn").__version__]


def test_only_the_trainers_pipeline_can_be_converted() -> None:
    with pytest.raises(ModelIncompatible):
        bundles.load_pipeline(pickle.dumps(IsolationForest()), max_unpacked_bytes=LIMIT)
    with pytest.raises(ModelIncompatible):
        bundles.load_pipeline(pickle.dumps(OneClassSVM().fit([[1.0], [2.0]])), max_unpacked_bytes=LIMIT)
    with pytest.raises(ModelRejected):
        bundles.load_pipeline(by_name("os", "system", "true"), max_unpacked_bytes=LIMIT)


@pytest.mark.fault("T15")
@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_content_of_exactly_the_limit_is_decompressed(squeeze: Callable[[bytes], bytes]) -> None:
    content = squeeze(bytes(1000))
    assert bundles.decompress(content, 1000) == bytes(1000)
    with pytest.raises(ModelInvalid, match="more than the 999 bytes"):
        bundles.decompress(content, 999)


@pytest.mark.fault("T15")
def test_lzma_decoder_uses_at_most_100_mib() -> None:
    assert bundles.LZMA_MEMORY_LIMIT_BYTES == 104_857_600
    strongest = lzma.compress(b"model", preset=9 | lzma.PRESET_EXTREME)
    assert bundles.decompress(strongest, 1000) == b"model"
    greedy = lzma.compress(b"model", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 200 * 2**20}])
    with pytest.raises(ModelInvalid, match="cannot be decompressed"):
        bundles.decompress(greedy, 1000)


@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_integer_tags_and_tags_of_arrays_become_texts(engine: str) -> None:
    keys = [1, "2", np.int64(3), np.str_("four"), np.int16(-5), np.uint64(2**30 + 1)]
    loaded = load(bundle(dict.fromkeys(keys, a_model())), engine=engine)
    assert list(loaded.models) == ["1", "2", "3", "four", "-5", "1073741825"]
    loaded.close()


def test_bundle_with_tags_of_an_array_needs_no_process() -> None:
    keys = [np.int64(3), np.str_("fünf"), np.array(["six"], dtype=">U5")[0]]
    loaded = load(bundle(dict.fromkeys(keys, a_model())), process=None)
    assert list(loaded.models) == ["3", "fünf", "six"]
    assert loaded.remote is None


@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_two_keys_of_the_same_tag_are_invalid(engine: str) -> None:
    with pytest.raises(ModelInvalid, match="two keys are the same tag, such as 1 and '1'; keep one"):
        load(bundle({1: a_model(), "1": a_model()}), engine=engine)


@pytest.mark.parametrize(("key", "kind"), [(1.5, "float"), (None, "NoneType"), (b"1", "bytes"), (("a", 1), "tuple")])
def test_key_that_is_not_a_tag_is_invalid(key: object, kind: str) -> None:
    with pytest.raises(ModelInvalid, match=f"a key is not a tag but a {kind}; use the text of the column Tag"):
        load(bundle({key: a_model()}))


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (a_model(), "a dict from tag to fitted pipeline, found a Pipeline; write it with joblib.dump({tag: pipeline}"),
        ([a_model()], "found a list"),
        (np.ones(3), "found an Array"),
        ({}, "found an empty dict"),
    ],
    ids=["pipeline", "list", "array", "empty"],
)
def test_file_of_another_object_is_described_with_the_next_step(thing: Any, text: str) -> None:
    target = io.BytesIO()
    joblib.dump(thing, target)
    with pytest.raises(ModelInvalid) as error:
        load(target.getvalue())
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x04\x22\x4d\x18" + bytes(20), "it is compressed by LZ4; write the bundle with joblib.dump without its"),
        (gzip.compress(zlib.compress(b"x")), "it is compressed twice; write the bundle with joblib.dump without its"),
        (b"ZF0x10", "it is compressed by joblib before 0.10; write the bundle with joblib.dump without its"),
    ],
    ids=["lz4", "twice", "joblib 0.9"],
)
def test_other_compression_is_named_with_the_usable_ones(content: bytes, text: str) -> None:
    with pytest.raises(ModelInvalid) as error:
        load(content)
    assert text in str(error.value)
    assert str(error.value).endswith("compression, or with zlib, gzip, bz2 or xz")


@pytest.mark.slow
def test_truncated_bundle_of_another_version_is_not_called_incompatible() -> None:
    forest = IsolationForest(n_estimators=3, random_state=1).fit(VALUES.reshape(-1, 1))
    content = bundle({"1": forest}).replace(__import__("sklearn").__version__.encode(), b"1.6.0")
    for keep in (len(content) // 2, len(content) - 100):
        with pytest.raises(ModelInvalid, match="its file is truncated or damaged"):
            load(content[:keep])


@pytest.mark.slow
def test_model_with_a_set_is_handed_to_scikit_learn() -> None:
    model = fitted(VALUES)
    model.tags = {"a", "b"}
    loaded = load(bundle({"1": model}))
    assert isinstance(loaded.models["1"], RemoteModel)
    loaded.close()


def test_version_of_an_unusable_tag_is_not_listed() -> None:
    assert Bundle({"1": ModelInvalid("x")}).sklearn_versions == []


def test_sensors_of_the_meta_key_are_expectations() -> None:
    sensors = {"1": Expectation(15.0, 8.0, 12.0, 30.0)}
    meta = {"format": 1, META_SENSORS_KEY: encode_expectations(sensors)}
    found = load(bundle({"_meta": meta, "1": a_model()}))
    assert (list(found.models), dict(found.expectations)) == (["1"], sensors)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_sensors_of_a_bundle_that_scikit_learn_reads_are_expectations(engine: str) -> None:
    model, sensors = fitted(VALUES), {"1": Expectation(15.0, 8.0, 12.0, 30.0)}
    model.notes = {"a set"}
    meta = {"format": 1, META_SENSORS_KEY: encode_expectations(sensors)}
    with contextlib.closing(load(bundle({"_meta": meta, "1": model}), engine=engine)) as found:
        assert isinstance(found.models["1"], RemoteModel)
        assert dict(found.expectations) == sensors


def test_newer_version_of_the_sensors_is_ignored() -> None:
    meta = {"format": 1, META_SENSORS_KEY: {"version": 2, "tags": {}}}
    found = load(bundle({"_meta": meta, "1": a_model()}))
    assert (list(found.models), dict(found.expectations)) == (["1"], {})


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_model_fitted_on_a_data_frame_is_usable_in_both_engines(engine: str) -> None:
    frame = pd.DataFrame({"value": VALUES})
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", OneClassSVM(nu=0.1))]).fit(frame)
    loaded = load(bundle({"1": pipeline}), engine=engine).models["1"]
    assert not isinstance(loaded, PermanentError)
    labels, scores = loaded.predict([8.0, 10.5, 400.0])
    asked = pd.DataFrame({"value": [8.0, 10.5, 400.0]})
    assert labels == [0 if label == 1 else 1 for label in pipeline.predict(asked)]
    assert labels[2] == 1
    assert scores == pipeline.decision_function(asked).tolist()


@pytest.mark.slow
def test_file_that_the_inert_reader_cannot_read_is_handed_to_scikit_learn() -> None:
    model = fitted(VALUES)
    model.notes = {("a", "tuple"): "as key"}
    loaded = load(bundle({"1": model, "2": 5}))
    assert isinstance(loaded.models["1"], RemoteModel)
    assert loaded.models["1"].predict([400.0])[0] == [1]
    assert isinstance(loaded.models["2"], ModelInvalid)


def test_content_without_a_class_of_scikit_learn_starts_no_process() -> None:
    process: Any = object()
    for content in (b"garbage", pickle.dumps({("a", "b"): 1})):
        with pytest.raises(ModelInvalid):
            load(content, process=process)


@pytest.mark.slow
def test_model_in_closed_form_is_usable_next_to_one_that_scikit_learn_cannot_load() -> None:
    transformer = QuantileTransformer(n_quantiles=5).fit(VALUES.reshape(-1, 1))
    transformer.random_state = OldRandomState()
    loaded = load(bundle({"1": a_model(), "2": Pipeline([("q", transformer), ("c", OneClassSVM())])}))
    assert isinstance(loaded.models["1"], ClosedFormSvm)
    assert isinstance(loaded.models["2"], PermanentError)


class OldRandomState:
    """An object that an allowed name creates with arguments that this version does not know."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return np.random.RandomState(0).__reduce__()[0], ("removed",)


@pytest.mark.slow
def test_closed_bundle_starts_no_process_again() -> None:
    transformer = QuantileTransformer(n_quantiles=5).fit(VALUES.reshape(-1, 1))
    pipeline = Pipeline([("q", transformer), ("c", OneClassSVM())]).fit(VALUES.reshape(-1, 1))
    loaded = load(bundle({"1": pipeline}))
    assert loaded.remote is not None
    loaded.close()
    assert loaded.remote._session is None
    load(bundle({"1": a_model()})).close()


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["canberra", "braycurtis", "hamming", "seuclidean", "mahalanobis"])
def test_outlier_factor_of_each_metric_is_evaluated_by_scikit_learn(metric: str) -> None:
    column = VALUES.reshape(-1, 1)
    variance = {"seuclidean": {"V": np.array([2.0])}, "mahalanobis": {"VI": np.array([[2.0]])}}.get(metric)
    factor = LocalOutlierFactor(novelty=True, algorithm="ball_tree", metric=metric, metric_params=variance).fit(column)
    loaded = load(bundle({"1": factor})).models["1"]
    assert isinstance(loaded, RemoteModel)
    asked = [8.0, 10.5, 400.0]
    assert loaded.predict(asked)[1] == factor.decision_function(np.array(asked).reshape(-1, 1)).tolist()


@pytest.mark.parametrize("engine", ["auto", pytest.param("sklearn", marks=pytest.mark.slow)])
def test_forest_with_a_random_state_without_a_seed_is_usable(engine: str) -> None:
    for state in (np.random.RandomState(), np.random.RandomState(np.random.MT19937(5))):
        forest = IsolationForest(n_estimators=3, random_state=state).fit(VALUES.reshape(-1, 1))
        loaded = load(bundle({"1": forest}), engine=engine)
        assert not isinstance(loaded.models["1"], PermanentError)
        assert loaded.models["1"].predict([400.0])[0] == [1]
        loaded.close()
