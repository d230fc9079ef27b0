"""The formulas of lesson 07, run from its own cells."""

import math

import pytest
import sympy
import torch
from cells import Lesson

from edu_optim import Adadelta, rules
from edu_optim.lab.lesson_07 import growth

LESSON = Lesson("07")
GRADIENTS = [2.0, -0.5, 0.0, 3.0, 1e-3, -7.0]
USED = ["imports", "adadelta-rule", "two-eps-rule"]
CELLS = LESSON.later(*USED)
adadelta = CELLS.function("adadelta")


def faded(values, rho):
    """The mean of equations (1) and (3), written out: the newest counts 1 - rho, each older one rho times less."""
    return (1 - rho) * sum(rho**age * value for age, value in enumerate(reversed(values)))


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("eps", [1e-6, 0.1, 1.0])
@pytest.mark.parametrize("lr", [1.0, 0.3])
def test_the_equations_are_the_rule_cell(lr, eps, rho):
    p, s, u, taken = 0.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, 1):
        after, s, u = adadelta(p, g, s, u, lr=lr, rho=rho, eps=eps)
        size_of_steps = (faded([d**2 for d in taken], rho) + eps) ** 0.5
        size_of_gradients = (faded([g**2 for g in GRADIENTS[:t]], rho) + eps) ** 0.5
        taken.append(size_of_steps / size_of_gradients * g)
        assert p - after == pytest.approx(lr * taken[-1], rel=1e-9)
        p = after


def test_with_letters_too():
    p, g, s, u, eta, rho, eps = sympy.symbols("p g s u eta rho epsilon", positive=True)
    after, s_after, u_after = adadelta(p, g, s, u, lr=eta, rho=rho, eps=eps)
    mean = rho * s + (1 - rho) * g**2
    step = sympy.sqrt(u + eps) / sympy.sqrt(mean + eps) * g
    assert sympy.expand(s_after - mean) == 0
    assert sympy.simplify(sympy.nsimplify(u_after) - rho * u - (1 - rho) * step**2) == 0
    assert sympy.simplify(sympy.nsimplify(after) - (p - eta * step)) == 0


@pytest.mark.parametrize(("rho", "known"), [(0.9, 0.00316228), (0.95, 0.00447213)])
def test_the_first_step(rho, known):
    p, *_ = adadelta(0.0, 2.0, 0.0, 0.0, rho=rho)
    assert -p == pytest.approx(2 * (1e-6 / ((1 - rho) * 4 + 1e-6)) ** 0.5, rel=1e-12)
    assert -p == pytest.approx(known, abs=1.5e-8)


def test_the_ladder_of_units():
    g, s, u, k, c, eta = sympy.symbols("g s u k c eta", positive=True)

    def step(rule, g, *buffers, **options):
        return sympy.nsimplify(rule(0, g, *buffers, **options)[0])

    ladder = [
        (rules.gradient_descent, [], [], {"lr": eta}, c, k**-2),
        (rules.rmsprop, [s], [c**2 * s], {"lr": eta, "eps": 0}, 1, 1 / k),
        (adadelta, [s, u], [c**2 * s, u], {"eps": 0}, 1, 1),
    ]
    for rule, buffers, louder, options, by_loss, by_unit in ladder:
        finer = [buffer / k**2 if buffer is s else buffer * k**2 for buffer in buffers]
        plain = step(rule, g, *buffers, **options)
        assert sympy.simplify(step(rule, c * g, *louder, **options) / plain - by_loss) == 0
        assert sympy.simplify(step(rule, g / k, *finer, **options) / (k * plain) - by_unit) == 0


@pytest.mark.parametrize("k", [2.0, 1000.0])
def test_two_eps_convert_with_the_ruler(k):
    with_units = CELLS["with_units"]
    p = s = u = q = s_finer = u_finer = 0.0
    for g in GRADIENTS:
        p, s, u = with_units(p, g, s, u, eps_g=1e-3, eps_d=1e-4)
        q, s_finer, u_finer = with_units(q, g / k, s_finer, u_finer, eps_g=1e-3 / k**2, eps_d=1e-4 * k**2)
        assert q == pytest.approx(k * p)
        assert adadelta(0.0, g, s, u, eps=1e-3)[0] == pytest.approx(
            with_units(0.0, g, s, u, eps_g=1e-3, eps_d=1e-3)[0], abs=1e-15
        )


@pytest.mark.parametrize(("curvature", "lr"), [(1, 1), (1.9, 1), (2.1, 1), (25, 1), (0.9, 2), (1.2, 2), (40, 0.3)])
def test_steps_die_below_two_over_lr_and_grow_above(curvature, lr):
    numbers = growth(adadelta).at(curvature=curvature, lr=lr).numbers
    p, s, u = 1.0, 0.0, 0.0
    for _ in range(20_000):
        before = p
        p, s, u = adadelta(p, curvature * p, s, u, lr=lr)
    assert numbers["the last step"] == f"{abs(p - before):.3f}"
    assert (abs(p - before) < 1e-6) == (lr * curvature < 2) == ("where the formula has it" not in numbers)
    if lr * curvature > 2:
        formula = lr * (1e-6 * (1 - 4 / (lr * curvature) ** 2) * 20_000) ** 0.5
        assert numbers["where the formula has it"] == f"{formula:.3f}"
        assert abs(p - before) == pytest.approx(formula, rel=0.05)


def test_the_conventions_card():
    rows = [line for line in LESSON.sources["conventions"].splitlines() if line.startswith("| ") and "e-" in line]
    assert len(rows) == 5
    for row in rows:
        lr, rho, eps, length = row.strip("| ").replace("none", "1").split(" | ")[1:]
        p, *_ = adadelta(0.0, 2.0, 0.0, 0.0, lr=float(lr), rho=float(rho), eps=float(eps))
        assert length == f"{-p:.2e}"


EXPERIMENT = LESSON.later("imports", "adadelta-rule")


def experiment(optimizer="adadelta", **moves):
    return EXPERIMENT.experiment(optimizer, **moves)


def steps_along_x(window, eps, early=False):
    """The lengths of 100 steps down a parabola of curvature 1 from -4, and how far they bring it."""
    x, s, u, lengths, rho = -4.0, 0.0, 0.0, [], 1 - 1 / window
    for _ in range(100):
        s = rho * s + x**2 / window
        after = rho * u + (u + eps) / (s + eps) * x**2 / window
        lengths.append((((after if early else u) + eps) / (s + eps)) ** 0.5 * abs(x))
        u, x = after, x - math.copysign(lengths[-1], x)
    return lengths, x + 4


def agrees(numbers, lengths, distance):
    assert numbers["first step along x"] == pytest.approx(lengths[0], rel=1e-6)
    assert numbers["longest step, in first steps"] == pytest.approx(max(lengths) / lengths[0], rel=1e-6)
    assert numbers["distance along x"] == pytest.approx(distance, rel=1e-6)


@pytest.mark.parametrize("moves", [{}, {"eps": 1e-6, "window": 1}, {"eps": 1e-6, "window": 1000}], ids=str)
def test_the_experiment_measures_the_walk(moves):
    numbers = experiment(**moves).numbers
    agrees(numbers, *steps_along_x(**{"window": 10, "eps": 1e-4, **moves}))
    assert numbers["rho"] == pytest.approx(1 - 1 / moves.get("window", 10))
    assert numbers["yours, ours and torch"] == "the same in all 100 steps"


def distances(picture):
    """The lines on the right by their names."""
    return {line.get_label(): line.get_ydata() for line in picture.axes[1].get_lines()}


def test_without_a_memory_the_steps_grow_with_the_root_of_time():
    made = experiment(eps=1e-6, window=1)
    assert made.numbers["longest step, in first steps"] == pytest.approx(10, rel=1e-3)
    far = [1e-3 * sum(t**0.5 for t in range(1, step + 1)) for step in range(101)]
    for name in ("torch", "ours", "yours"):
        assert distances(made.picture)[name] == pytest.approx(far, rel=1e-3)


@pytest.mark.parametrize("moves", [{"broken": True}, {"unit": 10, "eps": 1e-2}, {"unit": 3, "two": True}], ids=str)
def test_the_dashed_line_repeats_step_1(moves):
    made = experiment(**moves)
    assert distances(made.picture)["like step 1"][1] == pytest.approx(100 * made.numbers["first step along x"])


@pytest.mark.parametrize("moves", [{}, {"eps": 1e-8}, {"eps": 1e-2}, {"window": 1}, {"window": 1000}], ids=str)
def test_each_control_moves_the_lines_on_the_right(moves):
    settings = {"window": 10, "eps": 1e-4} | moves
    lines = distances(experiment(**moves).picture)
    lengths, distance = steps_along_x(**settings)
    assert lines["like step 1"] == pytest.approx([0, 100 * lengths[0]])
    for name in ("torch", "ours", "yours"):
        assert lines[name][0] == 0
        assert lines[name][-1] == pytest.approx(distance, rel=1e-6)


def test_a_middling_memory_is_the_slowest():
    far = {window: experiment(eps=1e-6, window=window).numbers["distance along x"] for window in (1, 10, 1000)}
    assert far[10] < far[1] < far[1000]


def test_the_start_knows_only_eps_times_the_window():
    one, other = experiment(), experiment(eps=1e-6, window=1000)
    first = [made.numbers["first step along x"].item() for made in (one, other)]
    assert first == pytest.approx([(10 * 1e-4) ** 0.5] * 2, rel=1e-3)


@pytest.mark.parametrize("window", [1, 10])
def test_the_switch_makes_the_first_step_too_long(window):
    numbers = experiment(broken=True, window=window).numbers
    agrees(numbers, *steps_along_x(window, 1e-4, early=True))
    first = steps_along_x(window, 1e-4)[0][0]
    assert numbers["first step along x"] / first == pytest.approx(2**0.5, rel=1e-4)
    said = f"step 1, (1, {2**0.5 * first:.3g}) instead of (1, {first:.3g})"
    assert numbers["yours leaves torch at"] == said


@pytest.mark.parametrize("unit", [0.2, 7.0])
def test_with_two_eps_the_path_stands_still(unit):
    before = experiment(window=20).numbers
    one = experiment(window=20, unit=unit)
    assert one.numbers["first step along x"] == pytest.approx(before["first step along x"].item() / unit, rel=0.01)
    alone = distances(one.picture)["yours"]
    two = experiment(window=20, unit=unit, two=True)
    for name in ("first step along x", "distance along x"):
        assert two.numbers[name] == pytest.approx(before[name].item())
    lines = distances(two.picture)
    assert lines["yours"] == pytest.approx(lines["_in meters"])
    assert lines["torch"] == pytest.approx(alone)


@pytest.mark.parametrize("optimizer", [None, torch.optim.Adadelta, Adadelta])
def test_the_experiment_takes_any_optimizer(optimizer):
    numbers = experiment(optimizer).numbers
    agrees(numbers, *steps_along_x(10, 1e-4))
    assert ("yours, ours and torch" in numbers) == (optimizer is not None)
