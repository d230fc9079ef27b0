"""The formulas of lesson 04, against what its own cells compute, and its facts."""

import math

import pytest
import sympy
import torch
from cells import Later, Lesson

from edu_optim import SGD
from edu_optim.check import check
from edu_optim.lab.lesson_04 import CURVATURES, look_ahead, play, rate
from edu_optim.rules import momentum

run = Lesson("04").run
USED = ["nesterov-rule", "form-of-1983", "three-forms", "first-steps"]
LESSON = Lesson("04").later("imports", *USED)
SOLUTION = Lesson("solutions/04").later("find-the-mistake-answer")
rule, first_steps = (LESSON.function(name) for name in ("nesterov", "first_steps"))
theta, b, g, eta, beta, lam, z = sympy.symbols("theta b g eta beta lambda z")


def same(left, right):
    return sympy.simplify(left - right) == 0


def test_rule_is_equations_1_and_2():
    new_theta, new_b = rule(theta, g, b, lr=eta, momentum=beta)
    assert same(new_b, beta * b + g)
    assert same(new_theta, theta - eta * (g + beta * (beta * b + g)))


def test_rule_is_the_point_ahead_of_the_printed_look_ahead_form():
    """a = θ - ηβb, b' = βb + g(a), θ' = θ - ηb', for any function g."""
    slope = sympy.Function("g")
    ball, old_b = theta, b
    ahead = ball - eta * beta * old_b
    for _ in range(2):
        new_b = beta * old_b + slope(ahead)
        ball = ball - eta * new_b
        after, kept = rule(ahead, slope(ahead), old_b, lr=eta, momentum=beta)
        ahead, old_b = ball - eta * beta * new_b, new_b
        assert same(after, ahead) and same(kept, new_b)


def test_cell_that_derives_it():
    cells = run("ahead-of-the-ball", **LESSON)
    a, old_b, g, eta, beta = (cells[name] for name in ("a", "b", "g", "eta", "beta"))
    assert same(cells["new_a"], rule(a, g, old_b, lr=eta, momentum=beta)[0])


def test_keras_is_the_same_sequence():
    keras = SOLUTION["mended_nesterov"]
    ours = theirs = (theta, 0)
    for g in sympy.symbols("g1:4"):
        ours = rule(ours[0], g, ours[1], lr=eta, momentum=beta)
        theirs = keras(theirs[0], g, theirs[1], lr=eta, momentum=beta)
        assert same(ours[0], theirs[0])
    new_rate = [after(p, g, b, lr=2 * eta, momentum=beta)[0] for after, (p, b) in ((rule, ours), (keras, theirs))]
    assert not same(*new_rate)


@pytest.mark.parametrize(
    "form, steps",
    [
        ("nesterov_1983", ["1.000", "1.282", "1.556"]),
        ("sutskever", ["1.000", "1.900", "2.710"]),
        ("nesterov", ["1.900", "2.710", "3.439"]),
    ],
)
def test_conventions_card(form, steps):
    assert first_steps(LESSON[form])[:3] == steps


def test_form_of_1983_converges_as_its_title_says():
    """On a bowl with lr = 1/L the loss stays below 2 L |x0 - x*|² / (t + 2)²."""
    curvatures = torch.tensor([1e-4, 1e-3, 1e-2, 1.0], dtype=torch.float64)
    p, memory = torch.ones(4, dtype=torch.float64), None
    for t in range(300):
        p, memory = LESSON["nesterov_1983"](p, curvatures * p, memory, lr=1.0)
        assert (curvatures * memory[0] ** 2).sum() / 2 <= 2 * 4 / (t + 2) ** 2


def test_old_buffer_is_momentum():
    wrong = right = (theta, b)
    wrong, right = (LESSON["old_buffer"](theta, g, b, lr=eta), momentum(theta, g, b, lr=eta))
    assert same(wrong[0], right[0]) and same(wrong[1], right[1])


def test_torch_stores_the_points_ahead():
    p = torch.tensor([-4.0, 1.0], dtype=torch.float64)
    _, aheads = look_ahead(p, steps=50, lr=0.05, beta=0.8)
    leaf = p.clone().requires_grad_()
    optimizer = torch.optim.SGD([leaf], lr=0.05, momentum=0.8, nesterov=True)
    for ahead in aheads:
        assert torch.allclose(leaf, ahead, rtol=0, atol=1e-12)
        leaf.grad = CURVATURES * leaf.detach()
        optimizer.step()


def test_roots_and_edge_of_stability():
    after = sympy.Matrix(rule(theta, lam * theta, b, lr=eta, momentum=beta)).jacobian([theta, b])
    assert same(after.det(), beta * (1 - eta * lam))
    assert same(after.trace(), (1 + beta) * (1 - eta * lam))
    values = {eta: 0.3, beta: 0.7, lam: 2.5}
    largest = max(abs(complex(root)) for root in after.subs(values).eigenvals())
    curvature = torch.tensor([2.5], dtype=torch.float64)
    assert rate(rule, curvature, 0.3, 0.7).item() == pytest.approx(largest)
    for keep in (0.2, 4 / 9, 0.9):
        edge = 2 * (1 + keep) / (1 + 2 * keep)
        assert rate(rule, curvature, 0.999 * edge / 2.5, keep) < 1 < rate(rule, curvature, 1.001 * edge / 2.5, keep)


@pytest.mark.parametrize("m, L", [(1, 25), (1, 100), (0.5, 8)])
def test_rates_of_the_two_settings(m, L):
    k, curvatures = L / m, torch.linspace(m, L, 400, dtype=torch.float64)
    keep = (math.sqrt(k) - 1) / (math.sqrt(k) + 1)
    assert rate(rule, curvatures, 1 / L, keep).max() == pytest.approx(1 - 1 / math.sqrt(k), abs=1e-6)
    root = math.sqrt(3 * k + 1)
    lessard = rate(rule, curvatures, 4 / (3 * L + m), (root - 2) / (root + 2)).max()
    assert lessard == pytest.approx(1 - 2 / root, abs=1e-6)
    if k == 100:
        assert lessard == pytest.approx(0.884722, abs=1e-6)


def test_lesson_compares_these_settings():
    cells = run("rates", "lessard-rate", **LESSON)
    settings = cells["settings"].items()
    worst = {name: rate(form, cells["curves"], lr, keep).max().item() for name, (form, lr, keep) in settings}
    assert worst == pytest.approx({"momentum": 9 / 11, "Nesterov": 0.9}, abs=1e-6)
    assert cells["tuned"].tolist() == pytest.approx([0.884722] * 2, abs=1e-6)


def test_friction():
    """One step of the ball, asked ahead, against classical momentum with the smaller factor."""
    beta_here = beta * (1 - eta * lam)
    ahead = theta - eta * beta * b
    assert same(beta * b + lam * ahead, momentum(theta, lam * theta, b, lr=eta, momentum=beta_here)[1])


EXPERIMENT = Later(lambda: {"play": play, **Lesson("04").run("nesterov-rule")})


def experiment(optimizer="nesterov", **moves):
    return EXPERIMENT.experiment(optimizer, **moves)


def after_60_steps(form, lr, beta):
    """The loss after 60 steps on the ravine, each coordinate rolled on its own, and the points."""
    ends, paths = [], []
    for curvature, p in ((1, -4.0), (25, 1.0)):
        velocity, ahead, path = 0.0, p, [p]
        for _ in range(60):
            velocity = beta * velocity + curvature * (p if form == "classical" else ahead)
            p -= lr * velocity
            ahead = p - lr * beta * velocity
            path.append(ahead if form == "torch's" else p)
        ends.append(curvature * path[-1] ** 2 / 2)
        paths.append(path)
    return sum(ends), list(zip(*paths, strict=True))


def slowest(lr, beta, ahead):
    """The larger root, of floor and wall, of r² - trace r + product."""
    sizes = []
    for z in (lr, 25 * lr):
        trace, product = ((1 + beta) * (1 - z), beta * (1 - z)) if ahead else (1 + beta - z, beta)
        companion = torch.tensor([[trace, -product], [1, 0]], dtype=torch.float64)
        sizes.append(torch.linalg.eigvals(companion).abs().max().item())
    return max(sizes)


@pytest.mark.parametrize("form", ["torch's", "look-ahead", "classical"])
@pytest.mark.parametrize("lr, beta", [(1 / 25, 0.9), (0.06, 0.9), (0.07, 0.3)])
def test_the_experiment_draws_each_form(form, lr, beta):
    made = experiment(torch.optim.SGD, lr=lr, beta=beta, form=form)
    loss, path = after_60_steps(form, lr, beta)
    numbers = made.numbers
    for name in ("torch", "yours"):
        assert numbers[f"loss after 60 steps, {name}"].item() == pytest.approx(loss, rel=1e-6)
        line = next(line for line in made.picture.axes[0].get_lines() if line.get_label() == name)
        assert line.get_xydata()[:5] == pytest.approx(torch.tensor(path[:5]).double().numpy())
    assert numbers["yours, ours and torch"] == "the same in all 60 steps"
    assert numbers["rate per step, looking ahead"].item() == pytest.approx(slowest(lr, beta, True), rel=1e-5)
    assert numbers["rate per step, classical"].item() == pytest.approx(slowest(lr, beta, False), rel=1e-5)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_looking_ahead_leaves_at_the_edge_of_the_lesson(beta):
    edge = 2 * (1 + beta) / (1 + 2 * beta) / 25
    assert edge < 2 * (1 + beta) / 25
    for factor, stays in ((0.99, True), (1.01, False)):
        numbers = experiment(beta=beta, lr=factor * edge).numbers
        assert (numbers["rate per step, looking ahead"] < 1) == stays
        assert numbers["rate per step, classical"] < 1


@pytest.mark.parametrize("lr, beta", [(0.06, 0.9), (0.02, 0.5)])
def test_the_switch_makes_classical_momentum(lr, beta):
    settings = {"lr": lr, "beta": beta, "broken": True}
    classical = experiment(form="classical", **settings).numbers
    assert classical["yours, ours and torch"] == "the same in all 60 steps"
    found = experiment(form="torch's", **settings).numbers["yours leaves torch at"]
    right, wrong = (after_60_steps(form, lr, beta)[1][1] for form in ("torch's", "classical"))
    points = [", ".join(f"{value:.3g}" for value in point) for point in (wrong, right)]
    assert found == "step 1, ({}) instead of ({})".format(*points)
    ahead = experiment(form="look-ahead", **settings).numbers
    assert ahead["yours leaves torch at"].startswith("step 2, ")
    assert ahead["loss after 60 steps, yours"] == classical["loss after 60 steps, yours"]


def test_in_the_classical_form_a_right_nesterov_leaves_at_the_first_step():
    assert experiment(form="classical").numbers["yours leaves torch at"].startswith("step 1, ")


@pytest.mark.parametrize("optimizer", [None, "nesterov", torch.optim.SGD, SGD])
def test_the_experiment_takes_any_optimizer(optimizer):
    numbers = experiment(optimizer).numbers
    name = "SGD" if optimizer is None else "yours"
    assert numbers[f"loss after 60 steps, {name}"].item() == pytest.approx(after_60_steps("torch's", 1 / 25, 0.9)[0])
    assert ("yours, ours and torch" in numbers) == (optimizer is not None)


def test_the_order_of_what_the_mended_rule_returns_counts():
    def mended_nesterov(p, g, b, *, lr, momentum):
        return rule(p, g, b, lr=lr, momentum=momentum)

    assert check(mended_nesterov).passed
    swapped = check(lambda *given, **named: mended_nesterov(*given, **named)[::-1], like="mended_nesterov")
    assert swapped.headline == "correct, but its results come in another order"


def with_a_plus(p, g, v, *, lr, momentum):
    """The step of the notes of CS231n with a plus at the old velocity."""
    old, v = v, momentum * v - lr * g
    return p + momentum * old + (1 + momentum) * v, v


def mixed_velocities(p, g, v, *, lr, momentum):
    """The step of the lesson with the velocity of the notes of CS231n."""
    v = momentum * v - lr * g
    return p - lr * (g + momentum * v), v


def looks_ahead_twice(gradient, p, lr, momentum, steps):
    velocity, path = 0.0, []
    for _ in range(steps):
        slope = gradient(p - lr * momentum * velocity)
        velocity = momentum * velocity + slope
        p = p - lr * slope - lr * momentum * velocity
        path.append(p)
    return path


def push_for_step(gradient, p, lr, momentum, steps):
    push, path = 0 * p, []
    for _ in range(steps):
        ahead = p + momentum * push
        push = -lr * gradient(ahead)
        p = ahead + push
        path.append(p + momentum * push)
    return path


def eager_uphill(p, g, v, *, lr, momentum):
    v = momentum * v - lr * g
    return p - (1 + momentum) * v, v


def whole_step_ahead(gradient, p, lr, momentum, steps):
    step, path = 0 * p, []
    for _ in range(steps):
        step = momentum * step - lr * gradient(p + momentum * step)
        p = p + step
        path.append(p + step)
    return path


def never_ahead(gradient, p, lr, momentum, steps):
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p) - lr * momentum * gradient(velocity)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


@pytest.mark.parametrize(
    "answer, like, name",
    [
        (never_ahead, "look_ahead_path", "the slope ahead is put together from the slope here and that at the"),
        (
            eager_uphill,
            "mended_nesterov",
            "the whole velocity is added to its own look-ahead, and the step leads uphill",
        ),
        (whole_step_ahead, "look_ahead_path", "the places are carried ahead by the whole velocity"),
        (with_a_plus, "mended_nesterov", "the old velocity is added where it is taken off"),
        (mixed_velocities, "mended_nesterov", "the velocity acts backwards and with lr twice"),
        (lambda k: 1 - k**-0.5, "best_momentum", "the convergence rate of the method at 1/L, not the momentum"),
        (
            lambda k: 1 - math.sqrt(2 / k),
            "best_momentum",
            "the right one only where the condition number is very large",
        ),
        (
            lambda k: 1 - 4 / (math.sqrt(3 * k + 1) + 2),
            "best_momentum",
            "the momentum of Lessard, Recht and Packard",
        ),
        (
            lambda k: (1 - 2 / (math.sqrt(2 * k) + 1)) / (1 - 0.5 / k),
            "best_momentum",
            "the right momentum, divided by 1 - lr * m",
        ),
        (lambda k: 1 - 2 / (math.sqrt(4 * k) + 1), "best_momentum", "the momentum for a learning rate of 1/(4 L)"),
        (
            lambda k: round(1 - 2 / (math.sqrt(2 * k) + 1), 3),
            "best_momentum",
            "every number is within a thousandth of the right one",
        ),
        (push_for_step, "look_ahead_path", "the last step is taken to be the push alone"),
        (
            looks_ahead_twice,
            "look_ahead_path",
            "torch's step is taken, and the gradient asked ahead of torch's parameters",
        ),
    ],
)
def test_a_mistake_in_other_words_is_named(answer, like, name):
    assert check(answer, like=like).headline.startswith(f"not yet: {name}")
