"""examples/backfill.yaml agrees with the objects of a release that is named fleetscore."""

import argparse

import pytest
import yaml

from scoring_operator.cli import backfill
from scoring_operator.schedules import windows
from tests.testkit.chart import MINIMAL, find, render
from tests.testkit.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("helm")
POD = yaml.safe_load((EXAMPLES / "backfill.yaml").read_text())["spec"]["template"]["spec"]


def test_backfill_example_mounts_the_token_that_the_account_does_not_mount() -> None:
    account = find(render(MINIMAL), "ServiceAccount", POD["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    assert POD["automountServiceAccountToken"] is True


def test_backfill_example_finds_its_schedule_in_the_mounted_file() -> None:
    (volume,), (container,) = POD["volumes"], POD["containers"]
    (mount,) = container["volumeMounts"]
    files = find(render(MINIMAL), "ConfigMap", volume["configMap"]["name"])["data"]
    parser = argparse.ArgumentParser()
    backfill.add_arguments(parser)
    command, *words = container["args"]
    arguments = parser.parse_args(words)
    folder, _, file = str(arguments.schedules_file).rpartition("/")
    assert (command, folder) == ("backfill", mount["mountPath"])
    assert windows.select_schedule(yaml.safe_load(files[file]), arguments.schedule).fleet == "default"


def test_backfill_example_is_as_restricted_as_the_pods_of_a_schedule() -> None:
    spec = find(render(MINIMAL), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert POD["serviceAccountName"] == spec["serviceAccountName"]
    assert POD["securityContext"].items() <= spec["securityContext"].items()
    assert POD["containers"][0]["securityContext"] == spec["containers"][0]["securityContext"]
