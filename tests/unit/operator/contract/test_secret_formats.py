import pytest

from scoring_operator.contract.secret_formats import secret_problem

CONNECTION_STRING = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=x"


@pytest.mark.parametrize(
    ("kind", "secret", "problem"),
    [
        ("sas", "", "it is empty"),
        ("sas", "s" * 9000, "more than 8,192 characters"),
        ("sas", "'sv=1&sig=2'", "quotes surround it"),
        ("sas", "sv=1&sig=2 3", "no secret of Azure has"),
        ("sas", "https://acc.blob.core.windows.net/?sv=1&sig=2", "it is a URL with a SAS"),
        ("sas", "https://acc.blob.core.windows.net/", "it is a URL"),
        ("sas", CONNECTION_STRING, "use it as kind connectionString"),
        ("sas", f"{'A' * 86}==", "it is an account key"),
        ("sas", "eyJhbGciOiJub25lIn0", "it is a token"),
        ("sas", "{}", "it is JSON"),
        ("sas", "c3Y9MSZzaWc9MiZzcj1jJnNlPTM=", "base64"),
        ("sas", "sv=1", "it has no sig="),
        ("sas", "sv=1&sig=", "it has no sig="),
        ("sas", "FLEET_SAS=sv=1&sig=2", "use only the value after the first ="),
        ("sas", "sv=1&amp;sig=2", "escaped for HTML"),
        ("sas", "sv%3D1%26sig%3D2", "percent-encoded as a whole"),
        ("connectionString", "HostName=h.azure-devices.net;SharedAccessKey=x", "another service, such as IoT Hub"),
        ("connectionString", "?sv=1&sig=2", "use it as kind sas"),
    ],
)
def test_secret_of_the_wrong_kind_has_a_problem_without_the_secret(kind: str, secret: str, problem: str) -> None:
    found = secret_problem(kind, secret)
    assert found is not None
    assert problem in found
    assert len(secret) < 12 or secret not in found


@pytest.mark.parametrize(
    ("kind", "secret"), [("sas", "?sv=1&sig=2"), ("connectionString", CONNECTION_STRING), ("connectionString", "x")]
)
def test_secret_of_its_kind_has_no_problem(kind: str, secret: str) -> None:
    assert secret_problem(kind, secret) is None
