"""What lesson 06 claims beyond its own settings, tried elsewhere; each docstring quotes the sentences it tests."""

import math

import pytest
import torch

from edu_optim import SGD, Adagrad, RMSprop, descend, from_rule, rules, train, train_many
from edu_optim.lab.lesson_06 import learn_digits, play, quickest, rprop, rprop_on_digits
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
    """On the digits, all at once, Rprop is far ahead, of momentum too.
    With the velocity RMSprop ends at 0.02, as momentum did in the first picture.
    """

    def lowest(optimizer, *rates, **options):
        rates = torch.tensor(rates, dtype=torch.float64)
        return train_many(small_net(64, 20, 10, seed=seed), optimizer, *digits(), 60, lr=rates, **options).losses[-1]

    ahead, ball = lowest(from_rule(rprop), 0.01).min(), lowest(SGD, 0.6, 1, momentum=0.9).min()
    both = lowest(RMSprop, 0.003, momentum=0.9).min()
    plain, rms = lowest(SGD, 1, 1.5).min(), lowest(RMSprop, 0.01, 0.02).min()
    assert 0.6 < both / ball < 1.2
    assert ahead < 0.1 * ball and ball < 0.3 * rms and 0.5 * plain < rms < 1.5 * plain


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("many", [5, 20])
def test_signs_do_not_cancel_what_cancels(scale, many):
    """The ten cancel, so SGD ends where it began.
    Dividing a gradient by its own size leaves the sign
    - Equal steps need not cancel where gradients do
    """
    stream = ([scale] * many + [-many * scale]) * 3
    signs = moves(SGD, [math.copysign(1, g) for g in stream], lr=0.1)
    assert sum(signs) == pytest.approx(-0.3 * (many - 1))
    assert sum(moves(SGD, stream, lr=0.1)) == pytest.approx(0, abs=1e-9 * scale)


@pytest.mark.parametrize("seed", [1, 2])
def test_small_batches_shrink_the_steps(seed):
    """Left, without noise, the same sign again means that the loss still falls that way.
    - Noise flips signs, and each flip halves Rprop's step: on minibatches it freezes.
    """
    typical = {}
    for batch in (10, 30, 90, 220, 600, 1797):
        sizes = rprop_on_digits(batch, seed)
        changes = sizes.diff(dim=0)
        typical[batch] = sizes[-1].log().mean().exp().item() / 0.003
        halved = (changes < 0).sum() / (changes != 0).sum()
        assert (halved > math.log(1.2) / math.log(2.4)) == (typical[batch] < 1)
    assert list(typical.values()) == sorted(typical.values())
    assert typical[10] < 0.3 and typical[90] < 1 < typical[220] and typical[1797] > 5
    moved = sizes[-1][(sizes != 0.003).any(0)]
    assert (sizes[-1] > 0.003).double().mean() > 0.85 and 0.87 < (moved > 0.003).double().mean() < 0.97


@pytest.mark.parametrize("seed", [0, 1])
def test_steps_shrink_later_where_the_loss_is_low(seed):
    """Here 40% of the changes are halvings, and in 20 updates the typical step shrinks ninefold, \
with the loss still high.
    (In 100 updates it shrinks on all digits too, but there the loss is low by then.)
    """
    assert rprop_on_digits(1797, seed, updates=100)[-1].log().mean() < math.log(0.003)
    rate = torch.tensor([0.003], dtype=torch.float64)
    whole = train_many(small_net(64, 16, 10, seed=seed), from_rule(rprop), *digits(), 100, lr=rate).losses[-1]
    few = learn_digits(from_rule(rprop), rate, seeds=(seed,), steps=20)
    assert whole.item() < 0.01 and few.item() > 1


@pytest.mark.parametrize("wrong", [0.02, 0.1, 0.3, 0.45])
def test_five_equal_signs_make_up_for_a_flip(wrong):
    """only five updates of one sign make up for a flip.
    After a flip the next update keeps the step as it is
    """
    before, size, lengths = 0.0, 0.0, []
    for g in (wrong, *[-wrong] * 6):
        _, before, size = rprop(0.0, g, before, size, lr=1.0)
        lengths.append(size)
    assert lengths[1] == lengths[2] == 0.5 and lengths[5] < 1 < lengths[6]
    draw = torch.Generator().manual_seed(0)
    before, size = torch.zeros(2, 500, dtype=torch.float64)
    halved = longer = 0
    for _ in range(40):
        g = torch.where(torch.rand(500, generator=draw) < wrong, -1.0, 1.0).double()
        old = size
        _, before, size = rprop(0.0, g, before, size, lr=0.001)
        halved, longer = halved + ((0 < size) & (size < old)).sum(), longer + ((0 < old) & (old < size)).sum()
    assert (size.log().mean() < math.log(0.001)) == (longer < 3.8 * halved)


RULES = {"RMSprop": (RMSprop, {}), "Adagrad": (Adagrad, {}), "momentum": (SGD, {"momentum": 0.9}), "SGD": (SGD, {})}


def ends_on_digits(unit, rules, **how):
    rates = torch.logspace(-2.4, 0.3, 8, dtype=torch.float64)
    return {name: learn_digits(rule, rates, unit, **how, **more) for name, (rule, more) in rules.items()}


@pytest.mark.parametrize("seeds, batch", [(range(10, 15), 10), (range(20, 25), 16)])
def test_rprop_is_last_on_minibatches(seeds, batch):
    """On these minibatches Rprop is last by far, and it no longer learns
    Left, RMSprop ends at 0.19, but momentum, SGD and Adagrad overlap with it.
    """
    six = RULES | {"signs": (from_rule(by_signs), {}), "Rprop": (from_rule(rprop), {})}
    ends = ends_on_digits(1.0, six, seeds=seeds, steps=150, batch=batch)
    last = ends.pop("Rprop")
    assert all(last.min() > found.max() and last.median() > 1.6 * found.median() for found in ends.values())
    for name in ("momentum", "SGD", "Adagrad"):
        assert ends[name].min() < ends["RMSprop"].max() and ends[name].max() > ends["RMSprop"].min()


@pytest.mark.parametrize("batch", [10, 60, 300])
def test_twice_the_updates_hardly_help_frozen_steps(batch):
    """and it no longer learns: at ten digits 0.62 after 100 updates, 0.60 after 200."""
    how = {"seeds": range(10, 13), "batch": batch}
    rprops = RULES | {"Rprop": (from_rule(rprop), {})}
    half, whole = (ends_on_digits(1.0, rprops, steps=steps, **how) for steps in (100, 200))
    gained = {name: 1 - (whole[name].median() / half[name].median()).item() for name in rprops}
    assert abs(gained.pop("Rprop")) < 0.1 and min(gained.values()) > 0.25


@pytest.mark.parametrize("batch, hidden, seed, lr", [(10, 24, 1, 0.01), (50, 16, 2, 0.1)])
def test_rprop_freezes_on_minibatches(batch, hidden, seed, lr):
    """So its steps froze."""
    net, flips, before = small_net(64, hidden, 10, seed=seed), [], []

    class Watched(torch.optim.Rprop):
        def step(self):
            slopes = torch.cat([p.grad.flatten() for p in net.parameters()])
            flips.extend([(slopes * before.pop() < 0).double().mean()] if before else [])
            before.append(slopes)
            return super().step()

    runner = Watched(net.parameters(), lr=lr)
    train(net, lambda weights: runner, *digits(), 100, batch=batch, seed=seed)
    sizes = torch.cat([each["step_size"].flatten() for each in runner.state.values()])
    assert 0.7 < (sizes < 1e-4).double().mean() < 0.85
    assert sum(flips) / len(flips) > 1.4 * math.log(1.2) / math.log(2.4)  # where halving and lengthening are even


def test_kept_from_freezing_rprop_ends_where_signs_do():
    """Where no step may fall below 0.003 it ends at 0.31.
    So its steps froze.
    """
    tried = {least: (from_rule(rprop), {"least": least}) for least in (0.003, 0.01)}
    ends = ends_on_digits(1.0, tried | {"signs": (from_rule(by_signs), {})}, seeds=range(10, 15), steps=150)
    for least in tried:
        assert 0.7 < ends[least].median() / ends["signs"].median() < 1.3


@pytest.mark.parametrize("dice, steps, batch", [(7, 100, 32), (3, 200, 5), (1, 300, 10)])
def test_rmsprop_beats_sgd_and_momentum_in_own_units(dice, steps, batch):
    """Right, each of RMSprop's starts ends below each of momentum's and SGD's, 0.27 in the median beside
    0.45 and 0.51.
    Adagrad, at 0.30, overlaps with it here too.
    """
    dice = torch.Generator().manual_seed(dice)
    units = 10 ** (2 * torch.rand(64, generator=dice, dtype=torch.float64) - 1)
    ends = ends_on_digits(units, RULES, seeds=range(30, 35), steps=steps, batch=batch)
    ends |= ends_on_digits(units, {"less": (SGD, {"momentum": 0.7})}, seeds=range(30, 35), steps=steps, batch=batch)
    for name in ("momentum", "less", "SGD"):
        assert ends["RMSprop"].max() < ends[name].min() and ends["RMSprop"].median() < 0.75 * ends[name].median()
    assert ends["Adagrad"].median() < 1.3 * ends["RMSprop"].median()
    assert ends["Adagrad"].min() < ends["RMSprop"].max()


@pytest.mark.parametrize("rule, factor", [(SGD, 10), (RMSprop, 1)])
def test_the_root_takes_the_first_ten_out(rule, factor):
    """Multiply a pixel by ten, and its weight's gradient grows tenfold, though its steps should shrink tenfold.
    The root takes the first ten out;
    """
    moved = {}
    for unit in (1, 10):
        net, (images, labels) = small_net(64, 12, 10, seed=4), digits()
        images, weights = images.clone(), net[0].weight.data
        images[:, 20] *= unit
        weights[:, 20] /= unit
        before = weights.clone()
        train(net, rule, images, labels, steps=1, lr=1e-3)
        moved[unit] = (weights - before)[:, 20]
    torch.testing.assert_close(moved[10], factor * moved[1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("start", [(-4, -2), (-3, 3), (1, 3)])
@pytest.mark.parametrize("condition", [10, 25, 100])
def test_a_turned_ravine_takes_the_lead_away(condition, start):
    """the roots even that out.
    Momentum does not notice, nor does SGD, at 43 steps; RMSprop takes 56, or 41 at $\\alpha = 0.9$.
    RMSprop's gradients are of nearly one size, 0.94 times, so it has nearly one rate for the two.
    Rprop's steps, too, belong to the weights: 9 along the axes, ahead of momentum, and 24 here.
    down a ravine (condition 25, from (-4, 1)) it took 5 steps, turned 56, momentum 12.
    """
    straight, turned = (quickest(angle, condition, start) for angle in (0, 45))
    needed, after = ({name: len(path) - 1 for name, path in paths.items()} for paths in (straight, turned))
    rooted = {"RMSprop", "RMSprop 0.9"}
    assert max(needed[name] for name in rooted) <= min(needed[name] for name in needed.keys() - rooted)
    assert min(after, key=after.get) == "momentum"
    assert after["Rprop"] > needed["Rprop"]
    assert needed["momentum"] == after["momentum"] and needed["SGD"] == after["SGD"] < 200
    for name in rooted:
        assert 0.6 < after[name] / after["SGD"] < 1.5
    slopes = torch.tensor([quadratic(condition, 45).slope(*place) for place in turned["RMSprop"].tolist()])
    x, y = slopes.norm(dim=0)
    assert 0.7 < y / x < 1.4


@pytest.mark.parametrize(
    "dice, steps, batch, seeds", [(7, 100, 32, 30), pytest.param(2, 160, 12, 50, marks=pytest.mark.slow)]
)
def test_a_falling_rate_needs_the_burst_cut(dice, steps, batch, seeds):
    """Right, RMSprop at $\\alpha = 0.9$ ends at 0.22, lower than at a constant rate; but at 0.99 at 0.39, higher.
    Momentum ends at 0.40.
    In 200 steps at a falling rate, with units of their own, signs ended at 0.26, RMSprop ($\\alpha = 0.9$) at 0.22.
    But without it a falling rate does best at 0.03: it ends at 0.22, as at $\\alpha = 0.9$.
    - In 200 steps a falling lr helped at $\\alpha = 0.9$; at 0.99 it harmed until the burst was cut.
    """

    def without_burst(p, g, s, *, t, lr):
        return rules.rmsprop(p, g, s, lr=lr * (1 - 0.99**t) ** 0.5)

    def with_the_longer_burst(p, g, s, *, t, lr):
        return rules.rmsprop(p, g, s, lr=lr * ((1 - 0.9**t) / (1 - 0.99**t)) ** 0.5, alpha=0.9)

    dice = torch.Generator().manual_seed(dice)
    units = 10 ** (2 * torch.rand(64, generator=dice, dtype=torch.float64) - 1)
    how = {"seeds": range(seeds, seeds + 5), "steps": steps, "batch": batch}
    some = {name: RULES[name] for name in ("RMSprop", "Adagrad", "momentum", "SGD")}
    some |= {"cut": (from_rule(without_burst), {}), "0.9": (RMSprop, {"alpha": 0.9})}
    some |= {"steep": (from_rule(with_the_longer_burst), {}), "signs": (from_rule(by_signs), {})}
    constant, ends = (ends_on_digits(units, some, falling=falling, **how) for falling in (False, True))
    before, after = ({name: each.median() for name, each in found.items()} for found in (constant, ends))
    harmed = {name for name in some if after[name] > before[name]}
    assert harmed >= {"RMSprop", "Adagrad", "steep"} and not harmed & {"momentum", "SGD", "0.9", "signs"}
    assert after["momentum"] - after["signs"] > 0.6 * (after["momentum"] - after["0.9"])
    assert after["cut"] < 1.1 * before["cut"] and after["steep"] > 1.3 * after["0.9"] > before["steep"]
    for cut, left in (("cut", "RMSprop"), ("0.9", "steep")):
        assert abs(before[cut] - before[left]) < 0.5 * (after[left] - after[cut])
    assert ends["cut"].max() < constant["cut"].max() and after["cut"] < after["RMSprop"] - 0.1
    assert max(ends["cut"].max(), ends["0.9"].max()) < min(ends["momentum"].min(), ends["SGD"].min())
    assert after["RMSprop"] > 0.75 * after["momentum"] and abs(after["cut"] / after["0.9"] - 1) < 0.2


@pytest.mark.parametrize("dice, seeds, batch", [(7, 30, 16), pytest.param(2, 50, 10, marks=pytest.mark.slow)])
def test_the_burst_keeps_a_falling_rate_small(dice, seeds, batch):
    """At an lr of 0.01 cutting the burst does not help: 0.40, beside 0.39.
    With it, it ends there at 0.83: the burst forces a smaller rate, which, falling, does not get far in 200 steps.
    """

    def without_burst(p, g, s, *, t, lr):
        return rules.rmsprop(p, g, s, lr=lr * (1 - 0.99**t) ** 0.5)

    dice = torch.Generator().manual_seed(dice)
    units = 10 ** (2 * torch.rand(64, generator=dice, dtype=torch.float64) - 1)
    how = {"seeds": range(seeds, seeds + 3), "batch": batch, "falling": True}
    for unit, high in ((units, 0.03), (1.0, 0.05)):
        left, cut = (
            [learn_digits(each, torch.tensor([lr]).double(), unit, **how).median() for lr in (0.01, high)]
            for each in (RMSprop, from_rule(without_burst))
        )
        assert cut[0] > 0.85 * left[0] and cut[1] < 0.8 * min(cut[0], left[0])
        assert left[1] > 2 * cut[1] and left[1] > left[0]


@pytest.mark.slow
def test_in_a_longer_run_the_average_counts():
    """In 1000 steps bare signs fall behind, at 0.22 beside RMSprop's 0.07.
    The signs of the averaged gradient end at 0.07 too, with no size anywhere: what bare signs lacked was the average.
    """

    def averaged_signs(p, g, b, *, lr):
        b = 0.9 * b + 0.1 * g
        return p - lr * b.sign(), b

    dice = torch.Generator().manual_seed(3)
    units = 10 ** (2 * torch.rand(64, generator=dice, dtype=torch.float64) - 1)
    how = {"seeds": range(40, 43), "steps": 1000, "falling": True}
    for unit in (1.0, units):
        rates = torch.logspace(-2.75, -1.25, 4, dtype=torch.float64)
        signs = learn_digits(from_rule(by_signs), rates, unit, **how).median()
        averaged = learn_digits(from_rule(averaged_signs), rates, unit, **how).median()
        size = learn_digits(RMSprop, rates, unit, alpha=0.9, **how).median()
        assert size < 0.6 * signs and averaged < 0.6 * signs and 0.7 < averaged / size < 1.4


def by_signs(p, g, *, lr):
    return (p - lr * g / ((g**2) ** 0.5 + 1e-12),)


@pytest.mark.parametrize("hidden, seed, lr", [(16, 1, 0.03), (24, 2, 0.03), (64, 3, 0.02)])
def test_the_burst_makes_the_climb(hidden, seed, lr):
    """At 0.03 the burst lifts the loss, to 3.2; with the burst cut it falls at once, \
and with a warm-up it is here never above its start.
    From these first weights it ends at 0.42 with the burst, at 0.27 without; from others it may end lower with it.
    """

    def cut(p, g, s, *, t, lr):
        return rules.rmsprop(p, g, s, lr=lr * (1 - 0.99**t) ** 0.5)

    def warm(p, g, s, *, t, lr):
        return rules.rmsprop(p, g, s, lr=lr * min(1, t / 20))

    burst, without, warmed = (
        train(small_net(64, hidden, 10, seed=seed), optimizer, *digits(), steps=40, lr=lr)
        for optimizer in (RMSprop, from_rule(cut), from_rule(warm))
    )
    assert burst.max() > burst[0] + 0.3 and without.max() == warmed.max() == burst[0]


@pytest.mark.parametrize("hidden, seed", [(16, 1), (24, 2), (24, 3)])
def test_at_a_smaller_rate_the_burst_helps(hidden, seed):
    """At 0.01 the burst does no harm, and helps: the loss ends at 0.22, with the burst cut at 0.43."""

    def cut(p, g, s, *, t, lr):
        return rules.rmsprop(p, g, s, lr=lr * (1 - 0.99**t) ** 0.5)

    burst, without = (
        train(small_net(64, hidden, 10, seed=seed), optimizer, *digits(), steps=40, lr=0.01)
        for optimizer in (RMSprop, from_rule(cut))
    )
    assert burst.max() == burst[0] and burst[-1] < 0.75 * without[-1]


def test_a_faded_memory_passes_the_edge_of_lesson_01():
    """the memory has faded so far that lr times curvature over its root is above 2"""
    run = descend(quadratic(condition=25), RMSprop, steps=360, lr=0.1, alpha=0.99, keep_state=True)
    factor = 0.1 * 25 / run.state["square_avg"][:, 1].sqrt()
    lowest = int(run.losses.argmin())
    assert (factor[:50] < 2).all() and (factor[lowest:345] > 2).all() and run.losses[lowest:].max() > 0.1


@pytest.mark.parametrize("many", [9, 19])
def test_a_longer_memory_cancels_more(many):
    """So divide neighboring gradients by nearly the *same* number, which changes slowly with their size.
    At 0.9 it stays 0.68 away: the large square shortens its own step most.
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
    """Torch halves the steps of gradients of 1e-8, Keras those of gradients nearly twenty thousand times larger."""
    halved_by_torch, halved_by_keras = 1e-8, (1e-7 / 3) ** 0.5
    assert halved_by_torch / (halved_by_torch + 1e-8) == pytest.approx(0.5)
    assert halved_by_keras / (halved_by_keras**2 + 1e-7) ** 0.5 == pytest.approx(0.5)
    assert 1.7e4 < halved_by_keras / halved_by_torch < 2e4


@pytest.mark.parametrize("mu", [0.5, 0.8])
def test_momentum_lengthens_a_steady_step(mu):
    """As there, a steady gradient ends in steps $1/(1-\\mu)$ times as long, so compare it at a smaller lr"""
    assert moves(RMSprop, [-0.7] * 1200, lr=0.1, momentum=mu)[-1] == pytest.approx(0.1 / (1 - mu), rel=1e-3)


@pytest.mark.parametrize("lr", [0.03, 0.3])
@pytest.mark.parametrize("condition", [4, 100])
@pytest.mark.parametrize("alpha", [0.7, 0.9, 0.98])
def test_the_bounce(alpha, condition, lr):
    """With all three memories each coordinate ends by jumping from half a step on one side to half a step on the other,
    whatever its curvature;
    """
    run = descend(quadratic(condition=condition), RMSprop, steps=3000, lr=lr, alpha=alpha)
    assert run.points[-2:].abs().flatten().tolist() == pytest.approx([lr / 2] * 4, rel=0.02)
    assert (run.points[-1] * run.points[-2] < 0).all()


def test_adagrad_goes_down_where_rmsprop_stops():
    """At 0.1 Adagrad is slow; at the two larger rates it arrives,
    RMSprop at $\\alpha = 0.9$ stops at a loss that the learning rate sets.
    """
    ravine = quadratic(condition=25)
    for lr in (0.7, 1.5):
        assert descend(ravine, Adagrad, steps=900, lr=lr).losses[-1] < 1e-40
        assert descend(ravine, RMSprop, steps=900, lr=lr, alpha=0.9).losses[-1] == pytest.approx(26 * lr**2 / 8, 1e-3)
    assert descend(ravine, Adagrad, steps=300, lr=0.08).losses[-1] > 0.5


@pytest.mark.parametrize("g", [0.5, -3.0])
def test_graves_eps_bounds_the_quotient(g):
    """Graves put a larger ε, 1e-4, *inside* the root, which bounds the quotient at $100\\,|g|$."""
    s = a = 0.0
    for _ in range(3000):
        s, a = 0.95 * s + 0.05 * g**2, 0.95 * a + 0.05 * g
        quotient = g / (s - a**2 + 1e-4) ** 0.5
    assert abs(quotient) == pytest.approx(100 * abs(g))


@pytest.mark.parametrize("alpha", [0.7, 0.95, 0.99])
def test_the_variance_of_a_steady_gradient_fades(alpha):
    """With both memories the step first shrinks, to twice lr, and then grows and grows
    So $s_t - a_t^2 = (1-\\alpha^t)\\,\\alpha^t g^2$ is left: it rises until half is filled, and then fades.
    """
    s = a = before = 0.0
    for t in range(1, 30 if alpha < 0.9 else 120):
        p, s, a = rules.rmsprop_centered(0.0, 5.0, s, a, lr=1.0, alpha=alpha, eps=0)
        assert s - a**2 == pytest.approx((1 - alpha**t) * alpha**t * 25, rel=1e-6)
        assert -p == pytest.approx(((1 - alpha**t) * alpha**t) ** -0.5, rel=1e-6)
        assert t == 1 or alpha**t < 0.5 < alpha ** (t - 1) or (s - a**2 > before) == (alpha**t > 0.5)
        before = s - a**2
