"""For lesson 15: by how much Muon leads AdamW, in minibatches of three sizes."""

import numpy
from matplotlib.figure import Figure

from ..plot import BLUE, RED, figure, label_ends
from .lesson_15 import LONG, MATRIX, MINIBATCHES, treatments


def leads() -> dict[str, dict[int, numpy.ndarray]]:
    """By how many points AdamW has more digits wrong than Muon, both averaged: ``[40]`` for each size of a minibatch.

    First AdamW takes as many steps, then as many operations.

    >>> {batch: round(float(lead.mean()), 1) for batch, lead in leads()["as many steps"].items()}
    {8: 1.9, 32: 0.5, 128: 0.2}
    """
    found: dict[str, dict[int, numpy.ndarray]] = {"as many steps": {}, "as many operations": {}}
    for batch in MINIBATCHES:
        race = treatments("digits, MLP" if batch == MATRIX.batch else f"digits, minibatches of {batch}")
        for lead, rule in zip(found.values(), ("AdamW", LONG), strict=True):
            theirs, ours = (numpy.array(race[f"{name}, average"]["held_out"]) for name in (rule, "Muon"))
            lead[batch] = theirs - ours
    return found


def by_minibatch() -> Figure:
    """What `leads` finds, its mean and standard error, against the size of a minibatch.

    >>> [text.get_text() for text in by_minibatch().axes[0].texts]
    ['as many operations', 'as many steps']
    """
    fig, ax = figure(width=7, height=3.2)
    ax.axhline(0, color="0.6", linewidth=0.8)
    for (name, found), color, look in zip(leads().items(), (RED, BLUE), ("o-", "s--"), strict=True):
        mean = [float(lead.mean()) for lead in found.values()]
        error = [float(lead.std(ddof=1)) / len(lead) ** 0.5 for lead in found.values()]
        ax.plot(range(len(mean)), mean, look, color=color, label=name)
        ax.errorbar(range(len(mean)), mean, error, color=color, linestyle="none", capsize=4, label="_")
    ax.set_xticks(range(len(MINIBATCHES)), list(map(str, MINIBATCHES)))
    ax.set(xlabel="images in a minibatch", ylabel="Muon's lead, points", ylim=(-3.6, 2.4))
    label_ends(ax, gap=16)
    return fig
