"""T1: whatever the author of a ScoringRun writes, pods run as the administrator says; over all that the CRD lets in.

The runs are made from the CRD's own schema, so a field that is added to it is tried without a change here.
"""

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.scoringrun import ScoringRun, parse_run
from scoring_operator.contract.command import report_environment, scorer_environment
from scoring_operator.planner.device_list import DiscoveredDevices, InitialState, create_initial_state
from scoring_operator.resources.jobs import ScorerImage, build_job, build_report_job
from tests.testkit.builders import NOW, a_batch, a_body
from tests.testkit.paths import CRD

IMAGE = ScorerImage("registry.example/scorer@sha256:abc", "IfNotPresent", ("pull",))
FLEET = parse_fleet(
    {
        "name": "default",
        "namespaces": ["scoring"],
        "storage": {
            "accountUrl": "https://account.blob.core.windows.net",
            "auth": "existingSecret",
            "existingSecret": {"name": "fleet-storage", "key": "connectionString"},
        },
        "scorer": {"serviceAccountName": "scorer", "nodeSelector": {"pool": "scoring"}, "podLabels": {"team": "x"}},
    }
)
DEVICE = st.text("abcXYZ019-.%_#*?!(),:=@$'", min_size=1, max_size=128)
WINDOWS = [("2018-08-28T23:00:00Z", "2018-08-29T00:00:00Z"), ("2018-01-01T00:00:00Z", "2019-01-01T00:00:00Z")]
SHARE = st.integers(0, 10**6) | st.sampled_from(["0%", "5.5%", "100%"])
# The limits that the schema states in rules (CEL) and not in types.
RULED: dict[str, st.SearchStrategy[Any]] = {
    "window": st.sampled_from([{"start": start, "end": end} for start, end in WINDOWS]),
    "devicesPerJob": st.integers(1, 500) | st.just("Auto"),
    "maxFailedDevices": SHARE,
    "maxEmptyDevices": SHARE,
    "maxFailedPercent": st.integers(0, 100) | st.just("12.5%"),
}
# The places of such fields in other kinds; an old CRD, or an API server without pruning, would accept them.
SMUGGLED = [
    "image", "template", "podTemplate", "podSpecPatch", "serviceAccountName", "volumes", "env", "envFrom",
    "hostNetwork", "securityContext", "nodeSelector", "tolerations", "runtimeClassName", "accountUrl", "storage",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(SMUGGLED), inner, max_size=2),
    max_leaves=4,
)


def values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Return all values that a schema accepts, except long lists."""
    if name in RULED:
        return RULED[name]
    if "enum" in schema or schema.get("type") == "boolean":
        return st.sampled_from(schema.get("enum", [False, True]))
    if "properties" in schema:
        fields = {key: values(one, key) for key, one in schema["properties"].items()}
        required = {key: fields.pop(key) for key in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=fields)
    if schema.get("type") == "array":
        return st.lists(values(schema["items"]), min_size=1, max_size=3, unique=True)
    if schema.get("type") == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    return st.from_regex(schema["pattern"], fullmatch=True).map(lambda text: text[: schema["maxLength"]])


SPEC = values(yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
RUNS = st.builds(
    lambda spec, smuggled, labels: a_body(**{**smuggled, **spec}) | {"smuggled": smuggled, "labels": labels},
    SPEC,
    st.dictionaries(st.sampled_from(SMUGGLED), JSON, max_size=4),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


def jobs(run: ScoringRun, devices: list[str]) -> list[dict[str, Any]]:
    """Return a scoring Job and the report Job."""
    positions = "0" if len(devices) == 1 else f"0-{len(devices) - 1}"
    job = build_job(run, FLEET, IMAGE, name="hourly-abc", batch=a_batch(positions), devices=devices)
    return [job, build_report_job(run, FLEET, IMAGE, device_list_names=["list-1"])]


def without_a_runs_own(job: dict[str, Any]) -> dict[str, Any]:
    """Return a Job without the parts that a run may set: amounts, times and the scorer's arguments."""
    rest = copy.deepcopy(job)
    pod = rest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    words = container.pop("args")
    assert all(isinstance(word, str) for word in words)
    assert words[0] in ("score", "report")
    rest["metadata"]["annotations"].pop("fleetscore.dev/template", None)  # a digest of the pod, with its resources
    numbers = [rest["spec"].pop("backoffLimit"), rest["spec"].pop("ttlSecondsAfterFinished")]
    assert all(isinstance(number, int) for number in (*numbers, pod.pop("activeDeadlineSeconds", 0)))
    for amounts in container.pop("resources").values():
        assert set(amounts) <= {"cpu", "memory", "ephemeral-storage"}
    for labels in (rest["metadata"]["labels"], rest["spec"]["template"]["metadata"]["labels"]):
        labels.pop("fleetscore.dev/device", None)
    return rest


@pytest.mark.fault("T1", "T2", "T7")
@settings(max_examples=100)
@given(body=RUNS, devices=st.lists(DEVICE, min_size=1, max_size=3, unique=True))
def test_fields_of_a_run_change_only_arguments_amounts_and_times_of_pods(
    body: dict[str, Any], devices: list[str]
) -> None:
    plain = jobs(parse_run(a_body()), [f"press-{number}" for number in range(len(devices))])
    wild = jobs(parse_run(body), devices)
    assert json.dumps([*map(without_a_runs_own, wild)]) == json.dumps([*map(without_a_runs_own, plain)])
    environments = [job["spec"]["template"]["spec"]["containers"][0]["env"] for job in wild]
    assert environments == [scorer_environment(FLEET), scorer_environment(FLEET) + report_environment(FLEET)]


@pytest.mark.fault("T1")
@settings(max_examples=50)
@given(body=RUNS)
def test_fields_of_a_run_do_not_change_its_fleet(body: dict[str, Any]) -> None:
    run = parse_run(body | {"spec": body["spec"] | {"devices": {"ids": ["press-1"]}, "maxDevices": 9}})
    begun, plain = (
        create_initial_state(one, FLEET, DiscoveredDevices(), NOW)
        for one in (run, parse_run(a_body(devices={"ids": ["press-1"]})))
    )
    assert isinstance(begun, InitialState)
    assert isinstance(plain, InitialState)
    assert begun.progress.snapshot.fleet == plain.progress.snapshot.fleet
