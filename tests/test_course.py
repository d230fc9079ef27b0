"""Sheets equal what nbgrader makes of the solved notebooks, lessons hold the same exercises, nbgrader marks them."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from edu_optim import exercises as asked_of
from edu_optim.__main__ import main
from edu_optim.tools.release import release, sheet

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SOLVED = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
LATER = {"scheduled_loop", "resume", "warmup"}  # exercises of lesson 10

by_solved = pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def marks(cell):
    return cell.metadata.get("nbgrader", {})


def exercises(notebook):
    """The cells between setup, or the heading, and the end of the exercises."""
    ids = [cell.id for cell in notebook.cells]
    start = ids.index("setup" if "setup" in ids else "exercises") + 1
    return notebook.cells[start : ids.index("short") if "short" in ids else None]


def test_every_lesson_has_a_solved_notebook():
    assert [path.name for path in SOLVED] == [path.name for path in LESSONS]


@by_solved
def test_a_lesson_holds_the_exercises_of_the_sheet(path):
    lesson, given_out = exercises(read(path.parent.parent / path.name)), exercises(sheet(read(path)))
    assert [(cell.id, cell.source) for cell in lesson] == [(cell.id, cell.source) for cell in given_out]
    assert [cell.metadata.get("tags") for cell in lesson] == [cell.metadata.get("tags") for cell in given_out]


@by_solved
def test_exercises_have_a_task_a_stub_and_a_check_that_says_not_attempted_yet(path):
    lesson = exercises(read(path.parent.parent / path.name))
    tags = [cell.metadata.get("tags", [cell.cell_type])[0] for cell in lesson if cell.id != "footprints"]
    assert tags == ["markdown", "exercise", "check"] * (len(tags) // 3) and 2 <= len(tags) // 3 <= 4
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
    assert of_lessons - asked == LATER
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


def test_a_folder_that_exists_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (tmp_path / "08_adam.ipynb").write_text("mine")
    with pytest.raises(SystemExit):
        main(["release", "08", "--to", str(tmp_path)])
    assert f"to must be a folder that does not exist yet, got {tmp_path}" in capsys.readouterr().err
    assert (tmp_path / "08_adam.ipynb").read_text() == "mine"


def answer(source, **metadata):
    cell = new_code_cell(source, id="answer")
    cell.metadata.nbgrader = {"grade_id": "answer", **metadata}
    return cell


GOOD = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"
MALFORMED = [
    ("must be followed by END SOLUTION", [answer("### BEGIN SOLUTION\nx = 1", solution=True)]),
    ("must take turns", [answer("x = 1\n### END SOLUTION", solution=True)]),
    ("must take turns", [answer("### BEGIN SOLUTION\n" + GOOD, solution=True)]),
    ("says solution: true", [answer(GOOD)]),
    ("says solution: true", [new_code_cell(GOOD, id="answer")]),
    ("says grade: true", [answer("### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS")]),
    ("it is a solution cell", [answer("x = 1", solution=True)]),
    ("grade_id must be there and unique", [answer(GOOD, solution=True), answer(GOOD, solution=True)]),
    ("grade_id must be there and unique", [answer(GOOD, solution=True, grade_id=None)]),
]


@pytest.mark.parametrize(("complaint", "cells"), MALFORMED)
def test_a_malformed_notebook_is_refused_and_nothing_is_written(complaint, cells, tmp_path):
    cells = copy.deepcopy(cells)
    for count, cell in enumerate(cells):
        cell.id = ["answer", "other"][count]
    nbformat.write(new_notebook(cells=cells), tmp_path / "solved.ipynb")
    with pytest.raises(ValueError, match="cell (answer|other): ") as error:
        release(tmp_path / "solved.ipynb", tmp_path / "sheet")
    assert complaint in str(error.value) and not (tmp_path / "sheet").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}'])
def test_what_is_no_notebook_is_refused(text, tmp_path):
    (tmp_path / "solved.ipynb").write_text(text)
    with pytest.raises(ValueError, match="must be a notebook, and cannot be read as one"):
        release(tmp_path / "solved.ipynb", tmp_path / "sheet")
    assert not (tmp_path / "sheet").exists()


# The real nbgrader


def run(*arguments, cwd):
    """What a Python command prints in the activated environment, where nbgrader finds the commands that it calls."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command, environment = [sys.executable, *arguments], {**os.environ, "PATH": path}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course of nbgrader's with an assignment of all the solved notebooks."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "source" / "all").mkdir(parents=True)
    for path in SOLVED:
        shutil.copy(path, folder / "source" / "all")
    run("-m", "nbgrader", "generate_assignment", "all", cwd=folder)
    return folder


@pytest.mark.slow
@by_solved
def test_a_sheet_equals_what_nbgrader_makes(path, course):
    theirs = read(course / "release" / "all" / path.name)
    ours = sheet(read(path))
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
