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
from demo.places import Places
from localcluster import tools
from localcluster.progress import Progress


@dataclass(frozen=True)
class Kube:
    """Runs the two programs with the demo's kubeconfig."""

    kubectl: Path
    helm: Path
    kubeconfig: Path

    def run(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it prints; DemoError with its own words where it fails."""
        return self._run([str(self.kubectl), *arguments], given)

    def run_helm(self, *arguments: str) -> str:
        """Run helm and return what it prints; DemoError with its own words where it fails."""
        return self._run([str(self.helm), "--namespace", places.NAMESPACE, *arguments], None)

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

    def _run(self, command: Sequence[str], given: str | None) -> str:
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        answer = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise DemoError(f"{Path(command[0]).name} {shlex.join(command[1:])}:\n{answer.stderr.strip()}")
        return answer.stdout


def connect(where: Places, progress: Progress, *, source: Path | None = None, context: str | None = None) -> Kube:
    """Both programs, set to a cluster by a kubeconfig of the demo's own, for the demo and for its user's `bin`.

    Args:
        where: the demo's places.
        progress: where to show that a program is being built.
        source: the kubeconfig to take the cluster from; the user's own (``$KUBECONFIG`` or the default) where None.
        context: the context to take; the current one where None.
    """
    programs = {name: tools.ensure_program(name, progress=progress) for name in ("kubectl", "helm")}
    options = [f"--kubeconfig={source}"] if source else []
    options += [f"--context={context}"] if context else []
    command = [str(programs["kubectl"]), *options, "config", "view", "--minify", "--flatten", "--raw"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise DemoError(f"{answer.stderr.strip()}\n`kubectl config get-contexts` lists the contexts there are")
    where.demo.mkdir(parents=True, exist_ok=True)
    where.kubeconfig.touch(mode=0o600)
    where.kubeconfig.write_text(answer.stdout)
    where.write_wrappers(programs)
    kube = Kube(programs["kubectl"], programs["helm"], where.kubeconfig)
    kube.run("config", "set-context", "--current", f"--namespace={places.NAMESPACE}")
    return kube
