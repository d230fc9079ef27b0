"""Chores of the course, run in its top folder.

``python -m edu_optim lab`` opens the lessons in JupyterLab; ``refresh`` brings exercises and outputs up to date;
``release 03 --to sheets``, in any folder, writes the exercises of lesson 03 as a sheet for learners; ``race`` repeats
the race of lesson 11.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from .tools.jupyterlab import open_lessons
from .tools.notebooks import INSTALLED, SOLUTIONS, notebooks
from .tools.refresh import refresh
from .tools.release import release


def main(arguments: list[str] | None = None) -> int:
    """Do the chore that the command line asks for and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m edu_optim", description=str(__doc__).partition(".")[0] + ".")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("lab", help="open the lessons in JupyterLab", prefix_chars="\0", add_help=False)
    command.add_argument("flags", nargs="*", help="of JupyterLab, such as --port=9000")
    command.set_defaults(run=lab)
    command = commands.add_parser("refresh", help="copy exercises into lessons, run them and write them back")
    command.add_argument("numbers", nargs="*", metavar="NN", help="number of a lesson, such as 00; all if none")
    command.set_defaults(run=refresh_lessons)
    command = commands.add_parser("release", help="write the exercises of lessons as sheets for learners")
    command.add_argument("numbers", nargs="*", metavar="NN", help="number of a lesson, such as 00; all if none")
    command.add_argument("--to", required=True, metavar="DIR", help="a folder for the sheets")
    command.set_defaults(run=write_sheets)
    command = commands.add_parser("race", help="tune and race all optimizers, as in lesson 11; takes some minutes")
    command.add_argument("--to", metavar="FILE", help="a file for all results, in JSON")
    command.set_defaults(run=race)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except LookupError as error:
        parser.error(error.args[0])


def lab(chosen: argparse.Namespace) -> None:
    """Become the JupyterLab that shows the lessons."""
    open_lessons(notebooks([]), chosen.flags)


def refresh_lessons(chosen: argparse.Namespace) -> int:
    """Refresh the chosen lessons and their solved notebooks."""
    lessons = notebooks(chosen.numbers)
    solved = [SOLUTIONS / path.name for path in lessons if (SOLUTIONS / path.name).exists()]
    return each([*lessons, *solved], lambda path: f"{path}: {'written' if refresh(path) else 'nothing changed'}")


def write_sheets(chosen: argparse.Namespace) -> int:
    """Write the sheets of the chosen lessons into a folder."""
    solved = notebooks(chosen.numbers, SOLUTIONS if SOLUTIONS.is_dir() else INSTALLED / SOLUTIONS)
    return each(solved, lambda path: f"{release(path, chosen.to)}: written")


def race(chosen: argparse.Namespace) -> int:
    """Hold the race of lesson 11."""
    from .contest import race_and_write  # only here: the other chores need no torch

    race_and_write(chosen.to)
    return 0


def each(paths: list[Path], chore: Callable[[Path], str]) -> int:
    """Do a chore on each notebook, say what came of it and go on with the next; return the exit status."""
    status = 0
    for path in paths:
        try:
            print(chore(path))
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
