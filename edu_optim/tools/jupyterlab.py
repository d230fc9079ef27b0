"""The lessons in JupyterLab as a learner needs it: the first lesson, two lines and an address, and nothing else."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from nbformat.sign import NotebookNotary

from .notebooks import METADATA

HIDDEN = ["solutions", "__pycache__", "*.pyc", ".DS_Store", "*~"]  # in the list of files; a path still opens them
FOR_INSTRUCTORS = ["assignment_list", "course_list", "formgrader", "validate_assignment"]
FLAGS = [
    "--LabApp.app_settings_dir=notebooks/.jupyterlab",  # no question about news, and no button of nbgrader
    "--LabApp.log_level=ERROR",
    "--ServerApp.log_level=ERROR",
    "--KernelManager.transport_encryption=auto",  # else each kernel prints a warning
    "--FileContentsManager.pre_save_hook=edu_optim.tools.jupyterlab.forget_the_version",
    *[f"--ServerApp.jpserver_extensions=nbgrader.server_extensions.{name}=False" for name in FOR_INSTRUCTORS],
    *[f"--ContentsManager.hide_globs={name}" for name in HIDDEN],
]


def forget_the_version(model: dict[str, Any], **_: Any) -> None:
    """Save a notebook without the version of Python, which JupyterLab notes in each one that is merely opened.

    >>> model = {"type": "notebook", "content": {"metadata": {"language_info": {"name": "python", "version": "3.11"}}}}
    >>> forget_the_version(model)
    >>> model["content"]["metadata"]
    {'language_info': {'name': 'python'}}
    """
    noted = model["content"]["metadata"] if model["type"] == "notebook" else {}
    if noted.get("language_info", {}).get("name") == "python":
        noted["language_info"] = METADATA["language_info"]


def open_lessons(paths: Sequence[Path], flags: Sequence[str] = ()) -> NoReturn:
    """Become a JupyterLab that shows the first of these lessons.

    Args:
        paths: of the lessons, relative to this folder. All are trusted: one that is not shows the text of its
            experiments only.
        flags: of JupyterLab, such as ``--port=9000``; they win over ours.

    Errors: FileNotFoundError if one of the paths leads nowhere.

    >>> open_lessons([Path("missing.ipynb")])
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.ipynb'
    """
    notary = NotebookNotary()
    for path in paths:
        notary.sign(nbformat.read(path, as_version=nbformat.NO_CONVERT))
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{paths[0].as_posix()}", *FLAGS]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    print(f"== JupyterLab opens on {paths[0]}: in your browser, or at the address below.")
    print("== To stop it, press Ctrl+C here, twice.", flush=True)
    os.execv(sys.executable, [*command, *flags])
