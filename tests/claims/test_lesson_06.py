"""What lesson 06 claims beyond its own settings, tried elsewhere; each docstring quotes the sentences it tests."""

import math

import pytest
import torch

from edu_optim import SGD, Adagrad, RMSprop, descend, from_rule, rules, train
from edu_optim.lab.lesson_06 import RATES, _walk, play, quickest
from edu_optim.problems import digits, quadratic, small_net


def moves(optimizer, gradients, **options):
    """How far each gradient moves a weight."""
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    runner, moved = optimizer([p], **options), []
    for g in gradients:
        before, p.grad = p.item(), torch.tensor([g], dtype=torch.float64)
        runner.step()
        moved.append(p.item() - before)
    return moved


@pytest.mark.parametrize("seed", [1, 2])
def test_rprop_is_far_ahead_on_the_whole_data(seed):
    """On the digits, all at once, Rprop is far ahead, of momentum too."""

    def lowest(optimizer, *rates, **options):
        nets = [(small_net(64, 20, 10, seed=seed), lr) for lr in rates]
        return min(train(net, optimizer, *digits(), steps=60, lr=lr, **options)[-1] for net, lr in nets)

    ahead = lowest(torch.optim.Rprop, 0.005, 0.02)
    assert ahead < 0.1 * lowest(SGD, 0.3, 0.6, 1, 2, momentum=0.9) < 0.05 * lowest(SGD, 0.3, 0.6, 1, 1.5)


@pytest.mark.parametrize("seed, lr", [(1, 0.03), (2, 0.003)])
def test_most_flips_are_the_work_of_the_other_weights(seed, lr):
    """There a sign has no noise: the same sign again means that the loss still falls that way, and a flip that it now \
falls the other way: this weight went too far or, far more often in this net, the others moved."""
    net, dice = small_net(64, 24, 10, seed=seed), torch.Generator().manual_seed(seed)
    runner, tried, own = torch.optim.Rprop(net.parameters(), lr=lr), 0, 0

    def gradient(place=None):
        if place is not None:
            torch.nn.utils.vector_to_parameters(place, net.parameters())
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        return torch.cat([p.grad.flatten() for p in net.parameters()])

    images, labels = (each[::3] for each in digits())
    for step in range(30):
        before, g = torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone(), gradient()
        runner.step()
        after = torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone()
        new = gradient()
        flipped = ((g * new < 0) & (before != after)).nonzero().flatten()
        if step % 6 == 5:
            for i in flipped[torch.randperm(len(flipped), generator=dice)[:15]]:
                alone, back = before.clone(), after.clone()
                alone[i], back[i] = after[i], before[i]
                tried += 1
                own += bool(gradient(alone)[i] * g[i] < 0 or gradient(back)[i] * new[i] < 0)
            torch.nn.utils.vector_to_parameters(after, net.parameters())
    assert tried > 50 and own < 0.4 * tried


@pytest.mark.parametrize("seed, batch", [(1, 5), (2, 10)])
def test_signs_of_small_minibatches(seed, batch):
    """In small minibatches many signs are not those of the whole data."""
    net, dice = small_net(64, 24, 10, seed=seed), torch.Generator().manual_seed(seed)
    images, labels = digits()

    def gradient(rows=slice(None)):
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
        return torch.cat([p.grad.flatten() for p in net.parameters()])

    whole, other = gradient(), []
    for _ in range(20):
        part = gradient(torch.randint(len(images), (batch,), generator=dice))
        other.append((part * whole < 0)[part * whole != 0].double().mean())
    assert 0.25 < sum(other) / 20 < 0.45


def test_only_a_large_jump_outweighs_the_memory_at_once():
    """After a large jump up the new squares outweigh the old ones at once; after a jump down the old ones must fade \
first."""
    for window in (5, 40):
        edge = (window - 1) ** 0.5
        for jump, outweighs in ((edge / 1.5, False), (edge * 1.5, True)):
            assert (jump**2 / window > 1 - 1 / window) == outweighs
            half_way = (window / 2) ** 0.5  # the step if old and new squares weigh the same
            step = play().at(window=window, jump=jump).numbers["step 31 (lr)"]
            assert (step > half_way) == outweighs


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("many", [5, 20])
def test_signs_do_not_cancel_what_cancels(scale, many):
    """The signs end eight steps away, and ten more minibatches carry them eight further.
    Rprop is worse off: it takes nine equal signs for a long slope and lengthens its steps
    """
    stream = ([scale] * many + [-many * scale]) * 3
    signs = moves(SGD, [math.copysign(1, g) for g in stream], lr=0.1)
    assert sum(signs) == pytest.approx(-0.3 * (many - 1))
    assert sum(moves(SGD, stream, lr=0.1)) == pytest.approx(0, abs=1e-9 * scale)
    assert sum(moves(torch.optim.Rprop, stream, lr=0.1)) < sum(signs)


@pytest.mark.parametrize("seed", [3, 4])
def test_rprop_is_last_on_minibatches(seed):
    """The rule that was first by far on the whole data is last by far.
    Most of that is its growing and shrinking: signs with steps of one length end at 0.30, half of Rprop's 0.60.
    RMSprop repairs Rprop, 0.18; three starts cannot tell it from momentum, 0.20, or plain descent, 0.22, both tuned \
as well.
    """
    ball = {"momentum": 0.9}
    rivals = {"Rprop": (torch.optim.Rprop, (0.01, 0.05, 0.1), {}), "RMSprop": (RMSprop, (0.005, 0.02), {})}
    rivals |= {"SGD": (SGD, (0.4, 0.8), {}), "momentum": (SGD, (0.01, 0.03), ball)}
    ends = {}
    for name, (optimizer, rates, more) in (rivals | {"signs": (from_rule(by_signs), (0.004, 0.015), {})}).items():
        nets = [small_net(64, 20, 10, seed=seed) for _ in rates]
        for net, lr in zip(nets, rates, strict=True):
            train(net, optimizer, *digits(), steps=300, batch=16, seed=seed, lr=lr, **more)
        ends[name] = min(loss_on_digits(net) for net in nets)
    assert 0.6 * ends["RMSprop"] < ends["momentum"] < 2.2 * ends["RMSprop"]
    assert 0.8 * ends["RMSprop"] < ends["SGD"] < 1.6 * ends["RMSprop"]
    assert ends["signs"] - ends["RMSprop"] < 0.5 * (ends["Rprop"] - ends["RMSprop"])
    assert ends["Rprop"] > 1.5 * max(ends["SGD"], ends["signs"], ends["momentum"])


@pytest.mark.parametrize("start", [(-4, -1), (-3, 3)])
@pytest.mark.parametrize("condition", [10, 25, 100])
def test_a_turned_ravine_takes_the_lead_away(condition, start):
    """each weight has a step to suit: Rprop takes 9 steps, RMSprop 5.
    Momentum does not notice, but Rprop, ragged by luck, takes 24 steps, and RMSprop 56
    their gradients are of nearly one size, 0.94 times, so both are divided by the same
    A root for each weight, with a long memory, helps where the trouble lies along single weights; on a ravine turned \
by 45° it is slower than momentum from most starts.
    """
    straight, turned = (quickest(angle, condition, start) for angle in (0, 45))
    needed, after = ({name: len(path) for name, path in paths.items()} for paths in (straight, turned))
    assert max(needed["Rprop"], needed["RMSprop"]) < needed["momentum"] == after["momentum"]
    assert min(after["Rprop"], after["RMSprop"]) > after["momentum"] < after["SGD"] == needed["SGD"]
    slopes = torch.tensor([quadratic(condition, 45).slope(*place) for place in turned["RMSprop"].tolist()])
    x, y = slopes.norm(dim=0)
    assert 0.7 < y / x < 1.4


def quickest_rmsprop(angle, alpha, start):
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    begin, options = (c * start[0] - s * start[1], s * start[0] + c * start[1]), {"alpha": alpha, "most": 200}
    walks = (_walk(quadratic(25, angle), begin, rules.rmsprop, 1, lr=lr, **options) for lr in RATES)
    return min(map(len, walks)) - 1


@pytest.mark.parametrize("start", [(-4, 1), (-4, 2), (-3, 3)])
def test_the_memory_on_the_ravine(start):
    """with a shorter memory, 0.9, it takes 41
    Steps and roots for each weight help, if the memory is not too short (0.5 is), where the trouble lies along \
single weights.
    """
    assert quickest_rmsprop(45, 0.9, start) < quickest_rmsprop(45, 0.99, start)
    momentum = len(quickest(0, 25, start)["momentum"]) - 1
    assert max(quickest_rmsprop(0, alpha, start) for alpha in (0.9, 0.99)) < momentum
    assert quickest_rmsprop(0, 0.5, (-4, 1)) > momentum


def loss_on_digits(net):
    images, labels = digits()
    return torch.nn.functional.cross_entropy(net(images), labels).item()


def by_signs(p, g, *, lr):
    return (p - lr * g / ((g**2) ** 0.5 + 1e-12),)


def highest(net, lr_at, alpha, steps=12):
    """The highest loss of a run whose lr may change from step to step, and the first."""
    runner, losses = RMSprop(net.parameters(), lr=1, alpha=alpha), []
    for t in range(1, steps + 1):
        runner.param_groups[0]["lr"] = lr_at(t)
        runner.zero_grad()
        losses.append(torch.nn.functional.cross_entropy(net(digits()[0]), digits()[1]))
        losses[-1].backward()
        runner.step()
    return max(losses).item(), losses[0].item()


@pytest.mark.parametrize("hidden, seed, alpha", [(16, 1, 0.9), (24, 2, 0.98), (64, 3, 0.9)])
def test_the_burst_makes_the_climb(hidden, seed, alpha):
    """after one of 0.095 it does not, but in a net of 64 hidden units it does.
    as high as lr over $\\sqrt{1-\\alpha}$, makes the climb, and not by its first step alone. Cut that to a tenth, \
and the loss still climbs, to 3.1.
    Lower lr at the start, or shorten the memory
    """

    def climb(lr_at, alpha=alpha):
        top, start = highest(small_net(64, hidden, 10, seed=seed), lr_at, alpha)
        return top - start

    lr = 0.3 * (1 - alpha) ** 0.5
    whole = climb(lambda t: lr)
    assert climb(lambda t: lr * (0.1 if t == 1 else 1)) > 0.7 * whole > 0.7
    assert climb(lambda t: lr * ((1 - alpha**t) ** 0.5 if t > 1 else 1)) < 0.4 * whole  # the first step alone
    assert climb(lambda t: lr * (1 - alpha**t) ** 0.5) < 0.4 * whole  # no burst
    assert (climb(lambda t: lr * 0.095 / 0.3) > 0.05) == (hidden == 64)
    assert climb(lambda t: 0.03, 0.9) < 0.2 * climb(lambda t: 0.03, 0.99)


def test_a_faded_memory_passes_the_edge_of_lesson_01():
    """the memory has faded so far that lr times curvature over its root is above 2"""
    run = descend(quadratic(condition=25), RMSprop, steps=360, lr=0.1, alpha=0.99, keep_state=True)
    factor = 0.1 * 25 / run.state["square_avg"][:, 1].sqrt()
    lowest = int(run.losses.argmin())
    assert (factor[:50] < 2).all() and (factor[lowest:345] > 2).all() and run.losses[lowest:].max() > 0.1


@pytest.mark.parametrize("many", [9, 19])
def test_a_longer_memory_cancels_more(many):
    """So divide gradients that follow each other by nearly the *same* number, one that follows the size of the \
gradients slowly.
    A memory of about ten steps, 0.9, is a little short for a pattern of ten:
    """
    stream = ([0.3] * many + [-0.3 * many]) * 600
    drifts = []
    for alpha in (0.5, 0.8, 0.9, 0.97, 0.999):
        p, s, places = 0.0, 0.0, []
        for g in stream:
            p, s = rules.rmsprop(p, g, s, lr=1, alpha=alpha)
            places.append(p)
        drifts.append(places[-many - 2] - places[-1])
    assert drifts == sorted(drifts, reverse=True)
    assert many - 1 > drifts[0] > 100 * drifts[-1] > 0


@pytest.mark.parametrize("alpha", [0.3, 0.95, 0.999])
def test_no_jump_takes_a_step_further(alpha):
    """Step 31 is 3.16 lr long, as step 1 was, and no jump can take it further.
    so $\\sqrt{s_t}$ is at least $\\sqrt{1-\\alpha}\\,|g_t|$ and the step at most $\\eta/\\sqrt{1-\\alpha}$
    """
    generator = torch.Generator().manual_seed(0)
    wild = (10 ** (8 * torch.rand(300, generator=generator, dtype=torch.float64) - 4)).tolist()
    assert max(map(abs, moves(RMSprop, wild, lr=1, alpha=alpha))) <= (1 - alpha) ** -0.5 * (1 + 1e-9)
    assert play().at(window=1 / (1 - alpha), jump=900).numbers["step 31 (lr)"] <= (1 - alpha) ** -0.5


@pytest.mark.parametrize("g", [1e-3, 40.0])
@pytest.mark.parametrize("alpha", [0.5, 0.95, 0.995])
def test_the_burst(alpha, g):
    """With gradients of equal size $s_t$ is the filled share, $1-\\alpha^t$, times $g^2$.
    Without ε the gradient has gone: whatever its size, the first step is $\\eta/\\sqrt{1-\\alpha}$.
    """
    signs = [(-1) ** (t // 3) for t in range(60)]
    moved = moves(RMSprop, [sign * g for sign in signs], lr=0.2, alpha=alpha, eps=0)
    assert [abs(m) for m in moved] == pytest.approx([0.2 * (1 - alpha**t) ** -0.5 for t in range(1, 61)], rel=1e-6)


def test_a_longer_memory_bursts_higher_and_longer():
    """The longer the memory, the higher the burst and the longer it lasts"""
    bursts = [[abs(m) for m in moves(RMSprop, [3.0] * 400, lr=1, alpha=a)] for a in (0.5, 0.8, 0.95, 0.98, 0.995)]
    for short, long in zip(bursts, bursts[1:], strict=False):
        assert short[0] < long[0] and sum(m > 1.1 for m in short) < sum(m > 1.1 for m in long)
    assert sum(abs(m) for m in moves(RMSprop, [3.0] * 100, lr=1, alpha=0.99)) == pytest.approx(203, abs=0.5)


def test_eps_inside_halves_the_steps_of_far_larger_gradients():
    """Keras halves the steps of gradients nearly twenty thousand times larger than those whose steps torch halves."""
    halved_by_torch, halved_by_keras = 1e-8, (1e-7 / 3) ** 0.5
    assert halved_by_torch / (halved_by_torch + 1e-8) == pytest.approx(0.5)
    assert halved_by_keras / (halved_by_keras**2 + 1e-7) ** 0.5 == pytest.approx(0.5)
    assert 1.7e4 < halved_by_keras / halved_by_torch < 2e4


@pytest.mark.parametrize("mu", [0.5, 0.8])
def test_momentum_lengthens_a_steady_step(mu):
    """As there, a steady gradient ends in steps $1/(1-\\mu)$ times as long, so compare it at a smaller lr."""
    assert moves(RMSprop, [-0.7] * 1200, lr=0.1, momentum=mu)[-1] == pytest.approx(0.1 / (1 - mu), rel=1e-3)


@pytest.mark.parametrize("lr", [0.03, 0.3])
@pytest.mark.parametrize("condition", [4, 100])
@pytest.mark.parametrize("alpha", [0.7, 0.9, 0.98])
def test_the_bounce(alpha, condition, lr):
    """With all three memories each coordinate ends by jumping from half a step on one side to half a step on the other,
    whatever its curvature.
    """
    run = descend(quadratic(condition=condition), RMSprop, steps=3000, lr=lr, alpha=alpha)
    assert run.points[-2:].abs().flatten().tolist() == pytest.approx([lr / 2] * 4, rel=0.02)
    assert (run.points[-1] * run.points[-2] < 0).all()


def test_adagrad_goes_down_where_rmsprop_stops():
    """At 0.1 Adagrad is slow; at the larger rates it goes as far down as you like,
    RMSprop at $\\alpha = 0.9$ stops at a loss that the learning rate sets.
    """
    ravine = quadratic(condition=25)
    for lr in (0.7, 1.5):
        assert descend(ravine, Adagrad, steps=900, lr=lr).losses[-1] < 1e-40
        assert descend(ravine, RMSprop, steps=900, lr=lr, alpha=0.9).losses[-1] == pytest.approx(26 * lr**2 / 8, 1e-3)
    assert descend(ravine, Adagrad, steps=300, lr=0.08).losses[-1] > 0.5


@pytest.mark.parametrize("alpha", [0.7, 0.95, 0.99])
def test_the_variance_of_a_steady_gradient_fades(alpha):
    """Where nothing varies the variance fades in the end, and then the step grows and grows; only ε could stop it.
    So $s_t - a_t^2 = (1-\\alpha^t)\\,\\alpha^t g^2$ is left: it rises until the filled share is a half, \
and then fades.
    """
    s = a = before = 0.0
    for t in range(1, 30 if alpha < 0.9 else 120):
        p, s, a = rules.rmsprop_centered(0.0, 5.0, s, a, lr=1.0, alpha=alpha, eps=0)
        assert s - a**2 == pytest.approx((1 - alpha**t) * alpha**t * 25, rel=1e-6)
        assert -p == pytest.approx(((1 - alpha**t) * alpha**t) ** -0.5, rel=1e-6)
        assert t == 1 or alpha**t < 0.5 < alpha ** (t - 1) or (s - a**2 > before) == (alpha**t > 0.5)
        before = s - a**2
