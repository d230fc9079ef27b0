"""Claims of lesson 11, tried at settings that the lesson does not use."""

import itertools
import math

import pytest
import torch

from edu_optim import SGD, Adagrad, Adam, AdamW, RMSprop
from edu_optim.contest import flip_test, stored, trial
from edu_optim.lab import lesson_11
from edu_optim.lab.lesson_09 import GRID, unseen_error
from edu_optim.problems import small_net, wilson_example

RESULTS = stored()["results"]


@pytest.mark.slow
def test_one_seed_shows_either_winner():
    """A single seed would have shown you either winner."""
    wins = set()
    for seed in range(6):
        adam = trial("digits, MLP", "Adam", [0.0215], seed).held_out[0]
        momentum = trial("digits, MLP", "momentum", [0.215], seed).held_out[0]
        wins.add((adam > momentum) - (adam < momentum))
        if {-1, 1} <= wins:
            return
    raise AssertionError(f"one of them won with each seed: {wins}")


@pytest.mark.parametrize("seed", range(20))
def test_how_many_seeds_it_takes(seed):
    """With seven seeds no result reaches 0.01; with eight only a clean sweep does, $2/2^8$."""
    sizes = 10 ** torch.randn(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for n, least in ((7, 0.01), (8, 0.0)):
        for pattern in range(2**n):
            differences = [(1 if pattern >> k & 1 else -1) * float(sizes[k]) for k in range(n)]
            p = flip_test(differences, [0.0] * n)
            assert p > least
            assert n == 7 or (p < 0.01) == (pattern in (0, 255))


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "seed"), [(0.45, 3), (0.7, 5), (0.9, 4)])
def test_the_sharpness_stays_at_the_edge(lr, seed, monkeypatch):
    """Each climbs to $2/\\eta$, past it, and then stays about there: at the **edge of stability** (Cohen et al. 2021).
    About half of the last 200 steps go uphill, 90 and 97, and over hundreds of steps the loss falls all the same.
    """
    monkeypatch.setattr(lesson_11, "small_net", lambda *sizes: small_net(*sizes, seed=seed))
    losses, sharp = lesson_11.at_the_edge.__wrapped__(SGD, lr)
    late = torch.tensor(sharp[-20:])
    assert late.mean() == pytest.approx(2 / lr, rel=0.1)
    assert 50 < (losses.diff()[-200:] > 0).sum() < 150 and losses[-200:].mean() < losses[200:400].mean()


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "seed"), [(1.4, 1), (1.4, 3), (2.5, 2)])
def test_there_is_a_wall(lr, seed, monkeypatch):
    """There is, at nearly twice the rate: with this start the loss grows without end from 1.4 on."""
    monkeypatch.setattr(lesson_11, "small_net", lambda *sizes: small_net(*sizes, seed=seed))
    losses, sharp = lesson_11.at_the_edge.__wrapped__(SGD, lr)
    assert not losses[-1].isfinite() and lr > 1.5 * 2 / sharp[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_twice_the_rate_halves_the_sharpness(seed, monkeypatch):
    """With twice the learning rate it settles about half as high
    The loss ends hardly higher
    """
    monkeypatch.setattr(lesson_11, "small_net", lambda *sizes: small_net(*sizes, seed=seed))
    (slow, high), (fast, low) = (lesson_11.at_the_edge.__wrapped__(SGD, lr) for lr in (0.6, 1.2))
    assert sum(low[-20:]) / sum(high[-20:]) == pytest.approx(0.5, rel=0.1)
    assert fast[-100:].mean().item() == pytest.approx(slow[-100:].mean().item(), rel=0.2)
    assert fast[-100:].mean() < 1.03 * slow[-100:].mean()


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "seed"), [(0.25, 0), (0.5, 1), (1.0, 2), (3, 2), (5, 1), (6, 3)])
def test_with_cross_entropy_the_sharpness_passes_the_edge_or_turns_before_and_falls(lr, seed, monkeypatch):
    """at 0.6 the sharpness never comes near $2/\\eta$.
    At 4, where the loss ends ten times lower, it leaps past $2/\\eta$ within the first steps.
    At both it then falls far below: with this loss and these rates the edge is nowhere to stay.
    """
    monkeypatch.setattr(lesson_11, "small_net", lambda *sizes: small_net(*sizes, seed=seed))
    losses, sharp = lesson_11.at_the_edge.__wrapped__(SGD, lr, lesson_11.ENTROPY)
    over = [found * lr / 2 for found in sharp]
    assert (max(over[:4]) > 1 and losses[-1] < 0.002) if lr >= 3 else max(over) < 0.6
    assert over[-1] < 0.1 and sharp[-1] < 0.8 * max(sharp)


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "seed"), [(0.6, 1), (0.6, 3), (4.0, 2), (4.0, 3)])
def test_at_two_rates_cross_entropy_falls_far_below(lr, seed, monkeypatch):
    """At both it then falls far below: with this loss and these rates the edge is nowhere to stay."""
    monkeypatch.setattr(lesson_11, "small_net", lambda *sizes: small_net(*sizes, seed=seed))
    _, sharp = lesson_11.at_the_edge.__wrapped__(SGD, lr, lesson_11.ENTROPY)
    assert max(sharp[-20:]) < 0.1 * 2 / lr


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "seed"), [(0.3, 1), (0.25, 2)])
def test_a_small_rate_is_still_on_its_way(lr, seed, monkeypatch):
    """At 0.3 the sharpness is still climbing."""
    monkeypatch.setattr(lesson_11, "small_net", lambda *sizes: small_net(*sizes, seed=seed))
    _, sharp = lesson_11.at_the_edge.__wrapped__(SGD, lr)
    assert sharp[20] < sharp[40] < sharp[-1] < 0.95 * 2 / lr


@pytest.mark.parametrize("given", [(7, 3, 2), (3, 2, 5)])
@pytest.mark.parametrize(("optimizer", "lr"), [(SGD, 0.03), (Adagrad, 0.05), (RMSprop, 0.001), (Adam, 0.002)])
def test_who_calls_everything_positive(optimizer, lr, given):
    """Gradient descent is right about both.
    With all six in each step the adaptive three put 0.25 or -0.25 on each feature that they use, and call everything
    They divide each gradient by its own size, so all weights go equally far: the two features that are always 1 lean
    """
    (X, y) = wilson_example(*given)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    runner = optimizer([w], lr=lr)
    for _ in range(4000):
        w.grad = X.T @ (X @ w.detach() - y) / len(y)
        if optimizer is not SGD and (X @ w.detach() - y).abs().min() > 0.1:  # on the way
            assert torch.allclose(w.grad / w.grad[0], X.T @ y / (X[:, 0] @ y), rtol=1e-2)
        runner.step()
    w = w.detach()
    assert (X @ w - y).abs().max() < 0.02  # RMSprop trembles about the fit
    positive, negative = w[0] + w[1] + w[2], -w[0] + w[1] + w[2]
    assert positive > 0 and (negative < 0) == (optimizer is SGD)
    if optimizer is not SGD:
        assert w[w != 0].abs().max() == pytest.approx(1 / (3 + given[2]), rel=3e-2)
        assert w[1] > 0 and w[1] + w[2] > w[0]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("optimizer", "lr"), [(SGD, 0.02), (Adagrad, 0.1), (RMSprop, 0.001), (Adam, 0.003)])
def test_with_one_example_a_step_nobody_calls_everything_positive(optimizer, lr, seed):
    """At these rates all four are right about both; Adagrad at 1.0, with these draws, is not.
    so the weights no longer go equally far, and the label gets the most.
    """
    (X, y), draws = wilson_example(), torch.Generator().manual_seed(seed)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    runner = optimizer([w], lr=lr)
    for one in torch.randint(len(y), (4000,), generator=draws):
        w.grad = X[one] * (X[one] @ w.detach() - y[one])
        runner.step()
    assert (X @ w.detach() - y).abs().max() < 0.02
    label, one, two, *_ = w.tolist()
    assert label == max(w.tolist()) and label > abs(one + two) and w[3].item() < 0.5 * label


@pytest.mark.parametrize(("lr", "seed", "right"), [(1.0, 0, False), (1.0, 1, False), (0.1, 0, True), (0.03, 1, True)])
def test_who_loses_depends_on_the_rate(lr, seed, right):
    """At these rates all four are right about both; Adagrad at 1.0, with these draws, is not.
    Who loses depends on batches and rate, too.
    """
    (X, y), draws = wilson_example(), torch.Generator().manual_seed(seed)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    runner = Adagrad([w], lr=lr)
    for _ in range(3000):
        one = torch.randperm(6, generator=draws)[:1]
        w.grad = X[one].T @ (X[one] @ w.detach() - y[one])
        runner.step()
    label, one, two, *_ = w.tolist()
    assert (X @ w.detach() - y).abs().max() < 0.01 and label + one + two > 0
    assert (one + two - label < 0) == right


@pytest.mark.parametrize(("optimizer", "lr"), [(Adagrad, 0.1), (Adam, 0.001)])
def test_where_the_other_label_is_the_majority_they_are_right(optimizer, lr):
    """the two features that are always 1 lean to the majority, +1, and together outweigh the label."""
    X, y = wilson_example(1, 5)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    runner = optimizer([w], lr=lr)
    for _ in range(3000):
        w.grad = X.T @ (X @ w.detach() - y) / len(y)
        runner.step()
    label, one, two, *_ = w.tolist()
    assert label > abs(one + two)  # right about both


@pytest.mark.parametrize("start", [0.007, 3.0, 900.0])
def test_a_bfloat16_memory_does_not_fade(start):
    """So $\\beta_2 = 0.999$ is 1, and a memory that should fade never does
    an update of 0.001 on a weight of 1 is lost, however often it comes."""
    v = torch.tensor(start, dtype=torch.bfloat16)
    faded = v.clone()
    weight = torch.tensor(1.0, dtype=torch.bfloat16)
    for _ in range(1000):
        faded, weight = 0.999 * faded, weight - 0.001
    assert faded == v and weight == 1


def by_chance(p, generator):
    bits = p.float().view(torch.int32) + torch.randint(2**16, p.shape, generator=generator, dtype=torch.int32)
    return (bits & -(2**16)).view(torch.float32).to(p.dtype)


@pytest.mark.parametrize("weight", [1.0, -0.3, 0.0123, -77.0])
def test_rounding_by_chance_is_right_on_average(weight):
    """At this rate most updates are lost, rounded to the nearest bfloat16; rounded by chance none is, on average."""
    weights = torch.full((20_000,), weight, dtype=torch.float64)
    step = 0.1 * 2**-8 * abs(weight)
    generator = torch.Generator().manual_seed(0)
    nearest, chance = weights.bfloat16().double(), by_chance(weights, generator)
    for _ in range(50):
        nearest, chance = (nearest - step).bfloat16().double(), by_chance(chance - step, generator)
    assert nearest.mean() == pytest.approx(weight, rel=0.01)
    assert chance.mean() == pytest.approx(weight - 50 * step, rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("lr", [1e-4, 1e-3])
def test_rounding_by_chance_keeps_up(lr):
    """Float32 is as good as float64."""
    generator = torch.Generator().manual_seed(1)
    formats = [lambda p: p, lambda p: p.float().double(), lambda p: p.bfloat16().double()]
    formats += [lambda p: by_chance(p, generator)]
    exact, single, nearest, chance = (lesson_11.kept(fit, lr=lr, steps=800)[-200:].mean().item() for fit in formats)
    assert single == pytest.approx(exact, rel=1e-3) and chance == pytest.approx(exact, rel=0.03)
    assert nearest > 1.2 * exact


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_random_directions_hold_next_to_nothing_of_a_path(seed):
    """Two random directions of 1,210 hold next to nothing of a path"""
    _, paths, shapes = lesson_11.paths_through_weights(steps=60)
    center = paths["SGD"][-1]
    plane = torch.stack([lesson_11.filter_normalized(center, shapes, seed + k) for k in range(2)])
    for path in paths.values():
        apart = path - center
        seen = torch.linalg.lstsq(plane.T, apart.T).solution.T @ plane
        assert (seen**2).sum() < 0.02 * (apart**2).sum()


FINE = torch.logspace(-4.5, -1.5, 91, dtype=torch.float64)


@pytest.mark.slow
def test_three_rates_for_the_loser_make_a_winner_of_the_same_optimizer():
    """L2 wins, but it had 91 settings, and plain Adam three.
    The decay that L2 chose is 0: the winner was plain Adam, better tuned.
    """
    every = unseen_error(Adam, 0.5, range(20, 60), (2000,))[0]
    for tune, race in ((slice(0, 10), slice(10, 20)), (slice(20, 30), slice(30, 40))):
        l2, few, equal = (
            grid[race].flatten(1)[:, grid[tune].flatten(1).mean(0).argmin()]
            for grid in (every, every[:, ::6, :1], every[..., :1])
        )
        assert l2.mean() < 0.85 * few.mean() and flip_test(l2.tolist(), few.tolist()) < 0.01
        assert torch.equal(l2, equal)


@pytest.mark.slow
def test_ten_draws_are_too_few_for_the_decay():
    """For AdamW light gray ends at a lead of 5 %: if these dots show the true spread, ten draws notice"""
    tuned = unseen_error(AdamW, 0.5, range(52), (2000,))[0]
    fine = unseen_error(AdamW, 0.5, range(52), (2000,), FINE, GRID[:1])[0]
    ours, theirs = (errors.flatten(1)[:, errors[:10].flatten(1).mean(0).argmin()] for errors in (tuned, fine))
    found = {}
    for draws in (slice(10, 20), slice(20, 36), slice(36, 52)):
        ahead = 1 - (ours[draws].mean() / theirs[draws].mean()).item()
        found[draws.start] = ahead, flip_test(ours[draws].tolist(), theirs[draws].tolist())
    assert found[10] == pytest.approx((0.03, 0.025), abs=0.0006)
    assert all(ahead > 0.04 and p < 0.001 for ahead, p in (found[20], found[36]))
    share = ((theirs - ours)[10:20].std() / theirs[10:20].mean()).item()
    assert [1.5 * share, share] == pytest.approx([0.05, 0.033], abs=0.001)


@pytest.mark.slow
def test_the_draws_that_tune_move_the_lead():
    """AdamW leads in all three, by 5, 4 and 1 %.
    How much hangs on the draws that chose the settings, and p knows nothing of their luck.
    """
    grids = (
        unseen_error(AdamW, 0.5, range(52), (2000,))[0],
        unseen_error(AdamW, 0.5, range(52), (2000,), FINE, GRID[:1])[0],
    )
    leads = []
    for tune, race in itertools.permutations((slice(0, 10), slice(10, 20), slice(20, 36), slice(36, 52)), 2):
        ours, theirs = (grid[race].flatten(1)[:, grid[tune].flatten(1).mean(0).argmin()] for grid in grids)
        leads.append(1 - (ours.mean() / theirs.mean()).item())
    assert min(leads) > 0 and max(leads) > 3 * min(leads)


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_seeds_miss_much(seed):
    """A true difference that ends with the dark part, one spread, is noticed about every second time; one that ends"""
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(300, 10, generator=draws, dtype=torch.float64)
    for apart, low, high in ((0.9, 0.35, 0.45), (1.0, 0.4, 0.6), (1.5, 0.85, 0.95)):
        noticed = sum(flip_test(row, [0.0] * 10) < 0.01 for row in (apart + noise).tolist()) / 300
        assert low < noticed < high


def test_the_stored_valleys():
    """Each optimizer gets at least five times as many digits wrong at its worst rate as at its best.
    SGD's chosen rate is the last one before a wall: the next rate of its grid gets most digits wrong.
    """
    for task in ("digits, MLP", "digits, CNN"):
        for row in RESULTS[task].values():
            means = torch.tensor(row["tuning"]).mean(1)
            assert means.max() > 5 * means.min()
        row = RESULTS[task]["SGD"]
        assert sum(row["tuning"][row["lrs"].index(row["best"]) + 1]) / 6 > 50


def test_whom_nesterov_beats_on_the_cnn():
    """for the CNN Nesterov, Adadelta or momentum: among these three, and for the small MLP, we do not know."""
    errors = {name: row["held_out"] for name, row in RESULTS["digits, CNN"].items()}
    first = errors.pop("Nesterov")
    beaten = {name for name, other in errors.items() if sum(first) < sum(other) and flip_test(first, other) < 0.01}
    assert errors.keys() - beaten == {"Adadelta", "momentum"}
    assert flip_test(errors["Adadelta"], errors["momentum"]) > 0.01
    ends = [row["held_out"] for row in RESULTS["digits, MLP"].values()]
    assert all(flip_test(one, other) > 0.01 for one, other in itertools.combinations(ends, 2))


def test_a_rate_for_the_end_is_none_for_speed():
    """At 0.0215 Adam takes 46.5 steps instead of 72, and ends at 2.92 instead of 3.19, which may be luck;
    Whoever judges speed must tune for speed, not on the racing seeds as here, and give everybody the same chance.
    """
    runs = [trial("digits, MLP", "Adam", [0.01, 0.0215, 0.05], seed) for seed in range(4)]
    assert all(quick < 0.8 * slow and between < 0.8 * slow for slow, between, quick in (run.steps for run in runs))
    early, between, late = (sum(ends) for ends in zip(*(run.held_out for run in runs), strict=True))
    assert late > early and between < 1.25 * early
    rows = RESULTS["digits, MLP"]
    assert [sum(sorted(rows[name]["steps"])[4:6]) / 2 for name in ("Nesterov", "Adam")] == [41, 72.5]
    assert sum(rows["Adam"]["held_out"]) / 10 == pytest.approx(3.19, abs=0.005)
    quick = [trial("digits, MLP", "Adam", [0.0215], seed).held_out[0] for seed in range(100, 110)]
    assert flip_test(quick, rows["Adam"]["held_out"]) > 0.1


def test_the_tenth_seed_takes_the_win_away():
    """On the MLP, where nobody beats anybody, ten leaders lose their lead.
    On the CNN, Nesterov is ahead of momentum after nine seeds, and $p$ is below 0.01.
    """
    pairs = itertools.combinations([row["held_out"] for row in RESULTS["digits, MLP"].values()], 2)
    assert sum((sum(a[:3]) - sum(b[:3])) * (sum(a) - sum(b)) < -1e-9 for a, b in pairs) == 10
    nesterov, other = (RESULTS["digits, CNN"][name]["held_out"] for name in ("Nesterov", "momentum"))
    assert sum(nesterov[:9]) < sum(other[:9]) and flip_test(nesterov[:9], other[:9]) < 0.01 < flip_test(nesterov, other)


@pytest.mark.parametrize("wild", [False, True])
def test_who_stops_at_a_small_p_wins_more_often_by_luck(wild):
    """So fix the number of seeds before the race: whoever looks after each seed, and stops at the first $p$ below"""
    draws = torch.Generator().manual_seed(3)
    luck = torch.randn(2, 4000, 11, generator=draws, dtype=torch.float64)
    luck = luck[0] / luck[1] if wild else luck[0]
    counts = []
    for n in range(8, 12):
        signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=n)), dtype=torch.float64)
        far = (luck[:, :n] @ signs.T).abs() >= luck[:, :n].sum(1, keepdim=True).abs() - 1e-9
        counts.append(far.double().mean(1) < 0.01)
    fixed, stopped = torch.stack(counts).double().mean(1), torch.stack(counts).any(0).double().mean()
    assert fixed.max() < 0.013 and stopped > 1.5 * fixed.max()


def test_no_optimizer_leads_all_tables():
    """No optimizer leads all three tables"""
    leaders = {min(found, key=lambda name: sum(found[name]["held_out"])) for found in RESULTS.values()}
    assert len(leaders) == 3


def test_who_beats_sgd_on_the_cnn():
    """Momentum and Adam have one mean, 6.25, and of the two only Adam beats SGD: its differences from SGD"""
    sgd, *others = (RESULTS["digits, CNN"][name]["held_out"] for name in ("SGD", "Adam", "momentum"))
    assert [sum(found) / 10 for found in others] == pytest.approx([6.25, 6.25], abs=1e-3)
    assert [flip_test(found, sgd) for found in others] == pytest.approx([0.006, 0.027], abs=5e-4)
    spread = [(torch.tensor(found) - torch.tensor(sgd)).std() for found in others]
    assert spread[0] < spread[1]


def test_one_seed_takes_the_win_from_nesterov():
    """a single seed that ran away and counts as a guess, ln 92 = 4.52; at the next rate of its grid one of the two
    With each of the other nine it is ahead of
    """
    row = RESULTS["text, transformer"]["Nesterov"]
    assert (torch.tensor(row["tuning"][row["lrs"].index(row["best"]) + 1]) > 4.5).tolist().count(True) == 1
    names = "Nesterov", "SGD", "momentum", "Adadelta"
    *others, (away, *_) = sorted(zip(*(RESULTS["text, transformer"][name]["held_out"] for name in names), strict=True))
    assert away == pytest.approx(math.log(92), abs=1e-4)
    assert all(nesterov < min(rest) for nesterov, *rest in others)


@pytest.mark.parametrize("rarely", [0.05, 0.2])
def test_a_small_p_hangs_on_the_seeds_that_were_drawn(rarely):
    """If neither were better, and luck symmetric, each $d_i$ could as well have had the other sign.
    Where no seed runs away, the one that gains 0.2 wins all ten.
    We take ten, of which at least eight must agree, and the others differ little.
    So $p < 0.01$ says who is ahead with eight of the ten seeds or more; the mean may depend on a runaway that
    """
    draws = torch.Generator().manual_seed(5)
    away = torch.rand(300, 10, generator=draws) < rarely
    tremble = 0.01 * torch.randn(300, 10, generator=draws, dtype=torch.float64)
    d = tremble + torch.where(away, 1 - rarely, -rarely)  # on average 0
    counts = torch.tensor([flip_test(row, [0.0] * 10) < 0.01 for row in d.tolist()])
    assert counts[~away.any(1)].all() and counts.double().mean() > 5 * 0.01
    assert ((d[counts] < 0).sum(1) >= 8).all()
    assert flip_test([1.0] * 8 + [-0.2] * 2, [0.0] * 10) < 0.01 < flip_test([1.0] * 8 + [-0.5] * 2, [0.0] * 10)
    signs = torch.randint(2, d.shape, generator=draws) * 2 - 1
    assert sum(flip_test(row, [0.0] * 10) < 0.01 for row in (signs * d).tolist()) / 300 < 0.03  # the same, symmetric
