from tests.chart.conftest import helm
from tests.integration.conftest import crd, operate, pytest_configure, runs, staged

__all__ = ["crd", "helm", "operate", "pytest_configure", "runs", "staged"]
