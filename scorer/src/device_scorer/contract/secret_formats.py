"""Secrets of the wrong kind, recognized by their form before a request is sent. No text contains the secret.

The operator has its own copy of these rules, and the contract tests compare both.
"""

from urllib.parse import unquote

MAX_SECRET_CHARS = 8192
_ACCOUNT_KEY_CHARS = 88
_MIN_BASE64_CHARS = 20
_CONNECTION_STRING_NAMES = frozenset(
    {"accountname", "accountkey", "sharedaccesssignature", "usedevelopmentstorage", "blobendpoint"}
)
_OTHER_SERVICE_NAMES = frozenset({"sharedaccesskeyname", "hostname", "server", "database"})


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
        "assignment": "it begins with the name of a variable; use only the value after the first =",
        "html": "it is escaped for HTML; replace each &amp; by &",
        "encoded": f"it is percent-encoded as a whole; {needed}",
        "otherService": f"it is of another service, such as IoT Hub or Service Bus; {needed}",
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
    parts = lower.lstrip("?").split("&")
    name = secret.partition("=")[0]
    is_url = lower.startswith(("http://", "https://"))
    looks = {
        "assignment": "_" in name and name.isupper() and name != secret,
        "html": "&amp;" in lower,
        "encoded": "=" not in secret and "sig%3d" in lower,
        "otherService": bool(names & _OTHER_SERVICE_NAMES),
        "sasUrl": is_url and "sig=" in lower,
        "url": is_url,
        "json": secret[:1] in "{[",
        "connectionString": bool(names & _CONNECTION_STRING_NAMES),
        "sas": any(part.startswith("sig=") and part != "sig=" for part in parts),
        "accountKey": len(unquote(secret)) == _ACCOUNT_KEY_CHARS and _is_base64(unquote(secret)),
        "token": secret.startswith("eyJ"),
        "base64": len(secret) >= _MIN_BASE64_CHARS and _is_base64(secret),
    }
    return next((kind for kind, matches in looks.items() if matches), "")


def _is_base64(text: str) -> bool:
    body = text.rstrip("=")
    return len(text) - len(body) <= 2 and body.isascii() and body.replace("+", "").replace("/", "").isalnum()
