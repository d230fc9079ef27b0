"""The formulas and facts of lesson 02, run from its own cells."""

import pytest
import sympy
import torch
from cells import Later, Lesson
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from edu_optim import SGD, descend, problems, rules, train
from edu_optim.lab import lesson_02 as lab

LESSON = Lesson("02")
run = LESSON.run


def test_the_minibatch_loop_is_the_mean_over_the_drawn_rows():
    lesson = run("imports", "data", "gradient-descent", "minibatch-loop")
    model = problems.small_net(64, 16, 10)
    rows = torch.randint(1797, (5,), generator=torch.Generator().manual_seed(0)).tolist()
    losses = [cross_entropy(model(lesson["images"][[i]]), lesson["labels"][[i]]) for i in rows]
    mean = torch.cat([g.flatten() for g in torch.autograd.grad(sum(losses) / 5, list(model.parameters()))])
    before = parameters_to_vector(model.parameters()).detach()
    lesson["train_by_hand"](model, steps=1, batch=5, lr=0.25)
    after = parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(after, before - 0.25 * mean, rtol=0, atol=1e-14)


def test_the_loop_by_hand_is_train():
    lesson = run("imports", "data", "gradient-descent", "minibatch-loop")
    mine, theirs = problems.small_net(64, 16, 10), problems.small_net(64, 16, 10)
    lesson["train_by_hand"](mine, steps=20, batch=16, lr=0.5)
    train(theirs, torch.optim.SGD, lesson["images"], lesson["labels"], steps=20, batch=16, lr=0.5)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


def test_a_pass_reads_as_many_images_as_there_are():
    images, labels = problems.digits()
    lr, losses, _ = lab.ten_stretches(128, steps=14, rates=[0.25])
    model = problems.small_net(64, 16, 10)
    train(model, torch.optim.SGD, images, labels, steps=14, batch=128, seed=0, lr=0.25)
    assert (lr, len(losses)) == (0.25, 11)
    assert losses[1] == pytest.approx(cross_entropy(model(images), labels).item())


def test_a_rate_of_one_over_t_is_the_running_mean():
    lesson = run("imports", "gradient-descent", "two-steps-decay")
    assert lesson["x"] == 3.0
    lesson = run("running-mean", **lesson)
    assert sympy.simplify(lesson["after"] - (lesson["total"] + lesson["r"]) / lesson["t"]) == 0


def test_equation_2_is_the_fixed_point_of_the_variance():
    lesson = run("imports", "gradient-descent", "one-noisy-step", "noise-floor")
    eta, curvature, s = lesson["eta"], lesson["curvature"], lesson["s"]
    formula = eta * s**2 / (curvature * (2 - eta * curvature))
    assert sympy.simplify(lesson["floor_variance"] - formula) == 0
    assert sympy.simplify(predicted(**lesson)(eta, curvature, s) - formula) == 0
    assert sympy.simplify(lab.floor_variance(eta, curvature, s) - formula) == 0


@pytest.mark.parametrize(("lr", "noise"), [(0.02, 1.0), (0.07, 3.0)])
def test_paths_have_the_predicted_variance(lr, noise):
    problem = problems.noisy_quadratic(condition=25, noise=noise)
    start = torch.zeros(1000, 2, dtype=torch.float64)
    measured = descend(problem, SGD, steps=600, start=start, lr=lr).points[300:].var(dim=(0, 1))
    curvatures = torch.tensor([1.0, 25.0], dtype=torch.float64)
    formula = lr * noise**2 / (curvatures * (2 - lr * curvatures))
    torch.testing.assert_close(measured, formula, rtol=0.05, atol=0)


def test_at_the_best_rate_the_ball_is_round():
    m, L = sympy.symbols("m L", positive=True)
    lr = 2 / (m + L)
    assert sympy.simplify(lr / (m * (2 - lr * m)) - lr / (L * (2 - lr * L))) == 0


def test_a_constant_rate_stays_where_the_average_goes_on():
    place, average, _ = lab.long_paths(rules.gradient_descent, lambda t: 1 / 25, steps=2000)
    floor = (0.04 / (2 - 0.04) + 0.04 / (2 - 1.0)) / 2
    assert abs(place[400:].mean() / floor - 1) < 0.05
    assert average[-1] < place[-1] / 20
    assert abs(average[-1] / ((1 + 1 / 25) / 2 / 1800) - 1) < 0.3


def test_the_error_of_a_batch_falls_with_the_root_of_its_size():
    lesson = run("imports", "data", "measured-errors")
    draws = torch.Generator().manual_seed(1)
    for size in (2, 32, 500):
        drawn = torch.randint(1797, (100, size), generator=draws)
        measured, _ = lab.gradient_error(lesson["untrained"], lesson["images"], lesson["labels"], drawn)
        assert abs(measured * size**0.5 / lesson["one"] - 1) < 0.15


def test_the_error_of_a_batch_is_measured_against_autograd():
    images, labels = problems.digits()
    model, batches = problems.small_net(64, 5, 10, seed=2), torch.tensor([[0, 3], [7, 7], [1000, 4]])

    def gradient(rows):
        loss = cross_entropy(model(images[rows]), labels[rows])
        return parameters_to_vector(torch.autograd.grad(loss, list(model.parameters())))

    full = gradient(slice(None))
    squares = torch.stack([((gradient(rows) - full) ** 2).sum() for rows in batches])
    error, length = lab.gradient_error(model, images, labels, batches)
    assert error == pytest.approx(squares.mean().sqrt().item())
    assert length == pytest.approx(full.norm().item())


@pytest.mark.parametrize(("t0", "mean_from"), [(0, 2), (1, 3), (3, 5), (1e6, 6)])
def test_torchs_asgd_averages_the_places_after_the_first_t0_plus_one(t0, mean_from):
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    p.grad = torch.ones_like(p)
    optimizer = torch.optim.ASGD([p], lr=1.0, lambd=0.0, t0=t0)
    for _ in range(6):
        optimizer.step()
    places = torch.arange(mean_from, 7, dtype=torch.float64)
    assert optimizer.state[p]["ax"].item() == pytest.approx(-places.mean().item(), abs=1e-6)


def test_torchs_asgd_has_the_rate_of_the_card():
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    p.grad = torch.zeros_like(p)
    optimizer = torch.optim.ASGD([p], lr=0.5, lambd=2.0)
    for n in range(1, 5):
        optimizer.step()
        assert optimizer.state[p]["eta"].item() == pytest.approx(0.5 / (1 + 2.0 * 0.5 * n) ** 0.75, rel=1e-6)


def predicted(**names):
    """The function `predicted` of the cell that goes on to check it."""
    exec(LESSON.sources["variance-check"].split("\n\n\n")[0], names)
    return names["predicted"]


EXPERIMENT = Later(lambda: {"play": lab.play})


def errors_of_seed(seed):
    """The errors of 500 single examples in each of 100 steps, as one stream of draws."""
    draws = torch.Generator().manual_seed(seed)
    return [4 * torch.randn(500, 2, generator=draws, dtype=torch.float64) for _ in range(100)]


@pytest.mark.parametrize(("lr", "batch", "seed"), [(0.2, 4, 0), (0.05, 4, 1), (0.4, 1, 20), (0.2, 100, 3)])
def test_the_paths_of_the_experiment_enter_the_predicted_ball(lr, batch, seed):
    made = EXPERIMENT.experiment(torch.optim.SGD, lr=lr, batch=batch, seed=seed)
    radius = sum(lr * 16 / batch / (curve * (2 - lr * curve)) for curve in (1, 4)) ** 0.5
    assert made.numbers["radius of the ball, predicted"].item() == pytest.approx(radius)
    assert made.numbers["distance after 100 steps"].item() == pytest.approx(radius, rel=0.1)
    assert made.numbers["yours, ours and torch"] == "the same in all 100 steps"
    x, y = -4.0, 4.0
    for error in errors_of_seed(seed):
        ex, ey = (error[0] / batch**0.5).tolist()
        x, y = x - lr * (x + ex), y - lr * (4 * y + ey)
    (line,) = [line for line in made.picture.axes[0].get_lines() if line.get_label() == "_yours, late"]
    assert line.get_xydata()[-1] == pytest.approx([x, y], rel=1e-9)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_error_in_every_step_moves_the_minimum(seed):
    numbers = EXPERIMENT.experiment(torch.optim.SGD, seed=seed, broken=True).numbers
    first = errors_of_seed(seed)[0] / 2 / torch.tensor([1.0, 4.0])
    off = (first**2).sum(-1).mean().sqrt()
    assert numbers["distance after 100 steps"].item() == pytest.approx(off.item(), rel=1e-6)
    assert numbers["last step on the left"] < 1e-8
    assert numbers["yours leaves torch at"].startswith("step 2, ")


@pytest.mark.parametrize("setting", [{}, {"broken": True, "batch": 1}, {"lr": 0.4, "batch": 2}])
def test_the_path_of_the_experiment_stays_in_its_frame(setting):
    ax = lab.play().at(**setting).fig.axes[0]
    (low, high), names = ax.get_xlim(), ("SGD", "_SGD, late", "yours", "_yours, late")
    parts = [line.get_xydata() for line in ax.get_lines() if line.get_label() in names]
    assert sum(map(len, parts)) == 101
    assert all(low <= part.min() and part.max() <= high for part in parts)
