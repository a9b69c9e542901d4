"""The checks of the cluster: the namespace, CRD and versions, operators, the user's rights, and the clock."""

from collections.abc import Iterator

from fleetscore.doctor.facts import Crd, Facts
from fleetscore.doctor.findings import Finding, Result, Right, Unseen, named
from fleetscore.doctor.operator_checks import MAX_CLOCK_SECONDS, check_operators

API_VERSION = "v1alpha1"
NEEDED_RIGHTS = ("get", "list")
"""Verbs on ScoringRuns without which no command works."""


def check_cluster(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about everything except fleets and schedules."""
    yield from _check_namespace(facts)
    yield from _check_crd(facts)
    yield from check_operators(facts)
    yield from _check_user(facts)
    yield from _check_clock(facts)


def _check_namespace(facts: Facts) -> Iterator[Finding]:
    subject, phase = f"namespace {facts.namespace}", facts.phase
    if isinstance(phase, Unseen):
        yield phase.finding("namespace", subject)
    elif not phase:
        cure = f"name another with -n, or `kubectl create namespace {facts.namespace}`"
        yield Finding(Result.PROBLEM, "namespace", subject, "the namespace does not exist", cure)
    elif phase != "Active":
        cure = (
            f"`kubectl describe namespace {facts.namespace}` names what delays its deletion; create it again afterwards"
        )
        yield Finding(Result.PROBLEM, "namespace", subject, f"the namespace is in the phase {phase}", cure)


def _check_crd(facts: Facts) -> Iterator[Finding]:
    crd, subject = facts.crd, "scoringruns.fleetscore.dev"
    if isinstance(crd, Unseen):
        yield crd.finding("crd", subject)
        return
    if crd.fault:
        cure = "`kubectl describe crd scoringruns.fleetscore.dev` has the details; apply the CRD of the release again"
        yield Finding(Result.PROBLEM, "crd", subject, crd.fault, cure)
        return
    if not crd.served:
        cure = "install the chart with crds.enabled, or run `kubectl apply -f crds/` with the files of the release"
        yield Finding(Result.PROBLEM, "crd", subject, "the CRD does not exist", cure)
        return
    if API_VERSION not in crd.served:
        text = f"the CRD serves {', '.join(crd.served)}, and this client needs {API_VERSION}"
        yield Finding(Result.PROBLEM, "crd", subject, text, "install the client of the release's version")
        return
    if crd.missing_fields and _release(facts, crd) in ("", facts.client_version):
        text = f"the CRD lacks {len(crd.missing_fields)} fields of version {facts.client_version}, such as "
        text += f"{named(crd.missing_fields)}: the API server drops them"
        cure = "`kubectl apply --server-side -f crds/` with the files of the release, or upgrade with crds.enabled"
        yield Finding(Result.PROBLEM, "crd", subject, text, cure)
    else:
        yield Finding(Result.OK, "crd", subject, f"the API server serves {API_VERSION}")
    yield from _check_versions(facts, crd)


def _release(facts: Facts, crd: Crd) -> str:
    """Return the version of the CRD's release, or of the operator of the namespace; empty if neither is known."""
    if isinstance(crd.release, str) and crd.release:
        return crd.release
    operators = () if isinstance(facts.operators, Unseen) else facts.operators
    return next((one.version for one in operators if one.watches_namespace(facts.namespace)), "")


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
        needs = "only `logs` needs it" if right.resource == "pods/log" else "`logs` and `doctor` need it"
        return f"ask for {right.rule}; {needs}"
    role = "view" if right.verb in NEEDED_RIGHTS else "edit"
    return f"ask for {right.rule}; with `rbac.aggregateClusterRoles` of the chart, the ClusterRole {role} has it"


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
