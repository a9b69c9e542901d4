"""The command `device-scorer inspect`: its output and exit code."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest

from device_scorer import SCIKIT_LEARN
from device_scorer.cli.inspect import MAX_WIDTH, format_table
from device_scorer.models.inspection import TagDescription
from tests.testkit.hostile_code import OnPredict
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import a_model, bundle


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FLEETSCORE_MODELS_TRUST", raising=False)
    return tmp_path / "press-1.joblib"


def test_table_has_a_line_for_each_tag(path: Path) -> None:
    path.write_bytes(bundle({"7": a_model()}))
    result = scorer("inspect", path)
    assert (result.code, result.err) == (0, "")
    summary, empty, headings, line = result.out.splitlines()
    assert summary == f"{path}: {path.stat().st_size:,} bytes, tags: 1, unusable: 0"
    assert (empty, headings.split()) == ("", ["tag", "detector", "scikit-learn", "evaluated", "by"])
    assert line == f"7    StandardScaler -> OneClassSVM  {SCIKIT_LEARN:<12}  closed form"


def test_unusable_tag_has_its_reason(path: Path) -> None:
    path.write_bytes(bundle({"7": a_model(), "8": {}}))
    result = scorer("inspect", path)
    assert result.code == 65
    assert "tags: 2, unusable: 1" in result.out
    assert "ModelInvalid: the model is invalid: expected a fitted pipeline, found a dict" in result.out


def test_json_has_the_settings_and_fitted_numbers_of_each_step(path: Path) -> None:
    path.write_bytes(bundle({"7": a_model(), "8": {}}))
    result = scorer("inspect", "--output", "json", path)
    assert result.code == 65
    first, second = json.loads(result.out)
    assert (first["tag"], first["evaluatedBy"], first["problem"]) == ("7", "closed form", "")
    assert first["parameters"]["OneClassSVM"]["gamma"] == 0.01
    assert len(first["parameters"]["StandardScaler"]["mean_"]) == 1
    assert (second["parameters"], second["problem"][:12]) == ({}, "ModelInvalid")


def test_bundle_without_models_is_unusable(path: Path) -> None:
    path.write_bytes(bundle({"_meta": {"format": 1}}))
    result = scorer("inspect", path)
    assert (result.code, result.out) == (65, "")
    assert "the bundle has no models" in result.err


def test_rejected_bundle_is_one_line_on_stderr(path: Path) -> None:
    path.write_bytes(b"cos\nsystem\n.")
    result = scorer("inspect", path)
    assert (result.code, result.out) == (65, "")
    assert "'os.system', which is not on the list of allowed classes" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.slow
def test_code_of_a_file_runs_only_with_the_flag_or_the_variable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(bundle({"7": OnPredict()}))
    assert scorer("inspect", path).code == 65
    result = scorer("inspect", "--trust", "any", path)
    assert (result.code, "OnPredict" in result.out) == (0, True)
    monkeypatch.setenv("FLEETSCORE_MODELS_TRUST", "any")
    assert scorer("inspect", path).code == 0


def test_file_that_cannot_be_read_is_wrong_usage(path: Path) -> None:
    result = scorer("inspect", path)
    assert result.code == 64
    assert "No such file or directory; name a file" in result.err


@pytest.mark.parametrize(
    "create", [os.mkfifo, Path.mkdir, lambda link: link.symlink_to("/dev/null")], ids=["fifo", "folder", "device"]
)
def test_path_that_is_not_a_regular_file_is_wrong_usage(path: Path, create: Callable[[Path], None]) -> None:
    create(path)
    result = scorer("inspect", path)
    assert result.code == 64
    assert f"{path} cannot be read: it is not a regular file; name a file" in result.err


def test_limits_of_the_environment_apply_to_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joblib.dump({"7": a_model()}, path, compress=("zlib", 1))
    monkeypatch.setenv("FLEETSCORE_MAX_MODEL_UNPACKED_BYTES", "100")
    assert "more than the 100 bytes that are allowed; to allow it, raise" in scorer("inspect", path).err
    monkeypatch.setenv("FLEETSCORE_MAX_MODEL_BYTES", "10")
    result = scorer("inspect", path)
    assert result.code == 65
    assert f"{path} has more than the 10 bytes that are allowed; raise FLEETSCORE_MAX_MODEL_BYTES" in result.err


def test_long_and_unprintable_texts_do_not_break_the_table() -> None:
    lines = format_table([TagDescription("a\rb", "x" * 500, "unknown", "closed form", ""), *[a_tag("1")]])
    assert len(lines) == 3
    assert r"'a\rb'" in lines[1]
    assert lines[2].index("closed form") < MAX_WIDTH * 2
    assert MAX_WIDTH == 60


def a_tag(tag: str) -> TagDescription:
    return TagDescription(tag, "IsolationForest", "1.9.1", "closed form", "")
