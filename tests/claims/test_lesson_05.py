"""What lesson 05 claims about Adagrad, tried at settings that it does not use."""

import math

import pytest
import torch
from cells import Lesson
from torch.nn.functional import cross_entropy

from edu_optim import SGD, Adagrad, descend, from_rule, problems, train
from edu_optim.rules import adagrad

LESSON = Lesson("05")
HELD_OUT = LESSON.later("imports", "count-pixels", "held-out", "words")


@pytest.mark.parametrize("problem", [problems.beale, problems.himmelblau], ids=lambda problem: problem.name)
@pytest.mark.parametrize("c", [1e-4, 0.3, 5e5])
@pytest.mark.parametrize("lr", [0.02, 1.3])
def test_the_unit_of_the_loss_cancels(problem, c, lr):
    """Multiply all the gradients of a weight by one positive number and, without eps and from $s = 0$, its steps stay as they are."""  # noqa: E501
    start = torch.tensor(problem.start, dtype=torch.float64)
    options = {"steps": 40, "start": start, "lr": lr, "eps": 0}
    path = descend(problem, from_rule(adagrad), **options).points
    scaled = descend(lambda p: c * problem(p), from_rule(adagrad), **options).points
    torch.testing.assert_close(scaled, path, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("lr", [0.1, 1.0])
@pytest.mark.parametrize("factor", [30, 1000])
def test_a_dim_input_is_learned_late(lr, factor):
    """The unit of an *input* does matter: dim it, and its weight has further to go."""
    images, labels = problems.digits()
    losses = []
    for dimmed in (1, factor):
        model = problems.small_net(64, 10)
        train(model, Adagrad, images / dimmed, labels, steps=80, batch=64, lr=lr, seed=3)
        losses.append(cross_entropy(model(images / dimmed), labels).item())
    assert losses[1] > 2 * losses[0]


@pytest.mark.parametrize("seed", [3, 4])
def test_the_best_rate_takes_the_rare_further(seed):
    """At 0.3, the best of the six rates tried next, the rare pixels go one and a half times as far as the busy ones"""
    images, labels = HELD_OUT["images"], HELD_OUT["labels"]
    assert HELD_OUT["held_out"](Adagrad, images, labels, 10, seed).argmin() == 2  # of the rates
    model = problems.small_net(64, 10)
    start = model[0].weight.detach().clone()
    train(model, Adagrad, images, labels, steps=200, batch=32, lr=0.3, seed=seed)
    far = (model[0].weight.detach() - start).norm(dim=0)
    assert 1.2 < far[HELD_OUT["rare"]].mean() / far[HELD_OUT["busy"]].mean() < 2


@pytest.mark.parametrize("slope", [-1e-5, 3.0, 4e7])
@pytest.mark.parametrize("lr", [0.003, 20.0])
def test_a_steady_slope(slope, lr):
    """Along a steady slope step $t$ has length $\\eta/\\sqrt t$, however steep the slope."""
    p, s = 0.0, 0.0
    for t in range(1, 300):
        before = p
        p, s = adagrad(p, slope, s, lr=lr, eps=0)
        assert abs(p - before) == pytest.approx(lr / t**0.5, rel=1e-9)


def test_steps_of_one_over_t_add_up_to_little():
    """On a steady slope such steps add up to less than $8\\eta$ in a thousand steps, so a weight that has far to go \
hardly arrives; $\\eta/\\sqrt t$ brakes late enough."""
    assert sum(1 / t for t in range(1, 1001)) < 8
    assert sum(t**-0.5 for t in range(1, 1001)) > 60


@pytest.mark.parametrize("seed", [1, 2])
def test_an_own_rate_falls(seed):
    """Another is built into line (1): $s$ can only grow, so a weight's own rate never rises."""
    dice = torch.Generator().manual_seed(seed)
    s, rate = torch.zeros(50, dtype=torch.float64), torch.inf
    for g in torch.randn(400, 50, generator=dice, dtype=torch.float64) ** 3:
        _, s = adagrad(torch.zeros(50, dtype=torch.float64), g, s, lr=1.0)
        assert (1 / s.sqrt() <= rate).all()
        rate = 1 / s.sqrt()


@pytest.mark.parametrize("start", [1e-8, 0.2])
def test_eps_inside_the_root_is_a_start(start):
    """That needs no new rule: $s$ only ever grows by $g^2$, so it is the same as starting $s$ at $\\varepsilon$."""
    p, s, other, total = 0.4, start, 0.4, 0.0
    for g in (1e-3, -7.0, 0.0, 0.02):
        p, s = adagrad(p, g, s, lr=3.0, eps=0)
        total += g**2
        other -= 3.0 * g / (total + start) ** 0.5
        assert p == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize("condition", [10, 100])
@pytest.mark.parametrize("start", [(-4.0, 1.0), (3.0, 2.0), (-1.0, 4.0)])
def test_turning_costs_steps(start, condition):
    """from (-1, 4), turned too, Adagrad keeps a lead at 45 degrees, though a smaller one."""
    steps = [steps_of_adagrad(condition, angle, start) for angle in (5, 45)]
    assert steps[1] > 3 * steps[0]


def test_whether_turning_costs_the_lead_depends_on_the_start():
    """Where the two lines cross, and whether they do, depends on the start"""
    sgd = (descend(problems.quadratic(25), SGD, steps=200, lr=2 / 26).losses / 20.5 > 1e-6).sum()
    assert steps_of_adagrad(25, 45, (-1.0, 4.0)) < sgd < steps_of_adagrad(25, 45, (-4.0, 1.0))


def steps_of_adagrad(condition, angle, start):
    """How many it takes to a millionth of the loss, from ``start`` in the bowl's own axes, at the best rate."""
    lr = torch.logspace(-2, 3, 101, dtype=torch.float64)[:, None]
    bowl = problems.quadratic(condition=condition, angle=angle)
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = torch.tensor([c * start[0] - s * start[1], s * start[0] + c * start[1]], dtype=torch.float64)
    run = descend(bowl, from_rule(adagrad), steps=600, start=turned.expand(101, 2), lr=lr)
    return (run.losses > 1e-6 * run.losses[0]).sum(0).min()


def test_rare_words_are_where_it_pays():
    """With rare words Adagrad is ahead, each at its best rate
    Where all are equally frequent, 0.021 of that lead remain with these two texts, and nothing with some others.
    But the lead melts: SGD learns the rare words late, not never
    With $s$ started at 0.1, as in Keras, part of the lead is gone, even at its best `lr`.
    """
    best, words, english = HELD_OUT["best"], HELD_OUT["words"], HELD_OUT["english"]
    rare, equal = ([(*words(seed, share), 2) for seed in range(2, 6)] for share in (english, english.mean()))
    clock = {"rule": from_rule(HELD_OUT["common_clock"]), "lr": 10 * HELD_OUT["grid"]}
    own, late = best(Adagrad, rare, 50), best(Adagrad, rare, 400)
    lead, later = best(SGD, rare, 50, momentum=0.9) - own, best(SGD, rare, 400, momentum=0.9) - late
    assert lead > 0.03 and later < 0.7 * lead
    assert best(Adagrad, rare, 50, initial_accumulator_value=0.1) - own > 0.01
    own = best(Adagrad, equal, 50)
    assert best(SGD, equal, 50, momentum=0.9) - own < lead / 2
    assert min(best(SGD, equal, 50), best(**clock, sets=equal, steps=50)) - own > 0.01


def test_the_common_clock_overtakes():
    """and with equal words the common clock overtakes."""
    best, words, share, grid = (HELD_OUT[name] for name in ("best", "words", "english", "grid"))
    texts = [(*words(seed, share.mean()), 2) for seed in (7, 8)]
    clock = from_rule(HELD_OUT["common_clock"])
    assert best(clock, texts, 50, lr=10 * grid) > best(Adagrad, texts, 50)
    assert best(clock, texts, 800, lr=10 * grid) < best(Adagrad, texts, 800)


def test_the_digits_are_a_draw():
    """after 200 steps SGD and Adagrad draw: a pixel that speaks in one image of two hundred hardly changes a mean."""
    held_out, images, labels = (HELD_OUT[name] for name in ("held_out", "images", "labels"))
    for seed in (5, 6):
        plain, own = (held_out(rule, images, labels, 10, seed) for rule in (SGD, Adagrad))
        assert abs(plain.min() - own.min()) < 0.03
        assert all(0 < losses.argmin() < len(losses) - 1 for losses in (plain, own))
    blank = images * ~HELD_OUT["rare"]
    assert abs(held_out(Adagrad, blank, labels, 10, 5).min() - own.min()) < 0.03


@pytest.mark.parametrize("size", [10.0, 100.0])
def test_a_shock(size):
    """900 quiet steps after the shock the rate is 0.30 of the steady one; after a shock of 10 it would be 0.95.
    But the shock of 100 moved the weight by 1, and SGD's by 100."""
    p = s = 0.0
    for t in range(1, 1001):
        before, steady = p, t**-0.5
        p, s = adagrad(p, size if t == 100 else 1.0, s, lr=1.0, eps=0)
        if t == 100:
            assert before - p == pytest.approx(1, abs=0.01 if size == 100 else 0.35)
    assert s**-0.5 / steady == pytest.approx({10.0: 0.95, 100.0: 0.30}[size], abs=0.005)
