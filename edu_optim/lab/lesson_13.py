"""For lesson 13: one map of basins at several resolutions, and what many descents at once take."""

from matplotlib.figure import Figure

from ..optimizers import SGD
from ..plot import basins, figure
from ..problems import himmelblau
from ..trace import sweep

# Starts at once -> milliseconds of CPU time for 150 steps on Himmelblau's function, least of five; 26 November 2026,
# one core of an Intel Xeon in a virtual machine, torch 2.13.
AT_ONCE = {1: 36.0, 256: 40.1, 4096: 59.6, 65_536: 468.8, 262_144: 2194.0}


def resolutions(*sides: int) -> Figure:
    """Which of Himmelblau's minima momentum leads to, from ``side`` x ``side`` starts, for each of ``sides``.

    >>> [ax.get_title() for ax in resolutions(4, 8).axes]
    ['4 x 4', '8 x 8']
    """
    fig, axes = figure(len(sides), width=3.4 * len(sides), height=3.4, sharey=True)
    for ax, side in zip(axes, sides, strict=True):
        basins(ax, himmelblau, sweep(himmelblau, SGD, 150, himmelblau.grid(side, side), lr=0.01, momentum=0.8))
        ax.get_legend().remove()
        ax.set_title(f"{side} x {side}")
        ax.label_outer()
    return fig
