import importlib.util

import pytest

# Fixtures known to every test; a part that is not there yet brings none.
pytest_plugins = [name for name in ("tests.support.cluster", "tests.support.azurite") if importlib.util.find_spec(name)]

_REAL = {"cluster", "container_cluster", "namespace", "azurite", "storage"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _REAL.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("real")
