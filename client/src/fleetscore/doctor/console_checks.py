"""The checks of the consoles: their pods, their Secrets, and their own access to storage."""

from collections.abc import Iterator
from dataclasses import replace

from fleetscore.doctor.facts import ConsoleFacts, Facts, SecretState
from fleetscore.doctor.findings import Finding, Result, Unseen
from fleetscore.doctor.operator_checks import check_pods
from fleetscore.texts import printable


def check_consoles(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the consoles; none without a console, as the chart installs none by default."""
    if isinstance(facts.consoles, Unseen):
        yield facts.consoles.finding("console", f"namespace {facts.namespace}")
        return
    for console in facts.consoles:
        yield _check_console(console)


def _check_console(console: ConsoleFacts) -> Finding:
    if not console.exists:
        return _problem(console, "the Deployment of the console does not exist", "`helm upgrade` creates it again")
    found = check_pods(console, "console")
    if missing := _check_secret(console, found.message):
        return missing
    return found if found.result is Result.PROBLEM else _check_storage(console) or _with_command(console, found)


def _problem(console: ConsoleFacts, text: str, cure: str) -> Finding:
    return Finding(Result.PROBLEM, "console", console.subject, text, cure)


def _check_secret(console: ConsoleFacts, pods: str) -> Finding | None:
    """Return the finding about a missing key. A Secret that the user may not read has its finding with the fleet."""
    key = console.secret
    if key is None or console.secret_state not in (SecretState.MISSING, SecretState.WITHOUT_KEY):
        return None
    missing = "does not exist" if console.secret_state is SecretState.MISSING else f"has no key {key.key}"
    command = f"`kubectl -n {key.namespace} create secret generic {key.name} --from-file={key.key}=FILE`"
    return _problem(console, f"Secret {key.name}, which the console reads at its start, {missing}; {pods}", command)


def _check_storage(console: ConsoleFacts) -> Finding | None:
    """Return the finding about the access to storage with the credential that the console has read at its start."""
    fault, key = console.storage_fault, console.secret
    restart = f"`kubectl -n {console.namespace} rollout restart deployment {console.name}`"
    changed = f"Secret {key.name} was changed after the console has read it" if key and console.outdated else ""
    if fault and not isinstance(fault, Unseen):
        reason, _, step = printable(fault).rpartition("; ")
        text = f"the console cannot read storage: {reason or step}"
        if changed:
            return _problem(console, f"{text}; {changed}", restart)
        return _problem(console, text, f"{_storage_cure(console, step if reason else '')}; then {restart}")
    if changed:
        return Finding(Result.WARNING, "console", console.subject, changed, restart)
    return fault.finding("console", console.subject) if isinstance(fault, Unseen) else None


def _storage_cure(console: ConsoleFacts, step: str) -> str:
    """Return the next step for a fault of storage: that of the log, except a login of the log's reader."""
    key = f"correct key {console.secret.key} of Secret {console.secret.name}" if console.secret else ""
    if step and "az login" not in step:
        # A firewall and a key of another account have the same code, AuthorizationFailure.
        return f"{key}; if it is right, {step}" if key and "firewall" in step else step
    if key:
        return key
    account = "the identity of console.serviceAccount.annotations"
    return f"give {account} the role Storage Blob Data Reader on models and predictions"


def _with_command(console: ConsoleFacts, found: Finding) -> Finding:
    """Return the finding about the pods with the command that opens the console."""
    if found.result is not Result.OK or not console.port:
        return found
    command = f"`kubectl -n {console.namespace} port-forward service/{console.name} {console.port}`"
    return replace(found, message=f"{found.message}; {command} opens it on this machine")
