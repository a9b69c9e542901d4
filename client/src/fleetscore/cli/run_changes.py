"""Commands that create and change runs: `run`, `retry`, `suspend`, `resume` and `cancel`."""

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from fleetscore.cli.next_steps import run_again
from fleetscore.cli.output import Format, console, print_documents
from fleetscore.cli.runs import RunArgument, newest_run, print_run
from fleetscore.cli.session import DEFAULT_FLEET, RUNS, WINDOW_FORMS, Session, examples, with_session
from fleetscore.cluster.connection import GROUP, KIND, VERSION
from fleetscore.contract.windows import Window, format_time
from fleetscore.errors import UsageInvalid
from fleetscore.runs.state import OUTCOMES_TO_RETRY, devices_total, has_ended, to_retry


class WritePolicy(StrEnum):
    """The treatment of existing predictions."""

    CREATE_ONLY = "CreateOnly"
    IF_CHANGED = "IfChanged"
    OVERWRITE = "Overwrite"


class Outcome(StrEnum):
    """The outcomes that a retry can select."""

    FAILED = "Failed"
    PARTIAL = "Partial"
    NOT_RUN = "NotRun"
    EMPTY = "Empty"
    QUARANTINED = "Quarantined"


class DryRun(StrEnum):
    """The mode of a command that creates runs: it creates them, or prints them."""

    NONE = "none"
    CLIENT = "client"


DryRunOption = Annotated[
    DryRun,
    typer.Option(
        "--dry-run", metavar="none|client", help="`client` prints the manifest as YAML or JSON, and creates nothing."
    ),
]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")

app = typer.Typer()


@app.command(
    "run",
    rich_help_panel=RUNS,
    epilog=examples(
        "fleetscore run --window 2018-08-28T23:00Z",
        "fleetscore run --window 2018-08-28T23:00Z/15m -d 'hall3-*' --dry-run client",
    ),
)
@with_session
def create(  # noqa: PLR0913  each option is a field of the run
    session: Session,
    *,
    window: Annotated[str, typer.Option("--window", metavar="WINDOW", help=f"The window: {WINDOW_FORMS}.")],
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device", "-d", metavar="DEVICES",
            help="Id or glob of devices, such as 'hall3-*'; repeatable; by default all devices with a model.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Score only this tag; repeatable; by default all with a model."),
    ] = None,
    write_policy: Annotated[
        WritePolicy | None,
        typer.Option(
            "--write-policy",
            metavar="POLICY",
            help="CreateOnly keeps complete predictions, IfChanged replaces those whose readings or model changed, "
            "Overwrite replaces all; by default CreateOnly.",
        ),
    ] = None,
    devices_per_job: Annotated[
        str | None,
        typer.Option(
            "--devices-per-job", metavar="N|Auto",
            help="Devices that one Job scores: 1 to 500, or Auto, which is 1 up to 2,000 devices; by default 1.",
        ),
    ] = None,
    parallelism: Annotated[
        int | None,
        typer.Option(
            "--parallelism", metavar="N", help="Largest number of active Jobs: 1 to 10,000; by default 100."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME",
            help="Name of the run: lower-case letters, digits and hyphens, at most 50; by default manual-XXXXXX.",
        ),
    ] = None,
    dry_run: DryRunOption = DryRun.NONE,
) -> None:  # fmt: skip
    """Create a run that scores one window, or print its manifest."""
    if name is not None and not _NAME.fullmatch(name):
        text = f"name {name[:100]!r} is invalid: use lower-case letters, digits and hyphens, at most 50"
        raise UsageInvalid(f"{text}, with a letter or digit at both ends")
    parsed = Window.parse(window)
    spec: dict[str, Any] = {"fleet": session.fleet, "window": window_json(parsed)}
    if device:
        spec["devices"] = {"include" if any(set(one) & set("*?") for one in device) else "ids": device}
    fields = {
        "tags": tag,
        "writePolicy": write_policy and write_policy.value,
        "devicesPerJob": devices_per_job and _devices_per_job(devices_per_job),
        "parallelism": parallelism,
    }
    spec |= {key: value for key, value in fields.items() if value is not None}
    remark = f"it waits for the end of its window, {format_time(parsed.end)}; " * (parsed.end > datetime.now(UTC))
    _create(session, name or generated_name("manual"), spec, dry_run, remark)


@app.command(
    rich_help_panel=RUNS,
    epilog=examples("fleetscore retry hourly-20180828t230000z", "fleetscore retry --outcome Empty"),
)
@with_session
def retry(
    session: Session,
    run: RunArgument = None,
    *,
    outcome: Annotated[
        list[Outcome] | None,
        typer.Option(
            "--outcome",
            metavar="OUTCOME",
            help="Failed, Partial, NotRun, Empty or Quarantined; repeatable; by default the first three.",
        ),
    ] = None,
    dry_run: DryRunOption = DryRun.NONE,
) -> None:
    """Create a run that scores again the devices of an ended run that failed, were partial or were not run.

    Without such a device, nothing is created, and the exit code is 1.
    """
    cluster = session.open_cluster()
    source = cluster.run(run or newest_run(cluster, session.fleet))
    name = source["metadata"]["name"]
    if not has_ended(source):
        raise UsageInvalid(f"run {name} has not ended; `fleetscore wait {name}` waits for its end")
    if not to_retry(source, [_key(one) for one in outcome or ()] or OUTCOMES_TO_RETRY):
        text = _nothing_to_retry(source, outcome or ())
        if dry_run is not DryRun.CLIENT:
            raise UsageInvalid(text)
        console(error=True).print(text)
    spec = {
        "fleet": source["spec"].get("fleet", DEFAULT_FLEET),
        "window": source["spec"]["window"],
        "devices": {"retryOf": {"name": name} | ({"outcomes": [one.value for one in outcome]} if outcome else {})},
    }
    _create(session, generated_name(f"{name[:37].rstrip('-')}-retry"), spec, dry_run)


@app.command(rich_help_panel=RUNS, epilog=examples("fleetscore suspend hourly-20180828t230000z"))
@with_session
def suspend(session: Session, run: RunArgument = None) -> None:
    """Pause a run: no Jobs are created, and running pods are stopped. `resume` continues it."""
    _patch(session, run, {"suspend": True}, "suspended")


@app.command(rich_help_panel=RUNS, epilog=examples("fleetscore resume hourly-20180828t230000z"))
@with_session
def resume(session: Session, run: RunArgument = None) -> None:
    """Continue a suspended run."""
    _patch(session, run, {"suspend": False}, "resumed")


@app.command(rich_help_panel=RUNS, epilog=examples("fleetscore cancel hourly-20180828t230000z"))
@with_session
def cancel(session: Session, run: RunArgument = None) -> None:
    """End a run now. Recorded outcomes and predictions are kept, and the run cannot continue."""
    _patch(session, run, {"cancel": True}, "cancelled")


def _devices_per_job(text: str) -> int | str:
    """Return the number in a text, or another text as it is: the API server has the valid ones."""
    try:
        return int(text) if text.isdecimal() else text
    except ValueError as error:  # int() converts at most 4,300 digits
        text = f"--devices-per-job {text[:100]} is invalid: it is a number of {len(text):,} digits"
        raise UsageInvalid(f"{text}; use 1 to 500, or Auto") from error


def _key(outcome: Outcome) -> str:
    """Return the name of an outcome in the status of a run."""
    return outcome.value[0].lower() + outcome.value[1:]


def _nothing_to_retry(run: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Return the reason for which a retry of a run has no devices, and the commands that score its window again.

    Args:
        run: The run, which has ended.
        outcomes: The outcomes that the user named; none for the default.
    """
    name, spec = run["metadata"]["name"], run["spec"]
    states = {"scored": "is scored", "alreadyScored": "is scored", "empty": "has no readings"}
    states |= {"quarantined": "is in quarantine"}
    found = list(dict.fromkeys(text for key, text in states.items() if to_retry(run, [key])))
    if not devices_total(run):
        reason = "its devices were never listed"
    elif outcomes:
        reason = f"none is {' or '.join(map(_key, outcomes))}"
    else:
        reason = f"each {' or '.join(found)}"
    steps = [
        f"`fleetscore retry {name} --outcome {one.value}` retries its {count:,} {_key(one)} device{'s' * (count != 1)}"
        for one in Outcome
        if (count := to_retry(run, [_key(one)]))
    ]
    fleet = spec.get("fleet", DEFAULT_FLEET)
    options = f" --fleet {shlex.quote(fleet)}" if fleet != DEFAULT_FLEET else ""
    window = Window.parse(f"{spec['window']['start']}/{spec['window']['end']}")
    if devices_total(run):
        command = run_again(window, WritePolicy.IF_CHANGED.value, options)
        steps.append(f"{command} scores the devices whose readings or model changed")
    else:
        steps.append(f"{run_again(window, options=options)} scores the window")
    return f"run {name} has no devices to retry: {reason}; {', '.join(steps)}"


def window_json(window: Window) -> dict[str, str]:
    """Return a window as `spec.window` has it."""
    return {"start": format_time(window.start), "end": format_time(window.end)}


def generated_name(prefix: str) -> str:
    """Return a name that no other run has."""
    return f"{prefix}-{secrets.token_hex(3)}"


def _create(session: Session, name: str, spec: Mapping[str, Any], dry_run: DryRun, remark: str = "") -> None:
    manifest: dict[str, Any] = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": spec,
    }
    if dry_run is DryRun.CLIENT:
        print_documents(manifest, session.output if session.output is Format.JSON else Format.YAML)
        return
    created = session.open_cluster().create_run(manifest)
    print_run(session, created, f"run {name} created; {remark}`fleetscore status {name} --watch` follows it")


def _patch(session: Session, run: str | None, spec: Mapping[str, Any], result: str) -> None:
    cluster = session.open_cluster()
    name = run or newest_run(cluster, session.fleet)
    if has_ended(cluster.run(name)):
        raise UsageInvalid(f"run {name} has ended already; `fleetscore status` lists the runs")
    print_run(session, cluster.patch_run(name, spec), f"run {name} {result}")
