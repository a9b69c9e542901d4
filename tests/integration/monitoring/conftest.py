import pytest

from localcluster.toolchain.tools import ensure_program


@pytest.fixture(scope="session")
def promtool() -> None:
    """promtool, built from source where a machine has none."""
    ensure_program("promtool")
