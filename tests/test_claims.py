"""Each claim that is tested still stands in its lesson, and each general claim of a lesson is tested."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

ROOT = Path(__file__).parent.parent
CLAIMS = sorted((Path(__file__).parent / "claims").glob("test_lesson_*.py"))
GENERAL = re.compile(
    r"\b(always|never|best|faster|proves?|because|every (learning )?rate|for ever|in general)\b|\bno\b[^.]*\bcan\b",
    re.IGNORECASE,
)
by_lesson = pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.stem)


def lesson(path):
    (found,) = (ROOT / "notebooks").glob(f"{path.stem[-2:]}_*.ipynb")
    return nbformat.read(found, as_version=4)


def quoted(path):
    """The sentences that the tests in a file quote: the lines of their docstrings, by the name of the test."""
    tests = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    tests = [node for node in tests if node.name.startswith("test_")]
    return {node.name: (ast.get_docstring(node) or "").splitlines() for node in tests}


def sentences(notebook):
    """The sentences of a lesson that stand before its exercises, one to a line."""
    for cell in notebook.cells:
        if cell.id in ("exercises", "short"):
            return
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|\$\$.*?\$\$|^\s*\|.*?$|^#.*?$", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            yield from filter(None, map(str.strip, prose.splitlines()))


def unproved(notebook, claims):
    """The sentences that say something in general and that no test quotes."""
    return [line for line in sentences(notebook) if GENERAL.search(line) and not any(claim in line for claim in claims)]


@by_lesson
def test_every_claim_stands_in_its_lesson(path):
    text = "\n".join(cell.source for cell in lesson(path).cells if cell.cell_type == "markdown")
    claims = quoted(path)
    assert len(claims) >= 5
    for name, lines in claims.items():
        assert lines, f"{name} quotes nothing"
        assert [line for line in lines if line not in text] == [], name


@by_lesson
def test_every_general_claim_of_a_lesson_is_tested(path):
    claims = [claim for lines in quoted(path).values() for claim in lines]
    assert unproved(lesson(path), claims) == []


def test_an_untested_claim_is_found():
    notebook = new_notebook(
        cells=[new_markdown_cell("It is fast.\nNo rate can cure it.\nIt never settles.", id="idea")]
    )
    assert unproved(notebook, ["It never settles."]) == ["No rate can cure it."]
