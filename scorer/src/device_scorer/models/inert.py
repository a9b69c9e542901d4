"""Inert content of a model file: names, objects, element types and arrays, and the checked reading of attributes.

Nothing here executes code of the file. NumPy is imported only by `Array.to_numpy`.
"""

from array import array
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.read_budget import NUMBER_BYTES, ReadBudget

if TYPE_CHECKING:
    import numpy as np

_ARRAY_CODES = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u8": "Q", "u4": "I", "u1": "B", "i1": "b", "b1": "B"}
"""Element types whose numbers the closed forms read, to the codes of the module array."""

MAX_FIELDS = 16
MAX_NUMBER = 2**63
"""Bound of the integers that are converted to floats."""


class ClosedFormMissing(Exception):  # noqa: N818  a signal: see errors.py
    """The model may be valid, but has no closed form here. The text is the reason."""


class GlobalName:
    """The name of a class or function in the file.

    Args:
        text: The module and name, such as numpy.dtype.
    """

    __slots__ = ("text",)  # a dataclass takes longer to create than a device to score

    def __init__(self, text: str) -> None:
        self.text = text


class InertObject:
    """An object of an allowed class, without behaviour.

    Args:
        class_name: The current name of the class.
        attributes: The attributes of the object.
        state: The state of an object that has no attributes, such as a tree of neighbours.
    """

    __slots__ = ("attributes", "class_name", "state")

    def __init__(self, class_name: str, attributes: dict[str, Any] | None = None, state: Any = None) -> None:
        self.class_name = class_name
        self.attributes: dict[str, Any] = {} if attributes is None else attributes
        self.state = state


class Dtype:
    """The element type of an array.

    Args:
        code: The kind and size, such as f8, or V64 for records.
        byte_order: "<" or ">", as in `numpy.dtype.byteorder`.
        fields: The element types and offsets of the fields of records, by name.
        size: The size of an element in bytes; 0 for the size that the code names.
    """

    __slots__ = ("byte_order", "code", "fields", "size")

    def __init__(
        self,
        code: str,
        byte_order: str = "<",
        fields: dict[str, tuple["Dtype", int]] | None = None,
        size: int = 0,
    ) -> None:
        self.code, self.byte_order, self.fields, self.size = code, byte_order, fields or {}, size
        digits = code[1:]
        if not size and digits.isascii() and digits.isdigit() and len(digits) < 10:
            self.size = int(digits) * (4 if code[0] == "U" else 1)


class Array:
    """The content of a NumPy array, without NumPy.

    Args:
        dtype: The element type.
        shape: The shape.
        data: The bytes of the elements; None for an array of objects, such as the names of features.
        is_fortran: True if the first index varies fastest.
        budget: The budget of its file; None for an array that no file has.
    """

    __slots__ = ("budget", "data", "dtype", "is_fortran", "shape")

    def __init__(
        self,
        dtype: Dtype | None = None,
        shape: tuple[int, ...] = (),
        data: bytes | None = b"",
        *,
        is_fortran: bool = False,
        budget: ReadBudget | None = None,
    ) -> None:
        self.dtype, self.shape, self.data, self.is_fortran, self.budget = dtype, shape, data, is_fortran, budget

    @property
    def count(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    def reserve(self, size: int) -> None:
        """Subtract the memory of numbers from the budget of the file.

        Args:
            size: The number of bytes.

        Raises:
            ClosedFormMissing: The budget is exceeded.
        """
        if self.budget is not None and not self.budget.take(size):
            raise ClosedFormMissing("a file whose models have too many numbers together")

    def to_floats(self) -> list[float]:
        """Return the elements of a vector, or of a matrix that has one row or one column.

        Raises:
            ModelInvalid: The array has another shape, other elements or too few bytes.
            ClosedFormMissing: The budget of the file is exceeded.
        """
        code = _ARRAY_CODES.get(self.dtype.code) if self.dtype else None
        if self.dtype is None or code is None or sum(size != 1 for size in self.shape) > 1:
            raise ModelInvalid("the model is invalid: an array is not a vector of numbers")
        numbers = array(code)
        if self.data is None or len(self.data) != self.count * numbers.itemsize:
            raise ModelInvalid("the model is invalid: the size of an array does not match its shape")
        self.reserve(self.count * NUMBER_BYTES)
        numbers.frombytes(self.data)
        if self.dtype.byte_order == ">":
            numbers.byteswap()
        return [float(item) for item in numbers]

    def to_numpy(self) -> "np.ndarray":
        """Return the array of numbers, or of records of numbers, in the byte order of this machine.

        Raises:
            ModelInvalid: The array has other elements or another number of bytes.
            ClosedFormMissing: The budget of the file is exceeded.
        """
        import numpy as np  # noqa: PLC0415  scoring of the trainer's models does not need NumPy

        if self.dtype is None or self.data is None or len(self.data) != self.count * self.dtype.size:
            raise ModelInvalid("the model is invalid: the size of an array does not match its shape")
        self.reserve(self.count * NUMBER_BYTES)
        kind = np.dtype(_numpy_spec(self.dtype))
        content = np.frombuffer(self.data, dtype=kind).reshape(self.shape, order="F" if self.is_fortran else "C")
        return content.astype(kind.newbyteorder("="), copy=False)


def _numpy_spec(dtype: Dtype) -> Any:
    """Return the argument of `numpy.dtype` for an element type that consists of numbers."""
    if dtype.code in _ARRAY_CODES:
        return dtype.byte_order + dtype.code
    kinds = {name: (one, offset) for name, (one, offset) in dtype.fields.items() if one.code in _ARRAY_CODES}
    if not kinds or len(kinds) != len(dtype.fields) or len(kinds) > MAX_FIELDS:
        raise ModelInvalid("the model is invalid: the elements of an array are not numbers")
    if any(not 0 <= offset <= dtype.size - one.size for one, offset in kinds.values()):
        raise ModelInvalid("the model is invalid: the fields of an array are outside of its records")
    return {
        "names": list(kinds),
        "formats": [one.byte_order + one.code for one, _ in kinds.values()],
        "offsets": [offset for _, offset in kinds.values()],
        "itemsize": dtype.size,
    }


def read_array(model: InertObject, name: str) -> Array:
    """Return an attribute that is an array of numbers or of records.

    Args:
        model: The object.
        name: The name of the attribute.

    Raises:
        ModelInvalid: The object has no such attribute, which means that it is not fitted.
        ClosedFormMissing: The attribute is not an array of numbers.
    """
    value = _read(model, name)
    if not isinstance(value, Array) or value.dtype is None or value.data is None:
        raise ClosedFormMissing(f"{name} is not an array of numbers")
    if value.dtype.code not in _ARRAY_CODES and not value.dtype.fields:
        raise ClosedFormMissing(f"{name} has elements of {value.dtype.code[:20]}")
    return value


def read_matrix(model: InertObject, name: str, shape: tuple[int | None, ...]) -> "np.ndarray":
    """Return an attribute that is an array of finite numbers or truth values, as NumPy's array of the same type.

    Args:
        model: The object.
        name: The name of the attribute.
        shape: The expected shape; None for any size of a dimension.

    Raises:
        ModelInvalid: The attribute has another shape, or a number is not finite.
        ClosedFormMissing: The attribute is not an array of numbers.
    """
    import numpy as np  # noqa: PLC0415  as above

    matrix = read_array(model, name).to_numpy()
    if len(matrix.shape) != len(shape) or any(
        wanted not in (None, found) for wanted, found in zip(shape, matrix.shape, strict=True)
    ):
        raise ModelInvalid(f"the model is invalid: {name} has the shape {matrix.shape}")
    if matrix.dtype.kind not in "fiub" or not np.isfinite(matrix).all():
        raise ModelInvalid(f"the model is invalid: a number of {name} is not finite")
    return matrix


def read_vector(model: InertObject, *names: str) -> list[float]:
    """Return the finite numbers of the first attribute that exists.

    Args:
        model: The object.
        names: The current name of the attribute and its earlier names.

    Raises:
        ModelInvalid: The object is not fitted, or a number is not finite.
        ModelIncompatible: The attribute has several columns.
        ClosedFormMissing: The attribute is not an array of numbers.
    """
    name = next((name for name in names if name in model.attributes), names[0])
    value = read_array(model, name)
    if len(value.shape) == 2 and name == "support_vectors_" and value.shape[1] != 1:
        raise too_many_features(value.shape[1])
    numbers = value.to_floats()
    if not all(map(isfinite, numbers)):
        raise ModelInvalid(f"the model is invalid: a number of {names[0]} is not finite")
    return numbers


def read_number(model: InertObject, *names: str) -> float:
    """Return an attribute that is one finite number, or an array of one.

    Args:
        model: The object.
        names: The current name of the attribute and its earlier names.

    Raises:
        ModelInvalid: The attribute is missing, or is not one finite number.
        ClosedFormMissing: The attribute is not an array of numbers.
    """
    name = next((name for name in names if name in model.attributes), names[0])
    value = _read(model, name)
    if isinstance(value, Array):
        numbers = read_vector(model, name)
        if len(numbers) != 1:
            raise ModelInvalid(f"the model is invalid: {name} has {len(numbers)} numbers; one feature has one")
        return numbers[0]
    if not isinstance(value, (int, float)) or (not -MAX_NUMBER < value < MAX_NUMBER and isinstance(value, int)):
        raise ModelInvalid(f"the model is invalid: {name} is not a number")
    if not isfinite(value):
        raise ModelInvalid(f"the model is invalid: {name} is not finite")
    return float(value)


def read_count(model: InertObject, name: str) -> int:
    """Return an attribute that is a non-negative integer.

    Args:
        model: The object.
        name: The name of the attribute.

    Raises:
        ModelInvalid: The attribute is not a non-negative integer.
    """
    number = read_number(model, name)
    if number < 0 or number != int(number):
        raise ModelInvalid(f"the model is invalid: {name} is not a count")
    return int(number)


def too_many_features(count: int) -> ModelIncompatible:
    """Return the error of a model over several features.

    Args:
        count: The number of features.
    """
    return ModelIncompatible(
        f"the model expects {count} features; a reading has one value; train one model for each tag"
    )


def _read(model: InertObject, name: str) -> Any:
    value = model.attributes.get(name)
    if value is None:
        raise ModelInvalid(f"the model is invalid: it is not fitted (no {name}); fit it before it is saved")
    return value
