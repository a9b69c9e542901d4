"""The operator's settings: read once from the environment into one frozen object."""

import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scoring_operator.errors import InvalidSettings

PULL_POLICIES = ("IfNotPresent", "Always", "Never")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """What the chart tells the operator, beside the fleets file."""

    fleets_file: Path
    secrets_dir: Path
    scorer_image: str
    scorer_image_pull_policy: str
    scorer_image_pull_secrets: tuple[str, ...]
    watch_namespaces: tuple[str, ...]  # empty: all of them
    lease_name: str
    max_active_jobs: int  # over all runs
    log_level: str
    metrics_port: int  # /metrics, /healthz and /readyz
    pod_name: str  # who holds the lease; unique among the operators that run at one time
    pod_namespace: str  # where the lease lives


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not minimum <= value <= maximum:
            raise ValueError(f"must lie between {minimum} and {maximum}")
        return value

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _required(text: str) -> str:
    if not text:
        raise ValueError("must be set")
    return text


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Args:
        environment: Usually `os.environ`.

    Returns:
        The settings, defaults filled in.

    Raises:
        SettingsInvalid: One or more variables cannot be used; all of them are named.
    """
    wrong: list[str] = []

    def read(name: str, default: str, parse: Callable[[str], _T]) -> _T | None:
        text = environment.get(name, default) or default
        try:
            return parse(text)
        except ValueError as error:
            wrong.append(f"{name}={text!r} {error}")
            return None

    values = {
        "fleets_file": read("FLEETSCORE_FLEETS_FILE", "/etc/fleetscore/fleets.yaml", Path),
        "secrets_dir": read("FLEETSCORE_SECRETS_DIR", "/etc/fleetscore/secrets", Path),
        "scorer_image": read("FLEETSCORE_SCORER_IMAGE", "", _required),
        "scorer_image_pull_policy": read(
            "FLEETSCORE_SCORER_IMAGE_PULL_POLICY", "IfNotPresent", _one_of(*PULL_POLICIES)
        ),
        "scorer_image_pull_secrets": read("FLEETSCORE_SCORER_IMAGE_PULL_SECRETS", "", _comma_list),
        "watch_namespaces": read("FLEETSCORE_WATCH_NAMESPACES", "", _comma_list),
        "lease_name": read("FLEETSCORE_LEASE_NAME", "fleetscore-operator", str),
        "max_active_jobs": read("FLEETSCORE_MAX_ACTIVE_JOBS", "1000", _integer(1, 1_000_000)),
        "log_level": read("FLEETSCORE_LOG_LEVEL", "INFO", _one_of(*logging.getLevelNamesMapping())),
        "metrics_port": read("FLEETSCORE_METRICS_PORT", "9090", _integer(1, 65535)),
        "pod_name": read("POD_NAME", socket.gethostname(), str),
        "pod_namespace": read("POD_NAMESPACE", "default", str),
    }
    if wrong:
        raise InvalidSettings("settings of the operator: " + "; ".join(wrong))
    return Settings(**values)  # type: ignore[arg-type]  # a None among the values has just been ruled out
