"""The operator's settings, read once from the environment into a frozen object."""

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
    """The settings that the chart passes to the operator, in addition to the fleets file.

    Attributes:
        fleets_file: The file of the fleets.
        secrets_dir: The folder of the storage secrets, with one folder per fleet.
        scorer_image: The image of scoring and report Jobs.
        scorer_image_pull_policy: The pull policy of that image.
        scorer_image_pull_secrets: The names of the pull secrets of that image.
        watch_namespaces: The namespaces to watch; empty for all namespaces.
        lease_name: The name of the Lease for leader election.
        max_active_jobs: The maximum number of active Jobs of all runs.
        max_active_jobs_per_namespace: The maximum number of active Jobs of a namespace; 0 for the default.
        log_level: The name of the log level.
        metrics_port: The port of /metrics, /healthz and /readyz.
        pod_name: The identity in leader election, unique among the running operators.
        pod_namespace: The namespace of the Lease.
    """

    fleets_file: Path
    secrets_dir: Path
    scorer_image: str
    scorer_image_pull_policy: str
    scorer_image_pull_secrets: tuple[str, ...]
    watch_namespaces: tuple[str, ...]
    lease_name: str
    max_active_jobs: int
    max_active_jobs_per_namespace: int
    log_level: str
    metrics_port: int
    pod_name: str
    pod_namespace: str


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not minimum <= value <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum}")
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
    """Parse the settings.

    Args:
        environment: The environment variables.

    Returns:
        The settings, with defaults for missing variables.

    Raises:
        InvalidSettings: At least one variable is invalid. The message names all invalid variables.
    """
    problems: list[str] = []

    def read(name: str, default: str, parse: Callable[[str], _T]) -> _T | None:
        text = environment.get(name, default) or default
        try:
            return parse(text)
        except ValueError as error:
            problems.append(f"{name}={text!r} {error}")
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
        "max_active_jobs_per_namespace": read("FLEETSCORE_MAX_ACTIVE_JOBS_PER_NAMESPACE", "0", _integer(0, 1_000_000)),
        "log_level": read("FLEETSCORE_LOG_LEVEL", "INFO", _one_of(*logging.getLevelNamesMapping())),
        "metrics_port": read("FLEETSCORE_METRICS_PORT", "9090", _integer(1, 65535)),
        "pod_name": read("POD_NAME", socket.gethostname(), str),
        "pod_namespace": read("POD_NAMESPACE", "default", str),
    }
    if problems:
        raise InvalidSettings("the operator's settings are invalid: " + "; ".join(problems))
    return Settings(**values)  # type: ignore[arg-type]  # without problems no value is None
