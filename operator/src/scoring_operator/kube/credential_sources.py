"""The sources of credentials, in their order: KUBECONFIG, the pod's service account, ~/.kube/config."""

from collections.abc import Mapping
from pathlib import Path

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.credentials import Credentials

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def load_credentials(
    environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT, *, context: str = ""
) -> Credentials:
    """Return the credentials of KUBECONFIG, else of the pod's service account, else of ~/.kube/config.

    Args:
        environment: The environment variables.
        service_account: The folder that the kubelet mounts.
        context: The context of the kubeconfig; empty: the current one.

    Raises:
        InvalidSettings: No credentials are found, or they cannot be used.
    """
    from scoring_operator.kube import kubeconfig  # noqa: PLC0415  not needed in a pod

    if environment.get("KUBECONFIG"):
        return kubeconfig.load(environment["KUBECONFIG"], environment, context=context)
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not context and host and (service_account / "token").exists():
        host = f"[{host}]" if ":" in host else host
        return Credentials(
            server=f"https://{host}:{port}",
            ca=_read_ca(service_account / "ca.crt"),
            token_file=service_account / "token",
        )
    default = Path(environment.get("HOME") or "/nonexistent", ".kube", "config")
    if default.exists():
        return kubeconfig.load(str(default), environment, context=context)
    raise InvalidSettings(
        "no Kubernetes credentials: set KUBECONFIG, or run in a pod that mounts its service account's token"
    )


def _read_ca(path: Path) -> str:
    """Return the cluster's certificate authority; without non-ASCII characters, which only comments have."""
    next_step = "mount the ConfigMap kube-root-ca.crt next to the token"
    try:
        found = path.read_bytes().decode("ascii", "ignore")
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be read: {error.strerror}; {next_step}") from error
    if not found.strip():
        raise InvalidSettings(f"{path} has no certificate; {next_step}")
    return found
