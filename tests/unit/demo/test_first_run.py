import os
import subprocess
import sys
from pathlib import Path

import pytest
from demo.first_run import first_run_note, format_note
from demo.workspace import CHECKOUT

from localcluster import provision


def test_note_says_what_why_how_long_and_what_runs_meanwhile() -> None:
    note = format_note({"kubernetes": ["kube-apiserver", "kubelet"], "etcd": ["etcd"]}, 440)
    what, why, how_long, meanwhile = (line.split(maxsplit=1) for line in note.splitlines()[1:])
    assert what == ["what", "Kubernetes 1.34.4 from pinned sources: kube-apiserver, kubelet, etcd"]
    assert why[0] == "why"
    assert "about 8 min on two idle cores, half an hour on a slow machine" in how_long[1]
    assert "make demo-local, in another terminal" in meanwhile[1]


def test_note_of_a_machine_with_every_program_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "missing_programs", lambda _nodes: {})
    assert first_run_note() is None


def test_time_in_the_note_is_of_the_missing_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(provision, "missing_programs", lambda _nodes: {"etcd": ["etcd"]})
    assert "about 1 min on two idle cores" in (first_run_note() or "")


@pytest.mark.slow
def test_first_demo_begins_with_the_note(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo", "run", "--data", "/none.csv"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment)
    assert answer.stderr.startswith("The demo builds programs first")
    assert answer.stderr.index("make demo-local") < answer.stderr.index("DATA is /none.csv")
