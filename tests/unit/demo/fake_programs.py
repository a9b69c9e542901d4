"""kubectl and helm as shell scripts, and as an object that records its commands."""

import json
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from demo.kube_commands import KubeCommands


def write_program(path: Path, script: str) -> Path:
    """Write a program whose command line is a shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class RecordingCommands(KubeCommands):
    """Commands that are recorded and return given outputs, by the first words of the command.

    Args:
        outputs: The output by the beginning of a command, such as ``helm list``; None makes the command fail.
    """

    def __init__(self, **outputs: str | None) -> None:
        super().__init__(Path("kubectl"), Path("helm"), Path("kubeconfig"))
        object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "commands", [])
        object.__setattr__(self, "inputs", [])

    @property
    def recorded(self) -> list[str]:
        return [" ".join(command) for command in vars(self)["commands"]]

    @property
    def applied(self) -> list[dict[str, Any]]:
        """The applied objects."""
        return [json.loads(document) for text in vars(self)["inputs"] for document in text.split("\n---\n")]

    def run_kubectl(self, *arguments: str, input_text: str | None = None) -> str:
        if input_text:
            vars(self)["inputs"].append(input_text)
        return self._record("kubectl", *arguments)

    def run_helm(self, *arguments: str) -> str:
        return self._record("helm", *arguments)

    def _record(self, *command: str) -> str:
        vars(self)["commands"].append(command)
        output = vars(self)["outputs"].get("_".join(command[:2]), "")
        if output is None:
            raise DemoError(f"{' '.join(command[:2])} failed")
        return str(output)
