"""Reads a pickle, plain or joblib's, into inert records: no class of the file is imported, nothing of it is called.

Every name in the file becomes a `Name`, every object of an allowed class a `Record` of its attributes, every array an
`Array` of bytes. The few functions that NumPy's and Python's own pickles call are imitated by hand. A name outside the
two exact lists raises ModelRefused before anything is made of it; one that only scikit-learn itself can evaluate raises
NeedsScikitLearn. NumPy is not needed either.
"""

import io
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

from device_scorer.errors import ModelInvalid, ModelRefused
from device_scorer.models.allowlist import ARRAY_WRAPPER, DETECTORS, FUNCTIONS, RECORDS

_SCALAR_FORMATS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u8": "Q", "u4": "I", "b1": "?"}
_PLAIN_KEYS = (str, int, float, bytes, type(None))


class NeedsScikitLearn(Exception):  # noqa: N818  no error: the file is for the other reader
    """The file names an allowed class that only scikit-learn can evaluate."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function of the file, as a word."""

    text: str


@dataclass(slots=True)
class Record:
    """An object of an allowed class: today's name of the class and the attributes, without behaviour."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Dtype:
    """An array's element type, such as f8, and its byte order."""

    code: str
    order: str = "<"


@dataclass(slots=True)
class Array:
    """An array: its element type, shape and bytes."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    data: bytes = b""

    def numbers(self) -> list[float]:
        """The elements of a vector (or of a matrix that is one row or one column). Raises ModelInvalid for others."""
        form = _SCALAR_FORMATS.get(self.dtype.code) if self.dtype else None
        if self.dtype is None or form is None or sum(size != 1 for size in self.shape) > 1:
            raise ModelInvalid("an array in the model is no vector of numbers")
        order = ">" if self.dtype.order == ">" else "<"
        try:
            return [float(item) for item in struct.unpack(f"{order}{prod(self.shape)}{form}", self.data)]
        except struct.error as error:
            raise ModelInvalid("an array in the model has not as many bytes as its shape says") from error


def read(content: bytes) -> Any:
    """The object in the pickle, of plain values, Records and Arrays.

    Names of other detectors raise NeedsScikitLearn, names on no list ModelRefused; whatever is no sound pickle raises
    ModelInvalid.
    """
    try:
        return _RecordReader(content).load()
    except (ModelInvalid, ModelRefused, NeedsScikitLearn):
        raise
    except Exception as error:  # rubbish makes an unpickler raise anything at all
        raise ModelInvalid(f"the model is no readable pickle ({type(error).__name__}: {error})") from error


class _RecordReader(pickle._Unpickler):  # noqa: SLF001  the only one whose steps can be replaced; joblib does the same
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

    def find_class(self, module: str, name: str) -> Name:
        """Turn a name into a word, or refuse it."""
        full = f"{module}.{name}"
        if full in RECORDS or full in FUNCTIONS:
            return Name(full)
        if full in DETECTORS:
            raise NeedsScikitLearn(full)
        raise ModelRefused(f"the model names {full[:200]!r}, which is not on the list of allowed classes")

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ModelInvalid("the model calls what is no function")
        imitation = _IMITATIONS.get(FUNCTIONS.get(function.text, ""))
        if imitation is None:
            raise ModelRefused(f"the model calls {function.text}")
        self.stack.append(imitation(*arguments))

    def _new(self) -> None:
        arguments = self.stack.pop()
        kind = self.stack.pop()
        if not isinstance(kind, Name) or arguments != ():
            raise ModelInvalid("the model makes an object with arguments")
        self.stack.append(_record(kind))

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Record) and isinstance(state, dict):
            target.attributes.update(state)
            if target.kind == ARRAY_WRAPPER:
                self.stack[-1] = self._joblib_array(target.attributes)
        elif isinstance(target, Array):
            _, target.shape, target.dtype, _, data = state
            target.shape = _shape(target.shape)
            target.data = _raw(data)
        elif isinstance(target, Dtype):
            target.order = state[1]
        else:
            raise ModelInvalid("the model sets the state of what has none")

    def _joblib_array(self, wrapper: dict[str, Any]) -> Array:
        """Read the raw bytes that joblib puts behind an array's description."""
        dtype, shape = wrapper["dtype"], _shape(wrapper["shape"])
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self._source.seek(self._source.read(1)[0], io.SEEK_CUR)
        size = prod(shape) * int(dtype.code[1:])
        if dtype.code not in _SCALAR_FORMATS or size > self._size - self._source.tell():
            raise ModelInvalid("an array in the model is no array of numbers or is cut short")
        return Array(dtype, shape, self._source.read(size))

    def _set_item(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._put(self.stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._put(self.stack[-1], items)

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._put(self.stack[-1], items)

    @staticmethod
    def _put(target: Any, items: list[Any]) -> None:
        """Hashing a deeply nested key would overflow the C stack: keys are plain."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(target) is not dict or not isinstance(key, _PLAIN_KEYS):
                raise ModelInvalid("the model has a dictionary whose key is no plain value")
            target[key] = value

    def _refuse(self) -> None:
        raise ModelRefused("the model uses a pickle instruction that models of the allowed classes do not need")

    dispatch[pickle.FRAME[0]] = _skip_frame
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _new
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _dict
    for code in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2),
        *(pickle.EXT4, pickle.NEXT_BUFFER, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET),
    ):
        dispatch[code[0]] = _refuse
    del code


def _record(kind: Name) -> Record:
    if kind.text not in RECORDS:
        raise ModelRefused(f"the model makes an object of {kind.text}")
    return Record(RECORDS[kind.text])


def _shape(value: Any) -> tuple[int, ...]:
    shape = tuple(value)
    if not all(isinstance(size, int) and 0 <= size < 2**40 for size in shape):
        raise ModelInvalid("an array in the model has no sound shape")
    return shape


def _raw(data: Any) -> bytes:
    """Bytes as they are; a Python 2 pickle has them as text. `bytes(10**12)` would be a bomb."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise ModelInvalid("an array in the model has no bytes")
    return bytes(data)


def _imitate_dtype(code: Any, *_: Any) -> Dtype:
    if not isinstance(code, str) or code not in _SCALAR_FORMATS:
        raise ModelInvalid("the model has an array of other things than plain numbers")
    return Dtype(code)


def _imitate_scalar(dtype: Dtype, data: bytes | str) -> float:
    return Array(dtype, (), _raw(data)).numbers()[0]


def _imitate_frombuffer(data: bytes, dtype: Dtype, shape: Any, _order: Any) -> Array:
    return Array(dtype, _shape(shape), _raw(data))


def _imitate_reconstructor(kind: Name, base: Name, state: None) -> Record:
    if FUNCTIONS.get(base.text) == "object" and state is None:
        return _record(kind)
    raise ModelInvalid("the model makes an object from another base than object")


_IMITATIONS: dict[str, Any] = {
    "dtype": _imitate_dtype,
    "scalar": _imitate_scalar,
    "_reconstruct": lambda *_: Array(),
    "_frombuffer": _imitate_frombuffer,
    "encode": lambda text, _encoding="latin1": text.encode("latin1"),
    "_reconstructor": _imitate_reconstructor,
    "bytes": lambda: b"",
}
