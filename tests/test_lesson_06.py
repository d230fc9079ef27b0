"""The formulas of lesson 06, run from its own cells."""

import math

import pytest
import sympy
import torch
from cells import Lesson

from edu_optim import SGD, RMSprop, descend, from_rule, train
from edu_optim.check import check
from edu_optim.lab.lesson_06 import growing, learn_digits, quickest, rprop, rprop_on_digits, turned
from edu_optim.problems import digits, quadratic, small_net

LESSON = Lesson("06")
run = LESSON.run
GRADIENTS = [2.0, -0.5, 0.0, 3.0, 1e-3, -7.0]
RULES = LESSON.later("rmsprop-rule", "rmsprop-centered-rule")


def steps(name, gradients, **options):
    """How far each gradient moves the parameter, and the buffers after the last."""
    p, buffers, moved = 0.0, [0.0] * (2 if name == "rmsprop_centered" else 1), []
    for g in gradients:
        after, *buffers = RULES[name](p, g, *buffers, **options)
        moved.append(p - after)
        p = after
    return moved, buffers


def faded(values, alpha):
    """The mean of equation (1), written out: the newest value counts 1 - alpha, each older one alpha times less."""
    return (1 - alpha) * sum(alpha**age * value for age, value in enumerate(reversed(values)))


@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("eps", [1e-8, 0.1, 1.0])
@pytest.mark.parametrize("name", ["rmsprop", "rmsprop_centered"])
def test_the_equations_are_the_rule_cells(name, eps, alpha):
    moved, _ = steps(name, GRADIENTS, lr=0.1, alpha=alpha, eps=eps)
    for t, g in enumerate(GRADIENTS, 1):
        variance = faded([g**2 for g in GRADIENTS[:t]], alpha)
        if name == "rmsprop_centered":
            variance -= faded(GRADIENTS[:t], alpha) ** 2
        assert moved[t - 1] == pytest.approx(0.1 * g / (variance**0.5 + eps), rel=1e-9)


@pytest.mark.parametrize("name", ["rmsprop", "rmsprop_centered"])
def test_with_letters_too(name):
    p, g, s, a, eta, alpha, eps = sympy.symbols("p g s a eta alpha epsilon", positive=True)
    centered = name == "rmsprop_centered"
    after, *buffers = RULES[name](p, g, s, *[a] * centered, lr=eta, alpha=alpha, eps=eps)
    means = [alpha * s + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g][: len(buffers)]
    assert [sympy.expand(buffer - mean) for buffer, mean in zip(buffers, means, strict=True)] == [0] * len(buffers)
    variance = means[0] - means[1] ** 2 if centered else means[0]
    assert sympy.simplify(sympy.nsimplify(after) - (p - eta * g / (sympy.sqrt(variance) + eps))) == 0


@pytest.mark.parametrize(("alpha", "length"), [(0.99, 10.0), (0.9, 3.1623)])
@pytest.mark.parametrize("g", [1e-3, 2.0, -50.0])
def test_the_first_step(alpha, length, g):
    (moved,), _ = steps("rmsprop", [g], lr=1.0, alpha=alpha, eps=0)
    assert abs(moved) == pytest.approx((1 - alpha) ** -0.5) == pytest.approx(length, abs=1e-4)


def test_the_first_four_steps():
    moved, _ = steps("rmsprop", [2.0] * 4, lr=0.1)
    assert [round(length, 3) for length in moved] == [1.0, 0.709, 0.58, 0.504]


def test_the_window():
    assert faded([0.0] * 20 + [1.0] * 10, 0.9) == pytest.approx(1 - 0.9**10) == pytest.approx(0.651322, abs=1e-6)
    assert 0.9**6.579 == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("t", [1, 5, 60])
@pytest.mark.parametrize("alpha", [0.9, 0.99])
def test_a_constant_gradient_fills_the_window(alpha, t):
    moved, _ = steps("rmsprop", [3.0] * t, lr=1.0, alpha=alpha, eps=0)
    assert moved[-1] == pytest.approx((1 - alpha**t) ** -0.5)
    _, (s, a) = steps("rmsprop_centered", [3.0] * t, lr=1.0, alpha=alpha)
    assert s - a**2 == pytest.approx((1 - alpha**t) * alpha**t * 9)


def test_a_centered_variance_can_round_below_zero():
    slopes = torch.linspace(0.1, 2, 2000)
    p = s = a = torch.zeros(2000)
    for _ in range(1500):
        p, s, a = RULES["rmsprop_centered"](p, slopes, s, a, lr=1e-3)
    assert (s < a**2).any() and p.isnan().any()


@pytest.mark.parametrize("found", [(1e25, 0.9, 100), (2e19, 0.99, 1), (1e30, 0.99, 1500)])
def test_an_infinite_square_is_named(found):
    def negative_variance():
        return found

    assert "a square too large for float32" in str(check(negative_variance))


CARD = {"lecture 6.5": 3.16, "Graves 2013": 4.59, "torch": 10, "Keras 3": 3.16, "TensorFlow 1": 1.75, "Optax": 3.16}


@pytest.mark.parametrize(("where", "length"), CARD.items(), ids=CARD)
def test_the_conventions_card(where, length):
    namespace = run("any-convention", "conventions-card")
    found = namespace["first_step"](2.0, **namespace["card"][where])
    assert found == pytest.approx(length, abs=5e-3)
    row = next(line for line in LESSON.sources["conventions"].splitlines() if line.startswith(f"| {where}"))
    assert row.endswith(f"| {found:.2f} lr |")


@pytest.mark.parametrize("inside", [1e-7, 1e-4])
def test_eps_inside_the_root_acts_like_its_root_outside(inside):
    g = 1e-6 * inside
    (outside,), _ = steps("rmsprop", [g], lr=1.0, alpha=0, eps=inside**0.5)
    assert run("any-convention")["first_step"](g, alpha=0, inside=inside) == pytest.approx(outside, rel=1e-5)


EXPERIMENT = LESSON.later("imports", "rmsprop-rule")
START = {"window": 10, "jump": 10, "eps": 1e-8, "broken": False}


def experiment(optimizer="rmsprop", **moves):
    return EXPERIMENT.experiment(optimizer, **START | moves)


def lengths(window, jump, eps, inside=0.0):
    """The lengths of the 100 steps of the experiment, from the mean written out."""
    gradients = [1e-4] * 30 + [1e-4 * jump] * 70
    means = [faded([g**2 for g in gradients[:t]], 1 - 1 / window) for t in range(1, 101)]
    return [g / ((mean + inside) ** 0.5 + eps) for g, mean in zip(gradients, means, strict=True)]


@pytest.mark.parametrize("moves", [{}, {"window": 100, "jump": 0.01, "eps": 1e-5}, {"window": 1, "jump": 1000}])
def test_the_experiment_measures_the_steps(moves):
    settings = {name: value for name, value in {**START, **moves}.items() if name != "broken"}
    made = experiment(**moves)
    assert made.numbers["alpha"] == pytest.approx(1 - 1 / settings["window"])
    for step in (1, 31, 100):
        assert made.numbers[f"step {step} (lr)"] == pytest.approx(lengths(**settings)[step - 1], rel=1e-6)
    assert made.numbers["yours, ours and torch"] == "the same in all 100 steps"


@pytest.mark.parametrize("jump", [1, 10, 1000])
@pytest.mark.parametrize("window", [2, 10, 1000])
def test_no_jump_takes_a_step_past_the_dashed_line(window, jump):
    made = experiment(window=window, jump=jump)
    (dashed,) = [line for line in made.picture.axes.get_lines() if line.get_linestyle() == "--"]
    highest = dashed.get_ydata()[0]
    assert highest == pytest.approx((1 / window) ** -0.5)
    assert made.numbers["step 31 (lr)"] <= highest
    if jump == 1000:
        assert made.numbers["step 31 (lr)"] == pytest.approx(highest, rel=1e-3)


def test_the_switch_takes_the_first_burst_away():
    made = experiment(broken=True)
    wrong, right = lengths(10, 10, eps=0, inside=1e-8), lengths(10, 10, eps=1e-8)
    for step in (1, 31, 100):
        assert made.numbers[f"step {step} (lr)"] == pytest.approx(wrong[step - 1], rel=1e-6)
    assert made.numbers["step 1 (lr)"] < 1 < right[0]
    said = f"step 1, (1, {wrong[0]:.3g}) instead of (1, {right[0]:.3g})"
    assert made.numbers["yours leaves torch at"] == said


@pytest.mark.parametrize("optimizer", [None, torch.optim.RMSprop, RMSprop])
def test_the_experiment_takes_any_optimizer(optimizer):
    numbers = experiment(optimizer, jump=1000).numbers
    assert numbers["step 31 (lr)"] == pytest.approx(10**0.5, rel=1e-3)
    assert ("yours, ours and torch" in numbers) == (optimizer is not None)


@pytest.mark.parametrize("lr", [0.02, 0.7])
def test_rprop_is_torchs(lr):
    path = descend(quadratic(25, 20), torch.optim.Rprop, steps=60, lr=lr).points
    place, state = path[0].tolist(), [[0.0, 0.0] for _ in "xy"]
    for point in path[1:]:
        slope = quadratic(25, 20).slope(*place)
        for i, g in enumerate(slope):
            place[i], *state[i] = rprop(place[i], g, *state[i], lr=lr)
        assert place == pytest.approx(point.tolist(), rel=1e-12)


@pytest.mark.parametrize(
    "ours, theirs, lr", [(SGD, SGD, 0.1), (RMSprop, RMSprop, 0.003), (from_rule(rprop), torch.optim.Rprop, 0.01)]
)
def test_digits_are_learned_as_by_train(ours, theirs, lr):
    units, (images, labels) = torch.linspace(0.5, 2, 64, dtype=torch.float64), digits()
    ends = learn_digits(ours, torch.tensor([1e-9, lr]), units, seeds=(4, 5, 6), steps=20, batch=8)
    for end, seed in zip(ends, (4, 5, 6), strict=True):
        net = small_net(64, 16, 10, seed=seed)
        net[0].weight.data /= units
        train(net, theirs, units * images, labels, 20, batch=8, lr=lr, seed=seed)
        assert end.item() == pytest.approx(torch.nn.functional.cross_entropy(net(units * images), labels).item(), 1e-5)


def test_a_falling_rate_falls_in_a_line():
    images, labels = digits()
    end = learn_digits(RMSprop, torch.tensor([0.02]), falling=True, seeds=(5,), steps=10, batch=8)
    net, draw = small_net(64, 16, 10, seed=5), torch.Generator().manual_seed(5)
    runner = torch.optim.RMSprop(net.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(runner, 1.0, 0.0, total_iters=10)
    for _ in range(10):
        drawn = torch.randint(len(labels), (8,), generator=draw)
        runner.zero_grad()
        torch.nn.functional.cross_entropy(net(images[drawn]), labels[drawn]).backward()
        runner.step()
        schedule.step()
    assert end.item() == pytest.approx(torch.nn.functional.cross_entropy(net(images), labels).item(), 1e-5)


@pytest.mark.parametrize("angle", [0, 33])
def test_the_ravine_that_turns_counts_steps(angle):
    numbers, bowl = turned().at(angle=angle).numbers, quadratic(25, angle)
    for name, path in quickest(angle).items():
        losses = bowl(path) / bowl(path[0])
        assert numbers[f"steps, {name}"] == len(path) - 1
        assert (losses[:-1] >= 1 / 2000).all() and losses[-1] < 1 / 2000
    for name, options in (("SGD", {"lr": 10 ** (7 / 8 - 2)}), ("momentum", {"lr": 0.1, "momentum": 0.5})):
        path = descend(bowl, torch.optim.SGD, steps=numbers[f"steps, {name}"], **options).points
        torch.testing.assert_close(quickest(angle)[name], path)


@pytest.mark.parametrize("batch", [12, 1797])
def test_the_steps_on_digits_are_those_of_torchs_rprop(batch):
    net, (images, labels) = small_net(64, 16, 10, seed=3), digits()
    runner = torch.optim.Rprop(net.parameters(), lr=0.003)
    train(net, lambda weights: runner, images, labels, 20, batch=batch if batch < 1797 else None, seed=3)
    sizes = torch.cat([runner.state[p]["step_size"].flatten() for p in net.parameters()])
    torch.testing.assert_close(rprop_on_digits(batch, seed=3)[-1], sizes)


def test_the_typical_step_follows_from_the_halvings():
    made = growing().at(batch=60)
    sizes = rprop_on_digits(60)
    sizes = sizes[:, (sizes != 0.003).any(0)]
    ratio = torch.round((sizes[1:] / sizes[:-1]).log() / math.log(1.2), decimals=6)
    halved, longer = (ratio < 0).sum(), (ratio > 0).sum()
    assert made.numbers["halvings among the changes"] == f"{halved / (halved + longer):.0%}"
    typical = 0.003 * math.exp((longer * math.log(1.2) - halved * math.log(2)) / sizes.shape[1])
    assert made.numbers["typical step at the end"].item() == pytest.approx(typical)
