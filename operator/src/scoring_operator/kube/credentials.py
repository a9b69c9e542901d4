"""The address of the API server and the identity of the client: the pod's service account, or a kubeconfig.

The package `kubernetes` reads a kubeconfig, including exec plugins. Its import costs 0.75 s of CPU time and 24 MiB. A
pod does not import it, because its service account is a folder of three files.
"""

import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from scoring_operator.errors import InvalidSettings

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Credentials:
    """One API server and one identity.

    Attributes:
        server: The URL of the API server.
        ca: The PEM text of the certificates that sign the server's. The default trusts the system's authorities.
        token: The bearer token.
        token_file: The file of a bearer token that is replaced from time to time.
        certificate: The PEM text of the client certificate.
        key: The PEM text of its key.
        insecure: True to accept every server certificate.
    """

    server: str
    ca: str | None = None
    token: str | None = None
    token_file: Path | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False

    def bearer_token(self) -> str | None:
        """Return the current token; the kubelet replaces the file before the token in it expires.

        Raises:
            OSError: The file cannot be read.
        """
        return self.token if self.token_file is None else self.token_file.read_text().strip()

    def ssl_context(self) -> ssl.SSLContext:
        """Build the TLS settings; the call blocks for some milliseconds."""
        context = ssl.create_default_context(cadata=self.ca)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # The ssl module reads a client certificate only from a file.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
                chain.write(f"{self.certificate}\n{self.key}\n")
                chain.flush()
                context.load_cert_chain(chain.name)
        return context


def load(environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Credentials:
    """Return the credentials of KUBECONFIG if it is set, else of the pod's service account.

    Args:
        environment: The environment variables.
        service_account: The folder that the kubelet mounts.

    Raises:
        InvalidSettings: No credentials are found, or they cannot be used.
    """
    if environment.get("KUBECONFIG"):
        return _from_kubeconfig(environment["KUBECONFIG"])
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (service_account / "token").exists():
        raise InvalidSettings(
            "no Kubernetes credentials: set KUBECONFIG, or run in a pod that mounts its service account's token"
        )
    host = f"[{host}]" if ":" in host else host
    return Credentials(
        server=f"https://{host}:{port}",
        ca=(service_account / "ca.crt").read_text(),
        token_file=service_account / "token",
    )


def _from_kubeconfig(path: str) -> Credentials:
    from kubernetes import client, config  # noqa: PLC0415  expensive, and not needed in a pod

    found = client.Configuration()
    try:
        config.load_kube_config(path, client_configuration=found, persist_config=False)  # type: ignore[no-untyped-call]  # untyped
    except (config.ConfigException, yaml.YAMLError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidSettings(f"KUBECONFIG {path} is invalid: {' '.join(str(error).split())}") from error
    kind, _, token = found.api_key.get("BearerToken", "").partition(" ")
    if kind != "Bearer" and not found.cert_file:
        raise InvalidSettings(
            f"KUBECONFIG {path} has neither a token nor a client certificate; "
            "if its user has an exec plugin, check that `kubectl auth whoami` works"
        )
    return Credentials(
        server=found.host.rstrip("/"),
        ca=_read_text(found.ssl_ca_cert),
        token=token or None,
        certificate=_read_text(found.cert_file),
        key=_read_text(found.key_file),
        insecure=not found.verify_ssl,
    )


def _read_text(path: str | None) -> str | None:
    return Path(path).read_text() if path else None
