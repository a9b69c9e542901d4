"""The condition Reported of a report that was written: its address, what storage holds that is not scored, problems."""

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import plural
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.blob_paths import report_name
from scoring_operator.contract.report_message import ReportMessage
from scoring_operator.planner.types import ReportCondition, WrittenReport

NO_MESSAGE = "its figures are unknown, because its pod left no valid result"


def written_report(run: ScoringRun, fleet: Fleet | None, message: ReportMessage | None) -> ReportCondition:
    """Return the condition Reported of a report Job that has completed.

    Args:
        run: The run.
        fleet: The fleet of the run; None if it has changed.
        message: The result of the report; None if its pod left no consistent one.
    """
    path = report_name(run.spec.window)
    where, url = "with the predictions", ""
    if fleet:
        account, container = fleet.storage.account_url, fleet.storage.predictions
        where = f"in container {container} of " + (account or "the fleet's storage account")
        url = f"{account.rstrip('/')}/{container}/{path}" if account else ""
    found = [NO_MESSAGE] if message is None else [_not_scored(message), _problems(run, message)]
    text = "; ".join(filter(None, (f"{path} is {where}", *found)))
    return ReportCondition(True, "ReportWritten", text, WrittenReport(path, url, message))


def _not_scored(message: ReportMessage) -> str:
    """Return what storage holds that has no predictions of now; an empty text if there is nothing."""
    counts = (
        (message.unmodelled_devices, "device", " with readings and without a model"),
        (message.vanished_models, "device", " whose model was deleted"),
        (message.outdated_devices, "device", " with changes after the scoring (score with IfChanged)"),
        (message.unscored_rows, "reading", " of tags without a model"),
        (message.unreadable, "device", " with unreadable predictions"),
        (message.unknown_devices, "id", " without model and readings"),
        (message.unknown_names, "blob", " with a name that denotes no device"),
    )
    listed = ", ".join(plural(count, noun) + text for count, noun, text in counts if count)
    return f"not scored: {listed}" if listed else ""


def _problems(run: ScoringRun, message: ReportMessage) -> str:
    """Return the number of problems and where they are named; an empty text if there are none."""
    if not message.problems:
        return ""
    of_notices = f", {message.notify_problems} of them with receivers of notices" if message.notify_problems else ""
    return f"{plural(message.problems, 'problem')}{of_notices}: read the log of Job {report_job_name(run)}"
