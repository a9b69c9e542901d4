from scoring_operator.storage.limits import StorageLimits


def test_limits_of_storage_requests_have_these_defaults() -> None:
    assert StorageLimits() == StorageLimits(
        max_body_bytes=64 * 2**20, response_timeout=150, list_timeout=300, max_blobs=1_000_000, max_retries=3
    )
