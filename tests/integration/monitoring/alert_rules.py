"""The alert rules of the chart, with the schedules of ci/monitoring-values.yaml."""

from functools import cache
from typing import Any

from tests.testkit.chart import find, render
from tests.testkit.paths import CHART

VALUES = CHART / "ci" / "monitoring-values.yaml"


@cache
def rules() -> dict[str, Any]:
    return dict(find(render(VALUES), "PrometheusRule")["spec"])
