"""The values that a user may get wrong are rejected before anything is installed, with a sentence."""

import re
from typing import Any

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.settings import read_settings
from tests.testkit.chart import HelmFailedError, a_fleet, a_schedule, find, render

pytestmark = pytest.mark.usefixtures("helm")

URL = "https://account.blob.core.windows.net"
A_URL, NO_PATH = "a URL without credentials", "the blob endpoint without a path"
A_BLOB_ENDPOINT = "the blob endpoint, such as https://ACCOUNT.blob.core.windows.net"
A_CRON, A_ZONE = "a cron expression with five fields", "an IANA time zone, such as Etc/UTC or Europe/Berlin"
A_DURATION = "an ISO 8601 duration, such as PT15M, PT1H or P1D"
A_QUANTITY, A_SHARE = "a quantity, such as 500m, 2 or 1Gi", "a share from 0% to 100%"
A_CONTAINER = "3 to 63 lower-case letters, digits and single dashes"
A_BLOCK = "a block of addresses, such as 169.254.169.254/32 or fd00:ec2::254/128"
DATA_PATH, MODELS_PATH = "placeholders of {yyyy}, {MM}", "the placeholder {device}"
PREDICTIONS_PATH = "the placeholders {window} and {device}"
NAMES = [
    "Models", "my_models", "ab", "a--b", "-ab", "ab-", "a" * 64, "my.models", "", "$root",
    "abc", "my-models", "a1-2-3", "0ab", "a" * 63,
]  # fmt: skip


def error_of(values: dict[str, Any]) -> str:
    """Return helm's error, or "" if the values are accepted."""
    try:
        render(values)
    except HelmFailedError as error:
        return str(error)
    return ""


def with_storage(**storage: Any) -> dict[str, Any]:
    return {"fleets": [a_fleet(storage={"accountUrl": URL} | storage)]}


def with_schedule(**more: Any) -> dict[str, Any]:
    return {"fleets": [a_fleet()], "schedules": [a_schedule(**more)]}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://account.dfs.core.windows.net", A_BLOB_ENDPOINT),
        ("https://account.DFS.core.windows.net/", A_BLOB_ENDPOINT),
        ("https://account.z12.dfs.storage.azure.net", A_BLOB_ENDPOINT),
        ("https://account.privatelink.dfs.core.windows.net/data", A_BLOB_ENDPOINT),
        ("https://account.file.core.windows.net", A_BLOB_ENDPOINT),
        ("https://account.z6.web.core.windows.net", A_BLOB_ENDPOINT),
        (f"{URL}/models", NO_PATH),
        ("https://account.blob.core.chinacloudapi.cn/data/", NO_PATH),
        (f"{URL}?sv=2024&sig=abc", A_URL),
        ("https://key@account.blob.core.windows.net", A_URL),
        ("account.blob.core.windows.net", A_URL),
        (URL, ""),
        (f"{URL}/", ""),
        ("https://account.z12.blob.storage.azure.net", ""),
        ("http://10.0.0.5:10000/devstoreaccount1", ""),
        ("http://azurite.storage.svc:10000/devstoreaccount1", ""),
        ("https://mydfs.blob.core.windows.net", ""),
    ],
)
def test_account_url_is_a_blob_endpoint(url: str, message: str) -> None:
    assert_result(with_storage(accountUrl=url), message)


def assert_result(values: dict[str, Any], message: str) -> None:
    error = error_of(values)
    assert message in error
    assert bool(error) is bool(message)


@pytest.mark.parametrize("role", ["models", "data", "predictions"])
def test_container_names_are_the_ones_that_the_scorer_accepts(role: str) -> None:
    fleets = [a_fleet(name=f"f{at}", storage={"accountUrl": URL, role: name}) for at, name in enumerate(NAMES)]
    rejected = {int(at) for at in re.findall(rf"/fleets/(\d+)/storage/{role}': value", error_of({"fleets": fleets}))}
    for at, name in enumerate(NAMES):
        assert (at not in rejected) is (name != "" and accepted_by_the_scorer(role, name)), name


def accepted_by_the_scorer(role: str, name: str) -> bool:
    try:
        read_settings({"FLEETSCORE_ACCOUNT_URL": URL, f"FLEETSCORE_{role.upper()}_CONTAINER": name})
    except UsageInvalid:
        return False
    return True


def test_invalid_container_name_is_rejected_with_the_rule() -> None:
    assert A_CONTAINER in error_of(with_storage(models="MyModels"))


@pytest.mark.parametrize(
    ("part", "path", "message"),
    [
        ("data", "x.csv", DATA_PATH),
        ("data", "{year}/{device}.csv", DATA_PATH),
        ("data", "/{device}.csv", DATA_PATH),
        ("data", "../{device}.csv", DATA_PATH),
        ("data", "{yyyy}//{device}.csv", DATA_PATH),
        ("data", "{device}/{device}.csv", DATA_PATH),
        ("data", "{yyyy}{MM}{dd}T{HH}.csv", ""),
        ("data", "raw/{device}.csv", ""),
        ("models", "model.joblib", MODELS_PATH),
        ("models", "{window}/{device}.joblib", MODELS_PATH),
        ("models", "v2/{device}.joblib", ""),
        ("predictions", "{device}.csv", PREDICTIONS_PATH),
        ("predictions", "v2/{window}/{device}.csv", ""),
    ],
)
def test_path_has_the_placeholders_that_the_scorer_needs(part: str, path: str, message: str) -> None:
    assert_result({"fleets": [a_fleet(**{part: {"path": path}})]}, message)
    variable = f"FLEETSCORE_{part.upper()}_PATH"
    if not message:
        assert read_settings({"FLEETSCORE_ACCOUNT_URL": URL, variable: path})


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"run": {"canary": {"maxFailedPercent": "half"}}}, "maxFailedPercent"),
        ({"run": {"canary": {"maxFailedPercent": 101}}}, "maxFailedPercent"),
        ({"run": {"canary": {"jobs": 0}}}, "jobs"),
        ({"run": {"canary": {"devices": 3}}}, "devices"),
        ({"run": {"canary": {"jobs": 5, "maxFailedPercent": "12.5%"}}}, ""),
        ({"run": {"maxFailedDevices": "101%"}}, "maxFailedDevices"),
        ({"cron": "every hour"}, A_CRON),
        ({"cron": "0 5 * * * *"}, A_CRON),
        ({"cron": "5 * * *"}, A_CRON),
        ({"cron": "60 * * * *"}, A_CRON),
        ({"cron": "5 24 * * *"}, A_CRON),
        ({"cron": "5 * 0 * *"}, A_CRON),
        ({"cron": "5 * * 13 *"}, A_CRON),
        ({"cron": "5 * * * 7"}, A_CRON),
        ({"cron": "*/0 * * * *"}, A_CRON),
        ({"cron": "TZ=UTC 5 * * * *"}, A_CRON),
        ({"timeZone": "Mars/Olympus"}, A_ZONE),
        ({"timeZone": "Local"}, A_ZONE),
        ({"timeZone": "CEST"}, A_ZONE),
        ({"timeZone": "UTC+2"}, A_ZONE),
        ({"timeZone": "europe/berlin"}, A_ZONE),
        ({"window": "1h"}, A_DURATION),
        ({"delay": "PT3"}, A_DURATION),
    ],
)
def test_invalid_schedule_is_rejected_with_the_rule(schedule: dict[str, str], message: str) -> None:
    assert message in error_of(with_schedule(**schedule))


def test_valid_times_of_schedules_are_accepted() -> None:
    crons = [
        "5 * * * *",
        "*/15 0-6,12 1 JAN-mar Mon-Fri",
        "0  1 ? 12 0",
        "59 23 31 dec SUN",
        "@hourly",
        "1-59/2 * * * *",
    ]
    zones = ["Etc/UTC", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "Asia/Ho_Chi_Minh", "Australia/Eucla"]
    schedules = [
        a_schedule(name=f"s{at}", cron=cron, timeZone=zone)
        for at, (cron, zone) in enumerate(zip(crons, zones, strict=True))
    ]
    assert len([m for m in render({"fleets": [a_fleet()], "schedules": schedules}) if m["kind"] == "CronJob"]) == 6


@pytest.mark.parametrize(
    "values",
    [
        {"operator": {"resources": {"limits": {"memory": "lots"}}}},
        {"scorer": {"resources": {"requests": {"cpu": "half"}}}},
        {"scorer": {"maxResources": {"memory": "4 Gi"}}},
        {"scheduler": {"resources": {"limits": {"memory": "1GB"}}}},
        {"fleets": [a_fleet(scorer={"resources": {"limits": {"memory": "1gi"}}})]},
        {"fleets": [a_fleet(scorer={"maxResources": {"cpu": ""}})]},
        {"resourceQuota": {"hard": {"pods": "many"}}},
    ],
    ids=str,
)
def test_invalid_quantity_is_rejected_with_the_rule(values: dict[str, Any]) -> None:
    assert A_QUANTITY in error_of(values)


def test_valid_quantities_are_accepted() -> None:
    limits = {"cpu": 0.5, "memory": "1.5Gi", "ephemeral-storage": "2G", "nvidia.com/gpu": 1, "hugepages-2Mi": "0"}
    resources = find(render({"operator": {"resources": {"limits": limits}}}), "Deployment")
    assert resources["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == limits


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "300.1.1.1/32", "0.0.0.0/0", "::/0", "fd00:ec2::254/129", "fd00::1::2/128", "metadata"],
)
def test_invalid_block_of_addresses_is_rejected_with_the_rule(address: str) -> None:
    assert A_BLOCK in error_of({"networkPolicy": {"metadataAddresses": [address]}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scorer": {"extraEnv": [{"name": "A", "value": 5}]}}, "'/scorer/extraEnv/0/value': got number, want string"),
        ({"fleets": [a_fleet(scorer={"extraEnv": [{"name": "A", "value": True}]})]}, "got boolean, want string"),
        ({"operator": {"extraEnv": [{"value": "a"}]}}, "'/operator/extraEnv/0': missing property 'name'"),
        ({"scorer": {"extraVolumeMounts": [{"name": "a"}]}}, "missing property 'mountPath'"),
        ({"networkPolicy": {"storagePorts": None}}, "'/networkPolicy': missing property 'storagePorts'"),
        ({"networkPolicy": {"metadataAddresses": None}}, "'/networkPolicy': missing property 'metadataAddresses'"),
    ],
    ids=str,
)
def test_value_that_would_fail_later_or_open_a_policy_is_rejected(values: dict[str, Any], message: str) -> None:
    assert message in error_of(values)


@pytest.mark.parametrize(("share", "message"), [("101%", A_SHARE), ("5", A_SHARE), ("100%", ""), ("2.5%", "")])
def test_share_is_at_most_a_hundred_percent(share: str, message: str) -> None:
    assert_result({"fleets": [a_fleet(anomalousWhen={"share": share})]}, message)


def test_schedule_that_overwrites_needs_a_fleet_that_allows_it() -> None:
    overwrite = a_schedule(run={"writePolicy": "Overwrite"})
    message = (
        'schedules: "hourly" has run.writePolicy Overwrite, which the fleet "default" forbids; '
        "set the fleet's predictions.allowOverwrite to true, or use IfChanged"
    )
    assert message in error_of({"fleets": [a_fleet()], "schedules": [overwrite]})
    allowed = a_fleet(predictions={"allowOverwrite": True})
    assert error_of({"fleets": [allowed], "schedules": [overwrite]}) == ""


def test_event_windowmissing_is_rejected_and_names_the_alert() -> None:
    receiver = {"name": "ops", "type": "webhook", "url": "https://example.org/hook"}
    accepted = {"fleets": [a_fleet(notify=[receiver | {"events": ["opened", "closed", "runFailed"]}])]}
    assert error_of(accepted) == ""
    error = error_of({"fleets": [a_fleet(notify=[receiver | {"events": ["windowMissing"]}])]})
    assert "one of opened, closed and runFailed" in error
    assert "FleetscoreWindowMissing" in error
