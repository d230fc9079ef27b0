"""What lesson 00 claims, tried where the lesson does not look."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn

from edu_optim import SGD, Adam
from edu_optim import train as train_network
from edu_optim.lab.lesson_00 import SIX, first_race, hundred_steps, play
from edu_optim.problems import digits, small_net

X = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)


def line(weight=0.67037853, bias=0.34645085):
    model = nn.Linear(1, 1).double()
    with torch.no_grad():
        model.weight.fill_(weight)
        model.bias.fill_(bias)
    return model


def train(model, optimizer, epochs, forget=False):
    """The loss before the first epoch and after each."""
    losses = []
    for epoch in range(epochs + 1):
        loss = ((model(X) - 2 * X) ** 2).mean()
        losses.append(loss.item())
        if epoch < epochs:
            if not forget:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses


@pytest.mark.parametrize(("weight", "bias"), [(0.67, 0.35), (-1.0, 3.0), (5.0, -2.0)])
def test_a_gradient_is_how_much_the_loss_rises(weight, bias):
    """Line (4) asks of each knob: turn it up by 0.001, and the loss changes by about g times 0.001; what is g?
    That number is the **gradient**."""
    model = line(weight, bias)
    ((model(X) - 2 * X) ** 2).mean().backward()
    for knob, little in itertools.product(model.parameters(), (1e-3, 1e-6)):
        before = ((model(X) - 2 * X) ** 2).mean().item()
        with torch.no_grad():
            knob += little
        after = ((model(X) - 2 * X) ** 2).mean().item()
        with torch.no_grad():
            knob -= little
        assert (after - before) / little == pytest.approx(knob.grad.item(), rel=max(1e-4, 2 * little))


@pytest.mark.parametrize("hidden", [1, 7])
def test_backward_adds(hidden):
    """For `backward` does not replace a gradient: it **adds** to what is there."""
    model = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, 1)).double()
    model(X).square().mean().backward()
    first = [p.grad.clone() for p in model.parameters()]
    model(X).abs().sum().backward()
    both = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(X).abs().sum().backward()
    for old, sum_of_both, new in zip(first, both, model.parameters(), strict=True):
        torch.testing.assert_close(sum_of_both, old + new.grad)


STARTS = pytest.mark.parametrize(("weight", "bias"), [(0.67037853, 0.34645085), (0.0, 0.0), (-1.0, 1.0)])


@STARTS
@pytest.mark.parametrize("lr", [0.005, 0.02, 0.05])
def test_old_gradients_push_beyond_the_points(weight, bias, lr):
    """Without line (3) the model runs past the points and beyond them: gradients from long ago still push it on."""
    model = line(weight, bias)
    optimizer, beyond = Adam(model.parameters(), lr=lr), []
    for _ in range(20):
        train(model, optimizer, 50, forget=True)
        beyond.append(model(torch.tensor([[2.5]]).double()).item())
    assert max(beyond) > 6  # the points are at 5 there


@STARTS
@pytest.mark.parametrize("lr", [0.003, 0.02, 0.05])
def test_without_zero_grad_the_loss_falls_at_first(weight, bias, lr):
    """No error appears, and at this small rate the loss falls at first."""
    model = line(weight, bias)
    losses = train(model, Adam(model.parameters(), lr=lr), 10, forget=True)
    assert all(after < before for before, after in zip(losses, losses[1:], strict=False))


@STARTS
@pytest.mark.parametrize("lr", [0.008, 0.02])
def test_an_empty_memory_speeds_adam_up(weight, bias, lr):
    """So here Adam's memory is a brake: it still divides by the large gradients of the start."""
    model, epochs = line(weight, bias), round(3.2 / lr)
    optimizer = Adam(model.parameters(), lr=lr)
    train(model, optimizer, epochs)
    going_on_from = model.weight.item(), model.bias.item()
    going_on, fresh = line(*going_on_from), line(*going_on_from)
    kept = Adam(going_on.parameters(), lr=lr)
    kept.load_state_dict(optimizer.state_dict())
    slow = train(going_on, kept, 100)[-1]
    assert train(fresh, Adam(fresh.parameters(), lr=lr), 100)[-1] < slow / 2
    forgetful = line(weight, bias)  # a memory of ten steps holds no gradients of the start
    assert train(forgetful, Adam(forgetful.parameters(), lr=lr, betas=(0.9, 0.9)), epochs + 100)[-1] < slow / 2
    still_dividing = line(*going_on_from)
    kept = Adam(still_dividing.parameters(), lr=lr)
    kept.load_state_dict(optimizer.state_dict())
    for buffers in kept.state.values():
        buffers["exp_avg"].zero_()
    assert train(still_dividing, kept, 100)[-1] == pytest.approx(slow, rel=0.2)


@pytest.mark.parametrize(("weight", "bias"), [(3.0, 1.0), (1.0, -1.0), (2.5, 0.5), (4.0, 2.0)])
@pytest.mark.parametrize("lr", [0.01, 0.02])
def test_where_both_knobs_are_equally_far_adam_does_not_crawl(weight, bias, lr):
    """But from a weight of 3 and a bias of 1, where they are larger still, nothing crawls: both are 1 too high, and
    Adam turns both alike."""
    model, epochs = line(weight, bias), round(2.5 * abs(bias) / lr)
    optimizer = Adam(model.parameters(), lr=lr)
    losses = train(model, optimizer, epochs)
    assert model.weight.item() - 2 == pytest.approx(model.bias.item(), abs=1e-6)
    assert losses[epochs] < 1e-3 * losses[0]
    crawling = line()
    crawl = train(crawling, Adam(crawling.parameters(), lr=lr), round(2.5 / lr))
    assert crawl[-1] > 1e-2 * crawl[0]
    if abs(bias) >= 1:
        first = line(weight, bias)
        train(first, SGD(first.parameters(), lr=0.0), 1)
        for knob, usual in ((first.weight, 18.2), (first.bias, 5.96)):
            assert abs(knob.grad.item()) > usual


@pytest.mark.parametrize(("lr", "bend"), [(0.01, 20), (0.06, 1), (0.02, 10), (0.055, 2), (0.09, 10), (0.117, None)])
def test_the_bend_hangs_on_the_rate(lr, bend):
    """At 0.01 the line bends after twenty epochs, at 0.06 after one, and both bends lie at one height, near 0.08.
    At 0.117 it hardly bends: it stays high for longest, and after 200 epochs it is the lowest."""
    model = line()
    losses = torch.tensor(train(model, SGD(model.parameters(), lr=lr), 201), dtype=torch.float64)
    left = losses[1:] / losses[:-1]
    if bend is None:
        assert left[:200] == pytest.approx(left[0].item(), abs=0.01)
        others = {rate: line() for rate in (0.01, 0.06)}
        for rate, other in others.items():
            slower = train(other, SGD(other.parameters(), lr=rate), 201)
            assert losses[20] > slower[20] and losses[200] < slower[200]
    else:
        assert left[0] < 0.75 and left[0] < left[bend + 5 :].min() - 0.1
        assert left[bend + 20 : 200] == pytest.approx(left[bend + 20].item(), abs=0.005)
        assert left[bend + 20] > 0.94


@pytest.mark.parametrize(("lr", "epochs"), [(0.01, 20), (0.06, 1), (0.02, 10), (0.04, 4)])
def test_both_bend_at_one_height(lr, epochs):
    """At 0.01 the line bends after twenty epochs, at 0.06 after one, and both bends lie at one height, near 0.08."""
    model = line()
    losses = train(model, SGD(model.parameters(), lr=lr), epochs)
    assert losses[epochs] == pytest.approx(0.08, abs=0.006) and losses[epochs - 1] > losses[epochs]
    floor = torch.linalg.eigh(torch.tensor([[7.5, 2.5], [2.5, 1.0]]).double())[1][:, 0]
    away = torch.tensor([model.weight.item() - 2, model.bias.item()]).double()
    assert abs(away @ floor) > 0.99 * away.norm()


@pytest.mark.parametrize(("weight", "bias"), [(0.67037853, 0.34645085), (-3.0, 1.0), (9.0, -2.0)])
@pytest.mark.parametrize("lr", [0.003, 0.2])
def test_the_first_step_of_adam_has_one_length(weight, bias, lr):
    """Unless the gradient is close to 0, its first step is `lr` times the gradient's sign, $g / \\sqrt{g^2}$."""
    model = line(weight, bias)
    train(model, Adam(model.parameters(), lr=lr), 1)
    for after, before, knob in ((model.weight, weight, "weight"), (model.bias, bias, "bias")):
        g = getattr(model, knob).grad.item()
        assert after.item() - before == pytest.approx(-lr * g / (g**2) ** 0.5, rel=1e-6)
    near_zero = line(2 + 1e-9, 0)
    train(near_zero, Adam(near_zero.parameters(), lr=lr), 1)
    assert 0 < abs(near_zero.bias.item()) < 0.7 * lr


@pytest.mark.parametrize("lr", [1.8, 2, 2.37, 3, 6])
def test_a_jump_is_not_the_end(lr):
    """A jump is not the end: at 2.37 the loss climbs to 29 and comes down all the same."""
    model = line()
    losses = train(model, Adam(model.parameters(), lr=lr), 150)
    assert losses[1] > losses[0] and max(losses[85:]) < 0.06


@pytest.mark.parametrize("lr", [0.2 * 10 ** (i / 40) for i in range(41)])
def test_a_range_of_rates_does_well(lr):
    """from this start, at any rate from 0.2 to 2, the gray range, the loss of the last ten epochs stays below 0.15."""
    model = line()
    assert max(train(model, Adam(model.parameters(), lr=lr), 50)[41:]) < 0.15


@STARTS
@pytest.mark.parametrize("lr", [0.2, 0.25, 0.3])
def test_an_average_of_gradients_makes_adam_swing(weight, bias, lr):
    """At this rate the loss swings because Adam steps along an average of recent gradients, and so runs on past the
    points ([lesson 03](03_momentum.ipynb))."""
    rises = {}
    for beta1 in (0, 0.9):
        model = line(weight, bias)
        losses = train(model, Adam(model.parameters(), lr=lr, betas=(beta1, 0.999)), 50)
        rises[beta1] = sum(after > before for before, after in zip(losses[5:], losses[6:], strict=False))
    assert rises[0] == 0 and rises[0.9] > 10


def test_a_line_that_swings_passes_ten_by_luck():
    """A line that swings may pass 10 by luck, so we judge a rate by the highest loss of its last ten epochs."""
    found = play().at(lr=2.37).numbers
    assert abs(found["prediction for x = 5"] - 10) < 0.25
    assert found["highest in the last 10 epochs"] > 20 * found["loss after 50 epochs"]


@pytest.mark.parametrize("lr", [0.01, 0.1, 0.3])
def test_without_zero_grad_the_swings_of_adam_grow(lr):
    """Step 1 is still right; at step 2, the cross, the loss leaves PyTorch's, and it swings ever farther, to 258 at
    the end."""
    model = line()
    losses = train(model, Adam(model.parameters(), lr=lr), 3000 if lr < 0.1 else 500, forget=True)
    peaks = [now for old, now, new in zip(losses, losses[1:], losses[2:], strict=False) if old < now > new]
    assert len(peaks) > 4 and peaks == sorted(peaks)


@STARTS
@pytest.mark.parametrize("lr", [0.003, 0.01, 0.02])
def test_no_step_turns_a_knob_by_more_than_the_rate(weight, bias, lr):
    """Here no step of Adam turns a knob by more than `lr = 0.01` (*By hand* follows the first)"""
    model = line(weight, bias)
    optimizer = Adam(model.parameters(), lr=lr)
    for _ in range(50):
        before = model.weight.item(), model.bias.item()
        train(model, optimizer, 1)
        assert max(abs(model.weight.item() - before[0]), abs(model.bias.item() - before[1])) < lr


@pytest.mark.parametrize(("weight", "bias"), [(0.67037853, 0.34645085), (0.0, 0.0), (-1.0, 1.0), (5.0, -3.0)])
def test_swings_take_longer_to_die_out_at_a_large_rate(weight, bias):
    """But after a larger jump the swings take longer to die out."""
    last_above = []
    for lr in (1, 3, 4, 6, 9):
        model = line(weight, bias)
        losses = train(model, Adam(model.parameters(), lr=lr), 200)
        last_above.append(max(epoch for epoch, loss in enumerate(losses) if loss > 0.06))
    assert last_above == sorted(set(last_above)) and last_above[1] > 50


@pytest.mark.parametrize("lr", [0.002, 0.005, 0.01, 4, 6, 9])
def test_beside_the_range_it_creeps_or_overshoots(lr):
    """A small rate creeps; a large one jumps far past the points, and the dashed line rises."""
    model = line()
    losses = train(model, Adam(model.parameters(), lr=lr), 50)
    if lr < 0.2:
        assert losses[-1] > 0.06 and losses[-1] == min(losses)
    else:
        assert losses[1] > 5 * losses[0] and max(losses) == losses[1]


@pytest.mark.parametrize("lr", [0.003, 0.02, 0.1])
@pytest.mark.parametrize("surface", first_race().controls["surface"].options)
def test_six_paths_from_one_start(surface, lr):
    """All six start at the same place and are told nothing but slopes."""
    race = first_race()

    def places(step):
        lines = race.at(surface=surface, lr=lr, step=step).fig.axes[0].get_lines()
        return {line.get_label(): line.get_xydata()[-1] for line in lines if line.get_label() in SIX}

    assert len(set(race.at(surface=surface, lr=lr, step=0).numbers.values())) == 1
    first = places(1)
    assert first["SGD"] == pytest.approx(first["momentum"], rel=1e-12)
    assert first["Adagrad"] == pytest.approx(first["Adam"], abs=1e-4 * lr)
    assert len({tuple(place) for place in places(2).values()}) == len(SIX)


def test_the_leader_of_the_race_changes():
    """They share one learning rate, so it is no fair race: who is ahead changes with the rate and the
    surface."""

    def leader(**setting):
        found = first_race().at(**setting).numbers
        losses = {name: float(words.split("loss ")[1]) for name, words in found.items() if "diverged" not in words}
        return min(losses, key=losses.get)

    assert leader(lr=0.02) != leader(lr=0.1)
    assert leader(lr=0.02) != leader(lr=0.02, surface="a bowl of condition number 25")


@pytest.mark.parametrize("length", [0.001, 0.03, 0.1])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_of_all_short_steps_go_down(length, seed):
    """About half of them: those within 90 degrees of downhill.
    None of these hundred short steps lowers the loss more than the one downhill.
    A long step is another matter: try `length=2`."""
    fig, falls, against = hundred_steps(length, seed)
    assert 35 <= (falls > 0).sum() <= 65
    assert falls.max() < against
    _, long_falls, long_against = hundred_steps(2, seed)
    assert (long_falls > long_against).sum() > 24
    for line in fig.axes[1].get_lines()[:2]:
        for angle, fall in line.get_xydata():
            assert (fall > 0) == (abs(angle) < 90) or abs(abs(angle) - 90) < 3


@pytest.mark.parametrize("seed", [0, 1])
def test_in_a_million_dimensions_random_directions_are_at_right_angles(seed):
    """With a million knobs nearly every short random step is close to a right angle to downhill and changes the loss
    little;"""
    draws = torch.Generator().manual_seed(seed)
    gradient = torch.randn(1_000_000, generator=draws)
    for _ in range(20):
        step = torch.randn(1_000_000, generator=draws)
        cosine = torch.nn.functional.cosine_similarity(step, gradient, dim=0)
        assert abs(90 - torch.rad2deg(torch.arccos(cosine))) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_too_large_a_rate_swings_and_does_not_settle_either(seed):
    """So where a loss swings and does not settle, look for `zero_grad`; if it stands there, try a smaller rate."""
    images, labels = digits()
    late = {}
    for lr in (0.5, 4):
        losses = train_network(small_net(64, 16, 10, seed=seed), SGD, images, labels, steps=300, lr=lr)[200:]
        late[lr] = losses.max().item() - losses.min().item(), (losses.diff() > 0).sum().item()
    assert late[0.5] == (pytest.approx(0.0, abs=0.1), 0) and late[4][0] > 1 and 20 < late[4][1] < 80


@pytest.mark.parametrize("seed", [1, 3])
def test_without_zero_grad_adam_swings_on_a_network(seed):
    """With Adam, at the same rate, it swings far above its start."""
    images, labels = digits()
    model, found = small_net(64, 16, 10, seed=seed), []
    optimizer = Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert min(found[:50]) < 1 and max(found) > 4 * found[0]
    assert (torch.tensor(found).diff().sign().diff() != 0).sum() > 10


@pytest.mark.parametrize(("lr", "seed"), [(0.05, 3), (0.2, 1), (1, 0), (2, 0)])
def test_without_zero_grad_a_network_can_learn_faster(lr, seed):
    """On this network SGD's loss falls even faster without line (3): the sum of all gradients is a
    momentum that never fades ([lesson 03](03_momentum.ipynb)).
    With Adam, at the same rate, it swings far above its start.
    So a good curve does not prove the line: look at the code."""
    images, labels = digits()
    losses = {}
    for forget in (False, True):
        model, found = small_net(64, 16, 10, seed=seed), []
        optimizer = SGD(model.parameters(), lr=lr)
        for _ in range(100):
            loss = nn.functional.cross_entropy(model(images), labels)
            if not forget:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        losses[forget] = torch.tensor(found, dtype=torch.float64)
    assert losses[True].diff().max() < 0.01 and (losses[True][2:] < losses[False][2:]).all()
    model = small_net(64, 16, 10, seed=seed)
    torch.testing.assert_close(
        losses[True],
        train_network(model, partial(torch.optim.SGD, momentum=1.0), images, labels, steps=100, lr=lr)[:100],
    )
