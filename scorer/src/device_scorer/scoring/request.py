"""The request of one scoring process: devices, window and rules.

The command line that describes a request belongs to cli.score.
"""

from pathlib import Path
from typing import NamedTuple

from device_scorer.contract.blob_paths import outcome_name
from device_scorer.errors import UsageInvalid
from device_scorer.window import Window

WRITE_POLICIES = ("CreateOnly", "IfChanged", "Overwrite")
ENGINES = ("auto", "sklearn")
MAX_TAG_CHARS = 256
MAX_DEADLINE_SECONDS = 7 * 86_400.0
DEFAULT_DEADLINE_SECONDS = 300.0


class ScoreRequest(NamedTuple):
    """A request to score devices.

    Attributes:
        devices: The device ids, each once. An invalid id fails alone; it does not make the request invalid.
        window: The window to score.
        tags: The tags to score; None for all tags that have a model.
        write_policy: One of WRITE_POLICIES.
        run_uid: The uid of the ScoringRun; empty outside a run.
        job_name: The name of the Job; empty outside a run.
        device_deadline_seconds: The time for one device.
        engine: One of ENGINES.
        termination_log: The file for the termination message; None for the default file.
    """

    devices: tuple[str, ...]
    window: Window
    tags: frozenset[str] | None = None
    write_policy: str = "CreateOnly"
    run_uid: str = ""
    job_name: str = ""
    device_deadline_seconds: float = DEFAULT_DEADLINE_SECONDS
    engine: str = "auto"
    termination_log: Path | None = None

    def validate(self) -> None:
        """Reject a request that cannot be executed. Raises UsageInvalid."""
        if len(set(self.devices)) != len(self.devices):
            twice = next(name for index, name in enumerate(self.devices) if name in self.devices[:index])
            raise UsageInvalid(f"device {twice!r} is given twice; name each device once")
        for tag in self.tags or ():
            if not 0 < len(tag) <= MAX_TAG_CHARS or not tag.isprintable():
                raise UsageInvalid(
                    f"--tag {tag[:40]!r} is invalid: a tag has 1 to {MAX_TAG_CHARS} printable characters"
                )
        if not 0 < self.device_deadline_seconds <= MAX_DEADLINE_SECONDS:
            raise UsageInvalid("--device-deadline-seconds is invalid: it must be more than 0 and at most a week")
        if bool(self.run_uid) != bool(self.job_name):
            raise UsageInvalid("--run-uid and --job-name belong together; give both or neither")
        if self.run_uid:
            outcome_name(self.run_uid, self.job_name)

    @property
    def record_name(self) -> str | None:
        """The blob name of the Job's outcome record; None outside a run."""
        return outcome_name(self.run_uid, self.job_name) if self.run_uid else None
