from tests.chart.conftest import helm
from tests.integration.conftest import crd, operate, runs, staged

__all__ = ["crd", "helm", "operate", "runs", "staged"]
