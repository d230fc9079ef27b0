"""Where the bytes of a step go, between the memory and the core, and how long its temporaries live."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plot import BLACK, BLUE, ORANGE, figure
from .lesson_12_counts import lives

# The launches of a step by the lines of Adam's text: the tensors that each reads and writes, a letter for each.
LISTS = {
    "(1)": [("m", "a"), ("g", "b"), ("ab", "m")],
    "(2)": [("v", "c"), ("g", "d"), ("d", "e"), ("ce", "v")],
    "(3)": [("m", "f")],
    "(4)": [("v", "h")],
    "(5)": [("f", "i"), ("h", "j"), ("j", "k"), ("ik", "l"), ("pl", "p")],
    "write back": [("p", "p"), ("m", "m"), ("v", "v")],
}
LOOP = {"(1) to (5)": [("pgmv", "pmv")]}
TEMPORARIES = ["beta1 * m", "(1 - beta1) * g", "new m", "beta2 * v", "g**2", "(1 - beta2) * g**2", "new v"]
TEMPORARIES += ["m_hat", "v_hat", "lr * m_hat", "v_hat**0.5", "v_hat**0.5 + eps", "the quotient", "new p"]


def traffic() -> Figure:
    """Arrows of four bytes a weight: a step of Adam over lists, launch by launch, and in one loop.

    >>> [ax.get_title(loc="left") for ax in traffic().axes]
    ['lists: 38 arrows, 152 bytes', 'loop in C: 7 arrows, 28 bytes']
    """
    fig, axes = figure(rows=2, width=11, height=1.9, sharex=True)
    for ax, name, lines in zip(axes, ("lists", "loop in C"), (LISTS, LOOP), strict=True):
        arrows = _launches(ax, lines)
        ax.set_title(f"{name}: {arrows} arrows, {4 * arrows} bytes", loc="left")
    return fig


def _launches(ax: Axes, lines: dict[str, list[tuple[str, str]]]) -> int:
    at, arrows = 0.0, 0
    for line, launches in lines.items():
        start = at
        for read, written in launches:
            for k, tensor in enumerate(read + written):
                down = k >= len(read)
                tip, tail = (0, 1) if down else (1, 0)
                look = {"arrowstyle": "-|>", "color": ORANGE if down else BLUE, "linewidth": 2.5 if down else 1.5}
                ax.annotate("", (at, tip), (at, tail), arrowprops=look)
                ax.text(at, -0.06, tensor, ha="center", va="top", fontsize=11)
                at, arrows = at + 1, arrows + 1
            at += 0.5
        ax.text((start + at - 1.5) / 2, 1.06, line, ha="center", va="bottom", fontsize=11)
        at += 0.8
    ax.set(xlim=(-1.5, 51), ylim=(-0.35, 1.35), xticks=[])
    ax.set_yticks([0, 1], ["memory", "core"])
    return arrows


def temporaries() -> Figure:
    """The temporaries of a step of Adam, each from the launch that makes it to the last one before it goes.

    >>> temporaries().axes[0].get_xlabel()
    'launch'
    """
    fig, ax = figure(width=7.4, height=3.9)
    spans = [(born, died) for _, born, died in lives()]
    for row, (born, died) in enumerate(spans):
        ax.barh(row, died - born + 1, left=born - 0.5, height=0.8, color=BLUE if died < 15 else ORANGE)
    alive = sum(born <= 13 <= died for born, died in spans)
    ax.axvline(13, color=BLACK, linestyle=":", linewidth=1.5)
    ax.set_title(f"launch 13: {alive} live at once", loc="right", fontsize=11)
    ax.set(xlabel="launch", xlim=(0, 18), xticks=range(1, 18, 2), ylim=(13.7, -0.7))
    ax.set_yticks(range(len(spans)), TEMPORARIES, fontsize=10)
    return fig
