import re

import pytest

from scoring_operator import errors
from scoring_operator.errors import ApiError, FleetscoreError, RunBlocked, RunRejected

LINE = re.compile(r"(?P<indent>(?:[│ ]   )*)[├└]── (?P<name>\w+)")


def drawn_parents() -> dict[str, str]:
    """Return the parent of each class, as the docstring draws the tree."""
    path, parents = ["FleetscoreError"], {}
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["indent"]) // 4 + 1
            path[depth:] = [match["name"]]
            parents[match["name"]] = path[depth - 1]
    return parents


def test_docstring_draws_the_tree_of_exceptions() -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, FleetscoreError)]
    assert drawn_parents() == {one.__name__: one.__base__.__name__ for one in classes if one is not FleetscoreError}  # type: ignore[union-attr]  # each has a base


def test_api_error_names_its_request() -> None:
    error = ApiError("not now", status=429, reason="TooManyRequests", retry_after=2.0, request="GET /jobs")
    assert str(error) == "GET /jobs: not now"
    assert (error.message, error.status, error.reason, error.retry_after) == ("not now", 429, "TooManyRequests", 2.0)
    assert str(ApiError("not now")) == "not now"


@pytest.mark.parametrize(
    "error",
    [
        RunRejected("NoDevices", "no device has a model"),
        RunBlocked("NoDevices", "no device has a model", permanent=False),
    ],
)
def test_run_error_has_a_reason_and_a_message(error: RunRejected | RunBlocked) -> None:
    assert (error.reason, error.message, str(error)) == (
        "NoDevices",
        "no device has a model",
        "NoDevices: no device has a model",
    )
