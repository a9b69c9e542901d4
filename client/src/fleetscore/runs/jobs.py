"""The Job and the pod that scored a device, and the device's lines in the pod's log."""

import hashlib
import json
import re
from base64 import b32encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

CONTAINER_NAME = "scorer"
DEVICE_LABEL = "fleetscore.dev/device"
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
ROUND_LABEL = "fleetscore.dev/round"
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def device_label(device: str) -> str:
    """Return the label value of a device: its id if that is a valid label value, else `h.` and a hash of the id."""
    if _LABEL_VALUE.fullmatch(device):
        return device
    found = b32encode(hashlib.sha256(f"{len(device)}:{device}".encode()).digest())
    return f"h.{found[:12].decode().lower()}"


def devices_of(job: Mapping[str, Any]) -> Sequence[str]:
    """Return the devices of a scoring Job, which its container has as arguments."""
    containers = job["spec"]["template"]["spec"]["containers"]
    words = next((one.get("args") or [] for one in containers if one["name"] == CONTAINER_NAME), [])
    devices = words[words.index("--") + 1 :] if "--" in words else []
    return [word.replace("$$", "$") for word in devices]  # the kubelet replaces $$ by $


def job_of(jobs: Iterable[Mapping[str, Any]], device: str) -> Mapping[str, Any] | None:
    """Return the last Job that scored a device: that of the highest round; None if there is none."""
    found = [job for job in jobs if device in devices_of(job)]
    return max(found, key=_round_and_time, default=None)


def newest_pod(pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the pod that was created last; None if there is none."""
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def lines_of(log: str, device: str) -> Iterator[str]:
    """Yield the lines of a scorer's log that are about a device, or about no single device.

    Args:
        log: The log, with a JSON object per line.
        device: The device.
    """
    for line in log.splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        other = found.get("device") if isinstance(found, dict) else None
        if other in (None, device):
            yield line


def _round_and_time(job: Mapping[str, Any]) -> tuple[int, str]:
    round_ = (job["metadata"].get("labels") or {}).get(ROUND_LABEL, "")
    return int(round_) if round_.isdecimal() else 0, str(job["metadata"]["creationTimestamp"])
