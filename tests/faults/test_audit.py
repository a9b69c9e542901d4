"""How often a Job was created, from the API server's audit log."""

from tests.testkit.audit import Request, created_jobs


def of(verb: str, name: str, code: int, time: str, subresource: str = "") -> Request:
    return Request("somebody", verb, "jobs", subresource, name, code, time)


def test_creation_with_an_unknown_response_counts_if_the_job_was_seen() -> None:
    requests = [
        of("create", "r-done", 504, "1"),
        of("update", "r-done", 200, "2", "status"),
        of("create", "r-done", 409, "3"),
        of("create", "r-not-done", 504, "1"),
        of("create", "r-not-done", 201, "2"),
        of("update", "r-not-done", 200, "3", "status"),
        of("create", "r-never", 504, "1"),
        of("create", "r-twice", 504, "1"),
        of("delete", "r-twice", 200, "2"),
        of("create", "r-twice", 201, "3"),
        of("create", "other", 201, "1"),
    ]
    assert created_jobs(requests[::-1], "r-") == {"r-done": 1, "r-not-done": 1, "r-twice": 2}
