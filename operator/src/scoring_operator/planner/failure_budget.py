"""The failure budgets of a run: the devices that may fail or be empty before the run fails."""

from scoring_operator.api.formatting import plural
from scoring_operator.api.scoringrun import ScoringRun, resolve_limit
from scoring_operator.planner import canary
from scoring_operator.planner.progress import Progress


def exceeded_budget(run: ScoringRun, progress: Progress) -> tuple[str, str] | None:
    """Return the reason and the message of a run in which too many devices have failed or are empty.

    Args:
        run: The run.
        progress: The progress of the run, whose canary has ended.
    """
    total, failed, empty = progress.total, progress.count("failed"), progress.count("empty")
    max_failed = resolve_limit(run.spec.max_failed_devices, total)
    max_empty = resolve_limit(run.spec.max_empty_devices, total)
    devices = plural(total, "device")
    if message := canary.failure(run, progress):
        return "CanaryFailed", message
    if failed > max_failed:
        return "MaxFailedDevicesExceeded", f"{failed} of {devices} failed; maxFailedDevices allows {max_failed}"
    if empty > max_empty:
        return "NoData", f"{empty} of {devices} had no readings in the window; maxEmptyDevices allows {max_empty}"
    return None
