"""Fixtures of the scorer's tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcluster.azurite import Azurite, OAuth
from tests.scorer import identity
from tests.scorer.fleet import Fleet
from tests.scorer.identity import Platform
from tests.support.azurite import Storage, new_storage


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """An empty fleet in a folder; the environment of the developer does not reach it."""
    for name in ("FLEETSCORE_TERMINATION_LOG", "FLEETSCORE_ALLOW_OVERWRITE", "FLEETSCORE_MODELS_TRUST"):
        monkeypatch.delenv(name, raising=False)
    return Fleet(tmp_path / "fleet")


@dataclass(frozen=True)
class Workload:
    """Fresh containers on an Azurite that wants tokens, and the identity platform that hands them out."""

    storage: Storage
    platform: Platform


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Azurite, Platform]]:
    folder = tmp_path_factory.mktemp("identity")
    certificate, key = identity.certificate(folder)
    with (
        Azurite.start(folder / "store", containers=(), oauth=OAuth(certificate, key)) as azurite,
        identity.serving(folder, certificate, key) as platform,
    ):
        yield azurite, platform


@pytest.fixture
def workload(tokens: tuple[Azurite, Platform], monkeypatch: pytest.MonkeyPatch) -> Iterator[Workload]:
    """The environment of a pod with workload identity is set."""
    azurite, platform = tokens
    platform.refusals.clear()
    platform.asked = 0
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    storage = new_storage(azurite)
    yield Workload(storage, platform)
    storage.client.close()
