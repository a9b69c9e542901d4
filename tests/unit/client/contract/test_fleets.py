"""The fleets file of a release, as the client reads it."""

from datetime import timedelta

import pytest

from fleetscore.contract.fleets import FleetLayout, SecretReference, parse_fleets
from fleetscore.errors import DataInvalid

ENTRY = {
    "name": "plant",
    "namespaces": ["scoring"],
    "storage": {
        "accountUrl": "https://plant.blob.core.windows.net",
        "data": "raw",
        "auth": "existingSecret",
        "existingSecret": {"name": "account", "kind": "sas", "key": "token"},
    },
    "data": {"path": "{yyyy}/{device}.csv", "partition": "P1D"},
    "models": {"path": "v1/{device}.joblib"},
    "scorer": {"unknown": 1},
}


def test_layout_has_the_settings_of_the_file_and_the_defaults() -> None:
    layout = parse_fleets({"fleets": [ENTRY]})["plant"]
    assert layout == FleetLayout(
        name="plant",
        namespaces=("scoring",),
        account_url="https://plant.blob.core.windows.net",
        containers={"models": "models", "data": "raw", "predictions": "predictions"},
        models_path="v1/{device}.joblib",
        data_path="{yyyy}/{device}.csv",
        partition=timedelta(days=1),
        secret=SecretReference("account", "token", "sas"),
    )


def test_fleet_with_workload_identity_has_no_secret() -> None:
    entry = {"name": "plant", "storage": {"existingSecret": {"name": "unused"}}}
    assert parse_fleets({"fleets": [entry]})["plant"].secret is None


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], {}, {"fleets": 1}, {"fleets": ["x"]}, {"fleets": [{"storage": {}}]}, {"fleets": [{"name": 1}]}),
        {"fleets": [{"name": "a", "storage": {"accountUrl": 1}}]},
        {"fleets": [{"name": "a", "models": {"path": "{window}/{device}"}}]},
        {"fleets": [{"name": "a", "data": {"path": "readings.csv"}}]},
        {"fleets": [{"name": "a", "data": {"partition": 3}}]},
    ],
    ids=["none", "list", "empty", "number", "text", "no-name", "name", "url", "placeholder", "no-device", "partition"],
)
def test_invalid_fleets_file_is_rejected(document: object) -> None:
    with pytest.raises(DataInvalid, match="the fleets file is invalid"):
        parse_fleets(document)
