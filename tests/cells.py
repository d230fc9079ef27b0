"""Run the cells of a lesson, so that its formulas are tested as they are printed."""

import dis
import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import nbformat


class Lesson:
    def __init__(self, number):
        (self.path,) = (Path(__file__).parent.parent / "notebooks").glob(f"{number}_*.ipynb")

    @functools.cached_property
    def sources(self):
        """The source of each cell, by its id."""
        return {cell.id: cell.source for cell in nbformat.read(self.path, as_version=4).cells}

    def run(self, *ids, **names):
        """The names that these cells leave behind, run in this order and begun with ``names``."""
        for id in ids:
            exec(self.sources[id], names)
        return names

    def rebound(self):
        """The cells that read a name which a later cell binds anew, so that run once more they do something else."""
        cells = [cell for cell in nbformat.read(self.path, as_version=4).cells if cell.cell_type == "code"]
        found, bound = {}, set()
        for cell in reversed(cells):
            reads, binds = names_of(compile(cell.source, cell.id, "exec"))
            found |= {cell.id: reads & bound} if reads & bound else {}
            bound |= binds
        return found

    def later(self, *ids):
        """What `run` returns, for the top of a test module: the cells run when a test first asks for a name."""
        return Later(lambda: self.run(*ids))


def names_of(code):
    """The names that a cell reads and does not bind, and those that it binds."""
    found = list(dis.get_instructions(code))
    binds = {one.argval for one in found if one.opname == "STORE_NAME"}
    reads = {one.argval for one in found if one.opname in ("LOAD_NAME", "LOAD_GLOBAL")}
    for inner in filter(inspect.iscode, code.co_consts):
        reads |= names_of(inner)[0]
    return reads - binds, binds


class Later(Mapping):
    """The dict that a function returns, called when the first of its keys is asked for."""

    def __init__(self, run):
        self._run = run
        self._made = {}

    @functools.cached_property
    def _names(self):
        return self._run()

    def __getitem__(self, name):
        return self._names[name]

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)

    def function(self, name):
        """Calls the function of this name."""

        def call(*args, **kwargs):
            return self[name](*args, **kwargs)

        call.__name__ = name
        return call

    def experiment(self, optimizer=None, **values):
        """What the experiment of `play` measures and draws: for an optimizer or the name of a rule that a cell holds,
        with these values of its controls and the first ones of the others.

        It is made once for each optimizer, moved from test to test, and drawn once each time.
        """
        if optimizer not in self._made:
            experiment = self["play"](self.get(optimizer, optimizer))
            self._made[optimizer] = experiment, {name: control.value for name, control in experiment.controls.items()}
        experiment, first = self._made[optimizer]
        experiment.follow = lambda: None
        for name, value in {**first, **values}.items():
            experiment.controls[name].value = value
        del experiment.follow
        experiment.follow()
        assert experiment.error is None
        return SimpleNamespace(numbers=experiment.numbers, picture=experiment.picture)
