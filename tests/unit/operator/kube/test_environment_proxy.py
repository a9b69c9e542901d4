"""The proxy of the environment."""

import pytest

from scoring_operator.kube.environment_proxy import environment_proxy

PROXY = {"HTTPS_PROXY": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("server", "no_proxy", "used"),
    [
        ("https://kube.example:6443", "", True),
        ("https://kube.example:6443", "other.example, .org", True),
        ("https://kube.example:6443", "example", False),
        ("https://kube.example:6443", "*.example", False),
        ("https://kube.example:6443", ".example", False),
        ("https://notexample:6443", "example", True),
        ("https://kube.example:6443", "kube.example:6443", False),
        ("https://kube.example:6443", "KUBE.example:443", True),
        ("https://kube.example:6443", "*", False),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "10.1.2.3", False),
        ("https://11.1.2.3:6443", "10.0.0.0/8,not/anetwork", True),
        ("https://[fd00::1]:6443", "fd00::/8", False),
        ("https://localhost:6443", "", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://[::1]:6443", "", False),
        ("http://kube.example", "", False),
    ],
)
def test_proxy_of_the_environment_follows_the_rules_of_go(server: str, no_proxy: str, *, used: bool) -> None:
    found = environment_proxy(server, PROXY | {"NO_PROXY": no_proxy})
    assert found == ("http://proxy:3128" if used else None)


def test_variables_in_lower_case_and_without_a_scheme_are_used() -> None:
    assert environment_proxy("http://kube:80", {"http_proxy": "proxy:1"}) == "http://proxy:1"
    assert environment_proxy("http://kube:80", {"http_proxy": "proxy:1", "no_proxy": "kube"}) is None
