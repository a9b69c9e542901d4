"""A pickle reader that creates inert objects. It imports no class of the file and calls no function of the file.

A name in the file becomes a GlobalName, an object of an allowed class becomes an InertObject with its attributes, and
an array becomes an Array of bytes. The few functions that pickles of NumPy and Python call are emulated. A name that is
not on the allow-list raises ModelRejected before it is used. A name that only scikit-learn can evaluate raises
NeedsScikitLearn. The reader does not need NumPy.
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


class NeedsScikitLearn(Exception):  # noqa: N818  not an error: sklearn_loader reads the file
    """The file names an allowed class that only scikit-learn can evaluate. The text is the name."""


@dataclass(frozen=True, slots=True)
class GlobalName:
    """The name of a class or function in the file.

    Attributes:
        text: The module and name, such as numpy.dtype.
    """

    text: str


@dataclass(slots=True)
class InertObject:
    """An object of an allowed class, without behaviour.

    Attributes:
        class_name: The current name of the class.
        attributes: The attributes of the object.
    """

    class_name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Dtype:
    """The element type of an array.

    Attributes:
        code: The kind and size in bytes, such as f8.
        byte_order: "<" or ">", as in `numpy.dtype.byteorder`.
    """

    code: str
    byte_order: str = "<"


@dataclass(slots=True)
class Array:
    """An array.

    Attributes:
        dtype: The element type.
        shape: The shape.
        data: The bytes of the elements.
    """

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    data: bytes = b""

    def to_floats(self) -> list[float]:
        """Return the elements of a vector, or of a matrix that has one row or one column.

        Raises:
            ModelInvalid: The array has another shape, other elements or too few bytes.
        """
        form = _SCALAR_FORMATS.get(self.dtype.code) if self.dtype else None
        if self.dtype is None or form is None or sum(size != 1 for size in self.shape) > 1:
            raise ModelInvalid("the model is invalid: an array is not a vector of numbers")
        order = ">" if self.dtype.byte_order == ">" else "<"
        try:
            return [float(item) for item in struct.unpack(f"{order}{prod(self.shape)}{form}", self.data)]
        except struct.error as error:
            raise ModelInvalid("the model is invalid: the size of an array does not match its shape") from error


def load_inert(content: bytes) -> Any:
    """Read a pickle, plain or of joblib.

    Args:
        content: The pickle, without compression.

    Returns:
        An object of plain values, InertObjects and Arrays.

    Raises:
        NeedsScikitLearn: The pickle names a class that only scikit-learn can evaluate.
        ModelRejected: The pickle names or calls something that is not on the allow-list.
        ModelInvalid: The content is not a valid pickle.
    """
    try:
        return _InertUnpickler(content).load()
    except (ModelInvalid, ModelRejected, NeedsScikitLearn):
        raise
    except Exception as error:  # malformed input makes an unpickler raise any exception
        raise ModelInvalid(
            f"the model is invalid: it is not a readable pickle ({type(error).__name__}: {error})"
        ) from error


class _InertUnpickler(pickle._Unpickler):  # noqa: SLF001  the C unpickler cannot be extended; joblib does the same
    """The unpickler of the standard library, in which every instruction that would call a function is replaced."""

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001  as above

    def __init__(self, content: bytes) -> None:
        self._source = io.BytesIO(content)
        self._size = len(content)
        super().__init__(self._source, encoding="latin1")

    def load(self) -> Any:
        """Execute the instructions. Frames are ignored, because the whole pickle is in memory."""
        self.read, self.readinto, self.readline = self._source.read, self._source.readinto, self._source.readline
        self.metastack, self.stack = [], []
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            while code := read(1):
                dispatch[code[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]  # noqa: SLF001  as above
            return stop.value
        raise ModelInvalid("the model is invalid: its pickle is truncated")

    def _skip_frame(self) -> None:
        self.read(8)

    def find_class(self, module: str, name: str) -> GlobalName:
        """Return the name instead of the class or function.

        Args:
            module: The module of the name in the file.
            name: The name of the class or function.

        Raises:
            ModelRejected: The name is not on the allow-list.
            NeedsScikitLearn: Only scikit-learn can evaluate the class.
        """
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
            raise ModelInvalid("the model is invalid: it calls an object that is not a function")
        emulation = _EMULATIONS.get(EMULATED_NAMES.get(function.text, ""))
        if emulation is None:
            raise ModelRejected(f"the model calls {function.text}")
        self.stack.append(emulation(*arguments))

    def _new_object(self) -> None:
        arguments = self.stack.pop()
        class_name = self.stack.pop()
        if not isinstance(class_name, GlobalName) or arguments != ():
            raise ModelInvalid("the model is invalid: it creates an object with arguments")
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
            raise ModelInvalid("the model is invalid: it sets the state of an object without state")

    def _joblib_array(self, wrapper: dict[str, Any]) -> Array:
        """Read the bytes that joblib writes after the description of an array."""
        dtype, shape = wrapper["dtype"], _validate_shape(wrapper["shape"])
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self._source.seek(self._source.read(1)[0], io.SEEK_CUR)
        size = prod(shape) * int(dtype.code[1:])
        if dtype.code not in _SCALAR_FORMATS or size > self._size - self._source.tell():
            raise ModelInvalid("the model is invalid: an array does not hold numbers or is truncated")
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
        """Add pairs to a dictionary. The hash of a deeply nested key would overflow the C stack, so keys are plain."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(target) is not dict or not isinstance(key, _KEY_TYPES):
                raise ModelInvalid("the model is invalid: a dictionary key is not a plain value")
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
        raise ModelRejected(f"the model creates an object of {class_name.text}")
    return InertObject(INERT_CLASSES[class_name.text])


def _validate_shape(value: Any) -> tuple[int, ...]:
    shape = tuple(value)
    if not all(isinstance(size, int) and 0 <= size < 2**40 for size in shape):
        raise ModelInvalid("the model is invalid: the shape of an array is malformed")
    return shape


def _to_bytes(data: Any) -> bytes:
    """Return bytes unchanged, and encode the text of a Python 2 pickle. `bytes(10**12)` would exhaust the memory."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise ModelInvalid("the model is invalid: an array has no bytes")
    return bytes(data)


def _emulate_dtype(code: Any, *_: Any) -> Dtype:
    if not isinstance(code, str) or code not in _SCALAR_FORMATS:
        raise ModelInvalid("the model is invalid: the elements of an array are not numbers")
    return Dtype(code)


def _emulate_scalar(dtype: Dtype, data: bytes | str) -> float:
    return Array(dtype, (), _to_bytes(data)).to_floats()[0]


def _emulate_frombuffer(data: bytes, dtype: Dtype, shape: Any, _order: Any) -> Array:
    return Array(dtype, _validate_shape(shape), _to_bytes(data))


def _emulate_reconstructor(class_name: GlobalName, base: GlobalName, state: None) -> InertObject:
    if EMULATED_NAMES.get(base.text) == "object" and state is None:
        return _create_inert_object(class_name)
    raise ModelInvalid("the model is invalid: it creates an object whose base is not object")


_EMULATIONS: dict[str, Any] = {
    "dtype": _emulate_dtype,
    "scalar": _emulate_scalar,
    "_reconstruct": lambda *_: Array(),
    "_frombuffer": _emulate_frombuffer,
    "encode": lambda text, _encoding="latin1": text.encode("latin1"),
    "_reconstructor": _emulate_reconstructor,
    "bytes": lambda: b"",
}
