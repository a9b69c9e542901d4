"""The demo's run, and the deletion of the runs of earlier demos."""

from pathlib import Path
from typing import Any

import pytest
from demo.errors import DemoError
from demo.kube_commands import KubeCommands
from demo.scoring_run import SCORING_RUNS, delete_runs, follow_run


class RecordingKubectl(KubeCommands):
    """kubectl of a cluster that has the CRD; it records the commands."""

    def __init__(self) -> None:
        super().__init__(Path("kubectl"), Path("helm"), Path("kubeconfig"))
        self.commands: list[tuple[str, ...]] = []

    def run_kubectl(self, *arguments: str, input_text: str | None = None) -> str:  # noqa: ARG002  # as in the class
        self.commands.append(arguments)
        return "customresourcedefinition"


def test_scorers_of_an_earlier_demo_have_ended_before_their_predictions_are_deleted() -> None:
    kubectl = RecordingKubectl()
    delete_runs(kubectl)
    deletions = [command for command in kubectl.commands if command[0] == "delete"]
    assert [command[1] for command in deletions] == [SCORING_RUNS, "jobs", "pods"]
    assert all("--wait" in command for command in deletions)


class OneRun(KubeCommands):
    """kubectl of a cluster with one run, whose condition is given."""

    def __init__(self, condition: str) -> None:
        super().__init__(Path("kubectl"), Path("helm"), Path("kubeconfig"))
        object.__setattr__(self, "conditions", [{"type": condition, "status": "True"}])

    def get(self, *arguments: str) -> dict[str, Any]:
        assert arguments == (SCORING_RUNS, "mine")
        conditions = vars(self)["conditions"]
        return {"metadata": {"name": "mine"}, "status": {"phase": "Complete", "conditions": conditions}}


def test_run_is_followed_by_the_view_of_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    assert follow_run(OneRun("Complete"), "mine")["metadata"] == {"name": "mine"}
    assert capsys.readouterr().out.startswith("mine: Complete\n")


def test_run_that_does_not_end_is_an_error_with_the_next_step() -> None:
    with pytest.raises(DemoError, match=r"the run mine did not end in .*; run: .*kubectl fleetscore status mine"):
        follow_run(OneRun("Waiting"), "mine", timeout_seconds=0.001)
