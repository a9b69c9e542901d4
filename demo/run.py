"""The demo from prepared readings to its verdict, and its end."""

import shutil
from pathlib import Path

from demo import blobs, findings, follow, install, machine, places, remote, report
from demo.readings import Prepared
from demo.target import Target
from localcluster.progress import Progress


def run(prepared: Prepared, progress: Progress, *, context: str | None, registry: str | None) -> int:
    """Score what is prepared: on this machine, or on the user's cluster where `context` names one; the exit code."""
    if context and registry:
        with remote.connected(context, registry, progress) as target:
            return _score(target, prepared, progress)
    return _score(machine.up(progress), prepared, progress)


def down(progress: Progress) -> int:
    """Remove all that the demo made but the caches; the exit code."""
    state = places.read_state()
    if state.get("where") == "remote":
        remote.down(state["context"], progress)
    with progress.step("ending the demo", usual_seconds=10):
        machine.down()
    shutil.rmtree(places.LOCAL, ignore_errors=True)
    return 0


def _score(target: Target, prepared: Prepared, progress: Progress) -> int:
    with progress.step("uploading readings and models", usual_seconds=8):
        blobs.empty(target.client)
        blobs.upload(target.client, prepared.store)
    install.install(target, progress)
    name = follow.create(target.kube, prepared.window)
    outcome = follow.follow(target.kube, name)
    shutil.rmtree(places.MODELS, ignore_errors=True)
    shutil.copytree(prepared.store / "models", places.MODELS)
    predictions = places.fresh(places.PREDICTIONS)
    blobs.download(target.client, "predictions", f"{prepared.window.slug}/", predictions)
    target.kube.show("get", "sr")
    target.kube.show("get", "jobs")
    devices, problems = report.show(prepared, predictions)
    problems += findings.problems_of_run(outcome, prepared, devices)
    _where(name, predictions / prepared.window.slug)
    return report.verdict(problems, follow.advice(name))


def _where(run_name: str, predictions: Path) -> None:
    shown = predictions.relative_to(places.CHECKOUT)
    print(
        f"""
Where things are
  predictions     {shown}/DEVICE.csv
  models          .local/demo/models/DEVICE.joblib
  readings        .local/demo/store/data/
  chart's values  .local/demo/values.yaml
How to go on
  .local/bin/kubectl describe sr {run_name}
  .local/bin/kubectl get sr -o wide
  .local/bin/kubectl logs deploy/{places.RELEASE}-operator
  .local/bin/kubectl wait sr {run_name} --for=condition=Complete
  .local/bin/helm list
  make demo DATA=your.csv    your own readings: TS,Device,Tag,Value
  make down                  removes all of it""",
    )
