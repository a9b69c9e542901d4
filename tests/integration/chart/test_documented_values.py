"""The values that the documents show are valid for the chart."""

from pathlib import Path

import pytest
import yaml

from tests.testkit.chart import find, render
from tests.testkit.documents import page_values
from tests.testkit.paths import CHART, ROOT

pytestmark = pytest.mark.usefixtures("helm")


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "operations" / "install.md", CHART / "README.md"], ids=["guide", "chart"]
)
def test_the_values_that_a_page_shows_render_a_schedule_and_mount_the_secret(page: Path) -> None:
    manifests = render(yaml.safe_load(page_values(page).replace("REGISTRY", "registry.example.com")))
    assert find(manifests, "CronJob", "fleetscore-hourly")
    volumes = find(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volumes[2]["secret"]["secretName"] == "fleet-storage"
