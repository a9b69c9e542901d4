import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_scorer.cli import run as device_scorer
from localcluster import images
from localcluster.azurite import Azurite
from localcluster.cluster import Cluster
from tests.e2e.release import WINDOW_END, WINDOW_START, Release
from tests.support.azurite import new_storage


@pytest.fixture(scope="session")
def loaded_cluster(container_cluster: Cluster) -> Cluster:
    """The cluster with both images."""
    for name in images.NAMES:
        container_cluster.load_image(images.build(name))
    return container_cluster


@pytest.fixture(scope="session")
def pods_azurite(container_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An Azurite that pods reach."""
    folder = tmp_path_factory.mktemp("pods-azurite") / "store"
    with Azurite.start(folder, host=container_cluster.host_address, containers=()) as running:
        yield running


@pytest.fixture
def release(loaded_cluster: Cluster, pods_azurite: Azurite) -> Iterator[Release]:
    """A release that is not installed yet; its namespace goes at the end."""
    made = Release(loaded_cluster, new_storage(pods_azurite), f"e2e-{secrets.token_hex(4)}")
    yield made
    made.storage.client.close()
    made.uninstall()


@pytest.fixture(scope="session")
def fleet_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Makes a folder store with the readings and models of N simulated devices, one anomalous hour at its end."""

    def make(devices: int) -> Path:
        folder = tmp_path_factory.mktemp("fleet")
        size = ["--devices", str(devices), "--tags", "5", "--hours", "4", "--interval", "60"]
        end = f"{WINDOW_END:%Y-%m-%dT%H:%M:%SZ}"
        assert device_scorer(["simulate", "--store", str(folder), *size, "--end", end]) == 0
        until = f"{WINDOW_START:%Y-%m-%dT%H:%M:%SZ}"
        assert device_scorer(["train", "--store", str(folder), "--end", until]) == 0
        return folder

    return make
