"""What lesson 05 claims about Adagrad, tried at settings that it does not use."""

import math

import pytest
import torch
from cells import Lesson
from torch.nn.functional import cross_entropy

from edu_optim import SGD, Adagrad, descend, from_rule, problems, train
from edu_optim.lab.lesson_05 import learn_words
from edu_optim.rules import adagrad

LESSON = Lesson("05")
HELD_OUT = LESSON.later("imports", "count-pixels", "a-clue", "held-out", "words")


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
    """at 0.3, the best of the six rates tried next, the rare pixels go one and a half times as far as the busy ones"""
    images, labels = HELD_OUT["images"], HELD_OUT["labels"]
    assert HELD_OUT["held_out"](Adagrad, 200, seed).argmin() == 2  # of the rates
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
    """Another is built into line (1): $s$ can only grow, so a weight's own rate, $\\eta/\\sqrt{s_t}$, never rises."""
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
    """mirror it at the $x$ axis, to the other side of the turned floor, and at 45 degrees Adagrad keeps a lead, though a smaller one.
    turned by 45 degrees, from most starts much of the advantage is gone."""  # noqa: E501
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


@pytest.fixture(scope="module")
def words_of():
    """Held-out losses of a rule on ten collections of another seed, with rare, equally frequent or weak words."""
    words, english = HELD_OUT["words"], HELD_OUT["english"]
    sets = {kind: words(share, seed=5) for kind, share in (("rare", english), ("equal", english.mean()))}
    sets["weak"] = words(english, english**0.75, seed=6)
    rates = torch.logspace(-0.8, 2.6, 11, dtype=torch.float64)
    return lambda rule, kind, at=(50, 200), **options: learn_words(rule, *sets[kind], rates, at, **options)


def test_rare_words_are_where_it_pays(words_of):
    """With rare words Adagrad leads Nesterov in the mean
    Where all are equally frequent, the lead is smaller"""
    lead = {}
    for kind in ("rare", "equal"):
        ahead = words_of(SGD, kind, momentum=0.7, nesterov=True)
        lead[kind] = ahead - words_of(Adagrad, kind)
    assert (lead["rare"].mean(1) > 0.01).all() and ((lead["rare"] > 0).sum(1) >= 7).all()
    assert lead["equal"].mean() < lead["rare"].mean() * 2 / 3


def test_rare_words_must_tell_as_much_as_others(words_of):
    """Where rare words are weak, Adagrad is last.
    Take it where inputs are rare, a rare one tells as much as a frequent one, labels are clear and steps few"""
    entrants = {"plain": (SGD, {}), "clock": (from_rule(HELD_OUT["common_clock"]), {})}
    entrants["ahead"] = (SGD, {"momentum": 0.7, "nesterov": True})
    own = words_of(Adagrad, "weak").mean(1)
    assert all((words_of(rule, "weak", **options).mean(1) < own).all() for rule, options in entrants.values())


def test_the_common_clock_overtakes(words_of):
    """and the common clock is ahead at the end."""
    clock, own = (words_of(rule, "equal", (200,)) for rule in (from_rule(HELD_OUT["common_clock"]), Adagrad))
    assert clock.mean() < own.mean()


def test_the_digits_are_a_draw():
    """On these digits Adagrad does not win: after 50 and 200 steps Nesterov leads, and after 200 SGD and Adagrad draw.
    A pixel that speaks in one image of two hundred hardly changes a mean, and even on its nine images the faint clue \
counts for little."""
    held_out, images = HELD_OUT["held_out"], HELD_OUT["images"]
    plain, own = (held_out(rule, 200, 5) for rule in (SGD, Adagrad))
    ahead = held_out(SGD, 200, 5, momentum=0.9, nesterov=True)
    assert abs(plain.min() - own.min()) < 0.03 and ahead.min() < own.min()
    assert all(0 < losses.argmin() < len(losses) - 1 for losses in (plain, own))
    blank = images * ~HELD_OUT["rare"]
    assert abs(held_out(Adagrad, 200, 5, blank).min() - own.min()) < 0.03


@pytest.mark.parametrize("seed", [1, 2])
def test_the_clue_counts_for_little(seed):
    """and even on its nine images the faint clue counts for little."""
    images, labels, clue = HELD_OUT["images"], HELD_OUT["labels"], HELD_OUT["clue"]
    model, nine = problems.small_net(64, 10), images[:, clue] > 0
    start = model[0].weight.detach().clone()
    train(model, Adagrad, images, labels, steps=200, batch=32, lr=0.3, seed=seed)
    before = cross_entropy(model(images[nine]), labels[nine]).item()
    with torch.no_grad():
        model[0].weight[:, clue] = start[:, clue]
    assert before < cross_entropy(model(images[nine]), labels[nine]).item() < 1.3 * before


@pytest.mark.parametrize("steps", [50, 200])
def test_too_large_costs_with_minibatches(steps):
    """In a turned ravine, on a slope that bends or with minibatches, too large can cost."""
    losses = HELD_OUT["held_out"](Adagrad, steps, 7)
    assert losses[-1] > 2 * losses.min()


@pytest.mark.parametrize(
    "loss",
    [problems.quadratic(25, angle=15), problems.rosenbrock, lambda p: (p**4).sum(-1), lambda p: p.cosh().log().sum(-1)],
)
def test_too_large_costs_on_other_slopes(loss):
    """In a turned ravine, on a slope that bends or with minibatches, too large can cost."""
    start = torch.tensor([-3.0, 1.0], dtype=torch.float64)
    rates = 0.5 * 2.0 ** torch.arange(4)
    losses = [[descend(loss, Adagrad, 20, start=start, lr=lr * part).losses[-1] for lr in rates] for part in (1, 10)]
    assert min(losses[1]) > min(losses[0])


@pytest.mark.parametrize("condition", [9, 400])
@pytest.mark.parametrize("start", [(-4.0, 1.0), (0.3, -2.0)])
def test_too_large_a_rate_on_a_parabola(condition, start):
    """Here ten times too small loses to SGD, and ten times too large is *better*.
    from then on the weights' **own rates**, $\\eta/\\sqrt s$, are close to the ideal $1/\\lambda$
    Nothing enlarges a rate that is too small."""
    bowl, p = problems.quadratic(condition), torch.tensor(start, dtype=torch.float64)
    half = p.abs().max().item() / 2
    runs = [descend(bowl, Adagrad, 20, start=p, lr=part * half, keep_state=True) for part in (0.1, 1.0, 10.0)]
    small, _, large = (run.losses[-1] for run in runs)
    assert small > descend(bowl, SGD, 20, start=p, lr=2 / (1 + condition)).losses[-1] or condition == 400
    assert large < runs[1].losses[-1] < small
    own = 10 * half / runs[2].state["sum"][-1].sqrt()
    assert own.tolist() == pytest.approx([1, 1 / condition], rel=0.25)


@pytest.mark.parametrize("lr, seed, batch", [(0.1, 1, 32), (0.3, 2, 64), (2.0, 3, 16)])
def test_rareness_is_most_of_the_hundred(lr, seed, batch):
    """A factor of 15 is left, and the ink made seven: both count, and rareness more."""
    images, labels, ratios = HELD_OUT["images"], HELD_OUT["labels"], []
    rare, busy, lit = HELD_OUT["rare"], HELD_OUT["busy"], images > 0
    dim = torch.where(busy, 0.1 * lit, images)  # the other way round: the busy pixels as faint as the rare
    for inputs in (images, torch.where(rare, 0.72 * lit, images), dim):
        model = problems.small_net(64, 10)
        start = model[0].weight.detach().clone()
        train(model, SGD, inputs, labels, steps=200, batch=batch, lr=lr, seed=seed)
        far = (model[0].weight.detach() - start).norm(dim=0)
        ratios.append(far[busy].mean() / far[rare].mean())
    assert all(ratios[0] / left > 4 and left > ratios[0] / left for left in ratios[1:])


@pytest.mark.parametrize("size", [10.0, 100.0])
def test_a_shock(size):
    """900 quiet steps after the shock the rate is 0.30 of the steady one.
    But the shock of 100 moved the weight by 1, and SGD's by 100."""
    p = s = 0.0
    for t in range(1, 1001):
        before, steady = p, t**-0.5
        p, s = adagrad(p, size if t == 100 else 1.0, s, lr=1.0, eps=0)
        if t == 100:
            assert before - p == pytest.approx(1, abs=0.01 if size == 100 else 0.35)
    assert s**-0.5 / steady == pytest.approx({10.0: 0.95, 100.0: 0.30}[size], abs=0.005)
