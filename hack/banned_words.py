"""Report the words of banned_words.toml in docstrings, comments, messages, test names, names and documents.

python -m hack.banned_words            check every file of the repository
python -m hack.banned_words PATH...    check these files and folders

The report has one line a finding, `file:line: 'beside' -> next to`; the exit code is 1 if there is one.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from hack.passages import passages

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".toml")
KINDS = ("docstring", "comment", "message", "document", "test name")
SKIPPED = (
    "requirements/*", "LICENSE", "*.golden.yaml", "*/figures.json", "*/go.sum", "*/package-lock.json", "*.tgz",
    "*/dashboard.json", "*.png", "*.joblib", "*.csv", "*/azure-cli.txt", "*/zizmor.txt",
)  # fmt: skip


@dataclass(frozen=True)
class BannedWord:
    """A banned expression."""

    pattern: re.Pattern[str]
    use: str
    where: frozenset[str]


@dataclass(frozen=True)
class Allowance:
    """A file, or lines of it, in which some expressions are allowed."""

    path: str
    line: str
    words: tuple[str, ...]

    def covers(self, path: str, line: str, found: str) -> bool:
        """Return True if the finding is allowed."""
        listed = "*" in self.words or found.lower() in self.words
        return listed and fnmatch(path, self.path) and self.line in line


@dataclass(frozen=True)
class Rules:
    """The content of banned_words.toml."""

    words: tuple[BannedWord, ...]
    allowed: re.Pattern[str]
    exceptions: tuple[Allowance, ...]
    max_test_name_length: int


def load_rules(file: Path = LIST) -> Rules:
    """Read the list of banned words."""
    content = tomllib.loads(file.read_text())
    words = tuple(
        BannedWord(
            re.compile(rf"(?<![\w-])(?:{one['find']})(?![\w-])", re.IGNORECASE),
            one["use"],
            frozenset(one.get("where", KINDS)),
        )
        for one in content["word"]
    )
    exceptions = tuple(
        Allowance(one["path"], one.get("line", ""), tuple(one["words"]))
        for one in content["exception"]
        if one["reason"]
    )
    allowed = re.compile("|".join(f"(?:{one})" for one in content["allowed"]), re.IGNORECASE)
    return Rules(words, allowed, exceptions, content["max_test_name_length"])


def check_text(path: str, text: str, rules: Rules) -> Iterator[tuple[int, str]]:
    """Yield (line number, finding) for each banned word of a file's text."""
    lines = text.splitlines()
    for passage in passages(path, text):
        spans = [match.span() for match in rules.allowed.finditer(passage.text)]
        for word in rules.words:
            if passage.kind not in word.where:
                continue
            for match in word.pattern.finditer(passage.text):
                number = passage.line_at(match.start())
                inside = any(start <= match.start() < end for start, end in spans)
                line = lines[number - 1] if number <= len(lines) else ""
                if not inside and not any(one.covers(path, line, match[0]) for one in rules.exceptions):
                    yield number, f"'{match[0].strip()}' -> {word.use}"
        if passage.kind == "test name" and (length := len(passage.text)) > rules.max_test_name_length:
            yield passage.lines[0], f"test name of {length} characters -> at most {rules.max_test_name_length}"


def files(arguments: Iterable[str]) -> list[str]:
    """Return the paths of the repository's files that are under the arguments, or all of them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *arguments]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.splitlines()
    present = sorted({path for path in listed if (ROOT / path).is_file()})
    return [path for path in present if not any(fnmatch(path, pattern) for pattern in SKIPPED)]


def main(arguments: list[str]) -> int:
    """Report the findings and return the exit code."""
    rules, found = load_rules(), 0
    paths = [str(Path(path).resolve().relative_to(ROOT)) for path in arguments]
    for path in files(paths):
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        for number, finding in sorted(check_text(path, text, rules)):
            print(f"{path}:{number}: {finding}")
            found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
