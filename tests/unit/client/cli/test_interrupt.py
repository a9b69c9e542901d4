"""Ctrl-C: the exit code is 130, and no partial file and no traceback are left."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetscore import Window
from fleetscore.cli import EXIT_INTERRUPTED, main
from tests.testkit.waiting import until

MAIN = "import sys; from fleetscore.cli import main; sys.exit(main())"


def interrupted(words: tuple[str, ...], is_busy: Callable[[], bool]) -> tuple[int, str, str]:
    """Start a command, send SIGINT when it is busy, and return its exit code, output and errors."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: is_busy() or process.poll() is not None, "the command is busy")
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def test_interrupt_outside_of_a_command_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fleetscore.cli.app", interrupt)
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
    )
    assert code == EXIT_INTERRUPTED, error
    assert (out, list(target.iterdir())) == ("", [])
    assert "Traceback" not in error
