"""Coursework: from an instructor's solved notebook to the sheet that learners get.

The solved notebooks are in ``notebooks/solutions``, with the cell metadata of nbgrader. What is taken out of them,
and what is put in its place, is what nbgrader does when it is not told otherwise; nbgrader itself is not needed.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]


def release(solved: str | Path, to: str | Path) -> Path:
    """Write the sheet of a solved notebook into a new folder, and return its path.

    Args:
        solved: path of the solved notebook.
        to: the folder, which must not exist yet.

    Errors: FileExistsError if the folder exists; ValueError if the notebook is malformed. Nothing is written then.

    >>> import tempfile
    >>> release("missing.ipynb", tempfile.gettempdir())
    Traceback (most recent call last):
    FileExistsError: to must be a folder that does not exist yet, got ...
    """
    to = Path(to)
    if to.exists():
        raise FileExistsError(f"to must be a folder that does not exist yet, got {to}")
    try:
        notebook = nbformat.read(solved, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{solved} must be a notebook, and cannot be read as one: {reason}") from None
    text = nbformat.writes(sheet(notebook)) + "\n"
    to.mkdir(parents=True)
    path = to / Path(solved).name
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def sheet(notebook: NotebookNode) -> NotebookNode:
    """Make of a solved notebook, in place, what learners get: no solutions, no hidden tests, no outputs.

    Errors: ValueError with the id of the cell, if a region does not end or stands in a cell of the wrong kind, or if
    cells share a ``grade_id``.

    >>> source = "def double(x):\\n    ### BEGIN SOLUTION\\n    return 2 * x\\n    ### END SOLUTION"
    >>> answer = nbformat.v4.new_code_cell(source)
    >>> answer.metadata.nbgrader = {"grade_id": "double", "solution": True}
    >>> print(sheet(nbformat.v4.new_notebook(cells=[answer])).cells[0].source)
    def double(x):
        # YOUR CODE HERE
        raise NotImplementedError()
    """
    seen = set()
    for cell in notebook.cells:
        graded = cell.metadata.get("nbgrader", {})
        if graded and graded.get("grade_id") in {None, *seen}:
            raise ValueError(f"cell {cell.id}: grade_id must be there and unique, got {graded.get('grade_id')!r}")
        seen.add(graded.get("grade_id"))
        cell.source = _without(cell, "SOLUTION", STUB, may=graded.get("solution"), must=graded.get("solution"))
        cell.source = _without(cell, "HIDDEN TESTS", [], may=graded.get("grade"))
        if graded:
            cell.metadata["deletable"] = False
            if not graded.get("solution"):
                cell.metadata["editable"] = False
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _without(cell: NotebookNode, region: str, stub: list[str], may: bool, must: bool = False) -> str:
    """The source of a cell with ``stub`` in the place of every region of this kind."""
    lines, inside = [], False
    for line in cell.source.split("\n"):
        begins, ends = f"BEGIN {region}" in line, f"END {region}" in line
        if (begins and inside) or (ends and not inside):
            raise ValueError(f"cell {cell.id}: BEGIN {region} and END {region} must take turns")
        if begins:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + replacement for replacement in stub]
        elif not inside and not ends:
            lines.append(line)
        inside = begins or (inside and not ends)
    if inside:
        raise ValueError(f"cell {cell.id}: BEGIN {region} must be followed by END {region}")
    found = f"BEGIN {region}" in cell.source
    if found and not may:
        kind = "solution" if stub else "grade"
        raise ValueError(f"cell {cell.id}: {region} must stand in a cell whose nbgrader metadata says {kind}: true")
    if must and not found:
        raise ValueError(f"cell {cell.id}: it is a solution cell, and must have BEGIN {region} and END {region}")
    return "\n".join(lines)
