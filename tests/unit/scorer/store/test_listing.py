"""The parser of a page of List Blobs."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.store.base import BlobInfo
from device_scorer.store.listing import PAGE_SIZE, ReducedResponse, parse_page

PROPERTIES = "<Etag>0x8DE4</Etag><Content-Length>12</Content-Length><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5>"


def a_page(*blobs: str, marker: str = "") -> bytes:
    page = f"<Blobs>{''.join(blobs)}</Blobs><NextMarker>{marker}</NextMarker>"
    return f'\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults>{page}</EnumerationResults>'.encode()


def a_blob(name: str, properties: str = PROPERTIES, more: str = "") -> str:
    return f"<Blob><Name>{name}</Name><Properties>{properties}</Properties>{more}</Blob>"


def test_blob_has_its_properties_and_metadata() -> None:
    metadata = "<Metadata><Rows>3</Rows><digest>1.a&amp;b</digest><empty /></Metadata><OrMetadata />"
    infos, _ = parse_page(a_page(a_blob("w/press-1.csv", more=metadata), a_blob("w/&lt;2&gt;.csv", '<Etag>"1"</Etag>')))
    checksum = "d41d8cd98f00b204e9800998ecf8427e"
    assert infos == [
        BlobInfo("w/press-1.csv", 12, "0x8DE4", {"rows": "3", "digest": "1.a&b", "empty": ""}, checksum),
        BlobInfo("w/<2>.csv", 0, "1"),
    ]


def test_rest_of_a_page_has_its_marker_and_no_blobs() -> None:
    _, rest = parse_page(a_page(a_blob("a"), marker="2!104!a&amp;b"))
    assert parse_page(rest) == ([], rest)
    assert b"<NextMarker>2!104!a&amp;b</NextMarker>" in rest


def test_encoded_name_is_decoded() -> None:
    blob = f'<Blob><Name Encoded="true">a%EF%BF%BEb</Name><Properties>{PROPERTIES}</Properties></Blob>'
    assert [info.name for info in parse_page(a_page(blob))[0]] == ["a\ufffeb"]


@pytest.mark.parametrize(
    ("properties", "more"),
    [
        (f"{PROPERTIES}<ResourceType>directory</ResourceType>", ""),
        (PROPERTIES, "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"),
    ],
)
def test_directory_is_left_out(properties: str, more: str) -> None:
    infos, _ = parse_page(a_page(a_blob("folder", properties, more), a_blob("folder/file")))
    assert [info.name for info in infos] == ["folder/file"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"<html></html>", a_page(a_blob("a"))[:-30], a_page("<Blob></Blob>"), a_page("<Blob><Name/></Blob>")],
)
def test_other_content_is_rejected(body: bytes) -> None:
    with pytest.raises(ValueError, match="the listing is invalid"):
        parse_page(body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=8), st.integers(0, 400))
def test_changed_bytes_are_parsed_or_rejected(noise: bytes, at: int) -> None:
    page = a_page(a_blob("a", more="<Metadata><rows>3</rows></Metadata>"))
    try:
        infos, _ = parse_page(page[:at] + noise + page[at + len(noise) :])
    except ValueError:
        return
    assert all(isinstance(info, BlobInfo) for info in infos)


def test_reduced_response_has_the_new_body_and_the_other_attributes() -> None:
    kept = {"request": 1, "status_code": 200, "reason": "OK", "headers": {"a": "b"}, "content_type": "application/xml"}
    response = ReducedResponse(SimpleNamespace(**kept, internal_response=object()), b"<x/>")
    assert (response.body(), response.text()) == (b"<x/>", "<x/>")
    assert {name: getattr(response, name) for name in kept} == kept
    assert not hasattr(response, "internal_response")


def test_page_has_2000_blobs() -> None:
    assert PAGE_SIZE == 2000
