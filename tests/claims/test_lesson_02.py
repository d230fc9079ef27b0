"""What lesson 02 claims beyond its own settings, tried elsewhere; each docstring quotes the sentences it tests."""

import math

import pytest
import torch

from edu_optim import SGD, descend, train
from edu_optim.lab.lesson_02 import floor_variance, long_paths, play
from edu_optim.problems import digits, noisy_quadratic, small_net
from edu_optim.rules import gradient_descent


def loss_after(steps, batch, lr, *sizes, seed=0, seen=slice(None), asked=slice(None)):
    """The loss on the images ``asked`` of a network that was trained on those ``seen``."""
    images, labels = digits()
    model = small_net(64, *sizes, 10, seed=seed)
    train(model, SGD, images[seen], labels[seen], steps, batch=batch, seed=seed, lr=lr)
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(model(images[asked]), labels[asked]).item()


@pytest.mark.parametrize(("width", "seed"), [(16, 1), (16, 2), (32, 3)])
def test_smaller_batches_descend_further_in_ten_passes(width, seed):
    """After ten passes, each at the best of these rates, the smaller of these three has the smaller loss, and so it is with other seeds."""  # noqa: E501
    ends = []
    for steps, batch in ((10, None), (140, 128), (1120, 16)):
        ends.append(min(loss_after(steps, batch, lr, width, seed=seed) for lr in (0.5, 1, 2, 4)))
    assert ends[0] > ends[1] > ends[2]


@pytest.mark.parametrize("size", [3, 7])
def test_the_variance_of_a_mean(size):
    """Two examples halve the variance, and $B$ independent draws divide it by $B$."""
    gradients = torch.tensor([-3.0, 0.5, 4.0, 11.0], dtype=torch.float64)
    drawn = gradients[torch.randint(4, (200_000, size), generator=torch.Generator().manual_seed(1))].mean(1)
    assert drawn.var().item() == pytest.approx(gradients.var(correction=0).item() / size, rel=0.02)


@pytest.mark.parametrize("start", [-50.0, 1e6])
def test_one_over_t_is_the_running_mean(start):
    """So on this loss stochastic gradient descent with $1/t$ is the running mean."""
    readings = 3 + torch.randn(500, generator=torch.Generator().manual_seed(4)).double()
    x = start
    for t, reading in enumerate(readings, start=1):
        (x,) = gradient_descent(x, x - reading, lr=1 / t)
        assert abs(x - readings[:t].mean()) < 1e-9


@pytest.mark.parametrize("condition", [3, 100])
def test_at_the_best_constant_rate_the_ball_is_round(condition):
    """At $2/(m+L)$, the best constant rate of lesson 01, it is a true ball."""
    start = torch.zeros(4000, 2, dtype=torch.float64)
    rate = 2 / (1 + condition)
    places = descend(noisy_quadratic(condition), SGD, steps=40 * condition, start=start, lr=rate).points[-1]
    assert (places[:, 0].var() / places[:, 1].var()).item() == pytest.approx(1, rel=0.1)

    def factor(lr):
        return max(abs(1 - lr), abs(1 - lr * condition))

    assert all(factor(rate) <= factor(rate * change) for change in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


@pytest.mark.parametrize(("lr", "batch", "seed"), [(0.1, 9, 5), (0.3, 1, 11)])
def test_the_same_error_does_not_average_out(lr, batch, seed):
    """an error that is always the same never averages out."""
    numbers = play().at(lr=lr, batch=batch, seed=seed, broken=True).numbers
    size = 4 / batch**0.5 * math.sqrt(1 + 1 / 16)  # of the mean error over the curvatures, 1 and 4
    assert numbers["distance after 100 steps"].item() == pytest.approx(size, rel=0.1)
    assert play().at().numbers["distance after 100 steps"].item() == pytest.approx(0.782, rel=0.01)


@pytest.mark.parametrize("lr", [0.01, 0.06])
def test_a_constant_rate_does_not_settle(lr):
    """While the noise stays, it does not settle: formula (2) has no $t$ in it."""
    start = torch.zeros(2000, 2, dtype=torch.float64)
    points = descend(noisy_quadratic(25, noise=2.0), SGD, steps=3000, start=start, lr=lr).points
    for step in (1000, 3000):
        for axis, curvature in enumerate((1, 25)):
            floor = floor_variance(lr, curvature, 2.0)
            assert points[step, :, axis].var().item() == pytest.approx(floor, rel=0.15)


def test_shuffling_leaves_a_smaller_cloud_at_the_end_of_a_pass():
    """Shuffled, the cloud at the end of a pass is far smaller: each reading came once, and the errors of a pass nearly
    The smaller the rate, the larger this gain, and in the middle of a pass it is less.
    Formula (2) is for examples that are drawn anew."""
    readings, draws = torch.tensor([-2.0, 0.0, 0.5, 3.0, 3.5, 7.0]).double(), torch.Generator().manual_seed(5)
    spread, gains = readings.std(correction=0).item(), []
    for lr in (0.02, 0.1, 0.3):
        anew = torch.randint(6, (1200, 3000), generator=draws)
        shuffled = torch.rand(200, 6, 3000, generator=draws).argsort(1).reshape(1200, 3000)
        found = []
        for order in (anew, shuffled):
            x, seen = torch.zeros(3000, dtype=torch.float64), []
            for rows in order:
                (x,) = gradient_descent(x, x - readings[rows], lr=lr)
                seen.append(x.var().item())
            found.append((seen[-4], seen[-1]))
        (_, end), (middle_shuffled, end_shuffled) = found
        assert end == pytest.approx(floor_variance(lr, 1, spread), rel=0.1)
        assert end_shuffled < middle_shuffled < end
        gains.append(end / end_shuffled)
    assert gains[0] > 2 * gains[1] > 4 * gains[2] > 4


@pytest.mark.parametrize(("a", "curvature"), [(0.1, 1.0), (0.3, 2.0)])
def test_a_decay_shrinks_the_distance_by_a_power(a, curvature):
    """with $a/t$ the distance along a curvature $\\lambda$ shrinks like $t^{-a\\lambda}$."""
    distance, seen = 1.0, {}
    for t in range(1, 100_001):
        distance *= 1 - a * curvature / t
        seen[t] = distance
    assert seen[1000] / seen[100_000] == pytest.approx(100 ** (a * curvature), rel=0.01)


@pytest.mark.parametrize("start", [26, 100])
def test_rates_that_add_up_to_little_cannot_travel_far(start):
    """This *1/t²* stops short: its rates add up to 0.97, too little to travel along the ravine."""
    place, _ = long_paths(gradient_descent, lambda t: start / (start + t) ** 2, steps=3000)
    left = math.exp(-sum(start / (start + t) ** 2 for t in range(1, 3001)))
    assert place[-1] == pytest.approx((4 * left) ** 2 / 2, rel=0.1)


def test_a_decay_that_keeps_both_conditions_goes_on_and_the_others_do_not():
    """A constant rate breaks the second."""
    kept, _ = long_paths(gradient_descent, lambda t: 2 / (50 + t))
    assert kept[-1] < kept[1000] / 2
    for broken in (lambda t: 1 / 30, lambda t: 50 / (50 + t) ** 2):
        place, _ = long_paths(gradient_descent, broken)
        assert place[2000:].mean() > 0.8 * place[1000:2000].mean()


def test_a_larger_batch_does_not_move_the_edge():
    """Up to 64 it hardly matters, and at 128 training has broken down."""
    ends = [loss_after(round(4 * 1797 / batch), batch, 0.02 * batch, 16, seed=2) for batch in (8, 32, 64, 128)]
    assert max(ends[:3]) < 0.25
    assert ends[3] > 0.5


def test_held_out_images_tell_batches_apart_less():
    """how well a step descends is not how well a network does on new images."""
    seen, kept = slice(500, None), slice(0, 500)
    ends = []
    for steps, batch in ((101, 128), (811, 16)):
        ends.append([loss_after(steps, batch, 1, 16, seed=1, seen=seen, asked=asked) for asked in (seen, kept)])
    assert ends[1][0] < ends[0][0] / 2
    assert ends[1][1] > ends[0][1] * 0.7


@pytest.mark.parametrize("total", [1.0, 8.0])
def test_a_finite_sum_leaves_some_start_out_of_reach(total):
    """A decay like $1/t^2$ breaks the first: whatever its sum, there are starts from which it stops short."""
    left = 1.0
    for t in range(1, 20_001):
        left *= 1 - total * 200 / (200 + t) ** 2
    assert left == pytest.approx(math.exp(-total), rel=0.1)
