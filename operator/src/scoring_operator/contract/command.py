"""The scorer's command line, environment variables, files and exit codes.

The scorer implements its side in device_scorer.cli, device_scorer.settings and device_scorer.errors; tests/contract
compares the two.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import format_time
from scoring_operator.api.scoringrun import ScoringRun

EXIT_CONFIGURATION = 64  # the settings are invalid, so that each retry would fail (EX_USAGE of sysexits.h)
EXIT_PERMANENT = 65  # not one device was scored, and a retry would not help (EX_DATAERR)
EXIT_TRANSIENT = 75  # storage or identity was unavailable, so that a retry may help (EX_TEMPFAIL)

CONTAINER_NAME = "scorer"
RUN_FOLDER = "/run/scoring"  # the report Job's mount of the run's ConfigMaps
PROGRESS_FILE = "progress"
MAX_FAILURE_LENGTH = 500  # of the argument with the failure of the run
REPORT_DEADLINE_SECONDS = 3600  # of the report Job, from its creation

CONNECTION_STRING_VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
SAS_TOKEN_VARIABLE = "AZURE_STORAGE_SAS_TOKEN"  # noqa: S105  # the name of a variable


def device_list_file(part: int) -> str:
    """Return the name of the file in `RUN_FOLDER` that holds a part of the device list."""
    return f"devices-{part}"


def score_arguments(
    run: ScoringRun, job: str, devices: Sequence[str], extra_arguments: Sequence[str] = ()
) -> list[str]:
    """Return the arguments of a scoring Job.

    Args:
        run: The run.
        job: The name of the Job.
        devices: The ids of the batch's devices; argument index i is `devices[i]`.
        extra_arguments: The fleet's own arguments.
    """
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
    """Return the arguments of a report Job.

    The report of a run over some devices has to cover the other devices with a model, too: they belong to the window.

    Args:
        run: The run.
        part_count: The number of parts of the device list.
    """
    window, source = run.spec.window, run.spec.devices
    failed = true_condition(run.status, "Failed")
    return [
        "report",
        "--window-start", format_time(window.start),
        "--window-end", format_time(window.end),
        *(f"--devices={RUN_FOLDER}/{device_list_file(part)}" for part in range(part_count)),
        f"--progress={RUN_FOLDER}/{PROGRESS_FILE}",
        f"--run-uid={run.uid}",
        *([f"--run-failed={failed.reason}: {failed.message}"[:MAX_FAILURE_LENGTH]] if failed else []),
        *(["--include-modelled"] if source.ids or source.include or source.retry_of else []),
    ]  # fmt: skip


def escape_argument(argument: str) -> str:
    """Return an argument as a manifest needs it for the kubelet to pass it unchanged.

    The kubelet replaces $(NAME) by the value of a variable and $$ by $ (field `args` of a container). Without this, a
    device with the id $(AZURE_STORAGE_CONNECTION_STRING) would be replaced by the secret.
    """
    return argument.replace("$", "$$")


def scorer_environment(fleet: Fleet) -> list[dict[str, Any]]:
    """Return the scorer's settings as the `env` of a container; a secret is a reference, never a value."""
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
        "FLEETSCORE_QUALITY": json.dumps(fleet.quality, sort_keys=True) if fleet.quality else "",
    }
    variables: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in plain.items() if value]
    if secret:
        variables.append({"name": "FLEETSCORE_STORAGE_SECRET", "value": f"{secret.name}/{secret.key}"})
        name = CONNECTION_STRING_VARIABLE if secret.kind == "connectionString" else SAS_TOKEN_VARIABLE
        reference = {"secretKeyRef": {"name": secret.name, "key": secret.key}}
        variables.append({"name": name, "valueFrom": reference})
    return variables


def report_environment(fleet: Fleet) -> list[dict[str, Any]]:
    """Return the settings that only a report Job gets: the rules of incidents, the owners, and the receivers."""
    rules = {"fleet": fleet.name, **(fleet.incidents or {}), "owners": list(fleet.owners or ())}
    variables: list[dict[str, Any]] = [{"name": "FLEETSCORE_INCIDENTS", "value": json.dumps(rules, sort_keys=True)}]
    receivers = []
    for number, receiver in enumerate(fleet.notify or (), 1):
        entry = msgspec.to_builtins(receiver)
        for field in ("urlFrom", "keyFrom"):
            if secret := entry.get(field):
                name = f"FLEETSCORE_NOTIFY_{field[:3].upper()}_{number}"
                # Optional, so that the report is written although a Secret is missing; it then names the receiver.
                reference = {"secretKeyRef": {**secret, "optional": True}}
                variables.append({"name": name, "valueFrom": reference})
                entry[field] = name
        receivers.append(entry)
    if receivers:
        variables.append({"name": "FLEETSCORE_NOTIFY", "value": json.dumps(receivers, sort_keys=True)})
    return variables
