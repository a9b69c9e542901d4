import pytest

from localcluster.tools import ensure_program
from tests.chart.conftest import helm

__all__ = ["helm", "promtool"]


@pytest.fixture(scope="session")
def promtool() -> None:
    """promtool, built from source where a machine has none."""
    ensure_program("promtool")
