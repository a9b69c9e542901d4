"""actionlint and zizmor find nothing in .github; tests/unit/repository checks the conventions that they do not know."""

import subprocess

from localcluster.toolchain.tools import ensure_program
from tests.deploy.shell import ROOT, Done, install

GITHUB = ROOT / ".github"


def succeed(*command: str) -> None:
    done: Done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing_in_the_workflows_and_in_dependabot() -> None:
    succeed(str(install("zizmor") / "zizmor"), "--offline", "--pedantic", "--no-progress", str(GITHUB))


def test_actionlint_finds_nothing_in_the_workflows() -> None:
    # The findings must not depend on whether the machine has shellcheck or pyflakes.
    options = ["-shellcheck=", "-pyflakes="]
    workflows = sorted(map(str, (GITHUB / "workflows").iterdir()))
    succeed(str(ensure_program("actionlint")), *options, *workflows)
