"""A pickle reader that creates inert objects. It imports no class of the file and calls no function of the file.

A name in the file becomes a GlobalName, and an array becomes an Array of bytes. An object of an allowed class becomes
an InertObject with its attributes. The few functions that pickles of NumPy and Python call are emulated. A name that is
not on the allow-list raises ModelRejected before it is used. The reader does not need NumPy.

One budget limits the whole file: the number of instructions, of copied items and of produced bytes. A file that exceeds
it raises ScikitLearnNeeded: a process with limits of memory and time reads it. Every value that the reader keeps,
except those that the budget counts, has at most a few times the size of its text in the file.
"""

import io
import pickle
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

from device_scorer.errors import ModelInvalid, ModelRejected, PermanentError
from device_scorer.models.allowlist import ARRAY_WRAPPER, EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.inert import Array, Dtype, GlobalName, InertObject
from device_scorer.models.pickle_functions import (
    Budget,
    ScikitLearnNeeded,
    array_bytes,
    call,
    create_inert_object,
    set_dtype_state,
    validate_shape,
)
from device_scorer.models.sklearn_messages import one_line

MAX_INTEGER_KEY = 2**31
"""Larger numbers can have equal hashes, which makes a dictionary slow."""

MAX_TEXT_CHARS = 160


def load_inert(content: bytes) -> Any:
    """Read a pickle, plain or of joblib.

    Args:
        content: The pickle, without compression.

    Returns:
        An object of plain values, InertObjects and Arrays.

    Raises:
        ScikitLearnNeeded: The pickle exceeds the budget of the reader.
        ModelRejected: The pickle names or calls something that is not on the allow-list.
        ModelIncompatible: The pickle names a class of another version of scikit-learn.
        ModelInvalid: The content is not a valid pickle.
    """
    try:
        return _InertUnpickler(io.BytesIO(content), Budget(len(content))).load()
    except (PermanentError, ScikitLearnNeeded):
        raise
    except Exception as error:  # malformed input makes an unpickler raise any exception
        text = f"the model is invalid: it is not a readable pickle ({_describe(error)})"
        raise ModelInvalid(f"{text}; write the bundle with joblib.dump") from error


def _describe(error: Exception) -> str:
    """Return the type and text of an error. The text of an object of the file, such as a missing key, may be huge."""
    text = next((part for part in error.args[:1] if isinstance(part, str)), "")
    return one_line(f"{type(error).__name__}: {text[:MAX_TEXT_CHARS]}").rstrip(":")


class _InertUnpickler(pickle._Unpickler):  # noqa: SLF001  the C unpickler cannot be extended; joblib does the same
    """The unpickler of the standard library, in which every instruction that would call a function is replaced."""

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001  as above

    def __init__(self, source: io.BytesIO, budget: Budget, *, is_nested: bool = False) -> None:
        self._source, self._budget, self._is_nested = source, budget, is_nested
        self._size = source.getbuffer().nbytes
        self.memo: dict[int, Any] = {}
        super().__init__(source, encoding="latin1")

    def load(self) -> Any:
        """Execute the instructions. Frames are ignored, because the whole pickle is in memory."""
        self.read, self.readinto, self.readline = self._source.read, self._source.readinto, self._source.readline
        self.metastack, self.stack = [], []
        self.append = self.stack.append
        read, functions, memo, get = self.read, _FUNCTIONS, self.memo, pickle.BINGET
        try:
            for _ in self._budget.instructions:
                code = read(1)
                if code == get:  # the most frequent instruction
                    self.append(memo[read(1)[0]])
                else:
                    functions[code](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]  # noqa: SLF001  as above
            return stop.value
        raise ScikitLearnNeeded("a file of too many instructions")

    def _end_early(self) -> None:
        raise ModelInvalid("the model is invalid: its pickle is truncated; upload it again")

    def _skip_frame(self) -> None:
        self.read(8)

    def find_class(self, module: str, name: str) -> GlobalName:
        """Return the name instead of the class or function.

        Args:
            module: The module of the name in the file.
            name: The name of the class or function.

        Raises:
            ModelRejected: The name is not on the allow-list.
            ModelIncompatible: The name is one of another version of scikit-learn.
        """
        full = f"{module}.{name}"
        if full in INERT_CLASSES or full in EMULATED_NAMES or full in SKLEARN_ONLY_NAMES:
            return GlobalName(full)
        from device_scorer.models.rejected_names import rejected_name  # noqa: PLC0415  most files need no error

        raise rejected_name(module, name, self._source.getvalue())

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        self._budget.take(objects=1)
        self.stack.append(call(function, arguments, self._budget))

    def _new_object(self) -> None:
        arguments = self.stack.pop()
        class_name = self.stack.pop()
        if not isinstance(class_name, GlobalName) or arguments != ():
            raise ModelInvalid("the model is invalid: it creates an object with arguments")
        self._budget.take(objects=1)
        self.stack.append(create_inert_object(class_name))

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, InertObject):
            self._set_state(target, state)
        elif isinstance(target, Array):
            _, shape, target.dtype, is_fortran, data = state
            target.shape, target.is_fortran = validate_shape(shape), bool(is_fortran)
            target.data = array_bytes(target.dtype, data, self._budget)
        elif isinstance(target, Dtype):
            set_dtype_state(target, state)
        else:
            raise ModelInvalid("the model is invalid: it sets the state of an object without state")

    def _set_state(self, target: InertObject, state: Any) -> None:
        if type(state) is not dict:
            target.state = state
            return
        self._budget.take(items=len(state))
        target.attributes.update(state)
        if target.class_name == ARRAY_WRAPPER:
            self.stack[-1] = self._joblib_array(target.attributes)

    def _joblib_array(self, wrapper: dict[str, Any]) -> Array:
        """Read the content that joblib writes after the description of an array."""
        dtype, shape = wrapper["dtype"], validate_shape(wrapper["shape"])
        if not isinstance(dtype, Dtype) or self._is_nested:
            raise ModelInvalid("the model is invalid: an array is malformed")
        if dtype.code == "O8":
            content = _InertUnpickler(self._source, self._budget, is_nested=True).load()
            return content if isinstance(content, Array) else Array(dtype, shape, None)
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self._source.seek(self._source.read(1)[0], io.SEEK_CUR)
        size = prod(shape) * dtype.size
        if not dtype.size or size > self._size - self._source.tell():
            raise ModelInvalid("the model is invalid: an array is truncated or has elements without a size")
        is_fortran, budget = wrapper.get("order") == "F", self._budget.numbers
        return Array(dtype, shape, self._source.read(size), is_fortran=is_fortran, budget=budget)

    def _empty_dict(self) -> None:
        self._budget.take(objects=1)
        self.stack.append({})

    def _empty_list(self) -> None:
        self._budget.take(objects=1)
        self.stack.append([])

    def _tuple1(self) -> None:
        self._budget.take(objects=1)
        self.stack[-1] = (self.stack[-1],)

    def _byte_array(self) -> None:
        """Read bytes. The instruction of the standard library allocates any size before it reads a byte."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._size - self._source.tell():
            raise ModelInvalid("the model is invalid: its pickle is truncated")
        self.stack.append(self.read(size))

    def _set_item(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._set_pairs(self.stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._set_pairs(self.stack[-1], items)

    def _dict(self) -> None:
        items = self.pop_mark()
        self._empty_dict()
        self._set_pairs(self.stack[-1], items)

    @staticmethod
    def _set_pairs(target: Any, items: list[Any]) -> None:
        """Add pairs to a dictionary. The hash of a deeply nested key would overflow the C stack, so keys are plain."""
        keys = items[::2]
        if type(target) is not dict or (set(map(type, keys)) != {str} and not all(map(_is_plain_key, keys))):
            raise ModelInvalid("the model is invalid: a dictionary key is not a plain value")
        target.update(zip(keys, items[1::2], strict=True))

    def _append(self) -> None:
        value = self.stack.pop()
        self._extend(self.stack[-1], [value])

    def _appends(self) -> None:
        items = self.pop_mark()
        self._extend(self.stack[-1], items)

    @staticmethod
    def _extend(target: Any, items: list[Any]) -> None:
        if type(target) is not list:
            raise ModelInvalid("the model is invalid: it appends to an object that is not a list")
        target.extend(items)

    def _read_set(self) -> None:
        raise ModelInvalid("the model is invalid: it has a set, which only scikit-learn's reader accepts")

    def _reject_instruction(self) -> None:
        raise ModelRejected("the model uses a pickle instruction that models of the allowed classes do not need")

    dispatch[pickle.FRAME[0]] = _skip_frame
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _new_object
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.BYTEARRAY8[0]] = _byte_array
    dispatch[pickle.EMPTY_DICT[0]] = _empty_dict
    dispatch[pickle.EMPTY_LIST[0]] = _empty_list
    dispatch[pickle.TUPLE1[0]] = _tuple1
    dispatch[pickle.APPEND[0]] = _append
    dispatch[pickle.APPENDS[0]] = _appends
    for code in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2),
        *(pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    ):
        dispatch[code[0]] = _reject_instruction
    for code in (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET):
        dispatch[code[0]] = _read_set
    del code


_FUNCTIONS = {bytes([code]): function for code, function in _InertUnpickler.dispatch.items()}
_FUNCTIONS[b""] = _InertUnpickler._end_early  # noqa: SLF001  the end of the file in place of an instruction


def _is_plain_key(key: Any) -> bool:
    if isinstance(key, (int, float)):
        return -MAX_INTEGER_KEY < key < MAX_INTEGER_KEY
    return isinstance(key, (str, bytes)) or key is None
