"""What the documents say is so."""

import re
from pathlib import Path

import pytest
import yaml

from scoring_operator.contract.outcome_message import REASONS
from scoring_operator.observability.metrics import Metrics
from hack.charts import ROOT
from tests.chart.rendering import find, render

PACKAGES = [ROOT / "operator/src/scoring_operator", ROOT / "scorer/src/device_scorer"]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "charts").rglob("*.md")])


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_reasons_of_a_failed_device_are_all_listed() -> None:
    text = (ROOT / "docs/scoringrun.md").read_text()
    (listed,) = re.findall(r"for one of these reasons: (.*?)\.\n", text)
    assert listed.split(", ") == list(REASONS)


def test_the_reasons_of_a_runs_end_are_the_operators() -> None:
    table = (ROOT / "docs/scoringrun.md").read_text().partition("## How a run ends")[2].partition("While it lasts")[0]
    reasons = {
        reason
        for row in re.findall(r"^\| (?:Complete|Failed) \| (.*?) \|", table, re.MULTILINE)
        for reason in row.split(", ")
    }
    code = "".join(path.read_text() for path in PACKAGES[0].rglob("*.py"))
    assert len(reasons) > 10
    assert {reason for reason in reasons if f'"{reason}"' not in code} == set()


def test_the_metrics_that_are_listed_are_those_that_the_operator_has() -> None:
    listed = re.findall(r"^\| `(fleetscore_\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    kinds = re.findall(r"^# TYPE (fleetscore_\w+) ", Metrics().text().decode(), re.MULTILINE)
    assert set(listed) == {name for name in kinds if not name.endswith("_created")}


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "charts/fleetscore/README.md"], ids=["top", "chart"])
def test_the_values_that_a_readme_shows_render(document: Path) -> None:
    (values,) = [block for block in blocks(document, "yaml") if "fleets:" in block]
    manifests = render(yaml.safe_load(values.replace("REGISTRY", "registry.example.com")))
    assert find(manifests, "CronJob", "fleetscore-hourly")
    assert (
        find(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"][2]["secret"]["secretName"]
        == "fleet-storage"
    )
