"""A schedule of the chart on a real API server; the test runs the commands of its Jobs."""

import json
from pathlib import Path
from typing import Any

import yaml

from localcluster.cluster import Cluster
from scoring_operator.cli import main
from tests.testkit.chart import Manifest, find, render

ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class Scheduler:
    """A namespace with one schedule of the chart, and its account."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, **more: Any) -> None:
        self._cluster, self.namespace, self.file = cluster, namespace, folder / "schedules.yaml"
        manifests = self._render({"delay": "PT3M"} | more)
        self.file.write_text(find(manifests, "ConfigMap", "fleetscore-schedules")["data"]["schedules.yaml"])
        of_schedules = [m for m in manifests if m["metadata"]["labels"]["app.kubernetes.io/component"] == "scheduler"]
        rights = [m for m in of_schedules if m["kind"] != "CronJob"]
        cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(rights))
        self.kubeconfig = cluster.create_kubeconfig(namespace, "fleetscore-scheduler")

    def _render(self, entry: dict[str, Any]) -> list[Manifest]:
        schedule = {"name": "hourly", "cron": "5 * * * *", "fleet": "default"} | entry
        fleet = {"name": "default", "storage": {"accountUrl": "https://fleet.blob.core.windows.net"}}
        values = {"fleets": [fleet], "schedules": [schedule], "crds": {"enabled": False}}
        return render(values, namespace=self.namespace)

    def apply(self, **entry: Any) -> None:
        """Write a schedule to the file, and apply its CronJob."""
        manifests = self._render(entry)
        self.file.write_text(find(manifests, "ConfigMap", "fleetscore-schedules")["data"]["schedules.yaml"])
        self._cluster.kubectl("apply", "-f", "-", input=json.dumps(find(manifests, "CronJob")))

    def create_run(self, job: str, *, schedule: str = "hourly") -> int:
        """Run the command of a Job's pod, and return its exit code."""
        words = ["create-run", "--schedules-file", str(self.file), "--schedule", schedule, "--job", job]
        return main([*words, "--namespace", self.namespace])

    def fire(self, job: str, scheduled: str | None = None) -> int:
        """Create a Job with the annotation of a firing (None: by hand), run its command, and return the exit code."""
        metadata = {"name": job, "annotations": {ANNOTATION: scheduled} if scheduled else {}}
        container = {"name": "create-run", "image": "none"}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}
        body["spec"] = {"suspend": True, "template": template}  # without a pod: the test runs the command
        self._cluster.kubectl("-n", self.namespace, "create", "-f", "-", input=json.dumps(body))
        return self.create_run(job)

    def runs(self) -> dict[str, Any]:
        """Return the specs of the namespace's runs by name."""
        listed = json.loads(self._cluster.kubectl("-n", self.namespace, "get", "scoringruns", "-o", "json"))
        return {item["metadata"]["name"]: item["spec"] for item in listed["items"]}

    def job(self, name: str) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self._cluster.kubectl("-n", self.namespace, "get", "job", name, "-o", "json"))
        return job
