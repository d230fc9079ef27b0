"""Lessons in a real JupyterLab, in a real browser.

`python tests/browser.py` looks for a Chromium, tries to install one where there is none, and says what came of it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

from edu_optim.tools.notebooks import METADATA

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
NAMES = ["chromium", "chromium-browser", "google-chrome"]
HOW_TO_GET_ONE = "no Chromium found: install one, such as `apt install chromium`, or set CHROMIUM to the path of yours"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
INSTALLING_MAY_TAKE = 120  # seconds
STARTING_MAY_TAKE = 60
RUNNING_MAY_TAKE = 240


def chromium():
    """The path of a Chromium that starts: the one named by CHROMIUM, one on PATH, or playwright's; else None."""
    named = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else NAMES
    found = (shutil.which(name) for name in named)
    return next((path for path in [*found, _playwrights()] if path and _starts(path)), None)


def _playwrights():
    with sync_playwright() as playwright:
        return shutil.which(playwright.chromium.executable_path)


def _starts(path):
    return subprocess.run([path, "--version"], capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def is_required():
    return bool(os.environ.get("CI"))


def install():
    """Let playwright fetch its Chromium, if the network lets it within two minutes."""
    command = [sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as process:
        try:
            process.wait(INSTALLING_MAY_TAKE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def jupyterlab():
    """The JupyterLab of `make lab` on a copy of the lessons, with settings of its own: its address, and that copy."""
    with tempfile.TemporaryDirectory(prefix="lessons-", ignore_cleanup_errors=True) as temporary:
        home, lessons = Path(temporary, "jupyter"), Path(temporary, "notebooks")
        shutil.copytree(NOTEBOOKS, lessons, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        home.mkdir()
        url, process = _serve(home, lessons)
        try:
            _wait_for(url, process)
            yield url, lessons
        finally:
            process.terminate()
            process.wait(STARTING_MAY_TAKE)


def _serve(home, lessons):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "edu_optim",
        "lab",
        "--no-browser",
        "--expose-app-in-browser",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={lessons}",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
    ]
    folders = {f"JUPYTER_{name.upper()}_DIR": str(home / name) for name in ("config", "data", "runtime")}
    settings = {f"JUPYTERLAB_{name.upper()}_DIR": str(home / name) for name in ("settings", "workspaces")}
    environment = {**os.environ, **folders, **settings}
    with open(home / "log", "w") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(command, cwd=lessons.parent, env=environment, **streams)
    return f"http://127.0.0.1:{port}", process


def _wait_for(url, process):
    end = time.monotonic() + STARTING_MAY_TAKE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api", timeout=5):
            return
        time.sleep(0.2)
    raise TimeoutError(f"JupyterLab did not answer at {url} within {STARTING_MAY_TAKE} s")


@contextlib.contextmanager
def browser(path):
    """The Chromium at ``path``, without a window."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


def write(folder, name, **cells):
    """Write a notebook of code cells: id -> source."""
    written = [new_code_cell(source, id=id) for id, source in cells.items()]
    nbformat.write(new_notebook(cells=written, metadata=METADATA), folder / name)


class Lesson:
    """A notebook that is open in JupyterLab, with a kernel that is ready.

    Args:
        chromium: from `browser`.
        url: of the `jupyterlab`.
        name: of the notebook's file.
    """

    def __init__(self, chromium, url, name, width=1280, height=900):
        self.page = chromium.new_page(viewport={"width": width, "height": height})
        self.page.goto(f"{url}/lab/tree/{name}?reset")
        self.page.wait_for_function(READY, arg=name, timeout=1000 * STARTING_MAY_TAKE)

    def close(self):
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()

    def run_all(self):
        """Run every cell, and return what went wrong, a line for each cell that raised."""
        self.page.set_default_timeout(1000 * RUNNING_MAY_TAKE)
        self.page.evaluate("window.ran = jupyterapp.commands.execute('notebook:run-all-cells').then(() => true); 0")
        self.page.wait_for_function(DONE, timeout=1000 * RUNNING_MAY_TAKE)
        self.page.set_default_timeout(30_000)
        return self.page.evaluate(ERRORS)

    def cell(self, id):
        """The cell with this id, scrolled to its top."""
        self.page.evaluate(SHOW, id)
        return self.page.locator(f"[data-test-cell='{id}']")

    def execute(self, code):
        """What ``code`` prints in the kernel."""
        return self.page.evaluate(EXECUTE, code)


READY = """name => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const kernel = panel?.sessionContext?.session?.kernel;
    return panel?.context?.path === name && panel.content.model?.cells.length && kernel?.status === 'idle';
}"""
DONE = """() => {
    const cells = [...jupyterapp.shell.currentWidget.content.model.sharedModel.cells];
    return window.ran.then(() => cells.every(cell => cell.cell_type !== 'code' || cell.execution_count !== null
        || !cell.getSource().trim() || cell.outputs.some(output => output.output_type === 'error')));
}"""
ERRORS = """() => [...jupyterapp.shell.currentWidget.content.model.sharedModel.cells].flatMap(cell =>
    (cell.toJSON().outputs ?? []).filter(output => output.output_type === 'error')
        .map(output => `${cell.id}: ${output.ename}: ${output.evalue}`))"""
SHOW = """async id => {
    const notebook = jupyterapp.shell.currentWidget.content;
    const index = notebook.widgets.findIndex(cell => cell.model.id === id);
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, 'start');
    notebook.widgets[index].node.dataset.testCell = id;
    await notebook.widgets[index].ready;
}"""
EXECUTE = """async code => {
    const future = jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code});
    let printed = '';
    future.onIOPub = message => { printed += message.content.text ?? ''; };
    const reply = await future.done;
    if (reply.content.status !== 'ok') throw new Error(`${reply.content.ename}: ${reply.content.evalue}`);
    return printed;
}"""


def main():
    path = chromium()
    if path is None:
        install()
        path = chromium()
    print(path or f"{HOW_TO_GET_ONE}; the tests that open lessons in a browser are left out")


if __name__ == "__main__":
    main()
