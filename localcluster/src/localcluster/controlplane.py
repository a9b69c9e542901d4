"""The control plane: etcd, API server, controller manager and scheduler as processes of the machine.

Kubernetes' own default settings are kept; what differs, and why, stands beside it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster import processes
from localcluster.api import Api
from localcluster.certificates import Authority, certificate_user, service_account_keys, write_kubeconfig
from localcluster.slots import Slot

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ISSUER = "https://kubernetes.default.svc.cluster.local"
# Who may watch whom at work: everything that clients asked and what they were answered, but for the heartbeats of the
# cluster's own parts, which would be most of it.
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
        folder: the cluster's folder.
        slot: its ports and addresses.
        address: where the API server listens: an address that all its clients reach.
        bin: the folder with Kubernetes' programs.
        etcd: the etcd program.
        arguments: further arguments per process, e.g. raised limits of the controller manager for a bench.
    """

    folder: Path
    slot: Slot
    address: str
    bin: Path
    etcd: Path
    arguments: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def pki(self) -> Path:
        """The folder of certificates and keys."""
        return self.folder / "pki"

    @property
    def authority(self) -> Authority:
        """The cluster's authority."""
        return Authority(self.pki, "ca")

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.slot.port('kube-apiserver')}"

    @property
    def admin(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event a line."""
        return self.folder / "audit.log"

    def api(self) -> Api:
        """The API as its administrator."""
        return Api(
            self.server, ca=self.authority.certificate, certificate=self.pki / "admin.crt", key=self.pki / "admin.key"
        )

    def kubeconfig(self, file: str, user: str, groups: Sequence[str] = ()) -> Path:
        """Issue a certificate for a user and write the kubeconfig that carries it."""
        identity = certificate_user(*self.authority.issue(file, user, groups))
        path = self.folder / f"{file}.kubeconfig"
        return write_kubeconfig(path, server=self.server, ca=self.authority.certificate, user=identity)

    def prepare(self) -> None:
        """Write certificates, kubeconfigs and the audit policy."""
        self.authority.create()
        # An authority of its own: no certificate of the cluster opens its database.
        Authority(self.pki, "etcd-ca").create().issue("etcd", "etcd", names=["127.0.0.1", "localhost"])
        Authority(self.pki, "front-proxy-ca").create().issue("front-proxy", "front-proxy-client")
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        addresses = {self.address, "127.0.0.1", self.slot.api_service}
        self.authority.issue("kube-apiserver", "kube-apiserver", names=[*names, "localhost", *sorted(addresses)])
        self.authority.issue("kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
        service_account_keys(self.pki)
        self.kubeconfig("admin", "kubernetes-admin", ["system:masters"])
        for component in ("kube-controller-manager", "kube-scheduler"):
            self.kubeconfig(component, f"system:{component}")
        (self.folder / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))

    def command(self, role: str) -> list[str]:
        """The command line of one process."""
        own = {
            "etcd": self._etcd,
            "kube-apiserver": self._apiserver,
            "kube-controller-manager": self._controller_manager,
            "kube-scheduler": self._scheduler,
        }[role]
        return [*own(), *self.arguments.get(role, ())]

    def start(self, role: str) -> None:
        """Start one process; the API server is ready on return."""
        processes.start(self.folder, role, self.command(role))
        if role == "kube-apiserver":
            self.wait_for_api()

    def wait_for_api(self) -> None:
        """Wait until the API server is ready, its database included."""
        api = self.api()
        processes.wait_until(
            self.folder, "kube-apiserver", lambda: api.answers("/readyz"), seconds=60, what="the API server to be ready"
        )

    def start_all(self) -> None:
        """Start everything; pods can be created after `wait_for_accounts`, which comes seconds later."""
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        for role in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            self.start(role)

    def wait_for_accounts(self, namespace: str) -> None:
        """Wait until the controller manager has made a namespace's default service account."""
        api = self.api()
        processes.wait_until(
            self.folder,
            "kube-controller-manager",
            lambda: api.answers(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"),
            seconds=60,
            what=f"the default service account of namespace {namespace}",
        )

    def wait_for_crds(self) -> None:
        """Wait until every CustomResourceDefinition is established; until then its resources are not served.

        `kubectl wait` cannot do it: it fails at a CRD so new that it has no conditions.
        """
        api = self.api()

        def established(crd: dict[str, Any]) -> bool:
            conditions = crd.get("status", {}).get("conditions") or []
            return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)

        processes.wait_until(
            self.folder,
            "kube-apiserver",
            lambda: all(map(established, api.request("GET", CRDS)["items"])),
            seconds=60,
            what="all CustomResourceDefinitions to be established",
        )

    def _etcd(self) -> list[str]:
        client, peer = (f"https://127.0.0.1:{self.slot.port(name)}" for name in ("etcd", "etcd-peer"))
        certificate = [f"--{{}}cert-file={self.pki}/etcd.crt", f"--{{}}key-file={self.pki}/etcd.key"]
        trust = [f"--{{}}trusted-ca-file={self.pki}/etcd-ca.crt", "--{}client-cert-auth"]
        return [
            str(self.etcd),
            "--name=local",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            *(flag.format(side) for side in ("", "peer-") for flag in (*certificate, *trust)),
            "--unsafe-no-fsync",  # a cluster for tests and demos need not survive a power cut
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        loopback = self.address.startswith("127.")
        return [
            f"{self.bin}/kube-apiserver",
            f"--bind-address={self.address}",
            f"--secure-port={self.slot.port('kube-apiserver')}",
            # An endpoint on loopback is refused by validation; without a node nobody would use it.
            *(["--endpoint-reconciler-type=none"] if loopback else [f"--advertise-address={self.address}"]),
            f"--etcd-servers=https://127.0.0.1:{self.slot.port('etcd')}",
            f"--etcd-cafile={self.pki}/etcd-ca.crt",
            f"--etcd-certfile={self.pki}/etcd.crt",
            f"--etcd-keyfile={self.pki}/etcd.key",
            f"--client-ca-file={self.pki}/ca.crt",
            f"--tls-cert-file={self.pki}/kube-apiserver.crt",
            f"--tls-private-key-file={self.pki}/kube-apiserver.key",
            f"--kubelet-certificate-authority={self.pki}/ca.crt",
            f"--kubelet-client-certificate={self.pki}/kubelet-client.crt",
            f"--kubelet-client-key={self.pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",  # nothing resolves the nodes' names
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self.pki}/service-account.pub",
            f"--service-account-signing-key-file={self.pki}/service-account.key",
            f"--service-cluster-ip-range={self.slot.services}",
            f"--requestheader-client-ca-file={self.pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self.pki}/front-proxy.crt",
            f"--proxy-client-key-file={self.pki}/front-proxy.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--audit-policy-file={self.folder}/audit-policy.json",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100000",  # MB: never rotated, so that a test can count all of a run's requests
            "--shutdown-delay-duration=0s",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            f"{self.bin}/kube-controller-manager",
            *self._client("kube-controller-manager"),
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.pki}/service-account.key",
            f"--root-ca-file={self.pki}/ca.crt",
            f"--cluster-signing-cert-file={self.pki}/ca.crt",
            f"--cluster-signing-key-file={self.pki}/ca.key",
        ]

    def _scheduler(self) -> list[str]:
        return [f"{self.bin}/kube-scheduler", *self._client("kube-scheduler")]

    def _client(self, role: str) -> list[str]:
        kubeconfig = self.folder / f"{role}.kubeconfig"
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.slot.port(role)}",
            "--leader-elect=false",  # there is only one, and a restarted one need not wait for the lease to expire
        ]
