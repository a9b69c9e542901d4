"""The functions that pickles of NumPy and Python call, on inert objects, and the budget of one file.

`unpickler` executes the instructions. Nothing here calls a function of the file.
"""

from itertools import repeat
from typing import Any

from device_scorer.errors import ModelInvalid, ModelRejected
from device_scorer.models.allowlist import CALLED_NAMES, EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.inert import MAX_FIELDS, Array, Dtype, GlobalName, InertObject
from device_scorer.models.read_budget import ReadBudget

MAX_INSTRUCTIONS = 2_000_000
"""Instructions of a file. A forest of 100 trees has 20,000."""

MAX_OBJECTS = 400_000
"""Containers, arrays and objects that a file creates. A forest of 100 trees has 2,900."""

MAX_COPIED_ITEMS = 2_000_000
MAX_PRODUCED_BYTES = 256 * 2**20
"""Items and bytes that the instructions of a file copy or convert."""

MAX_DIMENSIONS = 8
MAX_ITEM_BYTES = 1024
_OPAQUE = "an object that only scikit-learn evaluates"


class ScikitLearnNeeded(Exception):  # noqa: N818  a signal: see errors.py
    """The file has content that only scikit-learn can evaluate. The text is its name."""


class Budget:
    """The rest of what the instructions of one file may do.

    Args:
        file_bytes: The size of the file, without compression.

    Attributes:
        instructions: An iterator with an item for each instruction.
        numbers: The budget of the closed forms, which all arrays of the file share.
    """

    def __init__(self, file_bytes: int = 0) -> None:
        self.instructions = repeat(None, MAX_INSTRUCTIONS)
        self.numbers = ReadBudget(file_bytes)
        self._objects = MAX_OBJECTS
        self._items = MAX_COPIED_ITEMS
        self._bytes = MAX_PRODUCED_BYTES

    def take(self, *, objects: int = 0, items: int = 0, size: int = 0) -> None:
        """Subtract created objects, copied items and produced bytes.

        Args:
            objects: The number of objects.
            items: The number of items.
            size: The number of bytes.

        Raises:
            ScikitLearnNeeded: The budget is exceeded.
        """
        self._objects -= objects
        self._items -= items
        self._bytes -= size
        if self._objects < 0 or self._items < 0 or self._bytes < 0:
            raise ScikitLearnNeeded("a file that creates too many objects")


def call(function: Any, arguments: Any, budget: Budget) -> Any:
    """Return the inert result of a call.

    Args:
        function: The function or class, which must be a name of the allow-list.
        arguments: The arguments.
        budget: The budget of the file.

    Raises:
        ModelInvalid: The call is malformed.
        ModelRejected: Models do not need the call.
    """
    if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
        raise ModelInvalid("the model is invalid: it calls an object that is not a function")
    if function.text in CALLED_NAMES:
        return _called(function, arguments)
    emulation = _EMULATIONS.get(EMULATED_NAMES.get(function.text, ""))
    if emulation is None:
        raise ModelRejected(f"the model calls {function.text}")
    return emulation(budget, *arguments)


def create_inert_object(class_name: GlobalName) -> InertObject:
    """Return a new object.

    Args:
        class_name: The name of its class in the file.

    Raises:
        ModelRejected: The name is not a class of the allow-list.
    """
    if class_name.text not in INERT_CLASSES and class_name.text not in SKLEARN_ONLY_NAMES:
        raise ModelRejected(f"the model creates an object of {class_name.text}")
    return InertObject(INERT_CLASSES.get(class_name.text, _OPAQUE))


def _called(function: GlobalName, arguments: tuple[Any, ...]) -> InertObject:
    """Return the object that a call creates. `newObj(KDTree)` of scikit-learn creates the object of a class."""
    if function.text.endswith(".newObj") and len(arguments) == 1 and isinstance(arguments[0], GlobalName):
        return create_inert_object(arguments[0])
    return create_inert_object(function)


def validate_shape(value: Any) -> tuple[int, ...]:
    """Return the shape of an array.

    Args:
        value: The shape in the file.

    Raises:
        ModelInvalid: The shape is malformed.
    """
    is_shape = isinstance(value, (tuple, list)) and len(value) <= MAX_DIMENSIONS
    shape = tuple(value) if is_shape else (-1,)
    if any(type(size) is not int or not 0 <= size < 2**40 for size in shape):
        raise ModelInvalid("the model is invalid: the shape of an array is malformed")
    return shape


def array_bytes(dtype: Any, data: Any, budget: Budget) -> bytes | None:
    """Return the bytes of an array, or None for an array of objects.

    Args:
        dtype: The element type in the file.
        data: The content in the file.
        budget: The budget of the file.

    Raises:
        ModelInvalid: The element type or the content is malformed.
    """
    if not isinstance(dtype, Dtype):
        raise ModelInvalid("the model is invalid: an array has no element type")
    return None if dtype.code == "O8" else _to_bytes(data, budget)


def _to_bytes(data: Any, budget: Budget) -> bytes:
    """Return bytes unchanged, and encode the text of a Python 2 pickle. `bytes(10**12)` would exhaust the memory."""
    if isinstance(data, str):
        budget.take(size=len(data))
        return data.encode("latin1")
    if not isinstance(data, bytes):
        raise ModelInvalid("the model is invalid: an array has no bytes")
    return data


def set_dtype_state(target: Dtype, state: Any) -> None:
    """Set the byte order, and the fields of a record (`numpy.dtype.__reduce__`).

    Args:
        target: The element type.
        state: Its state in the file.

    Raises:
        ModelInvalid: The state is malformed.
    """
    if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
        raise ModelInvalid("the model is invalid: the element type of an array is malformed")
    target.byte_order = ">" if state[1] == ">" else "<"
    names, fields = state[3:5]
    if names is None or fields is None:
        return
    pairs = [fields[name] for name in names[: MAX_FIELDS + 1]]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], Dtype) or type(pair[1]) is not int:
            raise ModelInvalid("the model is invalid: the fields of an array are malformed")
    target.fields = dict(zip(names, ((Dtype(one.code, one.byte_order), at) for one, at in pairs), strict=True))
    item_size = state[5]
    if type(item_size) is not int or not 0 < item_size <= MAX_ITEM_BYTES:
        raise ModelInvalid("the model is invalid: the records of an array are too large")
    target.size = item_size


def _emulate_dtype(_budget: Budget, code: Any, *_: Any) -> Dtype:
    if not isinstance(code, str) or not 1 < len(code) < 10 or not code[1:].isascii() or not code[1:].isdigit():
        raise ModelInvalid("the model is invalid: the elements of an array have an unknown type")
    return Dtype(code)


def _emulate_scalar(budget: Budget, dtype: Dtype, data: bytes | str) -> float | str:
    """Return a number or a text. Tags have these types if they come from an array, such as `frame.Tag.unique()`."""
    budget.take(items=1)
    content = _to_bytes(data, budget)
    if dtype.code[:1] == "U":
        return content.decode("utf-32-be" if dtype.byte_order == ">" else "utf-32-le").rstrip("\0")
    number = Array(dtype, (), content).to_floats()[0]
    if dtype.code[:1] not in ("i", "u"):
        return number
    return int.from_bytes(content, "big" if dtype.byte_order == ">" else "little", signed=dtype.code[0] == "i")


def _emulate_frombuffer(budget: Budget, data: bytes, dtype: Dtype, shape: Any, order: Any) -> Array:
    content = array_bytes(dtype, data, budget)
    return Array(dtype, validate_shape(shape), content, is_fortran=order == "F", budget=budget.numbers)


def _emulate_encode(budget: Budget, text: str, _encoding: str = "latin1") -> bytes:
    budget.take(size=len(text))
    return text.encode("latin1")


def _emulate_reconstructor(_budget: Budget, class_name: GlobalName, base: GlobalName, state: None) -> InertObject:
    if EMULATED_NAMES.get(base.text) == "object" and state is None:
        return create_inert_object(class_name)
    raise ModelInvalid("the model is invalid: it creates an object whose base is not object")


_EMULATIONS: dict[str, Any] = {
    "dtype": _emulate_dtype,
    "scalar": _emulate_scalar,
    "_reconstruct": lambda budget, *_: Array(budget=budget.numbers),
    "_frombuffer": _emulate_frombuffer,
    "encode": _emulate_encode,
    "_reconstructor": _emulate_reconstructor,
    "bytes": lambda _budget: b"",
}
