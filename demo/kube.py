"""kubectl and helm, set to the demo's cluster and namespace."""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import places
from demo.errors import DemoError


@dataclass(frozen=True)
class Kube:
    """Runs the two programs with the demo's kubeconfig."""

    kubectl: Path
    helm: Path

    def run(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it prints; DemoError with its own words where it fails."""
        return _run([str(self.kubectl), *arguments], given)

    def run_helm(self, *arguments: str) -> str:
        """Run helm and return what it prints; DemoError with its own words where it fails."""
        return _run([str(self.helm), "--namespace", places.NAMESPACE, *arguments], None)

    def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get ... -o json``, parsed."""
        answer: dict[str, Any] = json.loads(self.run("get", *arguments, "-o", "json"))
        return answer

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects; ones that exist are changed where they differ."""
        self.run("apply", "-f", "-", given="\n---\n".join(json.dumps(each) for each in objects))

    def show(self, *arguments: str) -> None:
        """Print a command as a user would type it, then its answer."""
        print(f"\n$ .local/bin/kubectl {shlex.join(arguments)}\n{self.run(*arguments).rstrip()}")


def _run(command: Sequence[str], given: str | None) -> str:
    environment = os.environ | {"KUBECONFIG": str(places.KUBECONFIG)}
    answer = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise DemoError(f"{Path(command[0]).name} {shlex.join(command[1:])}:\n{answer.stderr.strip()}")
    return answer.stdout


def write_kubeconfig(kubectl: Path, source: Path | None, context: str | None) -> None:
    """Write the demo's own kubeconfig: one context, its namespace the demo's.

    Args:
        kubectl: the program.
        source: the kubeconfig to take it from; the user's own (``$KUBECONFIG`` or the default) where None.
        context: the context to take; the current one where None.
    """
    command = [
        str(kubectl),
        *([f"--kubeconfig={source}"] if source else []),
        *([f"--context={context}"] if context else []),
    ]
    command += ["config", "view", "--minify", "--flatten", "--raw"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise DemoError(
            f"no such context: {answer.stderr.strip()}; `kubectl config get-contexts` lists those there are"
        )
    places.DEMO.mkdir(parents=True, exist_ok=True)
    places.KUBECONFIG.touch(mode=0o600)
    places.KUBECONFIG.write_text(answer.stdout)
    _run([str(kubectl), "config", "set-context", "--current", f"--namespace={places.NAMESPACE}"], None)
