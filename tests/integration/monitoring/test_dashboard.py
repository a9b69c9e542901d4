"""Every query of the dashboard, and every series that an alert names, against what a real operator exposes."""

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hack.charts import CHART
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from localcluster.addons.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.nodes import stages
from tests.integration.monitoring.alert_rules import VALUES
from tests.integration.monitoring.promtool import evaluate, promtool
from tests.testkit.azurite import new_storage
from tests.testkit.builders import a_message, a_report_message
from tests.testkit.chart import find, render
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.operator_process import WINDOW, an_operator_environment, operator
from tests.testkit.waiting import until

pytestmark = pytest.mark.usefixtures("helm", "promtool")

DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())
SCRAPED = {"namespace", "pod"}  # labels that scraping adds
BY_GRAFANA = {"$namespace": ".*", "$fleet": ".*", "$__rate_interval": "5m", "$__range": "1h"}


def targets() -> list[dict[str, Any]]:
    return [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def by_grafana(query: str) -> str:
    """Return the query as Grafana sends it."""
    for variable, value in BY_GRAFANA.items():
        query = query.replace(variable, value)
    return query


def variables() -> Iterator[tuple[str, str]]:
    """Series and label that each of the dashboard's variables is made of."""
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, _, label = variable["query"]["query"].removeprefix("label_values(").rstrip(")").rpartition(", ")
            yield by_grafana(series), label


@pytest.fixture(scope="module")
def text(cluster: Cluster, azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return /metrics of an operator that has finished a schedule's run and has another run that is stalled."""
    name, run = f"monitored-{secrets.token_hex(3)}", "hourly-20180828t230000z"
    cluster.create_namespace(name)
    failure = a_message(outcomes={"failed": "0"}, reasons={"ModelInvalid": "0"})
    labels = {"fleetscore.dev/run": run}
    report = labels | {"app.kubernetes.io/component": "report"}
    figures = a_report_message(
        sensors={"stuck": 1}, incidents={"open": 1, "opened": 1, "openedUnmuted": 1, "causes": {"machine": 1}}
    )
    added = [
        stages.finish_pods(f"{name}-report", labels=report, message=figures, weight=10**7),
        stages.finish_pods(name, labels=labels, message_template=ALL_SCORED),
        stages.finish_pods(
            f"{name}-bad", labels=labels, arguments=["bad"], exit_code=65, message=failure, weight=10**6
        ),
    ]
    for stage in added:
        cluster.add_stage(stage)
    storage = new_storage(azurite)
    for device in ("good", "bad"):
        storage.put("models", f"{device}.joblib", b"bundle")
    release = an_operator_environment(cluster, name, tmp_path_factory.mktemp(name), storage)
    (fleet,) = release.fleets
    release.fleets.append(fleet | {"name": "elsewhere", "storage": fleet["storage"] | {"models": "nowhere"}})
    release.schedules.append({"namespace": name, "name": "hourly"})
    release.install()
    shutil.copytree(release.folder / "secrets" / "default", release.folder / "secrets" / "elsewhere")
    runs = f"/apis/fleetscore.dev/v1alpha1/namespaces/{name}/scoringruns"
    body = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "spec": {"window": WINDOW}}
    with operator(release) as running:
        ends = {"name": run, "labels": {"fleetscore.dev/schedule": "hourly"}}
        cluster.api.create(runs, body | {"metadata": ends, "spec": {"window": WINDOW, "maxFailedDevices": "100%"}})
        cluster.api.create(
            runs, body | {"metadata": {"name": "stuck"}, "spec": {"window": WINDOW, "fleet": "elsewhere"}}
        )

        def complete_metrics() -> str:
            text = running.probe("/metrics")[1]
            expected = ("fleetscore_stalled_runs{", "fleetscore_runs_total{", "fleetscore_last_window_report_info{")
            return text if all(name in text for name in expected) else ""

        until(complete_metrics, "one run is reported, the other is stalled", seconds=180)
        found = running.probe("/metrics")[1]  # the first text may lack metrics that were set while it was made
        assert cluster.api.request("GET", f"{runs}/{run}")["status"]["failureReasons"] == {"ModelInvalid": 1}
    for stage in added:
        cluster.remove_stage(stage["metadata"]["name"])
    return found


@pytest.fixture(scope="module")
def exposed(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def test_promtool_accepts_the_exposed_metrics(text: str) -> None:
    assert promtool("check", "metrics", "--lint=all", stdin=text) == ""


def test_figures_of_the_report_of_a_run_are_exposed(exposed: list[Sample]) -> None:
    values = {(one.name, *one.labels.values()): one.value for one in exposed}
    found = {key[0].removeprefix("fleetscore_last_window_"): value for key, value in values.items() if value}
    assert (found["opened_incidents"], found["open_incidents"], found["flagged_sensors"]) == (1, 1, 1)
    (page,) = (one for one in exposed if one.name == "fleetscore_last_window_report_info")
    assert page.labels["url"].endswith("/report.html")
    assert page.labels["schedule"] == "hourly"


def series(samples: list[Sample]) -> dict[str, str]:
    """Return the samples as promtool's series, unchanged for half an hour."""
    found = {}
    for sample in samples:
        labels = sample.labels | {"namespace": "scoring", "pod": "operator-a"}
        found[sample.name + "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items()) + "}"] = (
            f"{sample.value}x30"
        )
    return found


def test_every_dashboard_query_returns_data_of_the_operator(exposed: list[Sample], tmp_path: Path) -> None:
    queries = [by_grafana(target["expr"]) for target in targets()] + [name for name, _label in variables()]
    assert len(queries) >= 20
    something = {f"count({query}) > bool 0": 1.0 for query in queries}
    assert evaluate(tmp_path, something, series(exposed), minutes=20) == ""


def test_dashboard_query_for_an_unknown_metric_is_detected(exposed: list[Sample], tmp_path: Path) -> None:
    for query in (
        'fleetscore_runs_total{colour=~".+"}',
        "fleetscore_run_total",
        'fleetscore_runs_total{outcome="Odd"}',
    ):
        assert "FAILED" in evaluate(tmp_path, {f"count({query}) > bool 0": 1.0}, series(exposed), minutes=20)


def test_every_shown_or_grouped_label_belongs_to_its_series(exposed: list[Sample]) -> None:
    for target in targets():
        names = set(re.findall(r"fleetscore_\w+|process_\w+", target["expr"]))
        known = {label for sample in exposed if sample.name in names for label in sample.labels} | SCRAPED
        grouped = {word for words in re.findall(r"(?:by|on) \(([^)]*)\)", target["expr"]) for word in words.split(", ")}
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert grouped | shown <= known, target
        assert shown <= grouped | SCRAPED, target


def test_dashboard_variables_are_labels_of_their_series(exposed: list[Sample]) -> None:
    for name, label in variables():
        labels = {known for sample in exposed if sample.name == name.partition("{")[0] for known in sample.labels}
        assert label in labels | SCRAPED


def test_every_series_and_label_of_an_alert_is_exposed(exposed: list[Sample]) -> None:
    labels: dict[str, set[str]] = {}
    for sample in exposed:
        labels.setdefault(sample.name, set(SCRAPED)).update(sample.labels)
    groups = find(render(VALUES), "PrometheusRule")["spec"]["groups"]
    named = [
        one for g in groups for rule in g["rules"] for one in re.findall(r"(fleetscore_\w+){([^}]*)}", rule["expr"])
    ]
    assert len({name for name, _matchers in named}) == 12
    for name, matchers in named:
        assert {matcher.partition("=")[0].rstrip("!") for matcher in matchers.split(",")} <= labels[name]
