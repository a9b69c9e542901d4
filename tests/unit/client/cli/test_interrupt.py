"""Ctrl-C: the exit code is 130, and no temporary file and no traceback are left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetscore import Window
from fleetscore.cli import EXIT_INTERRUPTED, main
from tests.testkit import terminal
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig
from tests.testkit.waiting import until

MAIN = "import sys; from fleetscore.cli import main; sys.exit(main())"
WHILE_IMPORTED = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "fleetscore.cli.compact":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""
PROGRAM_OF_THE_TEST = """
from pathlib import Path
from fleetscore import scorer_program
scorer_program.find_program = lambda: Path("program").resolve()
"""
SLOW_WRITERS = """
import time
from fleetscore import compaction
for writer in (compaction._CsvWriter, compaction._ParquetWriter):
    def add(self, blob, add=writer.add):
        time.sleep(0.02)
        add(self, blob)
    writer.add = add
"""
WINDOW = {"start": "2018-08-28T00:00:00Z", "end": "2018-08-28T01:00:00Z"}
RUN: dict[str, Any] = {
    "metadata": {"name": "hourly", "creationTimestamp": "2018-08-28T01:00:00Z"},
    "spec": {"fleet": "default", "window": WINDOW},
    "status": {"phase": "Running"},
}
RANGE = ("--from", "2018-08-29T00:00Z", "--to", "2018-08-29T01:00Z")


def interrupted(
    words: tuple[str, ...], is_busy: Callable[[], bool], *, before: str = "", **settings: Any
) -> tuple[int, str, str]:
    """Start a command, send SIGINT when it is busy, and return its exit code, output and errors."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + MAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )
    until(lambda: is_busy() or process.poll() is not None, "the command is busy")
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def test_interrupt_during_an_import_ends_without_a_text() -> None:
    words = [sys.executable, "-c", WHILE_IMPORTED + MAIN, "mutes"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (EXIT_INTERRUPTED, "", "")


class _Server(RequestHandler):
    """An API server with one run, which does not end."""

    requests: list[str]

    def handle_request(self) -> None:
        self.read_body()
        found = RUN if self.command == "POST" or "/scoringruns/" in self.path else {"items": [RUN], "metadata": {}}
        self.respond_json(200, found)
        self.requests.append(f"{self.command} {self.path}")


@pytest.mark.parametrize(
    "words",
    [("wait", "hourly"), ("status", "hourly", "--watch"), ("backfill", *RANGE)],
    ids=["wait", "watch", "backfill"],
)
def test_interrupt_of_a_waiting_command_has_its_exit_code(words: tuple[str, ...], tmp_path: Path) -> None:
    requests: list[str] = []
    with serve(_Server, requests=requests) as url:
        kubeconfig = write_kubeconfig(tmp_path, url)
        code, _, error = interrupted(
            words, lambda: any("/scoringruns/" in one or one.startswith("POST") for one in requests),
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        )  # fmt: skip
    progress = "hourly: Running\n" if words[0] == "wait" else ""
    assert (code, error.replace(progress, "")) == (EXIT_INTERRUPTED, "")


def test_interrupt_of_the_live_view_leaves_no_trace_on_the_terminal(tmp_path: Path) -> None:
    with serve(_Server, requests=[]) as url:
        kubeconfig = str(write_kubeconfig(tmp_path, url))
        code, text = terminal.interrupted(("status", "hourly", "--watch"), "Running", KUBECONFIG=kubeconfig)
    hidden, shown, erased = text.rindex("\x1b[?25l"), text.rindex("\x1b[?25h"), text.rindex("\x1b[2K")
    assert code == EXIT_INTERRUPTED
    assert hidden < shown < erased  # the cursor is visible again, and the lines of the view are erased
    assert "".join(terminal.lines_of(text[erased:])) == ""


def test_interrupt_of_replay_leaves_no_copies_and_no_program(scored_folder: Path, tmp_path: Path) -> None:
    temporary, started = tmp_path / "temporary", tmp_path / "started"
    temporary.mkdir()
    (tmp_path / "program").write_text(
        f"#!/bin/sh\necho $$ > {started}.new; mv {started}.new {started}; exec sleep 600\n"
    )
    (tmp_path / "program").chmod(0o700)
    words = ("replay", "press-2", "--store", str(scored_folder))
    settings = {"env": {**os.environ, "TMPDIR": str(temporary)}, "cwd": tmp_path}
    code, out, error = interrupted(words, started.exists, before=PROGRAM_OF_THE_TEST, **settings)
    assert (code, out, error, list(temporary.iterdir())) == (EXIT_INTERRUPTED, "", "", [])
    program = Path("/proc", started.read_text().strip())
    until(lambda: not program.exists(), "the program has ended", seconds=60)  # it has ten minutes left


def test_interrupt_outside_of_a_command_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fleetscore.cli.commands.app", interrupt)
    assert main(["mutes"]) == EXIT_INTERRUPTED


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_interrupt_of_compact_leaves_no_partial_file(format_: str, tmp_path: Path) -> None:
    folder = tmp_path / "predictions" / Window.parse("2018-08-01T00:00Z").slug
    folder.mkdir(parents=True)
    (folder / "_summary.json").write_text("{}")
    lines = "".join(f"2018-08-01T00:{n // 60 % 60:02}:{n % 60:02}Z,press-1,1,{n}.5,0,0.0123\n" for n in range(2_000))
    (folder / "press-0.csv").write_text(f"TS,Device,Tag,Val,Prediction,Score\n{lines}")
    for device in range(1, 3000):
        (folder / f"press-{device}.csv").hardlink_to(folder / "press-0.csv")
    target = tmp_path / "out"
    words = ("compact", "--store", str(tmp_path), "--start", "2018-08-01T00:00Z", "--end", "2018-08-02T00:00Z")
    code, out, error = interrupted(
        (*words, "--to", str(target), "--format", format_),
        lambda: any(one.stat().st_size for one in target.glob(".unfinished-*")),
        before=SLOW_WRITERS,  # a minute in all: the command must not end before the interrupt
    )
    assert (code, out, error, list(target.iterdir())) == (EXIT_INTERRUPTED, "", "", [])
