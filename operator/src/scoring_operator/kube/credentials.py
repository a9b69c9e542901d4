"""An API server and an identity: the token of each request, and the certificates of a TLS connection."""

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.exec_plugin import ExecPlugin
from scoring_operator.kube.header_values import is_header_value

MAX_TOKEN_BYTES = 65_536


class _NamedContext(ssl.SSLContext):
    """TLS settings that verify another name than that of the URL (`tls-server-name`)."""

    server_name = ""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        if self.server_name:
            options["server_hostname"] = self.server_name
        return super().wrap_bio(*arguments, **options)


@dataclass(frozen=True)
class Credentials:
    """One API server and one identity.

    Attributes:
        server: The URL of the API server.
        ca: The PEM text of the certificates that sign the server's. The default trusts the system's authorities.
        token: The bearer token.
        token_file: The file of a bearer token that is replaced from time to time. It takes precedence over `token`.
        certificate: The PEM text of the client certificate.
        key: The PEM text of its key.
        insecure: True to accept every server certificate.
        server_name: The name in the server's certificate. The default is that of the URL.
        proxy: The URL of an HTTP proxy.
        basic: The user and the password of HTTP basic authentication.
        headers: Further headers, such as those of an impersonation.
        exec_plugin: The program that gives a token or a client certificate.
        namespace: The namespace of the kubeconfig's context.
    """

    server: str
    ca: str | None = None
    token: str | None = None
    token_file: Path | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False
    server_name: str = ""
    proxy: str | None = None
    basic: tuple[str, str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    exec_plugin: ExecPlugin | None = None
    namespace: str = ""

    @property
    def _precedes_plugin(self) -> bool:
        """Whether the user has a token or a password, so that the exec plugin is not run, as in client-go."""
        return bool(self.token or self.token_file or self.basic)

    def bearer_token(self, *, renew: bool = False) -> str | None:
        """Return the current token; the kubelet replaces the file before the token in it expires.

        The call blocks if there is an exec plugin.

        Args:
            renew: Whether the API server has rejected the last token.

        Raises:
            OSError: The file cannot be read.
            InvalidSettings: The exec plugin failed, or the file has no token.
        """
        if self.exec_plugin and not self._precedes_plugin:
            return self.exec_plugin.credential(renew=renew).token or None
        if self.token_file is None:
            return self.token
        try:
            with self.token_file.open("rb") as file:
                return _token(self.token_file, file.read(MAX_TOKEN_BYTES))
        except (OSError, InvalidSettings):
            if self.token is None:
                raise
            return self.token

    def authorization(self, *, renew: bool = False) -> str | None:
        """Return the value of the header Authorization; None without a token and a password.

        Args:
            renew: Whether the API server has rejected the last token.

        Raises:
            OSError: The file of the token cannot be read.
            InvalidSettings: The exec plugin failed.
        """
        if token := self.bearer_token(renew=renew):
            return f"Bearer {token}"
        if self.basic:
            return f"Basic {base64.b64encode(':'.join(self.basic).encode()).decode()}"
        return None

    def ssl_context(self) -> ssl.SSLContext:
        """Build the TLS settings; the call blocks for some milliseconds.

        The authorities of many clusters lack extensions of RFC 5280 that Python 3.13 requires by default. As in
        kubectl, a certificate is not checked for them.

        Raises:
            InvalidSettings: A certificate or a key cannot be used.
        """
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = self.server_name
        try:
            if self.ca:
                context.load_verify_locations(cadata=self.ca)
            else:
                context.load_default_certs()
        except (ssl.SSLError, ValueError) as error:
            raise InvalidSettings(f"the certificate authority of {self.server} is invalid: {error}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.load_client_certificate(context)
        return context

    def load_client_certificate(self, context: ssl.SSLContext) -> None:
        """Use the current client certificate for new connections.

        Args:
            context: The TLS settings of the connections.

        Raises:
            InvalidSettings: The certificate or its key cannot be used, or the exec plugin failed.
        """
        certificate, key = self.certificate, self.key
        if self.exec_plugin and not self._precedes_plugin:
            found = self.exec_plugin.credential()
            certificate, key = found.client_certificate_data or certificate, found.client_key_data or key
        if not certificate or not key:
            return
        # The ssl module reads a client certificate only from a file.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
            chain.write(f"{certificate}\n{key}\n")
            chain.flush()
            try:
                context.load_cert_chain(chain.name, password=_reject_password)
            except (ssl.SSLError, ValueError) as error:
                message = f"the client certificate for {self.server} cannot be used: {error}"
                raise InvalidSettings(message) from error


def _token(path: Path, content: bytes) -> str:
    """Return the token in the content of a file; a token of several lines would end the header."""
    token = content.decode(errors="replace").strip()
    if not is_header_value(token):
        raise InvalidSettings(f"the file {path} has no bearer token: it is binary, or has several lines; replace it")
    return token


def _reject_password() -> str:
    """Fail instead of asking a person, as OpenSSL does for an encrypted key."""
    raise ValueError("the key is encrypted; store it without a password")
