"""When a difference counts: the test over seeds, who beats whom, and the race that is stored with the course."""

import datetime
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .tasks import TASKS
from .trials import hold_race

STORED = Path(__file__).with_name("race.json")
COUNTS = 0.01  # a difference counts if its p is below


def flip_test(a: Sequence[float], b: Sequence[float]) -> float:
    """The p of the differences of n pairs: the share of all 2^n choices of their signs with a sum as far from 0.

    If neither is better, each difference could as well have had the other sign.

    Args:
        a, b: what two optimizers have reached with the same seeds; more than 20 only where many sums are equal, as of
            whole numbers.

    Errors: ValueError if they are not of one length, or empty, or have more than 2^20 sums.

    Source: R. A. Fisher 1935, The Design of Experiments, section 21.

    >>> flip_test([1.0, 2.0, 3.0], [2.0, 4.0, 4.0])
    0.25
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"a and b must be of one length, 1 or more, got {len(a)} and {len(b)}")
    differences = torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)
    sums, ways = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for one in differences:  # each sum once, and how many choices of the signs have it
        sums, place = torch.cat([sums + one, sums - one]).round(decimals=9).unique(return_inverse=True)
        ways = torch.zeros_like(sums).index_add(0, place, ways.repeat(2))
        if len(sums) > 2**20:
            raise ValueError(f"a and b must have at most 2^20 sums, got more of {len(a)} differences")
    far = sums.abs() >= differences.sum().abs() - 1e-8
    return (ways[far].sum() / ways.sum()).item()


def beaten(results: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Whom each entrant beats: those with a larger mean of ``held_out``, at a p below 0.01.

    Args:
        results: of one task, as `hold_race` returns them.

    >>> good, poor = {"held_out": [1.0] * 8}, {"held_out": [2.0] * 8}
    >>> beaten({"Adam": good, "SGD": poor, "AdamW": good})
    {'Adam': ['SGD'], 'SGD': [], 'AdamW': ['SGD']}
    """
    held_out = {name: result["held_out"] for name, result in results.items()}

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        return sum(a) < sum(b) and flip_test(a, b) < COUNTS

    return {
        name: [other for other, theirs in held_out.items() if beats(ours, theirs)] for name, ours in held_out.items()
    }


def standings(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of one task, the smallest mean first: the best learning rate, mean and spread, and who is beaten.

    The steps are the median over seeds of those until the training loss came down to the level of the task.

    >>> adam = {"best": 0.01, "held_out": [2.0, 3.0], "steps": [90, 110]}
    >>> print(standings({"Adam": adam}))
    optimizer   best lr   held out   spread  steps  beats
    Adam           0.01       2.50     0.71    100  -
    """
    rows = ["optimizer   best lr   held out   spread  steps  beats"]
    beats = beaten(results)
    means = {name: torch.tensor(result["held_out"], dtype=torch.float64).mean() for name, result in results.items()}
    for name, result in sorted(results.items(), key=lambda item: means[item[0]]):
        spread = torch.tensor(result["held_out"], dtype=torch.float64).std()
        steps = torch.tensor([float(step if step >= 0 else torch.inf) for step in result["steps"]]).quantile(0.5)
        took = f"{steps:.0f}" if steps.isfinite() else "-"
        names = ", ".join(beats[name]) or "-"
        rows.append(f"{name:10} {result['best']:8} {means[name]:10.2f} {spread:8.2f} {took:>6}  {names}")
    return "\n".join(rows)


def stored() -> dict[str, Any]:
    """The race that is stored with the course: ``made``, on what and when, and ``results``, as `hold_race` has them.

    >>> list(stored()["results"])
    ['digits, MLP', 'digits, CNN', 'text, transformer']
    """
    return json.loads(STORED.read_text("utf-8"))


def race_and_write(to: str | None = None) -> None:
    """Hold the whole race, print its tables, and write it to a file if there is one.

    >>> race_and_write("race.json")  # doctest: +SKIP
    """
    begun = time.monotonic()
    results = hold_race()
    if to:
        Path(to).write_text(as_text(circumstances(begun), results), "utf-8")
    for task, found in results.items():
        print(f"\n{task}: {TASKS[task].unit}\n{standings(found)}")
        edges = [name for name, result in found.items() if result["best"] in (result["lrs"][0], result["lrs"][-1])]
        if edges:
            print(f"best at the edge of its grid, so not tuned yet: {', '.join(edges)}")


def circumstances(begun: float) -> dict[str, Any]:
    """When, on what and in how many minutes a race was held that began at this `time.monotonic`.

    >>> circumstances(time.monotonic())["minutes"]
    0.0
    """
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
        "minutes": round((time.monotonic() - begun) / 60, 1),
    }


def as_text(made: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> str:
    """A race as JSON, a line for each task and entrant.

    >>> print(as_text({"date": "2026"}, {"digits": {"SGD": {"best": 1.0}, "Adam": {"best": 0.1}}}))
    {"made": {"date": "2026"},
    "results": {"digits": {
    "SGD": {"best": 1.0},
    "Adam": {"best": 0.1}}}}
    <BLANKLINE>
    """
    tasks = []
    for task, found in results.items():
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(_short(result))}" for name, result in found.items())
        tasks.append(f"{json.dumps(task)}: {{\n{lines}}}")
    all_tasks = ",\n".join(tasks)
    return f'{{"made": {json.dumps(made)},\n"results": {{{all_tasks}}}}}\n'


def _short(value: Any) -> Any:
    """Numbers in five digits, in whatever holds them."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _short(inside) for key, inside in value.items()}
    return [_short(inside) for inside in value] if isinstance(value, list | tuple) else value
