"""The command line of the client in a namespace of a real cluster."""

import json
from typing import Any

import pytest

from fleetscore.cli import main


class ClientCommand:
    """The command line in a namespace.

    Attributes:
        names: The names of the commands that were run.
    """

    def __init__(self, namespace: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._namespace, self._capsys = namespace, capsys
        self.names: set[str] = set()

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run a command, check its exit code, and return its output, or the errors of a command without output."""
        self.names.add(words[0])
        self._capsys.readouterr()
        found = main([*words, "-n", self._namespace])
        captured = self._capsys.readouterr()
        assert found == code, f"{words}: {captured.out}{captured.err}"
        return captured.out or captured.err

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "-o", "json", code=code))
