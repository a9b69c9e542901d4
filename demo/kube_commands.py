"""kubectl and helm for the demo's cluster and namespace."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from demo.workspace import NAMESPACE, Workspace, cache_folder
from localcluster.progress import StepProgress
from localcluster.toolchain import tools


@dataclass(frozen=True)
class KubeCommands:
    """The two programs with the demo's kubeconfig."""

    kubectl: Path
    helm: Path
    kubeconfig: Path

    def run_kubectl(self, *arguments: str, input_text: str | None = None) -> str:
        """Run kubectl and return its output; raise DemoError with its error output if it fails."""
        return self._run([str(self.kubectl), *arguments], input_text)

    def run_helm(self, *arguments: str) -> str:
        """Run helm and return its output; raise DemoError with its error output if it fails."""
        return self._run([str(self.helm), "--namespace", NAMESPACE, *arguments], None)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return the parsed output of ``kubectl get ... -o json``."""
        answer: dict[str, Any] = json.loads(self.run_kubectl("get", *arguments, "-o", "json"))
        return answer

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects with `kubectl apply`."""
        self.run_kubectl("apply", "-f", "-", input_text="\n---\n".join(json.dumps(each) for each in objects))

    def print_kubectl(self, *arguments: str) -> None:
        """Print a command as a user types it, then its output."""
        print(f"\n$ .local/bin/kubectl {shlex.join(arguments)}\n{self.run_kubectl(*arguments).rstrip()}")

    def _run(self, command: Sequence[str], input_text: str | None) -> str:
        environment = os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(cache_folder(self.kubeconfig)),
        }
        answer = subprocess.run(command, input=input_text, env=environment, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise DemoError(f"{Path(command[0]).name} {shlex.join(command[1:])}:\n{answer.stderr.strip()}")
        return answer.stdout


def create_commands(
    workspace: Workspace, progress: StepProgress, *, source: Path | None = None, context: str | None = None
) -> KubeCommands:
    """Write the demo's kubeconfig and the wrappers in its `bin`, and return both programs.

    Args:
        workspace: The demo's folders.
        progress: The printer of a program's build.
        source: The kubeconfig with the cluster. The default is the user's own (``$KUBECONFIG`` or kubectl's default).
        context: The context to use. The default is the current one.
    """
    programs = {name: tools.ensure_program(name, progress=progress) for name in ("kubectl", "helm")}
    options = [f"--kubeconfig={source}"] if source else []
    options += [f"--context={context}"] if context else []
    command = [str(programs["kubectl"]), *options, "config", "view", "--minify", "--flatten", "--raw"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise DemoError(f"{answer.stderr.strip()}\n`kubectl config get-contexts` lists the contexts")
    workspace.demo_folder.mkdir(parents=True, exist_ok=True)
    workspace.kubeconfig.touch(mode=0o600)
    workspace.kubeconfig.write_text(answer.stdout)
    client = Path(sys.executable).parent
    workspace.write_wrappers(programs | {name: client / name for name in ("fleetscore", "kubectl-fleetscore")})
    kube = KubeCommands(programs["kubectl"], programs["helm"], workspace.kubeconfig)
    kube.run_kubectl("config", "set-context", "--current", f"--namespace={NAMESPACE}")
    return kube
