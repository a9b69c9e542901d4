"""The shell blocks of README, quickstart and the operations pages, and how to run them.

A comment directly above a block decides:

<!-- run: folder -->                in a copy of the checkout, without services
<!-- run: cluster -->               against a local cluster that has both images
<!-- run: demo NAME=first -->       while the demo is up, with `first` in place of NAME
<!-- not run: reason -->            never
<!-- all blocks are run by FILE --> counts for all blocks of the page
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.testkit.paths import ROOT

_USER_PAGES = tuple(ROOT / "docs" / "user" / name for name in ("quickstart.md", "first-hour.md", "data-science.md"))
PAGES = (ROOT / "README.md", *_USER_PAGES, *sorted((ROOT / "docs/operations").glob("*.md")))
MODES = ("folder", "cluster", "demo")
_BLOCK = re.compile(r"^(?:<!-- (?P<comment>.*?) -->\n)?```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN_ELSEWHERE = re.compile(r"^<!-- all blocks are run by (\S+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A shell block of a page."""

    page: Path
    line: int
    comment: str
    text: str

    @property
    def mode(self) -> str:
        """How the block is run; empty if it is not run."""
        return self.comment.removeprefix("run: ").split()[0] if self.comment.startswith("run: ") else ""

    @property
    def reason(self) -> str:
        """The reason why the block is not run."""
        return self.comment.removeprefix("not run: ") if self.comment.startswith("not run: ") else ""

    @property
    def script(self) -> str:
        """The commands, with the substitutions of the comment."""
        text = self.text
        for name, value in (one.split("=", 1) for one in self.comment.split()[2:] if self.mode):
            text = re.sub(rf"\b{name}\b", value, text)
        return text

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the shell blocks of a page that no other test runs as a whole."""
    text = page.read_text()
    if elsewhere := _RUN_ELSEWHERE.search(text):
        assert (ROOT / elsewhere[1]).exists(), f"{page}: {elsewhere[1]}"
        return []
    return [
        Block(page, text.count("\n", 0, one.start()) + 1, one["comment"] or "", one["text"])
        for one in _BLOCK.finditer(text)
    ]


def fenced_blocks(page: Path, language: str) -> list[str]:
    """Return the texts of a page's fenced blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def all_blocks() -> list[Block]:
    """Return the shell blocks of all pages."""
    return [block for page in PAGES for block in blocks(page)]


def run(mode: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the blocks of a mode in one shell, in order; the first command that fails ends it."""
    parts = [f"echo '### {block}'\n{block.script}" for block in all_blocks() if block.mode == mode]
    assert parts, mode
    command = ["bash", "-c", "\n".join(["set -euo pipefail", *parts])]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def page_values(page: Path) -> str:
    """Return the YAML block of a page that has the chart's values."""
    (values,) = (text for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL) if "fleets:" in text)
    return str(values)
