"""The formulas of lesson 03, against what its own cells compute, and its facts."""

import math
from fractions import Fraction

import pytest
import sympy
import torch
from cells import Lesson


def run(*ids):
    return Lesson("03").run("imports", *ids)


LESSON = run("momentum-rule", "the-forms", "walk-on-a-slope", "rate-function", "bent-slope", "roll", "noise-predicted")
rule, rate, walk, roll, slope = (LESSON[name] for name in ("momentum", "rate", "walk", "roll", "slope"))
theta, b, g, eta, beta, d = sympy.symbols("theta b g eta beta d")
lam, sigma = sympy.symbols("lambda sigma")


def same(left, right):
    return sympy.simplify(left - right) == 0


def test_rule_is_equations_1_and_2():
    new_theta, new_b = rule(theta, g, b, lr=eta, momentum=beta, dampening=d)
    assert same(new_b, beta * b + (1 - d) * g)
    assert same(new_theta, theta - eta * (beta * b + (1 - d) * g))


def test_forms_of_the_card_are_the_same_sequence():
    """In letters, for three different gradients."""
    ours, polyak, sutskever, mean = (0, 0), (0, 0), (0, 0), (0, 0)
    for g in sympy.symbols("g1:4"):
        ours = rule(*(ours[0], g, ours[1]), lr=eta, momentum=beta)
        polyak = LESSON["polyak"](polyak[0], g, polyak[1], lr=eta, beta=beta)
        sutskever = LESSON["sutskever"](sutskever[0], g, sutskever[1], lr=eta, beta=beta)
        mean = LESSON["running_mean"](mean[0], g, mean[1], lr=eta / (1 - beta), beta=beta)
        assert all(same(ours[0], other[0]) for other in (polyak, sutskever, mean))


@pytest.mark.parametrize("form, travel", [("momentum", 4.934), ("sutskever", 8.370), ("polyak", 8.370)])
def test_what_a_drop_of_the_learning_rate_does(form, travel):
    assert -walk(LESSON[form], [0.1] * 10 + [0.01] * 10)[-1] == pytest.approx(travel, abs=5e-4)


def test_lengths_on_an_even_slope():
    points = walk(rule, [1.0] * 300)
    assert [a - b for a, b in zip(points[:4], points[1:], strict=False)] == pytest.approx([1, 1.9, 2.71, 3.439])
    assert points[-2] - points[-1] == pytest.approx(1 / (1 - 0.9))


def test_memory():
    assert sum(0.1 * 0.9**k for k in range(10)) == pytest.approx(1 - 0.9**10) == pytest.approx(0.651322, abs=1e-6)
    assert 0.9 ** (math.log(0.5) / math.log(0.9)) == pytest.approx(0.5)
    assert math.log(0.5) / math.log(0.9) == pytest.approx(6.579, abs=1e-3)


def test_matrix_of_the_lesson_is_that_of_the_rule():
    after = sympy.Matrix(rule(theta, lam * theta, b, lr=eta, momentum=beta)).jacobian([theta, b])
    assert same(after.det(), beta)
    assert same(after.trace(), 1 + beta - eta * lam)
    values = {eta: 0.3, beta: 0.7, lam: 2.5}
    largest = max(abs(complex(root)) for root in after.subs(values).eigenvals())
    assert rate(0.3, 0.7, 2.5) == pytest.approx(largest)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("product", [0.1, 0.5, 1.5])
def test_plateau_critical_beta_and_edge(keep, product):
    critical = (1 - math.sqrt(product)) ** 2
    if keep > critical:
        assert rate(1, keep, product) == pytest.approx(math.sqrt(keep))
    else:
        assert rate(1, keep, product) > math.sqrt(keep) + 1e-3
    assert rate(1, keep, 0.999 * (2 + 2 * keep)) < 1 < rate(1, keep, 1.001 * (2 + 2 * keep))
    assert rate(1, keep, 1e-3) < 1 < rate(1, keep, -1e-3)


@pytest.mark.parametrize("m, L", [(1, 25), (1, 100), (0.5, 8)])
def test_best_settings_and_their_rate(m, L):
    root = math.sqrt(L / m)
    lr, keep = (2 / (math.sqrt(m) + math.sqrt(L))) ** 2, ((root - 1) / (root + 1)) ** 2
    best = (root - 1) / (root + 1)
    curvatures = torch.linspace(m, L, 50, dtype=torch.float64)
    assert rate(lr, keep, curvatures).max() == pytest.approx(best, abs=1e-6)
    for other_lr, other_keep in [(lr * 0.98, keep), (lr * 1.02, keep), (lr, keep * 0.98), (lr, keep * 1.02)]:
        assert rate(other_lr, other_keep, curvatures).max() > best + 1e-4


def test_lesson_uses_these_settings_at_100():
    cells = run("rate-function", "best")
    assert (cells["best_lr"], cells["best_beta"]) == pytest.approx((4 / 121, 81 / 121))
    assert cells["measured"] == pytest.approx(0.818182, abs=1e-6)


def test_noise_formula_solves_the_balance_of_the_rule():
    """The printed variance stays what it is when the rule's own step is taken with a fresh noise."""
    cells = run("momentum-rule", "letters-in", "noise-derived")
    found = sympy.solve(cells["stays"], [cells[name] for name in ("pp", "pb", "bb")])[cells["pp"]]
    printed = eta * sigma**2 * (1 + beta) / (lam * (1 - beta) * (2 * (1 + beta) - eta * lam))
    assert same(found, printed)
    assert LESSON["predicted"](0.3, 0.6) == pytest.approx(float(printed.subs({eta: 0.3, beta: 0.6, lam: 1, sigma: 1})))
    xi, pp, pb, bb = sympy.symbols("xi pp pb bb")
    means = {theta**2: pp, theta * b: pb, b**2: bb, xi**2: sigma**2}
    new = rule(theta, lam * theta + xi, b, lr=eta, momentum=beta)
    moments = [new[0] ** 2 - theta**2, new[0] * new[1] - theta * b, new[1] ** 2 - b**2]
    moments = [sympy.expand(moment) for moment in moments]
    balance = [sum(means[key] * moment.coeff(key) for key in (theta**2, b**2, xi**2)) for moment in moments]
    balance = [left + pb * moment.coeff(theta, 1).coeff(b, 1) for left, moment in zip(balance, moments, strict=True)]
    assert same(sympy.solve(balance, [pp, pb, bb])[pp], printed)


def test_three_cycle_is_exact_and_attracts():
    corners = [Fraction(n, 1225) for n in (792, -2208, 2592)]
    x, velocity = corners[0], (corners[2] - corners[0]) * 9
    for expected in (*corners[1:], *corners):
        x, velocity = rule(x, slope(x), velocity, lr=Fraction(1, 9), momentum=Fraction(4, 9))
        assert x == expected
    for start in range(307, 347):
        assert sorted(roll(start / 100, 302)[-3:]) == pytest.approx(sorted(map(float, corners)), abs=1e-6)
    for start in (3.06, 3.47):
        assert roll(start, 302)[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("x", [-1.5, 0.5, 1.5, 2.5])
def test_slope_is_that_of_the_loss(x):
    height = run("loss-of-the-slope")["height"]
    assert (height(x + 1e-6) - height(x - 1e-6)) / 2e-6 == pytest.approx(slope(x), rel=1e-6)
    for corner in (1, 2):
        assert height(corner - 1e-9) == pytest.approx(height(corner), abs=1e-6)
