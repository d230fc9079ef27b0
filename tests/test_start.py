"""The first hour: what `make` installs, when it makes .venv anew, what it says; how JupyterLab is opened."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from nbformat.v4 import new_markdown_cell, new_notebook

from edu_optim.__main__ import main

ROOT = Path(__file__).parent.parent
NEWER = "3.99.0"
FAKE = f"""#!/bin/sh
# A Python that answers for its version, makes environments of copies of itself, and notes down all other commands.
case "$1 $2" in
"-c "*version_info*) exec "{sys.executable}" "$@" ;;
"-c "*base_prefix*) echo "/usr/lib VERSION" ;;
"-c "*) echo VERSION ;;
"-m venv") rm -rf .venv && mkdir -p .venv/bin && cp "$(command -v "$0")" .venv/bin/python ;;
*) echo "$*" >>did ;;
esac
"""


class Course:
    """A folder with a Makefile, and the commands python3, python3.99 and python2 in front of those of the machine."""

    def __init__(self, folder):
        self.folder, self.commands = folder / "a course", folder / "commands"
        self.folder.mkdir()
        self.commands.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.folder)
        self.write("python3", FAKE.replace("VERSION", "3.11.7"))
        self.write("python3.99", FAKE.replace("VERSION", NEWER))
        self.write(
            "python2", '#!/bin/sh\ncase "$2" in *version_info*) exit 1;; *base_prefix*) exit 1;; esac\necho 2.7.18'
        )

    def write(self, name, text):
        (self.commands / name).write_text(text)
        (self.commands / name).chmod(0o755)

    def make(self, *arguments, **environment):
        """What make prints, and what was run in the environment meanwhile."""
        ours = re.compile("CI|PYTHON|LAB_FLAGS|MFLAGS|MAKE.*")  # set by the make that runs the tests, or by whoever did
        kept = {name: value for name, value in os.environ.items() if not ours.fullmatch(name)}
        kept["PATH"] = f"{self.commands}:{kept['PATH']}"
        (self.folder / "did").write_text("")
        result = subprocess.run(
            ["make", *arguments], cwd=self.folder, env={**kept, **environment}, capture_output=True, text=True
        )
        return result, (self.folder / "did").read_text().splitlines()


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path)


def installed(did):
    """The extras that pip was told to install; a new environment's pip is renewed before."""
    lines = [line for line in did if line.startswith("-m pip install") and not line.endswith("--upgrade pip")]
    return [line.split("[")[1].rstrip("]") for line in lines]


def test_lab_installs_what_a_learner_needs_once_and_passes_flags_on(course):
    result, did = course.make("lab", "LAB_FLAGS=--port=9000 --no-browser")
    assert result.returncode == 0, result.stderr
    assert installed(did) == ["lessons"] and did[-1] == "-m edu_optim lab --port=9000 --no-browser"
    assert "Python 3.11.7" in result.stdout
    result, did = course.make("lab")
    assert (result.stdout, did) == ("", ["-m edu_optim lab"])


@pytest.mark.parametrize("environment, extra", [({}, "test"), ({"CI": "true"}, "clients")])
def test_test_adds_what_the_tests_need_and_the_clients_where_ci_runs(course, environment, extra):
    course.make("lab")
    _, did = course.make("test", **environment)
    assert installed(did) == [extra]
    assert installed(course.make("test", **environment)[1]) == []


def test_a_changed_list_of_packages_is_installed_again(course):
    course.make("test")
    os.utime(course.folder / "constraints.txt")
    assert installed(course.make("test")[1]) == ["test"]  # which holds what a learner needs
    assert installed(course.make("lab")[1]) == []


def test_a_course_that_was_renamed_gets_a_new_environment(course):
    course.make("lab")
    course.folder = course.folder.rename(course.folder.with_name("moved"))
    result, did = course.make("lab")
    assert installed(did) == ["lessons"] and "is made anew" in result.stdout
    assert installed(course.make("lab")[1]) == []


def test_an_environment_that_does_not_run_is_made_anew(course):
    course.make("lab")
    (course.folder / ".venv" / "bin" / "python").unlink()
    assert installed(course.make("lab")[1]) == ["lessons"]


def test_another_python_is_taken_when_it_is_named_and_kept_when_it_is_not(course):
    course.make("lab")
    result, did = course.make("lab", "PYTHON=python3.99")
    assert installed(did) == ["lessons"] and f"with Python {NEWER}" in result.stdout
    assert installed(course.make("lab")[1]) == []
    assert installed(course.make("lab", PYTHON="python3.99")[1]) == []
    assert installed(course.make("lab", "PYTHON=python3")[1]) == ["lessons"]


@pytest.mark.parametrize("name, found", [("python3.4", "not to be found"), ("python2", "2.7.18")])
@pytest.mark.parametrize("before", [[], ["lab"]], ids=["at first", "later"])
def test_an_impossible_python_gets_one_sentence_and_changes_nothing(course, name, found, before):
    for target in before:
        course.make(target)
    result, did = course.make("lab", f"PYTHON={name}")
    said, by_make = result.stderr.splitlines()
    assert said == (
        f"This needs Python 3.11 or newer, and {name} is {found}: name one, as in make lab PYTHON=python3.12"
    )
    assert by_make.startswith("make: ***")
    assert (result.returncode, result.stdout, did) == (2, "", [])
    assert installed(course.make("lab")[1]) == ([] if before else ["lessons"])


def test_help_has_a_line_for_each_target(course):
    result, _ = course.make()
    names = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("  make ")]
    assert names == ["help", "lab", "test", "quick", "test-cpus"]


# python -m edu_optim lab


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A folder with two lessons, and the command lines with which it is left."""
    commands = []
    (tmp_path / "notebooks").mkdir()
    for number in ("00", "01"):
        lesson = new_notebook(cells=[new_markdown_cell(f"# {number} {tmp_path}", id="title")])
        nbformat.write(lesson, tmp_path / "notebooks" / f"{number}_lesson.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append(command))
    return commands


def test_the_first_lesson_is_opened_and_flags_come_last(opened, capsys):
    main(["lab", "--port=9000", "--no-browser"])
    (command,) = opened
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_lesson.ipynb" in command
    assert command[-2:] == ["--port=9000", "--no-browser"]
    assert capsys.readouterr().out.splitlines() == [
        "== JupyterLab opens on notebooks/00_lesson.ipynb: in your browser, or at the address below.",
        "== To stop it, press Ctrl+C here, twice.",
    ]


def test_every_lesson_is_trusted(opened):
    main(["lab"])
    for path in Path("notebooks").iterdir():
        assert NotebookNotary().check_signature(nbformat.read(path, as_version=nbformat.NO_CONVERT))


def test_another_folder_is_answered_with_a_sentence(opened, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path / "notebooks")
    with pytest.raises(SystemExit):
        main(["lab"])
    where = tmp_path / "notebooks" / "notebooks"
    assert f"there are no lessons in {where}: run this in " in capsys.readouterr().err and opened == []
