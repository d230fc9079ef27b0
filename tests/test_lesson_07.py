"""The formulas of lesson 07, run from its own cells."""

import pytest
import sympy
from cells import Lesson

from edu_optim import rules

LESSON = Lesson("07")
run = LESSON.run
GRADIENTS = [2.0, -0.5, 0.0, 3.0, 1e-3, -7.0]
adadelta = run("adadelta-rule")["adadelta"]
CELLS = run("imports", "adadelta-rule", "lengths", "wrong-order-run", "lr-in-memory-run", "two-eps-rule", "growth")


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


FINGERPRINTS = [
    ("adadelta", {}, [0.003162, 0.003244, 0.003301]),
    ("adadelta", {"eps": 0}, [0, 0, 0]),
    ("wrong_order", {}, [0.004472, 0.003942, 0.003768]),
    ("counts_scaled_steps", {"lr": 1.0}, [0.003162, 0.003244, 0.003301]),
    ("counts_scaled_steps", {"lr": 0.1}, [0.000316, 0.000231, 0.000193]),
]


@pytest.mark.parametrize(("name", "options", "known"), FINGERPRINTS, ids=lambda value: str(value)[:24])
def test_the_first_three_steps(name, options, known):
    assert CELLS["lengths"](CELLS[name], 3, **options) == known


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


@pytest.mark.parametrize(("curvature", "rests"), [(1, True), (1.9, True), (2.1, False), (25, False)])
def test_it_comes_to_rest_only_below_curvature_2(curvature, rests):
    jumps = CELLS["jumps"](curvature)
    assert (jumps[-1] < 1e-6).item() == rests
    if curvature == 25:
        assert jumps[-1] == pytest.approx((1e-6 * len(jumps)) ** 0.5, rel=0.05)


CARD = {"Zeiler 2012": 4.47e-3, "torch": 3.16e-3, "Keras 3": 1.41e-6, "TensorFlow 1": 4.47e-7, "a textbook": 1e-2}


@pytest.mark.parametrize(("where", "length"), CARD.items(), ids=CARD)
def test_the_conventions_card(where, length):
    p, *_ = adadelta(0.0, 2.0, 0.0, 0.0, **run("adadelta-rule", "conventions-card")["card"][where])
    assert -p == pytest.approx(length, rel=5e-3)
    start = where.replace("a textbook", "a widely used textbook")
    row = next(line for line in LESSON.sources["conventions"].splitlines() if line.startswith(f"| {start}"))
    assert row.endswith(f"| {-p:.2e} |")
