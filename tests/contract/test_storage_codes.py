"""The rules for error codes of storage and for the form of secrets are the same in both programs."""

import pytest

from device_scorer.contract import secret_formats as scorer_formats
from device_scorer.contract import storage_codes as scorer_codes
from scoring_operator.contract import secret_formats, storage_codes

SAS = "sv=2023-11-03&ss=b&sig=c2ln%3D"
CONNECTION_STRING = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5"
ACCOUNT_KEY = "a" * 86 + "=="
SECRETS = [
    SAS,
    CONNECTION_STRING,
    ACCOUNT_KEY,
    f"https://a?{SAS}",
    "https://a",
    f'"{SAS}"',
    "{}",
    "",
    "eyJ",
    "x y",
    "x",
    f"AZURE_STORAGE_SAS_TOKEN={SAS}",
    SAS.replace("&", "&amp;"),
    SAS.replace("&", "%26").replace("=", "%3D"),
    "HostName=h.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5",
    SAS.partition("&sig=")[0] + "&sig=",
]


def test_both_know_the_same_codes_with_the_same_reasons() -> None:
    for name in ("STORAGE_CODES", "TOKEN_CODES"):
        scorer = {code: (rule.reason, rule.transient) for code, rule in getattr(scorer_codes, name).items()}
        operator = {code: (rule.reason, rule.transient) for code, rule in getattr(storage_codes, name).items()}
        assert scorer == operator


@pytest.mark.parametrize("code", ["", "SomeNewCode", "AuthorizationFailure", "ContainerNotFound"])
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 407, 408, 409, 412, 416, 429, 500, 501, 503])
def test_both_give_a_response_the_same_reason(status: int, code: str) -> None:
    scorer, operator = scorer_codes.storage_rule(status, code), storage_codes.storage_rule(status, code)
    assert (scorer.reason, scorer.transient) == (operator.reason, operator.transient)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("kind", ["connectionString", "sas"])
def test_both_recognize_the_same_secrets(kind: str, secret: str) -> None:
    assert scorer_formats.secret_problem(kind, secret) == secret_formats.secret_problem(kind, secret)
