"""The words that hack.banned_words finds, and those that it leaves alone."""

import pytest
from hack.banned_words import check_text, load_rules

RULES = load_rules()


def findings(path: str, text: str) -> list[tuple[int, str]]:
    return [(number, finding.partition("'")[2].partition("'")[0]) for number, finding in check_text(path, text, RULES)]


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        pytest.param("a.py", '"""Read it anew."""\n', [(1, "anew")], id="docstring"),
        pytest.param(
            "a.py", '"""Read it.\n\nAll but\nfor one.\n"""\n', [(3, "but\nfor".replace("\n", " "))], id="wrapped"
        ),
        pytest.param("a.py", "x = 1  # beside it\n", [(1, "beside")], id="comment"),
        pytest.param("a.py", 'raise ValueError(f"{x} is no number")\n', [(1, "is no")], id="message"),
        pytest.param("a.py", "def test_a_job_is_made_anew(): ...\n", [(1, "anew")], id="test name"),
        pytest.param("a.py", "class Ledger: ...\n", [(1, "Ledger")], id="name"),
        pytest.param("a.py", "def pod_trouble(): ...\n", [(1, "trouble")], id="part of a function"),
        pytest.param("a.py", "MAX_TROUBLE = 1\n", [(1, "TROUBLE")], id="part of a constant"),
        pytest.param("a.py", "class PodTrouble: ...\n", [(1, "Trouble")], id="part of a class"),
        pytest.param("a/test_trouble.py", "", [(1, "trouble")], id="part of a module"),
        pytest.param("a.py", "def remove(*, calm: bool): ...\n", [(1, "calm")], id="parameter"),
        pytest.param("a.py", "device_fates = {}\n", [(1, "fates")], id="part of a variable"),
        pytest.param("a.md", "# A\n\nNobody knows.\n", [(3, "Nobody")], id="Markdown"),
        pytest.param("a.md", "```sh\nls  # look at it\n```\n", [(2, "look at")], id="comment in a block"),
        pytest.param("a.yaml", "a: 1  # refused\n", [(1, "refused")], id="YAML comment"),
        pytest.param("crds/a.yaml", "description: How it is told.\n", [(1, "told")], id="CRD description"),
        pytest.param("Makefile", "a: b  ## mend it\n", [(1, "mend")], id="help of a target"),
        pytest.param("a.py", '"""Give a number."""\n', [(1, "Give")], id="docstring without Return"),
    ],
)
def test_a_banned_word_is_reported_with_its_line(path: str, text: str, found: list[tuple[int, str]]) -> None:
    assert findings(path, text) == found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("a.py", '"""The run is no longer active."""\n', id="is no longer"),
        pytest.param("a.py", '"""There is no fleet."""\n', id="there is no"),
        pytest.param("a.py", "# connection refused\n", id="connection refused"),
        pytest.param("a.py", "word = tokens.pop()\n", id="a name"),
        pytest.param("a.py", "troubleshooting_hint = word_of(run)\n", id="a longer part of a name"),
        pytest.param("a.md", "The option `--anew` exists.\n", id="inline code"),
        pytest.param("a.md", "```sh\nbeside\n```\n", id="command"),
        pytest.param("a.yaml", "beside: 1\n", id="YAML key"),
    ],
)
def test_plain_text_code_and_commands_are_not_reported(path: str, text: str) -> None:
    assert findings(path, text) == []


def test_a_test_name_has_at_most_80_characters() -> None:
    name = f"test_{'a' * 75}"
    assert findings("a.py", f"def {name}(): ...\n") == []
    assert list(check_text("a.py", f"def {name}a(): ...\n", RULES)) == [(1, "test name of 81 characters -> at most 80")]
