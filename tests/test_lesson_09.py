"""The formulas of lesson 09, run from its own cells."""

import math

import pytest
import sympy
import torch
from cells import Later, Lesson

from edu_optim import Adam, AdamW, descend, rules
from edu_optim.check import check
from edu_optim.exercises import lesson_09 as exercises
from edu_optim.lab import lesson_09

LESSON = Lesson("09")
adamw = Later(lambda: LESSON.run("adamw", adam=rules.adam)).function("adamw")


def test_equations_1_and_2_are_the_rule_cell():
    p, g, m, v, eta, lam, b1, b2, eps = sympy.symbols("p g m v eta lambda beta1 beta2 epsilon", positive=True)
    after, m_after, v_after = adamw(p, g, m, v, t=3, lr=eta, betas=(b1, b2), eps=eps, weight_decay=lam)
    m_paper, v_paper = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    step = eta * (m_paper / (1 - b1**3)) / (sympy.sqrt(v_paper / (1 - b2**3)) + eps)
    assert sympy.simplify(sympy.nsimplify(after) - (p * (1 - eta * lam) - step)) == 0
    assert sympy.expand(m_after - m_paper) == 0 == sympy.expand(v_after - v_paper)


def test_ten_steps_without_gradient():
    p, m, v = 2.0, 0.0, 0.0
    for t in range(1, 11):
        p, m, v = adamw(p, 0.0, m, v, t=t, lr=0.1)
    assert p == pytest.approx(2 * (1 - 0.1 * 0.01) ** 10) == pytest.approx(1.980090, abs=1e-6)


@pytest.mark.parametrize("decay", [0.001, 0.01, 1.0])
def test_l2_through_adam_does_not_depend_on_its_own_setting(decay):
    p, m, v = 2.0, 0.0, 0.0
    for t in range(1, 11):
        p, m, v = rules.adam(p, decay * p, m, v, t=t, lr=0.1)
    assert p == pytest.approx(1.0246, abs=1e-4)


def test_l2_is_shrinking_for_gradient_descent_and_not_for_adam():
    p, g, eta, lam = sympy.symbols("p g eta lambda", positive=True)
    shrunk = (1 - eta * lam) * p
    (l2,) = rules.gradient_descent(p, g + lam * p, lr=eta)
    assert sympy.expand(l2 - rules.gradient_descent(shrunk, g, lr=eta)[0]) == 0
    l2, *_ = rules.adam(p, g + lam * p, 0, 0, t=1, lr=eta, eps=0)
    assert sympy.simplify(l2 - rules.adam(shrunk, g, 0, 0, t=1, lr=eta, eps=0)[0]) != 0


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.2, 0.5])
def test_no_weight_outgrows_one_over_the_decay(decay):
    def miss(points):
        return ((points - 10) ** 2).sum(-1) / 2

    start = torch.tensor([0.0], dtype=torch.float64)
    ours = descend(miss, AdamW, 4000, start, lr=0.03, weight_decay=decay).points
    assert 0.95 / decay < ours[-1] < 1 / decay
    assert descend(miss, Adam, 2000, start, lr=0.03).points[-1] == pytest.approx(10)


settings = pytest.mark.parametrize(("lr", "weight_decay"), [(0.05, 0.1), (0.005, 1.0), (0.1, 0.01), (0.001, 3.0)])


@settings
def test_decoupled_decay_keeps_the_same_share_of_both(lr, weight_decay):
    numbers = lesson_09.play(torch.optim.AdamW).at(lr=lr, weight_decay=weight_decay).numbers
    share = (1 - lr * weight_decay) ** 100
    assert numbers["mean of the faint"].item() == pytest.approx(share, abs=1e-9)
    assert numbers["mean of the loud"].item() == pytest.approx(share, abs=1e-9)
    assert numbers["loss of the means"].item() == pytest.approx((share - 0.6) ** 2, abs=1e-8)
    assert numbers["yours, ours and torch"] == "the same in all 100 steps"


@settings
def test_l2_goes_through_the_division(lr, weight_decay):
    numbers = lesson_09.play().at(lr=lr, weight_decay=weight_decay, form=lesson_09.L2).numbers
    for weight, name in enumerate(("mean of the faint", "mean of the loud")):
        ends = [l2_by_hand(noise.tolist(), lr, weight_decay) for noise in lesson_09.pushes()[:, :, weight].T]
        assert numbers[name].item() == pytest.approx(sum(ends) / 16, rel=1e-6)
    assert numbers["yours leaves torch at"].startswith("step 1, ")


def l2_by_hand(noise, lr, weight_decay):
    p, m, v = 1.0, 0.0, 0.0
    for t, push in enumerate(noise, 1):
        g = push + weight_decay * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= lr * m / (1 - 0.9**t) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
    return p


@settings
def test_the_papers_form_leaves_the_learning_rate_out(lr, weight_decay):
    numbers = lesson_09.play().at(lr=lr, weight_decay=weight_decay / 10, form=lesson_09.PAPER).numbers
    assert numbers["mean of the faint"].item() == pytest.approx((1 - weight_decay / 10) ** 100, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("form", lesson_09.FORMS)
def test_the_map_holds_what_the_chosen_setting_gives(form):
    losses = lesson_09.losses(form)
    for row, column in ((0, 0), (20, 34), (30, 40)):
        lr, weight_decay = lesson_09.LEARNING_RATES[column].item(), lesson_09.DECAYS[row].item()
        made = lesson_09.play().at(lr=lr, weight_decay=weight_decay, form=form)
        assert losses[row, column].item() == pytest.approx(made.numbers["loss of the means"].item(), rel=1e-4, abs=1e-6)


def test_where_the_exact_half_life_is_asked_for_the_approximation_is_not_right():
    verdict = check(lambda lr, decay: math.log(2) / (lr * decay), like="half_life")
    assert not verdict.passed and verdict.name == "the textbook's approximation"


@pytest.mark.parametrize("decay, lr, momentum", [(0.01, 0.1, 0.9), (0.2, 0.05, 0.5), (0.03, 0.2, 0.0)])
def test_the_coefficient_of_the_exercise_shrinks_by_the_decay(decay, lr, momentum):
    coefficient = exercises.l2_coefficient(decay, lr, momentum)
    p, v = 2.0, 2.0 * decay / lr / (1 - decay)
    for _ in range(30):
        v = momentum * v + coefficient * p
        p, before = p - lr * v, p
        assert p == pytest.approx((1 - decay) * before)
