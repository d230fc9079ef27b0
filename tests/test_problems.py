"""The surfaces: their published values, and what every one of them promises."""

import math

import pytest
import torch
from torch._subclasses import FakeTensorMode

from edu_optim import problems

ALL = [
    problems.quadratic(),
    problems.quadratic(condition=10, angle=30),
    problems.noisy_quadratic(),
    problems.rosenbrock,
    problems.beale,
    problems.booth,
    problems.himmelblau,
    problems.six_hump_camel,
    problems.saddle,
    problems.rastrigin,
    problems.plateau,
    problems.sparse_features(),
]
NOISY = [problems.noisy_quadratic(condition=10, noise=0.5), problems.sparse_features(rate=0.2)]
each_problem = pytest.mark.parametrize("problem", ALL, ids=lambda problem: problem.name)
each_noisy = pytest.mark.parametrize("problem", NOISY, ids=lambda problem: problem.name)


def at(*point):
    return torch.tensor(point, dtype=torch.float64)


@pytest.mark.parametrize(
    "problem, point, value",
    [
        (problems.beale, (3, 0.5), 0),
        (problems.beale, (1, 1), 14.203125),
        (problems.rosenbrock, (1, 1), 0),
        (problems.rosenbrock, (-1.2, 1), 24.2),
        (problems.himmelblau, (3, 2), 0),
        (problems.himmelblau, (-2.805118, 3.131312), 0),
        (problems.himmelblau, (-3.779310, -3.283186), 0),
        (problems.himmelblau, (3.584428, -1.848126), 0),
        (problems.himmelblau, (0, 0), 170),
        (problems.six_hump_camel, (0.0898, -0.7126), -1.0316285),
        (problems.six_hump_camel, (-0.0898, 0.7126), -1.0316285),
        (problems.booth, (1, 3), 0),
        (problems.booth, (0, 0), 74),
        (problems.rastrigin, (0, 0), 0),
        (problems.rastrigin, (0.5, 0.5), 40.5),
        (problems.saddle, (0, 0), 0),
        (problems.saddle, (2, 1), 1.75),
        (problems.plateau, (1, 1), 1 - math.exp(-1)),
        (problems.quadratic(condition=10), (3, 2), 24.5),
        (problems.quadratic(condition=10, angle=90), (2, 3), 24.5),
        (problems.noisy_quadratic(condition=10), (3, 2), 24.5),
        (problems.sparse_features(rate=0.1), (3, -1), 2.2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_value_is_the_published_one(problem, point, value):
    assert problem(at(*point)).item() == pytest.approx(value, rel=1e-12, abs=1e-7)


def hessian(problem, point):
    return torch.autograd.functional.hessian(problem, at(*point))


def test_the_curvature_of_rosenbrocks_valley_is_the_published_one():
    curvature = hessian(problems.rosenbrock, (1, 1))
    assert curvature.tolist() == [[802, -400], [-400, 200]]
    assert torch.linalg.cond(curvature).item() == pytest.approx(2508.0096, abs=1e-4)


@pytest.mark.parametrize("angle", [0, 30, 90, -200])
def test_a_bowl_has_the_condition_number_and_the_direction_that_were_asked_for(angle):
    curvature = hessian(problems.quadratic(condition=50, angle=angle), (0, 0))
    along = at(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    torch.testing.assert_close(torch.linalg.eigvalsh(curvature), at(1, 50))
    torch.testing.assert_close(curvature @ along, along)
    assert hessian(problems.saddle, (0, 0)).diagonal().tolist() == [1, -1]


@each_problem
def test_nothing_in_the_window_lies_below_a_minimum_and_the_gradient_there_is_zero(problem):
    x, y = (torch.linspace(*side, 401, dtype=torch.float64) for side in problem.window)
    grid = problem(torch.cartesian_prod(x, y))
    for minimum in problem.minima:
        point = at(*minimum).requires_grad_()
        loss = problem(point)
        (gradient,) = torch.autograd.grad(loss, point)
        assert loss.item() <= grid.min().item() + 1e-12
        assert gradient.abs().max() < 1e-12 * max(1, hessian(problem, minimum).abs().max())
        assert (torch.linalg.eigvalsh(hessian(problem, minimum)) > 0).all()


@each_problem
def test_no_global_minimum_in_the_window_is_left_out(problem):
    x, y = (torch.linspace(*side, 401, dtype=torch.float64) for side in problem.window)
    points = torch.cartesian_prod(x, y)
    losses = problem(points)
    lowest = problem(at(*problem.minima[0]))
    cell = max(x[1] - x[0], y[1] - y[0])
    # how far above a minimum the nearest point of the grid may lie
    depth = max(torch.linalg.eigvalsh(hessian(problem, minimum))[0] for minimum in problem.minima) * cell**2
    distances = torch.cdist(points[losses <= lowest + depth], torch.tensor(problem.minima, dtype=torch.float64))
    assert len(distances) and distances.min(1).values.max() < 4 * cell


@each_problem
def test_the_start_and_the_minima_lie_in_the_window_and_the_start_is_worth_a_descent(problem):
    for point in (problem.start, *problem.minima):
        for coordinate, (low, high) in zip(point, problem.window, strict=True):
            assert low < coordinate < high
    assert problem(at(*problem.start)) > problem(at(*problem.minima[0])) + 0.1


@each_problem
def test_many_points_at_once_give_what_each_gives_alone(problem):
    points = torch.randn(3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = torch.stack([problem(point) for point in points.reshape(12, 2)]).reshape(3, 4)
    torch.testing.assert_close(problem(points), alone, rtol=1e-12, atol=0)
    assert problem(points[:0]).shape == (0, 4)


@each_problem
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_of_the_points_is_that_of_the_losses_and_their_gradients(problem, dtype):
    points = torch.tensor([[0.5, -0.25], [1.5, 0.75]], dtype=dtype, requires_grad=True)
    losses = problem(points)
    sampled = problem.sample(points, torch.Generator())
    assert losses.dtype == sampled.dtype == torch.autograd.grad(losses.sum(), points)[0].dtype == dtype
    torch.testing.assert_close(losses, problem(points.double()).to(dtype), rtol=1e-5, atol=0)


@each_problem
@pytest.mark.parametrize("device", ["meta", "cuda"])
def test_no_tensor_is_made_on_another_device_than_that_of_the_points(problem, device):
    with FakeTensorMode():
        points = torch.zeros(3, 2, device=device)
        assert problem(points).device == problem.sample(points, torch.Generator()).device == points.device


@each_noisy
def test_the_noise_is_the_same_for_the_same_seed_and_differs_from_point_to_point(problem):
    points = torch.tensor([-0.5, 2.0], dtype=torch.float64).expand(50, 2)
    once, again, other = (problem.sample(points, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again) and not torch.equal(once, other)
    assert len(once.unique()) > 1


@pytest.mark.parametrize(
    "problem, deviation",
    [(NOISY[0], (0.5, 0.5)), (NOISY[1], (0.0, 1.25 * (0.2 * 0.8) ** 0.5))],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_measured_gradient_is_right_on_average_and_its_error_is_as_large_as_stated(problem, deviation):
    count = 100_000
    points = torch.tensor([-0.5, 2.25], dtype=torch.float64).expand(count, 2).clone().requires_grad_()
    losses = problem.sample(points, torch.Generator().manual_seed(0))
    (measured,) = torch.autograd.grad(losses.sum(), points)
    (exact,) = torch.autograd.grad(problem(points).sum(), points)
    error = measured - exact
    tolerance = 4 * torch.tensor(deviation, dtype=torch.float64) / count**0.5  # 4 standard errors
    assert (error.mean(0).abs() <= tolerance + 1e-15).all()
    torch.testing.assert_close(error.std(0), at(*deviation), rtol=0.02, atol=1e-12)
    assert (losses - problem(points)).mean().abs() < 4 * (losses - problem(points)).std() / count**0.5


def test_a_sparse_feature_has_a_gradient_of_zero_in_all_but_its_share_of_the_samples():
    points = torch.zeros(100_000, 2, requires_grad=True)
    losses = problems.sparse_features(rate=0.2).sample(points, torch.Generator().manual_seed(0))
    dense, sparse = torch.autograd.grad(losses.sum(), points)[0].unbind(-1)
    assert (dense == -1).all()
    assert sparse.unique().tolist() == [-1, 0]
    assert (sparse != 0).double().mean().item() == pytest.approx(0.2, abs=0.005)


def test_where_there_is_no_noise_a_sample_is_the_loss_itself():
    points = at(0.5, 0.25)
    assert torch.equal(problems.booth.sample(points, torch.Generator()), problems.booth(points))
    silent = problems.noisy_quadratic(noise=0)
    assert torch.equal(silent.sample(points, torch.Generator()), silent(points))


@pytest.mark.parametrize("function", [problems.booth, lambda points: NOISY[0].sample(points, torch.Generator())])
@pytest.mark.parametrize(
    "points, seen", [(torch.ones(3), "shape (3,)"), (torch.tensor(1.0), "shape ()"), ((1.0, 3.0), "(1.0, 3.0)")]
)
def test_what_is_no_point_of_the_plane_is_refused(function, points, seen):
    with pytest.raises(ValueError) as error:
        function(points)
    assert str(error.value) == f"points must be a tensor of shape [..., 2], got {seen}"


@pytest.mark.parametrize(
    "make, option, allowed, bad",
    [
        (problems.quadratic, "condition", "a number >= 1", [0.5, -1, math.nan]),
        (problems.noisy_quadratic, "condition", "a number >= 1", [0.5]),
        (problems.noisy_quadratic, "noise", "a number >= 0", [-1, math.nan]),
        (problems.sparse_features, "rate", "a number in (0, 1]", [0, 1.5, -0.1, math.nan]),
    ],
)
def test_a_problem_out_of_range_is_refused(make, option, allowed, bad):
    for value in bad:
        with pytest.raises(ValueError) as error:
            make(**{option: value})
        assert str(error.value) == f"{option} must be {allowed}, got {value!r}"


@pytest.mark.parametrize("problem", [p for p in ALL if not p.noisy], ids=lambda problem: problem.name)
def test_the_slope_is_the_gradient(problem):
    points = problem.grid(9, 7).reshape(-1, 2).requires_grad_()
    (gradients,) = torch.autograd.grad(problem(points).sum(), points)
    slopes = torch.tensor([problem.slope(*point) for point in points.detach().numpy()])
    torch.testing.assert_close(slopes, gradients, rtol=1e-13, atol=1e-12)
