"""promtool's check of rules and queries over series that a test writes."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from localcluster.toolchain.tools import ensure_program

Series = Mapping[str, str]  # a series in Prometheus' notation -> its values in promtool's, a minute apart


def evaluate(folder: Path, expressions: Mapping[str, float], series: Series, *, minutes: int, rules: Any = None) -> str:
    """Evaluate expressions that have one value without labels.

    Args:
        folder: For promtool's files.
        expressions: The value that each should have.
        series: What is in Prometheus.
        minutes: When they are evaluated.
        rules: Rules that are evaluated each minute before.

    Returns:
        What promtool complains of; empty where all is as it should be.
    """
    tests = [
        {"expr": expression, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": value}]}
        for expression, value in expressions.items()
    ]
    return _test_rules(folder, {"promql_expr_test": tests}, series, rules)


def alerts(
    folder: Path, name: str, expected: Sequence[Mapping[str, Any]], series: Series, *, minutes: int, rules: Any
) -> str:
    """Compare the firing alerts of a name with the expected ones, with their labels and annotations.

    Args:
        folder: For promtool's files.
        name: The name of the alerts.
        expected: The alerts as promtool's `exp_alerts`.
        series: What is in Prometheus.
        minutes: When the alerts are compared.
        rules: Rules that are evaluated each minute before.

    Returns:
        promtool's complaint; empty if the alerts are the expected ones.
    """
    test = {"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": list(expected)}
    return _test_rules(folder, {"alert_rule_test": [test]}, series, rules)


def _test_rules(folder: Path, tests: Mapping[str, Any], series: Series, rules: Any) -> str:
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        **tests,
    }
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules or {"groups": []}))
    (folder / "tests.yaml").write_text(
        json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    )
    return promtool("test", "rules", str(folder / "tests.yaml"))


def promtool(*words: str, stdin: str | None = None) -> str:
    """Run promtool; return its output if it failed, else an empty text."""
    command = [str(ensure_program("promtool")), *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""
