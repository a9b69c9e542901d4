"""The receivers of a fleet: what works is used, and what cannot work is named."""

import json
from typing import Any

import pytest

from device_scorer.notify.receivers import VARIABLE, Receiver, parse_receivers

ALERTS = {"name": "alerts", "type": "alertmanager", "url": "http://alertmanager.monitoring:9093"}


def parse(*entries: Any, **environment: str) -> Any:
    return parse_receivers({VARIABLE: json.dumps(entries), **environment})


def test_receiver_has_the_defaults_of_the_contract() -> None:
    found = parse(ALERTS)
    assert found.problems == ()
    assert found.usable == (Receiver("alerts", "alertmanager", "http://alertmanager.monitoring:9093"),)
    assert found.usable[0].events == {"opened", "closed"}
    assert found.usable[0].causes == {"machine", "sensor", "data", "fleet"}
    assert (found.usable[0].min_windows, found.usable[0].max_per_window) == (1, 50)


def test_unset_variable_gives_an_empty_list() -> None:
    assert parse_receivers({}).usable == parse_receivers({VARIABLE: " "}).usable == ()


def test_url_and_key_of_a_secret_come_from_their_variables() -> None:
    entry = {"name": "hook", "type": "webhook", "urlFrom": "URL_1", "keyFrom": "KEY_1", "events": ["runFailed"]}
    found = parse(entry, URL_1="https://hooks.example/a?sig=secret\n", KEY_1="k")
    assert (found.usable[0].url, found.usable[0].key) == ("https://hooks.example/a?sig=secret", "k")
    assert "secret" not in repr(found.usable[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "A b"}, "DNS label"),
        ({"name": None}, "DNS label"),
        ({"type": "mail"}, "alertmanager, webhook"),
        ({"url": "ftp://x"}, "http"),
        ({"url": "http://user:word@host/"}, "without a user"),
        ({"url": 1}, "http"),
        ({"url": "https://[workspace].example.com/hook"}, "a valid host and port"),
        ({"url": "http://[::1/hook"}, "a valid host and port"),
        ({"url": "https://ex\u2100mple.com/hook"}, "a valid host and port"),
        ({"url": "http://host:65536/hook"}, "a valid host and port"),
        ({"url": "http://host:0/hook"}, "a valid host and port"),
        ({"urlFrom": "X"}, "exactly one of url and urlFrom"),
        ({"events": []}, "events must be a list"),
        ({"events": ["all"]}, "events must be a list"),
        ({"causes": "machine"}, "causes must be a list"),
        ({"minWindows": 0}, "minWindows must be a number"),
        ({"maxPerWindow": True}, "maxPerWindow must be a number"),
        ({"maxPerWindow": 1001}, "from 1 to 1,000"),
        ({"color": "red"}, "the key 'color' is unknown"),
        ({"keyFrom": "MISSING"}, "a Secret's key that does not exist"),
    ],
)
def test_receiver_that_cannot_work_is_named_and_the_others_are_used(change: dict[str, Any], reason: str) -> None:
    found = parse({**ALERTS, **change}, {**ALERTS, "name": "second"})
    assert [one.name for one in found.usable] == ["second"]
    assert len(found.problems) == 1
    assert reason in found.problems[0]
    assert found.unusable == (frozenset() if "name" in change else {"alerts"})


def test_url_of_a_secret_with_an_invalid_host_is_a_problem_without_the_url() -> None:
    entry = {"name": "hook", "type": "webhook", "urlFrom": "URL_1"}
    found = parse(entry, ALERTS, URL_1="https://[s3cret].example.com/hook")
    assert [one.name for one in found.usable] == ["alerts"]
    assert found.problems[0].startswith("receiver 'hook' cannot be used: the Secret's value must be an http(s) URL")
    assert "s3cret" not in found.problems[0]


def test_name_that_is_used_twice_is_a_problem() -> None:
    found = parse(ALERTS, ALERTS)
    assert found.problems == ("receiver 'alerts' cannot be used: its name is used twice; rename one",)
    assert found.unusable == frozenset()


@pytest.mark.parametrize("text", ["{", "{}", "1", "[" * 100_000, json.dumps([ALERTS] * 11), "[" + " " * 70_000 + "]"])
def test_invalid_variable_is_the_problem_of_all_receivers(text: str) -> None:
    found = parse_receivers({VARIABLE: text})
    assert found.usable == ()
    assert len(found.problems) == 1
    assert found.problems[0].startswith("FLEETSCORE_NOTIFY is invalid: ")
    assert found.problems[0].endswith("; no notices are sent")


def test_entry_that_is_not_an_object_is_named_by_its_number() -> None:
    assert parse("x").problems == ("receiver number 1 cannot be used: it must be an object with name, type and url",)
