"""Names, label keys and owner references. Pure.

Every child of a run has a name that follows from the run's uid and its own place, so that a second attempt to create
it meets the first (409), and a run that is made again under an old name does not meet the old run's children.
"""

import hashlib
import re
from base64 import b32encode
from functools import lru_cache
from typing import Any

from scoring_operator.api.scoringrun import GROUP, KIND, VERSION, ScoringRun

MANAGED_BY = {"app.kubernetes.io/managed-by": "fleetscore"}
RUN_LABEL = f"{GROUP}/run"
RUN_UID_LABEL = f"{GROUP}/run-uid"
ROUND_LABEL = f"{GROUP}/round"
DEVICE_LABEL = f"{GROUP}/device"
POSITIONS_ANNOTATION = f"{GROUP}/positions"
COMPONENT_LABEL = "app.kubernetes.io/component"
JOB_SELECTOR = f"app.kubernetes.io/managed-by=fleetscore,{COMPONENT_LABEL} in (scorer,report)"

_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def digest(*parts: str | int) -> str:
    """Twelve lower-case base32 characters over the parts, each prefixed by its length so that no two lists collide."""
    text = "".join(f"{len(str(part))}:{part}" for part in parts)
    return b32encode(hashlib.sha256(text.encode()).digest())[:12].decode().lower()


@lru_cache(maxsize=8192)
def job_name(run: str, uid: str, first: int, last: int, round_: int) -> str:
    """The name of the Job that covers positions `first` to `last` in a round; at most 63 characters."""
    return f"{run}-{digest(uid, first, last, round_)}"


def report_job_name(run: ScoringRun) -> str:
    """The name of the Job that reports on a run's window."""
    return f"{run.name}-{digest(run.uid, 'report')}"


def progress_config_map_name(run: ScoringRun) -> str:
    """The name of the ConfigMap that holds a run's progress."""
    return f"{run.name}-{digest(run.uid, 'progress')}"


def device_list_config_map_name(run: ScoringRun, settings: bytes, content: bytes) -> str:
    """The name of a ConfigMap that holds a part of the device list.

    Another content has another name, and so has a list frozen under other settings of the fleet: that a ConfigMap of
    this name exists proves that both are as they were.
    """
    return f"{run.name}-{digest(run.uid, 'devices', hashlib.sha256(settings + content).hexdigest())}"


def device_label(device: str) -> str:
    """A label value for a device: its id where that is a valid value, else `h.` and a hash of it."""
    return device if _LABEL_VALUE.fullmatch(device) else f"h.{digest(device)}"


def owner_reference(run: ScoringRun) -> dict[str, Any]:
    """The owner reference that makes the garbage collector remove an object with its run."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": run.name,
        "uid": run.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def run_labels(run: ScoringRun) -> dict[str, str]:
    """The labels that every child of a run carries."""
    return {**MANAGED_BY, RUN_LABEL: run.name, RUN_UID_LABEL: run.uid}
