"""The fields of a run's status that its report fills: address, faulty sensors, incidents, and what is not scored."""

from typing import Any

from scoring_operator.planner.types import ReportCondition


def report_fields(condition: ReportCondition | None) -> dict[str, Any]:
    """Return the fields; an empty mapping as long as there is no report.

    Args:
        condition: The condition Reported of this pass; None if it does not change.
    """
    written = condition.written if condition else None
    if written is None:
        return {}
    report: dict[str, Any] = {"path": written.path}
    if written.url:
        report["url"] = written.url
    message = written.message
    if message is None:
        return {"report": report}
    found = message.incidents
    report |= {
        "complete": message.complete,
        "unreadable": message.unreadable,
        "unmodelledDevices": message.unmodelled_devices,
        "unscoredRows": message.unscored_rows,
        "vanishedModels": message.vanished_models,
        "outdatedDevices": message.outdated_devices,
        "unknownDevices": message.unknown_devices,
        "unknownNames": message.unknown_names,
        "problems": message.problems,
        "notifyProblems": message.notify_problems,
    }
    incidents = {
        "open": found.open,
        "opened": found.opened,
        "openedUnmuted": found.opened_unmuted,
        "closed": found.closed,
        "muted": found.muted,
        "causes": found.causes,
    }
    return {"report": report, "sensors": message.sensors, "incidents": incidents}
