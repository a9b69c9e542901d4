"""Limits of the scorer's calls to storage, for tests of their errors."""

from device_scorer.store.retry import RetryPolicy

ONE_ATTEMPT = RetryPolicy(
    max_retry_seconds=60.0,
    initial_backoff_seconds=600.0,
    max_backoff_seconds=600.0,
    connect_timeout_seconds=60.0,
    read_timeout_seconds=60.0,
)
"""A call that ends after its first attempt, because the pause before the next one would exceed the limit.

The attempt itself has a minute. With a limit of 0 seconds it would have MIN_TIMEOUT_SECONDS, which a busy machine
exceeds.
"""
