"""Tests of what all stores have in common: the folder, and both stores on Azurite with key, SAS and token."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobBlock, ResourceTypes, generate_account_sas
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from device_scorer import settings as scorer_settings
from device_scorer.contract.blob_paths import encode_id, prediction_name
from device_scorer.errors import (
    BlobEncodingInvalid,
    BlobTooLarge,
    ConfigurationInvalid,
    IdentityUnavailable,
    StorageUnavailable,
)
from device_scorer.store.base import Store, md5_hex
from device_scorer.store.factory import open_scoring_store, open_store
from device_scorer.window import Window
from tests.testkit.azurite import Storage

WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))


def sas_of(storage: Storage, permission: str = "rwdlac") -> str:
    return str(
        generate_account_sas(
            account_name=storage.client.account_name or "",
            account_key=storage.client.credential.account_key,
            resource_types=ResourceTypes(service=True, container=True, object=True),
            permission=permission,
            expiry=datetime.now(UTC) + timedelta(hours=1),
        ),
    )


OPENERS = {"sdk": open_store, "obstore": open_scoring_store}


@contextmanager
def store_on(storage: Storage, library: str = "sdk", **changes: str) -> Iterator[Store]:
    store = OPENERS[library](scorer_settings.read_settings({**storage.environment(), **changes}))
    yield store
    store.close()


@pytest.fixture(
    params=[
        "folder",
        *(
            pytest.param(f"{library}-{kind}", marks=pytest.mark.needs_services)
            for library in OPENERS
            for kind in ("key", "sas", "token")
        ),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        yield open_store(scorer_settings.read_settings({}, str(tmp_path / "store")))
        return
    library, _, kind = request.param.partition("-")
    if kind == "token":
        workload = request.getfixturevalue("workload")
        with store_on(workload.storage, library, FLEETSCORE_AUTH="workloadIdentity") as opened:
            yield opened
        return
    storage: Storage = request.getfixturevalue("storage")
    sas = {"FLEETSCORE_AUTH": "sas", "AZURE_STORAGE_SAS_TOKEN": sas_of(storage)} if kind == "sas" else {}
    with store_on(storage, library, **sas) as opened:
        yield opened


@pytest.fixture(params=list(OPENERS))
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_written_blob_is_read_with_its_metadata(store: Store) -> None:
    etag = store.write("data", "a/b.csv", b"x" * 100_000, metadata={"runuid": "u1", "rows": "3"})
    blob = store.read("data", "a/b.csv")
    assert blob is not None
    assert (blob.content, blob.etag, dict(blob.metadata)) == (b"x" * 100_000, etag, {"runuid": "u1", "rows": "3"})


def test_empty_blob_is_read(store: Store) -> None:
    store.write("data", "empty.csv", b"")
    blob = store.read("data", "empty.csv")
    assert blob is not None
    assert blob.content == b""


def test_missing_blob_returns_none_everywhere(store: Store) -> None:
    store.ensure_container("data")
    assert store.read("data", "none.csv") is None
    assert store.head("data", "none.csv") is None
    assert store.write("data", "none.csv", b"x", if_match="abc") is None
    store.delete("data", "none.csv")


@pytest.mark.fault("T18")
def test_second_creation_keeps_the_first_blob(store: Store) -> None:
    assert store.write("predictions", "p.csv", b"first") is not None
    assert store.write("predictions", "p.csv", b"second") is None
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert blob.content == b"first"


@pytest.mark.fault("T18")
def test_replacement_needs_the_current_etag(store: Store) -> None:
    first = store.write("predictions", "p.csv", b"first", metadata={"rows": "1"})
    second = store.write("predictions", "p.csv", b"second", metadata={"rows": "2"}, if_match=first)
    assert second is not None
    assert store.write("predictions", "p.csv", b"third", if_match=first) is None
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert (blob.content, dict(blob.metadata)) == (b"second", {"rows": "2"})


def test_overwrite_replaces_any_blob(store: Store) -> None:
    store.write("predictions", "p.csv", b"first")
    assert store.write("predictions", "p.csv", b"second", overwrite=True) is not None


@pytest.mark.fault("D6", "T15")
def test_blob_above_the_limit_is_rejected_with_its_size(store: Store) -> None:
    store.write("data", "big.csv", b"x" * 5000)
    with pytest.raises(BlobTooLarge) as rejected:
        store.read("data", "big.csv", max_bytes=4999)
    assert (rejected.value.size, rejected.value.limit) == (5000, 4999)
    assert store.read("data", "big.csv", max_bytes=5000) is not None


def test_listing_has_names_in_order_with_metadata_and_checksum(store: Store) -> None:
    metadata = {"window": WINDOW.interval, "complete": "true"}
    for name in ("w/b%2Fc.csv", "w/a.csv", "v/z.csv"):
        store.write("predictions", name, name.encode(), metadata=metadata)
    found = list(store.list("predictions", "w/"))
    assert [info.name for info in found] == ["w/a.csv", "w/b%2Fc.csv"]
    assert [info.md5 for info in found] == [md5_hex(b"w/a.csv"), md5_hex(b"w/b%2Fc.csv")]
    assert all(dict(info.metadata) == metadata and info.size == len(info.name) for info in found)
    assert found[0] == store.head("predictions", "w/a.csv")


def test_deletion_removes_blob_and_metadata(store: Store) -> None:
    store.write("predictions", "p.csv", b"same", metadata={"rows": "1"})
    store.delete("predictions", "p.csv")
    assert store.write("predictions", "p.csv", b"same") is not None
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert dict(blob.metadata) == {}


@pytest.mark.fault("F29", "T18")
def test_exactly_one_of_many_writers_succeeds(store: Store) -> None:
    store.ensure_container("predictions")
    won: list[int] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        if store.write("predictions", "p.csv", b"%d" % number, metadata={"n": str(number)}):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert [blob.content] == [b"%d" % number for number in won]
    assert dict(blob.metadata) == {"n": str(won[0])}


@pytest.mark.fault("T5", "T8")
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(device=st.text(min_size=1, max_size=40).filter(lambda text: len(encode_id(text)) < 200))
@example(device="..")
@example(device="../models/x")
@example(device="%2e%2e/%2e%2e")
@example(device="_SUCCESS")
def test_name_of_any_id_stays_in_its_window(store: Store, device: str) -> None:
    name = prediction_name("{window}/{device}.csv", WINDOW, device)
    store.write("predictions", name, device.encode("utf-8", "surrogatepass"), overwrite=True)
    assert name in [info.name for info in store.list("predictions", WINDOW.slug + "/")]
    store.delete("predictions", name)
    assert list(store.list("predictions")) == []


def test_listing_without_metadata_has_the_names_below_any_prefix(store: Store) -> None:
    for name in ("w/a-1.csv", "w/a-2.csv", "w/b.csv", "v/z.csv"):
        store.write("predictions", name, b"x")
    for prefix, expected in (("w/a-", ["w/a-1.csv", "w/a-2.csv"]), ("w", ["w/a-1.csv", "w/a-2.csv", "w/b.csv"])):
        assert [info.name for info in store.list("predictions", prefix, with_metadata=False)] == expected


@pytest.mark.parametrize(
    "value",
    ["1.9\r\nx-ms-meta-complete: false", "\u0661.\u0669", "1.9\x00\x1b[31m", " 1.9 ", "a\tb", "\ud800", "x" * 5000],
)
def test_metadata_of_any_text_is_written_as_one_printable_value(store: Store, value: str) -> None:
    assert store.write("predictions", "p.csv", b"x", metadata={"sklearn": value}) is not None
    info = store.head("predictions", "p.csv")
    assert info is not None
    assert list(info.metadata) == ["sklearn"]
    found = info.metadata["sklearn"]
    assert found.isascii()
    assert found.isprintable()
    assert 0 < len(found) <= 4096


def test_missing_container_is_named_and_can_be_created(storage: Storage, library: str) -> None:
    name = f"{storage.data}-other"
    with store_on(storage, library, FLEETSCORE_DATA_CONTAINER=name) as store:
        for call in (store.read, store.head, store.delete):
            with pytest.raises(
                ConfigurationInvalid, match=f"{name}/a.csv: 404 ContainerNotFound; create the container"
            ):
                call("data", "a.csv")
        with pytest.raises(ConfigurationInvalid, match="404 ContainerNotFound; create the container"):
            store.write("data", "a.csv", b"x")
        with pytest.raises(ConfigurationInvalid, match="404 ContainerNotFound; create the container"):
            list(store.list("data", with_metadata=False))
        store.ensure_container("data")
        store.ensure_container("data")
        assert store.read("data", "a.csv") is None


@pytest.mark.fault("T13")
def test_rejected_write_names_the_next_step_without_a_secret(storage: Storage, library: str) -> None:
    sas = sas_of(storage, "rl")
    changes = {"FLEETSCORE_AUTH": "sas", "AZURE_STORAGE_SAS_TOKEN": sas, "FLEETSCORE_STORAGE_SECRET": "fleet/sas"}
    with (
        store_on(storage, library, **changes) as store,
        pytest.raises(IdentityUnavailable, match="role Storage Blob Data Contributor") as rejected,
    ):
        store.write("predictions", "p.csv", b"x")
    assert "sig=" not in str(rejected.value)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate"])
def test_encoded_blob_is_read_decoded_within_its_limit(storage: Storage, library: str, encoding: str) -> None:
    content = b"x" * 5000
    encoded = (
        zlib.compress(content) if encoding == "deflate" else gzip.compress(content[:7]) + gzip.compress(content[7:])
    )
    storage.put("data", "a.csv", encoded, encoding=encoding)
    with store_on(storage, library) as store:
        blob = store.read("data", "a.csv", max_bytes=5000)
        assert blob is not None
        assert blob.content == content
        with pytest.raises(BlobTooLarge):
            store.read("data", "a.csv", max_bytes=4999)


@pytest.mark.parametrize(
    ("content", "encoding"), [(b"x", "br"), (b"not gzip", "gzip"), (gzip.compress(b"x", mtime=0)[:-4], "gzip")]
)
def test_unreadable_encoding_is_named(storage: Storage, library: str, content: bytes, encoding: str) -> None:
    storage.put("data", "a.csv", content, encoding=encoding)
    with (
        store_on(storage, library) as store,
        pytest.raises(BlobEncodingInvalid, match=f"Content-Encoding '{encoding}'"),
    ):
        store.read("data", "a.csv")


@pytest.mark.parametrize(
    "checksum", ["mgNkuembtIDdJeHwKEyFVQ==", "9A0364B9E99BB480DD25E1F0284C8555", md5_hex(b"other")]
)
def test_readings_with_a_checksum_of_another_client_are_read(storage: Storage, library: str, checksum: str) -> None:
    blob = storage.client.get_blob_client(storage.data, "blocks.csv")
    blob.stage_block("0001", b"content")
    blob.commit_block_list([BlobBlock("0001")], metadata={"md5": checksum})  # a blob of blocks has no Content-MD5
    storage.put("data", "a.csv", b"content", metadata={"md5": checksum})
    with store_on(storage, library) as store:
        for name in ("a.csv", "blocks.csv"):
            found = store.read("data", name)
            assert found is not None
            assert found.content == b"content"


def test_predictions_of_another_content_are_damaged(storage: Storage, library: str) -> None:
    metadata = {"window": WINDOW.interval, "complete": "true", "md5": md5_hex(b"content")}
    blob = storage.client.get_blob_client(storage.predictions, "p.csv")
    blob.stage_block("0001", b"half")
    blob.commit_block_list([BlobBlock("0001")], metadata=metadata)
    with (
        store_on(storage, library) as store,
        pytest.raises(StorageUnavailable, match=r"is damaged: .*; upload it again"),
    ):
        store.read("predictions", "p.csv")


def test_connection_string_with_a_sas_is_used(storage: Storage, library: str) -> None:
    text = f"BlobEndpoint={storage.account_url};SharedAccessSignature={sas_of(storage)}"
    with store_on(storage, library, AZURE_STORAGE_CONNECTION_STRING=text) as store:
        assert store.write("data", "a.csv", b"x") is not None
