"""Every lesson keeps to the lint, and what guards the lessons can fail."""

import ast
import copy
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_lint import lint

from edu_optim.tools.notebooks import METADATA, text

ROOT = Path(__file__).parent.parent
FIRST = ROOT / "notebooks" / "00_start_here.ipynb"
NOTEBOOKS = sorted(path for path in ROOT.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_keeps_to_the_lint(path):
    assert lint(read(path)) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_is_stored_as_refresh_writes_it(path):
    assert path.read_text(encoding="utf-8") == text(read(path))


def small_notebook():
    picture = {"image/png": "", "text/plain": "A line climbs to the right.\npanel 1: x from 0 to 1"}
    cells = [
        new_markdown_cell("# A line\n\nYou draw a line with `plot!`: $n!$ of them.", id="title"),
        new_code_cell("from edu_optim.plot import figure, show", id="imports", execution_count=1),
        new_code_cell("fig, ax = figure()\nshow(fig, 'A line climbs to the right.')", id="line", execution_count=2),
        new_code_cell("print(1)", id="one", execution_count=3),
    ]
    cells[2].metadata.tags = ["figure"]
    cells[2].outputs = [new_output("display_data", picture, metadata={"image/png": {"alt": "A line."}})]
    cells[3].outputs = [new_output("stream", name="stdout", text="1\n")]
    return new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))


def prose(source):
    return lambda nb: nb.cells[0].update(source=source)


def code(source):
    return lambda nb: nb.cells[3].update(source=source)


def output(*args, **kwargs):
    return lambda nb: nb.cells[3].update(outputs=[new_output(*args, **kwargs)])


def shown(**data):
    return output("display_data", {mime.replace("_", "/"): value for mime, value in data.items()})


def tag(name):
    return lambda nb: nb.cells[3].metadata.update(tags=[name])


def many(lines, cells):
    """Append ``cells`` cells of ``lines`` lines each."""

    def change(nb):
        for count in range(4, 4 + cells):
            nb.cells.append(new_code_cell("\n".join(["x = 1"] * lines), id=f"more-{count}", execution_count=count))

    return change


BAD = [
    ("run from top to bottom", lambda nb: nb.cells[3].update(execution_count=None)),
    ("run from top to bottom", lambda nb: nb.cells[3].update(execution_count=4)),
    ("run from top to bottom", lambda nb: nb.cells[3].update(execution_count=2)),
    ("the same one", lambda nb: nb.cells[3].update(id="line")),
    ("without an id", lambda nb: nb.cells[3].pop("id")),
    ("not valid", lambda nb: nb.cells[3].pop("outputs")),
    ("metadata other", lambda nb: nb.metadata.language_info.update(version="3.11.7")),
    ("metadata other", lambda nb: nb.metadata.kernelspec.update(name="my-kernel")),
    ("metadata ['execution']", lambda nb: nb.cells[3].metadata.update(execution={})),
    ("at 12 lines or more", many(lines=12, cells=1)),
    ("in the median", many(lines=6, cells=5)),
    ("26 lines", lambda nb: [many(lines=1, cells=10)(nb), code("x = 1\n" * 26)(nb)]),
    ("is empty", code("")),
    ("id written by hand", lambda nb: nb.cells[3].update(id="1f2e3d4c")),
    ("id written by hand", lambda nb: nb.cells[3].update(id="a1b2c3d4-8b7a-4f6e-9d3c-2b1a0f9e8d7c")),
    ("id written by hand", lambda nb: nb.cells[3].update(id="Cell_3")),
    ("unknown tags ['nbval-skip']", tag("nbval-skip")),
    ("unknown tags ['nbval-ignore-output']", tag("nbval-ignore-output")),
    ("unknown tags ['raises-exception']", tag("raises-exception")),
    ("switches nbval off", code("# NBVAL_SKIP\nprint(1)")),
    ("switches nbval off", code("print(1)\n# PYTEST_VALIDATE_IGNORE_OUTPUT")),
    ("ends in ';'", code("print(1);")),
    ("not plain Python", code("!pip install torch")),
    ("not plain Python", code("%pip install torch")),
    ("not plain Python", code("%cd ..")),
    ("only the first code cell", code("import torch")),
    ("only the first code cell", code("def f():\n    from torch import nn")),
    ("star import", lambda nb: nb.cells[1].update(source="from torch import *")),
    ("ended in an error", output("error", ename="ValueError", evalue="", traceback=[])),
    ("stderr", output("stream", name="stderr", text="careful")),
    ("address", output("stream", name="stdout", text="<object at 0x7f3a2b1c>")),
    ("address", output("execute_result", {"text/plain": "<object at 0x7F3A2B1C>"}, execution_count=3)),
    ("nbval can compare", shown(image_png="", text_plain="<Figure size 640x480 with 1 Axes>")),
    ("nbval can compare", shown(image_png="")),
    ("nbval can compare", shown(text_latex="$x$")),
    ("what is in it", shown(image_png="", text_plain="A line.\npanel 1: x from 0 to 1")),
    ("not a PNG", shown(**{"image_svg+xml": "", "text_plain": "A line climbs to the right."})),
    ("81 words", prose("word " * 81)),
    ("aligned", prose(r"$$\begin{aligned} a &= b \tag{1} \end{aligned}$$")),
    ("exclamation", prose("You did it!")),
    ("exclamation", prose("# Well done!\n")),
    ("simply", prose("Simply run it.")),
]


def test_a_good_notebook_gets_no_complaint():
    assert lint(small_notebook()) == []


@pytest.mark.parametrize("fragment, change", BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_each_fault_alone_gets_its_own_complaint(fragment, change):
    notebook = small_notebook()
    change(notebook)
    complaints = lint(notebook)
    assert len(complaints) == 1
    assert fragment in complaints[0]


@pytest.mark.parametrize(
    "source",
    [
        "## The rule\n\n$$\\begin{aligned} " + "x \\\\ " * 100 + "\\end{aligned}$$",
        "| symbol | code |\n|---|---|\n" + "| θ | the knobs of the model |\n" * 30,
        "```\n" + "word " * 100 + "\n```",
        "## Sources\n\n" + "- A. Author 2015, *A title*, [arXiv](https://example.org).\n" * 30,
        "word " * 80,
    ],
    ids=["formula", "table", "code", "sources", "eighty words"],
)
def test_only_prose_is_counted(source):
    notebook = small_notebook()
    prose(source)(notebook)
    assert lint(notebook) == []


def change_a_printed_number(notebook):
    """Raise the last digit of the first output that holds one by one; return the number of the cell."""
    for cell in notebook.cells:
        for shown in cell.get("outputs", []):
            if re.search(r"\d", shown.get("text", "")):
                shown.text = re.sub(r"\d(?=\D*\Z)", lambda digit: str((int(digit[0]) + 1) % 10), shown.text)
                return cell.execution_count


def move_a_plotted_point(notebook):
    """Have the first figure draw its first line one per cent higher; return the number of the cell."""
    cell = next(cell for cell in notebook.cells if "figure" in cell.metadata.get("tags", []))
    calls = [node.value for node in ast.parse(cell.source).body if isinstance(node, ast.Expr)]
    show = next(call for call in calls if ast.unparse(call.func) == "show")
    lines = cell.source.splitlines()
    before, after = lines[: show.lineno - 1], lines[show.end_lineno :]
    moved = [f"figure_shown = {ast.unparse(show.args[0])}", "moved = figure_shown.axes[0].get_lines()[0]"]
    moved += ["moved.set_ydata(1.01 * moved.get_ydata(orig=False))"]
    show.args[0] = ast.Name("figure_shown")
    cell.source = "\n".join([*before, *moved, ast.unparse(show), *after])
    return cell.execution_count


def beginning_of_the_first_lesson():
    """Its cells up to the tenth of code: among them a figure and printed numbers."""
    notebook = read(FIRST)
    tenth = next(index for index, cell in enumerate(notebook.cells) if cell.get("execution_count") == 10)
    notebook.cells = notebook.cells[: tenth + 1]
    return notebook


@pytest.mark.slow
def test_strict_nbval_finds_a_changed_number_and_a_moved_point_and_nothing_else(tmp_path):
    changed = beginning_of_the_first_lesson()
    cells = {change_a_printed_number(changed), move_a_plotted_point(changed)}
    for name, notebook in {"as_it_is": beginning_of_the_first_lesson(), "changed": changed}.items():
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-o", "addopts="]
    command += ["--nbval", "--nbval-cell-timeout=60", "-p", "no:cacheprovider", "--junitxml=report.xml", "."]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, stdin=subprocess.DEVNULL)
    cases = list(ElementTree.parse(tmp_path / "report.xml").iter("testcase"))
    assert len(cases) == 20
    red = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    assert {case.get("classname") for case in red} == {"changed.ipynb"}
    assert {int(case.get("name").removeprefix("Cell ")) + 1 for case in red} == cells and len(red) == 2


@pytest.mark.slow
def test_lessons_have_the_same_outputs_without_a_c_compiler():
    """Two here; `make test-cpus` runs the others so."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.kernels", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["--nbval", "--nbval-cell-timeout=60", *sorted((ROOT / "notebooks").glob("0[58]_*.ipynb"))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | {"CC": "none"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stdout


def test_a_lesson_with_a_missing_execution_count_is_refused():
    notebook = read(FIRST)
    next(cell for cell in notebook.cells if cell.cell_type == "code").execution_count = None
    assert [complaint for complaint in lint(notebook) if "top to bottom" in complaint]
