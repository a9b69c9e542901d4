"""The checks of the cluster: CRD and versions, operators and their Leases, rights, and the clock. Pure."""

from collections.abc import Iterator
from itertools import combinations

from fleetscore.doctor.facts import Crd, Facts, Lease, Operator, Server
from fleetscore.doctor.findings import Finding, Result, Right, Unseen, named

API_VERSION = "v1alpha1"
MAX_CLOCK_SECONDS = 30
"""Difference of two clocks above which they count as wrong: `--since` and the times of reports are then wrong, too."""

LEASE_SLACK_SECONDS = 15
"""Seconds above the duration of a Lease for which it may be without a renewal while another operator takes it."""

NEEDED_RIGHTS = ("get", "list")
"""Verbs on ScoringRuns without which no command works."""


def check_cluster(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about everything except fleets and schedules."""
    yield from _check_crd(facts)
    yield from _check_operators(facts)
    yield from _check_user(facts)
    yield from _check_clock(facts)


def _check_crd(facts: Facts) -> Iterator[Finding]:
    crd, subject = facts.crd, "scoringruns.fleetscore.dev"
    if isinstance(crd, Unseen):
        yield crd.finding("crd", subject)
        return
    if not crd.served:
        cure = "install the chart with crds.enabled, or run `kubectl apply -f crds/` with the files of the release"
        yield Finding(Result.PROBLEM, "crd", subject, "the CRD does not exist", cure)
        return
    if API_VERSION not in crd.served:
        text = f"the CRD serves {', '.join(crd.served)}, and this client needs {API_VERSION}"
        yield Finding(Result.PROBLEM, "crd", subject, text, "install the client of the release's version")
        return
    yield Finding(Result.OK, "crd", subject, f"the API server serves {API_VERSION}")
    yield from _check_versions(facts, crd)


def _check_versions(facts: Facts, crd: Crd) -> Iterator[Finding]:
    if isinstance(facts.operators, Unseen):
        return
    if isinstance(crd.release, Unseen):
        yield crd.release.finding("versions", "scoringruns.fleetscore.dev")
    for operator in facts.operators:
        if not operator.version or not operator.watches_namespace(facts.namespace):
            continue
        if isinstance(crd.release, str) and crd.release not in ("", operator.version):
            text = f"the CRD is of version {crd.release}, and the operator of {operator.version}"
            cure = "upgrade the release with crds.enabled, or apply the CRD of the operator's version"
            yield Finding(Result.PROBLEM, "versions", operator.subject, text, cure)
        elif facts.client_version != operator.version:
            text = f"the client is of version {facts.client_version}, and the operator of {operator.version}"
            cure = f"install version {operator.version} of the client"
            yield Finding(Result.WARNING, "versions", operator.subject, text, cure)
        else:
            text = f"operator and client are of version {operator.version}"
            yield Finding(Result.OK, "versions", operator.subject, text)


def _check_operators(facts: Facts) -> Iterator[Finding]:
    operators = facts.operators
    if isinstance(operators, Unseen):
        yield operators.finding("operator", f"namespace {facts.namespace}")
        return
    serving = [one for one in operators if one.watches_namespace(facts.namespace)]
    if not serving:
        seen = named(f"{one.subject} watches {named(one.watches)}" for one in operators)
        text = f"no operator handles runs of namespace {facts.namespace}" + (f"; {seen}" if seen else "")
        cure = f"install the chart there, or add {facts.namespace} to its watch.namespaces, or name another with -n"
        found = Result.UNKNOWN if facts.others else Result.PROBLEM
        if facts.others:
            cure = f"{cure}; if it is in another namespace, {facts.others.cure}"
        yield Finding(found, "operator", f"namespace {facts.namespace}", text, cure)
    for operator in serving:
        yield from _check_operator(operator)
        yield from _check_lease(facts, operator)
        yield from _check_operator_rights(operator)
    yield from _check_overlaps(facts, operators)


def _check_operator(operator: Operator) -> Iterator[Finding]:
    where = f"-n {operator.namespace}"
    if not operator.replicas:
        cure = f"`kubectl {where} scale deployment {operator.name} --replicas=1`"
        yield Finding(Result.PROBLEM, "operator", operator.subject, "the Deployment has 0 replicas", cure)
    elif not operator.ready:
        text = f"0 of {operator.replicas} pods are ready" + (f": {operator.blocker}" if operator.blocker else "")
        name = operator.name
        cure = f"`kubectl {where} describe deployment {name}` and `kubectl {where} logs deployment/{name}`"
        yield Finding(Result.PROBLEM, "operator", operator.subject, text, cure)
    else:
        text = f"{operator.ready} of {operator.replicas} pods are ready"
        yield Finding(Result.OK, "operator", operator.subject, text)


def _check_lease(facts: Facts, operator: Operator) -> Iterator[Finding]:
    lease = operator.lease
    if isinstance(lease, Unseen):
        yield lease.finding("lease", operator.subject)
    elif not operator.ready:
        return  # the finding about the operator has the cause
    elif lease is None or not lease.holder:
        cure = f"`kubectl -n {operator.namespace} logs deployment/{operator.name}` has the reason"
        yield Finding(Result.PROBLEM, "lease", operator.subject, "no operator holds the Lease", cure)
    else:
        yield _check_holder(facts, operator, lease)


def _check_holder(facts: Facts, operator: Operator, lease: Lease) -> Finding:
    pods, subject = operator.pods, operator.subject
    if not isinstance(pods, Unseen) and pods and lease.holder not in pods:
        text = f"the Lease is held by {lease.holder}, which is not a pod of this release"
        cure = "stop that operator: another release or process uses the same Lease"
        return Finding(Result.PROBLEM, "lease", subject, text, cure)
    age = 0.0
    if isinstance(facts.server, Server) and lease.renewed is not None:
        age = (facts.server.time - lease.renewed).total_seconds()
    if age > lease.seconds + LEASE_SLACK_SECONDS:
        text = f"{lease.holder} has not renewed the Lease for {age:,.0f} s, or the clock of its node is slow"
        cure = f"`kubectl -n {operator.namespace} logs deployment/{operator.name}`; compare the clock of its node"
        return Finding(Result.PROBLEM, "lease", subject, text, cure)
    if age < -MAX_CLOCK_SECONDS:
        text = f"{lease.holder} renewed the Lease {-age:,.0f} s in the future of the API server's clock"
        cure = "set the clock of the operator's node: check its time synchronization (NTP)"
        return Finding(Result.PROBLEM, "clock", subject, text, cure)
    return Finding(Result.OK, "lease", subject, f"the Lease is held by {lease.holder}")


def _check_operator_rights(operator: Operator) -> Iterator[Finding]:
    if isinstance(operator.rights, Unseen):
        yield operator.rights.finding("rights", operator.subject)
        return
    missing = sorted(right for right, allowed in operator.rights.items() if not allowed)
    for namespace in dict.fromkeys(right.namespace for right in missing):
        rights = named(str(right) for right in missing if right.namespace == namespace)
        place = f"namespace {namespace}" if namespace else "all namespaces"
        cure = f"`helm upgrade` restores the operator's Role in {place} (rbac.yaml of the chart)"
        text = f"the operator may not {rights} in {place}"
        yield Finding(Result.PROBLEM, "rights", operator.subject, text, cure)
    if operator.rights and not missing:
        yield Finding(Result.OK, "rights", operator.subject, f"the operator has its {len(operator.rights)} rights")


def _check_overlaps(facts: Facts, operators: tuple[Operator, ...]) -> Iterator[Finding]:
    active = [one for one in operators if one.replicas]
    for first, second in combinations(active, 2):
        shared = sorted(set(first.watches) & set(second.watches)) if first.watches and second.watches else None
        if shared == []:
            continue
        common = named(shared or first.watches or second.watches) or "all namespaces"
        text = f"{first.subject} and {second.subject} both handle runs of {common}"
        cure = "`helm uninstall` one release, or set watch.namespaces of both so that each namespace has one operator"
        yield Finding(Result.PROBLEM, "operator", f"{first.subject}, {second.subject}", text, cure)
    if facts.others and any(one.watches_namespace(facts.namespace) for one in operators):
        yield facts.others.finding("operator", "operators of other namespaces")


def _check_user(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.rights, Unseen):
        yield facts.rights.finding("user", f"namespace {facts.namespace}")
        return
    missing = sorted(right for right, allowed in facts.rights.items() if not allowed)
    for right in missing:
        needed = right.verb in NEEDED_RIGHTS and right.resource == "scoringruns"
        text = f"this user may not {right} in namespace {facts.namespace}"
        result = Result.PROBLEM if needed else Result.WARNING
        yield Finding(result, "user", f"namespace {facts.namespace}", text, _cure_of(right))
    if facts.rights and not missing:
        text = f"this user may use every command in namespace {facts.namespace}"
        yield Finding(Result.OK, "user", f"namespace {facts.namespace}", text)


def _cure_of(right: Right) -> str:
    if right.resource != "scoringruns":
        return f"ask for {right.rule}; only `logs` needs it"
    role = "view" if right.verb in NEEDED_RIGHTS else "edit"
    return f"ask for the ClusterRole {role} in the namespace, or for {right.rule}"


def _check_clock(facts: Facts) -> Iterator[Finding]:
    server = facts.server
    if isinstance(server, Unseen):
        yield server.finding("clock", "this machine")
        return
    difference = (server.local_time - server.time).total_seconds()
    if abs(difference) > MAX_CLOCK_SECONDS:
        word = "ahead of" if difference > 0 else "behind"
        text = f"this machine's clock is {abs(difference):,.0f} s {word} the API server's"
        cure = "set the clock: check time synchronization (NTP) of this machine and of the control plane"
        yield Finding(Result.PROBLEM, "clock", "this machine", text, cure)
    else:
        yield Finding(Result.OK, "clock", "this machine", "this machine's clock agrees with the API server's")
