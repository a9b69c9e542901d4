"""Tests of the settings: defaults, limits and invalid variables."""

from datetime import timedelta

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.quality import NO_QUALITY
from device_scorer.settings import AnomalousWhen, Limits, Settings, read_settings


def test_settings_of_a_folder_need_no_environment() -> None:
    found = read_settings({}, "somewhere")
    assert (found.data_path, found.models_path, found.predictions_path) == (
        "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv",
        "{device}.joblib",
        "{window}/{device}.csv",
    )
    assert (found.anomalous_when, found.allow_overwrite) == (AnomalousWhen(share=0.01, min_rows=3), False)


def test_empty_environment_equals_the_defaults_of_the_settings() -> None:
    found = read_settings({}, "somewhere")
    assert (found.limits, found.anomalous_when, found.data_partition, dict(found.containers)) == (
        Settings().limits,
        Settings().anomalous_when,
        Settings().data_partition,
        dict(Settings().containers),
    )


def test_default_limits_are_those_of_a_fleet() -> None:
    assert Settings().limits == Limits(
        max_data_bytes=134_217_728,
        max_rows=3_000_000,
        max_model_bytes=67_108_864,
        max_model_unpacked_bytes=268_435_456,
        max_bad_share=0.5,
    )


def test_each_variable_sets_its_setting() -> None:
    found = read_settings(
        {
            "FLEETSCORE_ACCOUNT_URL": "https://acc.blob.core.windows.net/",
            "FLEETSCORE_AUTH": "sas",
            "AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x",
            "FLEETSCORE_MODELS_CONTAINER": "models-1",
            "FLEETSCORE_DATA_CONTAINER": "data-1",
            "FLEETSCORE_PREDICTIONS_CONTAINER": "predictions-1",
            "FLEETSCORE_DATA_PATH": "{yyyy}/{device}.csv",
            "FLEETSCORE_DATA_PARTITION": "P1D",
            "FLEETSCORE_MODELS_PATH": "m/{device}",
            "FLEETSCORE_MODELS_TRUST": "any",
            "FLEETSCORE_PREDICTIONS_PATH": "p/{window}/{device}",
            "FLEETSCORE_ALLOW_OVERWRITE": "true",
            "FLEETSCORE_ANOMALOUS_SHARE": "2.5%",
            "FLEETSCORE_ANOMALOUS_MIN_ROWS": "7",
            "FLEETSCORE_MAX_DATA_BYTES": "1",
            "FLEETSCORE_MAX_ROWS": "2",
            "FLEETSCORE_MAX_MODEL_BYTES": "3",
            "FLEETSCORE_MAX_MODEL_UNPACKED_BYTES": "4",
            "FLEETSCORE_MAX_BAD_ROWS": "10%",
        }
    )
    assert (found.account_url, found.auth, found.sas_token) == (
        "https://acc.blob.core.windows.net",
        "sas",
        "sv=1&sig=x",
    )
    assert dict(found.containers) == {"models": "models-1", "data": "data-1", "predictions": "predictions-1"}
    assert (found.data_path, found.data_partition) == ("{yyyy}/{device}.csv", timedelta(days=1))
    assert (found.models_path, found.trust_any_model, found.predictions_path, found.allow_overwrite) == (
        "m/{device}",
        True,
        "p/{window}/{device}",
        True,
    )
    assert found.anomalous_when == AnomalousWhen(share=0.025, min_rows=7)
    assert found.limits == Limits(1, 2, 3, 4, 0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEETSCORE_AUTH", "password"),
        ("FLEETSCORE_DATA_PATH", "../{device}"),
        ("FLEETSCORE_DATA_PARTITION", "1h"),
        ("FLEETSCORE_MODELS_PATH", "model.joblib"),
        ("FLEETSCORE_MODELS_TRUST", "maybe"),
        ("FLEETSCORE_MODELS_CONTAINER", "Up"),
        ("FLEETSCORE_MODELS_CONTAINER", "ab"),
        ("FLEETSCORE_MODELS_CONTAINER", "a" * 64),
        ("FLEETSCORE_ANOMALOUS_SHARE", "101%"),
        ("FLEETSCORE_ANOMALOUS_SHARE", "0.01"),
        ("FLEETSCORE_ANOMALOUS_MIN_ROWS", "-1"),
        ("FLEETSCORE_MAX_DATA_BYTES", "1G"),
        ("FLEETSCORE_ALLOW_OVERWRITE", "yes"),
    ],
)
def test_invalid_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageInvalid, match=name):
        read_settings({name: value}, "somewhere")


@pytest.mark.parametrize("name", ["abc", "a" * 63])
def test_container_name_of_3_to_63_characters_is_accepted(name: str) -> None:
    assert read_settings({"FLEETSCORE_DATA_CONTAINER": name}, "somewhere").containers["data"] == name


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "FLEETSCORE_ACCOUNT_URL"),
        ({"FLEETSCORE_AUTH": "connectionString"}, "AZURE_STORAGE_CONNECTION_STRING"),
        ({"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": "https://a"}, "AZURE_STORAGE_SAS_TOKEN"),
        ({"FLEETSCORE_ACCOUNT_URL": "https://a?sig=secret"}, r"must be an http\(s\) URL without user and query"),
    ],
)
def test_missing_storage_setting_is_named_without_a_secret(environment: dict[str, str], named: str) -> None:
    with pytest.raises(UsageInvalid, match=named) as rejected:
        read_settings(environment)
    assert "secret" not in str(rejected.value)


@pytest.mark.fault("T13")
def test_repr_of_settings_has_no_secret() -> None:
    environment = {
        "FLEETSCORE_AUTH": "connectionString",
        "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=canary1",
        "AZURE_STORAGE_SAS_TOKEN": "?sig=canary2",
    }
    assert "canary" not in repr(read_settings(environment))


@pytest.mark.parametrize(
    ("rule", "rows", "anomalies", "anomalous"),
    [
        (AnomalousWhen(share=0.01, min_rows=3), 100, 2, False),
        (AnomalousWhen(share=0.01, min_rows=3), 300, 3, True),
        (AnomalousWhen(share=0.01, min_rows=3), 301, 3, False),
        (AnomalousWhen(share=0.0, min_rows=0), 100, 0, False),
        (AnomalousWhen(share=0.0, min_rows=0), 100, 1, True),
    ],
)
def test_device_is_anomalous_if_share_and_number_are_reached(
    rule: AnomalousWhen, rows: int, anomalies: int, *, anomalous: bool
) -> None:
    assert rule.is_anomalous(rows, anomalies) == anomalous


def test_device_with_exactly_the_share_is_anomalous() -> None:
    for tenths in range(1, 1001):
        environment = {"FLEETSCORE_ANOMALOUS_SHARE": f"{tenths / 10}%", "FLEETSCORE_ANOMALOUS_MIN_ROWS": "1"}
        rule = read_settings(environment, "folder").anomalous_when
        for rows in (1_000, 3_000, 7_000):
            assert rule.is_anomalous(rows, rows * tenths // 1_000)
            assert not rule.is_anomalous(rows, rows * tenths // 1_000 - 1)


def test_quality_of_the_fleet_is_json() -> None:
    settings = read_settings({"FLEETSCORE_QUALITY": '{"badValues": [-9999]}'}, "folder")
    assert settings.quality.rule("1").bad_values == frozenset({-9999})
    assert read_settings({}, "folder").quality is NO_QUALITY
    with pytest.raises(UsageInvalid, match=r"FLEETSCORE_QUALITY: quality\.x is invalid: the keys are interval"):
        read_settings({"FLEETSCORE_QUALITY": '{"x": 1}'}, "folder")
