"""The formulas of lesson 01, run from its own cells."""

import math

import pytest
import sympy
import torch
from cells import Later, Lesson

from edu_optim import SGD, descend, problems
from edu_optim.check import check
from edu_optim.exercises.lesson_01 import edge_from_explosion
from edu_optim.lab import lesson_01
from edu_optim.trace import sharpness

LESSON = Lesson("01")
run = LESSON.run


@pytest.mark.parametrize("number", ["01", "02"])
def test_equation_1_is_the_rule_cell_here_and_in_lesson_02(number):
    theta, g, eta = sympy.symbols("theta g eta")
    (after,) = Lesson(number).run("gradient-descent")["gradient_descent"](theta, g, lr=eta)
    assert sympy.simplify(after - (theta - eta * g)) == 0


def test_the_factor_of_a_bowl():
    namespace = run("imports", "gradient-descent")
    theta, eta, curvature = sympy.symbols("theta eta lambda")
    (after,) = namespace["gradient_descent"](theta, curvature * theta, lr=eta)
    assert sympy.expand(after / theta - (1 - eta * curvature)) == 0


@pytest.mark.parametrize("condition", [2, 10, 100])
def test_the_best_rate_and_the_steps_that_follow(condition):
    distances = descend(problems.quadratic(condition), SGD, steps=400, lr=2 / (1 + condition)).losses.sqrt()
    factor = (condition - 1) / (condition + 1)
    torch.testing.assert_close(distances[1:40] / distances[:39], torch.full((39,), factor, dtype=torch.float64))
    needed = run("imports", "steps-to-a-millionth")["steps_to_a_millionth"](condition)
    if needed <= 400:
        assert distances[needed] <= 1e-6 * distances[0] < distances[needed - 1]


@pytest.mark.parametrize(("scale", "verdict"), [(0.99, "converges"), (1.01, "diverges")])
def test_the_edge_is_two_over_the_largest_curvature(scale, verdict):
    losses = descend(problems.quadratic(condition=100), SGD, steps=2000, lr=scale * 2 / 100).losses
    assert ("converges" if losses[-1] < 1e-9 else "diverges") == verdict


def test_one_of_the_three_faults_of_the_last_exercise_is_in_the_smallest_class():
    smallest = run("imports", "gradient-descent", "smallest-optimizer")["GradientDescent"]
    assert check(smallest, like="Mended").name == "a parameter without a gradient stops the step with an error"


play = Later(lambda: {"play": lesson_01.play}).experiment


@pytest.mark.parametrize(("lr", "condition"), [(2 / 26, 25), (0.082, 25), (0.5, 100), (0.005, 1)])
def test_the_experiment_multiplies_by_the_two_factors(lr, condition):
    numbers = play(torch.optim.SGD, lr=lr, condition=condition).numbers
    floor, wall = 1 - lr, 1 - lr * condition
    assert numbers["factor of the floor, 1 - lr*m"] == pytest.approx(floor)
    assert numbers["factor of the wall, 1 - lr*L"] == pytest.approx(wall)
    loss = ((-4 * floor**30) ** 2 + condition * wall**60) / 2
    assert numbers["loss after 30 steps"].item() == pytest.approx(loss, rel=1e-6)
    assert numbers["yours, ours and torch"] == "the same in all 30 steps"


def test_a_name_that_is_rebound_moves_nothing():
    numbers = play(torch.optim.SGD, lr=0.05, broken=True).numbers
    assert numbers["loss after 30 steps"] == numbers["loss at the start"]
    assert numbers["yours leaves torch at"] == "step 1, (-4, 1) instead of (-3.8, -0.25)"


@pytest.mark.parametrize(("condition", "lr"), [(25, 0.09), (100, 0.021), (7, 0.4)])
def test_an_explosion_tells_where_the_edge_is(condition, lr):
    losses = descend(problems.quadratic(condition), SGD, steps=200, lr=lr).losses
    assert edge_from_explosion(lr, losses[-1] / losses[-2]) == pytest.approx(2 / condition)


def test_the_sharpness_of_a_network_is_the_largest_eigenvalue_of_its_hessian():
    model = problems.small_net(64, 2, 10)
    names, knobs = zip(*model.named_parameters(), strict=True)
    images, labels = problems.digits()

    def loss(*values):
        scores = torch.func.functional_call(model, dict(zip(names, values, strict=True)), images)
        return torch.nn.functional.cross_entropy(scores, labels)

    rows = torch.autograd.functional.hessian(loss, tuple(knobs))
    sizes = [p.numel() for p in knobs]
    blocks = [[b.reshape(m, n) for b, n in zip(row, sizes, strict=True)] for row, m in zip(rows, sizes, strict=True)]
    matrix = torch.cat([torch.cat(row, 1) for row in blocks])
    height = torch.nn.functional.cross_entropy(model(images), labels)
    found, _ = sharpness(height, knobs, rounds=200)
    assert found == pytest.approx(torch.linalg.eigvalsh(matrix)[-1].item(), rel=1e-4)
    g = torch.cat([g.flatten() for g in torch.autograd.grad(height, knobs, retain_graph=True)])
    along, _ = sharpness(height, knobs, rounds=1, direction=g)
    assert along == pytest.approx((g @ matrix @ g / (g @ g)).item())


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (lambda curvature, lr, accuracy: 1, "every number you return is the same"),
        (
            lambda c, lr, a: math.ceil(math.log(1 - a) / math.log(abs(1 - lr * c))),
            "every number you return is the same",
        ),
        (lambda c, lr, a: math.ceil(math.log(abs(1 - lr * c)) / math.log(a)), "the quotient is upside down"),
        (
            lambda c, lr, a: math.ceil(math.log(a) / math.log(abs(1 - lr * c) ** 0.5)),
            "the steps until the distance is accuracy squared",
        ),
        (
            lambda c, lr, a: math.ceil(math.log(a**2) / math.log(abs(1 - lr * c))),
            "the steps until the distance is accuracy squared",
        ),
        (
            lambda c, lr, a: math.ceil(math.log(a) / math.log(abs(1 - lr * 2 * c))),
            "lr times the curvature counts twice",
        ),
        (
            lambda c, lr, a: math.ceil(math.log(a) / math.log(abs(1 - lr * c / 2))),
            "lr times half the curvature",
        ),
    ],
)
def test_wrong_numbers_of_steps_have_names(answer, name):
    assert check(answer, like="steps_needed").name == name


@pytest.mark.parametrize(
    ("share", "name"),
    [
        (1, "the rate that exploded"),
        (0.5, "half the rate, whatever the growth"),
        (2, "twice the rate, whatever the growth"),
    ],
)
def test_a_fixed_share_of_the_rate_has_a_name(share, name):
    assert check(lambda lr, growth: lr * share, like="edge_from_explosion").name == name


def test_the_three_panels_slide_jump_closer_and_jump_away():
    for ax, factor in zip(lesson_01.jumps([0.1, 0.4, 0.52], curvature=4).axes, (0.6, -0.6, -1.08), strict=True):
        theta, loss = ax.get_lines()[1].get_data()
        assert theta == pytest.approx([factor**step for step in range(6)])
        assert loss == pytest.approx(2 * theta**2)
