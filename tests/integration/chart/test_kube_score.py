"""kube-score accepts the rendered objects and the Jobs that the operator creates with them."""

import copy
import subprocess
from pathlib import Path

import pytest
import yaml

from localcluster.toolchain.tools import ensure_program
from tests.integration.chart.rendered_values import scoring_job
from tests.testkit.chart import Manifest, each_ci_values, find, render

pytestmark = pytest.mark.usefixtures("helm")
# The recommendations that we do not follow, each with the reason.
IGNORED = [
    # A limit on CPU only throttles what would otherwise use idle time; requests share a busy node fairly.
    "--ignore-container-cpu-limit",
    # The root file systems are read-only, and what can be written is an emptyDir with a size limit.
    "--ignore-test=container-ephemeral-storage-request-and-limit",
    # Images are named by a version or a digest; asking the registry at each start of a scorer would only cost time.
    "--ignore-test=container-image-pull-policy",
    # One operator works at a time; a second only shortens a handover, and its Service is there for metrics alone.
    "--ignore-test=deployment-replicas",
]


def score(manifests: list[Manifest]) -> list[str]:
    """Return kube-score's findings."""
    command = [str(ensure_program("kube-score")), "score", "--output-format=ci", *IGNORED, "-"]
    done = subprocess.run(command, input=yaml.safe_dump_all(manifests), capture_output=True, text=True, check=False)
    assert "[OK]" in done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith(("[OK]", "[SKIPPED]"))]


def with_policies_and_jobs(values: Path) -> list[Manifest]:
    given = yaml.safe_load(values.read_text())
    manifests = render(given | {"networkPolicy": {**given.get("networkPolicy", {}), "enabled": True}}, hooks=True)
    for fleet in given["fleets"]:
        for namespace in fleet.get("namespaces", ["scoring"]):
            job = scoring_job(manifests, fleet["name"])
            job["metadata"] |= {"name": f"job-{fleet['name']}", "namespace": namespace}
            report = copy.deepcopy(job)
            report["metadata"]["name"] = f"report-{fleet['name']}"
            for metadata in (report["metadata"], report["spec"]["template"]["metadata"]):
                metadata["labels"]["app.kubernetes.io/component"] = "report"
            manifests += [job, report]
    return manifests


@each_ci_values
def test_kube_score_reports_no_problem(values: Path) -> None:
    assert score(with_policies_and_jobs(values)) == []


def test_kube_score_reports_a_container_without_security_context() -> None:
    deployment = find(render({}), "Deployment")
    del deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    assert any("no configured security context" in found for found in score([deployment]))
