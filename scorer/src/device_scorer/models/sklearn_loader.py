"""Reading of bundles with the classes of scikit-learn, restricted to the names of the allow-list.

The file's instructions run code of scikit-learn and NumPy. So this module runs only in a worker process, which has
limits of memory and time and reads one file (`sklearn_worker`).
"""

import importlib
import io
import pickle
import warnings
from typing import Any, ClassVar, NamedTuple

import numpy as np
from joblib.numpy_pickle import NumpyUnpickler

from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRejected, PermanentError
from device_scorer.models.allowlist import EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.bundle import expectations_by_tag, models_by_tag
from device_scorer.models.expectations import Expectation
from device_scorer.models.rejected_names import rejected_name
from device_scorer.models.sklearn_detector import SklearnDetector, to_detector
from device_scorer.models.sklearn_failures import describe_failure
from device_scorer.models.sklearn_messages import UNKNOWN_VERSION, clean_version, find_version, one_line

MAX_TAGS = 10_000
"""Number of tags of one bundle."""

_ALLOWED_NAMES = frozenset({*INERT_CLASSES, *EMULATED_NAMES, *SKLEARN_ONLY_NAMES})
_RENAMED_MODULES = {"copy_reg": "copyreg", "__builtin__": "builtins"}


class LoadedBundle(NamedTuple):
    """The content of a bundle.

    Attributes:
        detectors: The detector of each tag, or the error that makes it unusable.
        expectations: The behaviour of the sensors in training, by tag of `detectors`.
    """

    detectors: dict[str, SklearnDetector | PermanentError]
    expectations: dict[str, Expectation]


class _AllowlistUnpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """The unpickler of joblib, restricted to the names of the allow-list. It never changes a class or function."""

    dispatch: ClassVar[dict[int, Any]] = dict(NumpyUnpickler.dispatch)

    def __init__(self, content: bytes, *, trust_any: bool) -> None:
        super().__init__("model", io.BytesIO(content), ensure_native_byte_order=True)
        self._trust_any, self._content = trust_any, content
        self.versions: dict[int, str] = {}
        self.last_version = UNKNOWN_VERSION

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function whose name is on the allow-list.

        Args:
            module: The module of the name in the file.
            name: The name of the class or function.

        Raises:
            ModelRejected: The name is not on the allow-list.
            ModelIncompatible: The name is one of another version of scikit-learn.
        """
        full = f"{module}.{name}"
        if self._trust_any:
            return self._find_any_class(module, name)
        if full not in _ALLOWED_NAMES:
            raise rejected_name(module, name, self._content)
        if EMULATED_NAMES.get(full) == "bytes":
            return _empty_bytes
        if EMULATED_NAMES.get(full) == "ndarray":
            return np.ndarray  # the constructor of memmap opens files
        module = INERT_CLASSES.get(full, full).rpartition(".")[0]
        return getattr(importlib.import_module(_RENAMED_MODULES.get(module, module)), name)

    def _find_any_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except AttributeError as error:
            if module.startswith("sklearn."):
                raise
            text = f"the model needs {one_line(f'{module}.{name}')[:100]!r}, which the scorer does not have"
            cure = "define it in a module, not in a script; " if module == "__main__" else ""
            raise ModelIncompatible(
                f"{text}; {cure}add the module to the scorer's image, or train without it"
            ) from error

    def _instantiate(self, class_: Any, arguments: Any) -> None:
        self._check_call(class_)
        super()._instantiate(class_, arguments)

    def _reduce(self) -> None:
        self._check_call(self.stack[-2])
        super().load_reduce()

    def _new_object(self) -> None:
        self._check_call(self.stack[-2])
        super().load_newobj()

    def _new_object_with_keywords(self) -> None:
        self._check_call(self.stack[-3])
        super().load_newobj_ex()

    def _check_call(self, function: Any) -> None:
        """Reject calls of ndarray, which makes pointers to objects of any bytes. Pickles of arrays only name it."""
        if isinstance(function, type) and issubclass(function, np.ndarray) and not self._trust_any:
            raise ModelRejected("the model calls numpy.ndarray")

    def _build(self) -> None:
        target, state = self.stack[-2], self.stack[-1]
        if isinstance(target, np.dtype) and not self._trust_any:
            self._replace(target, with_state(target, state))
            return
        if isinstance(target, type) or (callable(target) and not self._trust_any):
            raise ModelRejected("the model changes a class or function")
        if isinstance(state, dict) and "_sklearn_version" in state:
            self.last_version = self.versions[id(target)] = clean_version(state["_sklearn_version"])
        super().load_build()

    def _replace(self, target: Any, fresh: Any) -> None:
        self.stack.pop()
        self.stack[-1] = fresh
        for key, known in reversed(self.memo.items()):
            if known is target:
                self.memo[key] = fresh
                break

    def _load_byte_array(self) -> None:
        """Read a byte array. The instruction of the standard library allocates any size before it reads a byte."""
        size = int.from_bytes(self.read(8), "little")
        if size > len(self._content):
            raise ModelInvalid("the model is invalid: its pickle is truncated")
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _new_object
    dispatch[pickle.NEWOBJ_EX[0]] = _new_object_with_keywords
    dispatch[pickle.BYTEARRAY8[0]] = _load_byte_array


def with_state(dtype: "np.dtype[Any]", state: Any) -> "np.dtype[Any]":
    """Return an element type with the state of a file. NumPy's own method trusts its flags, offsets and sizes.

    Args:
        dtype: The element type.
        state: The state, as `numpy.dtype.__reduce__` returns it.

    Raises:
        ValueError: The state is malformed.
    """
    _, order, base, names, fields, size = state[:6]
    if base is not None:
        return np.dtype((base[0], base[1]))
    if names is not None:
        places = [fields[name] for name in names]
        formats, offsets = [one[0] for one in places], [one[1] for one in places]
        return np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size})
    if size not in (-1, dtype.itemsize):
        raise ValueError("an element type has another size than its name")
    return dtype if order == "|" else dtype.newbyteorder(order)


def _empty_bytes() -> bytes:
    """Return empty bytes, as valid pickles call `bytes`. A call with a large number would exhaust the memory."""
    return b""


def load_detectors(content: bytes, *, trust_any: bool) -> LoadedBundle:
    """Load a bundle.

    Args:
        content: The pickle, plain or of joblib, without compression.
        trust_any: True to allow all names.

    Raises:
        ModelRejected: The file names code that is not on the allow-list.
        ModelInvalid: The file cannot be loaded.
        ModelIncompatible: Another version of scikit-learn wrote the file, or it needs a module that is not installed.
    """
    reader = _AllowlistUnpickler(content, trust_any=trust_any)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = reader.load()
        except PermanentError:
            raise
        except BaseException as error:  # the code of a file may raise any exception, SystemExit among them
            raise describe_failure(error, action="load", written_by=find_version(content)) from error
    models = models_by_tag(loaded)
    if len(models) > MAX_TAGS:
        raise too_many_tags(len(models))
    detectors: dict[int, SklearnDetector | PermanentError] = {}
    for model in models.values():
        if id(model) not in detectors:
            detectors[id(model)] = _detector_or_error(model, reader.versions.get(id(model), reader.last_version))
    return LoadedBundle(
        {tag: detectors[id(model)] for tag, model in models.items()},
        {tag: one for tag, one in expectations_by_tag(loaded).items() if tag in models},
    )


def too_many_tags(count: int) -> ModelInvalid:
    """Return the error of a bundle whose description is too large.

    Args:
        count: The number of tags.
    """
    return ModelInvalid(f"the bundle is invalid: it has {count:,} tags; divide the device, at most {MAX_TAGS:,} each")


def _detector_or_error(estimator: Any, version: str) -> SklearnDetector | PermanentError:
    try:
        return to_detector(estimator, version)
    except PermanentError as error:
        return error
    except BaseException as error:  # noqa: BLE001  the properties of an object may raise any exception
        return describe_failure(error, action="inspect", written_by=version)
