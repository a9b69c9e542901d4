"""The passages of a file that are meant for people, with their kind and their lines. Pure."""

import ast
import bisect
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

MIN_MESSAGE_WORDS = 3
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # between underscores or capitals


@dataclass
class Passage:
    """A piece of continuous text, with the line of the file that each of its parts is on."""

    kind: str
    text: str = ""
    starts: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, number: int, text: str) -> None:
        """Append the text of a line."""
        self.text += " " if self.text else ""
        self.starts.append(len(self.text))
        self.lines.append(number)
        self.text += text

    def line_at(self, offset: int) -> int:
        """Return the line number of an offset of the text."""
        return self.lines[bisect.bisect_right(self.starts, offset) - 1]


def passages(path: str, text: str) -> Iterator[Passage]:
    """Yield the passages of a file that are meant for people."""
    if fnmatch(path, "*.py"):
        yield _parts(Path(path).stem, 1)
    for pattern, read in READERS:
        if fnmatch(path, pattern):
            yield from read(text)
            return


def _python(text: str) -> Iterator[Passage]:
    tree = ast.parse(text)
    docstrings = {id(one) for node in ast.walk(tree) if (one := _docstring(node))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                yield from _paragraphs("docstring", node.value, node.lineno)
            elif len(re.findall(r"[A-Za-z]{2,}", node.value)) >= MIN_MESSAGE_WORDS and " " in node.value.strip():
                yield from _paragraphs("message", node.value, node.lineno)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield _name(node.name, node.lineno)
            yield _parts(node.name, node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield _one("name", node.id, node.lineno)
            yield _parts(node.id, node.lineno)
        elif isinstance(node, ast.arg):
            yield _one("name", node.arg, node.lineno)
            yield _parts(node.arg, node.lineno)
    yield from _python_comments(text)


def _docstring(node: ast.AST) -> ast.Constant | None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    first = node.body[0] if node.body else None
    return first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None


def _name(name: str, number: int) -> Passage:
    if name.startswith("test_"):
        return _one("test name", name.replace("_", " "), number)
    return _one("name", name, number)


def _parts(name: str, number: int) -> Passage:
    """Return the parts of an identifier as separate words."""
    return _one("name part", " ".join(_NAME_PART.findall(name)), number)


def _one(kind: str, text: str, number: int) -> Passage:
    passage = Passage(kind)
    passage.add(number, text)
    return passage


def _paragraphs(kind: str, text: str, first: int) -> Iterator[Passage]:
    """Yield the paragraphs of a text: an empty line or an item of a list ends one."""
    passage = Passage(kind)
    for number, line in enumerate(text.splitlines(), first):
        stripped = _without_code(line.strip())
        if not stripped or stripped[:2] in ("- ", "* "):
            if passage.text:
                yield passage
            passage = Passage(kind)
        if stripped:
            passage.add(number, stripped)
    if passage.text:
        yield passage


def _without_code(text: str) -> str:
    """Return the text without inline code, link targets and HTML tags."""
    text = re.sub(r"`[^`]*`", "`x`", text)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"</?[a-z][^>]*>", "", text))


def _python_comments(text: str) -> Iterator[Passage]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    yield from _blocks((token.start[0], token.string.lstrip("#!: ")) for token in comments)


def _blocks(comments: Iterable[tuple[int, str]]) -> Iterator[Passage]:
    """Join comments of adjacent lines."""
    passage, last = Passage("comment"), -1
    for number, comment in comments:
        if number != last + 1 and passage.text:
            yield passage
            passage = Passage("comment")
        passage.add(number, _without_code(comment))
        last = number
    if passage.text:
        yield passage


def _hash_comments(text: str) -> Iterator[Passage]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.search(r"(?:^|\s)#+!?\s?([^{#].*)$", line):
            found.append((number, match[1]))
    yield from _blocks(found)


def _slash_comments(text: str) -> Iterator[Passage]:
    for match in re.finditer(r"/\*(.*?)\*/|(?:^|\s)//([^\n]*)", text, re.DOTALL):
        yield from _paragraphs("comment", match[1] or match[2] or "", text.count("\n", 0, match.start()) + 1)


def _template(text: str) -> Iterator[Passage]:
    yield from _slash_comments(text)
    yield from _hash_comments(text)


def _plain(text: str) -> Iterator[Passage]:
    yield from _paragraphs("document", re.sub(r"\{\{.*?\}\}", "x", text), 1)


def _descriptions(text: str) -> Iterator[Passage]:
    """Yield the comments of a CRD, and its descriptions and messages."""
    yield from _hash_comments(text)
    passage, indent = Passage("document"), -1
    for number, line in enumerate(text.splitlines(), 1):
        depth = len(line) - len(line.lstrip())
        if match := re.match(r"\s*(?:- )?(?:description|message): ?[>|]?-?(.*)$", line):
            if passage.text:
                yield passage
            passage, indent = _one("document", match[1], number), depth
        elif indent >= 0 and depth > indent and not re.match(r"\s*[\w-]+:(\s|$)", line):
            passage.add(number, line.strip())
        else:
            indent = -1
    if passage.text:
        yield passage


def _json_descriptions(text: str) -> Iterator[Passage]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r'\s*"description": "(.*)",?$', line):
            yield _one("document", _without_code(match[1]), number)


def _markdown(text: str) -> Iterator[Passage]:
    fence, language, passage = False, "", Passage("document")
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*```(\w*)", line):
            fence, language = not fence, match[1]
            if passage.text:
                yield passage
            passage = Passage("document")
        elif fence and language != "mermaid":
            yield from _blocks([(number, comment)] if (comment := _comment_in(line)) else [])
        else:
            ends = not line.strip() or re.match(r"\s*(?:[-*|#>]|\d+\. )", line)
            if ends and passage.text:
                yield passage
                passage = Passage("document")
            if line.strip():
                passage.add(number, _without_code(line))
    if passage.text:
        yield passage


def _comment_in(line: str) -> str:
    match = re.search(r"(?:^|\s)#\s(.*)$", line)
    return match[1] if match else ""


READERS: tuple[tuple[str, Callable[[str], Iterator[Passage]]], ...] = (
    ("*.py", _python),
    ("*.md", _markdown),
    ("*crds/*.yaml", _descriptions),
    ("*/files/fleetscore*.yaml", _descriptions),
    ("*.schema.json", _json_descriptions),
    ("*NOTES.txt", _plain),
    ("*/templates/*", _template),
    ("*.js", _slash_comments),
    ("*.css", _slash_comments),
    ("*.go", _slash_comments),
    *((name, _hash_comments) for name in ("*.yaml", "*.yml", "*.toml", "*.ini", "*.sh", "*Makefile", "*Dockerfile*")),
    (".ci/run", _hash_comments),
    (".gitignore", _hash_comments),
    (".dockerignore", _hash_comments),
)
