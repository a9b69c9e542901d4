"""Render docs/development/traceability.md and the table of rights, from the marks of the tests.

The data are in tests/support (marks, fields, values, faults) and in tests/testkit/chart_rights.py.
"""

from tests.testkit.chart_rights import NEEDED
from tests.testkit.chart_values import chart_values
from tests.testkit.measurements import reliability_tables
from tests.testkit.traceability import fields_table, links, marked_tests

from hack.reference import table

GROUPS = {
    "scoringruns": "fleetscore.dev",
    "scoringruns/status": "fleetscore.dev",
    "jobs": "batch",
    "leases": "coordination.k8s.io",
}


def traceability() -> str:
    """Return the tables field -> tests, value -> tests and hazard -> tests."""
    marked = marked_tests("value")
    values = table("value | tests", ((value, links(marked.get(value, ()))) for value in chart_values()))
    return f"## Fields of a ScoringRun\n\n{fields_table()}\n## Values of the chart\n\n{values}\n{reliability_tables()}"


def rights() -> str:
    """Return the table account, resource, verbs, purposes."""
    lines = ["| account | resource | verbs | purposes |", "|---|---|---|---|"]
    for account, needed in NEEDED.items():
        for resource in dict.fromkeys(resource for _, resource in needed):
            purposes = {verb: purpose for (verb, one), purpose in needed.items() if one == resource}
            name = f"{resource}.{GROUPS[resource]}" if resource in GROUPS else resource
            cell = "; ".join(f"*{verb}*: {purpose}" for verb, purpose in purposes.items())
            lines.append(f"| {account} | `{name}` | {', '.join(purposes)} | {cell} |")
    return "\n".join(lines) + "\n"
