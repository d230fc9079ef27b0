"""The scripts of lesson 14 on several processes: the same numbers as alone, and a death that loses nothing."""

import json
import runpy
import time
from pathlib import Path

import pytest
import torch

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


@pytest.fixture(scope="module")
def alone(folder):
    launch(TRAIN, folder / "alone", *STEPS)
    return result(folder / "alone" / "whole")


@pytest.fixture(scope="module")
def shared(folder):
    states = ["whole", "zero", "sharded"]
    launch(TRAIN, folder / "two", *STEPS, "--state", *states, ranks=2)
    return {state: result(folder / "two" / state) for state in states}


@pytest.mark.parametrize("state", ["whole", "zero", "sharded"])
def test_two_ranks_have_the_losses_of_one(alone, shared, state):
    print(f"largest difference of the losses, {state}: {apart(alone, shared[state]):.1e}")
    assert alone["losses"][0] > 2 > 0.6 > alone["losses"][-1]
    assert apart(alone, shared[state]) < 1e-12


def test_state_a_rank_is_what_is_said(alone, shared):
    weights = (64 + 1) * 48 + (48 + 1) * 48 + (48 + 1) * 10
    counts = 4 * 6  # bytes of Adam's step count, a float32 for each of the six tensors
    everything = [8 * weights, 8 * weights, 16 * weights + counts]
    print({"alone": alone["bytes"]} | {state: run["bytes"] for state, run in shared.items()})
    assert alone["bytes"] == [everything] and shared["whole"]["bytes"] == [everything] * 2
    assert [part[:2] for part in shared["zero"]["bytes"]] == [everything[:2]] * 2
    states = [part[2] for part in shared["zero"]["bytes"]]
    assert sum(states) == everything[2] and max(states) < 0.6 * everything[2]
    half = [4 * weights, 4 * weights, 8 * weights + counts]
    assert shared["sharded"]["bytes"] == [half] * 2


def test_three_ranks_split_what_does_not_divide(tmp_path):
    launch(TRAIN, tmp_path, "--steps", 3, "--state", "sharded", ranks=3)
    parts = result(tmp_path / "sharded")["bytes"]
    assert sum(part[0] for part in parts) == 8 * 5962


def test_a_rank_that_dies_loses_nothing(alone, tmp_path):
    said = launch(TRAIN, tmp_path, *STEPS, "--die", 17, ranks=2, restarts=1)
    assert said[0] == "2 ranks, whole: goes on after step 10"
    assert apart(alone, result(tmp_path / "whole")) < 1e-12


def test_without_a_restart_a_death_ends_all_and_one_rank_goes_on_from_the_last_whole_checkpoint(alone, tmp_path):
    run = (TRAIN, tmp_path, *STEPS, "--state", "sharded")
    with pytest.raises(RuntimeError, match=r"ended with code 1: [\s\S]*exitcode"):
        launch(*run, "--die", 17, ranks=2)
    assert not (tmp_path / "sharded" / "result.json").exists()
    torn = tmp_path / "sharded" / "000099"
    torn.mkdir()
    (torn / "__0_0.distcp").write_bytes(b"half")
    assert launch(*run)[0] == "1 rank, sharded: goes on after step 10"
    assert apart(alone, result(tmp_path / "sharded")) < 1e-12


def test_four_ranks_by_hand_agree_with_the_big_batch():
    said = launch(SCRIPTS / "by_hand.py", ranks=4)
    assert said[1] == "the mean over 4 ranks is that of the big batch"


def test_a_number_of_ranks_that_does_not_divide_the_batch_is_refused(monkeypatch):
    for name, gives in (("init_process_group", None), ("get_rank", 0), ("get_world_size", 3)):
        monkeypatch.setattr(torch.distributed, name, lambda *_, gives=gives: gives)
    with pytest.raises(SystemExit, match="the number of ranks must divide 64, got 3"):
        runpy.run_path(str(SCRIPTS / "by_hand.py"), run_name="__main__")


def test_a_sweep_over_two_ranks_is_the_sweep_over_one():
    rates = torch.logspace(-3, 0, 31, dtype=torch.float64)
    losses = sweep(rosenbrock, Adam, 100, lr=rates).losses
    best = losses.argmin()
    said = launch(SCRIPTS / "sweep.py", ranks=2)
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
