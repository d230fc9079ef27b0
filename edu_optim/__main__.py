"""Chores of the course, run in its top folder.

``python -m edu_optim refresh`` brings outputs up to date; ``python -m edu_optim release 03 --to sheets`` writes the
exercises of lesson 03 as a sheet for learners.
"""

import argparse
import sys
from pathlib import Path

LESSONS = Path("notebooks")
SOLUTIONS = LESSONS / "solutions"
CELL_TIMEOUT = 60  # seconds
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
VOLATILE = "application/vnd.jupyter.widget-view+json"  # names a widget of a kernel that has ended


def main(arguments=None):
    """Do the chore that the command line asks for and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m edu_optim", description=__doc__.partition(".")[0] + ".")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("refresh", help="run lessons and write their outputs back")
    command.add_argument("numbers", nargs="*", metavar="NN", help="number of a lesson, such as 00; all if none")
    command.set_defaults(run=refresh)
    command = commands.add_parser("release", help="write the exercises of a lesson as a sheet for learners")
    command.add_argument("number", metavar="NN", help="number of a lesson, such as 00")
    command.add_argument("--to", required=True, metavar="DIR", help="a new folder for the sheet")
    command.set_defaults(run=release)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except (LookupError, FileExistsError, ValueError) as error:
        parser.error(error.args[0])


def release(chosen):
    """Write the sheet of the chosen lesson into a new folder, or change nothing."""
    from . import course

    (solved,) = notebooks([chosen.number], SOLUTIONS)
    print(f"{course.release(solved, chosen.to)}: written")
    return 0


def refresh(chosen):
    """Run the chosen lessons and solutions; write back each that ran to its end, leave each that failed as it was."""
    import nbformat

    failures = 0
    solved = [path for path in notebooks([], SOLUTIONS) if not chosen.numbers or path.name[:2] in chosen.numbers]
    for path in [*notebooks(chosen.numbers), *solved]:
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        if failure := execute(notebook):
            failures += 1
            print(f"{path}: left as it was: {failure}", file=sys.stderr)
        elif (after := text(normalised(notebook))) == before:
            print(f"{path}: nothing changed")
        else:
            path.write_text(after, encoding="utf-8", newline="\n")
            print(f"{path}: written")
    return min(failures, 1)


def notebooks(numbers, folder=LESSONS):
    """The notebooks with these numbers, all if there are none.

    Errors: LookupError with the lessons that there are, if one is missing.
    """
    found = {path.name.partition("_")[0]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    for number in numbers:
        if number not in found:
            there = ", ".join(found) or f"none in {folder.resolve()}"
            raise LookupError(f"there is no lesson {number!r}; there are: {there}")
    return [found[number] for number in numbers or found]


def execute(notebook):
    """Run the cells of ``notebook`` in a new kernel, and say at which one and why if one fails."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

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


def normalised(notebook):
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


def text(notebook):
    """A notebook as it is written to a file."""
    import nbformat

    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    sys.exit(main())
