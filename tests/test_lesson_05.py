"""The formulas and facts of lesson 05, run from its own cells."""

import math

import pytest
import sympy
import torch
from cells import Lesson

from edu_optim import Adagrad, descend, from_rule, problems

LESSON = Lesson("05")
run = LESSON.run
CELLS = LESSON.later("adagrad-rule")
adagrad = CELLS.function("adagrad")


def test_equations_1_and_2_are_the_rule_cell():
    theta, g, s, eta, eps = sympy.symbols("theta g s eta epsilon", positive=True)
    after, total = adagrad(theta, g, s, lr=eta, eps=eps)
    assert sympy.expand(total - (s + g**2)) == 0
    formula = theta - eta * g / (sympy.sqrt(s + g**2) + eps)
    assert sympy.simplify(sympy.nsimplify(after) - formula) == 0


@pytest.mark.parametrize("slope", [1e-6, 0.01, 4.0, 1e6])
@pytest.mark.parametrize("t", [1, 2, 3, 100])
def test_step_t_on_a_steady_slope_is_lr_over_the_root_of_t(slope, t):
    p, _ = adagrad(0.0, slope, (t - 1) * slope**2, lr=0.1, eps=0)
    assert p == pytest.approx(-0.1 / t**0.5, rel=1e-12)


@pytest.mark.parametrize("slope", [0.001, 1.0, 1000.0])
def test_a_hundred_steps_go_18_5896_learning_rates(slope):
    p, s = 0.0, 0.0
    for _ in range(100):
        p, s = adagrad(p, slope, s, lr=1.0, eps=0)
    assert -p == pytest.approx(18.5896, abs=5e-5)


@pytest.mark.parametrize("scale", [1e-3, 7.0, 1e3])
def test_rescaling_the_gradient_changes_nothing_without_eps(scale):
    start = torch.tensor(problems.rosenbrock.start, dtype=torch.float64)
    options = {"steps": 50, "start": start, "lr": 0.5, "eps": 0}
    path = descend(problems.rosenbrock, from_rule(CELLS["adagrad"]), **options).points
    scaled = descend(lambda p: scale * problems.rosenbrock(p), from_rule(CELLS["adagrad"]), **options).points
    torch.testing.assert_close(scaled, path, rtol=0, atol=1e-9)


@pytest.mark.parametrize("eps", [1e-6, 0.1])
def test_eps_inside_the_root_is_a_start_of_the_sum(eps):
    p, s, inside, total = 1.0, eps, 1.0, 0.0
    for g in (2.0, -0.01, 0.3):
        p, s = adagrad(p, g, s, lr=0.1, eps=0)
        total += g**2
        inside -= 0.1 * g / (total + eps) ** 0.5
        assert p == pytest.approx(inside, rel=1e-12)


def test_other_conventions_start_the_sum_elsewhere():
    """A start of 0.1 leaves a thirtieth of the first step for a gradient of 0.01."""
    assert adagrad(0.0, 0.01, 0.1, lr=1.0)[0] == pytest.approx(-1 / 30, rel=0.1)
    for start, eps in ((0.0, 1e-10), (0.1 + 1e-7, 0.0), (1e-6, 0.0)):  # torch, Keras 3, textbooks
        p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        p.grad = torch.full_like(p, 0.01)
        torch.optim.Adagrad([p], lr=1.0, initial_accumulator_value=start, eps=eps).step()
        assert p.item() == pytest.approx(adagrad(0.0, 0.01, start, lr=1.0, eps=eps)[0], rel=1e-12)


def test_zero_over_zero_is_nan_only_without_eps():
    zero = torch.tensor(0.0)
    assert adagrad(1.0, zero, zero, lr=0.1, eps=0)[0].isnan()
    assert adagrad(1.0, zero, zero, lr=0.1)[0] == 1


def test_the_clock_times_the_size_is_the_root_of_the_sum():
    """Take them apart: $\\sqrt s = \\sqrt n \\cdot \\sqrt{s/n}$, where $n$ counts the steps in which the weight had a gradient."""  # noqa: E501
    rules = run("clock-and-size")
    n, s, count, total = (torch.zeros(1, dtype=torch.float64) for _ in range(4))
    for g in (torch.tensor([g], dtype=torch.float64) for g in (0.0, 3.0, 0.0, -0.5, 2.0)):
        timed, count = rules["clock"](0.0, g, count, lr=1.0)
        sized, n, s = rules["size"](0.0, g, n, s, lr=1.0)
        own, total = adagrad(0.0, g, total, lr=1.0)
        assert (timed * sized).item() == pytest.approx(-(own * g).item(), rel=1e-8)


@pytest.mark.parametrize(("angle", "adagrad_wins"), [(0, True), (45, False)])
def test_turning_the_ravine_takes_the_advantage_away(angle, adagrad_wins):
    bowl = problems.quadratic(condition=25, angle=angle)
    own = descend(bowl, Adagrad, steps=30, lr=2.0).losses[-1]
    plain = descend(bowl, torch.optim.SGD, steps=30, lr=2 / 26).losses[-1]
    assert (own < plain) == adagrad_wins


def test_the_clue_of_nine_fours():
    namespace = run("imports", "count-pixels", "a-clue")
    images, labels, clue = (namespace[name] for name in ("images", "labels", "clue"))
    assert labels[images[:, clue] > 0].tolist() == [4] * 9


EXPERIMENT = LESSON.later("imports", "adagrad-rule")


def experiment(optimizer="adagrad", **moves):
    return EXPERIMENT.experiment(optimizer, **moves)


def walk_of_50(angle, lr, forgets=False):
    """The points of 50 steps down the turned bowl, and the sums of squares at all 51, from its matrix."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    xx, xy, yy = c * c + 25 * s * s, -24 * c * s, s * s + 25 * c * c
    p, sums, points, squares = [-4 * c - s, c - 4 * s], [0.0, 0.0], [], [0.0, 0.0]
    for _ in range(51):
        points.append(tuple(p))
        g = [xx * p[0] + xy * p[1], xy * p[0] + yy * p[1]]
        squares = [square + slope**2 for square, slope in zip(squares, g, strict=True)]
        sums = [slope**2 + (0 if forgets else total) for total, slope in zip(sums, g, strict=True)]
        p = [x - lr * slope / (total**0.5 + 1e-10) for x, slope, total in zip(p, g, sums, strict=True)]
    x, y = points[-1]
    return points, squares[1] / squares[0], (xx * x * x + 2 * xy * x * y + yy * y * y) / 2


@pytest.mark.parametrize("angle, lr", [(0, 2.0), (20, 2.0), (45, 0.5), (30, 10.0)])
def test_the_experiment_measures_the_walk(angle, lr):
    numbers = experiment(angle=angle, lr=lr).numbers
    _, ratio, loss = walk_of_50(angle, lr)
    assert numbers["squares added up, y over x"].item() == pytest.approx(ratio, rel=1e-6)
    for name in ("torch", "yours"):
        assert numbers[f"loss after 50 steps, {name}"].item() == pytest.approx(loss, rel=1e-6, abs=1e-12)
    by_formula = 20.5 * (24 / 26) ** 100  # both factors are 24 / 26 in size
    assert numbers["loss after 50 steps, SGD"].item() == pytest.approx(by_formula, rel=1e-9)
    assert numbers["yours, ours and torch"] == "the same in all 50 steps"


@pytest.mark.parametrize("angle", [0, 20, 45])
def test_the_gray_path_is_sgd_on_the_turned_ravine(angle):
    (gray,) = [line for line in experiment(angle=angle).picture.axes[0].get_lines() if line.get_label() == "SGD"]
    bowl = problems.quadratic(condition=25, angle=angle)
    path = descend(bowl, torch.optim.SGD, steps=50, lr=2 / 26).points
    assert gray.get_xydata() == pytest.approx(path.numpy(), abs=1e-12)


@pytest.mark.parametrize("angle", [0, 20, 45])
def test_each_level_line_is_level(angle):
    lines = experiment(angle=angle).picture.axes[0].get_lines()
    (drawn,) = [line.get_xydata() for line in lines if line.get_label() == "_levels"]
    bowl = problems.quadratic(condition=25, angle=angle)
    heights = bowl(torch.tensor(drawn)).reshape(9, 61)[:, :-1]
    torch.testing.assert_close(heights, heights[:, :1].expand_as(heights))


@pytest.mark.parametrize("angle, lr", [(0, 1.5), (45, 2.0)])
def test_the_switch_parts_at_the_second_step(angle, lr):
    numbers = experiment(angle=angle, lr=lr, broken=True).numbers
    (wrong, _, loss), (right, _, _) = (walk_of_50(angle, lr, forgets) for forgets in (True, False))
    points = [", ".join(f"{value:.3g}" for value in path[2]) for path in (wrong, right)]
    assert numbers["yours leaves torch at"] == "step 2, ({}) instead of ({})".format(*points)
    assert numbers["loss after 50 steps, yours"].item() == pytest.approx(loss, rel=1e-6)
    assert loss > 100 * numbers["loss after 50 steps, torch"]


@pytest.mark.parametrize("optimizer", [None, "adagrad", torch.optim.Adagrad, Adagrad])
def test_the_experiment_takes_any_optimizer(optimizer):
    numbers = experiment(optimizer, angle=45).numbers
    name = "Adagrad" if optimizer is None else "yours"
    assert numbers[f"loss after 50 steps, {name}"].item() == pytest.approx(walk_of_50(45, 2.0)[2], rel=1e-6)
    assert ("yours, ours and torch" in numbers) == (optimizer is not None)
