"""What lesson 15 computes, against counts of its own."""

import torch
from cells import Lesson

from edu_optim import Adam, from_rule
from edu_optim.lab.lesson_15 import ENTRANTS, compared, play, singular_values
from edu_optim.later import rules

LESSON = Lesson("15").later("imports", "difference", "elementwise", "untuned")


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


def test_the_comparison_is_tuned_inside_one_grid_for_all():
    found = compared(steps=20, seeds=2)
    assert found.keys() == ENTRANTS.keys()
    assert all(right.shape == (2,) for _, _, right in found.values())


def test_the_difference_prints_lines_of_one_rule_only(capsys):
    LESSON["changed"](rules.nadam, rules.nadam)
    assert capsys.readouterr().out == ""
    LESSON["changed"](rules.radam, rules.radam_decoupled)
    assert "+    p = p - lr * weight_decay * p" in capsys.readouterr().out


def test_the_average_of_the_weights_is_what_a_loop_averages():
    p, q = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours, adam, mean = from_rule(rules.adam_ema)([p], lr=0.1, decay=0.5), Adam([q], lr=0.1), 0.0
    for _ in range(4):
        p.grad, q.grad = 2 * p.detach(), 2 * q.detach()
        ours.step()
        adam.step()
        mean = 0.5 * mean + 0.5 * q.detach()
    torch.testing.assert_close(ours.state[p]["a"], mean)
