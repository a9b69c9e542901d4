import re

import pytest

from scoring_operator.api import names
from tests.testkit.builders import UID, a_run

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def test_digest_has_twelve_characters_and_depends_on_the_borders_of_the_parts() -> None:
    assert re.fullmatch(r"[a-z2-7]{12}", names.digest("ab", "c"))
    assert names.digest("ab", "c") != names.digest("a", "bc")
    assert names.digest("ab", "c") == names.digest("ab", "c")


def test_names_of_children_are_stable_distinct_and_valid() -> None:
    run = a_run("r" * 50)
    found = [
        names.job_name(run.name, run.uid, 0, 0, 0),
        names.job_name(run.name, run.uid, 0, 1, 0),
        names.job_name(run.name, run.uid, 0, 0, 1),
        names.report_job_name(run),
        names.progress_config_map_name(run),
        names.device_list_config_map_name(run, b"settings", b"content"),
    ]
    assert len(set(found)) == len(found)
    assert all(len(name) <= 63 and DNS_LABEL.fullmatch(name) for name in found)
    assert names.job_name(run.name, run.uid, 0, 0, 0) == found[0]


@pytest.mark.parametrize(
    ("run", "device", "part"),
    [
        ("hourly", "press-7", "press-7-"),
        ("hourly", "Press #7 (hall 2)", "press-7-hall-2-"),
        ("hourly", "x" * 128, f"{'x' * 37}-"),
        ("hourly", "###", ""),
        ("r" * 40, "press-7", "pre-"),
        ("r" * 41, "press-7", ""),
        ("r" * 50, "press-7", ""),
    ],
)
def test_name_of_a_job_has_a_part_of_its_device_if_there_is_room(run: str, device: str, part: str) -> None:
    name = names.job_name(run, "uid", 0, 0, 0, device)
    assert name == f"{run}-{part}{names.digest('uid', 0, 0, 0)}"
    assert len(name) <= (57 if part else 63)
    assert DNS_LABEL.fullmatch(name)


def test_names_of_children_differ_between_runs_of_one_name() -> None:
    first, second = a_run(uid="1"), a_run(uid="2")
    assert names.job_name(first.name, first.uid, 0, 0, 0) != names.job_name(second.name, second.uid, 0, 0, 0)
    assert names.report_job_name(first) != names.report_job_name(second)
    assert names.progress_config_map_name(first) != names.progress_config_map_name(second)


@pytest.mark.parametrize(
    ("device", "label"),
    [("press-7", "press-7"), ("a.b_c", "a.b_c"), ("x" * 63, "x" * 63), ("x" * 64, None), ("a#b", None), ("-a", None)],
)
def test_device_label_is_the_id_or_a_hash(device: str, label: str | None) -> None:
    assert names.device_label(device) == (label or f"h.{names.digest(device)}")


def test_owner_reference_names_the_run_as_controller() -> None:
    assert names.owner_reference(a_run()) == {
        "apiVersion": "fleetscore.dev/v1alpha1",
        "kind": "ScoringRun",
        "name": "hourly",
        "uid": UID,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def test_children_have_the_labels_of_their_run() -> None:
    assert names.run_labels(a_run()) == {
        "app.kubernetes.io/managed-by": "fleetscore",
        "fleetscore.dev/run": "hourly",
        "fleetscore.dev/run-uid": UID,
    }
