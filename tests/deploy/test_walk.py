"""docs/operations/install-aks.md, walked: every command block of it in order, to predictions.

az is the real one, against the recording endpoint; kubectl and helm act on the local cluster, whose node plays the
scoring pool; storage is Azurite behind TLS, which takes the endpoint's tokens; docker is tests/deploy/docker.py.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcluster.addons.azurite import Azurite, OAuth
from localcluster.addons.registry import Registry
from localcluster.cluster import Cluster
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.deploy.endpoint import TENANT, Azure
from tests.deploy.shell import ROOT, Shell
from tests.testkit.entra import TRUST, Entra, serving
from tests.testkit.tls import Tls

GUIDE = ROOT / "docs" / "operations" / "install-aks.md"
NAMESPACE = "scoring"
POOLS = ("fleetscore.dev/pool=scoring", "kubernetes.azure.com/mode=system")  # one node plays both
SUPPLIED = ("FLEETSCORE_NAME", "FLEETSCORE_LOCATION", "FLEETSCORE_SUBSCRIPTION")


def blocks() -> list[str]:
    """Return the command blocks of the guide, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def kubeconfig(cluster: Cluster, name: str) -> str:
    """Return the administrator's kubeconfig with the names that AKS gives."""
    config = json.loads(cluster.kubeconfig.read_text())
    user = f"clusterUser_{name}"
    config["clusters"][0]["name"], config["users"][0]["name"] = name, user
    config["contexts"] = [{"name": name, "context": {"cluster": name, "user": user}}]
    return json.dumps({**config, "current-context": name})


@dataclass(frozen=True)
class GuideSetup:
    """The place in which the guide is followed: a signed-in shell, and the fake services that it uses."""

    shell: Shell
    cluster: Cluster
    entra: Entra


@pytest.fixture
def setup(container_cluster: Cluster, tmp_path: Path) -> Iterator[GuideSetup]:
    """Serve an Azure with the local cluster, an Azurite and a registry, which trusts the cluster's accounts."""
    cluster, host, pki = container_cluster, container_cluster.host_address, tmp_path / "pki"
    config = kubeconfig(cluster, "aks-fleetscore")
    issuer = cluster.api.request("GET", "/.well-known/openid-configuration")["issuer"]
    with ExitStack() as running:
        azure = running.enter_context(Azure(pki, host, issuer=issuer, kubeconfig=config))
        tls = Tls.issue(CertificateAuthority(pki, "authority"), host)
        azurite = running.enter_context(
            Azurite.start(tmp_path / "azurite", host=host, oauth=OAuth(tls.certificate, tls.key))
        )
        registry = running.enter_context(Registry.start(tmp_path / "registry", host=host))
        entra = running.enter_context(serving(Entra(TENANT, cluster.api, azure.credentials), host, tls))
        azure.blob_url = f"{azurite.url}/"
        cluster.use_registry(registry.address, azure.address)
        running.callback(clean_up, cluster)
        play_azure(cluster, entra, azure.ca)
        shell = Shell(azure, tmp_path, {"REGISTRY_OF_TEST": registry.address, "PYTHONPATH": str(ROOT)})
        put_docker(tmp_path / "bin")
        shell.sign_in()
        yield GuideSetup(shell, cluster, entra)


def play_azure(cluster: Cluster, entra: Entra, ca: Path) -> None:
    """Add the pool labels and the identity webhook of AKS to the cluster, and delete the CRD of other tests."""
    cluster.kubectl("delete", "crd", "scoringruns.fleetscore.dev", "--ignore-not-found")
    cluster.kubectl("label", "nodes", "--all", *POOLS)
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("-n", NAMESPACE, "create", "configmap", TRUST, f"--from-file=ca.crt={ca}")
    cluster.kubectl("apply", "-f", "-", input=json.dumps(entra.webhook(NAMESPACE, ca)))


def clean_up(cluster: Cluster) -> None:
    cluster.kubectl("delete", "mutatingwebhookconfiguration", f"identity-{NAMESPACE}", "--ignore-not-found")
    cluster.kubectl("label", "nodes", "--all", *(f"{pool.partition('=')[0]}-" for pool in POOLS))
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def put_docker(folder: Path) -> None:
    """Write a program docker that runs tests/deploy/docker.py."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.deploy.docker "$@"\n')
    program.chmod(0o755)


def test_guide_names_its_three_inputs_before_their_first_use() -> None:
    text, given = GUIDE.read_text(), set()
    for block in blocks():
        given |= set(re.findall(r"^(?:export )?([A-Z_]+)=", block, re.MULTILINE))
        assert set(re.findall(r"\$\{?([A-Z_]+)", block)) <= given, block
        assert not re.search(r"<[a-z]", block), f"a value to be filled in: {block}"
    assert {name for name in given if f"| `{name}` |" in text} == set(SUPPLIED)
    assert all(text.index(f"| `{name}` |") < text.index(f"{name}=") for name in SUPPLIED)


def test_guide_leads_from_an_empty_account_to_predictions(setup: GuideSetup, checkout: Path) -> None:
    done = walk(setup.shell, checkout)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    rows = done.stdout.rstrip().splitlines()[-3:]
    assert rows[0] == "TS,Device,Tag,Val,Prediction,Score"
    assert rows[1].split(",")[1] == "press-1"
    runs = json.loads(setup.cluster.kubectl("-n", NAMESPACE, "get", "scoringruns", "-o", "json"))["items"]
    assert [run["status"]["devices"]["total"] for run in runs] == [12] * len(runs) != []

    # Azure received the accounts that the chart created, and the issuer that signs their tokens.
    accounts = {f"system:serviceaccount:{NAMESPACE}:fleetscore-{who}" for who in ("operator", "scorer")}
    assert set(setup.shell.azure.credentials) == accounts
    assert {subject for subject, _, refused in setup.entra.exchanges if not refused} == accounts
    credential = setup.shell.azure.put("/id-fleetscore-scorer/federatedidentitycredentials/scoring")
    assert credential["properties"]["issuer"] == setup.shell.azure.issuer


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a clone with the files of this checkout and its virtual environment."""
    clone = tmp_path / "clone"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    for name in listed.stdout.splitlines():
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    (clone / ".venv").mkdir()
    (clone / ".venv" / "bin").symlink_to(ROOT / ".venv" / "bin")
    (clone / ".venv" / ".ready").touch()
    return clone


def walk(shell: Shell, checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the blocks in one shell, as a reader types them; the first command that fails ends it."""
    script = "\n".join(["set -euo pipefail", *(f"echo '### block {n}'\n{text}" for n, text in enumerate(blocks(), 1))])
    return subprocess.run(
        ["bash", "-c", script], cwd=checkout, env=shell.environment, capture_output=True, text=True, check=False
    )
