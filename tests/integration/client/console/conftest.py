"""The console's fleet in a storage account."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from fleetscore.store.azure import CONNECTION_STRING_VARIABLE, AzureStore
from tests.testkit.azurite import Storage
from tests.testkit.browser import started_browser
from tests.testkit.console_fleet import write_fleet

expect.set_options(timeout=60_000)  # a busy machine is not a mistake of a page


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with started_browser() as found:
        yield found


@pytest.fixture
def filled(storage: Storage, tmp_path: Path) -> Storage:
    """Return the containers with the fleet of the console."""
    folder = write_fleet(tmp_path / "fleet")
    for role in ("models", "predictions"):
        for path in sorted((folder / role).rglob("*")):
            if path.is_file():
                storage.put(role, path.relative_to(folder / role).as_posix(), path.read_bytes())
    return storage


@pytest.fixture
def account(filled: Storage) -> AzureStore:
    """Return the client's store with the fleet of the console."""
    return connect(filled, filled.connection_string)


def connect(storage: Storage, connection_string: str) -> AzureStore:
    containers = {role: storage.container(role) for role in ("models", "data", "predictions")}
    return AzureStore.connect("", containers, environment={CONNECTION_STRING_VARIABLE: connection_string})
