"""What lesson 13 says of maps and of many descents at once, tried beside its own settings."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from edu_optim import SGD, Adagrad, Adam, RMSprop, descend, from_rule, problems, rules, sweep, train_many
from edu_optim.exercises.lesson_13_map import read_map
from edu_optim.lab.lesson_13 import LOST, LRS, MIDDLES, NETS_TOOK, SPECK, WILD, from_start, length_of_borders, zoomed
from edu_optim.problems import himmelblau, rosenbrock
from edu_optim.signature import signature


@pytest.mark.parametrize("rule", [rules.gradient_descent, rules.momentum, rules.adagrad, rules.adam])
def test_a_batch_of_points_moves_as_each_alone(rule):
    """a parameter of shape `[N, 2]` is N points that move at once, with as many launches as one."""
    draw = torch.Generator().manual_seed(3)
    inputs = [torch.rand(5, 2, generator=draw, dtype=torch.float64) for _ in range(rule.__code__.co_argcount)]
    settings = {"lr": 0.3, "t": 4} if "t" in signature(rule)[1] else {"lr": 0.3}
    together = rule(*inputs, **settings)[0]
    for row in range(5):
        torch.testing.assert_close(rule(*(x[row] for x in inputs), **settings)[0], together[row], rtol=1e-14, atol=0)


@pytest.mark.parametrize("momentum", [0.7, 0.85, 0.9])
@pytest.mark.parametrize("lr", [0.006, 0.01])
def test_strips_come_with_momentum_and_lie_along_the_rim(lr, momentum):
    """Mostly along the rim, where the walls are steep, strips and patches of one color lie in the field of another"""
    starts = himmelblau.grid(64, 64)
    found = sweep(himmelblau, SGD, 400, starts, lr=lr, momentum=momentum).minimum
    corner = (starts[..., 0] > 0).int() + 2 * (starts[..., 1] > 0).int()
    usual = torch.stack([found[corner == quarter].mode().values for quarter in range(4)])[corner]
    elsewhere, rim = found != usual, starts.abs().amax(-1) > 3.5
    assert elsewhere[rim].double().mean() > 2 * elsewhere[~rim].double().mean()


def test_the_largest_stray_field_is_the_slab_under_d():
    """lie in the field of another; the largest is the blue slab under D."""
    starts = himmelblau.grid(128, 128)
    found = sweep(himmelblau, SGD, 150, starts, lr=0.01, momentum=0.8).minimum
    right, up = (starts[..., axis] > 0 for axis in (0, 1))
    sizes = {}
    for home, quarter in enumerate((right & up, ~right & up, ~right & ~up, right & ~up)):
        for end in {0, 1, 2, 3} - {home}:
            stray = quarter & (found == end)
            sizes[home, end] = int(stray.sum())
    assert max(sizes, key=sizes.get) == (3, 0)
    slab = (found == 0) & right & (starts[..., 1] < -3)
    assert int(slab.sum()) > 0.8 * sizes[3, 0] and int(slab.sum()) > 1.5 * sorted(sizes.values())[-2]


@pytest.mark.parametrize(("lr", "momentum"), [(0.01, 0.8), (0.008, 0.8), (0.012, 0.75), (0.01, 0.85)])
def test_balls_from_the_tongue_run_past_a(lr, momentum):
    """From the pink tongue at (0.3, 0.8) the ball runs past A, and ends at D."""
    x, y = himmelblau.grid(64, 64).unbind(-1)
    starts = torch.stack([x, y], -1)[(x.sub(0.2).abs() < 0.6) & (y > -0.3) & (y < 2)]
    found = sweep(himmelblau, SGD, 300, starts, lr=lr, momentum=momentum).minimum
    a, tongue = torch.tensor(himmelblau.minima[0]), starts[found == 3]
    path = descend(himmelblau, SGD, 100, tongue, lr=lr, momentum=momentum).points
    nearest = (path - a).norm(dim=-1).amin(0)
    assert len(tongue) > 3 and nearest.max() < 1 < (tongue - a).norm(dim=-1).min()


@pytest.mark.parametrize(("lr", "momentum"), [(0.01, 0.8), (0.008, 0.7)])
def test_the_shares_are_those_of_a_window(lr, momentum):
    """Its share depends on the window."""
    shares = []
    for reach in (3.0, 5.5):
        problem = replace(himmelblau, window=((-reach, reach), (-reach, reach)))
        found = sweep(problem, SGD, 300, problem.grid(64, 64), lr=lr, momentum=momentum).minimum
        shares.append(torch.stack([(found == index).double().mean() for index in range(4)]))
    assert (shares[0] - shares[1]).abs().max() > 0.02


@pytest.mark.parametrize(("lr", "alike"), [(0.004, True), (0.008, True), (0.015, False)])
def test_without_momentum_the_fields_are_of_nearly_one_size(lr, alike):
    """Without momentum, at this learning rate and in this window, the four fields are of nearly one size, and the strips are gone."""  # noqa: E501
    found = sweep(himmelblau, SGD, 400, himmelblau.grid(64, 64), lr=lr).minimum
    shares = torch.stack([(found == index).double().mean() for index in range(4)])
    assert shares.min() > 0.22 and shares.max() < 0.28 if alike else shares.min() < 0.15


@pytest.mark.parametrize("problem", [himmelblau, rosenbrock])
def test_the_gradient_of_the_sum_is_each_points_own(problem):
    """No loss depends on another's point, so each row of that gradient is the gradient of one loss; here it is `2 * p` again."""  # noqa: E501
    points = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 4 - 2

    def slope(p, loss):
        p = p.clone().requires_grad_()
        return torch.autograd.grad(loss(p).sum(), p)[0]

    alone = torch.stack([slope(p, problem) for p in points])
    torch.testing.assert_close(slope(points, problem), alone, rtol=1e-12, atol=0)

    def coupled(p):
        return problem(p) * (1 + p.mean())

    assert (slope(points, coupled) - torch.stack([slope(p, coupled) for p in points])).abs().max() > 0.1


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_loss_of_ones_own_takes_a_gradient_at_each_step(optimizer):
    """A path alone needs no sweep: on a surface and with a rule of this course `descend` takes it in plain numbers, in 2 ms (the star)."""  # noqa: E501
    calls = []

    def noted(points):
        calls.append(points.requires_grad)
        return himmelblau(points)

    counted = {}
    for name, loss in {"of the course": replace(himmelblau, loss=noted), "own": noted}.items():
        calls.clear()
        descend(loss, optimizer, 20, torch.tensor([1.0, 2.0]).double(), lr=0.01)
        counted[name] = sum(calls)
    calls.clear()
    sweep(noted, optimizer, 20, torch.tensor([[1.0, 2.0]]), lr=0.01)
    assert counted == {"of the course": 0, "own": sum(calls)} and sum(calls) == 20


@pytest.mark.parametrize("start", [(-1.0, 0.5), (-1.5, 2.0), (0.0, 1.5)])
def test_the_best_setting_lies_near_the_cliff(start):
    """The ring lies near the cliff: with its momentum, twice its learning rate is lost."""
    lrs = torch.logspace(-4, -1, 61, dtype=torch.float64)
    momenta = torch.linspace(0, 0.98, 50, dtype=torch.float64)
    for steps in (100, 300):
        losses = sweep(rosenbrock, SGD, steps, torch.tensor(start).double(), lr=lrs, momentum=momenta).losses
        best, column = divmod(int(losses.nan_to_num(torch.inf).argmin()), 50)
        assert not (losses[lrs > 2.5 * lrs[best], column] < 1e3).any()
    star, beyond = sweep(rosenbrock, SGD, 100, lr=torch.tensor([0.002, 0.004]).double(), momentum=0.88).losses
    assert star < 0.001 and not beyond < 1e3


@pytest.mark.parametrize("first", [(-1.2, 1), (-1.0, 0.5), (0.0, 1.5)])
def test_the_band_lies_along_a_cliff_that_moves_with_the_start(first):
    """the cliff moves with the start.
    At a fifth of its rates none is lost but from (3, 3), where the walls are steep: three quarters.
    Safer, and slow: in the first map most of the dashed outline still has a loss above 1.
    """
    at_first = from_start(*first)
    band = at_first < 0.1
    fifth = band.roll(-7, 0)
    lost = torch.stack([from_start(*start).isinf() for start in ((-1.7, 1.5), (-1.5, 0.5), (1.2, -1.0))])
    assert lost[:, band].double().mean() > 0.5 > 0.1 > lost[:, fifth].double().mean()
    assert at_first[fifth].median() > 5 * at_first[band].median()
    assert first != (-1.2, 1) or (at_first[fifth] > 1).double().mean() > 0.7
    for steep in ((3.5, 2.5), (-3.0, 1.0)):
        assert from_start(*steep).isinf()[fifth].double().mean() > 0.5


@pytest.mark.parametrize("first", [(-1.2, 1), (-1.0, 0.5)])
def test_from_the_floor_of_the_valley_the_band_is_not_lost(first):
    """From (-1.2, 0.9) a tenth of the band is lost, from four others most of it, even from (1.5, 2.25) on the valley's floor, from (0, 0) none: the cliff moves with the start."""  # noqa: E501
    band = from_start(*first) < 0.1
    for start in ((1.5, 2.25), (2.0, 4.0), (-1.5, 1.0), (-2.0, 2.0), (3.0, 3.0)):
        assert from_start(*start).isinf()[band].double().mean() > 0.5
    near = [from_start(*start).isinf()[band].double().mean() for start in ((-1.2, 0.9), (-1.0, 1.0), (-0.5, 0.5))]
    assert max(near) < 0.5 and (first != (-1.2, 1) or f"{near[0]:.1f}" == "0.1")
    for start in ((0.0, 0.0), (0.25, 0.1), (-0.3, 0.2)):
        assert not from_start(*start).isinf()[band].any()
    for start in ((0.0, 5.0), (0.5, 3.0), (-1.5, 2.0), (-2.0, 4.0)):
        assert from_start(*start).isinf()[band].double().mean() > 0.5


@pytest.mark.parametrize("start", [(4.49, 4.49), (-4.6, 4.7), (-4.8, -4.8)])
def test_the_first_step_leaps_past_the_nearest_minimum(start):
    """The first step, the same in both, goes down the steep wall and leaps past the nearest minimum."""
    start = torch.tensor(start, dtype=torch.float64)
    nearest = min(himmelblau.minima, key=lambda place: (torch.tensor(place) - start).norm())
    ends = {}
    for lr, momentum in ((0.01, 0.0), (0.01, 0.8)):
        points = descend(himmelblau, SGD, 400, start, lr=lr, momentum=momentum).points
        past = ((points[1] - torch.tensor(nearest)) * (start - torch.tensor(nearest))).sum() < 0
        assert past
        ends[momentum] = (points[-1] - torch.tensor(nearest)).norm() < 0.1
    assert ends[0.0] and not ends[0.8]


def test_a_range_that_is_low_from_one_start_need_not_be_low_from_another():
    """So keep no single rate of such a map, but a range that is low throughout, and from more than one start: here 0.52 to 0.78, with a loss up to 0.31.
    The first four starts have chosen it, so no wonder that it suits them: from (2, -1) its loss is up to 6.7."""  # noqa: E501
    lrs = torch.linspace(0.5188, 0.7762, 1000, dtype=torch.float64)
    four = [torch.tensor(start).double() for start in ((-1.2, 1.0), (-1.1, 1.0), (-1.5, 1.0), (-1.0, 0.5))]
    losses = torch.stack([sweep(rosenbrock, Adam, 100, start, lr=lrs).losses for start in four])
    assert f"{losses.max():.2f}" == "0.31"
    away = sweep(rosenbrock, Adam, 100, torch.tensor((2.0, -1.0)).double(), lr=lrs).losses
    assert 6.7 < away.max() < 6.73
    for start in ((-2.0, 2.0), (2.0, 2.0), (3.0, 3.0)):
        assert sweep(rosenbrock, Adam, 100, torch.tensor(start).double(), lr=lrs).losses.max() > 0.5
    lrs = torch.logspace(-3, 1, 801, dtype=torch.float64)
    losses = torch.stack([sweep(rosenbrock, Adam, 100, start, lr=lrs).losses for start in four])
    assert losses.amin(1).max() < 0.02
    as_wide = losses.amax(0).unfold(0, 36, 1).amax(1)
    assert f"{as_wide.min():.2f}" == "0.31" and f"{lrs[as_wide.argmin()]:.2f}" == "0.52"
    lrs = torch.linspace(0.6, 0.95, 1000, dtype=torch.float64)
    for start in ((-1.2, 1.0), (-1.1, 1.0), (-1.5, 1.0), (-1.0, 0.5), (1.5, 1.5), (0.0, 2.0)):
        highest = sweep(rosenbrock, Adam, 100, torch.tensor(start).double(), lr=lrs).losses.max()
        assert (highest < 0.25) == (start[0] < -1), start


@pytest.mark.parametrize("optimizer", [Adam, Adagrad, RMSprop])
def test_a_best_at_the_last_place_says_that_the_table_ends_too_early(optimizer):
    """Left: the short table has its lowest loss at its last place: a lower one may lie beyond, and here it does."""
    for problem in (rosenbrock, problems.booth):
        short, long = (torch.logspace(-3, end, 30, dtype=torch.float64) for end in (-2, 1))
        near = sweep(problem, optimizer, 60, lr=short).losses
        assert near.argmin() == 29
        assert sweep(problem, optimizer, 60, lr=long).losses.nan_to_num(torch.inf).min() < near.min()


def test_a_best_at_the_last_place_may_be_the_best():
    """Left: the short table has its lowest loss at its last place: a lower one may lie beyond, and here it does."""
    lrs = torch.logspace(-4, 0, 201, dtype=torch.float64)
    losses = sweep(rosenbrock, SGD, 100, lr=lrs, momentum=0.3).losses.nan_to_num(torch.inf)
    short = losses[: losses.argmin() + 1]
    assert short.argmin() == len(short) - 1 and not (losses[len(short) :] < short[-1]).any()


def test_each_point_of_a_sweep_is_a_path_of_its_own():
    """Each strip is made of paths that you could have followed alone; here is one, from (4.49, 4.49), without momentum and with it."""  # noqa: E501
    found = sweep(rosenbrock, Adam, 40, rosenbrock.grid(5, 4), lr=0.2)
    alone = descend(rosenbrock, Adam, 40, rosenbrock.grid(5, 4)[3, 1], lr=0.2)
    torch.testing.assert_close(alone.points[-1], found.points[3, 1], rtol=1e-12, atol=0)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (-1.0, 0.5), (0.0, 1.5)])
def test_a_setting_between_worse_ones_need_not_be_the_best(start):
    """the best of a table can have worse neighbors on both sides and still not be the best; the long one has stepped over a dip, and it is not the only one."""  # noqa: E501
    coarse, fine = (torch.logspace(-3, 1, count, dtype=torch.float64) for count in (41, 801))
    start = torch.tensor(start).double()
    losses = sweep(rosenbrock, Adam, 100, start, lr=coarse).losses
    best = int(losses.argmin())
    assert losses[best] < min(losses[best - 1], losses[best + 1])
    closer = sweep(rosenbrock, Adam, 100, start, lr=fine).losses
    assert closer.min() < 0.2 * losses[best]
    lowest = (closer[1:-1] < closer[:-2]) & (closer[1:-1] < closer[2:]) & (closer[1:-1] < losses[best])
    assert lowest.sum() > 1


def test_the_deepest_dip_moves_with_the_start():
    """The dip moves with the start: at its old place the loss from (-1.1, 1) is 0.0665, fifty times what it was."""
    lrs = torch.logspace(-3, 1, 801, dtype=torch.float64)
    deepest = None
    for start in ((-1.2, 1.0), (-1.1, 1.0), (-1.3, 1.0), (-1.2, 1.1)):
        losses = sweep(rosenbrock, Adam, 100, torch.tensor(start).double(), lr=lrs).losses
        deepest = int(losses.argmin()) if deepest is None else deepest
        assert (losses.argmin() == deepest and start == (-1.2, 1.0)) or losses[deepest] > 10 * losses.min()


@pytest.mark.parametrize("lr", [0.008, 0.01])
def test_with_much_momentum_the_fields_break_up(lr):
    """With 300 steps all but those are at a minimum; the rim is in crumbs, and so is much of A's quarter."""
    starts = himmelblau.grid(64, 64)
    parted = []
    for momentum in (0.0, 0.95):
        found = sweep(himmelblau, SGD, 300, starts, lr=lr, momentum=momentum)
        assert torch.equal(found.minimum >= 0, found.losses.isfinite())
        across, up = (found.minimum.diff(dim=axis) != 0 for axis in (1, 0))
        borders, out = across[:-1] | up[:, :-1], starts[:-1, :-1].abs().amax(-1)
        (x, y), rim = starts[:-1, :-1].unbind(-1), out > 3.5
        in_a, in_b, in_c, in_d = ((x * sx > 0) & (y * sy > 0) & ~rim for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1)))
        parted.append([borders[part].double().mean() for part in (rim, in_a, in_b, in_c, in_d)])
    assert max(parted[0]) < 0.2 and max(parted[1][2:]) < 0.3 and min(parted[1][:2]) > 0.35


def test_the_ring_is_one_square_and_a_finer_map_has_its_own():
    """All four places beside the ring are over two hundred times as high: it is one dark square alone.
    On a finer map the lowest lies elsewhere, over thirty times as low, and on one finer still elsewhere again.
    Once it passes, ask it about the ring: `read_map(lab.LRS, lab.from_start(-1.2, 1)[:, 44])`."""
    first = from_start(-1.2, 1)
    row, column = divmod(int(first.argmin()), 50)
    assert all(first[row + a, column + b] > 200 * first.min() for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1)))
    assert column == 44 and read_map(LRS, first[:, column]) == "coarse"
    places = [(LRS[row], 0.88)]
    for finer in (1, 2, 3):
        lrs = torch.logspace(-3.2, -2.2, 200 * finer + 1, dtype=torch.float64)
        momenta = torch.linspace(0.5, 0.98, 96 * finer + 1, dtype=torch.float64)
        losses = sweep(rosenbrock, SGD, 100, lr=lrs, momentum=momenta).losses.nan_to_num(torch.inf)
        r, k = divmod(int(losses.argmin()), len(momenta))
        places.append((lrs[r], momenta[k]))
        assert losses.min() < first.min() / 30
    assert all(abs(one[1] - other[1]) > 0.002 for one, other in itertools.pairwise(places))


@pytest.mark.slow
def test_with_more_steps_the_small_rates_read_more():
    """Below 0.01 a hundred steps were too few; from there to 0.1 the copies differ by a point or two; at 0.3 steps are too long."""  # noqa: E501
    images, labels = problems.digits()
    net, lrs = problems.small_net(64, 16, 10, seed=5), torch.logspace(-4, 0, 9, dtype=torch.float64)
    shares = []
    for steps in (100, 250):
        copies = train_many(net, Adam, images[:797], labels[:797], steps, lr=lrs)
        shares.append(copies.accuracy(images[797:], labels[797:]))
    assert (shares[1] - shares[0] > 0.02)[:4].all()
    level = slice(4, 7)
    assert (shares[1] - shares[0]).abs()[level].max() < 0.02
    assert shares[0][level].max() - shares[0][level].min() < 0.025 < shares[0][level].min() - shares[0][7:].max()


def test_borders_grow_on_finer_maps_and_with_more_momentum_at_every_scale():
    """At a learning rate of 0.01 the borders without momentum are about as long on each map; with 0.8 they grow by two thirds in all.
    With 0.95 twice the squares each way find 1.6 to 1.8 times the length, each time, so no map here is fine enough.
    At 0.012, where all starts still arrive, those without momentum grow too, by a third: it is not momentum alone."""  # noqa: E501

    def growths(lr, momentum, steps):
        ends = sweep(himmelblau, SGD, steps, himmelblau.grid(128, 128), lr=lr, momentum=momentum).minimum
        assert lr < 0.012 or (ends >= 0).all()
        lengths = torch.tensor([length_of_borders(ends[nth // 2 :: nth, nth // 2 :: nth]) for nth in (8, 4, 2, 1)])
        return lengths[1:] / lengths[:-1]

    without, some, much = growths(0.008, 0.0, 80), growths(0.008, 0.8, 150), growths(0.008, 0.95, 300)
    assert (without < 1.1).all() and ((much > 1.55) & (much < 1.85)).all()
    assert without.prod() < some.prod() and (some < 1.35).all()
    for lr, steps in ((0.012, 150), (0.012, 300), (0.0125, 200), (0.013, 300)):
        assert 1.3 < growths(lr, 0.0, steps).prod() < 1.5
    drawn = sweep(himmelblau, SGD, 150, himmelblau.grid(256, 256)[1::2, 1::2], lr=0.012).minimum
    assert 1.3 < length_of_borders(drawn) / length_of_borders(drawn[4::8, 4::8]) < 1.4


@pytest.mark.parametrize("start", [(-1.0, 0.5), (0.0, 1.5)])
def test_at_random_or_on_a_grid(start):
    """With `eps` the grid tries seven learning rates, seven times each, and the draws try many more in a narrow dip.
    Learning rate and beta both matter, and the draws have no such advantage: here they do worse, with other ranges of rates, or half the steps, it goes either way.
    """  # noqa: E501
    draw, lrs = torch.Generator().manual_seed(1), torch.logspace(-3, 1, 49, dtype=torch.float64)
    beta, eps = torch.linspace(0, 0.98, 49, dtype=torch.float64), torch.logspace(-11, -5, 49, dtype=torch.float64)
    for axis, better in (({"eps": eps}, True), ({"betas": (beta, 0.999)}, False)):
        losses = sweep(rosenbrock, Adam, 100, torch.tensor(start).double(), lr=lrs, **axis).losses
        grids = torch.stack([losses[row::7, column::7].min() for row in range(7) for column in range(7)])
        drawn = losses.flatten()[torch.randint(49 * 49, (1000, 49), generator=draw)].amin(1)
        assert drawn.median() < 0.5 * grids.median() if better else drawn.median() > grids.median()
    large = torch.logspace(-4, 4, 49, dtype=torch.float64)  # here `eps` matters
    losses = sweep(rosenbrock, Adam, 100, lr=lrs, eps=large).losses
    grids = torch.stack([losses[row::7, column::7].min() for row in range(7) for column in range(7)])
    drawn = losses.flatten()[torch.randint(49 * 49, (1000, 49), generator=draw)].amin(1)
    assert drawn.median() < 0.5 * grids.median()


@pytest.mark.parametrize(
    ("ends", "steps", "better"),
    [((-2, 0), 100, True), ((-3, 1), 100, False), ((-4, 2), 100, None), ((-3, 1), 50, True)],
)
def test_where_both_settings_matter_ranges_and_steps_decide(ends, steps, better):
    """Learning rate and beta both matter, and the draws have no such advantage: here they do worse, with other ranges of rates, or half the steps, it goes either way."""  # noqa: E501
    draw, lrs = torch.Generator().manual_seed(0), torch.logspace(*ends, 49, dtype=torch.float64)
    betas = torch.linspace(0, 0.98, 49, dtype=torch.float64), 0.999
    losses = sweep(rosenbrock, Adam, steps, lr=lrs, betas=betas).losses.nan_to_num(torch.inf)
    grids = torch.stack([losses[row::7, column::7].min() for row in range(7) for column in range(7)]).median()
    drawn = losses.flatten()[torch.randint(49 * 49, (1000, 49), generator=draw)].amin(1).median()
    assert 0.7 < drawn / grids < 1.4 and (better is None or (drawn < grids) == better)


def zoom(places, width, side, steps=300, momentum=0.95):
    """The starts of squares around ``places``, and the minima that they lead to."""
    windows = (tuple((at - width / 2, at + width / 2) for at in place) for place in places)
    starts = torch.stack([replace(himmelblau, window=window).grid(side, side) for window in windows])
    return starts, torch.stack([zoomed(place, width, side, momentum, steps) for place in places])


def grown(colors):
    """By what the borders of a map are longer than those of its every second row."""
    return length_of_borders(colors) / max(length_of_borders(colors[1::2, 1::2]), 1e-9)


def apart(starts, aside=(1e-12, 0.0), momentum=0.95):
    """How far pairs come apart that set out ``aside`` of each other, at ``starts``."""
    pairs = torch.stack([starts, starts + torch.tensor(aside, dtype=torch.float64)])
    path = descend(himmelblau, SGD, 300, pairs, lr=0.01, momentum=momentum).points
    return path.diff(dim=1).norm(dim=-1).nan_to_num(0).amax(0)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [6, 7, 8])
def test_crumbs_go_as_far_down_as_gaps_grow(seed):
    """To end at two minima, not at one and at none, balls have to come nearly 4 apart.
    In the middle of the zooms the gap grows ten billion times, so a map 1e-9 wide opens to about 10, more than 4: \
one border.
    A tenth as wide it opens to 1, and has none.
    (Side by side the gap grows a sixth of that, so the border is nearly level.)
    Near it, and with momentum 0.9, the gap grows far less, and borders end sooner
    Beside black starts it grows to nearly the width of the window
    """
    places = torch.tensor([(-2.5, 2.5), (-1, 3.5), (-3, -2), WILD, LOST], dtype=torch.float64)
    for aside, least, most in (((1e-12, 0.0), 1.5e-3, 2.5e-3), ((0.0, 1e-12), 0.95e-2, 1.2e-2)):
        *few, zooms, last = apart(places, aside)
        assert max(few) < 2.5e-12 and least < zooms < most and 8 < last < 12
    near = MIDDLES["near that of the zooms"]
    for aside in ((1e-12, 0.0), (0.0, 1e-12)):
        assert 1e7 * apart(torch.tensor(near).double(), aside) < 0.6 < 1e7 * apart(places[3], aside)
    assert length_of_borders(zoom([near], 1e-5, 64)[1][0]) == 0
    across, between = (apart(places[3], (0.0, gap)) for gap in (1e-9, 1e-9 / 64))
    assert between < 0.5 and 2 < across < 8 and 1 < apart(places[3], (1e-9, 0.0)) < 8
    assert apart(places[3], (0.0, -5e-10)) > 4 > 2 > max(apart(places[3], (0.0, gap)) for gap in (-5e-11, 5e-11))
    across, down = (apart(places[3], aside) for aside in ((1e-12, 0.0), (0.0, 1e-12)))
    assert 0.15 < across / down < 0.18
    colors = zoom([WILD], 1e-9, 64)[1][0]
    assert (colors.diff(dim=1) != 0).sum() < 0.3 * (colors.diff(dim=0) != 0).sum()
    assert all(apart(places[4], aside) > 8 for aside in ((1e-11, 0.0), (0.0, 1e-11)))
    assert 3.8 < min(math.dist(*pair) for pair in itertools.combinations(himmelblau.minima, 2)) < 4
    draw = torch.Generator().manual_seed(seed)
    starts, found = (whole.expand(20, *whole.shape[1:]) for whole in zoom([(0.0, 0.0)], 10.0, 64))
    settled, crumbs = [], []
    for width in (1, 0.1, 1e-2, 1e-3, 1e-4, 1e-5):
        places = []
        for points, colors in zip(starts, found, strict=True):
            at = ((colors.diff(dim=0) != 0)[:, :-1] | (colors.diff(dim=1) != 0)[:-1]).nonzero()
            row, column = at[torch.randint(len(at), (1,), generator=draw)][0] if len(at) else (0, 0)
            places.append(((points[row, column] + points[row + 1, column + 1]) / 2).tolist())
        starts, found = zoom(places, width, 24)
        for gap, colors in zip(width * 1e12 * apart(starts[:, 3::6, 3::6]).flatten(1).median(1)[0], found, strict=True):
            (settled if gap < 4 else crumbs if gap > 40 else []).append(grown(colors))
    assert len(settled) > 12 and torch.tensor(settled).median() < 1.1
    assert len(crumbs) > 12 and torch.tensor(crumbs).median() > 1.5


@pytest.mark.parametrize(("width", "steps"), [(0.3, 300), (3e-5, 500)])
def test_around_one_place_borders_go_on_for_long(width, steps):
    """From 1 to 1e-5 wide the map is full of crumbs, and twice the squares each way find 1.7 to 2 times the length.
    Before you trust a detail, draw it at twice the resolution.
    """
    colors = zoomed(WILD, width, 64, 0.95, steps)
    assert 1.6 < grown(colors[1::2, 1::2]) < 2.05 and 1.6 < grown(colors) < 2.05


@pytest.mark.parametrize(("width", "steps"), [(1e-9, 600), (4e-10, 300)])
def test_at_last_one_border_is_left(width, steps):
    """Around this middle, far wilder than most nearby, they stop: 1e-9 wide, one border is left, and its length stays"""  # noqa: E501
    colors = zoomed(WILD, width, 64, 0.95, steps)
    assert len(colors.unique()) < 3 and grown(colors) < 1.1


@pytest.mark.parametrize(("width", "steps"), [(1e-3, 300), (3e-7, 300), (2e-10, 500), (1e-11, 300)])
def test_beside_starts_that_diverge_borders_go_on(width, steps):
    """borders go on even 1e-11 wide: in the last map, in the first with its momentum 0.8, and beside others that we tried."""  # noqa: E501
    colors = zoomed(LOST, width, 64, 0.95, steps)
    assert -1 in colors and 1.6 < grown(colors[1::2, 1::2]) < 2.05 and 1.6 < grown(colors) < 2.05


@pytest.mark.parametrize("momentum", [0.8, 0.88, 0.9])
def test_with_less_momentum_the_borders_end_sooner(momentum):
    """Near it, and with momentum 0.9, the gap grows far less, and borders end sooner"""
    assert length_of_borders(zoomed(WILD, 0.01, 128, momentum, 500)) == 0
    for aside in ((1e-12, 0.0), (0.0, 1e-12)):
        assert 1e7 * apart(torch.tensor(WILD).double(), aside, momentum) < apart(torch.tensor(WILD).double(), aside)
    assert length_of_borders(zoomed(WILD, 0.01, 128, 0.95, 500)) > 50


@pytest.mark.parametrize("place", [WILD, LOST, (0.0, 0.0), (-0.99, -4.7)])
def test_a_zoom_is_a_sweep(place):
    """Each map has 64 by 64 starts of its own, colored by minimum."""
    for width, momentum in ((5.0, 0.8), (1e-3, 0.95)):
        there = zoom([place], width, 16)[0][0]
        found = sweep(himmelblau, SGD, 200, there, lr=0.01, momentum=momentum).minimum
        assert torch.equal(zoomed(place, width, 16, momentum, 200), found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_around_most_other_middles_borders_end_sooner(seed):
    """so they do around most other middles nearby.
    We picked a square for its crumbs, and in it one of the wildest points.
    """
    draw = torch.Generator().manual_seed(seed)
    places = torch.tensor(WILD).double() + (torch.rand(24, 2, generator=draw, dtype=torch.float64) - 0.5) * 0.1
    *others, lesson = zoom([*places.tolist(), WILD], 1e-7, 32)[1]
    assert sum(length_of_borders(colors) == 0 for colors in others) >= 20
    assert length_of_borders(lesson) > 15
    assert (apart(places) > apart(torch.tensor(WILD).double())).double().mean() < 0.1


@pytest.mark.parametrize(
    ("place", "reach", "momentum"),
    [
        (WILD, 0.1, 0.95),
        ((-1.0, -4.45), 1.0, 0.95),
        (SPECK, 0.01, 0.8),
        *(((0.0, 0.0), 10.0, momentum) for momentum in (0.85, 0.9, 0.95)),
    ],
)
def test_beside_other_starts_that_diverge_borders_go_on_too(place, reach, momentum):
    """Beside black starts it grows to nearly the width of the window
    borders go on even 1e-11 wide: in the last map, in the first with its momentum 0.8, and beside others that we tried."""  # noqa: E501
    starts, found = (whole[0] for whole in zoom([place], reach, 64, momentum=momentum))
    lost = found == -1
    row, column = (lost[:, :-1] != lost[:, 1:]).nonzero()[0]
    black, other = (
        starts[row, column : column + 2].flip(0) if lost[row, column + 1] else starts[row, column : column + 2]
    )
    while (other - black).norm() > 2e-13:
        middle = (black + other) / 2
        lost = zoomed(middle.tolist(), 0.0, 1, momentum, 300).item() == -1
        black, other = (middle, other) if lost else (black, middle)
    assert apart(torch.stack([black, other]), (1e-11, 0.0), momentum).min() > 8
    for width in (1e-9, 1e-11):
        colors = zoom([black.tolist()], width, 64, momentum=momentum)[1][0]
        assert length_of_borders(colors) > 20 and grown(colors) > 1.45


def test_one_descent_of_a_rule_that_is_not_elementwise_may_agree():
    """Before you sweep a rule of your own, compare several descents of that sweep with the same ones alone: by `torch.allclose` with `equal_nan=True`, since some may diverge."""  # noqa: E501

    def by_its_largest(p, g, *, lr):
        return (p - lr * g / g.abs().max(),)

    def clipped(p, g, *, lr):
        return (p - lr * g * min(1.0, 100 / float((g**2).sum() ** 0.5)),)

    def bowl(points):
        return (points**2).sum(-1)

    def agree(rule, problem, steps, starts, lr):
        together = sweep(problem, from_rule(rule), steps, starts, lr=lr).points
        some = range(0, len(starts), 1 + len(starts) // 8)
        alone = {k: descend(problem, from_rule(rule), steps, starts[k], lr=lr).points[-1] for k in some}
        return [bool((together[k] - end).abs().max() < 1e-9) for k, end in alone.items()]

    pair = torch.tensor([[1.0, 0.0], [4.0, 3.0]], dtype=torch.float64)
    diverging = himmelblau.grid(64, 64)
    far = sweep(himmelblau, SGD, 300, diverging, lr=0.01, momentum=0.95)
    row, column = (~far.losses.isfinite()).nonzero()[0]
    end = descend(himmelblau, SGD, 300, diverging[row, column], lr=0.01, momentum=0.95).points[-1]
    assert torch.allclose(end, far.points[row, column], equal_nan=True)
    assert agree(by_its_largest, bowl, 2, pair, 0.25) == [False, True]
    starts = himmelblau.grid(16, 16).flatten(0, 1)
    for rule in (by_its_largest, clipped):
        assert sum(agree(rule, himmelblau, 20, starts, 0.01)) < 2


def test_copies_share_launches_and_no_arithmetic():
    """Copies share launches, and no arithmetic: with 128 neurons and all images one by one is faster."""
    images, labels = problems.digits()
    counts = {}
    for copies in (3, 9):
        counts[copies] = Launched(), FlopCounterMode(display=False)
        with counts[copies][0], counts[copies][1]:
            train_many(problems.small_net(64, 8, 10), Adam, images[:50], labels[:50], 2, lr=torch.full((copies,), 0.01))
    assert counts[9][0].count == counts[3][0].count
    assert counts[9][1].get_total_flops() == 3 * counts[3][1].get_total_flops()
    assert [few < 1 for few, _ in NETS_TOOK.values()] == [True] * 3 and NETS_TOOK[128][1] > 1


class Launched(TorchDispatchMode):
    """Counts what reaches torch."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))
