"""Coursework: from an instructor's solved notebook to the sheet that learners get.

The solved notebooks are in ``notebooks/solutions``, with the cell metadata of nbgrader. What is taken out of them,
and what is put in its place, is what nbgrader does when it is not told otherwise; nbgrader itself is not needed.
Besides, the sheet has no saved widgets and no pictures of a text that was taken out, which can hold an answer.
"""

from pathlib import Path
from urllib.parse import unquote

from nbformat import NotebookNode

from .notebooks import cell_name, read, text

CODE_STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]
TEXT_STUB = ["YOUR ANSWER HERE"]
REGIONS = {"SOLUTION": "solution", "HIDDEN TESTS": "grade", "MARK SCHEME": "task"}  # and what marks cells with them


def release(solved: str | Path, to: str | Path) -> Path:
    """Write the sheet of a solved notebook into a folder, beside what is there, and return its path.

    Args:
        solved: path of the solved notebook.
        to: the folder, which is made if need be.

    Errors: ValueError with file and cell if the notebook is malformed; OSError if it is not there or the sheet cannot
    be written, such as FileExistsError if a file of its name is there already. Nothing is written then.

    >>> release("missing.ipynb", "sheets")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.ipynb'
    """
    content = text(read_sheet(solved))
    path = Path(to) / Path(solved).name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(content)
    except FileExistsError:
        raise FileExistsError(f"{path}: left as it was: move it away, or write to another folder") from None
    return path


def read_sheet(solved: str | Path) -> NotebookNode:
    """The sheet of the solved notebook at this path.

    Errors: as from ``release``.

    >>> read_sheet("missing.ipynb")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.ipynb'
    """
    notebook = read(solved)
    try:
        return sheet(notebook)
    except ValueError as error:
        raise ValueError(f"{solved}: {error}") from None


def sheet(notebook: NotebookNode) -> NotebookNode:
    """Make of a solved notebook, in place, what learners get: no solutions, hidden tests, mark schemes or outputs.

    Errors: ValueError with the cell, if a region does not end or stands in a cell of the wrong kind, or if cells share
    a ``grade_id``.

    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> source = "def double(x):\\n    ### BEGIN SOLUTION\\n    return 2 * x\\n    ### END SOLUTION"
    >>> answer = new_code_cell(source)
    >>> answer.metadata.nbgrader = {"grade_id": "double", "solution": True}
    >>> print(sheet(new_notebook(cells=[answer])).cells[0].source)
    def double(x):
        # YOUR CODE HERE
        raise NotImplementedError()
    """
    seen = set()
    for key in ("widgets", "celltoolbar"):
        notebook.metadata.pop(key, None)
    for number, cell in enumerate(notebook.cells, 1):
        marks = cell.metadata.get("nbgrader", {})
        try:
            if not isinstance(marks, dict):
                raise ValueError(f"its nbgrader metadata must be a dictionary, got {marks!r}")
            if any(marks.get(kind) for kind in ("solution", "grade", "task", "locked")):
                grade_id = marks.get("grade_id")
                if not isinstance(grade_id, str) or grade_id in seen:
                    raise ValueError(f"grade_id must be there and unique, got {grade_id!r}")
                seen.add(grade_id)
            _strip(cell, marks)
        except ValueError as error:
            raise ValueError(f"{cell_name(number, cell)}: {error}") from None
        if marks.get("solution") or marks.get("grade") or marks.get("locked"):
            cell.metadata["deletable"] = False
            if not marks.get("solution"):
                cell.metadata["editable"] = False
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _strip(cell: NotebookNode, marks: dict) -> None:
    """Take out of a cell what learners must not see."""
    before = cell.source
    for region, kind in REGIONS.items():
        stub = [] if region != "SOLUTION" else CODE_STUB if cell.cell_type == "code" else TEXT_STUB
        stripped = _without(cell.source, region, stub)
        if stripped != cell.source and not marks.get(kind):
            raise ValueError(f"{region} must stand in a cell whose nbgrader metadata says {kind}: true")
        if stripped == cell.source and region == "SOLUTION" and marks.get(kind):
            stripped = "\n".join(stub)  # the whole cell is the answer
        cell.source = stripped
    if cell.source != before and "attachments" in cell:
        shown = unquote(cell.source)
        cell.attachments = {name: it for name, it in cell.attachments.items() if f"attachment:{name}" in shown}


def _without(source: str, region: str, stub: list[str]) -> str:
    """A source with ``stub`` in the place of every region of this kind."""
    lines, inside = [], False
    for line in source.split("\n"):
        begins, ends = f"BEGIN {region}" in line, f"END {region}" in line
        if (begins and inside) or (ends and not inside):
            raise ValueError(f"BEGIN {region} and END {region} must take turns")
        if begins:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + replacement for replacement in stub]
        elif not inside and not ends:
            lines.append(line)
        inside = begins or (inside and not ends)
    if inside:
        raise ValueError(f"BEGIN {region} must be followed by END {region}")
    return "\n".join(lines)
