"""Run the cells of a lesson, so that its formulas are tested as they are printed."""

from pathlib import Path

import nbformat


class Lesson:
    def __init__(self, number):
        (path,) = (Path(__file__).parent.parent / "notebooks").glob(f"{number}_*.ipynb")
        self.sources = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}

    def run(self, *ids, **names):
        """The names that these cells leave behind, run in this order and begun with ``names``."""
        for id in ids:
            exec(self.sources[id], names)
        return names


def moved(experiment, **values):
    """The experiment, its controls moved to these values one after the other."""
    for name, value in values.items():
        experiment.controls[name].value = value
    assert experiment.error is None
    return experiment
