"""The command `doctor` on a fake API server."""

import json

import pytest

from fleetscore.cli import main
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease


@pytest.mark.usefixtures("fake_release")
def test_healthy_release_has_oks_and_names_what_it_could_not_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["check"] for one in found if one["result"] != "OK"] == ["storage"]
    assert found[0] == {
        "result": "OK",
        "check": "crd",
        "subject": "scoringruns.fleetscore.dev",
        "message": "the API server serves v1alpha1",
        "cure": "",
    }


def test_problem_has_one_line_with_its_cure_and_the_exit_code_1(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    del fake_release.objects[fake.SECRET]
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["RESULT", "CHECK", "FINDING"]
    (line,) = [line for line in lines if line.startswith("PROBLEM")]
    assert "Secret account does not exist in namespace scoring; `kubectl -n scoring create secret" in line


def test_missing_cluster_is_one_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.startswith("error: no cluster is configured")
