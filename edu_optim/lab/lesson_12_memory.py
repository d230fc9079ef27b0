"""Where the bytes of a step go, between the memory and the core, and how long its temporaries live."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plot import BLACK, BLUE, ORANGE, figure
from .lesson_12_counts import lives

LINE = [("a = beta1 * m", ["m"], ["a"]), ("b = (1 - beta1) * g", ["g"], ["b"]), ("m = a + b", ["a", "b"], ["m"])]
LOOP = [("the whole step", ["p", "g", "m", "v"], ["p", "m", "v"])]
TEMPORARIES = ["beta1 * m", "(1 - beta1) * g", "new m", "beta2 * v", "g**2", "(1 - beta2) * g**2", "new v"]
TEMPORARIES += ["m_hat", "v_hat", "lr * m_hat", "v_hat**0.5", "v_hat**0.5 + eps", "the quotient", "new p"]


def traffic() -> Figure:
    """Arrows of four bytes a weight: line (1) of Adam over lists, launch by launch, and a whole step in one loop.

    >>> [ax.get_title() for ax in traffic().axes]
    ['lists, line (1): 28 bytes', 'loop in C, all five lines: 28 bytes']
    """
    fig, (left, right) = figure(2, width=11, height=3)
    _launches(left, "lists, line (1)", LINE)
    _launches(right, "loop in C, all five lines", LOOP)
    return fig


def _launches(ax: Axes, title: str, launches: list[tuple[str, list[str], list[str]]]) -> None:
    at, arrows = 0.0, 0
    for name, read, written in launches:
        width = len(read) + len(written)
        ax.text(at + (width - 1) / 2, 1.06, name, ha="center", va="bottom", fontsize=11)
        for k, tensor in enumerate([*read, *written]):
            down = k >= len(read)
            tip, tail = (0, 1) if down else (1, 0)
            look = {"arrowstyle": "-|>", "color": ORANGE if down else BLUE, "linewidth": 3 if down else 2}
            ax.annotate("", (at + k, tip), (at + k, tail), arrowprops=look)
            ax.text(at + k, -0.06, tensor, ha="center", va="top", fontsize=11)
        at, arrows = at + width + 1.2, arrows + width
    ax.set(title=f"{title}: {4 * arrows} bytes", xlim=(-1.2, at - 0.8), ylim=(-0.25, 1.25), xticks=[])
    ax.set_yticks([0, 1], ["memory", "core"])


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
