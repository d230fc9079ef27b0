"""Refresh copies exercises into lessons, writes what changed, and says what it cannot run and why."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from edu_optim.__main__ import main
from edu_optim.tools.notebooks import INSTALLED, read
from edu_optim.tools.refresh import link_neighbors, refresh

SLIDER = {"application/vnd.jupyter.widget-view+json": {"model_id": "1f2e"}, "text/plain": "a slider"}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The folder that we are in: it has one lesson."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    cells = [
        new_markdown_cell("# Numbers", id="title", metadata={"editable": True}),
        new_code_cell("print(1)", id="print-one", metadata={"tags": ["check"], "scrolled": True}),
        new_code_cell("print(2, flush=True)\nprint(3)\n4", id="two-to-four", execution_count=9),
        new_code_cell(f"display({SLIDER}, raw=True)", id="slider"),
    ]
    good = new_notebook(cells=cells, metadata={"language_info": {"name": "python", "version": "3.0"}})
    text = "\ufeff" + nbformat.writes(good)  # as some editors on Windows write it
    (tmp_path / "notebooks" / "00_good.ipynb").write_text(text, encoding="utf-8", newline="\r\n")
    return tmp_path


@pytest.mark.slow
def test_refresh_writes_what_is_needed_and_nothing_twice(course, capsys):
    path = course / "notebooks" / "00_good.ipynb"
    assert main(["refresh", "00"]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text)["metadata"] == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [{key: cell[key] for key in cell if key != "source"} for cell in json.loads(text)["cells"]] == [
        {"cell_type": "markdown", "id": "title", "metadata": {}},
        {"cell_type": "markdown", "id": "where-top", "metadata": {}},
        {
            "cell_type": "code",
            "id": "print-one",
            "metadata": {"tags": ["check"]},
            "execution_count": 1,
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["1\n"]}],
        },
        {
            "cell_type": "code",
            "id": "two-to-four",
            "metadata": {},
            "execution_count": 2,
            "outputs": [
                {"name": "stdout", "output_type": "stream", "text": ["2\n", "3\n"]},
                {"data": {"text/plain": ["4"]}, "execution_count": 2, "metadata": {}, "output_type": "execute_result"},
            ],
        },
        {
            "cell_type": "code",
            "id": "slider",
            "metadata": {},
            "execution_count": 3,
            "outputs": [{"data": {"text/plain": ["a slider"]}, "metadata": {}, "output_type": "display_data"}],
        },
        {"cell_type": "markdown", "id": "where-end", "metadata": {}},
    ]
    assert main(["refresh", "00"]) == 0 and "nothing changed" in capsys.readouterr().out
    path.write_text("\ufeff" + text, encoding="utf-8", newline="\r\n")
    assert main(["refresh", "00"]) == 0 and "written" in capsys.readouterr().out
    assert path.read_bytes() == text.encode()


def test_a_lesson_between_two_links_both_and_the_first_of_all():
    course = [Path(f"{number}_a.ipynb") for number in ("00", "01", "12")]
    lesson = new_notebook(cells=[new_markdown_cell("# 01 · A", id="title"), new_markdown_cell("b", id="b")])
    link_neighbors(lesson, course[1], course)
    link_neighbors(lesson, course[1], course)
    assert [cell.id for cell in lesson.cells] == ["title", "where-top", "b", "where-end"]
    assert (
        lesson.cells[1].source
        == lesson.cells[3].source
        == ("Lesson 01 of 12 · [← previous: 00](00_a.ipynb) · [next: 12 →](12_a.ipynb) · [all lessons](00_a.ipynb)")
    )
    link_neighbors(lesson, course[0], course)
    assert lesson.cells[1].source == "Lesson 00 of 12 · [next: 01 →](01_a.ipynb)"


@pytest.fixture
def later(course):
    """What all lessons of the course hold, now that some are broken, and the last one is not."""
    folder, source = course / "notebooks", read(course / "notebooks" / "00_good.ipynb")
    fails = new_notebook(cells=[new_code_cell("1 / 0")])
    fails.nbformat_minor = 4
    del fails.cells[0]["id"]
    nbformat.write(fails, folder / "01_fails.ipynb")
    torn = nbformat.writes(source).replace('"print(1)"\n', '"print(1)"\n<<<<<<< HEAD\n')
    (folder / "02_torn.ipynb").write_text(torn)
    nbformat.write(new_notebook(cells=[new_markdown_cell("<<<<<<< local", id="merged")]), folder / "03_merged.ipynb")
    nbformat.write(source, folder / "04_last.ipynb")
    return [path.read_bytes() for path in sorted(folder.glob("*.ipynb"))]


@pytest.mark.slow
def test_refresh_names_what_fails_leaves_it_alone_and_goes_on(course, later, capsys):
    assert main(["refresh"]) == 1
    said = capsys.readouterr()
    fails, torn, merged = said.err.splitlines()
    assert fails == "notebooks/01_fails.ipynb: left as it was: cell 1 raised ZeroDivisionError: division by zero"
    assert torn.startswith("notebooks/02_torn.ipynb: no notebook: line ") and torn.endswith("<<<<<<< HEAD")
    assert ", in or after cell 2, is no JSON: " in torn
    assert merged == "notebooks/03_merged.ipynb: no notebook: cell 'merged': it has the markers of a merge conflict"
    assert said.out == "notebooks/00_good.ipynb: written\nnotebooks/04_last.ipynb: written\n"
    now = [path.read_bytes() for path in sorted((course / "notebooks").glob("*.ipynb"))]
    assert [one != two for one, two in zip(now, later, strict=True)] == [True, False, False, False, True]


def test_refresh_refuses_a_number_that_no_lesson_has_before_it_runs_any(course, capsys):
    before = (course / "notebooks" / "00_good.ipynb").read_bytes()
    with pytest.raises(SystemExit) as stop:
        main(["refresh", "00", "77"])
    assert stop.value.code == 2 and "there is no lesson '77'; there are: 00" in capsys.readouterr().err
    assert (course / "notebooks" / "00_good.ipynb").read_bytes() == before


def test_refresh_in_another_folder_says_where_to_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["refresh"])
    assert stop.value.code == 2
    assert f"there are no lessons in {tmp_path / 'notebooks'}: run this in {INSTALLED}" in capsys.readouterr().err


# Exercises


def marks(cell):
    return cell.metadata.nbgrader


def marked(cell, **marks):
    cell.metadata.nbgrader = {"grade_id": cell.id, **marks}
    return cell


def solved_notebook():
    source = "def one():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    check = "print('checked')\n### BEGIN HIDDEN TESTS\nassert one() == 1\n### END HIDDEN TESTS"
    cells = [
        marked(new_code_cell("import math", id="setup"), locked=True),
        marked(new_markdown_cell("### Write: one", id="one"), locked=True),
        marked(new_code_cell(source, id="one-answer"), solution=True),
        marked(new_code_cell(check, id="one-check", metadata={"tags": ["check"]}), grade=True),
    ]
    return new_notebook(cells=cells)


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """The path of a lesson with an exercise that is out of date; its solved notebook is there too."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "notebooks" / "00_one.ipynb"
    (path.parent / "solutions").mkdir(parents=True)
    names = ["title", "exercises", "old", "old-answer", "short", "sources"]
    nbformat.write(new_notebook(cells=[new_markdown_cell(name, id=name) for name in names]), path)
    nbformat.write(solved_notebook(), path.parent / "solutions" / path.name)
    return path


@pytest.mark.slow
def test_refresh_copies_the_exercises_without_their_solutions(lesson, capsys):
    assert main(["refresh", "00"]) == 0
    cells = {cell.id: cell for cell in nbformat.read(lesson, as_version=4).cells}
    exercise = ["one", "one-answer", "one-check"]
    assert list(cells) == ["title", "where-top", "exercises", *exercise, "short", "sources", "where-end"]
    assert cells["one"].source == "### Write: one"
    assert cells["one-answer"].source == "def one():\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert cells["one-check"].source == "print('checked')"
    assert cells["one-check"].outputs[0].text == "checked\n" and cells["one-check"].metadata == {"tags": ["check"]}
    solved = nbformat.read(lesson.parent / "solutions" / lesson.name, as_version=4)
    assert [cell.source for cell in solved.cells] == [cell.source for cell in solved_notebook().cells]
    assert marks(solved.cells[2]) == {"grade_id": "one-answer", "solution": True}


def without_setup(solved):
    solved.cells[0].id = "imports"


def with_doubled_grade_id(solved):
    marks(solved.cells[3]).grade_id = "one-answer"


def without_end(solved):
    solved.cells[2].source = "### BEGIN SOLUTION"


BROKEN = [
    (without_setup, "the solved notebook must have a cell with the id 'setup'"),
    (with_doubled_grade_id, "{}: cell 'one-check': grade_id must be there and unique, got 'one-answer'"),
    (without_end, "{}: cell 'one-answer': BEGIN SOLUTION must be followed by END SOLUTION"),
]


@pytest.mark.parametrize(("broken", "complaint"), BROKEN)
def test_a_lesson_whose_solved_notebook_is_broken_is_left_as_it_was(broken, complaint, lesson):
    before, solved = lesson.read_bytes(), solved_notebook()
    broken(solved)
    nbformat.write(solved, lesson.parent / "solutions" / lesson.name)
    with pytest.raises(ValueError, match="left as it was") as error:
        refresh(Path("notebooks", lesson.name))
    complaint = complaint.format(f"notebooks/solutions/{lesson.name}")
    assert str(error.value) == f"notebooks/{lesson.name}: left as it was: {complaint}"
    assert lesson.read_bytes() == before
