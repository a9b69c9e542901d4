"""The demo from prepared readings to its verdict, and its end."""

import shutil

from demo import blobs, findings, follow, install, machine, places, remote, report
from demo.places import Places
from demo.readings import Prepared
from demo.target import Target
from localcluster.progress import Progress


def run(where: Places, prepared: Prepared, progress: Progress, *, context: str | None, registry: str | None) -> int:
    """Score what is prepared: on this machine, or on the user's cluster where `context` names one; the exit code."""
    if context and registry:
        with remote.connected(where, context, registry, progress) as target:
            return _score(target, prepared, progress)
    return _score(machine.up(where, progress), prepared, progress)


def down(where: Places, progress: Progress) -> int:
    """Remove all that the demo made but the caches; the exit code."""
    state = where.read_state()
    if state.get("where") == "remote":
        remote.down(where, state["context"], progress)
    with progress.step("ending the demo", usual_seconds=10):
        machine.down(where)
    shutil.rmtree(where.root, ignore_errors=True)
    return 0


def _score(target: Target, prepared: Prepared, progress: Progress) -> int:
    with progress.step("uploading readings and models", usual_seconds=8):
        follow.clear(target.kube)
        blobs.empty(target.client)
        blobs.upload(target.client, prepared.store)
    install.install(target, progress)
    name = follow.create(target, prepared.window)
    outcome = follow.follow(target.kube, name)
    unreported = follow.wait_for_report(target.kube, name, progress)
    shutil.copytree(prepared.store / "models", places.fresh(target.where.demo / "models"), dirs_exist_ok=True)
    predictions = places.fresh(target.where.demo / "predictions")
    blobs.download(target.client, "predictions", f"{prepared.window.slug}/", predictions)
    target.kube.show("get", "sr")
    target.kube.show("get", "jobs")
    devices, problems = report.show(prepared, predictions)
    problems += findings.problems_of_run(outcome, prepared, devices) + unreported
    _tell(target.where, name, prepared.window.slug)
    return report.verdict(problems, follow.advice(name))


def _tell(where: Places, run_name: str, slug: str) -> None:
    demo, kubectl = places.shown(where.demo), places.shown(where.bin / "kubectl")
    print(
        f"""
Where things are
  report          {demo}/predictions/{slug}/report.html    opens in a browser
  predictions     {demo}/predictions/{slug}/DEVICE.csv
  models          {demo}/models/DEVICE.joblib
  readings        {demo}/store/data/
  chart's values  {demo}/values.yaml
How to go on
  {kubectl} describe sr {run_name}
  {kubectl} get sr -o wide
  {kubectl} logs deploy/{places.RELEASE}-operator
  {kubectl} wait sr {run_name} --for=condition=Complete
  {places.shown(where.bin / "helm")} list
  make demo DATA=your.csv    your own readings: TS,Device,Tag,Value
  make down                  removes all of it""",
    )
