"""The checks of the operators: their pods, their Leases, their rights, and namespaces that two of them handle."""

from collections.abc import Iterator
from itertools import combinations

from fleetscore.doctor.cures import cure_in
from fleetscore.doctor.facts import Deployment, Facts, Lease, Operator
from fleetscore.doctor.findings import Finding, Result, Unseen, named

MAX_CLOCK_SECONDS = 30
"""Difference of two clocks above which they count as wrong: `--since` and the times of reports are then wrong, too."""

LEASE_SLACK_SECONDS = 15
"""Seconds above the duration of a Lease for which it may be without a renewal while another operator takes it."""


def check_operators(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the operators."""
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
        yield _check_operator(operator)
        yield from _check_lease(facts, operator)
        yield from _check_operator_rights(operator)
    yield from _check_overlaps(facts, operators)


def check_pods(one: Deployment, check: str) -> Finding:
    """Return the finding about the pods of a Deployment; OK if all run with its newest settings.

    Args:
        one: The Deployment.
        check: The name of the check, which is the component.
    """
    where, name, blocker = f"-n {one.namespace}", one.name, one.blocker
    pods = f"{one.ready} of {one.replicas} pods are ready"
    details = f"`kubectl {where} describe deployment {name}` and `kubectl {where} logs deployment/{name}`"
    result, text, cure = Result.PROBLEM, pods, cure_in(blocker, details)
    if not one.replicas:
        text, cure = "the Deployment has 0 replicas", f"`kubectl {where} scale deployment {name} --replicas=1`"
    elif one.account:
        text = f"ServiceAccount {one.account} of the {check} does not exist; {pods}"
        cure = "`helm upgrade` creates it again"
    elif not one.ready:
        text = ": ".join(filter(None, (pods, blocker)))
    elif one.updated < one.replicas:
        newest = f"{one.updated} of {one.replicas} pods have the newest settings of the Deployment"
        text = ": ".join(filter(None, (newest, blocker)))
        result = Result.PROBLEM if blocker else Result.WARNING
    elif one.restarts:
        text, cure = one.restarts, cure_in(one.restarts, f"`kubectl {where} logs deployment/{name} --previous`")
    elif one.ready < one.replicas:
        result, text = Result.WARNING, ": ".join(filter(None, (pods, blocker)))
    else:
        result, cure = Result.OK, ""
    return Finding(result, check, one.subject, text, cure)


def _check_operator(operator: Operator) -> Finding:
    found, where = check_pods(operator, "operator"), f"-n {operator.namespace}"
    if operator.outdated and operator.updated >= operator.replicas and found.result is not Result.PROBLEM:
        text = "the fleets file was changed without the chart, and the operator has not read it since its start"
        cure = f"`kubectl {where} rollout restart deployment {operator.name}`; `helm upgrade` replaces the file"
        return Finding(Result.PROBLEM, "operator", operator.subject, text, cure)
    return found


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
        found, pods = _check_holder(facts, operator, lease), operator.pods
        if isinstance(pods, Unseen) and found.result is Result.OK and not lease.holder.startswith(f"{operator.name}-"):
            found = pods.finding("lease", operator.subject)  # the holder may be another process
        yield found


def _check_holder(facts: Facts, operator: Operator, lease: Lease) -> Finding:
    pods, subject, holder = operator.pods, operator.subject, lease.holder
    logs = f"`kubectl -n {operator.namespace} logs deployment/{operator.name}`"
    age = (facts.now - lease.renewed).total_seconds() if facts.now and lease.renewed else 0.0
    stale = age > lease.seconds + LEASE_SLACK_SECONDS
    if not isinstance(pods, Unseen) and pods and holder not in pods:
        text = f"the Lease is held by {holder}, which is not a pod of this release"
        if stale:
            text += f", and was not renewed for {age:,.0f} s"
            cure = f"{logs} has the reason that no pod takes the Lease"
            return Finding(Result.PROBLEM, "lease", subject, text, cure)
        if holder.startswith(f"{operator.name}-"):
            text = f"the Lease is held by {holder}, which has ended; another pod takes it within {lease.seconds} s"
            return Finding(Result.WARNING, "lease", subject, text, f"run doctor again; then {logs}")
        cure = "stop that operator: another release or process uses the same Lease"
        return Finding(Result.PROBLEM, "lease", subject, text, cure)
    if stale:
        text = f"{holder} has not renewed the Lease for {age:,.0f} s"
        return Finding(Result.PROBLEM, "lease", subject, text, f"{logs} has the reason")
    ahead = lease.ahead if abs(lease.ahead) > MAX_CLOCK_SECONDS else -age if age < -MAX_CLOCK_SECONDS else 0
    if ahead:
        direction = "ahead of" if ahead > 0 else "behind"
        text = f"the clock of {holder} is {abs(ahead):,.0f} s {direction} the API server's"
        cure = "set the clock of the operator's node: check its time synchronization (NTP)"
        return Finding(Result.PROBLEM, "clock", subject, text, cure)
    return Finding(Result.OK, "lease", subject, f"the Lease is held by {holder}")


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
