"""The scripts of lesson 14 on several processes: the same numbers as alone, and a death that loses nothing."""

import json
import runpy
import sys
import time
from pathlib import Path

import pytest
import torch
from forks import on_ranks

from edu_optim import Adam, sweep
from edu_optim.lab.lesson_14 import launch
from edu_optim.problems import rosenbrock

SCRIPTS = Path(__file__).parent.parent / "notebooks" / "scripts"
TRAIN = SCRIPTS / "train.py"
STEPS = ("--steps", 30, "--every", 10)
pytestmark = pytest.mark.slow


def result(folder):
    return json.loads((folder / "result.json").read_text())


def apart(one, two):
    return max(abs(a - b) for a, b in zip(one["losses"], two["losses"], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def on_one_rank(*options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *map(str, options)])
        runpy.run_path(str(TRAIN), run_name="__main__")


@pytest.fixture(scope="module")
def alone(folder):
    on_one_rank(folder / "alone", *STEPS)
    return result(folder / "alone" / "whole")


@pytest.fixture(scope="module")
def shared(folder):
    states = ["whole", "zero", "sharded", "unlike"]
    on_ranks(TRAIN, folder / "four", *STEPS, "--way", *states, ranks=4)
    return {state: result(folder / "four" / state) for state in states}


@pytest.mark.parametrize("state", ["whole", "zero", "sharded"])
def test_four_ranks_have_the_losses_of_one(alone, shared, state):
    print(f"largest difference of the losses, {state}: {apart(alone, shared[state]):.1e}")
    assert alone["losses"][0] > 2 > 0.6 > alone["losses"][-1]
    assert apart(alone, shared[state]) < 1e-12


def test_ranks_that_begin_unlike_train_another_network(alone, shared):
    assert apart(alone, shared["unlike"]) > 0.01
    assert shared["unlike"]["bytes"] == shared["sharded"]["bytes"]


def test_state_a_rank_is_what_is_said(alone, shared):
    weights = (64 + 1) * 48 + (48 + 1) * 48 + (48 + 1) * 10
    counts = 4 * 6  # bytes of Adam's step count, a float32 for each of the six tensors
    everything = [8 * weights, 8 * weights, 16 * weights + counts]
    print({"alone": alone["bytes"]} | {state: run["bytes"] for state, run in shared.items()})
    assert alone["bytes"] == [everything] and shared["whole"]["bytes"] == [everything] * 4
    assert [part[:2] for part in shared["zero"]["bytes"]] == [everything[:2]] * 4
    states = [part[2] for part in shared["zero"]["bytes"]]
    assert sum(states) == everything[2] and max(states) == 16 * 64 * 48 + 4  # one rank has the largest tensor
    assert max(map(sum, shared["zero"]["bytes"])) == pytest.approx(145e3, abs=500)
    rows = [[12, 12, 12, 12], [12, 12, 12, 12], [3, 3, 3, 1]]  # 48, 48 and 10 on four ranks
    kept = [sum(n * k for n, k in zip(of, (65, 49, 49), strict=True)) for of in zip(*rows, strict=True)]
    assert shared["sharded"]["bytes"] == [[8 * n, 8 * n, 16 * n + counts] for n in kept] and sum(kept) == weights


def test_a_rank_that_dies_loses_nothing(alone, tmp_path):
    said = launch(TRAIN, tmp_path, *STEPS, "--die", 17, ranks=2, restarts=1)
    assert said[0] == "2 ranks, whole: goes on after step 10"
    assert apart(alone, result(tmp_path / "whole")) < 1e-12


def test_without_a_restart_a_death_ends_all_and_one_rank_goes_on_from_the_last_whole_checkpoint(
    alone, tmp_path, capsys
):
    run = (tmp_path, *STEPS, "--way", "sharded")
    with pytest.raises(RuntimeError, match=r"ended with code 1: [\s\S]*exitcode"):
        launch(TRAIN, *run, "--die", 17, ranks=2)
    assert not (tmp_path / "sharded" / "result.json").exists()
    torn = tmp_path / "sharded" / "000099"
    torn.mkdir()
    (torn / "__0_0.distcp").write_bytes(b"half")
    on_one_rank(*run)
    assert capsys.readouterr().out.splitlines()[0] == "1 rank, sharded: goes on after step 10"
    assert apart(alone, result(tmp_path / "sharded")) < 1e-12


def test_four_ranks_by_hand_agree_with_the_big_batch():
    said = on_ranks(SCRIPTS / "by_hand.py", ranks=4)
    assert said[1] == "the mean over 4 ranks is that of the big batch"


@pytest.mark.parametrize("ranks", [3, 24, 64])
@pytest.mark.parametrize("script", ["by_hand", "train"])
def test_a_number_of_ranks_that_does_not_divide_the_batch_is_refused(monkeypatch, tmp_path, script, ranks):
    for name, gives in (("init_process_group", None), ("get_rank", 0), ("get_world_size", ranks)):
        monkeypatch.setattr(torch.distributed, name, lambda *_, gives=gives, **__: gives)
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path)])
    with pytest.raises(SystemExit, match=f"twice the number of ranks must divide 64, got {ranks}"):
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
    assert not list(tmp_path.iterdir())


def test_a_sweep_over_two_ranks_is_the_sweep_over_one():
    rates = torch.logspace(-3, 0, 31, dtype=torch.float64)
    losses = sweep(rosenbrock, Adam, 100, lr=rates).losses
    best = losses.argmin()
    said = on_ranks(SCRIPTS / "sweep.py", ranks=2)
    assert said == [f"best of 31: {rates[best]:.3f}, loss {losses[best]:.4f}"]


def test_what_hangs_is_ended_with_its_ranks(tmp_path, monkeypatch):
    script = tmp_path / "hangs.py"
    script.write_text("import os, pathlib, time\npathlib.Path(f'{os.getpid()}.pid').touch()\ntime.sleep(300)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TimeoutError, match="more than 8 s"):
        launch(script, ranks=2, timeout=8)
    started = [int(path.stem) for path in tmp_path.glob("*.pid")]
    time.sleep(0.5)
    assert len(started) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in started)
