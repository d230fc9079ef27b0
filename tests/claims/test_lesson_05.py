"""What lesson 05 claims about Adagrad, tried at settings that it does not use."""

import math

import pytest
import torch
from cells import Lesson
from torch.nn.functional import cross_entropy

from edu_optim import SGD, Adagrad, descend, from_rule, problems, train, train_many
from edu_optim.lab.lesson_05 import read_digits, read_words
from edu_optim.rules import adagrad

LESSON = Lesson("05")
HELD_OUT = LESSON.later("imports", "count-pixels", "a-clue", "clock-and-size", "held-out", "words")


@pytest.mark.parametrize("problem", [problems.beale, problems.himmelblau], ids=lambda problem: problem.name)
@pytest.mark.parametrize("c", [1e-4, 0.3, 5e5])
@pytest.mark.parametrize("lr", [0.02, 1.3])
def test_the_unit_of_the_loss_cancels(problem, c, lr):
    """Multiply all the gradients of a weight by one positive number, and its steps stay as they are, but for eps"""
    start = torch.tensor(problem.start, dtype=torch.float64)
    options = {"steps": 40, "start": start, "lr": lr, "eps": 0}
    path = descend(problem, from_rule(adagrad), **options).points
    scaled = descend(lambda p: c * problem(p), from_rule(adagrad), **options).points
    torch.testing.assert_close(scaled, path, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("lr", [0.1, 1.0])
@pytest.mark.parametrize("factor", [30, 1000])
def test_a_dim_input_is_learned_late(lr, factor):
    """The unit of an *input* does matter: dim it, and its weight has further to go.
    A larger learning rate can make up for most of that."""
    images, labels = problems.digits()
    losses = []
    for dimmed, raised in ((1, 1), (factor, 1), (factor, factor)):
        model = problems.small_net(64, 10)
        train(model, Adagrad, images / dimmed, labels, steps=80, batch=64, lr=raised * lr, seed=3)
        losses.append(cross_entropy(model(images / dimmed), labels).item())
    assert losses[1] > 2 * losses[0]
    assert factor == 1000 or losses[1] - losses[2] > 0.8 * (losses[1] - losses[0])


@pytest.mark.parametrize("seed", [3, 4])
def test_the_dots_of_adagrad_rise_and_fall(seed):
    """SGD's dots rise from left to right; Adagrad's, at this rate, rise, fall, and stay within a factor of ten."""
    images, labels, share = HELD_OUT["images"], HELD_OUT["labels"], HELD_OUT["lit"]
    rises = []
    for rule, lr in ((SGD, 1.0), (Adagrad, 0.3)):
        model = problems.small_net(64, 10)
        start = model[0].weight.detach().clone()
        train(model, rule, images, labels, steps=200, batch=32, lr=lr, seed=seed)
        far = (model[0].weight.detach() - start).norm(dim=0)
        rises.append(far[HELD_OUT["busy"]].mean() / far[HELD_OUT["rare"]].mean())
        dots = torch.stack([share.log(), far.log()])[:, share > 0]
        rise = torch.corrcoef(dots)[0, 1]
        assert rise > 0.8 if rule is SGD else rise < 0.1
    rarest, between, often = (far[(share > low) & (share < high)] for low, high in ((0, 0.005), (0.005, 0.1), (0.7, 1)))
    assert between.mean() > 1.5 * max(rarest.mean(), often.mean()) and far[share > 0].max() < 10 * far[share > 0].min()
    assert rises[0] > 60 and 0.5 < rises[1] < 1.5


@pytest.mark.parametrize("slope", [-1e-5, 3.0, 4e7])
@pytest.mark.parametrize("lr", [0.003, 20.0])
def test_a_steady_slope(slope, lr):
    """Along a steady slope step $t$ has length $\\eta/\\sqrt t$, however steep the slope, but for eps."""
    p, s = 0.0, 0.0
    for t in range(1, 300):
        before = p
        p, s = adagrad(p, slope, s, lr=lr, eps=0)
        assert abs(p - before) == pytest.approx(lr / t**0.5, rel=1e-9)


@pytest.mark.parametrize("rule", ["absolute", "logistic"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_sum_of_the_losses_is_bounded(rule, seed):
    """The paper's guarantee is for convex losses, a new one in each step: let no coordinate ever be farther than $D$ from the best fixed weights (if need be, clip it), and take $\\eta = D/\\sqrt2$.
    Then the losses of all $T$ steps add up to at most $\\sqrt2\\,D\\sum_i\\sqrt{s_{T,i}}$ more than those of the best fixed weights (but for eps).
    If gradients stay bounded, $\\sqrt{s_T}$ grows at most like $\\sqrt T$: what the mean loss has too much falls like $1/\\sqrt T$."""  # noqa: E501
    dice, far, bounds = torch.Generator().manual_seed(seed), 6.0, []
    best = torch.randn(20, generator=dice, dtype=torch.float64).clamp(-2, 2)
    p, s, regret = torch.zeros_like(best), torch.zeros_like(best), 0.0
    for _ in range(1600):
        row = (torch.rand(20, generator=dice) < 1 / torch.arange(1, 21)) * 1.0
        score, goal = row.double() @ p, row.double() @ best
        label = torch.sign(goal + torch.randn((), generator=dice))
        losses = [abs(at - goal) if rule == "absolute" else torch.log1p((-label * at).exp()) for at in (score, goal)]
        push = torch.sign(score - goal) if rule == "absolute" else -label * torch.sigmoid(-label * score)
        assert (p - best).abs().max() <= far
        regret += losses[0] - losses[1]
        p, s = adagrad(p, push * row.double(), s, lr=far / 2**0.5)
        p = p.clamp(-far / 2, far / 2)
        bounds.append((2**0.5 * far * s.sqrt().sum()).item())
        assert regret <= bounds[-1]
    assert bounds[-1] / 1600 <= 0.55 * bounds[399] / 400


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
    """turned by 45 degrees, its lead in the ravine was gone or smaller, depending on the start."""
    steps = [steps_of_adagrad(condition, angle, start) for angle in (5, 45)]
    assert steps[1] > 3 * steps[0]


def test_whether_turning_costs_the_lead_depends_on_the_start():
    """Mirror the start at the $x$ axis, so that it stands 4 up the wall and 1 along the floor, and Adagrad keeps a lead over SGD, though a smaller one."""  # noqa: E501
    sgd = (descend(problems.quadratic(25), SGD, steps=200, lr=2 / 26).losses / 20.5 > 1e-6).sum()
    assert steps_of_adagrad(25, 5, (-1.0, 4.0)) < steps_of_adagrad(25, 45, (-1.0, 4.0)) < sgd
    assert min(steps_of_adagrad(25, 45, start) for start in ((-4.0, 1.0), (-4.0, -1.0))) > sgd


def steps_of_adagrad(condition, angle, start):
    """How many it takes to a millionth of the loss, from ``start`` in the bowl's own axes, at the best rate."""
    lr = torch.logspace(-2, 3, 101, dtype=torch.float64)[:, None]
    bowl = problems.quadratic(condition=condition, angle=angle)
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = torch.tensor([c * start[0] - s * start[1], s * start[0] + c * start[1]], dtype=torch.float64)
    run = descend(bowl, from_rule(adagrad), steps=600, start=turned.expand(101, 2), lr=lr)
    return (run.losses > 1e-6 * run.losses[0]).sum(0).min()


def test_momentum_turns_with_the_ravine():
    """Momentum, tuned as in lesson 03, turns with the ravine and takes 26 steps, from 10 degrees on fewer than Adagrad."""  # noqa: E501
    for angle in (0, 17, 45):
        losses = descend(problems.quadratic(25, angle), SGD, steps=99, lr=(2 / 6) ** 2, momentum=(4 / 6) ** 2).losses
        assert (losses > 1e-6 * losses[0]).sum() == 26
    assert steps_of_adagrad(25, 7, (-4.0, 1.0)) < 26
    assert all(steps_of_adagrad(25, angle, (-4.0, 1.0)) > 26 for angle in (10, 12, 19, 37))


def learned_from(inputs, need, mean, seed, rules=("plain", "ahead", "falling", "own")):
    """What some rules have learned after 50 steps on ten other collections, on another grid."""
    english, even, less = (HELD_OUT[name] for name in ("english", "even", "less"))
    share, number = {
        "no ravine": (english, 1 / less),
        "rare": (english, 1.0),
        "faint": (even, less),
        "rare and faint": (0.3 * english.sqrt(), less.sqrt()),
    }[inputs]
    pull = number * {"smaller": less, "equal": less**0, "larger": 1 / less}[need]
    known = {"plain": (SGD, {}), "ahead": (SGD, {"momentum": 0.7, "nesterov": True}), "own": (Adagrad, {})}
    known |= {name: (from_rule(HELD_OUT[name]), {}) for name in ("clock", "size", "falling")}
    rates = torch.logspace(-1.6, 2.8, 15, dtype=torch.float64)
    pull *= mean * share.sum() / (share @ pull)
    return read_words({name: known[name] for name in rules}, share, pull, number, rates, seed)[0]


def leads(learned):
    return torch.tensor([learned["own"] - learned[name] for name in ("plain", "ahead", "falling") if name in learned])


@pytest.mark.parametrize("seed", [5, 6])
def test_no_lead_without_a_ravine(seed):
    """*No ravine* has words as rare as *rare* has, but bright, and Adagrad has no lead."""
    assert all(leads(learned_from("no ravine", "equal", mean, seed)).min() < 0.012 for mean in (4, 0.25))


@pytest.mark.parametrize("inputs, seed", [("rare", 5), ("faint", 6), ("rare and faint", 7)])
def test_in_a_ravine_the_weights_decide(inputs, seed):
    """In the ravines the weights decide
    | smaller weights | is last |
    | equal weights | leads |
    | larger weights | leads by far |
    With equal weights the dice decide in the ravines, and without one Adagrad has no lead; for smaller ones Adagrad is last again, and for larger ones it leads by far.
    Where larger ones are needed a falling rate helps SGD, but less
    """  # noqa: E501
    smaller, larger = (
        [leads(learned_from(inputs, need, mean, seed)) for mean in (4, 0.25)] for need in ("smaller", "larger")
    )
    assert all((lead[:2] < -0.03).all() and lead[2] < -0.02 for lead in smaller)
    assert (leads(learned_from(inputs, "equal", 4, seed)) > 0.02).all()
    if inputs != "rare and faint":
        leading, led = (leads(learned_from(inputs, "equal", 0.3, seed)) for seed in (11, 6))
        assert (leading[:2] > 0.03).all() and led[:2].min() < 0
    assert (larger[0] > 0.15).all() and (larger[1] > 0.04).all()
    assert larger[0][2] < larger[0][0]


@pytest.mark.parametrize("inputs, seed", [("rare", 5), ("faint", 6)])
def test_clock_or_size_on_words(inputs, seed):
    """On rare words clock or size alone brings over half of Adagrad's lead; on faint ones it is mostly the size."""
    learned = learned_from(inputs, "larger", 4, seed, ("plain", "clock", "size", "own"))
    plain, clock, size, own = learned.values()
    clock, size = (clock - plain) / (own - plain), (size - plain) / (own - plain)
    assert 0.5 < min(clock, size) < max(clock, size) < 0.9 if inputs == "rare" else clock < 0.4 < 0.7 < size


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 6])
def test_larger_batches_shrink_the_lead(seed):
    """Batches beyond 32 shrink its lead over Nesterov: on faint words that need larger weights, with clear labels, in batches of 512, Nesterov comes within three points."""  # noqa: E501
    rules = {"plain": (SGD, {}), "ahead": (SGD, {"momentum": 0.9, "nesterov": True}), "own": (Adagrad, {})}
    rates, share, number = torch.logspace(-1.6, 2.8, 15, dtype=torch.float64), HELD_OUT["even"], HELD_OUT["less"]
    found = [leads(read_words(rules, share, 3, number, rates, seed, batch)[0]) for batch in (32, 128, 512)]
    assert all((less < more).all() for less, more in zip(found[1:], found, strict=False))
    assert 0 < found[2][1] < 0.03
    share, pull, number = HELD_OUT["kinds"]["rare, larger"]
    found = [leads(read_words(rules, share, 3 * pull, number, rates, seed, batch)[0])[1] for batch in (32, 128, 512)]
    assert found[0] > found[1] > found[2]


@pytest.mark.parametrize("seed, batch, steps", [(3, 16, 150), (4, 64, 150), (2, 1, 1500)])
def test_clock_or_size_on_the_pixels(seed, batch, steps):
    """In these 1797 single images it is the clock, more than the size, that wakes the rare pixels; in batches of 32 it is the size."""  # noqa: E501
    images, busy, rare, moved = HELD_OUT["images"], HELD_OUT["busy"], HELD_OUT["rare"], {}
    rates = {"plain": (1.0, 0.05), "clock": (7.0, 1.0), "size": (0.03, 0.005)}
    for name, lrs in rates.items():
        model = problems.small_net(64, 10)
        start = model[0].weight.detach().clone()
        rule = SGD if name == "plain" else from_rule(HELD_OUT[name])
        train(model, rule, images, HELD_OUT["labels"], steps=steps, batch=batch, lr=lrs[batch == 1], seed=seed)
        far = (model[0].weight.detach() - start).norm(dim=0)
        moved[name] = far[rare].mean() / far[busy].mean()
    less, more = ("size", "clock") if batch == 1 else ("clock", "size")
    assert moved["plain"] < moved[less] < 0.6 * moved[more]


def test_small_batches_of_digits():
    """Adagrad leads SGD at each size; SGD at a falling rate does too, on pixels as given.
    In batches of sixteen or more Nesterov leads both.
    on digits SGD at a falling rate did as well
    """
    rules = {"falling": (from_rule(HELD_OUT["falling"]), {}), "plain": (SGD, {}), "own": (Adagrad, {})}
    rules["ahead"] = SGD, {"momentum": 0.9, "nesterov": True}
    for batch, first in ((1, "falling"), (3, "falling"), (20, "ahead")):
        found = {name: read_digits(rule, batch, seeds=range(24, 32), **own) for name, (rule, own) in rules.items()}
        assert found["falling"] < found["own"] + 0.02 < found["plain"] and min(found, key=found.get) == first


def test_read_digits_is_what_train_many_teaches():
    """Each rule takes 50 steps, at the best of fifteen learning rates: lowest mean loss over twelve draws of 600 held-out images"""  # noqa: E501
    (images, labels), rates = problems.digits(), torch.logspace(-2, 1.5, 15, dtype=torch.float64)
    mixed = torch.randperm(1797, generator=torch.Generator().manual_seed(7))
    unseen, seen = mixed[:600], mixed[600:]
    options = {"steps": 50, "batch": 4, "seed": 7, "lr": rates}
    run = train_many(problems.small_net(64, 10), Adagrad, images[seen], labels[seen], **options)
    best = min(cross_entropy(scores, labels[unseen]) for scores in run.scores(images[unseen]))
    assert read_digits(Adagrad, 4, seeds=[7]) == pytest.approx(best.item(), rel=1e-9)


def test_the_rare_pixels_are_not_missed():
    """The rare pixels have no part in it: without them, the clue among them, Adagrad does as well."""
    fewer = HELD_OUT["images"] * ~HELD_OUT["rare"]
    losses = [read_digits(Adagrad, 4, inputs, range(10, 12)) for inputs in (HELD_OUT["images"], fewer)]
    assert abs(losses[0] - losses[1]) < 0.01


@pytest.mark.parametrize("condition", [9, 400])
@pytest.mark.parametrize("start", [(-4.0, 1.0), (0.3, -2.0)])
def test_too_large_a_rate_on_a_parabola(condition, start):
    """In this ravine a rate ten times too small loses to SGD, and one ten times too large is *better*.
    from then on the weights' **own rates**, $\\eta/\\sqrt s$, are close to the ideal $1/\\lambda$"""
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


@pytest.mark.parametrize("at", [3, 700])
@pytest.mark.parametrize("size", [10.0, 100.0])
def test_a_shock(size, at):
    """The shock counts as ten thousand gradients of 1."""
    p = s = 0.0
    for t in range(1, 1001):
        before = p
        p, s = adagrad(p, size if t == at else 1.0, s, lr=1.0, eps=0)
        assert before - p <= 1
    assert s**0.5 == pytest.approx({10.0: 33.2, 100.0: 104.9}[size], abs=0.05)
    assert s**-0.5 * 1000**0.5 == pytest.approx({10.0: 0.95, 100.0: 0.30}[size], abs=0.005)
    assert s == 999 + size**2
