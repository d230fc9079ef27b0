"""Find the notebooks of the course, read them and write them."""

import json
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

LESSONS = Path("notebooks")
SOLUTIONS = LESSONS / "solutions"
INSTALLED = Path(__file__).parents[2]  # the folder of the course, if pip installed it with -e
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebooks(numbers: Sequence[str], folder: Path = LESSONS) -> list[Path]:
    """The notebooks with these numbers, all if there are none.

    Errors: LookupError with the lessons that there are, if one is missing; or with where to run this, if there is none.

    >>> notebooks(["77"])
    Traceback (most recent call last):
    LookupError: there is no lesson '77'; there are: ...
    """
    found = {path.name.partition("_")[0]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        course = INSTALLED if (INSTALLED / LESSONS).is_dir() else "the folder of the course"
        raise LookupError(f"there are no lessons in {folder.absolute()}: run this in {course}")
    for number in numbers:
        if number not in found:
            raise LookupError(f"there is no lesson {number!r}; there are: {', '.join(found)}")
    return [found[number] for number in numbers or found]


def read(path: str | Path) -> NotebookNode:
    """Read a notebook of any version, with or without cell ids.

    Errors: OSError if there is no such file; ValueError with the file and, where it can be said, the line and the
    cell, if it is no notebook or has the markers of a merge conflict.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "torn.ipynb")
    >>> _ = path.write_text('{"cells": [{"cell_type": "code",\\n<<<<<<< HEAD')
    >>> read(path)
    Traceback (most recent call last):
    ValueError: ...torn.ipynb: no notebook: line 2, in or after cell 1, is no JSON: <<<<<<< HEAD
    """
    raw = Path(path).read_bytes()
    try:
        notebook = _parsed(raw.decode("utf-8-sig"))
        for number, cell in enumerate(notebook.cells, 1):
            _check(cell, cell_name(number, cell))
    except Exception as error:
        raise ValueError(f"{path}: no notebook: {error}") from None
    return notebook


def _parsed(text: str) -> NotebookNode:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1].strip()
        cell = text.count('"cell_type":', 0, error.pos)
        raise ValueError(f"line {error.lineno}, in or after cell {cell}, is no JSON: {line[:80]}") from None
    return nbformat.convert(nbformat.reader.reads(text), 4)


def _check(cell: NotebookNode, name: str) -> None:
    """Check what all chores rely on, and no more: nbformat refuses ids and metadata that other programs write."""
    if cell.get("cell_type") not in ("code", "markdown", "raw"):
        raise ValueError(f"{name}: cell_type must be code, markdown or raw, got {cell.get('cell_type')!r}")
    if not isinstance(cell.get("source"), str):
        raise ValueError(f"{name}: source must be text, got {cell.get('source')!r}")
    if "<<<<<<< " in cell.source or ">>>>>>> " in cell.source:
        raise ValueError(f"{name}: it has the markers of a merge conflict")


def cell_name(number: int, cell: NotebookNode) -> str:
    """What a complaint calls a cell: its id or, where it has none, its number, counted from 1.

    >>> cell_name(3, nbformat.v4.new_code_cell(id="adam-rule")), cell_name(3, NotebookNode())
    ("cell 'adam-rule'", 'cell 3')
    """
    return f"cell {cell.get('id', number)!r}"


def text(notebook: NotebookNode) -> str:
    """A notebook as it is written to a file.

    >>> text(nbformat.v4.new_notebook(cells=[])).split()[:3]
    ['{', '"cells":', '[],']
    """
    return nbformat.v4.writes(notebook) + "\n"
