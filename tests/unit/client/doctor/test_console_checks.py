"""The checks of the consoles: each fault has its cure, and a release without a console has no finding."""

from dataclasses import replace
from typing import Any

import pytest

from fleetscore.doctor.console_checks import check_consoles
from fleetscore.doctor.facts import ConsoleFacts, Facts, SecretKey, SecretState
from fleetscore.doctor.findings import Finding, Result, Right, Unseen

KEY = SecretKey("scoring", "account", "connectionString")
CONSOLE = ConsoleFacts("scoring", "fleetscore-console-plant", port=8087, secret=KEY, secret_state=SecretState.PRESENT)
UNSEEN = Right("get", "pods/log", "", "scoring").unseen()
DENIED = "container models of https://a cannot be read (AuthenticationFailed); run `az login` with an identity"
RESTART = "`kubectl -n scoring rollout restart deployment fleetscore-console-plant`"


def findings(consoles: tuple[ConsoleFacts, ...] | Unseen) -> list[Finding]:
    return list(check_consoles(Facts("scoring", "0.1.0", UNSEEN, UNSEEN, UNSEEN, consoles=consoles)))


def test_release_without_a_console_has_no_finding() -> None:
    assert findings(()) == []


def test_finding_of_a_healthy_console_has_the_command_that_opens_it() -> None:
    (found,) = findings((CONSOLE,))
    assert (found.result, found.check, found.subject) == (Result.OK, "console", "scoring/fleetscore-console-plant")
    assert "1 of 1 pods are ready; `kubectl -n scoring port-forward service/fleetscore-console-plant 8087`" in (
        found.message
    )


def test_console_that_could_not_be_checked_is_unknown() -> None:
    late = Unseen("there was no answer in 10 s", "try again")
    assert [(one.result, one.message) for one in findings(late)] == [(Result.UNKNOWN, late.reason)]


@pytest.mark.parametrize(
    ("changes", "result", "message", "cure"),
    [
        ({"exists": False}, Result.PROBLEM, "the Deployment of the console does not exist", "helm upgrade"),
        ({"ready": 0, "blocker": "ImagePullBackOff: no image"}, Result.PROBLEM,
         "0 of 1 pods are ready: ImagePullBackOff: no image", "check the image's name, tag and registry"),
        ({"replicas": 0, "ready": 0}, Result.PROBLEM, "the Deployment has 0 replicas", "scale deployment"),
        ({"account": "c"}, Result.PROBLEM, "ServiceAccount c of the console does not exist", "helm upgrade"),
        ({"restarts": "container console restarted 4 times, last after exit code 137 (OOMKilled)"}, Result.PROBLEM,
         "restarted 4 times", "raise resources.limits.memory"),
        ({"replicas": 2, "updated": 2}, Result.WARNING, "1 of 2 pods are ready", "describe deployment"),
        ({"secret_state": SecretState.MISSING}, Result.PROBLEM,
         "Secret account, which the console reads at its start, does not exist; 1 of 1 pods are ready",
         "kubectl -n scoring create secret generic account --from-file=connectionString=FILE"),
        ({"secret_state": SecretState.MISSING, "ready": 0, "blocker": "CreateContainerConfigError: no secret"},
         Result.PROBLEM, "does not exist; 0 of 1 pods are ready: CreateContainerConfigError", "create secret"),
        ({"secret_state": SecretState.WITHOUT_KEY}, Result.PROBLEM, "has no key connectionString", "create secret"),
        ({"storage_fault": DENIED}, Result.PROBLEM, "cannot be read (AuthenticationFailed)",
         f"correct key connectionString of Secret account; then {RESTART}"),
        ({"storage_fault": DENIED, "secret": None, "secret_state": None}, Result.PROBLEM, "cannot read storage",
         "give the identity of console.serviceAccount.annotations the role Storage Blob Data Reader"),
        ({"storage_fault": "container x of a rejects this network; add it to the account's firewall"},
         Result.PROBLEM, "rejects this network",
         "correct key connectionString of Secret account; if it is right, add it to the account's firewall; then"),
        ({"storage_fault": "no route"}, Result.PROBLEM, "the console cannot read storage: no route", "correct key"),
        ({"storage_fault": DENIED, "outdated": True}, Result.PROBLEM,
         "Secret account was changed after the console has read it", RESTART),
        ({"outdated": True}, Result.WARNING, "Secret account was changed after the console has read it", RESTART),
        ({"storage_fault": UNSEEN}, Result.UNKNOWN, "this user may not get pods/log", "verbs: [get]"),
    ],
    ids=["missing", "image", "no-replicas", "account", "memory", "fewer-pods", "secret", "secret-and-pod", "key",
         "wrong-key", "identity", "network", "no-step", "stale-key", "stale", "no-right"],
)  # fmt: skip
def test_fault_of_a_console_has_its_cure(changes: dict[str, Any], result: Result, message: str, cure: str) -> None:
    (found,) = findings((replace(CONSOLE, **changes),))
    assert (found.result, found.check) == (result, "console")
    assert message in found.message
    assert cure in found.cure


def test_hidden_secret_has_no_finding_here() -> None:
    (found,) = findings((replace(CONSOLE, secret_state=Right("get", "secrets", "", "scoring").unseen()),))
    assert found.result is Result.OK
