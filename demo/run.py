"""The demo from prepared readings to its verdict, and its removal."""

import shlex
import shutil

from demo import blobs, evaluation, install, local_cluster, output, remote_cluster, scoring_run
from demo.dataset import Dataset
from demo.target import Target
from demo.workspace import RELEASE, Workspace, recreate_folder, relative_to_checkout
from localcluster.progress import StepProgress


def run(
    workspace: Workspace, prepared: Dataset, progress: StepProgress, *, context: str | None, registry: str | None
) -> int:
    """Score the dataset and return the exit code.

    Args:
        workspace: The demo's folders.
        prepared: The dataset to score.
        progress: The printer of the steps.
        context: The context of the user's cluster, or None for a cluster on this machine.
        registry: The registry for the images of the user's cluster.
    """
    if context and registry:
        with remote_cluster.connect_target(workspace, context, registry, progress) as target:
            return _score_dataset(target, prepared, progress)
    return _score_dataset(local_cluster.create_target(workspace, progress), prepared, progress)


def down(workspace: Workspace, progress: StepProgress) -> int:
    """Remove everything that the demo created, except the caches, and return the exit code."""
    state = workspace.read_state()
    if state.get("where") == "remote":
        remote_cluster.down(workspace, state["context"], progress)
    with progress.step("ending the demo", usual_seconds=10):
        local_cluster.down(workspace)
    shutil.rmtree(workspace.root, ignore_errors=True)
    return 0


def _score_dataset(target: Target, prepared: Dataset, progress: StepProgress) -> int:
    with progress.step("uploading readings and models", usual_seconds=8):
        scoring_run.delete_runs(target.kube)
        blobs.recreate_containers(target.client)
        blobs.upload(target.client, prepared.store)
    install.install(target, progress)
    name = scoring_run.create_run(target, prepared.window)
    outcome = scoring_run.follow_run(target.kube, name)
    report_problems = scoring_run.wait_for_report(target.kube, name, progress)
    shutil.copytree(
        prepared.store / "models", recreate_folder(target.workspace.demo_folder / "models"), dirs_exist_ok=True
    )
    predictions = recreate_folder(target.workspace.demo_folder / "predictions")
    blobs.download(target.client, "predictions", f"{prepared.window.slug}/", predictions)
    target.kube.print_kubectl("get", "sr")
    target.kube.print_kubectl("get", "jobs")
    devices, problems = output.print_results(prepared, predictions)
    problems += evaluation.check_run(outcome, prepared, devices) + report_problems
    worst = max(devices, key=lambda device: device.anomalies, default=None)
    _print_locations(target.workspace, name, prepared.window.slug, worst.name if worst else "ID")
    return output.print_verdict(problems, scoring_run.troubleshooting_hint(name))


def _print_locations(workspace: Workspace, run_name: str, slug: str, device: str) -> None:
    demo, programs = relative_to_checkout(workspace.demo_folder), workspace.bin_folder.absolute()
    device = shlex.quote(device)
    print(
        f"""
Files
  report          {demo}/predictions/{slug}/report.html    opens in a browser
  predictions     {demo}/predictions/{slug}/DEVICE.csv
  models          {demo}/models/DEVICE.joblib
  readings        {demo}/store/data/
  chart's values  {demo}/values.yaml
Next steps
  export PATH={shlex.quote(str(programs))}:"$PATH"
  kubectl fleetscore incidents    # the devices that need attention, since when, and whom to notify
  kubectl fleetscore device {device}    # one device, and what to do next
  kubectl fleetscore ui           # the same answers as pages
  kubectl fleetscore doctor       # checks the installation
  kubectl fleetscore status {run_name}
  kubectl logs deploy/{RELEASE}-operator
  helm list
  make demo DATA=your.csv         # your own readings: TS,Device,Tag,Value
  make down                       # removes everything""",
    )
