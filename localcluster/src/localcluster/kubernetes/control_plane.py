"""The control plane: etcd, API server, controller manager and scheduler as processes of the machine.

Kubernetes' default settings apply. A comment explains each setting that differs.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster import processes
from localcluster.allocation import Slot
from localcluster.kubernetes.api import ApiClient
from localcluster.kubernetes.certificates import (
    CertificateAuthority,
    create_service_account_keys,
    kubeconfig_user,
    write_kubeconfig,
)

CRDS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CONTROL_PLANE_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"
# All requests and their response codes, except the heartbeats of the cluster's own components, which would be most of
# the log.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "None",
            "users": ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver", "kwok"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {
            "level": "None",
            "userGroups": ["system:nodes"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class ControlPlane:
    """One cluster's control plane.

    Args:
        folder: The cluster's folder.
        slot: The cluster's ports and addresses.
        address: The address that the API server listens on and all its clients reach.
        bin_folder: The folder with Kubernetes' programs.
        etcd_program: The etcd program.
        arguments: Additional arguments per process, e.g. raised limits of the controller manager for a benchmark.
    """

    folder: Path
    slot: Slot
    address: str
    bin_folder: Path
    etcd_program: Path
    arguments: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def pki_folder(self) -> Path:
        """The folder of certificates and keys."""
        return self.folder / "pki"

    @property
    def authority(self) -> CertificateAuthority:
        """The cluster's certificate authority."""
        return CertificateAuthority(self.pki_folder, "ca")

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.slot.port('kube-apiserver')}"

    @property
    def admin_kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event a line."""
        return self.folder / "audit.log"

    def create_api_client(self) -> ApiClient:
        """Return a client with the administrator's rights."""
        return ApiClient(
            self.server,
            ca=self.authority.certificate,
            certificate=self.pki_folder / "admin.crt",
            key=self.pki_folder / "admin.key",
        )

    def create_kubeconfig(self, file_stem: str, user: str, groups: Sequence[str] = ()) -> Path:
        """Issue a certificate for a user and write the kubeconfig that carries it."""
        identity = kubeconfig_user(*self.authority.issue(file_stem, user, groups))
        path = self.folder / f"{file_stem}.kubeconfig"
        return write_kubeconfig(path, server=self.server, ca=self.authority.certificate, user=identity)

    def write_configuration(self) -> None:
        """Write certificates, kubeconfigs and the audit policy."""
        self.authority.create()
        # A separate authority: the cluster's own certificates do not give access to etcd.
        CertificateAuthority(self.pki_folder, "etcd-ca").create().issue(
            "etcd", "etcd", names=["127.0.0.1", "localhost"]
        )
        CertificateAuthority(self.pki_folder, "front-proxy-ca").create().issue("front-proxy", "front-proxy-client")
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        addresses = {self.address, "127.0.0.1", self.slot.api_service}
        self.authority.issue("kube-apiserver", "kube-apiserver", names=[*names, "localhost", *sorted(addresses)])
        self.authority.issue("kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
        create_service_account_keys(self.pki_folder)
        self.create_kubeconfig("admin", "kubernetes-admin", ["system:masters"])
        for component in ("kube-controller-manager", "kube-scheduler"):
            self.create_kubeconfig(component, f"system:{component}")
        (self.folder / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))

    def command(self, role: str) -> list[str]:
        """Return the command line of one process."""
        command_for_role = {
            "etcd": self._etcd_command,
            "kube-apiserver": self._apiserver_command,
            "kube-controller-manager": self._controller_manager_command,
            "kube-scheduler": self._scheduler_command,
        }[role]
        return [*command_for_role(), *self.arguments.get(role, ())]

    def start(self, role: str) -> None:
        """Start one process; wait until an API server is ready."""
        processes.start_process(self.folder, role, self.command(role))
        if role == "kube-apiserver":
            self.wait_for_api()

    def wait_for_api(self) -> None:
        """Wait until the API server and etcd are ready."""
        api = self.create_api_client()
        processes.wait_until(
            self.folder,
            "kube-apiserver",
            lambda: api.responds("/readyz"),
            timeout_seconds=60,
            description="the API server to be ready",
        )

    def start_all(self) -> None:
        """Start all processes; pods can be created after `wait_for_service_account`, seconds later."""
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        for role in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            self.start(role)

    def wait_for_service_account(self, namespace: str) -> None:
        """Wait until the controller manager has created a namespace's default service account."""
        api = self.create_api_client()
        processes.wait_until(
            self.folder,
            "kube-controller-manager",
            lambda: api.responds(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"),
            timeout_seconds=60,
            description=f"the default service account of namespace {namespace}",
        )

    def wait_for_crds(self) -> None:
        """Wait until every CustomResourceDefinition is established; only then its resources are served.

        `kubectl wait` is not suitable: it fails for a new CRD without conditions.
        """
        api = self.create_api_client()

        def established(crd: dict[str, Any]) -> bool:
            conditions = crd.get("status", {}).get("conditions") or []
            return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)

        processes.wait_until(
            self.folder,
            "kube-apiserver",
            lambda: all(map(established, api.request("GET", CRDS_PATH)["items"])),
            timeout_seconds=60,
            description="all CustomResourceDefinitions to be established",
        )

    def _etcd_command(self) -> list[str]:
        client, peer = (f"https://127.0.0.1:{self.slot.port(name)}" for name in ("etcd", "etcd-peer"))
        certificate = [f"--{{}}cert-file={self.pki_folder}/etcd.crt", f"--{{}}key-file={self.pki_folder}/etcd.key"]
        trust = [f"--{{}}trusted-ca-file={self.pki_folder}/etcd-ca.crt", "--{}client-cert-auth"]
        return [
            str(self.etcd_program),
            "--name=local",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            *(flag.format(side) for side in ("", "peer-") for flag in (*certificate, *trust)),
            "--unsafe-no-fsync",  # a cluster for tests and demos does not have to survive a power failure
            "--log-level=warn",
        ]

    def _apiserver_command(self) -> list[str]:
        loopback = self.address.startswith("127.")
        return [
            f"{self.bin_folder}/kube-apiserver",
            f"--bind-address={self.address}",
            f"--secure-port={self.slot.port('kube-apiserver')}",
            # Validation rejects an endpoint on loopback; without a node it is not needed.
            *(["--endpoint-reconciler-type=none"] if loopback else [f"--advertise-address={self.address}"]),
            f"--etcd-servers=https://127.0.0.1:{self.slot.port('etcd')}",
            f"--etcd-cafile={self.pki_folder}/etcd-ca.crt",
            f"--etcd-certfile={self.pki_folder}/etcd.crt",
            f"--etcd-keyfile={self.pki_folder}/etcd.key",
            f"--client-ca-file={self.pki_folder}/ca.crt",
            f"--tls-cert-file={self.pki_folder}/kube-apiserver.crt",
            f"--tls-private-key-file={self.pki_folder}/kube-apiserver.key",
            f"--kubelet-certificate-authority={self.pki_folder}/ca.crt",
            f"--kubelet-client-certificate={self.pki_folder}/kubelet-client.crt",
            f"--kubelet-client-key={self.pki_folder}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",  # no DNS server resolves the nodes' names
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={self.pki_folder}/service-account.pub",
            f"--service-account-signing-key-file={self.pki_folder}/service-account.key",
            f"--service-cluster-ip-range={self.slot.services}",
            f"--requestheader-client-ca-file={self.pki_folder}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self.pki_folder}/front-proxy.crt",
            f"--proxy-client-key-file={self.pki_folder}/front-proxy.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--audit-policy-file={self.folder}/audit-policy.json",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100000",  # MB: never rotated, so that a test can count all requests of a run
            "--shutdown-delay-duration=0s",
        ]

    def _controller_manager_command(self) -> list[str]:
        return [
            f"{self.bin_folder}/kube-controller-manager",
            *self._client_arguments("kube-controller-manager"),
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.pki_folder}/service-account.key",
            f"--root-ca-file={self.pki_folder}/ca.crt",
            f"--cluster-signing-cert-file={self.pki_folder}/ca.crt",
            f"--cluster-signing-key-file={self.pki_folder}/ca.key",
        ]

    def _scheduler_command(self) -> list[str]:
        return [f"{self.bin_folder}/kube-scheduler", *self._client_arguments("kube-scheduler")]

    def _client_arguments(self, role: str) -> list[str]:
        kubeconfig = self.folder / f"{role}.kubeconfig"
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.slot.port(role)}",
            "--leader-elect=false",  # one instance only; after a restart it does not wait for the Lease to expire
        ]
