"""Every control of every lesson, moved by the messages that a browser would send."""

import itertools
import queue
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS = [path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")) if '"experiment"' in path.read_text("utf-8")]
VIEW = "application/vnd.jupyter.widget-view+json"
RED = "color:#D55E00"  # of an experiment that says what went wrong


class Browser:
    """Runs code in a kernel and keeps the widgets that it is told of, as JupyterLab does."""

    def __init__(self, folder):
        self.manager, self.client = start_new_kernel(cwd=str(folder), extra_arguments=["--log-level=ERROR"])
        self.widgets = {}

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code):
        """The ids of the views that the code displays."""
        messages = self._answers(self.client.execute(code))
        for message in messages:
            assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
        shown = [message["content"]["data"] for message in messages if "data" in message["content"]]
        return [data[VIEW]["model_id"] for data in shown if VIEW in data]

    def move(self, model, **state):
        """Send what a control sends, and return the pictures that come back, by the id of their widget."""
        content = {"comm_id": model, "data": {"method": "update", "state": state, "buffer_paths": []}}
        self.widgets[model] |= state
        message = self.client.session.msg("comm_msg", content)
        self.client.shell_channel.send(message)
        answers = self._answers(message["header"]["msg_id"])
        assert not [answer for answer in answers if answer["msg_type"] in ("error", "stream")], answers
        return [(answer["content"]["comm_id"], bytes(buffer)) for answer in answers for buffer in answer["buffers"]]

    def _answers(self, asked):
        messages = []
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=60)
            except queue.Empty:
                raise AssertionError("the kernel gave no answer in 60 s") from None
            if message["parent_header"].get("msg_id") != asked:
                continue
            messages.append(message)
            content = message["content"]
            if message["msg_type"] == "comm_open":
                self.widgets[content["comm_id"]] = content["data"]["state"]
            elif message["msg_type"] == "comm_msg":
                self.widgets[content["comm_id"]] |= content["data"].get("state", {})
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return messages

    def inside(self, model):
        """The ids of a widget and of all widgets laid out in it."""
        children = [child.removeprefix("IPY_MODEL_") for child in self.widgets[model].get("children", ())]
        return [model, *itertools.chain.from_iterable(map(self.inside, children))]


def moves(state):
    """What a reader can make of a control: the two ends, or every word."""
    name = state["_model_name"]
    if name in ("IntSliderModel", "FloatSliderModel", "BoundedFloatTextModel", "PlayModel"):
        return [{"value": state["min"]}, {"value": state["max"]}]
    if name == "CheckboxModel":
        return [{"value": not state["value"]}, {"value": state["value"]}]
    if name == "DropdownModel":
        return [{"index": index} for index in reversed(range(len(state["_options_labels"])))]
    return []


def code_until_the_last_experiment(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = max(index for index, cell in enumerate(cells) if "experiment" in cell.metadata.get("tags", []))
    return cells[: last + 1]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_control_brings_a_new_picture_and_no_error(path):
    browser = Browser(NOTEBOOKS)
    try:
        notebook = nbformat.read(path, as_version=4)
        views = [view for cell in code_until_the_last_experiment(notebook) for view in browser.run(cell.source)]
        assert views
        for view in views:
            assert drive(browser, browser.inside(view)) >= 2
    finally:
        browser.close()


def drive(browser, models):
    """Move every control of an experiment to its ends and back, and return how many controls there are."""
    named = {model: browser.widgets[model]["_model_name"] for model in models}
    (image,) = [model for model in models if named[model] == "ImageModel"]
    (readout,) = [model for model in models if named[model] == "HTMLModel"]
    controls = [model for model in models if moves(browser.widgets[model])]
    assert RED not in browser.widgets[readout]["value"], browser.widgets[readout]["value"]
    for control in controls:
        state = dict(browser.widgets[control])
        pictures = 0
        for move in moves(state):
            answers = browser.move(control, **move)
            said = browser.widgets[readout]["value"]
            assert RED not in said, (state.get("description"), move, said)
            pictures += sum(model == image and png.startswith(b"\x89PNG") for model, png in answers)
        assert pictures, f"{state.get('description')}: no new picture"
        key = "index" if "index" in state else "value"
        browser.move(control, **{key: state[key]})
    return len(controls)


BROKEN = """
from edu_optim.lab import Experiment, slider

def draw(ax, *, x):
    '''A line.'''
    {line}
    return {{"x": x}}

Experiment(draw, x=slider("x", "m", 1, 0, 2))
"""


@pytest.mark.parametrize(
    "line, words",
    [
        ("1 / (2 - x); ax.plot([0, x])", "ZeroDivisionError"),
        ("ax.plot([0, 1])", "x.*: no new picture"),
        ("ax.plot([0, lenght])", "NameError"),
    ],
    ids=["raises at an end", "forgets its control", "raises always"],
)
def test_a_broken_callback_is_noticed(line, words, tmp_path):
    browser = Browser(tmp_path)
    try:
        (view,) = browser.run(BROKEN.format(line=line))
        with pytest.raises(AssertionError, match=words):
            drive(browser, browser.inside(view))
    finally:
        browser.close()
