"""Where the API server is and as whom to speak to it: the pod's service account, or a kubeconfig.

Read by hand rather than with the `kubernetes` package, whose import alone costs 0.75 s of CPU and 24 MiB.
"""

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scoring_operator.errors import SettingsInvalid

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Credentials:
    """One API server and one identity. Certificates and keys are PEM text."""

    server: str
    ca: str | None = None
    token: str | None = None
    token_file: Path | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False

    def bearer(self) -> str | None:
        """Give the token as it is now: the kubelet replaces the file long before the token in it expires.

        Raises:
            OSError: The file cannot be read (now).
        """
        return self.token if self.token_file is None else self.token_file.read_text().strip()

    def ssl_context(self) -> ssl.SSLContext:
        """Build the TLS settings; blocking, a few milliseconds."""
        context = ssl.create_default_context(cadata=self.ca)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # The ssl module takes a client certificate from a file only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
                chain.write(f"{self.certificate}\n{self.key}\n")
                chain.flush()
                context.load_cert_chain(chain.name)
        return context


def load(environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Credentials:
    """Find the credentials: KUBECONFIG where it is set, else the pod's service account.

    Args:
        environment: Usually `os.environ`.
        service_account: The folder that the kubelet mounts.

    Raises:
        SettingsInvalid: There are none, or they are of a kind that needs another program.
    """
    if environment.get("KUBECONFIG"):
        return _from_kubeconfig(Path(environment["KUBECONFIG"]))
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (service_account / "token").exists():
        raise SettingsInvalid(
            "no Kubernetes credentials: set KUBECONFIG, or run in a pod that mounts its service account's token"
        )
    host = f"[{host}]" if ":" in host else host
    return Credentials(
        server=f"https://{host}:{port}",
        ca=(service_account / "ca.crt").read_text(),
        token_file=service_account / "token",
    )


def _from_kubeconfig(path: Path) -> Credentials:
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "context", config["current-context"])
        cluster = _named(config, "cluster", context["cluster"])
        user = _named(config, "user", context["user"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise SettingsInvalid(
            f"KUBECONFIG {path} cannot be used: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    for kind in ("exec", "auth-provider", "username"):
        if kind in user:
            raise SettingsInvalid(
                f"KUBECONFIG {path} logs in by {kind!r}, which is not supported: "
                "use one with a token (kubectl create token) or a client certificate"
            )
    folder = path.parent
    return Credentials(
        server=str(cluster["server"]).rstrip("/"),
        ca=_pem(cluster, "certificate-authority", folder),
        token=user.get("token"),
        token_file=folder / user["tokenFile"] if "tokenFile" in user else None,
        certificate=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in config[f"{kind}s"]:
        if entry["name"] == name:
            return dict(entry[kind])
    raise KeyError(f"{kind} {name}")


def _pem(section: dict[str, Any], key: str, folder: Path) -> str | None:
    if f"{key}-data" in section:
        return base64.b64decode(section[f"{key}-data"]).decode()
    return (folder / section[key]).read_text() if key in section else None
