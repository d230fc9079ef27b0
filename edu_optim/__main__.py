"""Chores of the course, run in its top folder.

``python -m edu_optim lab`` opens the lessons in JupyterLab; ``refresh`` brings outputs up to date; ``release 03 --to
sheets`` writes the exercises of lesson 03 as a sheet for learners.
"""

import argparse
import sys

from .tools.jupyterlab import open_lessons
from .tools.notebooks import SOLUTIONS, notebooks, refresh
from .tools.release import release


def main(arguments: list[str] | None = None) -> int:
    """Do the chore that the command line asks for and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m edu_optim", description=str(__doc__).partition(".")[0] + ".")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("lab", help="open the lessons in JupyterLab", prefix_chars="\0", add_help=False)
    command.add_argument("flags", nargs="*", help="of JupyterLab, such as --port=9000")
    command.set_defaults(run=lab)
    command = commands.add_parser("refresh", help="run lessons and write their outputs back")
    command.add_argument("numbers", nargs="*", metavar="NN", help="number of a lesson, such as 00; all if none")
    command.set_defaults(run=lambda chosen: refresh(chosen.numbers))
    command = commands.add_parser("release", help="write the exercises of a lesson as a sheet for learners")
    command.add_argument("number", metavar="NN", help="number of a lesson, such as 00")
    command.add_argument("--to", required=True, metavar="DIR", help="a new folder for the sheet")
    command.set_defaults(run=write_sheet)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except (LookupError, FileExistsError, ValueError) as error:
        parser.error(error.args[0])


def lab(chosen: argparse.Namespace) -> None:
    """Become the JupyterLab that shows the lessons."""
    notebooks(["00"])  # says so if we are in another folder
    open_lessons(notebooks([]), chosen.flags)


def write_sheet(chosen: argparse.Namespace) -> int:
    """Write the sheet of the chosen lesson into a new folder, or change nothing."""
    (solved,) = notebooks([chosen.number], SOLUTIONS)
    print(f"{release(solved, chosen.to)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
