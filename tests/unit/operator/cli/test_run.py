"""The fleets file of the command `run`."""

from pathlib import Path

import pytest

from scoring_operator.cli.run import read_fleets
from scoring_operator.errors import InvalidSettings
from scoring_operator.runtime.settings import Settings, from_environment


def settings_for(file: Path) -> Settings:
    return from_environment({"FLEETSCORE_SCORER_IMAGE": "scorer:1", "FLEETSCORE_FLEETS_FILE": str(file)})


def test_fleets_are_read_by_name(tmp_path: Path) -> None:
    file = tmp_path / "fleets.yaml"
    file.write_text("fleets: [{name: a, namespaces: [x]}, {name: b, namespaces: [x, y]}]")
    fleets = read_fleets(settings_for(file))
    assert {name: fleet.namespaces for name, fleet in fleets.items()} == {"a": ("x",), "b": ("x", "y")}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "No such file or directory; set FLEETSCORE_FLEETS_FILE", id="missing"),
        pytest.param(b"{", "while parsing a flow", id="not YAML"),
        pytest.param(b"\xff", "codec can't decode", id="not UTF-8"),
        pytest.param(b"fleets: [{name: a, namespaces: [x], color: red}]", "color", id="unknown key"),
    ],
)
def test_invalid_fleets_file_is_one_line_with_its_path(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "fleets.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSettings) as caught:
        read_fleets(settings_for(file))
    message = str(caught.value)
    assert message.startswith(f"fleets file {file}: ")
    assert problem in message
    assert "\n" not in message
