"""Objects whose unpickling or predictions do harm. They need `trust: any`, as the allow-list rejects their classes."""

import ctypes
import os
import pickle
import signal
import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.svm import OneClassSVM


def crash() -> None:
    ctypes.string_at(0)


def loop() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(1e6)


def exhaust_memory() -> None:
    parts = []
    while True:
        parts.append(np.ones(2**20))


def kill_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def write_garbage() -> None:
    """Write to every connection of the process."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue
    os._exit(0)


def change_class() -> None:
    """Make every one-class SVM of the process call all values anomalies."""
    OneClassSVM.predict = lambda _self, column: -np.ones(len(column))
    OneClassSVM.decision_function = lambda _self, column: -np.ones(len(column))


def exit_process() -> None:
    raise SystemExit(0)


class OnLoad:
    """An object that calls a function of this module when it is unpickled.

    Args:
        name: The function.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return globals()[self.name], ()


class OnPredict(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A detector that calls a function of this module for values above a threshold.

    Args:
        name: The function.
        threshold: The largest value that is labelled, and the negative of the smallest normal value.
    """

    def __init__(self, name: str = "crash", threshold: float = 20_000.0) -> None:
        self.name, self.threshold = name, threshold

    def fit(self, *_: Any) -> "OnPredict":
        return self

    def predict(self, column: Any) -> Any:
        if (column > self.threshold).any():
            globals()[self.name]()
        return np.where(column.ravel() < -self.threshold, -1, 1)


HARMS = ("crash", "loop", "sleep", "exhaust_memory", "kill_parent", "write_garbage", "change_class", "exit_process")


class WrittenOnce(OnPredict):
    """A detector that cannot be pickled after it was loaded, as one that cloudpickle wrote."""

    loaded = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, loaded=True)

    def __getstate__(self) -> dict[str, Any]:
        if self.loaded:
            raise pickle.PicklingError("a lambda")
        return dict(vars(self))
