"""What lesson 15 computes, against counts of its own."""

import ast
import inspect
import math

import pytest
import torch
from cells import Lesson
from test_lessons import bare, functions, read, tagged

from edu_optim import Adam, AdamW, from_rule
from edu_optim.contest import beaten
from edu_optim.contest.tasks import mixed_digits
from edu_optim.lab import lesson_15
from edu_optim.lab.lesson_15 import ENTRANTS, LRS, learned, play, raced, singular_values
from edu_optim.later import rules
from edu_optim.problems import small_net

LESSON = Lesson("15").later("imports", "muon", "muon-step")


def test_the_rules_of_the_lesson_are_those_of_the_module():
    shipped, typed = functions(inspect.getsource(rules)), {}
    for cell in tagged(read(Lesson("15").path), "rule"):
        typed |= functions(cell.source)
    assert list(typed) == ["nadam", "radam", "lion", "schedule_free_sgd", "adam_ema", "orthogonal"]
    for name, function in typed.items():
        assert bare(function) == bare(shipped[name])


def test_the_lines_that_are_not_new_in_nadam_and_radam_are_those_of_adam():
    adams = set(ast.unparse(ast.parse(inspect.getsource(rules.adam))).splitlines())
    for name in ("nadam", "radam"):
        body = Lesson("15").sources[name].partition("beta1, beta2 = betas\n")[2].splitlines()
        kept = [line.strip() for line in body if "# new" not in line and "if n" not in line and "return" not in line]
        assert kept and all(f"    {ast.unparse(ast.parse(line))}" in adams for line in kept)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 6)])
def test_the_step_of_muon_is_that_of_the_module_without_decay(shape):
    draw = torch.Generator().manual_seed(3)
    p, g, b = (torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(3))
    for mine, ours in zip(
        LESSON["muon_step"](p, g, b, lr=0.2), rules.muon(p, g, b, lr=0.2, weight_decay=0), strict=True
    ):
        torch.testing.assert_close(mine, ours)


def test_the_experiment_counts_what_the_polynomial_says():
    s = 0.1
    norm = torch.logspace(-1, 0, 10, dtype=torch.float64).norm().item()
    s = s / norm
    for _ in range(5):
        s = 1.5 * s - 0.5 * s**3
    numbers = play().at(coefficients="cubic").numbers
    assert abs(numbers["smallest after"] - s) < 1e-9


def test_a_step_of_muon_is_flatter_than_the_gradient():
    before, after = singular_values()
    assert before[-1] < 0.1 < 0.5 < after[-1]


@pytest.mark.parametrize("name", ["AdamW", lesson_15.COSINE, lesson_15.AVERAGED])
def test_a_network_of_the_race_learns_what_a_loop_learns(name):
    seed, lr, steps = 5, 0.05, 30
    (images, labels), *others = mixed_digits(seed)
    net, draw = small_net(64, 32, 32, 10, seed=seed), torch.Generator().manual_seed(seed)
    averaged = from_rule(rules.schedule_free_adamw)
    cls = averaged if name == lesson_15.AVERAGED else AdamW
    optimizer = cls(net.parameters(), lr=lr, weight_decay=0)
    for step in range(steps):
        if name == lesson_15.COSINE:
            optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        drawn = torch.randint(len(images), (32,), generator=draw)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[drawn]), labels[drawn]).backward()
        optimizer.step()
    if cls is averaged:
        for p in net.parameters():
            p.data += 0.1 * optimizer.state[p]["e"]
    wrong = [100 * (net(of).argmax(-1) != right).double().mean().item() for of, right in others]
    found = learned(name, [0.1, lr], [4, seed], steps)
    assert [of[1, 1].item() for of in found] == pytest.approx(wrong, abs=0.3)


def test_the_hidden_matrix_alone_is_muons_in_the_race():
    matrices = [torch.zeros(2, *shape, requires_grad=True) for shape in ((3, 4), (3, 3), (5, 3))]
    groups = [{"params": params, "lr": 0.1} for params in (matrices, [torch.zeros(2, 3, requires_grad=True)])]
    muon, adamw = ENTRANTS["Muon"](groups).parts
    assert [p.shape for group in muon.param_groups for p in group["params"]] == [(2, 3, 3)]
    assert len([p for group in adamw.param_groups for p in group["params"]]) == 3


def test_the_race_tunes_all_on_one_grid_and_its_verdict_can_be_asked():
    found = raced(steps=2, tuning=[0], racing=[1])
    assert found.keys() == ENTRANTS.keys() == beaten(found).keys()
    assert all(len(result["tuning"]) == len(LRS) == 9 for result in found.values())
    assert all(result["best"] == LRS[result["tuning"].index(min(result["tuning"]))] for result in found.values())


def test_the_average_of_the_weights_is_what_a_loop_averages():
    p, q = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours, adam, mean = from_rule(rules.adam_ema)([p], lr=0.1, decay=0.5), Adam([q], lr=0.1), 0.0
    for _ in range(4):
        p.grad, q.grad = 2 * p.detach(), 2 * q.detach()
        ours.step()
        adam.step()
        mean = 0.5 * mean + 0.5 * q.detach()
    torch.testing.assert_close(ours.state[p]["a"], mean)
