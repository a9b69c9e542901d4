import io
import threading
from concurrent.futures import Future, wait
from functools import partial

import pytest

from localcluster.errors import PreflightError
from localcluster.machine import preflight, registry_checks
from localcluster.machine.requirements import MissingRequirement
from localcluster.nodes.layout import NodeLayout
from localcluster.progress import StepProgress
from tests.testkit.waiting import until

_NO_NODES = NodeLayout.parse("none")


def test_limit_of_all_checks_is_longer_than_of_one() -> None:
    assert preflight._TIMEOUT_SECONDS == 20
    assert preflight._PROGRESS_DELAY_SECONDS == 2


@pytest.mark.parametrize("limit", [0.1, 0.25])
def test_check_without_result_is_a_finding_that_names_the_limit(limit: float) -> None:
    release = threading.Event()

    def wait_for_release() -> None:
        release.wait(300)

    found = preflight.run_checks([wait_for_release], timeout_seconds=limit)
    release.set()
    assert [(finding.requirement, finding.found) for finding in found] == [
        ("an answer in time", f"a check took longer than {limit} s")
    ]


def test_default_limit_is_named_without_decimals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "wait", lambda running, **_options: (set(), set(running)))
    [finding] = preflight.run_checks([lambda: None])
    assert finding.found == "a check took longer than 20 s"


@pytest.mark.parametrize(("missing", "asked"), [({}, False), ({"etcd": ["etcd"]}, True)])
def test_registries_are_asked_only_if_a_program_is_missing(
    missing: dict[str, list[str]],
    asked: bool,  # noqa: FBT001  a table's column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(registry_checks, "go_modules", calls.append)
    monkeypatch.setattr(registry_checks, "python_packages", lambda: calls.append("PyPI"))
    for check in preflight.select_checks(_NO_NODES, missing):
        check()
    assert calls == ([missing, "PyPI"] if asked else [])


def test_slow_checks_show_their_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    shown = partial(until, stream.getvalue, "the progress")
    monkeypatch.setattr(preflight, "select_checks", lambda _nodes, _missing: [lambda: shown() and None])
    preflight.require_machine(_NO_NODES, missing={}, progress=StepProgress(stream), progress_delay_seconds=0.05)
    assert [line.partition(": ")[0] for line in stream.getvalue().splitlines()] == ["checking this machine"] * 2


def test_fast_checks_print_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "select_checks", lambda _nodes, _missing: [])
    stream = io.StringIO()
    lacking = [lambda: MissingRequirement("root", "user 1000", "sudo -i")]
    with pytest.raises(PreflightError, match="sudo -i"):
        preflight.require_machine(
            _NO_NODES, missing={}, progress=StepProgress(stream), extra_checks=lacking, progress_delay_seconds=600
        )
    assert stream.getvalue() == ""


def test_table_names_every_missing_requirement_with_its_fix() -> None:
    text = preflight.format_table(
        [
            MissingRequirement("root", "user 1000", "sudo -i"),
            MissingRequirement("overlay mounts", "none", "modprobe overlay"),
        ]
    )
    assert ["root", "user", "1000", "sudo", "-i"] in [row.split() for row in text.splitlines()]
    assert ["overlay", "mounts", "none", "modprobe", "overlay"] in [row.split() for row in text.splitlines()]
    assert "make demo-local" in text


def test_check_without_a_result_in_time_is_a_missing_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def wait_for_others(running: list[Future[object]], timeout: float) -> object:
        until(lambda: sum(one.done() for one in running) == 2, "the other checks")
        return wait(running, timeout)

    monkeypatch.setattr(preflight, "wait", wait_for_others)
    returned_late: list[bool] = []

    def hangs() -> None:
        returned_late.append(ended.wait(300))

    found = preflight.run_checks(
        [lambda: MissingRequirement("registry", "refused", "set it"), hangs, lambda: None], timeout_seconds=0.1
    )
    assert [finding.requirement for finding in found] == ["registry", "an answer in time"]
    assert not returned_late  # the result did not wait for the check
    ended.set()


def test_machine_with_a_missing_requirement_is_rejected_with_the_table() -> None:
    with pytest.raises(PreflightError, match="sudo -i"):
        preflight.require_machine(
            NodeLayout.parse("none"),
            missing={},
            extra_checks=[lambda: MissingRequirement("root", "user 1000", "sudo -i")],
        )
