"""The language of docs, docstrings and comments, by three figures: indirect words, question openers, long sentences.

Indirect words hide the subject of a sentence. The figures are symptoms: write the fact, do not swap the word.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for under in ("*.md", "docs/**/*.md", "infra/*.md", "local/*.md", "local/*/*.md") for page in ROOT.glob(under)
)
PACKAGES = (
    "answers",
    "bench",
    "checks",
    "commands",
    "console",
    "docs/examples",
    "infra",
    "ingest",
    "local",
    "migrations",
    "operations",
    "scanning",
    "subscriptions",
    "tests",
)
INDIRECT = re.compile(
    r"\b(whoever|whatever|whichever|nobody|somebody|anybody|whose|told|tells?|heard|he|his|him)\b", re.IGNORECASE
)
QUESTION = re.compile(r"\s*(What|Whether|Who|Whose|How|Where|Whatever|Whoever|Which|That)\b")
MOST_INDIRECT = 1.0  # of 1,000 words
MOST_QUESTIONS = 0.02  # of all docstrings
MOST_WORDS = 30  # in one sentence
_NOT_PROSE = re.compile(r"^ *```.*?^ *```|^ *#.*?$|<!--.*?-->|!?\[([^\]]*)\]\([^)]*\)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"https?://\S+|`[^`]*`")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|[│├└]|(?<=\S) {3,}(?=\S)|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s|\|")


def sentences(text: str) -> list[str]:
    """Take a text apart at the ends of sentences, list items and table cells. Code counts as one word."""
    return [" ".join(found.split()) for found in _SENTENCE.split(_CODE.sub("X", text)) if found]


def indirect(texts: list[str]) -> float:
    """Indirect words of 1,000 words."""
    words = sum(len(re.findall(r"[A-Za-z']+", text)) for text in texts)
    return 1000 * sum(len(INDIRECT.findall(text)) for text in texts) / max(words, 1)


def prose_of(page: Path) -> str:
    return _NOT_PROSE.sub(lambda found: found[1] or "\n\n", page.read_text())


def docstrings_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node)
            if doc is not None:
                yield doc


def comments_of(path: Path) -> Iterator[str]:
    lines: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|!)", token.string):
            lines.append(token.string.lstrip("# "))
        elif lines and token.type not in (tokenize.NL, tokenize.NEWLINE):
            yield " ".join(lines)
            lines = []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_read_once(page: Path) -> None:
    found = sentences(prose_of(page))
    assert [sentence for sentence in found if INDIRECT.search(sentence)] == []
    assert [sentence for sentence in found if len(sentence.split()) > MOST_WORDS] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_and_comments_are_read_once(package: str) -> None:
    paths = sorted(ROOT.glob(f"{package}/**/*.py"))
    docstrings = [text for path in paths for text in docstrings_of(path)]
    texts = [*docstrings, *(text for path in paths for text in comments_of(path))]
    assert indirect(texts) <= MOST_INDIRECT
    assert sum(bool(QUESTION.match(text)) for text in docstrings) <= MOST_QUESTIONS * len(docstrings)
    found = [sentence for text in texts for sentence in sentences(text)]
    assert [sentence for sentence in found if len(sentence.split()) > MOST_WORDS] == []
