"""A run that begins under the operator of an earlier commit, with its chart and CRD, ends under this one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from localcluster.allocation import free_port
from tests.faults.conftest import NewSite
from tests.faults.harness import RunResult, Site
from tests.testkit.chart import a_fleet, helm
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.operator_process import OMITTED
from tests.testkit.paths import ROOT
from tests.testkit.waiting import until

DEVICES = 12
EARLIER = "d3cfdc2da14c6a330290ea6a5edf6146354c6477"  # the last commit with flat modules; its progress has other names


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sources of the earlier commit."""
    found = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"this clone has no commit {EARLIER}")
    folder = tmp_path_factory.mktemp("earlier")
    subprocess.run(["tar", "-x"], cwd=folder, input=found.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Site:
    return new_site(DEVICES)


@pytest.fixture(scope="module")
def baseline_run(site: Site) -> RunResult:
    """Return the result of a run that this operator starts and ends."""
    with site.operator():
        site.run("baseline", parallelism=2, devicesPerJob=2)
        site.until_ended("baseline")
    result = site.result("baseline")
    site.remove("baseline")
    return result


@contextmanager
def earlier_chart(site: Site, earlier: Path) -> Iterator[None]:
    """Replace CRD, Roles and accounts by those of the earlier chart meanwhile."""
    values = json.dumps({"fleets": [a_fleet()], "watch": {"namespaces": [site.namespace]}})
    chart = earlier / "charts" / "fleetscore"
    text = helm("template", "fleetscore", chart, "-n", site.namespace, "--no-hooks", "--values", "-", stdin=values)
    wanted = [item for item in yaml.safe_load_all(text) if item and item["kind"] not in OMITTED]
    crd = (earlier / "crds" / "fleetscore.dev_scoringruns.yaml").read_text()
    site.cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", "-n", site.namespace, "-f", "-"),
        input=f"{yaml.safe_dump_all(wanted)}\n---\n{crd}",
    )
    site.cluster.wait_for_crds()
    try:
        yield
    finally:
        site.release.install()


def run_until_killed(site: Site, earlier: Path, writes: int) -> str:
    """Run the earlier operator until its n-th write, which ends it without notice, and return its output."""
    site.free_lease()
    log = site.folder / "earlier.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.operator_main", "--devices", str(DEVICES)),
                *("--die-after", str(writes)),
            ],
            env={
                **site.release.environment("earlier", free_port()),
                "PYTHONPATH": os.pathsep.join([str(earlier), str(earlier / "operator" / "src")]),
            },
            cwd=earlier,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: process.poll() is not None, f"the earlier operator made {writes} writes")
    finally:
        process.kill()
        process.wait()
    return log.read_text()


@pytest.mark.needs_history
@pytest.mark.fault("F25")
@pytest.mark.parametrize("writes", [4, 8, 12, 16])
def test_run_of_an_earlier_commit_is_finished_and_no_job_is_created_twice(
    site: Site,
    earlier: Path,
    baseline_run: RunResult,
    record_measurement: RecordMeasurement,
    writes: int,
) -> None:
    name = f"upgraded-{writes}"
    with earlier_chart(site, earlier):
        site.run(name, parallelism=2, devicesPerJob=2)
        output = run_until_killed(site, earlier, writes)
        assert f"killed after write {writes}" in output, output
        created = sum(site.created(name).values())
        assert not site.ended(name)
    site.free_lease()
    with site.operator():
        site.until_ended(name)
    result = site.result(name)
    record_measurement(f"after {writes} writes: {created} Jobs by the earlier operator, {result.ranges.total()} in all")
    site.remove(name)
    assert set(result.ranges.values()) == {1}
    assert result == baseline_run
