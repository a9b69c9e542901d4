"""deploy/azure through the real az: what the scripts ask of Azure, read from the recording endpoint."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.deploy.endpoint import ISSUER, ROLES, SUBSCRIPTION, USER, Azure, Request, an_id
from tests.deploy.shell import Done, Shell

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-press"
CLUSTER = f"{GROUP}/providers/microsoft.containerservice/managedclusters/aks-press"
OPTIONS = ("--name", "press", "--location", "northeurope")


@dataclass
class Made:
    """An Azure in which up.sh ran once: what it printed and what it changed."""

    azure: Azure
    shell: Shell
    done: Done
    changes: list[Request]

    def account(self) -> str:
        (path,) = [one for one in self.azure.resources if one.rpartition("/")[0].endswith("storageaccounts")]
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("azure")
    with Azure(folder / "pki") as azure:
        shell = Shell(azure, folder)
        shell.sign_in()
        done = shell.script("up", *OPTIONS)
        yield Made(azure, shell, done, azure.changes())


def test_up_creates_everything_and_prints_the_next_steps(made: Made) -> None:
    assert made.done.returncode == 0, made.done.stdout + made.done.stderr
    assert "Made in rg-press" in made.done.stdout
    assert "deploy/azure/install.sh" in made.done.stdout
    assert made.azure.put("/resourcegroups/rg-press") == {"location": "northeurope"}


def test_storage_account_rejects_shared_keys_and_has_three_containers(made: Made) -> None:
    account = made.azure.put(made.account())
    assert account["location"] == "northeurope"
    settings = account["properties"]
    assert (settings["allowSharedKeyAccess"], settings["allowBlobPublicAccess"]) == (False, False)
    assert settings["minimumTlsVersion"] == "TLS1_2"
    paths = [one.path.rpartition("/") for one in made.changes]
    assert sorted(name for folder, _, name in paths if folder.endswith("/containers")) == [
        "data",
        "models",
        "predictions",
    ]


def test_cluster_issues_identity_tokens_and_enforces_network_policies(made: Made) -> None:
    cluster = made.azure.put("/managedclusters/aks-press")["properties"]
    assert cluster["oidcIssuerProfile"] == {"enabled": True}
    assert cluster["securityProfile"]["workloadIdentity"] == {"enabled": True}
    assert cluster["networkProfile"]["networkDataplane"] == "cilium"
    assert cluster["autoScalerProfile"]["scale-down-unneeded-time"] == "3m"
    (system,) = cluster["agentPoolProfiles"]
    assert (system["mode"], system["count"]) == ("System", 1)


def test_scoring_pool_scales_from_zero_and_accepts_only_scoring_pods(made: Made) -> None:
    pool = made.azure.put("/agentpools/scoring")["properties"]
    assert (pool["mode"], pool["enableAutoScaling"]) == ("User", True)
    assert (pool["count"], pool["minCount"], pool["maxCount"]) == (0, 0, 10)
    assert pool["nodeLabels"] == {"fleetscore.dev/pool": "scoring"}
    assert pool["nodeTaints"] == ["fleetscore.dev/pool=scoring:NoSchedule"]
    assert pool["scaleSetPriority"] == "Regular"


def test_each_identity_is_trusted_under_one_service_account(made: Made) -> None:
    for who in ("operator", "scorer"):
        assert made.azure.put(f"/id-press-{who}")["location"] == "northeurope"
        credential = made.azure.put(f"/id-press-{who}/federatedidentitycredentials/scoring")["properties"]
        assert credential == {
            "issuer": ISSUER,
            "subject": f"system:serviceaccount:scoring:fleetscore-{who}",
            "audiences": ["api://AzureADTokenExchange"],
        }


def test_each_identity_has_exactly_the_rights_it_needs(made: Made) -> None:
    identities = f"{GROUP}/providers/microsoft.managedidentity/userassignedidentities/id-press-"
    names = {an_id(f"{identities}{who}", "principal"): who for who in ("operator", "scorer")}
    names |= {an_id(CLUSTER, "kubelet"): "kubelet", USER: "you"}
    role_names = {role: name for name, role in ROLES.items()}
    found = set()
    for change in made.changes:
        scope, is_role, _ = change.path.partition("/providers/Microsoft.Authorization/roleAssignments/")
        if is_role:
            given = change.body["properties"]
            role = role_names[given["roleDefinitionId"].rpartition("/")[2]]
            assert given["principalType"] == "ServicePrincipal"
            found.add((names[given["principalId"]], role, scope.rpartition("/")[2]))
    account = made.account().rpartition("/")[2]
    assert found == {
        ("operator", "Storage Blob Data Reader", "models"),
        ("operator", "Storage Blob Data Reader", "data"),
        ("operator", "Storage Blob Data Reader", "predictions"),
        ("scorer", "Storage Blob Data Reader", "models"),
        ("scorer", "Storage Blob Data Reader", "data"),
        ("scorer", "Storage Blob Data Contributor", "predictions"),
        ("kubelet", "AcrPull", account),
        ("you", "Storage Blob Data Contributor", account),
    }


def test_repeated_up_changes_nothing(made: Made) -> None:
    before, count = dict(made.azure.resources), len(made.azure.requests)
    again = made.shell.script("up", *OPTIONS)
    assert again.returncode == 0, again.stderr
    assert "it is there already and is left as it is" in again.stdout
    changed = [request.path for request in made.azure.requests[count:] if request.is_change()]
    assert not [path for path in changed if path.endswith("/aks-press")]
    assert made.azure.resources.keys() == before.keys()
    assert {key: value for key, value in made.azure.resources.items() if key != f"{CLUSTER}/agentpools/scoring"} == {
        key: value for key, value in before.items() if key != f"{CLUSTER}/agentpools/scoring"
    }


def test_up_fails_if_azure_does_not_respond(made: Made) -> None:
    count = len(made.azure.requests)
    made.azure.broken = "/managedclusters/aks-press"
    try:
        done = made.shell.script("up", *OPTIONS)
    finally:
        made.azure.broken = ""
    assert done.returncode == 1
    assert "rejects this request" in done.stderr
    assert not [one for one in made.azure.requests[count:] if one.is_change() and "managedClusters" in one.path]


@pytest.mark.parametrize("script", ["up", "install", "down"])
def test_dry_run_prints_the_commands_without_requests_to_azure(made: Made, script: str) -> None:
    count = len(made.azure.requests)
    done = made.shell.script(script, *OPTIONS, "--spot", "--max-nodes", "3", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert len(made.azure.requests) == count
    shown = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    wanted = {"up": "--priority Spot --eviction-policy Delete", "install": "helm upgrade --install", "down": "rg-press"}
    assert [line for line in shown if wanted[script] in line]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "Press"], "--name Press: 3 to 12"),
        (["--max-nodes", "none"], "--max-nodes none: a whole number"),
        (["--namespace", "Über"], "not a namespace's name"),
        (["--frobnicate"], "unknown option --frobnicate"),
        (["--name"], "--name needs a value"),
    ],
)
def test_wrong_option_is_named_before_any_request(made: Made, options: list[str], message: str) -> None:
    count = len(made.azure.requests)
    done = made.shell.script("up", *options)
    assert (done.returncode, len(made.azure.requests)) == (64, count)
    assert message in done.stderr


def test_down_without_the_groups_name_lists_but_deletes_nothing(made: Made) -> None:
    done = made.shell.script("down", *OPTIONS, given="yes\n")
    assert done.returncode == 64
    assert "Microsoft.ContainerService/managedClusters" in done.stdout
    assert "nothing was removed" in done.stderr
    assert CLUSTER in made.azure.resources


def test_down_deletes_the_group_and_a_second_down_finds_nothing(made: Made) -> None:
    assert made.shell.script("down", *OPTIONS, given="rg-press\n").returncode == 0
    assert made.azure.resources == {}
    count = len(made.azure.requests)
    again = made.shell.script("down", *OPTIONS)
    assert "nothing to remove" in again.stdout
    assert not [request for request in made.azure.requests[count:] if request.is_change()]
