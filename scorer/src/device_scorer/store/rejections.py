"""Errors for people from the codes of Blob Storage and Microsoft Entra. Independent of the client library.

The texts contain only codes and texts from here, because the text of a library's exception may contain a SAS.
"""

from device_scorer.contract.storage_codes import CONFIGURATION, RETRYABLE_STATUSES, Rule, storage_rule, token_rule
from device_scorer.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable, UsageInvalid
from device_scorer.store.retry import RetryableFailure

_PROXY_AUTHENTICATION_REQUIRED = 407  # a pod has no other use of the module http, whose import costs time
_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})


def rejected_request(
    status: int, code: str, target: str, *, secret: str = "", retry_after_seconds: float | None = None
) -> RetryableFailure:
    """Return the retryable failure of an error response of Blob Storage.

    Args:
        status: The HTTP status.
        code: The error code, such as BlobArchived; empty if the response has none.
        target: The requested blob or container, such as models/press-1.joblib.
        secret: The Secret with the credential, such as "the key sas of the Secret fleet-storage"; empty if unknown.
        retry_after_seconds: The time that the response requests before the next attempt.

    Raises:
        ConfigurationInvalid: Storage rejects the request, and a retry does not help.
        IdentityUnavailable: Storage rejects the credential, and a retry does not help.
    """
    if status in _REDIRECTS:
        raise redirected(target)
    rule = storage_rule(status, code)
    if rule.transient:
        verb = "returned" if status in RETRYABLE_STATUSES else "rejected"
        return RetryableFailure(
            StorageUnavailable(_sentence(f"storage {verb} {_join(status, code)} for {target}", rule, secret)),
            retry_after_seconds=retry_after_seconds,
        )
    error = ConfigurationInvalid if rule.reason == CONFIGURATION else IdentityUnavailable
    raise error(_sentence(f"storage rejected {target}: {_join(status, code)}", rule, secret))


def unreachable(target: str, cause: str, *, through_proxy: bool = False) -> RetryableFailure:
    """Return the retryable failure of a request that did not reach the server.

    Args:
        target: The requested blob or container.
        cause: The system's text, such as "Connection refused".
        through_proxy: True if the connection to a proxy has failed, or the proxy has opened none to the server.
    """
    text = f"storage cannot be reached for {target}: {cause}; check the account URL, DNS and the network"
    if through_proxy:
        text = f"storage cannot be reached for {target} through the proxy: {cause}; check HTTPS_PROXY and the proxy"
    return RetryableFailure(StorageUnavailable(text), maybe_applied=False)


def certificate_problem(kind: str) -> str:
    """Return the cause of a failed connection to a server whose certificate is not accepted, with the next step.

    Args:
        kind: The kind of the problem, such as UnknownIssuer, Expired or NotValidForName.
    """
    if kind == "UnknownIssuer":
        return f"its certificate is not trusted ({kind}); name the authority's file in REQUESTS_CA_BUNDLE"
    return f"its certificate is not valid ({kind}); replace it, or correct the account URL"


def invalid_ca_bundle(path: str, problem: str) -> UsageInvalid:
    """Return the error of a CA bundle that cannot be read.

    Args:
        path: The file or folder that the environment names.
        problem: The system's text, such as "No such file or directory".
    """
    return UsageInvalid(
        f"REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE is invalid: {path}: {problem}; name a file of certificates"
    )


def interrupted(target: str, cause: str) -> RetryableFailure:
    """Return the retryable failure of a request whose response did not arrive, or arrived in part.

    Args:
        target: The requested blob or container.
        cause: The kind of the failure, such as "timed out".
    """
    text = f"storage closed the connection or timed out for {target}: {cause}; retry later, then check the network"
    return RetryableFailure(StorageUnavailable(text))


def proxy_login_required(target: str) -> ConfigurationInvalid:
    """Return the error of a proxy that opens no connection without a login.

    Args:
        target: The requested blob or container.
    """
    rule = storage_rule(_PROXY_AUTHENTICATION_REQUIRED, "")
    return ConfigurationInvalid(_sentence(f"storage cannot be reached for {target}: 407", rule, ""))


def rejected_token(code: str, description: str, *, retry_after_seconds: float | None = None) -> RetryableFailure:
    """Return the retryable failure of a token request.

    Args:
        code: The code of Microsoft Entra, such as AADSTS700213; empty if there is no response with a code.
        description: A short text for a failure without a code.
        retry_after_seconds: The time that the response requests before the next attempt.

    Raises:
        IdentityUnavailable: The identity platform rejects the request, and a retry does not help.
    """
    rule = token_rule(code)
    error = IdentityUnavailable(
        _sentence(f"there is no token for the storage account ({code or description})", rule, "")
    )
    if not rule.transient:
        raise error
    return RetryableFailure(error, retry_after_seconds=retry_after_seconds)


def unreadable_token() -> IdentityUnavailable:
    """Return the error of a pod that cannot read the token of its service account."""
    return IdentityUnavailable(
        "the service account's token (AZURE_FEDERATED_TOKEN_FILE) cannot be read; label the pod "
        "azure.workload.identity/use=true"
    )


def redirected(target: str) -> ConfigurationInvalid:
    """Return the error of a response that redirects a request. Blob Storage does not redirect.

    Args:
        target: The requested blob or container.
    """
    text = f"{target} cannot be requested: the server redirects the request"
    return ConfigurationInvalid(f"{text}; correct the account URL or the proxy")


def foreign_response(target: str, problem: str) -> ConfigurationInvalid:
    """Return the error of a response that the client library does not understand.

    Args:
        target: The requested blob or container.
        problem: The name of the problem, such as the type of the library's exception.
    """
    text = f"{target} cannot be requested: the response is not one of Blob Storage ({problem})"
    return ConfigurationInvalid(f"{text}; correct the account URL or the proxy")


def repeated_listing(target: str) -> ConfigurationInvalid:
    """Return the error of a listing whose pages repeat.

    Args:
        target: The container and the prefix.
    """
    text = f"{target} cannot be listed: the server repeats a page of the listing"
    return ConfigurationInvalid(f"{text}; check the account URL and the proxy")


def _join(status: int, code: str) -> str:
    return f"{status} {code}".rstrip()


def _sentence(problem: str, rule: Rule, secret: str) -> str:
    cure = rule.cure.replace("the Secret", secret) if secret else rule.cure
    return f"{problem}; {cure or 'retry later'}"
