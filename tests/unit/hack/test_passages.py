import pytest
from hack.passages import passages


def found(path: str, text: str) -> list[tuple[str, str]]:
    return [(passage.kind, passage.text) for passage in passages(path, text) if passage.kind != "name part"]


def parts(path: str, text: str) -> set[str]:
    return {passage.text for passage in passages(path, text) if passage.kind == "name part"}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        pytest.param("a.py", '"""One.\n\nTwo\nlines.\n"""\n', [("docstring", "One."), ("docstring", "Two lines.")]),
        pytest.param("a.py", "# One\n# two\nx = 1  # three\n", [("name", "x"), ("comment", "One two three")]),
        pytest.param("a.py", 'f("a", "two words", "these are words")\n', [("message", "these are words")]),
        pytest.param("a.py", "def test_a_run_ends(): ...\n", [("test name", "test a run ends")]),
        pytest.param("a.py", "def end(run, *, now): ...\n", [("name", "end"), ("name", "run"), ("name", "now")]),
        pytest.param("a.md", "# Title\n\nOne\ntwo.\n", [("document", "# Title"), ("document", "One two.")]),
        pytest.param("a.md", "Read `code` [here](there.md).\n", [("document", "Read `x` [here].")]),
        pytest.param("a.md", "```sh\nls  # a comment\n```\n", [("comment", "a comment")]),
        pytest.param("a.yaml", "# One\na: 1  # two\n", [("comment", "One two")]),
        pytest.param("crds/a.yaml", "description: >-\n  One\n  two.\ntype: x\n", [("document", " One two.")]),
        pytest.param("a.schema.json", '{\n "description": "One.",\n}\n', [("document", "One.")]),
        pytest.param("a.go", "/* One\ntwo. */\n// three\n", [("comment", "One two."), ("comment", "three")]),
        pytest.param("Dockerfile.a", "# One\nRUN a\n", [("comment", "One")]),
        pytest.param("a.txt", "One.\n", []),
    ],
    ids=lambda value: None if isinstance(value, list) else value,
)
def test_texts_for_people_are_found_with_their_kind(path: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert [(kind, passage.strip()) for kind, passage in found(path, text)] == [
        (kind, passage.strip()) for kind, passage in expected
    ]


def test_names_are_divided_into_words() -> None:
    assert parts("tests/test_run_end.py", "class HTTPServer2: ...\nMAX_ROWS = 1\n") == {
        "test run end",
        "HTTP Server 2",
        "MAX ROWS",
    }


def test_part_of_a_passage_has_the_line_that_it_is_on() -> None:
    (_module, passage) = passages("a.py", '"""One.\ntwo\nthree.\n"""\n')
    assert [passage.line_at(passage.text.index(word)) for word in ("One", "two", "three")] == [1, 2, 3]
