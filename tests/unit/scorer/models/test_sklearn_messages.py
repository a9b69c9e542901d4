"""Tests of the messages between a scorer and its scikit-learn processes."""

import pickle
import socket
import threading
import time

import pytest
import sklearn

from device_scorer.models import sklearn_messages as messages
from device_scorer.models.sklearn_messages import clean_version, find_version, one_line, receive
from tests.testkit.scorer_fleet import a_model


def test_message_has_at_most_65536_values_a_description_4_mib_a_text_400_characters() -> None:
    assert (messages.MAX_DESCRIPTION_BYTES, messages.MAX_FAILURE_BYTES) == (4_194_304, 8192)
    assert (messages.MAX_VALUES, messages.MAX_TEXT_CHARS) == (65_536, 400)


def test_bytes_that_arrive_in_parts_are_joined() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        writer = threading.Thread(target=theirs.sendall, args=[b"x" * 500_000])
        writer.start()
        assert receive(mine, 500_000, time.monotonic() + 10) == b"x" * 500_000
        writer.join()


def test_closed_connection_ends_the_reception() -> None:
    mine, theirs = socket.socketpair()
    with mine:
        theirs.sendall(b"half")
        theirs.close()
        with pytest.raises(EOFError):
            receive(mine, 8)


@pytest.mark.parametrize("seconds", [-1.0, 0.05])
def test_reception_ends_at_its_time(seconds: float) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs, pytest.raises(TimeoutError):
        receive(mine, 1, time.monotonic() + seconds)


def test_text_becomes_one_printable_line() -> None:
    assert one_line("a\nb\t\x00c\u2028d") == "a b c d"
    assert len(one_line("x" * 10_000)) == 400


@pytest.mark.parametrize("version", ["1.9.1", "0.19.2", "1.5.dev0", "1.4.0rc1", "1.3"])
def test_version_is_kept(version: str) -> None:
    assert clean_version(version) == version


@pytest.mark.parametrize("version", ["", "1.9\r\nx-ms-meta-complete: false", "\u0661.\u0662", 1.9, None, "1.9.1" * 20])
def test_text_that_is_not_a_version_is_unknown(version: object) -> None:
    assert clean_version(version) == "unknown"


@pytest.mark.parametrize("protocol", range(6))
def test_version_is_found_in_a_pickle_of_each_protocol(protocol: int) -> None:
    assert find_version(pickle.dumps({"1": a_model()}, protocol)) == sklearn.__version__


@pytest.mark.parametrize("content", [b"", b"_sklearn_version", b"1.2.3", b"_sklearn_version\x94\x8c\x05new"])
def test_version_of_other_content_is_unknown(content: bytes) -> None:
    assert find_version(content) == "unknown"
