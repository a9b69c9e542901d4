"""Sets of indexes in the notation of `.status.completedIndexes` of a batch/v1 Job, such as "0-1811,1813".

A set is stored as spans. 100,000 devices that were scored nearly in order are a few hundred spans. The cost of an
operation depends on the number of spans, not on the number of indexes.

The elements are positions in a run's device list or argument indexes in one scoring Job. The two types `Positions` and
`ArgIndexes` are one class at run time; mypy rejects code that mixes them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Generic, NewType, Self, TypeVar, cast

Position = NewType("Position", int)
"""The index of a device in the run's device list."""

ArgIndex = NewType("ArgIndex", int)
"""The index of a device in the arguments of one scoring Job."""

Index = TypeVar("Index", bound=int)
Span = tuple[int, int]
"""The first and the last index of a span, both inclusive."""

_NOTATION_PATTERN = re.compile(r"(\d{1,9}(-\d{1,9})?)(,\d{1,9}(-\d{1,9})?)*", re.ASCII)
_MAX_QUOTED_LENGTH = 40  # characters of an invalid text that an error repeats
_ABOVE_ALL_INDEXES = 1 << 62


class Intervals(Generic[Index]):
    """An immutable set of non-negative integers, stored as sorted, disjoint, non-adjacent inclusive spans."""

    __slots__ = ("_size", "spans")

    def __init__(self, spans: tuple[Span, ...] = ()) -> None:
        """Store spans that are already sorted, disjoint and not adjacent; the class methods accept any others."""
        self.spans = spans
        self._size = sum(last - first + 1 for first, last in spans)

    @classmethod
    def from_positions(cls, positions: Iterable[Index]) -> Self:
        """Return the set of these elements, which may be unsorted and repeated."""
        return cls.from_spans((position, position) for position in positions)

    @classmethod
    def from_spans(cls, spans: Iterable[Span]) -> Self:
        """Return the union of these spans, which may be unsorted and overlap."""
        return cls(_merge(sorted(spans)))

    @classmethod
    def range_to(cls, end: int) -> Self:
        """Return the set of all integers from 0 to `end`, without `end`."""
        return cls(((0, end - 1),) if end > 0 else ())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the notation; the empty text is the empty set.

        Raises:
            ValueError: The text is not in the notation, or its spans do not ascend.
        """
        if not text:
            return cls()
        if not _NOTATION_PATTERN.fullmatch(text):
            raise ValueError(f"{text[:_MAX_QUOTED_LENGTH]!r} must be in interval notation, such as 0-5,7")
        spans: list[Span] = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            spans.append((int(first), int(last or first)))
        if any(a > b for a, b in spans) or any(b >= c for (_, b), (c, _) in pairwise(spans)):
            raise ValueError(f"{text[:_MAX_QUOTED_LENGTH]!r} must ascend")
        return cls(_merge(spans))

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.spans)

    def __repr__(self) -> str:
        return f"Intervals({self})"

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __iter__(self) -> Iterator[Index]:
        for first, last in self.spans:
            yield from cast("Iterable[Index]", range(first, last + 1))

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self.spans, (index, _ABOVE_ALL_INDEXES)) - 1
        return at >= 0 and index <= self.spans[at][1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    @property
    def first(self) -> Index:
        """The smallest element of a non-empty set."""
        return cast("Index", self.spans[0][0])

    @property
    def last(self) -> Index:
        """The largest element of a non-empty set."""
        return cast("Index", self.spans[-1][1])

    def __or__(self, other: "Intervals[Index]") -> "Intervals[Index]":
        if not self.spans or not other.spans:
            return self if self.spans else other
        return Intervals.from_spans(self.spans + other.spans)

    def __sub__(self, other: "Intervals[Index]") -> "Intervals[Index]":
        if not self.spans or not other.spans:
            return self
        kept: list[Span] = []
        holes = other.spans
        at = 0
        for start, last in self.spans:
            first = start
            while at < len(holes) and holes[at][1] < first:
                at += 1
            scan = at
            while scan < len(holes) and holes[scan][0] <= last:
                if holes[scan][0] > first:
                    kept.append((first, holes[scan][0] - 1))
                first = holes[scan][1] + 1
                scan += 1
            if first <= last:
                kept.append((first, last))
        return Intervals(tuple(kept))

    def __and__(self, other: "Intervals[Index]") -> "Intervals[Index]":
        return self - (self - other)

    def split(self, count: int) -> tuple["Intervals[Index]", "Intervals[Index]"]:
        """Return the first `count` elements and the others."""
        head: list[Span] = []
        left = count
        for at, (first, last) in enumerate(self.spans):
            size = last - first + 1
            if left < size:
                cut = [(first, first + left - 1)] if left > 0 else []
                return Intervals((*head, *cut)), Intervals(((first + max(left, 0), last), *self.spans[at + 1 :]))
            head.append((first, last))
            left -= size
        return self, Intervals()

    def chunks(self, size: int) -> Iterator["Intervals[Index]"]:
        """Yield the set in consecutive parts of `size` elements; the last part may be smaller."""
        spans: list[Span] = []
        room = size
        for start, last in self.spans:
            first = start
            while first <= last:
                upto = min(last, first + room - 1)
                spans.append((first, upto))
                room -= upto - first + 1
                first = upto + 1
                if room == 0:
                    yield Intervals(tuple(spans))
                    spans, room = [], size
        if spans:
            yield Intervals(tuple(spans))


Positions = Intervals[Position]
ArgIndexes = Intervals[ArgIndex]
EMPTY: Intervals[Any] = Intervals()


def _merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join sorted spans that overlap or are adjacent."""
    merged: list[Span] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def parse_or_none(text: Any) -> Intervals[Any] | None:
    """Parse an untrusted value; return None if it is not a text in the notation."""
    try:
        return Intervals.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
