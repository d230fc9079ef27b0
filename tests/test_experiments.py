"""Every control of every lesson, moved by the messages that a browser would send."""

import ast
import contextlib
import dis
import inspect
import io
import itertools
import json
from pathlib import Path

import comm
import nbformat
import pytest
from comm.base_comm import BaseComm, CommManager
from ipywidgets import Widget
from matplotlib.transforms import Bbox

from edu_optim.lab import Experiment
from edu_optim.plot import figure, legend_below

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS = [path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")) if '"experiment"' in path.read_text("utf-8")]
RED = "color:#D55E00"  # of an experiment that says what went wrong
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # as a kernel does, but for its own cells
]


@pytest.fixture
def browser(monkeypatch):
    browser = Browser()
    monkeypatch.chdir(NOTEBOOKS)
    monkeypatch.setattr(comm, "create_comm", lambda **given: Line(browser, **given))
    manager = CommManager()
    monkeypatch.setattr(comm, "get_comm_manager", lambda: manager)
    return browser


class Line(BaseComm):
    """Between a widget and the browser: what passes is JSON, and bytes beside it."""

    def __init__(self, browser, **given):
        self.browser = browser
        super().__init__(**given)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.browser.hear(self, json.loads(json.dumps(data)), [bytes(buffer) for buffer in buffers or ()])


class Browser:
    """Runs cells and keeps the widgets that it is told of, as JupyterLab does."""

    def __init__(self):
        self.names, self.lines, self.widgets, self.heard = {"__name__": "__main__"}, {}, {}, []

    def hear(self, line, data, buffers):
        self.lines[line.comm_id] = line
        self.widgets.setdefault(line.comm_id, {}).update((data or {}).get("state", {}))
        self.heard += [(line.comm_id, buffer) for buffer in buffers]

    def run(self, source):
        """The id of the widget that a cell shows last, in a list; an empty one if it shows none."""
        tree = ast.parse(source)
        last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), self.names)
        shown = eval(compile(last, "<cell>", "eval"), self.names) if last else None
        return [shown.model_id] if isinstance(shown, Widget) else []

    def move(self, model, **state):
        """Send what a control sends, and return the pictures that come back, by the id of their widget."""
        content = {"comm_id": model, "data": {"method": "update", "state": state, "buffer_paths": []}}
        self.widgets[model] |= state
        self.heard, said = [], io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            self.lines[model].handle_msg({"content": json.loads(json.dumps(content)), "buffers": []})
        assert not said.getvalue(), said.getvalue()
        return self.heard

    def inside(self, model):
        """The ids of a widget and of all widgets laid out in it."""
        children = [child.removeprefix("IPY_MODEL_") for child in self.widgets[model].get("children", ())]
        return [model, *itertools.chain.from_iterable(map(self.inside, children))]


def moves(state):
    """What a reader can make of a control: the one end and the other, where it is not yet first; or every word."""
    name = state["_model_name"]
    if name in ("IntSliderModel", "FloatSliderModel", "BoundedFloatTextModel", "PlayModel"):
        return [{"value": end} for end in sorted((state["min"], state["max"]), key=lambda end: end == state["value"])]
    if name == "CheckboxModel":
        return [{"value": not state["value"]}, {"value": state["value"]}]
    if name == "DropdownModel":
        return [{"index": index} for index in reversed(range(len(state["_options_labels"])))]
    return []


def cells_of_experiments(notebook):
    """The sources of the cells that show experiments, and of those before them that last bound a name they use."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [index for index, cell in enumerate(cells) if "experiment" in cell.metadata.get("tags", [])]
    names = [names_in(cell.source) for cell in cells[: tagged[-1] + 1]]
    needed, more = set(), set(tagged)
    while more:
        needed |= more
        wanted = [(name, index) for index in more for name in names[index][0] - names[index][1]]
        binders = [[at for at, (_, bound) in enumerate(names[:index]) if name in bound] for name, index in wanted]
        more = {found[-1] for found in binders if found} - needed
    return [cells[index].source for index in sorted(needed)]


def names_in(source):
    """The names that a cell uses, those in its functions too, and those that it leaves behind."""
    used, bound = set(), set()
    codes = [compile(source, "<cell>", "exec")]
    for code in codes:
        codes += filter(inspect.iscode, code.co_consts)
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
                used.add(instruction.argval)
            elif instruction.opname == "STORE_NAME" and code is codes[0]:
                bound.add(instruction.argval)
    return used, bound


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_control_brings_a_new_picture_and_no_error(path, browser):
    notebook = nbformat.read(path, as_version=4)
    tagged = [cell.source for cell in notebook.cells if "experiment" in cell.metadata.get("tags", [])]
    shown = {source: browser.run(source) for source in cells_of_experiments(notebook)}
    assert all(shown[source] for source in tagged)
    views = sum(shown.values(), [])
    controls = [drive(browser, browser.inside(view)) for view in views]
    assert min(controls) >= 1 and max(controls) >= 2
    for experiment in {id(value): value for value in browser.names.values() if isinstance(value, Experiment)}.values():
        fig = experiment.at().fig
        fig.draw_without_rendering()
        assert legends_over_axes(fig) == []


def legends_over_axes(fig):
    """The titles of those Axes that have a legend on them, where it may cover a line."""
    over = Bbox.intersection
    legends = [(ax, ax.get_legend()) for ax in fig.axes if ax.get_legend() and ax.get_legend().get_texts()]
    return [ax.get_title() for ax, legend in legends if over(legend.get_window_extent(), ax.get_window_extent())]


def test_a_legend_on_an_axes_is_noticed():
    fig, ax = figure()
    ax.plot([0, 1], label="rises")
    ax.set_title("here")
    ax.legend()
    fig.draw_without_rendering()
    assert legends_over_axes(fig) == ["here"]
    legend_below(ax)
    fig.draw_without_rendering()
    assert legends_over_axes(fig) == []


def drive(browser, models):
    """Move every control of an experiment to its ends and back, and return how many controls there are."""
    named = {model: browser.widgets[model]["_model_name"] for model in models}
    (image,) = [model for model in models if named[model] == "ImageModel"]
    (readout,) = [model for model in models if 'role="status"' in str(browser.widgets[model].get("value"))]
    controls = [model for model in models if moves(browser.widgets[model])]
    assert RED not in browser.widgets[readout]["value"], browser.widgets[readout]["value"]
    for control in controls:
        state = dict(browser.widgets[control])
        pictures = []
        for move in moves(state):
            answers = browser.move(control, **move)
            said = browser.widgets[readout]["value"]
            assert RED not in said, (state.get("description"), move, said)
            pictures += [picture for model, picture in answers if model == image]
        assert pictures, f"{state.get('description')}: no new picture"
        assert all(picture.startswith(b"\xff\xd8") for picture in pictures)
        assert len(set(pictures[-2:])) == 2, f"{state.get('description')}: both ends give one picture"
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
        ("ax.plot([0, x == 1])", "x.*: both ends give one picture"),
        ("ax.plot([0, lenght])", "NameError"),
        ("ax.plot([0, x]); print('drawn')", "drawn"),
    ],
    ids=["raises at an end", "forgets its control", "is the same at both ends", "raises always", "prints"],
)
def test_a_broken_callback_is_noticed(line, words, browser):
    (view,) = browser.run(BROKEN.format(line=line))
    with pytest.raises(AssertionError, match=words):
        drive(browser, browser.inside(view))
