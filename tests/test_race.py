"""The race: fair as its rules say, and what is stored is what its command makes."""

import itertools
import json

import pytest
import torch

from edu_optim.__main__ import main
from edu_optim.contest import (
    ENTRANTS,
    RACING,
    TASKS,
    beaten,
    flip_test,
    hold_race,
    standings,
    stored,
    trial,
    verdict,
)
from edu_optim.problems import descriptions

RESULTS = stored()["results"]
ROWS = [(task, entrant) for task in TASKS for entrant in ENTRANTS]


def test_the_stored_race_holds_all_tasks_and_entrants():
    assert [(task, entrant) for task, found in RESULTS.items() for entrant in found] == ROWS
    assert stored()["made"].keys() == {"date", "machine", "versions", "minutes"}


@pytest.mark.parametrize(("task", "entrant"), ROWS)
def test_the_stored_race_keeps_its_own_rules(task, entrant):
    row = RESULTS[task][entrant]
    assert tuple(row["lrs"]) == ENTRANTS[entrant].lrs and len(row["lrs"]) == 9
    assert [len(errors) for errors in row["tuning"]] == [len(TASKS[task].tuning)] * 9
    means = [sum(errors) / len(errors) for errors in row["tuning"]]
    assert means[row["lrs"].index(row["best"])] == pytest.approx(min(means), rel=1e-4)  # stored in five digits
    assert row["lrs"][0] < row["best"] < row["lrs"][-1]
    assert len(row["held_out"]) == len(row["steps"]) == len(RACING) >= 10


def test_tuning_and_racing_share_no_seed_and_no_example():
    for task in TASKS.values():
        assert not set(task.tuning) & set(RACING)
    parts = [set(map(tuple, inputs.tolist())) for inputs, _ in TASKS["digits, MLP"].data(7)]
    assert sum(map(len, parts)) == 1797 and not parts[0] & parts[1] and not parts[1] & parts[2]
    learn, tune, held = (inputs for inputs, _ in TASKS["text, transformer"].data(0))
    text, _ = descriptions()
    lengths = [len(learn) + 32, 32 * len(tune), 32 * len(held)]
    assert sum(lengths) <= len(text)
    assert torch.equal(tune.flatten()[:32], text[lengths[0] : lengths[0] + 32])


PART = [("digits, MLP", "momentum"), ("digits, CNN", "Adam"), ("text, transformer", "RMSprop")]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "entrant"), PART)
def test_a_part_of_the_race_comes_out_as_it_is_stored(task, entrant):
    row, seed = RESULTS[task][entrant], RACING[0]
    again = trial(task, entrant, [row["best"]], seed)
    close = 0.03 if task.startswith("text") else 0.6  # a loss in float32, or two digits of 360
    assert again.held_out[0] == pytest.approx(row["held_out"][0], abs=close)
    assert again.steps[0] == pytest.approx(row["steps"][0], abs=5)


@pytest.mark.slow
def test_learning_rates_are_tuned_as_it_is_stored():
    row = RESULTS["digits, MLP"]["Adagrad"]
    again = trial("digits, MLP", "Adagrad", row["lrs"], 0).tuning
    calm = slice(0, row["lrs"].index(row["best"]) + 1)  # beyond, rounding is magnified
    assert again[calm] == pytest.approx([errors[0] for errors in row["tuning"]][calm], abs=0.6)


@pytest.mark.slow
def test_the_command_tunes_races_prints_and_writes(tmp_path, monkeypatch, capsys):
    def small():
        return hold_race(["digits, MLP"], ["Adam", "SGD"], racing=RACING[:2])

    monkeypatch.setattr(verdict, "hold_race", small)
    assert main(["race", "--to", str(tmp_path / "race.json")]) == 0
    written = json.loads((tmp_path / "race.json").read_text())["results"]
    for entrant, row in written["digits, MLP"].items():
        kept = RESULTS["digits, MLP"][entrant]
        assert row["best"] == kept["best"]
        assert row["held_out"] == pytest.approx(kept["held_out"][:2], abs=0.6)
    said = capsys.readouterr()
    assert standings(written["digits, MLP"]) in said.out and "racing" in said.err


def test_a_learning_rate_at_the_edge_is_called_untuned(monkeypatch, capsys):
    row = {"lrs": [0.1, 0.2], "best": 0.2, "held_out": [1.0, 2.0], "steps": [3, -1]}
    monkeypatch.setattr(verdict, "hold_race", lambda: {"digits, MLP": {"SGD": row}})
    verdict.race_and_write()
    assert "at the edge of its grid, so not tuned yet: SGD" in capsys.readouterr().out


def test_a_network_that_diverges_is_no_better_than_a_guess():
    task = TASKS["text, transformer"]
    assert task.measure(torch.full((1, 3, 92, 32), torch.nan), torch.zeros(3, 32, dtype=torch.int64)).item() < 4.53
    wild = trial("digits, MLP", "SGD", [1e30, 0.5], 0)
    assert wild.held_out[0] > 20 and wild.held_out[1] < 10 and wild.steps[0] == -1


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_the_p_of_a_clean_sweep(n):
    assert flip_test([0.0] * n, [1.0] * n) == 2 / 2**n


def test_p_is_what_chance_makes_it():
    draw = torch.Generator().manual_seed(0)
    pairs = torch.randn(2, 1000, 8, generator=draw, dtype=torch.float64)
    ps = torch.tensor([flip_test(a.tolist(), b.tolist()) for a, b in zip(*pairs, strict=True)])
    for level in (0.05, 0.2, 0.5):
        assert (ps <= level).double().mean() == pytest.approx(level, abs=0.04)


def test_nobody_beats_an_equal_and_the_smaller_wins():
    assert flip_test([1.0, 2.0], [1.0, 2.0]) == 1
    rows = {"a": {"held_out": [1.0] * 10}, "b": {"held_out": [1.1] * 10}, "c": {"held_out": [1.0] * 5 + [1.2] * 5}}
    assert beaten(rows) == {"a": ["b"], "b": [], "c": []}


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], [])])
def test_what_cannot_be_paired_is_refused(a, b):
    with pytest.raises(ValueError, match="of one length, 1 or more"):
        flip_test(a, b)


def test_too_many_sums_are_refused():
    with pytest.raises(ValueError, match=r"at most 2\^20 sums"):
        flip_test([2.0**-k for k in range(21)], [0.0] * 21)


def test_many_seeds_are_told_apart_where_their_sums_are_few():
    assert flip_test([0] * 40, [1] * 40) == 2 / 2**40
    draw = torch.Generator().manual_seed(2)
    a, b = torch.randint(9, (2, 10), generator=draw).tolist()
    signs = itertools.product((1, -1), repeat=10)
    sums = [abs(sum(sign * (x - y) for sign, x, y in zip(one, a, b, strict=True))) for one in signs]
    assert flip_test(a, b) == sum(total >= sums[0] for total in sums) / 1024
