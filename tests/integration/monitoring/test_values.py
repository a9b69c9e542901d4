"""Each value of the chart that concerns monitoring, set to another than its default, is seen where it takes effect."""

import json
from typing import Any

import pytest

from tests.integration.monitoring.alert_rules import VALUES, rules
from tests.testkit.chart import HelmFailedError, Manifest, a_fleet, find, pod_templates, render

pytestmark = pytest.mark.usefixtures("helm")


def monitored(**monitoring: Any) -> list[Manifest]:
    return render({"fleets": [a_fleet()], "monitoring": monitoring})


def kinds(manifests: list[Manifest]) -> set[str]:
    return {manifest["kind"] for manifest in manifests}


@pytest.mark.value(
    "monitoring.serviceMonitor.enabled",
    "monitoring.podMonitor.enabled",
    "monitoring.alerts.enabled",
    "monitoring.dashboard.enabled",
)
def test_monitoring_objects_exist_only_if_enabled() -> None:
    on = {"enabled": True}
    before = kinds(monitored())
    assert kinds(monitored(serviceMonitor=on)) - before == {"Service", "ServiceMonitor"}
    assert kinds(monitored(podMonitor=on)) - before == {"PodMonitor"}
    assert kinds(monitored(alerts=on)) - before == {"PrometheusRule"}
    names = {m["metadata"]["name"] for m in monitored(dashboard=on)} - {m["metadata"]["name"] for m in monitored()}
    assert names == {"fleetscore-dashboard"}


def test_both_monitors_together_are_rejected() -> None:
    with pytest.raises(HelmFailedError, match="enable serviceMonitor or podMonitor, not both"):
        monitored(serviceMonitor={"enabled": True}, podMonitor={"enabled": True})


@pytest.mark.value("monitoring.labels", "monitoring.interval")
def test_service_monitor_selects_the_operators_port_and_has_its_labels() -> None:
    manifests = render(VALUES)
    monitor, service = find(manifests, "ServiceMonitor"), find(manifests, "Service")
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert endpoint == {"port": port["name"], "interval": "15s"}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    for found in (monitor, find(manifests, "PrometheusRule")):
        assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert selects_the_operator(manifests, service["spec"]["selector"], port["targetPort"])


def test_pod_monitor_selects_the_operators_port() -> None:
    manifests = monitored(podMonitor={"enabled": True})
    spec = find(manifests, "PodMonitor")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint == {"port": "metrics", "interval": "30s"}
    assert selects_the_operator(manifests, spec["selector"]["matchLabels"], endpoint["port"])


def selects_the_operator(manifests: list[Manifest], labels: dict[str, str], port: str) -> bool:
    """Return True if labels select only the pods of the operator, which have the port."""
    every = pod_templates(manifests)
    selected = [name for name, pod in every.items() if labels.items() <= pod["metadata"]["labels"].items()]
    ports = every["Deployment/fleetscore-operator"]["spec"]["containers"][0]["ports"]
    return selected == ["Deployment/fleetscore-operator"] and port in [one["name"] for one in ports]


@pytest.mark.value(
    "monitoring.alerts.stalledMinutes",
    "monitoring.alerts.failedShare",
    "monitoring.alerts.emptyShare",
    "monitoring.alerts.withoutModelShare",
    "monitoring.alerts.flaggedSensors",
    "monitoring.alerts.throttledShare",
)
def test_alert_thresholds_are_those_of_the_values() -> None:
    def bounds(spec: dict[str, Any]) -> dict[str, str]:
        found = {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"]}
        shares = (
            "FleetscoreDevicesFailed",
            "FleetscoreDevicesEmpty",
            "FleetscoreDevicesWithoutModel",
            "FleetscoreSensorsFlagged",
            "FleetscoreThrottled",
        )
        stalled = {"FleetscoreRunStalled": found["FleetscoreRunStalled"]["for"]}
        return stalled | {alert: found[alert]["expr"].rpartition("> ")[2] for alert in shares}

    default = bounds(find(monitored(alerts={"enabled": True}), "PrometheusRule")["spec"])
    assert list(default.values()) == ["15m", "0.05", "0.3", "0.05", "0", "0.05"]
    assert list(bounds(rules()).values()) == ["5m", "0.1", "0.5", "0.2", "3", "0.01"]


def test_suspended_or_missing_schedules_have_no_window_alerts() -> None:
    windows = [rule["labels"] for rule in rules()["groups"][0]["rules"]]
    assert {labels["schedule"] for labels in windows} == {"hourly", "quarterly"}
    groups = find(monitored(alerts={"enabled": True}), "PrometheusRule")["spec"]["groups"]
    assert [group["name"] for group in groups] == ["fleetscore-runs", "fleetscore-health", "fleetscore-operator"]


@pytest.mark.value("monitoring.dashboard.labels", "monitoring.dashboard.annotations")
def test_dashboard_config_map_has_the_label_of_grafanas_sidecar() -> None:
    found = find(render(VALUES), "ConfigMap", "fleetscore-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "fleetscore"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Scoring"}
    assert json.loads(found["data"]["fleetscore.json"])["uid"] == "fleetscore"
    default = find(monitored(dashboard={"enabled": True}), "ConfigMap", "fleetscore-dashboard")["metadata"]
    assert (default["labels"]["grafana_dashboard"], "annotations" in default) == ("1", False)
