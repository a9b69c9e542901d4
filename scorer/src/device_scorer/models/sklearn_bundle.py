"""Bundles that a process of scikit-learn loads and evaluates, within limits of memory and time.

The pickle of another party can crash, block or exhaust the process that reads it, and can change classes for all later
models. So each bundle has a worker of its own (`sklearn_process`). A bundle that ends its worker or exceeds a limit is
ModelInvalid. Replies are raw numbers and JSON of bounded size (`sklearn_messages`). The scorer unpickles nothing.
"""

import contextlib
import json
import time
import weakref
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from device_scorer.errors import ConfigurationInvalid, ModelIncompatible, ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import sklearn_messages as messages
from device_scorer.models.expectations import Expectation, decode_expectations
from device_scorer.models.sklearn_process import MemoryBudget, ScikitLearnProcess

if TYPE_CHECKING:
    import socket

WORKER_MEMORY_BYTES = 256 * 2**20
MEMORY_PER_BUNDLE_BYTE = 6
"""A worker may allocate WORKER_MEMORY_BYTES, and this number of bytes for each byte of its bundle."""

_ERRORS: dict[str, type[PermanentError]] = {
    kind.__name__: kind for kind in (ModelInvalid, ModelIncompatible, ModelRejected, ConfigurationInvalid)
}


_Result = TypeVar("_Result")


class WorkerEnded(Exception):  # noqa: N818  a signal: see errors.py
    """The worker of a bundle ended, or sent a malformed reply."""


class RemoteTag(NamedTuple):
    """The description of a model in a worker.

    Attributes:
        tag: The tag.
        kind: The names of its steps, such as "StandardScaler -> IsolationForest".
        sklearn_version: The version of scikit-learn that fitted the model, or "unknown".
        error: The error that makes the model unusable, or None.
    """

    tag: str
    kind: str
    sklearn_version: str
    error: PermanentError | None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model that a worker evaluates.

    Attributes:
        bundle: The bundle of the model.
        index: The index of the model in the bundle.
        kind: The names of its steps.
        sklearn_version: The version of scikit-learn that fitted the model, or "unknown".
    """

    bundle: "RemoteBundle" = field(repr=False)
    index: int
    kind: str
    sklearn_version: str

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """Label values, as `bundle.Model.predict` describes."""
        return self.bundle.predict(self.index, values)


class RemoteBundle:
    """A bundle in a worker. `close` ends the worker, as does the garbage collection of the bundle and its models.

    Args:
        process: The fork server.
        content: The pickle, without compression.
        trust_any: True to load a bundle that names code outside the allow-list.

    Raises:
        PermanentError: The bundle cannot be loaded.
    """

    def __init__(self, process: ScikitLearnProcess, content: bytes, *, trust_any: bool) -> None:
        self._process, self._content, self._trust_any = process, content, trust_any
        self._session: _Session | None = None
        self.tags, self.expectations = self._retry(lambda session: session.description)

    def models(self) -> Iterator[tuple[str, RemoteModel | PermanentError]]:
        """Yield the tags of the bundle with their models, or with the errors that make them unusable."""
        for index, (tag, kind, version, error) in enumerate(self.tags):
            yield tag, error or RemoteModel(self, index, kind, version)

    def predict(self, index: int, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """Label values, as `bundle.Model.predict` describes.

        Args:
            index: The index of the model.
            values: Finite values, one per reading.
        """
        labels: list[int] = []
        scores: list[float] | None = []
        for start in range(0, len(values), messages.MAX_VALUES):
            part = array("d", values[start : start + messages.MAX_VALUES])
            part_labels, part_scores = self._retry(partial(_Session.predict, index=index, values=part))
            labels += part_labels
            scores = None if scores is None or part_scores is None else scores + part_scores
        return labels, scores

    def close(self) -> None:
        """End the worker. A later prediction starts a new one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _retry(self, request: Callable[["_Session"], _Result]) -> _Result:
        """Return the result of a request. An end of the worker that the bundle did not cause is invisible.

        A model that ends the fork server ends the workers of other bundles, too. So the second attempt has a fork
        server of its own, which only this bundle can end.
        """
        try:
            if self._session is None:
                self._session = self._start(self._process)
            return request(self._session)
        except WorkerEnded:
            self.close()
        try:
            with self._process.isolated() as process, contextlib.closing(self._start(process)) as session:
                return request(session)
        except WorkerEnded as error:
            raise ModelInvalid(
                "the model is invalid: the process of scikit-learn that evaluates it crashes or has too little memory; "
                "train the model again, or raise the memory of the fleet's scorer"
            ) from error

    def _start(self, process: ScikitLearnProcess) -> "_Session":
        return _Session(process, self._content, trust_any=self._trust_any)


class _Session:
    """A worker that has loaded a bundle.

    Args:
        process: The fork server.
        content: The pickle, without compression.
        trust_any: True to load a bundle that names code outside the allow-list.

    Raises:
        WorkerEnded: The worker ended.
        PermanentError: The bundle cannot be loaded.
    """

    def __init__(self, process: ScikitLearnProcess, content: bytes, *, trust_any: bool) -> None:
        self._predict_seconds = process.predict_seconds
        share = process.memory.acquire(WORKER_MEMORY_BYTES + MEMORY_PER_BUNDLE_BYTE * len(content))
        try:
            self._connection = process.connect(share)
        except BaseException:
            process.memory.release(share)
            raise
        self.close = weakref.finalize(self, _end_session, self._connection, process.memory, share)
        try:
            request = [messages.LOAD.pack(trust_any, len(content)), content]
            kind, payload = self._exchange(request, messages.MAX_DESCRIPTION_BYTES, process.load_seconds)
            if kind != messages.DESCRIPTION:
                _malformed()
            self.description = _parse_description(payload)
        except BaseException:
            self.close()
            raise

    def predict(self, index: int, values: "array[float]") -> tuple[list[int], list[float] | None]:
        """Label at most MAX_VALUES values.

        Args:
            index: The index of the model.
            values: The values.
        """
        count = len(values)
        request = [messages.PREDICT.pack(index, count), values.tobytes()]
        kind, payload = self._exchange(request, 9 * count, self._predict_seconds)
        if kind != messages.PREDICTION or len(payload) not in (count, 9 * count):
            _malformed()
        labels, scores = list(payload[:count]), array("d", bytes(payload[count:])).tolist()
        if any(label > 1 for label in labels):
            _malformed()
        return labels, scores if len(scores) == count else None

    def _exchange(self, request: list[bytes], max_bytes: int, seconds: float) -> tuple[bytes, bytearray]:
        """Send a request and return the kind and payload of the reply.

        Args:
            request: The parts of the request.
            max_bytes: The largest payload of a result.
            seconds: The time for the request and its reply.
        """
        ends_at = time.monotonic() + seconds
        try:
            for part in request:
                messages.set_timeout(self._connection, ends_at)
                self._connection.sendall(part)
            kind, size = messages.REPLY.unpack(messages.receive(self._connection, messages.REPLY.size, ends_at))
            if size > (messages.MAX_FAILURE_BYTES if kind == messages.FAILURE else max_bytes):
                _malformed()
            payload = messages.receive(self._connection, size, ends_at)
        except TimeoutError as error:
            self.close()
            text = f"the model is invalid: scikit-learn does not evaluate it within {seconds:g} seconds"
            raise ModelInvalid(f"{text}; train a smaller model") from error
        except (EOFError, OSError) as error:
            raise WorkerEnded(str(error)) from error
        if kind == messages.FAILURE:
            raise _parse_failure(payload)
        return kind, payload


def _end_session(connection: "socket.socket", memory: MemoryBudget, share: int) -> None:
    connection.close()
    memory.release(share)


def _malformed() -> NoReturn:
    raise WorkerEnded("the reply is malformed")


def _parse_description(payload: bytearray) -> tuple[list[RemoteTag], dict[str, Expectation]]:
    document = _parse_json(payload)
    if len(document) != 2 or not isinstance(document[0], list):
        _malformed()
    return [_parse_tag(row) for row in document[0]], decode_expectations(document[1])


def _parse_tag(row: Any) -> RemoteTag:
    tag, kind, version, reason, text = _parse_texts(row, 5)
    error = _to_error(reason, text) if reason else None
    return RemoteTag(tag, messages.one_line(kind), messages.clean_version(version), error)


def _parse_failure(payload: bytearray) -> PermanentError:
    return _to_error(*_parse_texts(_parse_json(payload), 2))


def _parse_json(payload: bytearray) -> list[Any]:
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, list) else _malformed()


def _parse_texts(row: Any, count: int) -> list[str]:
    if not isinstance(row, list) or len(row) != count or not all(isinstance(text, str) for text in row):
        _malformed()
    return row


def _to_error(reason: str, text: str) -> PermanentError:
    return _ERRORS.get(reason, ModelInvalid)(messages.one_line(text))
