"""The search for the bounds of a model."""

from itertools import pairwise

import pandas as pd
import pytest

from fleetscore.model_bounds import _first_gap, _Gap, find_bounds, first_grid
from tests.testkit import scorer_fleet


def rows(*values: tuple[str, float, int]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=["Tag", "Val", "Prediction"])


@pytest.mark.parametrize("reach", [3.0, -1e9, 1e-6], ids=str)
def test_grid_begins_at_the_normal_value_and_extends_beyond_the_reach(reach: float) -> None:
    grid = first_grid(10.0, reach)
    assert grid[0] == 10.0
    assert 10.0 + reach in grid
    assert abs(grid[-1] - 10.0) > abs(reach) * 1000
    assert all(abs(a - 10.0) <= abs(b - 10.0) for a, b in pairwise(grid))


def test_gap_is_the_first_change_from_normal_to_anomalous() -> None:
    assert _first_gap([1.0, 2.0, 3.0, 4.0], {1.0: 0, 2.0: 0, 3.0: 1, 4.0: 0}) == _Gap(2.0, 3.0)
    assert _first_gap([1.0, 2.0], {1.0: 0, 2.0: 0}) is _first_gap([1.0], {1.0: 1}) is None


@pytest.mark.parametrize("far", [99.0, -1e9], ids=str)
def test_bounds_are_found_for_near_and_far_anomalies(far: float) -> None:
    bundle = scorer_fleet.bundle({"a,1": scorer_fleet.a_model()})
    lowest, highest = find_bounds(bundle, rows(("a,1", 10.0, 0), ("a,1", far, 1)))["a,1"]
    assert 7.9 < lowest < 8.1
    assert 11.9 < highest < 12.1


def test_tag_without_a_normal_reading_has_no_bounds() -> None:
    assert find_bounds(b"", rows(("1", 99.0, 1))) == find_bounds(b"", rows(("1", 9.0, 0))) == {}
