"""The conventions of .github that no linter checks: pins, permissions, limits of time, and what the workflows call."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
each_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def test_both_workflows_are_checked() -> None:
    assert [file.name for file in WORKFLOWS] == ["ci.yaml", "release.yaml"]


@each_workflow
def test_every_action_is_pinned_by_commit(file: Path) -> None:
    used = [step["uses"] for job in load(file)["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []


def test_one_action_has_one_pin_in_all_workflows() -> None:
    pins = set(re.findall(r"uses: ([\w/-]+)@(\S+ # \S+)", "".join(file.read_text() for file in WORKFLOWS)))
    assert len(pins) > 5
    assert len({action for action, _ in pins}) == len(pins)


@each_workflow
def test_every_job_is_limited_in_time_and_names_its_permissions(file: Path) -> None:
    workflow = load(file)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert {"permissions", "timeout-minutes"} <= job.keys()


@each_workflow
def test_a_checkout_leaves_no_credentials(file: Path) -> None:
    steps = [step for job in load(file)["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_ci_only_reads() -> None:
    for job in load(ROOT / ".github/workflows/ci.yaml")["jobs"].values():
        assert job["permissions"] in ({}, {"contents": "read"})


def test_ci_runs_targets_that_the_makefile_has() -> None:
    called = set(re.findall(r"\bmake ([a-z-]+)", str(load(ROOT / ".github/workflows/ci.yaml")["jobs"])))
    assert {"lint", "unit", "coverage", "isolated", "test"} <= called
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert called - targets == set()


def test_the_gate_waits_for_every_other_job_of_ci() -> None:
    jobs = load(ROOT / ".github/workflows/ci.yaml")["jobs"]
    assert set(jobs["gate"]["needs"]) == set(jobs) - {"gate"}
    assert jobs["gate"]["if"] == "always()"


def test_every_dependency_update_waits_a_week() -> None:
    updates = load(ROOT / ".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions", "docker", "gomod", "npm"}
    assert all(update["cooldown"]["default-days"] >= 7 for update in updates)


def test_every_folder_that_dependabot_watches_exists() -> None:
    for update in load(ROOT / ".github/dependabot.yml")["updates"]:
        for folder in update.get("directories", [update.get("directory")]):
            assert list(ROOT.glob(f"{folder.lstrip('/')}/")) if folder != "/" else True, folder


def test_every_path_of_codeowners_exists() -> None:
    lines = [line.split() for line in (ROOT / ".github/CODEOWNERS").read_text().splitlines() if line.startswith("/")]
    assert lines
    assert [path for path, *_ in lines if not list(ROOT.glob(path.strip("/")))] == []


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_an_issue_form_has_what_github_requires(form: str) -> None:
    fields = load(ROOT / f".github/ISSUE_TEMPLATE/{form}.yaml")
    assert fields.keys() >= {"name", "description", "body"}
    inputs = [field for field in fields["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in inputs}) == len(inputs)
    assert all(field["attributes"]["label"] for field in inputs)


def test_pre_commit_hooks_need_no_other_repository() -> None:
    repositories = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    assert all(hook["language"] == "system" for repository in repositories for hook in repository["hooks"])
