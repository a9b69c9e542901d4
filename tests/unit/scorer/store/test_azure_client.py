"""Tests of the client of Azure's SDK."""

import logging

from device_scorer.store import azure_client
from device_scorer.store.account import Account
from device_scorer.store.azure_client import create_service
from device_scorer.store.retry import RetryPolicy


def test_download_has_ranges_of_4_mib_and_an_upload_of_512_mib_is_one_request() -> None:
    assert (azure_client.CHUNK_BYTES, azure_client.MAX_SINGLE_PUT_BYTES) == (4_194_304, 536_870_912)


def test_loggers_of_the_sdk_write_no_debug_lines() -> None:
    create_service(Account("https://acc.blob.core.windows.net", "acc", sas_token="sig=x"), RetryPolicy()).close()
    assert all(logging.getLogger(name).level == logging.CRITICAL for name in ("azure", "msal", "urllib3"))
