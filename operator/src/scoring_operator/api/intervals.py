"""Sets of positions in the interval notation of batch/v1 ("0-1811,1813"). Pure and immutable.

A hundred thousand devices that were done nearly in order are a few hundred spans, so every operation is cheap in the
number of spans, whatever the number of positions.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Self

Span = tuple[int, int]
_NOTATION = re.compile(r"(\d{1,9}(-\d{1,9})?)(,\d{1,9}(-\d{1,9})?)*", re.ASCII)


class Intervals:
    """An immutable set of non-negative integers, kept as sorted, disjoint, non-adjacent inclusive spans."""

    __slots__ = ("_size", "spans")

    def __init__(self, spans: tuple[Span, ...] = ()) -> None:
        """Wrap spans that are already sorted, disjoint and apart; use the constructors below otherwise."""
        self.spans = spans
        self._size = sum(last - first + 1 for first, last in spans)

    @classmethod
    def from_positions(cls, positions: Iterable[int]) -> Self:
        """The set of these positions, in any order, with repetitions or not."""
        return cls.from_spans((position, position) for position in positions)

    @classmethod
    def from_spans(cls, spans: Iterable[Span]) -> Self:
        """The set of all positions in these inclusive spans, in any order, overlapping or not."""
        return cls(_merge(sorted(spans)))

    @classmethod
    def range_to(cls, end: int) -> Self:
        """All positions from 0 up to and without `end`."""
        return cls(((0, end - 1),) if end > 0 else ())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the notation; '' is the empty set.

        Raises:
            ValueError: not in the notation, or spans that fall, overlap or run backwards.
        """
        if not text:
            return cls()
        if not _NOTATION.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is no interval notation such as 0-5,7")
        spans: list[Span] = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            spans.append((int(first), int(last or first)))
        if any(a > b for a, b in spans) or any(b >= c for (_, b), (c, _) in pairwise(spans)):
            raise ValueError(f"{text[:40]!r} does not ascend")
        return cls(_merge(spans))

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.spans)

    def __repr__(self) -> str:
        return f"Intervals({self})"

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.spans:
            yield from range(first, last + 1)

    def __contains__(self, position: int) -> bool:
        index = bisect_right(self.spans, (position, 1 << 62)) - 1
        return index >= 0 and position <= self.spans[index][1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    @property
    def first(self) -> int:
        """The least position; the set must not be empty."""
        return self.spans[0][0]

    @property
    def last(self) -> int:
        """The greatest position; the set must not be empty."""
        return self.spans[-1][1]

    def __or__(self, other: "Intervals") -> "Intervals":
        if not self.spans or not other.spans:
            return self if self.spans else other
        return Intervals.from_spans(self.spans + other.spans)

    def __sub__(self, other: "Intervals") -> "Intervals":
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

    def __and__(self, other: "Intervals") -> "Intervals":
        return self - (self - other)

    def split(self, count: int) -> tuple["Intervals", "Intervals"]:
        """The first `count` positions, and the others."""
        head: list[Span] = []
        left = count
        for index, (first, last) in enumerate(self.spans):
            size = last - first + 1
            if left < size:
                cut = [(first, first + left - 1)] if left > 0 else []
                return Intervals((*head, *cut)), Intervals(((first + max(left, 0), last), *self.spans[index + 1 :]))
            head.append((first, last))
            left -= size
        return self, EMPTY

    def chunks(self, size: int) -> Iterator["Intervals"]:
        """The set in consecutive parts of `size` positions; the last one may be smaller."""
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


def _merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join sorted spans that overlap or touch."""
    merged: list[Span] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


EMPTY = Intervals()


def parse_or_none(text: Any) -> Intervals | None:
    """The set that an untrusted value denotes, or None where it denotes none."""
    try:
        return Intervals.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
