"""For lesson 14: how it starts its scripts and reads them, and what each rank keeps, in pictures."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..plot import OTHERS, figure


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


def kept(runs: dict[str, dict[str, Any]]) -> Figure:
    """The loss curves of runs, and what each of their ranks keeps.

    Args:
        runs: name -> what ``notebooks/scripts/train.py`` wrote: ``"losses"``, a list, and ``"bytes"``, for each rank
            those of parameters, gradients and state.

    >>> run = {"losses": [2.0, 1.0], "bytes": [[8, 8, 16], [8, 8, 0]]}
    >>> [float(bar.get_width()) for bar in kept({"two ranks": run}).axes[1].patches]
    [0.008, 0.008, 0.008, 0.008, 0.016, 0.0]
    """
    fig, (left, right) = figure(2, width=11.5, height=4, gridspec_kw={"width_ratios": (1, 1.2)})
    for index, (name, run) in enumerate(runs.items()):
        color, dash, _ = OTHERS[index % len(OTHERS)]
        left.plot(run["losses"], color=color, linestyle=dash, linewidth=7 - 1.8 * index, label=name)
    left.set(xlabel="step", ylabel="loss, log scale", yscale="log", title="the same losses")
    left.legend()
    rows = [(f"{name}, rank {rank}", part) for name, run in runs.items() for rank, part in enumerate(run["bytes"])]
    names, parts = zip(*rows, strict=True)
    start = [0.0] * len(rows)
    for index, what in enumerate(("parameters", "gradients", "state")):
        widths = [part[index] / 1000 for part in parts]
        right.barh(names, widths, left=start, label=what, color=OTHERS[index][0], edgecolor="white")
        right.text(start[0] + widths[0] / 2, 0, what, color="white", weight="bold", ha="center", va="center")
        start = [a + b for a, b in zip(start, widths, strict=True)]
    for row, end in enumerate(start):
        right.annotate(f"{end:.0f} kB", (end, row), (4, 0), textcoords="offset points", va="center")
    right.invert_yaxis()
    right.set(xlabel="kB", xlim=(0, 1.15 * max(start)), title="what each rank keeps")
    return fig
