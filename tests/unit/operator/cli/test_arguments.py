"""Arguments that several commands have, and the schedules file."""

import argparse
from pathlib import Path

import pytest

from scoring_operator.cli.arguments import (
    add_namespace_argument,
    add_schedule_arguments,
    parse_positive_int,
    read_schedule,
    read_yaml,
    require,
)
from scoring_operator.errors import InvalidSettings
from tests.testkit.texts_of_helm import NUMBERS_OF_HELM, TEXTS_OF_HELM


def test_namespace_defaults_to_pod_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "scoring")
    parser = argparse.ArgumentParser()
    add_namespace_argument(parser, "the run")
    assert parser.parse_args([]).namespace == "scoring"
    assert parser.parse_args(["--namespace", "other"]).namespace == "other"


def test_schedules_file_defaults_to_the_mounted_one() -> None:
    parser = argparse.ArgumentParser()
    add_schedule_arguments(parser)
    parsed = parser.parse_args(["--schedule", "hourly"])
    assert (parsed.schedules_file, parsed.schedule) == (Path("/etc/fleetscore/schedules.yaml"), "hourly")


def test_positive_number_is_read() -> None:
    assert parse_positive_int("1") == 1


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "inf", ""])
def test_text_other_than_a_whole_number_from_1_is_rejected(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number from 1"):
        parse_positive_int(text)


@pytest.mark.parametrize("value", ["", None])
def test_required_argument_without_value_is_invalid(value: str | None) -> None:
    require(argparse.Namespace(namespace="scoring", job="a"), "namespace", "job")
    with pytest.raises(InvalidSettings, match="no job is given; use --job"):
        require(argparse.Namespace(namespace="scoring", job=value), "namespace", "job")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"a: [", "is not YAML", id="not YAML"),
        pytest.param(b"\xff\xfe\xfa", "is not YAML", id="not UTF-8"),
        pytest.param(b"a: !!int b", "is not YAML", id="not an integer"),
        pytest.param(b"a: !!timestamp b", "is not YAML", id="tag"),
        pytest.param(b"[" * 3000, "is not YAML", id="deep"),
        pytest.param(b"schedules: []", "0 schedules are named 'hourly'", id="no schedule"),
    ],
)
def test_invalid_schedules_file_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "schedules.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSettings, match=f"schedules file.*{problem}"):
        read_schedule(file, "hourly")


@pytest.mark.parametrize("text", TEXTS_OF_HELM)
def test_text_that_helm_writes_without_quotes_stays_a_text(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(f"tags: [{text}]\nvalue: {text}\n")
    assert read_yaml(file) == {"tags": [text], "value": text}


@pytest.mark.parametrize(("text", "number"), NUMBERS_OF_HELM.items())
def test_number_is_read_as_helm_writes_it(tmp_path: Path, text: str, number: float) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(f"badValues: [{text}]\n")
    assert read_yaml(file) == {"badValues": [number]}


def test_schedule_is_read_from_its_file(schedules_file: Path) -> None:
    schedule = read_schedule(schedules_file, "hourly")
    assert (schedule.fleet, schedule.window, schedule.delay) == ("default", "PT1H", "PT3M")
