"""Time that passes only when nothing else is left to do: an event loop in which minutes take milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """Instead of waiting for so many seconds it lets them have passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "nothing will ever happen"
            self.now += max(timeout, 0.0)
        return found


class _Loop(asyncio.SelectorEventLoop):
    """What would go to a thread is done at once, so that nothing depends on the machine's pace."""

    def run_in_executor(self, _executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # asyncio passes them by place
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # it is for the one who waits
            done.set_exception(error)
        return done


class VirtualTime:
    """An event loop whose time, and all that `time.monotonic` tells meanwhile, is its own."""

    def __init__(self) -> None:
        self._clock = _Jump()
        self.loop = _Loop(self._clock)
        self.errors: list[Mapping[str, Any]] = []  # that no task waited for
        self.loop.set_exception_handler(self._note)

    def _note(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        # A generator left behind by a killed operator is closed whenever memory is cleared up, and may say so.
        if "asynchronous generator" not in str(context.get("exception")):
            self.errors.append(context)

    def now(self) -> float:
        """Seconds, from some beginning on."""
        return self._clock.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until that is done."""
        with mock.patch("time.monotonic", self.now):
            return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.loop.close()
