"""Sheets equal what nbgrader makes of solved notebooks, lessons hold the same exercises, and nbgrader marks them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from edu_optim import exercises as asked_of
from edu_optim.__main__ import main
from edu_optim.tools import notebooks
from edu_optim.tools.refresh import copy_exercises
from edu_optim.tools.release import read_sheet, release

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SOLVED = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))

by_solved = pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def marks(cell):
    return cell.metadata.get("nbgrader", {})


def exercises(lesson):
    """The cells between the heading of the exercises and the summary."""
    ids = [cell.id for cell in lesson.cells]
    return lesson.cells[ids.index("exercises") + 1 : ids.index("short")]


def test_every_lesson_has_a_solved_notebook():
    assert [path.name for path in SOLVED] == [path.name for path in LESSONS]


@by_solved
def test_a_lesson_holds_the_exercises_that_refresh_copies(path):
    lesson = read(path.parent.parent / path.name)
    before = [(cell.id, cell.source, cell.metadata.get("tags")) for cell in lesson.cells]
    copy_exercises(read_sheet(path), lesson)
    assert [(cell.id, cell.source, cell.metadata.get("tags")) for cell in lesson.cells] == before


@by_solved
def test_exercises_have_a_task_a_stub_and_a_check_that_says_not_attempted_yet(path):
    lesson = exercises(read(path.parent.parent / path.name))
    tags = [cell.metadata.get("tags", [cell.cell_type])[0] for cell in lesson if cell.id != "footprints"]
    assert tags == ["markdown", "exercise", "check"] * (len(tags) // 3) and 2 <= len(tags) // 3 <= 5
    for cell in lesson:
        if "check" in cell.metadata.get("tags", []):
            assert [output.data["text/plain"] for output in cell.outputs] == ["not attempted yet"]
        elif cell.cell_type == "markdown":
            assert re.match(r"### (Predict|Measure|Write|Find|Find the mistakes?): ", cell.source), cell.id
            assert "*Size: " in cell.source


@by_solved
def test_a_solved_notebook_has_the_metadata_that_nbgrader_wants(path):
    cells = [cell for cell in read(path).cells if cell.id != "footprints"]  # which learners change, and nobody marks
    grade_ids = [marks(cell)["grade_id"] for cell in cells]
    assert grade_ids == [cell.id for cell in cells]
    assert all(marks(cell)["schema_version"] == 3 for cell in cells)
    for cell in cells:
        graded, solution = marks(cell)["grade"], marks(cell)["solution"]
        tags = cell.metadata.get("tags", [])
        assert (graded, solution) == ("check" in tags, "exercise" in tags)
        assert marks(cell)["locked"] != solution and (marks(cell).get("points", 0) > 0) == graded


def test_every_task_is_an_exercise_of_a_lesson():
    asked = {
        re.search(r"check\((\w+)", cell.source)[1]
        for path in LESSONS
        for cell in exercises(read(path))
        if "check" in cell.metadata.get("tags", [])
    }
    of_lessons = {exercise.name for lesson in asked_of.LESSONS for exercise in lesson.EXERCISES}
    assert of_lessons <= asked
    assert asked - of_lessons == {"AMSGrad"} and "amsgrad" in asked_of.EXERCISES


# Sheets


def test_release_writes_the_sheet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["release", "08", "--to", str(tmp_path / "new" / "sheet")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new' / 'sheet' / '08_adam.ipynb'}: written\n"
    written = read(tmp_path / "new" / "sheet" / "08_adam.ipynb")
    text = "\n".join(cell.source for cell in written.cells)
    assert "SOLUTION" not in text and "HIDDEN" not in text and "assert" not in text
    assert [cell.id for cell in written.cells if "deletable" not in cell.metadata] == ["footprints"]
    for cell in filter(marks, written.cells):
        assert cell.metadata.deletable is False and cell.metadata.get("editable", True) == marks(cell)["solution"]
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None)


def test_a_lesson_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as stop:
        main(["release", "77", "--to", str(tmp_path / "sheet")])
    assert stop.value.code == 2 and "there is no lesson '77'; there are: 00, 01" in capsys.readouterr().err
    assert not (tmp_path / "sheet").exists()


def test_release_writes_beside_what_is_there_and_goes_on_after_a_complaint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (tmp_path / "07_adadelta.ipynb").write_text("mine")
    assert main(["release", "07", "08", "--to", str(tmp_path)]) == 1
    assert main(["release", "06", "--to", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"{tmp_path / '07_adadelta.ipynb'}: left as it was: ")
    assert said.out.splitlines() == [f"{tmp_path / name}: written" for name in ("08_adam.ipynb", "06_rmsprop.ipynb")]
    assert (tmp_path / "07_adadelta.ipynb").read_text() == "mine"


def test_release_in_another_folder_finds_the_course_or_says_where_to_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["release", "08", "--to", "sheets"]) == 0 and (tmp_path / "sheets" / "08_adam.ipynb").exists()
    monkeypatch.setattr("edu_optim.__main__.INSTALLED", tmp_path / "site-packages")
    monkeypatch.setattr(notebooks, "INSTALLED", tmp_path / "site-packages")
    with pytest.raises(SystemExit) as stop:
        main(["release", "08", "--to", "sheets"])
    assert stop.value.code == 2 and ": run this in the folder of the course" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["file", "file/sheets"])
def test_a_folder_that_cannot_be_is_named(to, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert main(["release", "08", "--to", to]) == 1 and "'file" in capsys.readouterr().err


def answer(source, **metadata):
    cell = new_code_cell(source, id="answer")
    cell.metadata.nbgrader = {"grade_id": "answer", **metadata}
    return cell


def solved(path, *cells, ids=("answer", "other"), minor=5, **metadata):
    """Write a solved notebook of these cells, with these ids if there are any, whatever nbformat thinks of it."""
    cells = [{key: value for key, value in cell.items() if key != "id"} for cell in cells]
    for cell, name in zip(cells, ids, strict=False):
        cell["id"] = name
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}))
    return path


GOOD = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"
STUBBED = "# YOUR CODE HERE\nraise NotImplementedError()"
MALFORMED = [
    ("must be followed by END SOLUTION", [answer("### BEGIN SOLUTION\nx = 1", solution=True)]),
    ("must take turns", [answer("x = 1\n### END SOLUTION", solution=True)]),
    ("must take turns", [answer("### BEGIN SOLUTION\n" + GOOD, solution=True)]),
    ("says solution: true", [answer(GOOD)]),
    ("says solution: true", [new_code_cell(GOOD, id="answer")]),
    ("says grade: true", [answer("### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS")]),
    ("says task: true", [new_markdown_cell("### BEGIN MARK SCHEME\nhalf\n### END MARK SCHEME")]),
    ("unique, got 'answer'", [answer(GOOD, solution=True), answer(GOOD, solution=True)]),
    ("must be there and unique, got None", [answer(GOOD, solution=True, grade_id=None)]),
    ("must be a dictionary, got 'yes'", [new_code_cell("x = 1", metadata={"nbgrader": "yes"})]),
    ("source must be text, got None", [{"cell_type": "markdown", "metadata": {}}]),
    ("got 'heading'", [{"cell_type": "heading", "metadata": {}, "source": ""}]),
]


@pytest.mark.parametrize(("ids", "minor"), [(("answer", "other"), 5), ((), 4)])
@pytest.mark.parametrize(("complaint", "cells"), MALFORMED)
def test_a_malformed_notebook_is_refused_by_file_and_cell_and_nothing_is_written(
    complaint, cells, ids, minor, tmp_path
):
    path = solved(tmp_path / "solved.ipynb", *cells, ids=ids, minor=minor)
    with pytest.raises(ValueError, match=r"solved\.ipynb: ") as error:
        release(path, tmp_path / "sheet")
    name = ids[len(cells) - 1] if ids else len(cells)
    assert f"cell {name!r}: " in str(error.value) and complaint in str(error.value)
    assert not (tmp_path / "sheet").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [\n<<<<<<< HEAD', b"\xff"])
def test_what_is_no_notebook_is_refused(text, tmp_path):
    (tmp_path / "solved.ipynb").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"solved\.ipynb: no notebook: "):
        release(tmp_path / "solved.ipynb", tmp_path / "sheet")
    assert not (tmp_path / "sheet").exists()


@pytest.mark.parametrize("ids", [("answer", "other"), ("answer", "answer"), ()], ids=str)
@pytest.mark.parametrize("minor", range(6))
def test_notebooks_of_every_version_are_taken(minor, ids, tmp_path, recwarn, caplog):
    cells = [answer(GOOD, solution=True), {**new_code_cell("y = 2"), "metadata": {"collapsed": "no", "vendor": [1]}}]
    path = solved(tmp_path / "solved.ipynb", *cells, ids=ids, minor=minor, kernelspec={"name": "x"}, vendor={"x": 1})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b", ", b",\r\n"))
    written = json.loads(release(path, tmp_path / "sheet").read_bytes())
    assert ["".join(cell["source"]) for cell in written["cells"]] == [STUBBED, "y = 2"]
    assert [cell["id"] for cell in written["cells"] if "id" in cell] == list(ids)
    assert written["metadata"] == {"kernelspec": {"name": "x"}, "vendor": {"x": 1}}
    assert not recwarn.list and not caplog.records


def test_a_sheet_has_no_saved_widgets_and_no_picture_of_an_answer(tmp_path):
    text = "![task](attachment:the%20task.png)\n### BEGIN SOLUTION\n![](attachment:answer.png)\n### END SOLUTION"
    cell = new_markdown_cell(text, attachments={name: {"image/png": "AA=="} for name in ("the task.png", "answer.png")})
    cell.metadata.nbgrader = {"grade_id": "drawing", "grade": True, "solution": True}
    path = solved(tmp_path / "solved.ipynb", cell, widgets={"application/vnd.jupyter.widget-state+json": {"state": {}}})
    written = read_sheet(path)
    assert written.metadata == {}
    assert list(written.cells[0].attachments) == ["the task.png"]
    assert written.cells[0].source == "![task](attachment:the%20task.png)\nYOUR ANSWER HERE"


# The real nbgrader


def run(*arguments, cwd):
    """What a Python command prints in the activated environment, where nbgrader finds the commands that it calls."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command, environment = [sys.executable, *arguments], {**os.environ, "PATH": path}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def kinds():
    """A notebook with a cell of each kind that nbgrader knows."""
    scheme = "Draw it.\n### BEGIN MARK SCHEME\nhalf for the axes\n### END MARK SCHEME\nAnd explain."
    hidden = "assert x\n### BEGIN HIDDEN TESTS\nassert x == 1\n### END HIDDEN TESTS"
    indented = "if True:\n\t  # BEGIN SOLUTION\n    x = 1\n    # END SOLUTION\ny = 1"
    cells = {
        "task": (new_markdown_cell(scheme), {"task": True, "locked": True, "points": 3}),
        "part-of-a-text": (new_markdown_cell(f"Because\n  {GOOD}"), {"grade": True, "solution": True, "points": 2}),
        "whole-text": (new_markdown_cell("Because."), {"grade": True, "solution": True, "points": 2}),
        "whole-cell": (new_code_cell("def f():\n    return 1"), {"solution": True}),
        "indented": (new_code_cell(indented), {"solution": True}),
        "carriage-returns": (new_code_cell(GOOD.replace("\n", "\r\n") + "\r\ny = 2"), {"solution": True}),
        "marked-by-hand": (new_code_cell(f"{GOOD}\n{hidden}"), {"grade": True, "solution": True, "points": 2}),
        "tests": (new_code_cell(hidden), {"grade": True, "locked": True, "points": 2}),
        "text": (new_markdown_cell("Read."), {"locked": True}),
        "not-locked": (new_markdown_cell("Read."), {}),
    }
    notebook = new_notebook(cells=[new_code_cell("1 + 1"), *(cell for cell, _ in cells.values())])
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    for name, (cell, given) in cells.items():
        marks = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False, **given}
        cell.metadata.nbgrader = {"grade_id": name, **marks}
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course of nbgrader's with an assignment of all the solved notebooks, and one of all kinds of cells."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "source" / "all").mkdir(parents=True)
    for path in SOLVED:
        shutil.copy(path, folder / "source" / "all")
    nbformat.write(kinds(), folder / "source" / "all" / "kinds.ipynb")
    run("-m", "nbgrader", "generate_assignment", "all", cwd=folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(path.stem for path in SOLVED), "kinds"])
def test_a_sheet_equals_what_nbgrader_makes(name, course):
    theirs = read(course / "release" / "all" / f"{name}.ipynb")
    ours = read_sheet(course / "source" / "all" / f"{name}.ipynb")
    assert [cell.source for cell in ours.cells] == [cell.source for cell in theirs.cells]
    for one, two in zip(ours.cells, theirs.cells, strict=True):
        assert all(one.metadata.get(key) == two.metadata.get(key) for key in ("deletable", "editable"))
        assert marks(one).items() <= marks(two).items()


def submit(course, student, wrong):
    """Turn in the sheet of lesson 08, filled in from the solved notebook but for the answers in ``wrong``."""
    path = release(SOLVED[8], course / "submitted" / student / "all")
    turned_in, answers = read(path), {cell.id: cell.source for cell in read(SOLVED[8]).cells}
    for cell in turned_in.cells:
        if marks(cell).get("solution"):
            cell.source = wrong.get(cell.id, answers[cell.id])
    nbformat.write(turned_in, path)


STUB = "def {}(*given):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
HALF = {
    "disguises-answer": 'def disguise(name, lr, t):\n    return {"lr": lr, "betas": (0, 0), "eps": 0}',
    "repair-answer": "class AMSGrad(torch.optim.Optimizer):\n    def step(self): ...",
}
WRONG = {
    "longest-leap-answer": "def step_after_silence(beta1, beta2):\n    while True:\n        pass",
    "disguises-answer": STUB.format("disguise"),
    "six-suspects-answer": "def suspects(:",
    "repair-answer": "",
}
READ = """
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    submissions = book.notebook_submissions("08_adam", "all")
    marks = {s.student.id: {g.name: g.score for g in s.grades} for s in submissions}
print(json.dumps(marks))
"""


@pytest.mark.slow
def test_nbgrader_marks_right_half_right_and_wrong_answers(course):
    for student, wrong in {"right": {}, "half": HALF, "wrong": WRONG}.items():
        submit(course, student, wrong)
    run("-m", "nbgrader", "autograde", "all", "--notebook", "08_adam", cwd=course)
    scores = json.loads(run("-c", READ, cwd=course))
    print(json.dumps(scores, indent=1))
    points = {"longest-leap-check": 1, "disguises-check": 2, "six-suspects-check": 3, "repair-check": 4}
    assert scores["right"] == points
    assert scores["half"] == {**points, "disguises-check": 0, "repair-check": 0}
    assert scores["wrong"] == dict.fromkeys(points, 0)
