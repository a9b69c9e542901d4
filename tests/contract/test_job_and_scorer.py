"""The seam between the images: what the operator writes the scorer reads, and the other way round."""

import re
from itertools import product

import pytest
from hypothesis import given, settings

from device_scorer.cli import build_parser
from device_scorer.cli.score import parse_request
from device_scorer.contract.blob_paths import device_from_name, model_name, outcome_name
from device_scorer.contract.blob_paths import encode_id as scorer_segment
from device_scorer.contract.outcome_message import (
    FAILED,
    KINDS,
    MAX_MESSAGE_BYTES,
    TRANSIENT,
    Outcome,
    RowCounts,
    outcome_record,
    termination_message,
)
from device_scorer.scoring.predictions import InputVersions, build_metadata
from device_scorer.settings import AnomalousWhen, read_settings
from device_scorer.window import Window as ScorerWindow
from fleetscore.contract.blob_paths import device_from_name as client_device_from_name
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.contract.blob_paths import compile_pattern, decode_id, encode_id
from scoring_operator.contract.command import escape_argument, report_arguments, score_arguments, scorer_environment
from scoring_operator.contract.outcome_message import OUTCOMES, REASONS, parse_outcome_message
from scoring_operator.planner.device_list import DiscoveredDevices, InitialState, create_initial_state
from scoring_operator.planner.evaluation import evaluate
from scoring_operator.planner.job_results import result_from_pods
from tests.testkit.builders import NOW, a_batch, a_message, a_pod, a_run
from tests.testkit.scorer_outcomes import OUTCOMES as MIXES

IDS = [
    "press-1",
    ".",
    "..",
    "...",
    "a.b",
    "-x",
    "--",
    "a%2Fb",
    "A$'(),:=@!*?#_",
    "ä",
    "~",
    "x" * 128,
    "_",
    "_runs",
    "_SUCCESS",
    "__a",
    "a_b",
    ".._",
]


@pytest.mark.fault("T8")
@pytest.mark.parametrize("device", IDS)
def test_operator_and_scorer_encode_an_id_the_same_way(device: str) -> None:
    assert encode_id(device) == scorer_segment(device)


@pytest.mark.parametrize("device", [device for device in IDS if device not in {"ä", "~"}])
def test_decoded_segment_is_the_original_id(device: str) -> None:
    assert decode_id(scorer_segment(device)) == device


@pytest.mark.parametrize("device", [*IDS, "a b", "\u00d6l", "x" * 129, "%20", "a\0", "a/b"])
def test_operator_scorer_and_client_find_the_same_devices(device: str) -> None:
    template = "{device}.joblib"
    name = model_name(template, device)
    found = compile_pattern(template).device_id(name)
    assert found in (None, device)
    assert device_from_name(template, name) == found == client_device_from_name(template, name)


@pytest.mark.fault("T9")
@pytest.mark.parametrize("policy", ["CreateOnly", "IfChanged", "Overwrite"])
def test_scorer_accepts_the_arguments_of_a_job(policy: str) -> None:
    devices = ["press-1", "-starts-with-a-dash", "--help", "$(HOME)"]
    run = a_run(tags=["1", "-4", "temperature °C"], writePolicy=policy, deviceDeadlineSeconds=77)
    command, *rest = score_arguments(run, "hourly-abc", devices)
    assert command == "score"
    asked = parse_request(build_parser("score").parse_args(rest), {})
    assert asked.devices == tuple(devices)
    assert asked.tags == frozenset({"1", "-4", "temperature °C"})
    assert (asked.window.start, asked.window.end) == (run.spec.window.start, run.spec.window.end)
    assert (asked.write_policy, asked.run_uid, asked.job_name) == (policy, run.uid, "hourly-abc")
    assert asked.device_deadline_seconds == 77
    assert asked.record_name == outcome_name(run.uid, "hourly-abc")


def test_scorer_accepts_the_arguments_of_a_report_job() -> None:
    run = a_run(devices={"ids": ["press-1"]})
    command, *rest = report_arguments(run, 2)
    asked = build_parser(command).parse_args(rest)
    assert (asked.window_start, asked.window_end) == (run.spec.window.start, run.spec.window.end)
    assert [str(path) for path in asked.devices] == ["/run/scoring/devices-0", "/run/scoring/devices-1"]
    assert (str(asked.progress), asked.run_uid, asked.include_modelled) == ("/run/scoring/progress", run.uid, True)


def expanded(argument: str) -> str:
    """Expand an argument as the kubelet does: $$ is a $, and $(NAME) the value of a variable."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda found: "SECRET" if found[1] else "$", argument)


@pytest.mark.fault("T9")
@pytest.mark.parametrize("device", ["$(AZURE_STORAGE_SAS_TOKEN)", "$$(A)", "a$b", "$", "$$", "press-1"])
def test_kubelet_expansion_leaves_an_id_unchanged(device: str) -> None:
    assert expanded(escape_argument(device)) == device


def outcomes(count: int) -> dict[int, Outcome]:
    """Return outcomes by argument index, which repeat every kind and every reason of a failure."""
    every = [Outcome(kind, reason, f"{kind} {reason}", RowCounts(10, 1, 2, 3)) for kind, reason in _kinds()]
    return {index: every[index % len(every)] for index in range(count)}


def _kinds() -> list[tuple[str, str]]:
    plain = [(kind, "") for kind in KINDS if kind != FAILED]
    return [*plain, *product([FAILED], REASONS), (TRANSIENT, "StorageUnavailable"), (TRANSIENT, "IdentityUnavailable")]


@pytest.mark.parametrize("count", [1, 2, 25, 100])
@pytest.mark.parametrize(
    "write",
    [termination_message, lambda written, count: outcome_record(written, [str(index) for index in range(count)])],
)
def test_operator_reads_the_scorers_message(count: int, write: object) -> None:
    written = outcomes(count)
    raw = write(written, count)  # type: ignore[operator]  # one of the two writers above
    message = parse_outcome_message(raw, count)
    assert message is not None
    assert message.is_complete_for(count)
    for index, outcome in written.items():
        if outcome.kind == TRANSIENT:
            assert index in message.transient[outcome.reason]
        else:
            assert index in message.outcomes[outcome.kind]
        if outcome.kind == FAILED:
            assert index in message.reasons[outcome.reason]
    done = sum(outcome.kind in ("scored", "partial") for outcome in written.values())
    assert (message.results.rows, message.results.anomalies) == (10 * done, 3 * done)


@settings(max_examples=100)
@given(MIXES)
def test_operator_reads_the_message_of_any_500_devices(written: dict[int, Outcome]) -> None:
    raw = termination_message(written, len(written))
    assert len(raw) <= MAX_MESSAGE_BYTES
    message = parse_outcome_message(raw, len(written))
    assert message is not None
    assert message.is_complete_for(len(written))
    for index, outcome in written.items():
        assert index in (
            message.transient[outcome.reason] if outcome.kind == TRANSIENT else message.outcomes[outcome.kind]
        )
        assert outcome.kind != FAILED or index in message.reasons[outcome.reason]


@pytest.mark.parametrize("reason", ["StorageUnavailable", "IdentityUnavailable"])
def test_message_of_the_previous_scorer_loses_and_repeats_no_device(reason: str) -> None:
    """An upgraded operator meets Jobs whose scorer called the key of transient errors `passing`."""
    message = a_message(4, outcomes={"scored": "0-1"}, passing={reason: "2-3"})
    result = result_from_pods([a_pod(code=75, message=message)], 4)
    evaluation = evaluate(a_batch("10-13"), result, completed=False, circuit_open=False)
    assert {outcome: str(positions) for outcome, positions in evaluation.outcomes.items()} == {"scored": "10-11"}
    assert [(str(batch.positions), batch.attempts) for batch in evaluation.retries] == [("12-13", 1)]
    assert evaluation.transient_reason == "StorageUnavailable"  # by the exit code: the old key is not read


def test_operator_and_scorer_have_the_same_outcomes() -> None:
    assert set(OUTCOMES) == set(KINDS)


def test_complete_predictions_of_the_scorer_count_as_already_scored() -> None:
    run = a_run()
    window = ScorerWindow(run.spec.window.start, run.spec.window.end)

    def written(*, complete: bool, tags: frozenset[str] | None = None) -> dict[str, str]:
        return build_metadata(
            run_uid="other",
            window=window,
            tags=tags,
            complete=complete,
            input_versions=InputVersions((), ""),
            row_counts=RowCounts(),
        )

    found = DiscoveredDevices(
        with_model=["all", "part", "some-tags"],
        predictions={
            "all": written(complete=True),
            "part": written(complete=False),
            "some-tags": written(complete=True, tags=frozenset({"1", "4"})),
        },
    )
    fleet = parse_fleet({"name": "default", "namespaces": ["scoring"]})

    def already(**spec: object) -> list[str]:
        start = create_initial_state(a_run(**spec), fleet, found, NOW)  # type: ignore[arg-type]  # spec fields only
        assert isinstance(start, InitialState)
        done = start.progress.outcomes.get("alreadyScored", ())
        return [start.devices[position] for position in done]

    assert already() == ["all"]
    assert already(tags=["4"]) == ["all", "some-tags"]
    assert already(tags=["4", "5"]) == ["all"]
    assert already(writePolicy="IfChanged") == []


def test_scorer_accepts_the_environment_of_a_job() -> None:
    fleet = parse_fleet(
        {
            "name": "f",
            "namespaces": ["n"],
            "storage": {
                "accountUrl": "https://account.blob.core.windows.net",
                "models": "mmm",
                "data": "ddd",
                "predictions": "ppp",
            },
            "predictions": {"allowOverwrite": True},
            "anomalousWhen": {"share": "2.5%", "minRows": 7},
            "quality": {"badValues": [-9999], "tags": {"temp-*": {"flatLine": {"for": "30m"}}}},
        }
    )
    variables = {entry["name"]: entry["value"] for entry in scorer_environment(fleet)}
    found = read_settings(variables)
    assert found.account_url == "https://account.blob.core.windows.net"
    assert dict(found.containers) == {"models": "mmm", "data": "ddd", "predictions": "ppp"}
    assert (found.allow_overwrite, found.anomalous_when) == (True, AnomalousWhen(share=0.025, min_rows=7))
    rule = found.quality.rule("temp-1")
    assert (rule.bad_values, rule.flat_for) == (frozenset({-9999}), 1800)
