"""The command `replay`: a device scored again here, and compared with its stored predictions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fleetscore.cli.next_steps import score_again
from fleetscore.cli.output import Column, Format, Table, columns, console, keyed, print_documents, printable
from fleetscore.cli.session import RESULTS, DeviceArgument, Session, WindowOption, examples, with_session
from fleetscore.replay import Replay

EXIT_DIFFERENT = 2
MAX_SHOWN = 100

app = typer.Typer()


@app.command(
    "replay",
    rich_help_panel=RESULTS,
    epilog=examples(
        "fleetscore replay press-7 --window 2018-08-28T23:00Z", "fleetscore replay press-7 --model ./trial.joblib"
    ),
)
@with_session
def replay_device(
    session: Session,
    device: DeviceArgument,
    *,
    window: WindowOption = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="FILE",
            help="A bundle to try; storage is not changed. By default the model in storage is used.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Score a device again on this machine, compare the bytes with storage, and show why readings are anomalies.

    With --model, the anomalies of another model are compared with the stored ones, by tag.

    Exit codes: 0 storage has the same bytes, or --model was tried; 2 it has others or none.
    """
    fleet = session.open_fleet()
    found = fleet.replay(device, window or fleet.newest_window(), model=model)
    frame = found.anomalies
    rows = [_row(one) for one in frame.astype(object).where(frame.notna(), None).to_dict("records")]
    if session.output in (Format.JSON, Format.YAML):
        print_documents(_document(found, rows), session.output)
    elif session.output is Format.NAME:
        print(device)
    else:
        console().print("\n".join(summary(found, session.store)))
        if len(found.counts):
            console().print()
            counts = found.counts.to_dict("records")
            session.print(Table(list(columns("Tag", "Rows#", "Stored#", "Here#", "Both#")), counts, "Tag", ""))  # type: ignore[arg-type]
        if rows:
            shown = [
                *(Column(key.upper(), keyed(key)) for key in ("TS", "Tag")),
                *(Column(key.upper(), _number(key), right=True) for key in ("Val", "Score", "Lowest", "Highest")),
            ]
            console().print()
            session.print(Table(shown, rows[:MAX_SHOWN], "TS", ""))
        if len(rows) > MAX_SHOWN:
            console().print(f"{len(rows) - MAX_SHOWN:,} more anomalies; -o json lists all")
    if not found.same and not found.trial:
        raise typer.Exit(EXIT_DIFFERENT)


def summary(found: Replay, store: Path | None = None) -> list[str]:
    """Return the lines about the result of a repetition.

    Args:
        found: The result.
        store: The folder of the fleet; None for a cluster's.
    """
    head = f"{printable(found.device)}  {found.window.column}  "
    if found.trial:
        lines = [f"{head}TRIAL of another model: storage is not changed"]
    elif found.same:
        lines = [f"{head}SAME: the {found.size:,} stored bytes"]
    elif not found.stored:
        lines = [f"{head}scored here only"]
    else:
        lines = [f"{head}DIFFERENT: other bytes are stored"]
        if not found.differences:
            lines.append("  model and readings are those of the stored predictions; the fleet may use other settings")
    lines += [f"  {printable(one, max_chars=300)}" for one in found.differences]
    if any("IfChanged" in one for one in found.differences):
        lines.append(f"  {score_again(store, found.window, found.device, 'IfChanged')}")
    return [*lines, f"  {printable(found.message, max_chars=300)}"]


def _number(key: str) -> Any:
    return lambda row: "none" if row[key] is None else f"{row[key]:.6g}"


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    """Return an anomaly as a JSON object."""
    return {**row, "TS": row["TS"].isoformat().replace("+00:00", "Z")}


def _document(found: Replay, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "device": found.device,
        "window": found.window.column,
        "stored": found.stored,
        "same": found.same,
        "bytes": found.size,
        "trial": found.trial,
        "differences": list(found.differences),
        "message": found.message,
        "anomalies": rows,
        "counts": found.counts.to_dict("records"),
    }
