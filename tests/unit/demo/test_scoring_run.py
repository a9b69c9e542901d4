"""The deletion of the runs of earlier demos."""

from pathlib import Path

from demo.kube_commands import KubeCommands
from demo.scoring_run import SCORING_RUNS, delete_runs


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
