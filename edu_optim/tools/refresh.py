"""Bring a lesson up to date: its exercises, from the solved notebook, its links, and the outputs that it shows."""

from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from .notebooks import LESSONS, METADATA, SOLUTIONS, cell_name, notebooks, read, text
from .release import read_sheet

CELL_TIMEOUT = 60  # seconds
LINKS = ("where-top", "where-end")  # the cells that say where a lesson stands
VOLATILE = "application/vnd.jupyter.widget-view+json"  # names a widget of a kernel that has ended


def refresh(path: Path) -> bool:
    """Run a lesson, with the exercises of its solved notebook, or a solved notebook; write it back if it changed.

    Returns: whether it changed.

    Errors: ValueError with file and cell if one of the two is malformed or a cell fails. Nothing is written then.

    >>> refresh(Path("missing.ipynb"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.ipynb'
    """
    notebook, solved = read(path), SOLUTIONS / path.name
    try:
        if path.parent == LESSONS and solved.exists():
            copy_exercises(read_sheet(solved), notebook)
        if path.parent == LESSONS:
            link_neighbors(notebook, path, notebooks([]))
        _execute(notebook)
    except ValueError as error:
        raise ValueError(f"{path}: left as it was: {error}") from None
    after = text(_normalized(notebook)).encode()
    changed = path.read_bytes() != after
    if changed:
        path.write_bytes(after)
    return changed


def copy_exercises(sheet: NotebookNode, lesson: NotebookNode) -> None:
    """Put the exercises of a sheet in the place of those of its lesson.

    Args:
        sheet: has the exercises behind the cell ``setup``.
        lesson: has them between the cells ``exercises``, the heading, and ``short``, the summary.

    Errors: ValueError if there is no such cell.

    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> lesson = new_notebook(cells=[new_markdown_cell(id=name) for name in ("exercises", "old", "short")])
    >>> copy_exercises(new_notebook(cells=[new_markdown_cell(id=name) for name in ("setup", "new", "newer")]), lesson)
    >>> [cell.id for cell in lesson.cells]
    ['exercises', 'new', 'newer', 'short']
    """
    exercises = sheet.cells[_position("solved notebook", sheet, "setup") + 1 :]
    for cell in exercises:
        cell.metadata.pop("nbgrader", None)
    start, end = (_position("lesson", lesson, name) for name in ("exercises", "short"))
    lesson.cells[start + 1 : end] = exercises


def link_neighbors(lesson: NotebookNode, path: Path, course: list[Path]) -> None:
    """Say where a lesson stands in the course, under its title and at its end, with links to its neighbors.

    Args:
        lesson: the notebook, whose first cell is its title.
        path: of the lesson, one of ``course``.
        course: all lessons in their order, in one folder.

    >>> from nbformat.v4 import new_notebook
    >>> lesson = new_notebook(cells=[new_markdown_cell("# 01 · Gradient descent", id="title")])
    >>> link_neighbors(lesson, Path("01_descent.ipynb"), [Path("00_start.ipynb"), Path("01_descent.ipynb")])
    >>> print(lesson.cells[-1].source)
    Lesson 01 of 01 · [← previous: 00](00_start.ipynb) · [all lessons](00_start.ipynb)
    """
    here = course.index(path)
    parts = [f"Lesson {path.name[:2]} of {course[-1].name[:2]}"]
    if here > 0:
        parts.append(f"[← previous: {course[here - 1].name[:2]}]({course[here - 1].name})")
    if here + 1 < len(course):
        parts.append(f"[next: {course[here + 1].name[:2]} →]({course[here + 1].name})")
    if here > 0:
        parts.append(f"[all lessons]({course[0].name})")
    cells = [cell for cell in lesson.cells if cell.get("id") not in LINKS]
    top, end = (new_markdown_cell(" · ".join(parts), id=name) for name in LINKS)
    lesson.cells = [cells[0], top, *cells[1:], end]


def _position(kind: str, notebook: NotebookNode, name: str) -> int:
    ids = [cell.get("id") for cell in notebook.cells]
    if name not in ids:
        raise ValueError(f"the {kind} must have a cell with the id {name!r}")
    return ids.index(name)


def _execute(notebook: NotebookNode) -> None:
    """Run the cells of ``notebook`` in a new kernel. ValueError with the cell and the reason if one fails."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name=METADATA["kernelspec"]["name"],
        resources={"metadata": {"path": LESSONS}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            name = cell_name(index + 1, cell)
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                raise ValueError(f"{name} raised {error.ename}: {error.evalue}") from None
            except CellTimeoutError:
                raise ValueError(f"{name} took more than {CELL_TIMEOUT} s") from None
            except DeadKernelError:
                raise ValueError(f"{name} ended the kernel") from None


def _normalized(notebook: NotebookNode) -> NotebookNode:
    """Drop from ``notebook`` all that differs from run to run or from editor to editor, and number its code cells."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("nbgrader", "tags") if cell.metadata.get(key)}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            if len(output.get("data", {})) > 1:
                output.data.pop(VOLATILE, None)
    return notebook
