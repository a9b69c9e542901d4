"""The client of Azure's SDK for a storage account."""

import logging
import os
from typing import Any

from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient
from requests.utils import get_environ_proxies

from device_scorer.store.account import Account
from device_scorer.store.retry import RetryPolicy

CHUNK_BYTES = 4 * 2**20
"""The size of one range of a download. One range costs one request."""

MAX_SINGLE_PUT_BYTES = 512 * 2**20
"""The size up to which an upload is one Put Blob request, which is atomic (Azure allows 5,000 MiB)."""


def create_service(account: Account, retry_policy: RetryPolicy) -> BlobServiceClient:
    """Return a client that does not retry. The function sends no request.

    Args:
        account: The storage account.
        retry_policy: The timeouts of a request.
    """
    for name in ("azure", "msal", "urllib3"):  # their debug lines contain the SAS and tokens
        logging.getLogger(name).setLevel(logging.CRITICAL)
    single_attempt: dict[str, Any] = {  # the SDK must not retry: see retry.py
        "retry_total": 0,
        "retry_connect": 0,
        "retry_read": 0,
        "retry_status": 0,
        "retry_to_secondary": False,
        "connection_timeout": retry_policy.connect_timeout_seconds,
        "read_timeout": retry_policy.read_timeout_seconds,
    }
    options: dict[str, Any] = {
        "max_single_get_size": CHUNK_BYTES,
        "max_chunk_get_size": CHUNK_BYTES,
        "max_single_put_size": MAX_SINGLE_PUT_BYTES,
    }
    transport = RequestsTransport(use_env_settings=False, connection_verify=_ca_bundle())
    credential: Any = {"account_name": account.name, "account_key": account.key} if account.key else account.sas_token
    if identity := account.identity:
        from azure.identity import WorkloadIdentityCredential  # noqa: PLC0415  the import takes 0.1 s, which only this case needs

        credential = WorkloadIdentityCredential(
            tenant_id=identity.tenant_id,
            client_id=identity.client_id,
            token_file_path=identity.token_file,
            authority=identity.authority_host,
            **single_attempt,
        )
    service = BlobServiceClient(
        account.endpoint, credential=credential, transport=transport, **single_attempt, **options
    )
    transport.open()
    transport.session.proxies = get_environ_proxies(service.url)
    return service


def _ca_bundle() -> str | bool:
    """Return the CA bundle that the environment names, by the rules of the library requests."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
