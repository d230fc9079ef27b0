"""What lesson 14 computes in its own process, and what it reads from its scripts."""

import ast
import contextlib
import importlib
import queue
import re
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from cells import Lesson

from edu_optim.exercises import EXERCISES
from edu_optim.exercises.lesson_14_ring import pass_round, ring
from edu_optim.lab.lesson_14 import excerpt, rounds

LESSON = Lesson("14").later("imports", "idea-gradient", "idea-shares", "match-losses")
SCRIPTS = Path(__file__).parent.parent / "notebooks" / "scripts"


def test_a_gradient_is_that_of_its_share_alone():
    gradient = LESSON["gradient"]
    one, two, both = (gradient(LESSON["plain"], part) for part in (slice(10), slice(10, 40), slice(40)))
    torch.testing.assert_close((10 * one + 30 * two) / 40, both, rtol=1e-12, atol=1e-15)
    assert (one - both).abs().max() > 0.01


def test_runs_of_other_lengths_are_not_compared():
    with pytest.raises(ValueError):
        LESSON["apart"]([1.0], [1.0, 2.0])
    assert LESSON["apart"]([1.0, 2.0], [1.0, 2.5]) == 0.5


def test_an_excerpt_is_one_function_of_the_script():
    text = excerpt(SCRIPTS / "train.py", "build")
    (function,) = ast.parse(text).body
    assert function.name == "build" and text in (SCRIPTS / "train.py").read_text()


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_each_script_says_how_it_is_started_and_fixes_no_port(path):
    text = path.read_text()
    assert f"torchrun --standalone --nproc-per-node 2 {path.name}" in ast.get_docstring(ast.parse(text))
    assert "MASTER_PORT" not in text and "29500" not in text


@pytest.mark.parametrize("ranks", [1, 2, 5, 7])
def test_a_ring_of_any_size_ends_with_the_sums(ranks):
    rows = [[float(10 * rank + place**2) for place in range(ranks)] for rank in range(ranks)]
    held, sent = pass_round(ring, rows)
    assert held == [[sum(column) for column in zip(*rows, strict=True)]] * ranks
    assert sent == 2 * (ranks - 1)


def test_the_picture_of_parts_is_the_ring_after_each_turn():
    rows = [[1.0] * 3, [10.0] * 3, [100.0] * 3]
    ranks = [ring(row, rank) for rank, row in enumerate(rows)]
    value = {"a": 1, "b": 10, "c": 100}
    sending = [next(rank) for rank in ranks]
    for ax in rounds().axes:
        drawn = [sum(value[letter] for letter in text.get_text().split("+")) for text in ax.texts]
        assert drawn == [held for row in rows for held in row]
        for rank, arrived in enumerate(sending[-1:] + sending[:-1]):
            with contextlib.suppress(StopIteration):  # the last picture is of the end
                sending[rank] = ranks[rank].send(arrived)


def test_bytes_are_those_of_the_paper():
    """7.5 billion weights on 64 ranks: 120, 31.4, 16.6 and 1.9 GB in the paper's first figure."""
    answer = EXERCISES["bytes_a_rank"].reference
    gigabytes = [answer(7.5e9, 64, stage) / 1e9 for stage in range(4)]
    assert [round(value, 1) for value in gigabytes] == [120, 31.4, 16.6, 1.9]


@pytest.fixture
def alone(monkeypatch):
    meet = dist.init_process_group
    one = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    monkeypatch.setattr(dist, "init_process_group", lambda backend: meet(backend, **one))
    monkeypatch.syspath_prepend(SCRIPTS)


def test_the_clock_prints_all_ways(alone, monkeypatch, capsys):
    timed = importlib.import_module("timed")
    monkeypatch.setattr(timed, "WEIGHTS", (10,))
    timed.main()
    said = r"10 weights: " + ", ".join(rf"{way} [\d.e-]+ ms" for way in timed.WAYS) + "\n"
    assert re.fullmatch(said, capsys.readouterr().out)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_ring_of_tensors_sums(monkeypatch, ranks):
    """Each rank is a thread here, and a message a place in a queue."""
    monkeypatch.syspath_prepend(SCRIPTS)
    timed = importlib.import_module("timed")
    me, links = threading.local(), [queue.SimpleQueue() for _ in range(ranks)]
    monkeypatch.setattr(dist, "get_rank", lambda: me.rank)
    monkeypatch.setattr(dist, "get_world_size", lambda: ranks)
    monkeypatch.setattr(dist, "recv", lambda x, source: x.copy_(links[me.rank].get(timeout=5)))

    def isend(x, to):
        links[to].put(x.clone())
        return types.SimpleNamespace(wait=lambda: None)

    monkeypatch.setattr(dist, "isend", isend)

    def summed(rank):
        me.rank = rank
        x = (torch.arange(8.0) + 3) ** rank
        timed.ring(x)
        return x

    with ThreadPoolExecutor(ranks) as pool:
        found = list(pool.map(summed, range(ranks)))
    for x in found:
        torch.testing.assert_close(x, sum((torch.arange(8.0) + 3) ** rank for rank in range(ranks)))


def test_the_time_of_a_step_is_that_of_each_way(alone, monkeypatch, capsys):
    steps = importlib.import_module("steps")
    monkeypatch.setattr(steps, "TRAININGS", [((64, 5, 10), 32, 3)])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    steps.main()
    said = r"64-5-10, 32 images: alone [\d.e-]+ ms, 1 ranks [\d.e-]+ ms\n"
    assert re.fullmatch(said, capsys.readouterr().out)
