"""Secrets of the wrong kind, recognized by their form before a request is sent. Pure. No text contains the secret.

The operator has its own copy of these rules, and the contract tests compare both.
"""

from urllib.parse import unquote

MAX_SECRET_CHARS = 8192
_ACCOUNT_KEY_CHARS = 88
_MIN_BASE64_CHARS = 20
_CONNECTION_STRING_NAMES = frozenset(
    {"accountname", "accountkey", "sharedaccesssignature", "usedevelopmentstorage", "blobendpoint"}
)


def secret_problem(kind: str, secret: str) -> str | None:
    """Return why a secret cannot be of its kind, with the next step, or None if it can.

    Args:
        kind: "connectionString" or "sas".
        secret: The secret, without surrounding white space.
    """
    if not secret:
        return "it is empty; fill it"
    if len(secret) > MAX_SECRET_CHARS:
        return f"it has more than {MAX_SECRET_CHARS:,} characters; copy it again"
    if secret[0] in "\"'`" or secret[-1] in "\"'`":
        return "quotes surround it; remove the quotes"
    if not secret.isascii() or not secret.isprintable() or (kind == "sas" and " " in secret):
        return "it has line breaks, spaces or other characters that no secret of Azure has; copy it again"
    found = _kind_of(secret)
    if found == kind or (kind == "connectionString" and not found):  # the parser names what is missing
        return None
    needed = {
        "connectionString": "copy the connection string from the storage account's access keys",
        "sas": "copy the SAS token, which begins with sv= and has sig=",
    }[kind]
    return {
        "sasUrl": "it is a URL with a SAS; use only the part after the question mark, as kind sas",
        "url": f"it is a URL; {needed}",
        "sas": "it is a SAS token; use it as kind sas",
        "connectionString": "it is a connection string; use it as kind connectionString",
        "accountKey": "it is an account key; use the connection string, which contains the key",
        "token": f"it is a token of Microsoft Entra; {needed}",
        "json": f"it is JSON; {needed}",
        "base64": f"it is encoded in base64 once too often; {needed}",
    }.get(found, f"it has no sig=; {needed}")


def _kind_of(secret: str) -> str:
    lower = secret.lower()
    names = {part.partition("=")[0].strip() for part in lower.split(";")}
    parameters = {part.partition("=")[0] for part in lower.lstrip("?").split("&")}
    is_url = lower.startswith(("http://", "https://"))
    looks = {
        "sasUrl": is_url and "sig=" in lower,
        "url": is_url,
        "json": secret[:1] in "{[",
        "connectionString": bool(names & _CONNECTION_STRING_NAMES),
        "sas": "sig" in parameters,
        "accountKey": len(unquote(secret)) == _ACCOUNT_KEY_CHARS and _is_base64(unquote(secret)),
        "token": secret.startswith("eyJ"),
        "base64": len(secret) >= _MIN_BASE64_CHARS and _is_base64(secret),
    }
    return next((kind for kind, matches in looks.items() if matches), "")


def _is_base64(text: str) -> bool:
    body = text.rstrip("=")
    return len(text) - len(body) <= 2 and body.isascii() and body.replace("+", "").replace("/", "").isalnum()
