"""The calls of obstore for one view of a storage account: clients, retries, and the deadline."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import obstore

from device_scorer.errors import ConfigurationInvalid
from device_scorer.store.obstore_client import Clients
from device_scorer.store.obstore_errors import (
    classify,
    convert_panic,
    http_status,
    is_missing_blob,
    is_whole_response,
    storage_error_code,
)
from device_scorer.store.retry import RetryPolicy, call_with_retry

_READ_STATUSES = (409, 412, 416)
_NO_CODES: Mapping[int, frozenset[str]] = {}
_Result = TypeVar("_Result")


class BlobMissing(Exception):  # noqa: N818  a signal: see errors.py
    """The blob does not exist."""


class ExpectedCode(Exception):  # noqa: N818  as above
    """The response has an error code that its request expects, or the whole blob in the place of a range."""


class Calls:
    """The calls of one view of a storage account. The clients serve all views.

    Args:
        clients: The clients of the storage account.
        containers: The name of the container for each role.
        secret: The Secret with the credential, for error texts; empty if unknown.
        retry_policy: The limits of one call.
        deadline: The time at which all calls end, on the clock of `time.monotonic()`; None without a deadline.

    Attributes:
        active: True while a call waits for the store.
    """

    def __init__(
        self,
        clients: Clients,
        containers: Mapping[str, str],
        *,
        secret: str,
        retry_policy: RetryPolicy,
        deadline: float | None = None,
    ) -> None:
        self._clients, self._containers, self._secret = clients, containers, secret
        self._retry_policy, self.deadline = retry_policy, deadline
        self.active = False

    def with_deadline(self, deadline: float) -> "Calls":
        """Return the calls of another view."""
        return Calls(
            self._clients, self._containers, secret=self._secret, retry_policy=self._retry_policy, deadline=deadline
        )

    def target(self, container: str, name: str) -> str:
        """Return the container and the name of a blob, or the prefix of a listing.

        Args:
            container: The role of the container.
            name: The name or prefix.
        """
        return f"{self._containers[container]}/{name}"

    def path(self, container: str, name: str) -> str:
        """Return the path of a blob for `account_client`.

        Args:
            container: The role of the container.
            name: The blob's name.

        Raises:
            ConfigurationInvalid: obstore would request another blob.
        """
        if name.startswith("/") or name.endswith("/") or not name:
            raise ConfigurationInvalid(f"blob name {name!r} is invalid: a segment is empty")
        return self.target(container, name)

    def account_client(self) -> Any:
        """Return the client for the paths of all blobs."""
        return self._clients.for_account(self._seconds_left())

    def container_client(self, container: str) -> Any:
        """Return the client that can list a container.

        Args:
            container: The role of the container.
        """
        return self._clients.for_container(self._containers[container], self._seconds_left())

    def get(
        self,
        container: str,
        name: str,
        read: Callable[[Any], _Result],
        options: tuple[Mapping[str, Any], Mapping[str, Any]],
        *,
        expected_codes: frozenset[str],
    ) -> _Result | None:
        """Return what a function reads from the response to a GET, or None if the blob does not exist.

        Args:
            container: The role of the container.
            name: The blob's name.
            read: The function.
            options: The options of the request, and of the one that follows an expected error.
            expected_codes: The codes of an expected error.
        """

        def request(chosen: Any) -> _Result:
            return read(obstore.get(self.account_client(), self.path(container, name), options=chosen))

        expected = dict.fromkeys(_READ_STATUSES, expected_codes)
        try:
            try:
                return self.with_retry(
                    lambda: request(options[0]), container, name, expected=expected, may_be_missing=True
                )
            except ExpectedCode:
                return self.with_retry(lambda: request(options[1]), container, name, may_be_missing=True)
        except BlobMissing:
            return None

    def with_retry(
        self,
        attempt: Callable[[], _Result],
        container: str,
        name: str,
        *,
        expected: Mapping[int, frozenset[str]] = _NO_CODES,
        may_be_missing: bool = False,
        on_maybe_applied: Callable[[], None] = lambda: None,
    ) -> _Result:
        """Return the result of a call with its retries.

        Args:
            attempt: The call.
            container: The role of the container.
            name: The blob's name or the prefix, for error texts.
            expected: The error codes that the call expects, by status.
            may_be_missing: True if the call expects that the blob does not exist.
            on_maybe_applied: A function that is called after each failed attempt that may have changed something.

        Raises:
            BlobMissing: The blob does not exist, which the call expects.
            ExpectedCode: The response has one of the expected codes, or ignores the range of the request.
        """
        target = self.target(container, name).rstrip("/")

        def classify_or_raise(error: Exception) -> Any:
            if may_be_missing and is_missing_blob(error):
                raise BlobMissing from error
            is_expected = storage_error_code(error) in expected.get(http_status(error) or 0, ())
            if is_expected or is_whole_response(error):
                raise ExpectedCode from error
            return classify(error, target=target, secret=self._secret)

        self.active = True
        try:
            return call_with_retry(
                lambda: convert_panic(attempt, has_identity=self._clients.has_identity),
                classify_or_raise,
                deadline=time.monotonic() + self._seconds_left(),
                policy=self._retry_policy,
                on_maybe_applied=on_maybe_applied,
            )
        finally:
            self.active = False

    def _seconds_left(self) -> float:
        return self._retry_policy.max_retry_seconds if self.deadline is None else self.deadline - time.monotonic()
