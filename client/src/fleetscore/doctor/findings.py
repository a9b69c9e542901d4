"""Findings of the checks."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

MAX_NAMED = 3
"""Names of one kind that a finding repeats; the count has the others."""


class Result(StrEnum):
    """The result of a check.

    OK: it is as it should be. WARNING: it may be intended. PROBLEM: it is wrong. UNKNOWN: it could not be checked.
    """

    OK = "OK"
    WARNING = "WARNING"
    PROBLEM = "PROBLEM"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of one subject.

    Attributes:
        result: The result.
        check: The name of the check, such as `crd` or `storage`.
        subject: The object that was checked.
        message: The state of the object, as one sentence without a full stop.
        cure: The next step; empty for OK.
    """

    result: Result
    check: str
    subject: str
    message: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding as a JSON object."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Unseen:
    """A fact that could not be gathered.

    Attributes:
        reason: The reason.
        cure: The next step.
        result: PROBLEM if the reason itself is wrong.
        is_late: True if there was no answer in time.
    """

    reason: str
    cure: str
    result: Result = Result.UNKNOWN
    is_late: bool = False

    def finding(self, check: str, subject: str) -> Finding:
        """Return the finding of a check that needs the fact."""
        return Finding(self.result, check, subject, self.reason, self.cure)


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A right of a Role.

    Attributes:
        verb: The verb.
        resource: The resource, with its subresource if it has one.
        group: The API group; empty for the core group.
        namespace: The namespace; empty for all namespaces and for objects without one.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")

    @property
    def rule(self) -> str:
        """The rule of the Role that grants the right."""
        kind = f"a Role in namespace {self.namespace}" if self.namespace else "a ClusterRole"
        return (
            f'{kind} with the rule {{apiGroups: ["{self.group}"], resources: [{self.resource}], verbs: [{self.verb}]}}'
        )

    def unseen(self) -> Unseen:
        """Return the fact that needs this right and was not gathered without it."""
        return Unseen(f"this user may not {self}", f"ask for {self.rule}")


def named(names: Iterable[str]) -> str:
    """Return some names as a text: the first three, and the number of the others."""
    found = list(names)
    text = ", ".join(found[:MAX_NAMED])
    return text if len(found) <= MAX_NAMED else f"{text} and {len(found) - MAX_NAMED} more"


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 if a finding is a problem, otherwise 0."""
    return int(any(finding.result is Result.PROBLEM for finding in findings))


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings by severity within the order of the checks: problems of a check come before its OKs."""
    found = list(findings)
    checks = list(dict.fromkeys(finding.check for finding in found))
    severity = [Result.PROBLEM, Result.WARNING, Result.UNKNOWN, Result.OK]
    yield from sorted(found, key=lambda one: (checks.index(one.check), severity.index(one.result)))
