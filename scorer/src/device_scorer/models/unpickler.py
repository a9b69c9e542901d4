"""Reads a pickle, plain or joblib's, into inert records: no class of the file is imported, nothing of it is called.

Every name in the file becomes a `Name`, every object of an allowed class a `Record` of its attributes, every array an
`Array` of bytes. The few functions that NumPy's and Python's own pickles call are imitated by hand. A name outside the
two exact lists raises ModelRejected before anything is made of it; one that only scikit-learn itself can evaluate raises
NeedsScikitLearn. NumPy is not needed either.
"""

import io
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

from device_scorer.errors import ModelInvalid, ModelRejected
from device_scorer.models.allowlist import ARRAY_WRAPPER, EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES

_SCALAR_FORMATS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u8": "Q", "u4": "I", "b1": "?"}
_KEY_TYPES = (str, int, float, bytes, type(None))


class NeedsScikitLearn(Exception):  # noqa: N818  no error: the file is for the other reader
    """The file names an allowed class that only scikit-learn can evaluate."""


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A class or function of the file, as a word."""

    text: str


@dataclass(slots=True)
class InertObject:
    """An object of an allowed class: today's name of the class and the attributes, without behaviour."""

    class_name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Dtype:
    """An array's element type, such as f8, and its byte order."""

    code: str
    byte_order: str = "<"


@dataclass(slots=True)
class Array:
    """An array: its element type, shape and bytes."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    data: bytes = b""

    def to_floats(self) -> list[float]:
        """The elements of a vector (or of a matrix that is one row or one column). Raises ModelInvalid for others."""
        form = _SCALAR_FORMATS.get(self.dtype.code) if self.dtype else None
        if self.dtype is None or form is None or sum(size != 1 for size in self.shape) > 1:
            raise ModelInvalid("an array in the model is no vector of numbers")
        order = ">" if self.dtype.byte_order == ">" else "<"
        try:
            return [float(item) for item in struct.unpack(f"{order}{prod(self.shape)}{form}", self.data)]
        except struct.error as error:
            raise ModelInvalid("an array in the model has not as many bytes as its shape says") from error


def load_inert(content: bytes) -> Any:
    """The object in the pickle, of plain values, Records and Arrays.

    Names of other detectors raise NeedsScikitLearn, names on no list ModelRejected; whatever is no sound pickle raises
    ModelInvalid.
    """
    try:
        return _InertUnpickler(content).load()
    except (ModelInvalid, ModelRejected, NeedsScikitLearn):
        raise
    except Exception as error:  # rubbish makes an unpickler raise anything at all
        raise ModelInvalid(f"the model is no readable pickle ({type(error).__name__}: {error})") from error


class _InertUnpickler(pickle._Unpickler):  # noqa: SLF001  the only one whose steps can be replaced; joblib does the same
    """The standard library's unpickler with every step replaced that would call something."""

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001  as above

    def __init__(self, content: bytes) -> None:
        self._source = io.BytesIO(content)
        self._size = len(content)
        super().__init__(self._source, encoding="latin1")

    def load(self) -> Any:
        """The base's loop, straight from the bytes: frames matter only to who reads a file piece by piece."""
        self.read, self.readinto, self.readline = self._source.read, self._source.readinto, self._source.readline
        self.metastack, self.stack = [], []
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            while code := read(1):
                dispatch[code[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]  # noqa: SLF001  as above
            return stop.value
        raise ModelInvalid("the model's pickle has no end: it was cut short")

    def _skip_frame(self) -> None:
        self.read(8)

    def find_class(self, module: str, name: str) -> GlobalName:
        """Turn a name into a word, or refuse it."""
        full = f"{module}.{name}"
        if full in INERT_CLASSES or full in EMULATED_NAMES:
            return GlobalName(full)
        if full in SKLEARN_ONLY_NAMES:
            raise NeedsScikitLearn(full)
        raise ModelRejected(f"the model names {full[:200]!r}, which is not on the list of allowed classes")

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
            raise ModelInvalid("the model calls what is no function")
        emulation = _EMULATIONS.get(EMULATED_NAMES.get(function.text, ""))
        if emulation is None:
            raise ModelRejected(f"the model calls {function.text}")
        self.stack.append(emulation(*arguments))

    def _new_object(self) -> None:
        arguments = self.stack.pop()
        class_name = self.stack.pop()
        if not isinstance(class_name, GlobalName) or arguments != ():
            raise ModelInvalid("the model makes an object with arguments")
        self.stack.append(_create_inert_object(class_name))

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, InertObject) and isinstance(state, dict):
            target.attributes.update(state)
            if target.class_name == ARRAY_WRAPPER:
                self.stack[-1] = self._joblib_array(target.attributes)
        elif isinstance(target, Array):
            _, target.shape, target.dtype, _, data = state
            target.shape = _validate_shape(target.shape)
            target.data = _to_bytes(data)
        elif isinstance(target, Dtype):
            target.byte_order = state[1]
        else:
            raise ModelInvalid("the model sets the state of what has none")

    def _joblib_array(self, wrapper: dict[str, Any]) -> Array:
        """Read the raw bytes that joblib puts behind an array's description."""
        dtype, shape = wrapper["dtype"], _validate_shape(wrapper["shape"])
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self._source.seek(self._source.read(1)[0], io.SEEK_CUR)
        size = prod(shape) * int(dtype.code[1:])
        if dtype.code not in _SCALAR_FORMATS or size > self._size - self._source.tell():
            raise ModelInvalid("an array in the model is no array of numbers or is cut short")
        return Array(dtype, shape, self._source.read(size))

    def _set_item(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._set_pairs(self.stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._set_pairs(self.stack[-1], items)

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set_pairs(self.stack[-1], items)

    @staticmethod
    def _set_pairs(target: Any, items: list[Any]) -> None:
        """Hashing a deeply nested key would overflow the C stack: keys are plain."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(target) is not dict or not isinstance(key, _KEY_TYPES):
                raise ModelInvalid("the model has a dictionary whose key is no plain value")
            target[key] = value

    def _reject_instruction(self) -> None:
        raise ModelRejected("the model uses a pickle instruction that models of the allowed classes do not need")

    dispatch[pickle.FRAME[0]] = _skip_frame
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _new_object
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _dict
    for code in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2),
        *(pickle.EXT4, pickle.NEXT_BUFFER, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET),
    ):
        dispatch[code[0]] = _reject_instruction
    del code


def _create_inert_object(class_name: GlobalName) -> InertObject:
    if class_name.text not in INERT_CLASSES:
        raise ModelRejected(f"the model makes an object of {class_name.text}")
    return InertObject(INERT_CLASSES[class_name.text])


def _validate_shape(value: Any) -> tuple[int, ...]:
    shape = tuple(value)
    if not all(isinstance(size, int) and 0 <= size < 2**40 for size in shape):
        raise ModelInvalid("an array in the model has no sound shape")
    return shape


def _to_bytes(data: Any) -> bytes:
    """Bytes as they are; a Python 2 pickle has them as text. `bytes(10**12)` would be a bomb."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise ModelInvalid("an array in the model has no bytes")
    return bytes(data)


def _emulate_dtype(code: Any, *_: Any) -> Dtype:
    if not isinstance(code, str) or code not in _SCALAR_FORMATS:
        raise ModelInvalid("the model has an array of other things than plain numbers")
    return Dtype(code)


def _emulate_scalar(dtype: Dtype, data: bytes | str) -> float:
    return Array(dtype, (), _to_bytes(data)).to_floats()[0]


def _emulate_frombuffer(data: bytes, dtype: Dtype, shape: Any, _order: Any) -> Array:
    return Array(dtype, _validate_shape(shape), _to_bytes(data))


def _emulate_reconstructor(class_name: GlobalName, base: GlobalName, state: None) -> InertObject:
    if EMULATED_NAMES.get(base.text) == "object" and state is None:
        return _create_inert_object(class_name)
    raise ModelInvalid("the model makes an object from another base than object")


_EMULATIONS: dict[str, Any] = {
    "dtype": _emulate_dtype,
    "scalar": _emulate_scalar,
    "_reconstruct": lambda *_: Array(),
    "_frombuffer": _emulate_frombuffer,
    "encode": lambda text, _encoding="latin1": text.encode("latin1"),
    "_reconstructor": _emulate_reconstructor,
    "bytes": lambda: b"",
}
