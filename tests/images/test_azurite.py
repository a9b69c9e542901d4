import subprocess
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from localcluster.addons.azurite import ACCOUNT, Azurite, OAuth
from localcluster.errors import ClusterError
from tests.testkit.azurite import Storage

pytestmark = pytest.mark.needs_services


def test_azurite_starts_with_three_containers_and_is_found_again(tmp_path: Path) -> None:
    with Azurite.start(tmp_path / "store") as azurite:
        with BlobServiceClient.from_connection_string(azurite.connection_string) as client:
            assert [each.name for each in client.list_containers()] == ["data", "models", "predictions"]
        assert Azurite.open(tmp_path / "store") == azurite
    assert Azurite.open(tmp_path / "store") is None


def test_azurite_key_is_random_and_hidden(tmp_path: Path) -> None:
    with Azurite.start(tmp_path / "store") as azurite:
        wrong = azurite.connection_string.replace(azurite.key, "A" * 86 + "==")
        with (
            BlobServiceClient.from_connection_string(wrong, retry_total=0) as client,
            pytest.raises(HttpResponseError) as refusal,
        ):
            list(client.list_containers())
        assert refusal.value.status_code == 403
        assert azurite.key not in repr(azurite)
        assert (tmp_path / "store" / "key").stat().st_mode & 0o077 == 0


def test_azurite_rejects_a_used_folder(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(ClusterError, match="not empty"):
        Azurite.start(tmp_path)


def test_azurite_on_an_occupied_port_fails_with_its_log(tmp_path: Path) -> None:
    with Azurite.start(tmp_path / "one") as first, pytest.raises(ClusterError, match="azurite"):
        Azurite.start(tmp_path / "other", port=first.port)


def test_azurite_with_oauth_uses_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    command += [
        "-subj",
        "/CN=azurite",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with Azurite.start(tmp_path / "store", oauth=OAuth(certificate, key)) as azurite:
        assert azurite.url == f"https://127.0.0.1:{azurite.port}/{ACCOUNT}"
        assert azurite.responds()


def test_each_test_has_its_own_containers(storage: Storage) -> None:
    storage.put("data", "20180828T2300Z/press-1.csv", b"TS,Device,Tag,Value\n")
    assert storage.names("data") == ["20180828T2300Z/press-1.csv"]
    assert storage.names("models") == []
    with pytest.raises(ResourceNotFoundError):
        storage.get("predictions", "none")
