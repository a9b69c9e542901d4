"""Names, label keys and owner references of the objects that the operator creates.

The name of a child is a function of the run's uid and of the child's role. So a second create of the same child fails
with 409. A new run with the name of a deleted run has other names of children.
"""

import hashlib
import re
from base64 import b32encode
from functools import lru_cache
from typing import Any

from scoring_operator.api.scoringrun import GROUP, KIND, VERSION, RunRef
from scoring_operator.api.views import JobView

MAX_READABLE_NAME_LENGTH = 57  # of a Job with a part of its device's id; a longer name is cut in the name of its pod
MIN_DEVICE_PART = 3  # characters of an id, below which its part in a name would say nothing
MANAGED_BY = {"app.kubernetes.io/managed-by": "fleetscore"}
RUN_LABEL = f"{GROUP}/run"
RUN_UID_LABEL = f"{GROUP}/run-uid"
ROUND_LABEL = f"{GROUP}/round"
DEVICE_LABEL = f"{GROUP}/device"
POSITIONS_ANNOTATION = f"{GROUP}/positions"
SUSPENDED_ANNOTATION = f"{GROUP}/suspended"  # of a Job that the operator suspended, not another controller
TEMPLATE_ANNOTATION = f"{GROUP}/template"  # a digest of the fleet's and the operator's settings of the pod
COMPONENT_LABEL = "app.kubernetes.io/component"
JOB_SELECTOR = f"app.kubernetes.io/managed-by=fleetscore,{COMPONENT_LABEL} in (scorer,report)"

_NUMBER = re.compile(r"[0-9]{1,9}")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def digest(*parts: str | int) -> str:
    """Return twelve lower-case base32 characters of a hash over the parts.

    Each part is prefixed with its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    text = "".join(f"{len(str(part))}:{part}" for part in parts)
    return b32encode(hashlib.sha256(text.encode()).digest())[:12].decode().lower()


@lru_cache(maxsize=8192)
def job_name(run: str, uid: str, first: int, last: int, round_: int, device: str = "") -> str:
    """Return the name of a scoring Job, of at most 63 characters (a pod's label carries it).

    Args:
        run: The name of the run.
        uid: The uid of the run.
        first: The first position of the batch.
        last: The last position of the batch.
        round_: The round of the batch.
        device: The id of the only device of the batch. A part of it is in the name if there is room.
    """
    found = digest(uid, first, last, round_)
    room = MAX_READABLE_NAME_LENGTH - len(run) - len(found) - 2
    part = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:room].strip("-") if room >= MIN_DEVICE_PART else ""
    return f"{run}-{part}-{found}" if part else f"{run}-{found}"


def has_job_name(job: JobView, run: RunRef) -> bool:
    """Return True if a Job has the name that the operator gives to a Job of the run with these positions.

    Other users may create thousands of Jobs, so only the first and the last position are read.

    Args:
        job: The Job.
        run: The run.
    """
    round_, positions = job.metadata.labels.round, job.metadata.annotations.positions
    numbers = (positions.partition(",")[0].partition("-")[0], positions.rpartition(",")[2].rpartition("-")[2], round_)
    if not job.name.startswith(f"{run.name}-") or not all(map(_NUMBER.fullmatch, numbers)):
        return False
    return is_job_name(job.name, run, *map(int, numbers))


def is_job_name(name: str, run: RunRef, first: int, last: int, round_: int) -> bool:
    """Return True if `job_name` gives this name to a batch, whatever the part of its device's id.

    Args:
        name: The name.
        run: The run.
        first: The first position of the batch.
        last: The last position of the batch.
        round_: The round of the batch.
    """
    return name.startswith(f"{run.name}-") and name.endswith(f"-{digest(run.uid, first, last, round_)}")


def report_job_name(run: RunRef) -> str:
    """Return the name of a run's report Job."""
    return f"{run.name}-{digest(run.uid, 'report')}"


def progress_config_map_name(run: RunRef) -> str:
    """Return the name of the ConfigMap that holds a run's progress."""
    return f"{run.name}-{digest(run.uid, 'progress')}"


def device_list_config_map_name(run: RunRef, settings: bytes, content: bytes) -> str:
    """Return the name of a ConfigMap that holds a part of the device list.

    The name depends on the content and on the fleet's settings. A ConfigMap of this name therefore proves that neither
    has changed.

    Args:
        run: The run.
        settings: The encoded storage layout of the fleet.
        content: The compressed part of the device list.
    """
    return f"{run.name}-{digest(run.uid, 'devices', hashlib.sha256(settings + content).hexdigest())}"


def device_label(device: str) -> str:
    """Return the label value of a device: its id if that is a valid label value, else `h.` and a hash of the id."""
    return device if _LABEL_VALUE.fullmatch(device) else f"h.{digest(device)}"


def owner_reference(run: RunRef) -> dict[str, Any]:
    """Return the owner reference by which the garbage collector deletes an object with its run."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": run.name,
        "uid": run.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def run_labels(run: RunRef) -> dict[str, str]:
    """Return the labels of every child of a run."""
    return {**MANAGED_BY, RUN_LABEL: run.name, RUN_UID_LABEL: run.uid}
