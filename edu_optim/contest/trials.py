"""One trial of an optimizer, and the whole race: learning rates are tuned, and then the best of each race."""

import concurrent.futures
import itertools
import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from ..trace import train_many
from .tasks import ENTRANTS, RACING, TASKS

AVERAGED = 20  # steps, over which the training loss is averaged before it is compared with a level


@dataclass(frozen=True)
class Trial:
    """What came of one seed with each of n learning rates.

    Args:
        tuning: what the task measures, on the examples to tune with, ``[n]``.
        held_out: the same on those that are held out.
        steps: until the mean training loss of the last 20 steps was below the level of the task; -1 if it never was.

    >>> Trial([3.1], [2.9], [120]).steps
    [120]
    """

    tuning: list[float]
    held_out: list[float]
    steps: list[int]


def trial(task: str, entrant: str, lrs: Sequence[float], seed: int) -> Trial:
    """Train one network with each of these learning rates, all at once, from one start and with the same minibatches.

    Args:
        task, entrant: names in `TASKS` and `ENTRANTS`.
        lrs: learning rates.
        seed: of the start, the minibatches and, with the digits, of the split of the data.

    >>> tried = trial("digits, MLP", "Adam", [0.01, 1e-6], seed=0)
    >>> tried.held_out[0] < 5 < 50 < tried.held_out[1], tried.steps
    (True, [76, -1])
    """
    torch.set_num_threads(1)
    what, who = TASKS[task], ENTRANTS[entrant]
    learn, tune, held = what.data(seed)
    options = {**who.options, "lr": torch.tensor(lrs, dtype=torch.float64)}
    copies = train_many(what.model(seed), who.optimizer, *learn, what.steps, batch=what.batch, seed=seed, **options)
    below = copies.losses.unfold(0, AVERAGED, 1).mean(-1) < what.level
    steps = torch.where(below.any(0), below.int().argmax(0) + AVERAGED, -1)
    with torch.no_grad():
        tuning, held_out = (what.measure(copies.scores(inputs), labels).tolist() for inputs, labels in (tune, held))
    return Trial(tuning, held_out, steps.tolist())


def hold_race(tasks: Iterable[str] = TASKS, entrants: Iterable[str] = ENTRANTS, racing: Iterable[int] = RACING) -> Any:
    """Tune every entrant on every task, let the best learning rate of each race with new seeds, and return what came.

    A bar shows how far it is. Each trial has one core, so the numbers do not depend on how many there are.

    Returns, for each task and entrant, a dict of ``lrs``; ``tuning``, what was measured for each learning rate and
    seed; ``best``, the learning rate with the smallest mean of that; ``held_out`` and ``steps`` of that learning rate
    with each of the seeds ``racing``.

    >>> race = hold_race(["digits, MLP"], ["Adam"], racing=[100])  # doctest: +SKIP
    """
    pairs = list(itertools.product(tasks, entrants))
    tuning = [(*pair, ENTRANTS[pair[1]].lrs, seed) for pair in pairs for seed in TASKS[pair[0]].tuning]
    racing = list(racing)
    with concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        tried = _all(pool, tuning, "tuning")
        results = {}
        for task, entrant in pairs:
            columns = [tried[task, entrant, seed].tuning for seed in TASKS[task].tuning]
            by_rate = list(map(list, zip(*columns, strict=True)))
            results[task, entrant] = {
                "lrs": ENTRANTS[entrant].lrs,
                "tuning": by_rate,
                "best": best_rate(entrant, by_rate),
            }
        raced = _all(pool, [(*pair, [results[pair]["best"]], seed) for pair in pairs for seed in racing], "racing")
    for pair, result in results.items():
        trials = [raced[*pair, seed] for seed in racing]
        result |= {"held_out": [one.held_out[0] for one in trials], "steps": [one.steps[0] for one in trials]}
    return {task: {entrant: results[task, entrant] for entrant in entrants} for task in tasks}


def best_rate(entrant: str, tuning: Sequence[Sequence[float]]) -> float:
    """The learning rate of an entrant with the smallest mean of what was measured for each rate and seed.

    >>> best_rate("SGD", [[3.0], [2.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0]])
    0.1
    """
    means = torch.tensor(tuning, dtype=torch.float64).mean(1)
    return ENTRANTS[entrant].lrs[int(means.argmin())]


def _all(pool: Any, trials: list[tuple], name: str) -> dict[tuple[str, str, int], Trial]:
    """The results of trials, by task, entrant and seed."""
    found = tqdm(pool.map(trial, *zip(*trials, strict=True)), name, len(trials), unit="trial")
    return {(task, entrant, seed): one for (task, entrant, _, seed), one in zip(trials, found, strict=True)}
