"""An identity platform on loopback: hands out tokens over TLS as Entra does for workload identity, or refuses them."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

SIGNATURE = "c2lnbmF0dXJlLWNhbmFyeS0wMTIzNDU2Nzg5"
"""The last part of every token that is handed out: what no log line may hold."""

ASSERTION = "assertion-canary-0123456789"
"""The service account's token, which a pod shows the platform: nor this."""


@dataclass
class Platform:
    """A running platform: the environment of a pod with workload identity, and what it is to refuse next."""

    environment: dict[str, str]
    refusals: list[str] = field(default_factory=list)
    asked: int = 0


def certificate(folder: Path) -> tuple[Path, Path]:
    """A fresh certificate for 127.0.0.1, which is its own authority, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def token() -> str:
    """A token for a storage account as Azurite looks at one: by its claims, not by its signature."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 3600,
    }
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "x"}, claims)
    ]
    return ".".join([*parts, SIGNATURE])


@contextmanager
def serving(folder: Path, certificate: Path, key: Path) -> Iterator[Platform]:
    """A running platform; `certificate` is trusted by whoever gets its environment."""
    (folder / "federated-token").write_text(ASSERTION)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            platform.asked += 1
            if platform.refusals:
                told = f"{platform.refusals.pop(0)}: No matching federated identity record found."
                self.answer(400, {"error": "invalid_client", "error_description": told})
            else:
                self.answer(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token()})

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    platform = Platform(
        {
            "FLEETSCORE_AUTH": "workloadIdentity",
            "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{server.server_port}",
            "AZURE_TENANT_ID": "tenant",
            "AZURE_CLIENT_ID": "client",
            "AZURE_FEDERATED_TOKEN_FILE": str(folder / "federated-token"),
            "REQUESTS_CA_BUNDLE": str(certificate),
        }
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield platform
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
