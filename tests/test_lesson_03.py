"""The formulas of lesson 03, against what its own cells compute, and its facts."""

import math
from fractions import Fraction

import pytest
import sympy
import torch
from cells import Lesson

from edu_optim import SGD
from edu_optim.check import check
from edu_optim.lab.lesson_03 import arrival, lengths, polyak, running_mean, sutskever

CELLS = ["momentum-rule", "rate-function", "bent-slope", "roll"]
LESSON = Lesson("03").later("imports", *CELLS)
rule, rate, roll, slope = (LESSON.function(name) for name in ("momentum", "rate", "roll", "slope"))
theta, b, g, eta, beta, d = sympy.symbols("theta b g eta beta d")
lam, sigma = sympy.symbols("lambda sigma")


def run(*ids):
    return Lesson("03").run("imports", *ids)


def same(left, right):
    return sympy.simplify(left - right) == 0


def test_rule_is_equations_1_and_2():
    new_theta, new_b = rule(theta, g, b, lr=eta, momentum=beta, dampening=d)
    assert same(new_b, beta * b + (1 - d) * g)
    assert same(new_theta, theta - eta * (beta * b + (1 - d) * g))


def test_forms_of_the_card_are_the_same_sequence():
    """In letters, for three different gradients."""
    ours, points, fast, mean = (0, 0), (0, 0), (0, 0), (0, 0)
    for g in sympy.symbols("g1:4"):
        ours = rule(*(ours[0], g, ours[1]), lr=eta, momentum=beta)
        points = polyak(points[0], g, points[1], lr=eta, beta=beta)
        fast = sutskever(fast[0], g, fast[1], lr=eta, beta=beta)
        mean = running_mean(mean[0], g, mean[1], lr=eta / (1 - beta), beta=beta)
        assert all(same(ours[0], other[0]) for other in (points, fast, mean))


@pytest.mark.parametrize("form, travel", [(rule, 4.934), (sutskever, 8.370), (polyak, 8.370)])
def test_what_a_drop_of_the_learning_rate_does(form, travel):
    assert sum(lengths(form, [0.1] * 10 + [0.01] * 10)) == pytest.approx(travel, abs=5e-4)


def test_lengths_on_an_even_slope():
    found = lengths(rule, [1.0] * 300)
    assert found[:4] == pytest.approx([1, 1.9, 2.71, 3.439], abs=1e-4)
    assert found[-1] == pytest.approx(1 / (1 - 0.9))


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
    cells = run("rate-function", "map-of-rates", "best")
    assert (cells["best_lr"], cells["best_beta"]) == pytest.approx((4 / 121, 81 / 121))
    assert cells["measured"] == pytest.approx(0.818182, abs=1e-6)


def test_noise_formula_solves_the_balance_of_the_rule():
    """The printed variance stays what it is when the rule's own step is taken with a fresh noise."""
    noisy = ["zigzag", "noise-floor", "noise-picture", "noise-predicted"]
    cells = run("momentum-rule", *noisy, "letters-in", "matrix", "noise-derived")
    found = sympy.solve(cells["stays"], [cells[name] for name in ("pp", "pb", "bb")])[cells["pp"]]
    printed = eta * sigma**2 * (1 + beta) / (lam * (1 - beta) * (2 * (1 + beta) - eta * lam))
    assert same(found, printed)
    assert cells["predicted"](0.3, 0.6) == pytest.approx(float(printed.subs({eta: 0.3, beta: 0.6, lam: 1, sigma: 1})))
    xi, pp, pb, bb = sympy.symbols("xi pp pb bb")
    means = {theta**2: pp, theta * b: pb, b**2: bb, xi**2: sigma**2}
    new = rule(theta, lam * theta + xi, b, lr=eta, momentum=beta)
    moments = [new[0] ** 2 - theta**2, new[0] * new[1] - theta * b, new[1] ** 2 - b**2]
    moments = [sympy.expand(moment) for moment in moments]
    balance = [sum(means[key] * moment.coeff(key) for key in (theta**2, b**2, xi**2)) for moment in moments]
    balance = [left + pb * moment.coeff(theta, 1).coeff(b, 1) for left, moment in zip(balance, moments, strict=True)]
    assert same(sympy.solve(balance, [pp, pb, bb])[pp], printed)


def test_the_bent_slope():
    places = torch.tensor([-2, 0.5, 1, 1.5, 2, 3])
    assert slope(places).tolist() == [slope(x) for x in places.tolist()] == [-50, 12.5, 25, 25.5, 26, 51]


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


@pytest.mark.parametrize("kappa", [30, 150, 400, 3000])
def test_the_recipe_for_beta_ends_near_the_star(kappa):
    """Lowered, or else raised by halving 1 - β, while that helps."""

    def tried(beta):
        return arrival(0.95 * (2 + 2 * beta) / kappa, beta, kappa)

    least = tried(0.9)
    for following in (lambda beta: beta - 0.1, lambda beta: (1 + beta) / 2):
        beta = following(0.9)
        while (steps := tried(beta)) < least:
            least, beta = steps, following(beta)
    root = math.sqrt(kappa)
    assert least < 1.5 * arrival((2 / (1 + root)) ** 2, ((root - 1) / (root + 1)) ** 2, kappa)


EXPERIMENT = Lesson("03").later("imports", "momentum-rule")


def roll_by_hand(lr, beta, late=False):
    """Places and velocities of 60 steps down the ravine, each [61, 2]."""
    place, velocity = torch.tensor([-4.0, 1.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    places, velocities = [place], [velocity]
    for _ in range(60):
        gradient = torch.tensor([1, 25]) * place
        fresh = beta * velocity + gradient
        used, velocity = (velocity if late else fresh), fresh
        place = place - lr * used
        places.append(place)
        velocities.append(used)
    return torch.stack(places), torch.stack(velocities)


@pytest.mark.parametrize(("lr", "beta"), [(0.04, 0.9), (0.02, 0.5), (0.2, 0.99), (0.002, 0.0)])
@pytest.mark.parametrize("late", [False, True])
def test_the_experiment_rolls_the_ball(lr, beta, late):
    made = EXPERIMENT.experiment(torch.optim.SGD, lr=lr, beta=beta, step=9, broken=late)
    places, velocities = roll_by_hand(lr, beta, late)
    numbers = {name: float(value) for name, value in made.numbers.items() if not isinstance(value, str)}
    assert numbers["step 9, along the floor"] == pytest.approx(-lr * velocities[9, 0].item(), rel=1e-6)
    assert numbers["farthest right, x"] == pytest.approx(places[:, 0].max().item(), rel=1e-9)
    assert numbers["distance after 60 steps"] == pytest.approx(places[-1].norm().item(), rel=1e-6)
    step = [[[1, -lr], [curve, beta]] if late else [[1 - lr * curve, -lr * beta], [curve, beta]] for curve in (1, 25)]
    sizes = torch.linalg.eigvals(torch.tensor(step, dtype=torch.float64)).abs()
    assert numbers["convergence rate by the formula"] == pytest.approx(sizes.max().item(), rel=1e-6)
    found = "yours leaves torch at" if late else "yours, ours and torch"
    assert made.numbers[found].startswith("step 1, (-4, 1)" if late else "the same in all 60 steps")


def test_the_arrow_is_the_last_step():
    made = EXPERIMENT.experiment(torch.optim.SGD, step=5)
    places, _ = roll_by_hand(0.04, 0.9)
    (arrow,) = [artist for artist in made.picture.axes[0].collections if hasattr(artist, "U")]
    assert [arrow.U[0], arrow.V[0]] == pytest.approx((places[5] - places[4]).tolist())
    assert arrow.get_offsets()[0] == pytest.approx(places[4].numpy())


@pytest.mark.parametrize("optimizer", [None, "momentum", torch.optim.SGD, SGD])
def test_the_experiment_takes_any_optimizer(optimizer):
    end = roll_by_hand(0.04, 0.9)[0][-1].norm().item()
    assert EXPERIMENT.experiment(optimizer).numbers["distance after 60 steps"].item() == pytest.approx(end)


@pytest.mark.parametrize(("beta", "reached"), [(0.63, False), (0.64, True), (0.66, True), (0.69, True), (0.7, False)])
def test_the_goal_of_play_is_reached_from_the_critical_momentum_on(beta, reached):
    x, b = torch.tensor([-4.0, 1.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for _ in range(60):
        b = beta * b + x * torch.tensor([1, 25])
        x = x - b / 25
    end = EXPERIMENT.experiment(torch.optim.SGD, beta=beta).numbers["distance after 60 steps"].item()
    assert end == pytest.approx(x.norm().item(), rel=1e-6)
    assert (end < 1e-4) == reached


def lr_again(lr, momentum, steps):
    near = far = sum_of_gradients = velocity = 0.0
    for rate in [lr] * (steps // 2) + [lr / 10] * (steps - steps // 2):
        sum_of_gradients, velocity = momentum * sum_of_gradients + 1, momentum * velocity + rate
        near, far = near + rate * sum_of_gradients, far + rate * velocity
    return near, far


def early(lr, momentum, steps):
    near = far = sum_of_gradients = velocity = 0.0
    for rate in [lr] * (steps // 2 - 1) + [lr / 10] * (steps - steps // 2 + 1):
        sum_of_gradients, velocity = momentum * sum_of_gradients + 1, momentum * velocity + rate
        near, far = near + rate * sum_of_gradients, far + velocity
    return near, far


@pytest.mark.parametrize(
    "answer, name",
    [(lr_again, "lr multiplies the velocity that has lr inside"), (early, "the drop comes one step early")],
)
def test_a_mistake_in_other_words_is_named(answer, name):
    assert check(answer, like="travel_after_drop").headline == f"not yet: {name}"
