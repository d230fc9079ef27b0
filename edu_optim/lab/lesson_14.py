"""For lesson 14: how it starts its scripts and reads them, and what each rank keeps, in pictures."""

import ast
import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ..plot import BLUE, GREEN, RED, chart, figure
from ..problems import digits, small_net
from ..rules import adam
from . import nets
from .controls import choice, rate, slider
from .experiment import Experiment

GRADIENTS = "abc"
NODE = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.4"}
PARTS = {"parameters": "0.6", "gradients": "0.48", "state": BLUE}
# Milliseconds by `scripts/timed.py`, by the number of ranks: gloo on loopback, two cores of an AMD EPYC, torch 2.13.0,
# 2026-11-27. The machine had other work: each is the median of three runs, whose own numbers are medians.
MEASURED = {
    2: {
        "whole gradients": [0.53, 0.59, 1.2, 19, 600],
        "the same, nothing sent": [0.071, 0.092, 0.3, 9.3, 460],
        "ring of parts, in Python": [0.83, 0.86, 1.4, 14, 130],
        "torch's, parts": [0.6, 0.67, 0.96, 11, 130],
    },
    4: {
        "whole gradients": [5.7, 5.6, 14, 130, 1700],
        "the same, nothing sent": [0.13, 0.16, 0.94, 79, 1200],
        "ring of parts, in Python": [10, 11, 12, 40, 260],
        "torch's, parts": [8.9, 8.2, 9.9, 30, 200],
    },
}
MEASURED_AT = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)  # weights
SPEED = 12.5e9  # bytes a second between two machines, in the model of `play`: 100 Gbit/s


def launch(script: str | Path, *options: object, ranks: int = 0, restarts: int = 0, timeout: float = 50) -> list[str]:
    """Run a script in a process of its own, or by ``torchrun`` in ``ranks`` of them; the lines that it printed.

    Args:
        script: the path of the file.
        options: what follows it on the command line.
        ranks: how many processes ``torchrun`` starts, on this machine; 0 runs the script without it.
        restarts: how often ``torchrun`` starts all of them again after one has died.
        timeout: in seconds.

    Errors: RuntimeError, with the end of what it said, if it ended with an error; TimeoutError if it did not end.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     script = Path(folder, "three.py")
    ...     _ = script.write_text("print(1 + 2)")
    ...     launch(script)
    ['3']
    """
    command = [sys.executable]
    if ranks:
        command += ["-m", "torch.distributed.run", "--standalone", "--local-addr=localhost"]
        command += [f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1"}
    # Else restarted ranks read addresses of the dead: github.com/pytorch/pytorch/issues/135712
    surroundings["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    if sys.platform == "linux":
        surroundings["GLOO_SOCKET_IFNAME"] = "lo"  # nothing leaves this machine, whatever its name leads to
    process = subprocess.Popen(
        [*command, str(script), *map(str, options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings,
    )
    try:
        printed, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun then ends its ranks
        process.communicate()
        raise TimeoutError(f"{script} took more than {timeout} s") from None
    if process.returncode:
        raise RuntimeError(f"{script} ended with code {process.returncode}: {errors[-3000:]}")
    return printed.splitlines()


def excerpt(script: str | Path, name: str) -> str:
    """The text of a function in a script.

    >>> print(excerpt(__file__, "excerpt").splitlines()[0])
    def excerpt(script: str | Path, name: str) -> str:
    """
    text = Path(script).read_text(encoding="utf-8")
    (function,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name)
    return ast.get_source_segment(text, function) or ""


def hops() -> Figure:
    """Three ranks in a ring that pass whole gradients on: what each holds and sends, until all hold all.

    >>> [text.get_text() for text in hops().axes[2].texts]
    ['rank 0\\na c b', 'rank 1\\nb a c', 'rank 2\\nc b a']
    """
    fig, axes = figure(3, width=10, height=3.2)
    places = [(0.0, 1.0), (0.9, -0.5), (-0.9, -0.5)]
    titles = "at first", "after one hop", "after two hops: a + b + c"
    for hop, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        ax.set(title=title, xlim=(-1.5, 1.5), ylim=(-1, 1.5), aspect=1)
        ax.set_axis_off()
        for rank, (x, y) in enumerate(places):
            held = [GRADIENTS[rank - back] for back in range(hop + 1)]
            ax.text(x, y, f"rank {rank}\n{' '.join(held)}", ha="center", va="center", size=12, bbox=NODE)
            if hop < 2:
                to_x, to_y = places[(rank + 1) % 3]
                arrow = {"arrowstyle": "-|>", "color": BLUE, "linewidth": 2, "shrinkA": 28, "shrinkB": 28}
                ax.annotate("", (to_x, to_y), (x, y), arrowprops=arrow)
                ax.text(0.72 * (x + to_x), 0.72 * (y + to_y) - 0.03, held[-1], color=BLUE, size=13, ha="center")
    return fig


def rounds() -> Figure:
    """Three ranks in a ring that pass parts on: whose gradients are in the sum that each holds of each part.

    A frame marks what has just arrived.

    >>> [text.get_text() for text in rounds().axes[2].texts[:3]]
    ['a', 'a+b+c', 'a+c']
    """
    fig, axes = figure(5, width=12, height=2.4, sharey=True)
    for turn, ax in enumerate(axes):
        summed = [[_summed((rank - part) % 3, turn) for part in range(3)] for rank in range(3)]
        ax.imshow(summed, cmap="Blues", vmin=0, vmax=6, label="gradients summed")
        for rank, part in itertools.product(range(3), range(3)):
            held = sorted(GRADIENTS[rank - back] for back in range(summed[rank][part]))
            ax.text(part, rank, "+".join(held), ha="center", va="center", size=11)
            if turn and (rank - part - turn) % 3 == 0:
                ax.add_patch(Rectangle((part - 0.46, rank - 0.46), 0.92, 0.92, fill=False, color=RED, linewidth=2))
        does = "reduce-scatter" if turn < 3 else "all-gather"
        ax.set(title=f"{does}, turn {turn}" if turn else "at first", aspect="auto")
        ax.set_xticks(range(3), ["part 0", "part 1", "part 2"])
        ax.set_yticks(range(3), ["rank 0", "rank 1", "rank 2"])
    return fig


def _summed(hops: int, turn: int) -> int:
    """Of three gradients, how many are in a part ``hops`` to the right of where it set out, after so many turns."""
    complete = (hops + 1) % 3 <= turn - 2
    return 3 if complete else hops + 1 if hops <= turn else 1


def kept(runs: dict[str, dict[str, Any]]) -> Figure:
    """What each rank of some runs keeps.

    Args:
        runs: name -> what ``notebooks/scripts/train.py`` wrote, with ``"bytes"``: for each rank those of parameters,
            gradients and state.

    >>> run = {"bytes": [[8, 8, 16], [8, 8, 0]]}
    >>> [float(bar.get_width()) for bar in kept({"two ranks": run}).axes[0].patches]
    [0.008, 0.008, 0.008, 0.008, 0.016, 0.0]
    """
    fig, ax = figure(width=8, height=3.4)
    rows = [(f"{name}, rank {rank}", part) for name, run in runs.items() for rank, part in enumerate(run["bytes"])]
    names, parts = zip(*rows, strict=True)
    start = [0.0] * len(rows)
    for what, color in PARTS.items():
        widths = [part[list(PARTS).index(what)] / 1000 for part in parts]
        ax.barh(names, widths, left=start, label=what, color=color, edgecolor="white")
        ax.text(start[0] + widths[0] / 2, 0, what, color="white", weight="bold", ha="center", va="center")
        start = [a + b for a, b in zip(start, widths, strict=True)]
    for row, end in enumerate(start):
        ax.annotate(f"{end:.0f} kB", (end, row), (4, 0), textcoords="offset points", va="center")
    ax.invert_yaxis()
    ax.set(xlabel="kB", xlim=(0, 1.15 * max(start)), title="what each rank keeps")
    return fig


def round_trip(ranks: int, weights: float, delay: float) -> tuple[float, float]:
    """Milliseconds until all ranks have the sum: whole gradients sent round, or parts of them.

    Each message waits ``delay`` microseconds and then moves at 12.5 GB a second, four bytes a weight. All ranks send
    at once.

    >>> round_trip(2, weights=0, delay=1000)
    (1.0, 2.0)
    """
    hops, whole = ranks - 1, 4 * weights / SPEED
    return 1e3 * hops * (delay / 1e6 + whole), 1e3 * 2 * hops * (delay / 1e6 + whole / ranks)


def measured() -> Figure:
    """The stored times of an all-reduce, a panel for each number of ranks: whole gradients, and parts by two programs.

    >>> [ax.get_title() for ax in measured().axes]
    ['2 ranks', '4 ranks']
    """
    fig, axes = figure(2, width=10, height=3.6, sharey=True)
    looks = [("o-", RED), (":", "0.3"), ("^-.", GREEN), ("s--", BLUE)]
    for ax, (ranks, ways) in zip(axes, MEASURED.items(), strict=True):
        for (name, times), (look, color) in zip(ways.items(), looks, strict=True):
            ax.plot(MEASURED_AT, times, look, color=color, label=name)
        ax.set(title=f"{ranks} ranks", xscale="log", yscale="log", xlabel="weights, log scale")
    axes[0].set(ylabel="milliseconds, log scale")
    axes[0].legend()
    return fig


def play() -> Experiment:
    """How long an all-reduce takes, by a model in which a message waits and then moves.

    >>> print(play().at(ranks=64))
    ranks: 64
    whole gradients, milliseconds: 203
    parts, milliseconds: 8.82
    whole gradients, sent by a rank: 63
    parts, sent by a rank: 1.97
    """
    return Experiment(
        _sent_round,
        _milliseconds,
        ranks=slider("ranks", "", 8, 2, 64),
        weights=rate("weights", "", 1e7, 1e3, 1e8),
        delay=rate("delay of a message", "µs", 20, 5, 500),
    )


def _sent_round(ax: Axes, *, ranks: int, weights: float, delay: float) -> dict[str, Any]:
    """Milliseconds until all ranks have the sum; dots for your weights, and gray where both take as long."""
    several = [10 ** (power / 20) for power in range(60, 161)]
    times = zip(*(round_trip(ranks, count, delay) for count in several), strict=True)
    mine = round_trip(ranks, weights, delay)
    for name, line, dot, color, dash in zip(
        ("whole gradients", "parts"), times, mine, (RED, BLUE), ("-", "--"), strict=True
    ):
        ax.plot(several, line, dash, color=color, label=name)
        ax.plot(weights, dot, "o", color=color, markersize=9)
    if ranks > 2:
        ax.axvline(SPEED / 4 * delay / 1e6 / (1 - 2 / ranks), color="0.5", linewidth=1, label="both as long")
    ax.legend()
    return {
        "whole gradients, milliseconds": mine[0],
        "parts, milliseconds": mine[1],
        "whole gradients, sent by a rank": ranks - 1,
        "parts, sent by a rank": 2 * (ranks - 1) / ranks,
    }


def _milliseconds(ax: Axes) -> None:
    ax.set(
        xlabel="weights, log scale",
        ylabel="milliseconds, log scale",
        xscale="log",
        yscale="log",
        xlim=(1e3, 1e8),
        ylim=(3e-3, 5e3),
    )


def average() -> Experiment:
    """Adam where ranks average their parameters after each step, beside one that has the whole batch.

    >>> print(average().at(lr=0.02))
    learning rate: 0.02
    loss, gradients: 0.204
    loss, parameters: 0.186
    a step, in steps of the mean gradient: 0.8
    """
    return Experiment(
        _averaged,
        _losses,
        ranks=choice("ranks", "2", "4", "8", "16"),
        lr=rate("learning rate", "", 0.01, 0.001, 0.1),
        seed=slider("seed of the first weights", "", 0, 0, 9),
    )


def _averaged(ax: Axes, *, ranks: str, lr: float, seed: int) -> dict[str, Any]:
    """The loss over 1,280 images in five epochs, with gradients averaged and with parameters averaged."""
    ends, length = {}, 1.0
    for name, shares, look, color in (("gradients", 1, "-", BLUE), ("parameters", int(ranks), "--", RED)):
        losses, length = train_averaged(shares, lr, seed)
        ax.plot(range(0, 101, 5), losses, look, color=color, label=f"{name} averaged")
        ends[f"loss, {name}"] = losses[-1]
    ax.legend()
    return ends | {"a step, in steps of the mean gradient": round(length, 2)}


@functools.cache
def train_averaged(ranks: int, lr: float, seed: int = 0) -> tuple[tuple[float, ...], float]:
    """Each step of Adam is the mean over ranks that each had a share of the batch.

    The loss after every fifth step, and how long a step was on average, in lengths of the step that one rank with the
    mean gradients would have taken there. With one rank it is that step.

    Args:
        ranks: a divisor of 64.
        lr: the learning rate.
        seed: of the first weights.

    >>> losses, length = train_averaged(2, 0.01)
    >>> len(losses), f"{length:.2f}"
    (21, '0.80')
    """
    images, labels = (x[:1280] for x in digits())
    layers = nets.copied([small_net(64, 16, 10, seed=seed)], 1)
    p = torch.cat([layer.detach().flatten() for layer in layers])

    def losses(points: Tensor, drawn: Tensor) -> Tensor:
        parts = points.split([layer.numel() for layer in layers], 1)
        own = [part.view(len(points), *layer.shape[1:]) for part, layer in zip(parts, layers, strict=True)]
        return nets.losses(own, images[drawn], labels[drawn])

    every = torch.arange(1280)[None]
    m = v = torch.zeros(1 + ranks, len(p), dtype=p.dtype)  # the first row is of one rank with the mean gradients
    found, lengths = [losses(p[None], every).item()], 0.0
    for t in range(1, 101):
        shares = (torch.arange(64 * (t - 1), 64 * t) % 1280).view(-1, ranks).T
        own = p.repeat(ranks, 1).requires_grad_()
        (g,) = torch.autograd.grad(losses(own, shares).sum(), own)
        (whole, *ends), m, v = adam(p, torch.vstack([g.mean(0), g]), m, v, t=t, lr=lr)
        mean = torch.stack(ends).mean(0)
        lengths += ((mean - p).norm() / (whole - p).norm()).item()
        p = mean
        if t % 5 == 0:
            found.append(losses(p[None], every).item())
    return tuple(found), lengths / 100


def _losses(ax: Axes) -> None:
    ax.set(xlabel="step", ylabel="loss, log scale", yscale="log", ylim=(0.05, 5))


def by_rate(several: Iterable[int] = (1, 2, 16), seeds: Iterable[int] = range(3)) -> Figure:
    """The loss at the end of `train_averaged` against the learning rate, a mean over seeds.

    Args:
        several: a line for each of these numbers of ranks.
        seeds: of the first weights.

    >>> loss = by_rate([1], [0]).axes[0].lines[0].get_ydata()
    >>> [f"{value:.2f}" for value in loss[:3]]
    ['0.22', '0.18', '0.20']
    """
    rates, seeds = [0.01 * 2 ** (half / 2) for half in range(6)], list(seeds)
    lines = {}
    for ranks in several:
        ends = [[train_averaged(ranks, lr, seed)[0][-1] for seed in seeds] for lr in rates]
        lines[f"{ranks} rank{'s' * (ranks > 1)}"] = (rates, [sum(losses) / len(losses) for losses in ends])
    return chart(lines, x="learning rate, log scale", y=f"loss, mean of {len(seeds)} seeds, log scale")
