"""Run lessons and bring the outputs that they show up to date."""

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

LESSONS = Path("notebooks")
SOLUTIONS = LESSONS / "solutions"
CELL_TIMEOUT = 60  # seconds
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
VOLATILE = "application/vnd.jupyter.widget-view+json"  # names a widget of a kernel that has ended


def refresh(numbers: Sequence[str]) -> int:
    """Run the lessons and solutions with these numbers, all if there are none, and return the exit status.

    Each that ran to its end is written back, each that failed is left as it was.

    Errors: LookupError, before any is run, if there is no lesson with one of the numbers.

    >>> refresh(["77"])
    Traceback (most recent call last):
    LookupError: there is no lesson '77'; there are: ...
    """
    failures = 0
    solved = [path for path in notebooks([], SOLUTIONS) if not numbers or path.name[:2] in numbers]
    for path in [*notebooks(numbers), *solved]:
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        if failure := _execute(notebook):
            failures += 1
            print(f"{path}: left as it was: {failure}", file=sys.stderr)
        elif (after := text(_normalized(notebook))) == before:
            print(f"{path}: nothing changed")
        else:
            path.write_text(after, encoding="utf-8", newline="\n")
            print(f"{path}: written")
    return min(failures, 1)


def notebooks(numbers: Sequence[str], folder: Path = LESSONS) -> list[Path]:
    """The notebooks with these numbers, all if there are none.

    Errors: LookupError with the lessons that there are, if one is missing.

    >>> notebooks(["77"])
    Traceback (most recent call last):
    LookupError: there is no lesson '77'; there are: ...
    """
    found = {path.name.partition("_")[0]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    for number in numbers:
        if number not in found:
            there = ", ".join(found) or f"none in {folder.resolve()}"
            raise LookupError(f"there is no lesson {number!r}; there are: {there}")
    return [found[number] for number in numbers or found]


def _execute(notebook: NotebookNode) -> str | None:
    """Run the cells of ``notebook`` in a new kernel, and say at which one and why if one fails."""
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
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                return f"cell {cell.id!r} raised {error.ename}: {error.evalue}"
            except CellTimeoutError:
                return f"cell {cell.id!r} took more than {CELL_TIMEOUT} s"
            except DeadKernelError:
                return f"cell {cell.id!r} ended the kernel"


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


def text(notebook: NotebookNode) -> str:
    """A notebook as it is written to a file.

    >>> text(nbformat.v4.new_notebook(cells=[])).split()[:3]
    ['{', '"cells":', '[],']
    """
    return nbformat.writes(notebook) + "\n"
