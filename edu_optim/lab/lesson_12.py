"""The pictures and the experiment of lesson 12: what a step costs, by the clock and as a bill of five prices."""

import inspect
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from .. import rules
from ..base import from_rule
from ..foreach import TensorList
from ..optimizers import Adadelta, Adagrad, Adam
from ..plot import BLACK, BLUE, GRAY, GREEN, ORANGE, RED, SKY, figure, label_ends
from ..problems import digits, small_net
from ..trace import MakeOptimizer
from .controls import choice, rate, switch
from .experiment import Experiment
from .lesson_12_counts import HYPER as HYPER  # for the lesson and its tests
from .lesson_12_counts import Counter
from .lesson_12_counts import counted as counted

Shares = dict[str, list[list[float]]]  # a way to step -> percent, a row for each network, a column for each batch
# Measured once: 26 November 2026, one core of an Intel Xeon in a virtual machine, 48 KiB, 2 MiB and 480 MiB of cache,
# Linux 6.18 with pages of 4 KiB, torch 2.13, float32, one tensor; seconds of CPU time, the least of 15 steps.
# "memory kept": MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=1000000000 in the environment.
MEASURED_AT = [120, 379, 1200, 3795, 12_000, 37_947, 120_000, 379_473, 1_200_000, 3_794_733, 12_000_000]
MEASURED = {
    "lists": [97e-6, 108e-6, 104e-6, 108e-6, 130e-6, 237e-6, 1.13e-3, 2.24e-3, 9.07e-3, 46.9e-3, 278.4e-3],
    "lists, memory kept": [90e-6, 90e-6, 92e-6, 96e-6, 114e-6, 228e-6, 572e-6, 2.24e-3, 7.03e-3, 32.5e-3, 126.1e-3],
    "torch, foreach": [45e-6, 46e-6, 48e-6, 53e-6, 60e-6, 90e-6, 232e-6, 715e-6, 2.19e-3, 8.25e-3, 55.7e-3],
    "torch, fused": [22e-6, 22e-6, 23e-6, 25e-6, 30e-6, 46e-6, 109e-6, 282e-6, 727e-6, 2.65e-3, 13.4e-3],
    "loop in C": [42e-6, 46e-6, 47e-6, 48e-6, 51e-6, 64e-6, 139e-6, 314e-6, 764e-6, 2.55e-3, 13.5e-3],
}
# What each thing costs alone, as `prices_here` measures it, on 50 million numbers.
PRODUCT = {"x.mul_(1.0)": 14.1e-3, "torch.mul(x, 1.0, out=y)": 28.7e-3}
PRICES = {
    "Python": 42e-6 - 2.64e-6,
    "launch": 2.64e-6,
    "byte": 14.1e-3 / 400e6,
    "result": (28.7e-3 - 14.1e-3) / 50e6,
    "page fault": 1.11e-6,
}
FAULTS = 164_067  # page faults of a step over lists, at twelve million weights
BY_TORCH_COMPILE = {"first step": 6.5, "later": 18.6e-3}  # of torch.optim.Adam, at twelve million weights
ARITHMETIC = 210e9  # operations a second of a product of two matrices of 1000 x 1000
# Measured on another machine: 27 November 2026, one core of an AMD EPYC in a virtual machine, 1 and 32 MiB of cache,
# Linux 6.18, torch 2.13; CPU time, the least of 50 steps and more. First a step of Adam over tensors of ten weights,
# and the two prices that its bills need, as above.
TENSORS = [1, 3, 10, 30, 100, 300, 1000]
MANY = {
    "one by one": [90e-6, 179e-6, 500e-6, 1.44e-3, 5.29e-3, 16.1e-3, 52.6e-3],
    "lists": [122e-6, 177e-6, 361e-6, 893e-6, 3.34e-3, 10.3e-3, 35.2e-3],
    "loop in C": [52e-6, 56e-6, 78e-6, 139e-6, 359e-6, 973e-6, 3.77e-3],
}
MANY_PRICES = {"Python": 52e-6 - 3.66e-6, "launch": 3.66e-6}
# The same for twelve million weights in so many tensors of one size, 28 November 2026; medians of seven steps, each way
# and number in a program of its own, and again in two other programs; and the page faults of a step in twelve tensors,
# in these three and in a fourth one.
PARTS = [1, 3, 12, 40, 120, 400, 1200]
SHARED = {
    "one by one": [322.8e-3, 114.1e-3, 56.7e-3, 91.5e-3, 59.8e-3, 44.9e-3, 74.4e-3],
    "lists": [328.6e-3, 222e-3, 225.6e-3, 181.6e-3, 212e-3, 100.6e-3, 155.2e-3],
    "loop in C": [6.4e-3, 6.5e-3, 6.4e-3, 6.6e-3, 7e-3, 8.3e-3, 14.2e-3],
}
SHARED_AGAIN = [
    ("one by one", [305.3e-3, 183e-3, 58.2e-3, 54.6e-3, 55.1e-3, 45.6e-3, 78.7e-3]),
    ("one by one", [359e-3, 78.2e-3, 68.4e-3, 105.8e-3, 60.2e-3, 47.5e-3, 77.5e-3]),
    ("lists", [307.4e-3, 224.2e-3, 209.6e-3, 195.8e-3, 199.3e-3, 123.9e-3, 133.5e-3]),
    ("lists", [365.9e-3, 211.2e-3, 209.9e-3, 210.1e-3, 212.8e-3, 94.5e-3, 156.2e-3]),
]
SHARED_FAULTS = {"one by one": [6_772, 4_819, 5_828, 30_993], "lists": [93_689, 85_907, 85_907, 22_429]}
# Then what the loop takes off a step of training on the digits, gradients and all, of small_net(64, n, n, 10).float()
# for n in NEURONS with so many images, in place of Adam's other ways, in percent. Each way is a program of its own, so
# that none gets another's memory; they step in turn, a quarter of a second and more together, and CPU times are
# divided in each round. The median of the rounds; then of seven runs, while others used the machine.
NEURONS, IMAGES = [16, 64, 256, 1024], [1, 32, 256, 1797]
TAKEN_OFF: Shares = {
    "lists": [[30, 27, 25, 17], [35, 33, 24, 11], [42, 36, 22, 9], [86, 67, 44, 7]],
    "torch's default": [[17, 16, 13, 8], [18, 17, 8, 3], [22, 17, 7, 2], [47, 23, 10, 3]],
    "fused=True": [[-9, -11, -6, -4], [-6, -7, -5, -1], [-7, -5, 1, 10], [-3, -4, -1, 2]],
}
NOISY = NEURONS.index(256), IMAGES.index(1797)
AGAIN = {"lists": -9, "torch's default": 0, "fused=True": -8}  # the same at NOISY, by one run of `taken_off`
WAYS: dict[str, tuple[MakeOptimizer, dict[str, Any]]] = {  # to train with Adam, which the loop may take the place of
    "lists": (Adam, {"run": "multi_tensor"}),
    "torch's default": (torch.optim.Adam, {}),
    "fused=True": (torch.optim.Adam, {"fused": True}),
}
LOOP: tuple[MakeOptimizer, dict[str, Any]] = Adam, {"run": "compiled"}
FINE = time.get_clock_info("process_time").resolution < 1e-5  # not so on Windows
CLOCK = time.process_time if FINE else time.perf_counter
PAGE, FRESH = 4096, 2**25  # bytes: of a page; of a tensor for which glibc always asks the system
OPERATIONS = [2, 6, 10, 18, 34, 66, 130]
HERE = 10_000_000  # weights of the bill here and now: a step over lists then needs less than half a gigabyte
RUNS = {"lists": "multi_tensor", "loop in C": "compiled"}
COLORS = {"Python": (GRAY, ""), "launches": (ORANGE, "//"), "bytes": (BLUE, ""), "results": (SKY, "..")}
COLORS |= {"page faults": (RED, "\\\\")}
RULES: dict[str, tuple[Callable[..., Any], MakeOptimizer, dict[str, Any]]] = {
    "Adam": (rules.adam, Adam, {}),
    "Adagrad": (rules.adagrad, Adagrad, {}),
    "AMSGrad": (rules.amsgrad, Adam, {"amsgrad": True}),
    "Adadelta": (rules.adadelta, Adadelta, {}),
}


def clock() -> Figure:
    """The time of a step of Adam against the number of weights, as it was measured once.

    >>> len(clock().axes[0].get_lines())
    3
    """
    fig, ax = figure(width=7.4, height=4.2)
    shown = {"lists": (RED, "-", "o"), "torch, fused": (BLACK, "--", "s"), "loop in C": (GREEN, "-", "D")}
    for name, (color, dash, marker) in shown.items():
        times = [1e3 * seconds for seconds in MEASURED[name]]
        ax.plot(MEASURED_AT, times, color=color, linestyle=dash, marker=marker, markersize=5, label=name)
    for place, beside in ((0, 0.75), (-1, 1.35)):
        low, high = (1e3 * MEASURED[name][place] for name in ("loop in C", "lists"))
        at = beside * MEASURED_AT[place]
        ax.annotate("", (at, low), (at, high), arrowprops={"arrowstyle": "<->", "color": GRAY})
        height = 1.6 * high if place == 0 else (low * high) ** 0.5
        ax.annotate(f"{high / low:.1f} times", (at, height), (6, 0), textcoords="offset points", va="center")
    ax.set(xscale="log", yscale="log", xlabel="weights, log scale", ylabel="milliseconds a step, log scale")
    ax.set_title("one core of an Intel Xeon, 26 November 2026")
    label_ends(ax)
    return fig


def text(rule: Callable[..., Any]) -> str:
    """The text of a rule, without its docstring.

    >>> text(rules.gradient_descent).splitlines()[0]
    'def gradient_descent(p, g, *, lr):'
    """
    head, _, body = inspect.getsource(rule).split('"""')
    return head.rstrip() + body.rstrip()


def counted_in_torch(**options: Any) -> Counter:
    """The same for the second step of torch's own Adam over one tensor.

    >>> counted_in_torch(foreach=True).launches
    7
    """
    step = _stepper(torch.optim.Adam, options, 1000)
    step()
    with Counter() as counter:
        step()
    return counter


def prices_here(numbers: int = 25_000_000) -> dict[str, float]:
    """What each thing costs alone, here and now, in seconds: the least of eight rounds.

    Python: a step of the loop in C on 120 weights, less a launch. A launch: ``0.9 * x`` on a list of one number.
    A byte: ``x.mul_(1.0)``, which reads and writes four for each number. A result: what ``torch.mul(x, 1.0, out=y)``
    takes beyond that, for each number. A page fault: what ``torch.empty(n).fill_(1.0)`` takes beyond ``x.fill_(1.0)``,
    for each 4,096 bytes, whether or not the system has larger pages. The numbers are more than most caches hold, since
    a byte from a cache is cheaper; for a page fault it is two fifths of them.

    >>> list(prices_here(1000)) == list(PRICES)
    True
    """
    x, y = torch.ones(numbers), torch.ones(numbers)
    one: Any = TensorList([torch.ones(1)])
    step = _stepper(Adam, {"run": "compiled"}, 120)
    steps, launches = _least(lambda: [step() for _ in range(20)], lambda: [0.9 * one for _ in range(100)])
    in_place, elsewhere = _least(lambda: x.mul_(1.0), lambda: torch.mul(x, 1.0, out=y))
    few = x[: 2 * numbers // 5]
    old, fresh = _least(lambda: few.fill_(1.0), lambda: torch.empty(len(few)).fill_(1.0))
    return {
        "Python": max(steps / 20 - launches / 100, 0),
        "launch": launches / 100,
        "byte": in_place / (8 * numbers),
        "result": max(elsewhere - in_place, 0) / numbers,
        "page fault": max(fresh - old, 0) / (4 * len(few) / PAGE),
    }


def _least(*works: Callable[[], Any]) -> list[float]:
    rounds = [[_time(work) for work in works] for _ in range(9)][1:]  # the first makes buffers and the kernel
    return [min(times) for times in zip(*rounds, strict=True)]


def clocks_here(weights: int = HERE) -> dict[str, float]:
    """What a step of Adam takes over lists, by torch's default and as a loop in C, here and now, in seconds.

    >>> list(clocks_here(10))
    ['lists', "torch's default", 'loop in C']
    """
    ways = {"lists": WAYS["lists"], "torch's default": WAYS["torch's default"], "loop in C": LOOP}
    return {way: seconds(make, options, weights) for way, (make, options) in ways.items()}


def bills_here(prices: dict[str, float], weights: float = HERE) -> dict[str, dict[str, float]]:
    """The bills of what `clocks_here` clocks.

    >>> {way: round(1000 * sum(items.values())) for way, items in bills_here(PRICES).items()}
    {'lists': 255, "torch's default": 53, 'loop in C': 10}
    """
    seen = counted_in_torch()
    faults = seen.made * 4 * weights / PAGE if 4 * weights >= FRESH else 0
    by_torch = bill(seen.launches, seen.bytes / 1000 * weights, seen.results / 1000 * weights, faults, prices)
    ours = bills(17, 152, 7, weights, prices=prices)
    return {"lists": ours["lists"], "torch's default": by_torch, "loop in C": ours["loop in C"]}


def bill(
    launches: float, moved: float, results: float, faults: float, prices: dict[str, float] = PRICES
) -> dict[str, float]:
    """What a step should take, in seconds, item by item: counts times prices.

    Args:
        launches: how many.
        moved: bytes that are read or written.
        results: numbers that are written elsewhere than they were read.
        faults: page faults.
        prices: `PRICES`, or those of `prices_here`.

    >>> {item: f"{seconds:.2g}" for item, seconds in bill(17, 0, 0, 1000).items()}
    {'Python': '3.9e-05', 'launches': '4.5e-05', 'bytes': '0', 'results': '0', 'page faults': '0.0011'}
    """
    counts = dict(zip(COLORS, (1, launches, moved, results, faults), strict=True))
    return {item: count * price for (item, count), price in zip(counts.items(), prices.values(), strict=True)}


def bills(
    launches: float,
    moved: float,
    arrays: int,
    weights: float,
    kept: bool = False,
    prices: dict[str, float] = PRICES,
) -> dict[str, dict[str, float]]:
    """The bills of a rule over lists and as a loop in C.

    Args:
        launches, moved: of a step over lists, and bytes a weight, each tensor once that goes in or comes out.
        arrays: how many tensors as long as the parameter the loop reads or writes.
        weights: how many, in float32.
        kept: whether the memory of temporaries is kept from step to step.
        prices: as in `bill`.

    >>> round(sum(bills(17, 152, 7, 12e6)["lists"].values()), 3)
    0.306
    """
    temporaries = launches - (arrays - 1) / 2  # each launch makes one, but for those that write a result back
    fresh = 4 * weights >= FRESH and not kept
    faults = temporaries * 4 * weights / PAGE if fresh else 0
    over_lists = bill(launches, moved * weights, launches * weights, faults, prices)
    return {"lists": over_lists, "loop in C": bill(1, 4 * arrays * weights, 0, 0, prices)}


def _items(ax: Axes, clock: str = "the clock", items: Sequence[str] = tuple(COLORS)) -> None:
    colors = [COLORS[item] for item in items]
    looks: list[Any] = [Patch(facecolor=color, hatch=hatch, edgecolor="white") for color, hatch in colors]
    looks += [Line2D([], [], color=BLACK, marker="D", linestyle="")] * bool(clock)
    ax.legend(looks, [*items, clock][: len(looks)], loc="center left", bbox_to_anchor=(1.01, 0.5))
    ax.set_xlabel("milliseconds a step")


def _items_and_tick(ax: Axes, mine: bool) -> None:
    _items(ax, "this machine's clock" if mine else "")


def _stack(ax: Axes, costs: dict[str, dict[str, float]]) -> None:
    """Draw each bill as a bar of its items, in milliseconds."""
    for row, items in enumerate(costs.values()):
        left = 0.0
        for item, seconds in items.items():
            color, hatch = COLORS[item]
            ax.barh(row, 1e3 * seconds, left=left, color=color, hatch=hatch, edgecolor="white")
            left += 1e3 * seconds
    ax.set(yticks=range(len(costs)), yticklabels=list(costs), ylim=(len(costs) - 0.4, -0.6))


def bill_and_clock() -> Figure:
    """The bills of Adam at twelve million weights, with and without page faults, and what the clock said.

    >>> bill_and_clock().axes[0].get_xlabel()
    'milliseconds a step'
    """
    fig, ax = figure(width=7.4, height=2.6)
    fresh, kept = (bills(17, 152, 7, 12e6, kept) for kept in (False, True))
    costs = {"lists": fresh["lists"], "lists, memory kept": kept["lists"], "loop in C": fresh["loop in C"]}
    _items(ax, items=["bytes", "results", "page faults"])
    _stack(ax, costs)
    ax.plot([1e3 * MEASURED[name][-1] for name in costs], range(3), "D", color=BLACK, label="the clock")
    return fig


def bill_here(prices: dict[str, float], clocks: dict[str, float], weights: float = HERE) -> Figure:
    """A machine's prices beside those of `PRICES`; and its bills of Adam, and what its clock said.

    >>> bill_here(PRICES, {"lists": 0.2, "torch's default": 0.05, "loop in C": 0.01}).axes[1].get_title()
    'Adam, 10,000,000 weights'
    """
    fig, (left, right) = figure(2, width=11, height=3)
    ratios = [price / PRICES[item] for item, price in prices.items()]
    left.barh(range(len(ratios)), ratios, color=[COLORS[item][0] for item in COLORS], height=0.6)
    left.axvline(1, color=BLACK, linestyle=":")
    left.set(xlabel="times the Xeon's price", ylim=(len(prices) - 0.5, -0.5), title="this machine's prices")
    left.set_yticks(range(len(prices)), [f"{item}: {_shown(1e9 * each)} ns" for item, each in prices.items()])
    costs = bills_here(prices, weights)
    _items(right)
    _stack(right, costs)
    right.plot([1e3 * clocks[way] for way in costs], range(len(costs)), "D", color=BLACK, label="the clock")
    for row, (way, items) in enumerate(costs.items()):
        billed = sum(items.values())
        at, times = (1e3 * max(clocks[way], billed), row), f"{clocks[way] / billed:.1f} times the bill"
        right.annotate(times, at, (10, 0), textcoords="offset points", va="center")
    right.set_xlim(0, 1.9e3 * max(*clocks.values(), *(sum(items.values()) for items in costs.values())))
    right.set_title(f"Adam, {int(weights):,} weights")
    return fig


def _shown(price: float) -> str:
    return f"{price:,.0f}" if price > 10 else f"{price:.2g}"


def bills_and_clocks() -> Figure:
    """The bills of Adam against the number of weights, as lines, and what the clock said, as marks.

    Left without, right with memory kept.

    >>> [len(ax.get_lines()) for ax in bills_and_clocks().axes]
    [4, 2]
    """
    fig, (left, right) = figure(2, width=11, height=4, sharey=True)
    ways = {"lists": (left, RED, "o"), "loop in C": (left, GREEN, "D"), "lists, memory kept": (right, ORANGE, "s")}
    at = numpy.geomspace(MEASURED_AT[0], MEASURED_AT[-1], 301)  # fine, so that the jump to fresh memory is upright
    for name, (ax, color, marker) in ways.items():
        way, _, kept = name.partition(",")
        costs = [bills(17, 152, 7, weights, bool(kept))[way] for weights in at]
        ax.plot(at, [1e3 * sum(items.values()) for items in costs], color=color, label=way)
        clocked = [1e3 * seconds for seconds in MEASURED[name]]
        ax.plot(MEASURED_AT, clocked, marker, color=color, markersize=5, label=f"_{way}, the clock")
        ax.set(xscale="log", yscale="log", xlabel="weights, log scale", title=kept.strip() or "as it comes")
    left.set_ylabel("milliseconds a step, log scale")
    looks = [Line2D([], [], color=GRAY), Line2D([], [], color=GRAY, marker="o", linestyle="")]
    left.legend(looks, ["the bill", "the clock"], loc="upper left")
    for ax in (left, right):
        label_ends(ax)
    return fig


def arithmetic_here(weights: int = 4_000_000) -> dict[int, float]:
    """Seconds a weight of gradient descent's loop in C, by how many operations it does for each, here and now.

    The bytes are the same: ``g`` becomes ``lr * g + g``, again and again, before the step.

    >>> list(arithmetic_here(10)) == OPERATIONS
    True
    """
    steps = [_stepper(from_rule(with_more(operations)), {"run": "compiled"}, weights) for operations in OPERATIONS]
    return {operations: least / weights for operations, least in zip(OPERATIONS, _least(*steps), strict=True)}


def with_more(operations: int) -> Callable[..., Any]:
    """Gradient descent that does so many operations for each weight, an even number.

    >>> with_more(4)(5.0, 2.0, lr=0.5)
    (3.5,)
    """

    def rule(p, g, *, lr):
        for _ in range((operations - 2) // 2):
            g = lr * g + g
        return (p - lr * g,)

    return rule


def arithmetic(times: dict[int, float]) -> Figure:
    """What `arithmetic_here` found, as a line.

    >>> arithmetic({2: 1e-9, 66: 3e-9}).axes[0].get_xlabel()
    'operations for a weight, log scale'
    """
    fig, ax = figure(width=6.4, height=3.2)
    ax.plot(list(times), [1e9 * each for each in times.values()], "D-", color=GREEN, markersize=5)
    flat = 1e9 * times[min(times)]
    ax.axhline(flat, color=GRAY, linestyle="--", linewidth=1.5)
    ax.annotate("as long as with two", (max(times), flat), (0, -6), textcoords="offset points", ha="right", va="top")
    ax.set(xscale="log", xlabel="operations for a weight, log scale", xticks=OPERATIONS, xticklabels=OPERATIONS)
    ax.set(yscale="log", ylabel="nanoseconds a weight,\nlog scale", ylim=(flat / 2, None))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    return fig


def many() -> Figure:
    """The time of a step of Adam against the number of tensors: of ten weights, with bills, and of ever fewer weights.

    Faint are other programs.

    >>> [len(ax.get_lines()) for ax in many().axes]
    [5, 7]
    """
    fig, (left, right) = figure(2, width=11.5, height=4.2)
    ways = {"one by one": (ORANGE, "s"), "lists": (RED, "o"), "loop in C": (GREEN, "D")}
    for ax, counts, taken in ((left, TENSORS, MANY), (right, PARTS, SHARED)):
        for name, (color, marker) in ways.items():
            times = [1e3 * seconds for seconds in taken[name]]
            ax.plot(counts, times, marker + "-", color=color, markersize=5, label=name)
        ax.set(xscale="log", yscale="log", xlabel="tensors, log scale", ylabel="milliseconds a step, log scale")
    for name, launches in {"one by one": [17 * n for n in TENSORS], "lists": [17] * len(TENSORS)}.items():
        billed = [1e3 * (MANY_PRICES["Python"] + count * MANY_PRICES["launch"]) for count in launches]
        left.plot(TENSORS, billed, "--", color=ways[name][0], linewidth=1.5, label=f"{name}, the bill")
    for name, again in SHARED_AGAIN:
        faint: dict[str, Any] = {"color": ways[name][0], "markersize": 7, "alpha": 0.35, "label": f"_{name}, again"}
        right.plot(PARTS, [1e3 * seconds for seconds in again], ways[name][1], **faint)
    left.set(title="tensors of ten weights each")
    right.set(title="twelve million weights in all", ylim=(4, None))
    for ax in (left, right):
        label_ends(ax)
    return fig


def taken_off(neurons: Sequence[int], images: Sequence[int], least: float = 0.1) -> Shares:
    """What the loop takes off a step of training, here and now, in ``least`` seconds a case or more.

    As in `TAKEN_OFF`, but in one program, which may give one way's memory to the other.

    >>> shares = taken_off([2, 4], [1, 5, 10], least=0)
    >>> {way: [len(row) for row in rows] for way, rows in shares.items()}
    {'lists': [3, 3], "torch's default": [3, 3], 'fused=True': [3, 3]}
    """
    inputs, labels = digits()
    inputs, shares = inputs.float(), {way: [[] for _ in neurons] for way in WAYS}
    for place, width in enumerate(neurons):
        for count in images:
            ways = [partial(_step, *_made(width, make, options)) for make, options in (*WAYS.values(), LOOP)]
            rounds, begin = [], CLOCK()
            while len(rounds) < 7 or CLOCK() - begin < least:
                first = len(rounds) % (len(inputs) - count + 1)
                batch = inputs[first : first + count], labels[first : first + count]
                rounds.append([_time(partial(step, *batch)) for step in ways])
            for other, rows in enumerate(shares.values()):  # the first two rounds make buffers and kernels
                rows[place].append(100 * statistics.median(1 - times[-1] / times[other] for times in rounds[2:]))
    return shares


def _made(width: int, make: MakeOptimizer, options: dict[str, Any]) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = small_net(64, width, width, 10).float()
    return net, make(net.parameters(), lr=1e-3, **options)


def _step(net: torch.nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(inputs), labels).backward()
    optimizer.step()


def _time(work: Callable[[], Any]) -> float:
    start = CLOCK()
    work()
    return CLOCK() - start


def grid(shares: Shares = TAKEN_OFF, neurons: Sequence[int] = NEURONS, images: Sequence[int] = IMAGES) -> Figure:
    """What the loop takes off a step of training, in place of each other way: the narrowest network and the widest.

    >>> [ax.get_title() for ax in grid().axes]
    ['two hidden layers of 16', 'two hidden layers of 1,024']
    """
    fig, axes = figure(2, width=11, height=3.4, sharey=True)
    looks = {"lists": (RED, "o-"), "torch's default": (BLUE, "s--"), "fused=True": (BLACK, "D:")}
    for row, ax in zip((0, -1), axes, strict=True):
        for way, rows in shares.items():
            color, look = looks[way]
            ax.plot(images, rows[row], look, color=color, markersize=5, label=way)
        ax.axhline(0, color=GRAY, linewidth=1)
        ax.set(title=f"two hidden layers of {neurons[row]:,}", xscale="log", xlabel="images a step, log scale")
        ax.set(xticks=images, xticklabels=[f"{count:,}" for count in images])
        ax.minorticks_off()
    for ax in axes:
        label_ends(ax)
    axes[0].set_ylabel("percent taken off\nby the loop, in place of")
    return fig


def play(count: Callable[[Callable[..., Any]], tuple[int, float]], here: dict[str, float]) -> Experiment:
    """What a step should take over lists and as a loop in C, item by item: by `PRICES`, or by prices and clock here.

    Args:
        count: your count of a rule over lists: its launches, and the bytes a weight that they read and write.
        here: what `prices_here` found.

    >>> print(play(lambda rule: (17, 152), PRICES).text)
    lists, milliseconds by the bill: 306
    of it page faults: 60 %
    loop in C, milliseconds by the bill: 11.9
    lists against the loop: 25.7
    """
    return Experiment(
        _bills,
        _items_and_tick,
        height=2.6,
        rule=choice("rule", *RULES),
        weights=rate("weights", "", 12_000_000, 100, 12_000_000),
        kept=switch("memory of temporaries is kept"),
        mine=switch("prices and clock of this machine"),
        count=count,
        here=here,
    )


def _bills(
    ax: Axes, *, rule: str, weights: float, kept: bool, mine: bool, count: Callable, here: dict[str, float]
) -> dict[str, Any]:
    """What a step should take, item by item: by the prices of the Xeon, or by those of this machine, with its clock."""
    text, make, options = RULES[rule]
    launches, moved = count(text)
    prices = here if mine else PRICES
    costs = bills(launches, moved, 2 * text.__code__.co_argcount - 1, weights, kept, prices)
    _stack(ax, costs)
    totals = {name: 1e3 * sum(items.values()) for name, items in costs.items()}
    measured = {}
    if mine:
        ways = [way for way in RUNS if not (kept and way == "lists")]
        measured = {way: 1e3 * seconds(make, options | {"run": RUNS[way]}, int(weights)) for way in ways}
        rows = [list(costs).index(way) for way in ways]
        ax.plot(list(measured.values()), rows, "D", color=BLACK, label="the clock")
    ax.set_xlim(0, 1.05 * max(*totals.values(), *measured.values()))
    ax.set_title(f"{rule}, {int(weights):,} weights")
    largest = max(costs["lists"], key=lambda item: costs["lists"][item])
    return {
        "lists, milliseconds by the bill": totals["lists"],
        f"of it {largest}": f"{100e3 * costs['lists'][largest] / totals['lists']:.0f} %",
        "loop in C, milliseconds by the bill": totals["loop in C"],
        "lists against the loop": totals["lists"] / totals["loop in C"],
        **{f"{way}, milliseconds by the clock": measured.get(way, "none with memory kept") for way in RUNS if mine},
    }


def seconds(make: MakeOptimizer, options: dict[str, Any], weights: int) -> float:
    """The least time of seven steps, here and now, or of fewer, two at least, if they take long.

    >>> 0 < seconds(Adam, {"run": "per_tensor"}, 10) < 1
    True
    """
    step, times = _stepper(make, options, weights), []
    while len(times) < 3 or (len(times) < 8 and sum(times[1:]) < 0.5):
        times.append(_time(step))
    return min(times[1:])  # the first makes buffers and the kernel


def _stepper(make: MakeOptimizer, options: dict[str, Any], weights: int) -> Callable[[], Any]:
    p = torch.ones(weights, requires_grad=True)
    p.grad = torch.ones(weights)
    return make([p], **{"lr": 1e-3, **options}).step
