"""The limits of the requests to storage accounts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """The limits of the requests to one account; times are in seconds.

    Attributes:
        max_body_bytes: The size of a response's body. A page of 1,000 blobs with 8 KiB of metadata each has 9 MB.
        response_timeout: The time of a whole response, from its header to its trailer. The read timeout is that of one
            part of it.
        list_timeout: The time of a whole listing. 100,000 blobs with metadata take about 20 s.
        max_blobs: The number of blobs of a listing.
        max_retries: The number of retries of a request.
    """

    max_body_bytes: int = 64 * 2**20
    response_timeout: float = 150.0
    list_timeout: float = 300.0
    max_blobs: int = 1_000_000
    max_retries: int = 3


DEFAULT_LIMITS = StorageLimits()
