"""The release workflow, which nothing here can run, as far as a reader of it can be held to something."""

import re
import subprocess

import yaml

from tests.deploy.shell import ROOT, install

WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"


def test_zizmor_finds_nothing_in_the_release_workflow() -> None:
    command = [str(install("zizmor") / "zizmor"), "--offline", "--pedantic", "--no-progress", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_by_commit_and_every_job_bounded_and_without_rights_it_does_not_name() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert {"permissions", "timeout-minutes"} <= job.keys()
        for step in job["steps"]:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step.get("uses", f"a@{'0' * 40}"))
