"""The scorer's command line, environment and exit codes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import format_time
from scoring_operator.api.scoringrun import ScoringRun

EXIT_CONFIGURATION, EXIT_TRANSIENT = 64, 75
REPORT_DEADLINE_SECONDS = 3600  # for the report's Job, from its creation
RUN_FOLDER = "/run/scoring"  # where it finds the run's device list and progress
EXIT_PERMANENT = 65  # no device could be scored and trying again would not help


def score_arguments(
    run: ScoringRun, job: str, devices: Sequence[str], extra_arguments: Sequence[str] = ()
) -> list[str]:
    """The scorer's arguments, with the fleet's extra ones: the same line in `kubectl describe` and on a laptop."""
    spec = run.spec
    return [
        "score",
        "--window-start", format_time(spec.window.start),
        "--window-end", format_time(spec.window.end),
        *(f"--tag={tag}" for tag in spec.tags),
        "--write-policy", spec.write_policy,
        "--run-uid", run.uid,
        "--job-name", job,
        "--device-deadline-seconds", str(spec.device_deadline_seconds),
        *extra_arguments,
        "--",
        *devices,
    ]  # fmt: skip


def report_arguments(run: ScoringRun, part_count: int) -> list[str]:
    """The arguments of the report's Job, whose device list has so many parts.

    A run that was asked for some devices only says nothing of the others, which belong to the window all the same.
    """
    window, source = run.spec.window, run.spec.devices
    return [
        "report",
        "--window-start", format_time(window.start),
        "--window-end", format_time(window.end),
        *(f"--devices={RUN_FOLDER}/devices-{part}" for part in range(part_count)),
        f"--progress={RUN_FOLDER}/progress",
        f"--run-uid={run.uid}",
        *(["--include-modelled"] if source.ids or source.include or source.retry_of else []),
    ]  # fmt: skip


def escape_argument(argument: str) -> str:
    """An argument as a manifest has to have it, so that the kubelet passes it on as it is.

    The kubelet puts the value of a variable in the place of $(NAME) and makes $$ a $. A device may be called
    $(AZURE_STORAGE_CONNECTION_STRING): it must not be given the secret for a name.
    """
    return argument.replace("$", "$$")


def scorer_environment(fleet: Fleet) -> list[dict[str, Any]]:
    """The scorer's settings as environment variables; a secret only by reference."""
    storage = fleet.storage
    secret = storage.existing_secret if storage.auth == "existingSecret" else None
    plain: Mapping[str, str] = {
        "FLEETSCORE_ACCOUNT_URL": storage.account_url,
        "FLEETSCORE_AUTH": secret.kind if secret else "workloadIdentity",
        "FLEETSCORE_MODELS_CONTAINER": storage.models,
        "FLEETSCORE_DATA_CONTAINER": storage.data,
        "FLEETSCORE_PREDICTIONS_CONTAINER": storage.predictions,
        "FLEETSCORE_DATA_PATH": fleet.data.path,
        "FLEETSCORE_DATA_PARTITION": fleet.data.partition,
        "FLEETSCORE_MODELS_PATH": fleet.models.path,
        "FLEETSCORE_MODELS_TRUST": fleet.models.trust,
        "FLEETSCORE_PREDICTIONS_PATH": fleet.predictions.path,
        "FLEETSCORE_ALLOW_OVERWRITE": str(fleet.predictions.allow_overwrite).lower(),
        "FLEETSCORE_ANOMALOUS_SHARE": fleet.anomalous_when.share,
        "FLEETSCORE_ANOMALOUS_MIN_ROWS": str(fleet.anomalous_when.min_rows),
    }
    variables: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in plain.items() if value]
    if secret:
        name = "AZURE_STORAGE_CONNECTION_STRING" if secret.kind == "connectionString" else "AZURE_STORAGE_SAS_TOKEN"
        reference = {"secretKeyRef": {"name": secret.name, "key": secret.key}}
        variables.append({"name": name, "valueFrom": reference})
    return variables
