"""The statements of the documents agree with the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.charts import ROOT

from scoring_operator.contract.outcome_message import REASONS
from tests.testkit import documents

DOCS = ROOT / "docs"
ARCHITECTURE = DOCS / "development" / "architecture.md"
PACKAGES = {
    "operator": ROOT / "operator/src/scoring_operator",
    "scorer": ROOT / "scorer/src/device_scorer",
    "client": ROOT / "client/src/fleetscore",
}
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("charts/*/*.md"), *ROOT.glob("*/README.md")])
WITHOUT_TEST_NAMES = [path for path in DOCUMENTS if path.parent.name not in ("development", "decisions")]
PAGES_OF_TEST_FUNCTIONS = [DOCS / "development" / "traceability.md", DOCS / "development" / "cases.md"]


def anchors(document: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(document: Path, heading: str) -> str:
    return document.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def called_with(package: Path, function: str, position: int) -> Iterator[str]:
    """Yield the literals that calls of a function have at a position."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(function) and len(node.args) > position:
                values = [one for one in ast.walk(node.args[position]) if isinstance(one, ast.Constant)]
                yield from (str(one.value) for one in values)


def literals(package: Path) -> set[str]:
    """Return the strings of a package, without its docstrings."""
    nodes = [node for path in package.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return {str(node.value) for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_has_a_target(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_heading_has_a_target(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*\.md|)#([^)]+)\)", document.read_text())
    assert [link for link in links if link[1] not in anchors(document.parent / link[0] if link[0] else document)] == []


@pytest.mark.parametrize("document", WITHOUT_TEST_NAMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_for_users_names_no_test(document: Path) -> None:
    text = re.sub(r"<!--.*?-->", "", document.read_text(), flags=re.DOTALL)
    assert re.findall(r"\btest_\w+", text) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_two_pages_name_test_functions(document: Path) -> None:
    found = re.findall(r"\btest_\w+\b(?!\.py)", document.read_text())
    assert bool(found) is (document in PAGES_OF_TEST_FUNCTIONS), found


@pytest.mark.parametrize("program", PACKAGES)
def test_the_architecture_lists_exactly_the_packages_and_modules_of(program: str) -> None:
    lines = section(ARCHITECTURE, f"Packages of the {program}").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    listed += re.findall(r"`([a-z]\w+)\.py`", "\n".join(line for line in lines if not line.startswith("|")))
    packages = [path.parent.name for path in PACKAGES[program].glob("*/__init__.py")]
    modules = [path.stem for path in PACKAGES[program].glob("[a-z]*.py")]
    assert sorted(listed) == sorted([*packages, *modules])


def test_the_class_diagram_shows_exactly_the_classes_of_the_controller() -> None:
    diagram = section(ARCHITECTURE, "The controller")
    drawn = dict(re.findall(r"^    class (\w+) \{\n(.*?)^    \}", diagram, re.MULTILINE | re.DOTALL))
    nodes = [node for path in PACKAGES["operator"].glob("controller/*.py") for node in ast.parse(path.read_text()).body]
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_")}
    values = {name for name in classes if name.endswith("Timings")} | {
        "Applied",
        "CollectedResults",
        "Creation",
        "ObservedJobs",
        "StallCheck",
        "Inspection",
        "PodsOfJobs",
        "StoredProgress",
    }
    assert drawn.keys() == classes.keys() - values
    for name, members in drawn.items():
        defined = {one.name for one in classes[name].body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert set(re.findall(r"(\w+)\(", members)) <= defined, name


def test_every_source_path_in_the_architecture_exists() -> None:
    text = ARCHITECTURE.read_text()
    paths = re.findall(r"`((?:operator|scorer)/[\w/]+\.py)`", text)
    assert len(paths) > 15
    missing = [path for path in paths if not (PACKAGES[path.partition("/")[0]] / path.partition("/")[2]).exists()]
    assert missing == []


def test_every_path_of_the_table_of_changes_exists_and_is_code() -> None:
    rows = re.findall(r"^\| .* \|$", section(ARCHITECTURE, "Where do I change ..."), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([^` ]+)`", row) if "/" in name or "." in name]
    assert len(names) > 50
    short = {name: PACKAGES.get(name.partition("/")[0], ROOT) / name.partition("/")[2] for name in names}
    assert [name for name in names if not (ROOT / name).exists() and not short[name].exists()] == []
    assert [row for row in rows if "/" in re.sub(r"`[^`]*`", "", row)] == []


def test_the_reasons_of_a_failed_device_are_all_listed() -> None:
    (listed,) = re.findall(r"for one of these reasons: (.*?)\.\n", (DOCS / "user/scoringrun.md").read_text())
    assert listed.split(", ") == list(REASONS)


def test_the_listed_reasons_of_a_runs_end_are_those_of_the_planner() -> None:
    table = section(DOCS / "user" / "scoringrun.md", "How a run ends")
    rows = re.findall(r"^\| (?:Complete|Failed) \| (.*?) \|", table, re.MULTILINE)
    listed = {reason for row in rows for reason in row.split(", ")}
    assert len(listed) > 15
    assert listed - literals(PACKAGES["operator"]) == set()
    ends = {*called_with(PACKAGES["operator"], "Completion", 1), *called_with(PACKAGES["operator"], "RunRejected", 0)}
    assert {one for one in ends if one.isidentifier()} - listed == set()


def test_the_index_of_decisions_has_the_title_and_status_of_each_note() -> None:
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.*) \| (.*) \| (.*) \|$", _index(), re.MULTILINE)
    notes = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
    assert [name for _, name, *_ in rows] == [path.name for path in notes]
    for (number, _, title, status, date), path in zip(rows, notes, strict=True):
        heading, _, line = path.read_text().split("\n")[:3]
        assert (heading, line) == (f"# {number}: {title}", f"Status: {status} ({date})")


def _index() -> str:
    return (DOCS / "decisions" / "README.md").read_text()


def test_the_navigation_of_the_site_lists_every_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r"[\w./-]+\.md$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("block", documents.all_blocks(), ids=str)
def test_a_shell_block_is_run_or_has_a_reason_why_not(block: documents.Block) -> None:
    assert block.mode in documents.MODES or block.reason
