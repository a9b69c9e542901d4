"""The chart works with the oldest Helm that its documents name, and renders the same with it as with Helm 4."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hack.charts import CHART

from localcluster.progress import StepProgress
from localcluster.toolchain import official_binaries, tools
from tests.testkit.chart import MINIMAL
from tests.testkit.paths import ROOT


@pytest.fixture(scope="module")
def oldest_helm() -> Path:
    """Return the program, built from its Go module."""
    return tools.ensure_tool("helm-oldest") / "helm"


@pytest.fixture(scope="module")
def helm_4() -> Path:
    """Return the official binary, or the built program on another processor."""
    program = official_binaries.install_binary("helm", StepProgress())
    return program or tools.ensure_tool("helm") / "helm"


def output(program: Path, *arguments: str) -> str:
    return subprocess.check_output([program, *arguments], text=True)


def test_both_programs_have_the_pinned_versions(oldest_helm: Path, helm_4: Path) -> None:
    assert output(oldest_helm, "version", "--short").startswith("v3.18.0")
    assert output(helm_4, "version", "--short").startswith("v4.")


@pytest.mark.parametrize(
    "values", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.stem.removesuffix("-values")
)
def test_chart_renders_the_same_with_both(values: Path, oldest_helm: Path, helm_4: Path) -> None:
    command = ["template", "fleetscore", str(CHART), "--namespace", "scoring", "--values", str(values)]
    # The texts may differ in blank lines between two objects.
    oldest, newer = (list(yaml.safe_load_all(output(program, *command))) for program in (oldest_helm, helm_4))
    assert len(oldest) > 5
    assert oldest == newer


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("operater=1", "operater"),
        ("podSecurityContext.runAsUser=0", "podSecurityContext.runAsUser"),
        ("operator.maxActiveJobs=1000001", "operator.maxActiveJobs"),
    ],
)
def test_oldest_helm_rejects_what_the_schema_rejects(key: str, named: str, oldest_helm: Path) -> None:
    command = [str(oldest_helm), "template", "fleetscore", str(CHART), "--values", str(MINIMAL), "--set", key]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert named in done.stderr


# The chart's tests of Helm's own texts: Helm 3 words an error of the schema differently, and `helm install --dry-run`
# of Helm 3 shows the notes only with a cluster.
_TESTS_OF_HELMS_TEXTS = (
    "rejected_with_the_reason",
    "section_that_is_null",
    "value_that_would_fail_later",
    "that_the_schema_rejects",
    "notes",
    "container_names_are_the_ones",
    "user_id_of_root",
)


def test_tests_of_the_chart_pass_with_the_oldest_helm(oldest_helm: Path) -> None:
    environment = os.environ | {"PATH": f"{oldest_helm.parent}{os.pathsep}{os.environ['PATH']}"}
    others = f"not ({' or '.join(_TESTS_OF_HELMS_TEXTS)})"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", others, "tests/integration/chart"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 200
