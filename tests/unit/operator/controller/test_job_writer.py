"""Tests of the classification of rejected Job requests."""

import pytest

from scoring_operator.controller.job_writer import blocker_for
from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Throttled,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QuotaExceeded("exceeded quota"), "QuotaExceeded"),
        (Forbidden("not allowed"), "Forbidden"),
        (Invalid("spec is invalid"), "JobRejected"),
        (Throttled("too many requests"), "Throttled"),
        (NotFound("namespace not found"), "NamespaceNotFound"),
        (AlreadyExists("a Job of another run", reason="NameConflict"), "NameConflict"),
        (ApiError("HTTP 418"), "ApiError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_rejected_request_returns_blocker_with_reason(error: ApiError, reason: str) -> None:
    blocker = blocker_for(error)
    assert blocker is not None
    assert blocker.reason == reason
    assert error.message in blocker.message


@pytest.mark.parametrize("error", [Conflict("changed"), AlreadyExists("exists"), Unavailable("no response")])
def test_transient_api_error_returns_no_blocker(error: ApiError) -> None:
    assert blocker_for(error) is None
