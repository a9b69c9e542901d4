"""The values that a user may get wrong are rejected before anything is installed, with a sentence."""

import re
from typing import Any

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.health.settings import parse_incident_settings
from device_scorer.notify.receivers import parse_receivers
from device_scorer.quality import parse_quality
from device_scorer.settings import read_settings
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.contract.command import report_environment, scorer_environment
from tests.testkit.chart import HelmFailedError, a_fleet, a_schedule, find, render

pytestmark = pytest.mark.usefixtures("helm")

URL = "https://account.blob.core.windows.net"
A_URL, NO_PATH = "a URL without credentials", "the blob endpoint without a path"
A_BLOB_ENDPOINT = "the blob endpoint, such as https://ACCOUNT.blob.core.windows.net"
A_CRON, A_ZONE = "a cron expression with five fields", "an IANA time zone, such as Etc/UTC or Europe/Berlin"
A_DURATION = "an ISO 8601 duration, such as PT15M, PT1H or P1D"
A_MINUTE = "a duration of at least a minute, such as PT15M, PT1H or P1D"
A_SHORT_DURATION = "a duration above zero, such as 15s, 30m or 1h30m"
A_POSITIVE_SHARE = "a share above 0% and up to 100%, such as 30%"
A_RECEIVER_URL = "an http(s) URL with a valid host and port, and without a user"
A_HOOK = {"name": "ops", "type": "webhook", "url": "https://example.org/hook"}
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
        ({"run": {"devicesPerJob": 501}}, "devicesPerJob"),
        ({"run": {"devicesPerJob": "many"}}, "devicesPerJob"),
        ({"run": {"devicesPerJob": "Auto", "devices": {"ids": ["a"]}}}, ""),
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
        ({"window": "PT0S"}, A_MINUTE),
        ({"window": "PT59S"}, A_MINUTE),
        ({"window": "P0DT00H0M007S"}, A_MINUTE),
        ({"window": "P366DT1S"}, 'schedules: "hourly" has window P366DT1S; set a duration of at most 366 days'),
        ({"window": "PT99999H"}, 'schedules: "hourly" has window PT99999H; set a duration of at most 366 days'),
        ({"delay": "PT3"}, A_DURATION),
    ],
)
def test_invalid_schedule_is_rejected_with_the_rule(schedule: dict[str, str], message: str) -> None:
    assert_result(with_schedule(**schedule), message)


def test_devices_of_a_schedule_that_the_schema_rejects_are_named() -> None:
    values = with_schedule(run={"devices": {"ids": ["a"], "include": ["b*"]}})
    assert_result(values, "/run/devices': maxProperties: got 2, want 1")


@pytest.mark.parametrize("window", ["PT60S", "PT1M", "P366D", "PT8784H", "P0DT1M0S", "P365DT23H59M60S"])
def test_window_from_a_minute_to_366_days_is_accepted(window: str) -> None:
    assert error_of(with_schedule(window=window)) == ""


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


@pytest.mark.parametrize(
    ("fleet", "message"),
    [
        ({"quality": {"staleAfter": "0s"}}, A_SHORT_DURATION),
        ({"quality": {"interval": "PT"}}, A_SHORT_DURATION),
        ({"quality": {"interval": "1234567890s"}}, A_SHORT_DURATION),
        (
            {"quality": {"flatLine": {"for": "366d1s"}}},
            "has quality.flatLine.for 366d1s; set a duration of at most 366",
        ),
        (
            {"quality": {"tags": {"a*": {"interval": "P366DT1S"}}}},
            'quality.tags["a*"].interval P366DT1S; set a duration',
        ),
        ({"quality": {"tags": {"": {"minShare": 1}}}}, 'quality.tags[""]; write a pattern of 1 to 256 characters'),
        ({"quality": {"range": [5, 1]}}, "has quality.range [5, 1]; write the lower number first"),
        ({"incidents": {"suspiciousShare": "0%"}}, A_POSITIVE_SHARE),
        ({"incidents": {"suspiciousShare": "0.0000001%"}}, A_POSITIVE_SHARE),
        (
            {"owners": [{"devices": "*", "name": "Hall\n1"}]},
            r'owners[].name "Hall\n1" with a line break or an invisible',
        ),
        (
            {"owners": [{"devices": "*", "name": "x", "contact": "a\u200b"}]},
            r'owners[].contact "a\u200b" with a line break',
        ),
        ({"notify": [A_HOOK, A_HOOK]}, 'fleets: notify of "default": the name "ops" is used twice; give each its own'),
        ({"notify": [A_HOOK | {"url": "http://[::1/hook"}]}, A_RECEIVER_URL),
        ({"notify": [A_HOOK | {"url": "https://[workspace].example.com/hook"}]}, A_RECEIVER_URL),
        ({"data": {"partition": "PT0S"}}, "a duration above zero, such as PT15M, PT1H or P1D"),
    ],
    ids=str,
)
def test_setting_of_a_fleet_that_its_pods_reject_is_rejected(fleet: dict[str, Any], message: str) -> None:
    assert message in error_of({"fleets": [a_fleet(**fleet)]})


@pytest.mark.parametrize(
    ("fleet", "message"),
    [
        ({"quality": {"badValues": [1.5e150]}}, "/quality/badValues/0': maximum"),
        ({"quality": {"range": [-1.5e150, 0]}}, "/quality/range/0': minimum"),
        ({"quality": {"rateOfChange": 1.5e150}}, "/quality/rateOfChange': maximum"),
        ({"quality": {"flatLine": {"tolerance": 1.5e150}}}, "/quality/flatLine/tolerance': maximum"),
        ({"quality": {"badWhen": {"column": "a", "values": [1.5e150]}}}, "/quality/badWhen/values/0': maximum"),
        ({"quality": {"badWhen": {"column": "a", "values": ["a" * 257]}}}, "/quality/badWhen/values/0': maxLength"),
        ({"notify": [A_HOOK | {"keyFrom": {"name": "s", "key": "a b"}}]}, "/keyFrom/key'"),
        ({"maxActiveJobs": 1_000_001}, "/maxActiveJobs': maximum"),
    ],
    ids=str,
)
def test_setting_of_a_fleet_that_the_schema_rejects_is_named(fleet: dict[str, Any], message: str) -> None:
    assert message in error_of({"fleets": [a_fleet(**fleet)]})


@pytest.mark.parametrize(
    ("letter", "count"), [("x", 180), ("\u00fc", 30), ("\U0001f3ed", 17), ("<", 30), (",", 90)], ids=ascii
)
def test_owners_that_the_chart_accepts_are_accepted_by_the_report(letter: str, count: int) -> None:
    owners = [{"devices": f"d{at}*", "name": letter * 190, "contact": letter * 100} for at in range(200)]
    assert 'fleets: "default" has owners with' in error_of({"fleets": [a_fleet(owners=owners)]})
    fleet = a_fleet(owners=owners[:count], namespaces=["scoring"])
    assert error_of({"fleets": [fleet]}) == ""
    (variable,) = report_environment(parse_fleet(fleet))
    assert len(parse_incident_settings(variable["value"]).owners) == count


@pytest.mark.parametrize(
    "fleet",
    [
        {"quality": {"interval": "366d", "staleAfter": "PT8784H", "range": [1, 1], "badValues": [1e150, -1e150]}},
        {"quality": {"flatLine": {"for": "0h0m1s"}, "tags": {"\u00fc" * 256: {"interval": "P1DT"}}}},
        {
            "incidents": {"suspiciousShare": "0.000001%"},
            "owners": [{"devices": "*", "name": "M\u00fcller \U0001f3ed 1"}],
        },
        {"notify": [A_HOOK, A_HOOK | {"name": "b", "url": "http://[::1]:9093"}]},
        {
            "notify": [
                A_HOOK | {"url": "http://host:/a?b=c"},
                A_HOOK | {"name": "b", "url": "http://m\u00fcller.example"},
            ]
        },
    ],
)
def test_setting_of_a_fleet_that_its_pods_accept_is_accepted(fleet: dict[str, Any]) -> None:
    assert error_of({"fleets": [a_fleet(**fleet)]}) == ""
    read = parse_fleet(a_fleet(namespaces=["scoring"], **fleet))
    variables = {one["name"]: one["value"] for one in (*scorer_environment(read), *report_environment(read))}
    assert parse_quality(variables.get("FLEETSCORE_QUALITY", ""))
    assert parse_incident_settings(variables["FLEETSCORE_INCIDENTS"])
    assert parse_receivers(variables).problems == ()


@pytest.mark.parametrize("name", ["maxActiveJobs", "maxActiveJobsPerNamespace"])
def test_limit_of_jobs_that_the_schema_rejects_is_named(name: str) -> None:
    assert f"'/operator/{name}': maximum" in error_of({"operator": {name: 1_000_001}})
    assert error_of({"operator": {name: 1_000_000}}) == ""


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
    accepted = {"fleets": [a_fleet(notify=[A_HOOK | {"events": ["opened", "closed", "runFailed"]}])]}
    assert error_of(accepted) == ""
    error = error_of({"fleets": [a_fleet(notify=[A_HOOK | {"events": ["windowMissing"]}])]})
    assert "one of opened, closed and runFailed" in error
    assert "FleetscoreWindowMissing" in error
