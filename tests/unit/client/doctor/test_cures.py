"""The next step for a message."""

import pytest

from fleetscore.doctor.cures import cure_in


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ('FailedCreate: pods "x" is forbidden: exceeded quota: q', "raise the ResourceQuota"),
        ('pods "x" is forbidden: maximum cpu usage per Container is 100m', "change the LimitRange"),
        ('Invalid value: "100m": must be less than or equal to cpu limit of 1m', "change the LimitR"),
        ('admission webhook "deny.example" denied the request: no', "change the webhook's rule"),
        (
            "error looking up service account a/b: serviceaccount b not found",
            "`helm upgrade` creates the ServiceAccount",
        ),
        ("ErrImagePull: not found", "check the image's name"),
        ("CrashLoopBackOff: container operator ended with exit code 137 (OOMKilled)", "raise resources.limits.memory"),
        ("0/3 nodes are available Unschedulable", "add nodes"),
        ("no token IdentityUnavailable", "do what the message says"),
    ],
    ids=["quota", "limit-range", "request-above-limit", "webhook", "account", "image", "memory", "nodes", "identity"],
)
def test_known_word_of_a_message_has_a_cure(text: str, cure: str) -> None:
    found = cure_in(text, "`kubectl logs`")
    assert found.startswith(cure)
    assert found.endswith("; `kubectl logs`")


def test_unknown_message_has_the_other_step() -> None:
    assert cure_in("it is odd", "`kubectl logs`") == "`kubectl logs`"
