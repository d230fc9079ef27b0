"""For lesson 15: by how much Muon leads AdamW, in minibatches of three sizes and at three depths."""

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plot import BLUE, RED, figure, label_ends
from .lesson_15 import DEPTHS, LONG, MATRIX, MINIBATCHES, treatments

BY_BATCH = {batch: f"digits, minibatches of {batch}" for batch in MINIBATCHES} | {MATRIX.batch: "digits, MLP"}
BY_DEPTH = {depth: f"digits, {depth} hidden layers" for depth in DEPTHS} | {2: "digits, MLP"}


def leads(races: dict[int, str] = BY_BATCH) -> dict[str, dict[int, numpy.ndarray]]:
    """By how many points AdamW has more digits wrong than Muon, both averaged: ``[40]`` for each race.

    First AdamW takes as many steps, then as many operations.

    Args:
        races: what is varied -> the name of a race, as `treatments` has it.

    >>> {batch: round(float(lead.mean()), 1) for batch, lead in leads()["as many steps"].items()}
    {8: 1.9, 32: 0.5, 128: 0.2}
    >>> {depth: round(float(lead.mean()), 1) for depth, lead in leads(BY_DEPTH)["as many steps"].items()}
    {2: 0.5, 3: 1.5, 4: 3.5}
    """
    found: dict[str, dict[int, numpy.ndarray]] = {"as many steps": {}, "as many operations": {}}
    for varied, name in races.items():
        race = treatments(name)
        for lead, rule in zip(found.values(), ("AdamW", LONG), strict=True):
            theirs, ours = (numpy.array(race[f"{one}, average"]["held_out"]) for one in (rule, "Muon"))
            lead[varied] = theirs - ours
    return found


def by_minibatch_and_depth() -> Figure:
    """What `leads` finds, its mean and standard error, against the size of a minibatch and the depth.

    >>> [text.get_text() for text in by_minibatch_and_depth().axes[1].texts]
    ['as many operations', 'as many steps']
    """
    fig, (left, right) = figure(2, width=9.5, height=3.2, sharey=True)
    _leads(left, leads())
    _leads(right, leads(BY_DEPTH))
    left.set(xlabel="images in a minibatch", ylabel="lead of Muon, points, averaged", ylim=(-3.6, 4.4))
    right.set(xlabel="hidden layers, minibatches of 32")
    label_ends(right, gap=16)
    return fig


def _leads(ax: Axes, found: dict[str, dict[int, numpy.ndarray]]) -> None:
    ax.axhline(0, color="0.6", linewidth=0.8)
    for (name, several), color, look in zip(found.items(), (RED, BLUE), ("o-", "s--"), strict=True):
        mean = [float(lead.mean()) for lead in several.values()]
        error = [float(lead.std(ddof=1)) / len(lead) ** 0.5 for lead in several.values()]
        ax.plot(range(len(mean)), mean, look, color=color, label=name)
        ax.errorbar(range(len(mean)), mean, error, color=color, linestyle="none", capsize=4, label="_")
        ax.set_xticks(range(len(mean)), list(map(str, several)))
