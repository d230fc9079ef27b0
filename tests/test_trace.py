"""Following any optimizer over a problem."""

import dataclasses

import pytest
import torch

import edu_optim
from edu_optim import Trace, descend, from_rule, problems, rules, train

BATCH = torch.tensor([[-4.0, -2.0], [0.0, 0.0], [6.0, 8.0]], dtype=torch.float64)


class Halving(torch.optim.Optimizer):
    """A reader's own: moves half of the way to the origin, and takes no closure."""

    def __init__(self, params):
        super().__init__(params, {})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data /= 2


class Careful(torch.optim.Optimizer):
    """A reader's own: takes its step twice, and so needs a closure."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure):
        for _ in range(2):
            closure()
            for group in self.param_groups:
                for p in group["params"]:
                    p.data -= group["lr"] * p.grad


OPTIMIZERS = [
    (edu_optim.SGD, {"lr": 0.05, "momentum": 0.5}),
    (edu_optim.AdamW, {"lr": 0.5}),
    (from_rule(rules.adagrad), {"lr": 3.0}),
    (torch.optim.SGD, {"lr": 0.05}),
    (torch.optim.Adam, {"lr": 0.5}),
    (torch.optim.NAdam, {"lr": 0.5}),
    (torch.optim.LBFGS, {"lr": 0.5}),
    (Careful, {"lr": 0.03}),
]
each_optimizer = pytest.mark.parametrize(
    "cls, options", OPTIMIZERS, ids=[f"{cls.__module__.split('.')[0]}-{cls.__name__}" for cls, _ in OPTIMIZERS]
)


@each_optimizer
def test_any_optimizer_leaves_a_trace_that_goes_down_to_the_minimum(cls, options):
    trace = descend(problems.booth, cls, 100, **options)
    assert trace.name == cls.__name__
    assert trace.points.shape == (101, 2) and trace.points.dtype == torch.float64
    assert trace.points[0].tolist() == list(problems.booth.start)
    assert torch.equal(trace.losses, problems.booth(trace.points))
    assert trace.losses[-1] < 0.05 < trace.losses[0]
    assert not trace.points.requires_grad and not trace.losses.requires_grad


def test_every_step_is_where_a_loop_written_out_is():
    point = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = torch.optim.Adam([point], lr=0.5)
    points = [point.detach().clone()]
    for _ in range(5):
        optimizer.zero_grad()
        problems.booth(point).backward()
        optimizer.step()
        points.append(point.detach().clone())
    trace = descend(problems.booth, torch.optim.Adam, 5, points[0], lr=0.5)
    assert torch.equal(trace.points, torch.stack(points))


def test_an_optimizer_that_needs_a_closure_calls_it_as_often_as_it_likes():
    once, twice = descend(problems.booth, torch.optim.SGD, 4, lr=0.03), descend(problems.booth, Careful, 2, lr=0.03)
    torch.testing.assert_close(twice.points, once.points[::2])
    assert descend(problems.booth, torch.optim.LBFGS, 20, lr=1).losses[-1] < 1e-12


def test_an_optimizer_that_takes_no_closure_is_followed_too():
    trace = descend(problems.booth, Halving, 3, torch.tensor([8.0, -4.0]))
    assert trace.points.tolist() == [[8, -4], [4, -2], [2, -1], [1, -0.5]]


@pytest.mark.parametrize(
    "cls, options", [row for row in OPTIMIZERS if row[0] is not torch.optim.LBFGS], ids=lambda row: None
)
def test_a_batch_of_starts_is_a_batch_of_descents(cls, options):
    trace = descend(problems.himmelblau, cls, 20, BATCH, **{**options, "lr": options["lr"] / 10})
    assert trace.points.shape == (21, 3, 2) and trace.losses.shape == (21, 3)
    for index, start in enumerate(BATCH):
        alone = descend(problems.himmelblau, cls, 20, start, **{**options, "lr": options["lr"] / 10})
        torch.testing.assert_close(trace.points[:, index], alone.points, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(trace.losses[:, index], alone.losses, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("module", [edu_optim, torch.optim], ids=["ours", "torch's"])
@pytest.mark.parametrize("start", [BATCH[0], BATCH], ids=["one", "batch"])
def test_the_state_is_kept_as_it_was_after_each_step(module, start):
    trace = descend(problems.booth, module.Adam, 4, start, keep_state=True, lr=0.1, betas=(0.5, 0.9))
    assert trace.state.keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert trace.state["step"].tolist() == [1, 2, 3, 4]
    points = trace.points[:-1].clone().requires_grad_()
    (gradients,) = torch.autograd.grad(problems.booth(points).sum(), points)
    mean = torch.zeros_like(start)
    assert trace.state["exp_avg"].shape == trace.state["exp_avg_sq"].shape == (4, *start.shape)
    for gradient, kept in zip(gradients, trace.state["exp_avg"], strict=True):
        mean = (mean + gradient) / 2
        torch.testing.assert_close(kept, mean)


def test_no_state_is_kept_unless_asked_for_and_where_there_is_none():
    assert descend(problems.booth, edu_optim.Adam, 2).state == {}
    assert descend(problems.booth, edu_optim.SGD, 2, keep_state=True, lr=0.01).state == {}
    assert descend(problems.booth, edu_optim.Adam, 0, keep_state=True).state == {}
    assert descend(problems.booth, torch.optim.LBFGS, 2, keep_state=True).state.keys() >= {"d"}


def test_the_noise_is_that_of_the_seed_and_the_losses_are_without_it():
    problem = problems.noisy_quadratic(noise=3.0)
    first, again, other = (descend(problem, edu_optim.SGD, 20, lr=0.05, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(first.points, again.points)
    assert not torch.equal(first.points[1:], other.points[1:])
    assert torch.equal(first.losses, problem(first.points))
    exact = descend(problems.quadratic(condition=10), edu_optim.SGD, 20, lr=0.05)
    assert not torch.equal(first.points, exact.points)
    assert descend(problem, edu_optim.SGD, 20, lr=0.05).points.equal(
        descend(problem, edu_optim.SGD, 20, lr=0.05).points
    )


def test_a_plain_function_is_a_problem_too():
    def bowl(points):
        return (points**2).sum(-1)

    trace = descend(bowl, edu_optim.SGD, 2, torch.tensor([4.0, -8.0]), lr=0.25)
    assert trace.points.tolist() == [[4, -8], [2, -4], [1, -2]]
    assert trace.losses.tolist() == [80, 20, 5]
    with pytest.raises(ValueError, match=r"start must be a tensor of shape \[..., 2\]: the problem brings none"):
        descend(bowl, edu_optim.SGD)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_is_left_as_it_was_and_gives_the_dtype(dtype):
    start = torch.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    trace = descend(problems.booth, edu_optim.Adam, 3, start, lr=0.1)
    assert trace.points.dtype == trace.losses.dtype == dtype
    assert start.tolist() == [1, 2] and start.grad is None


def test_no_step_at_all_is_a_trace_of_one_point():
    trace = descend(problems.booth, edu_optim.Adam, 0, name="nothing yet")
    assert trace.points.tolist() == [list(problems.booth.start)] and trace.losses.shape == (1,)
    assert trace.name == "nothing yet"


def test_a_trace_is_not_changed():
    trace = descend(problems.booth, edu_optim.Adam, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.name = "mine"
    assert [field.name for field in dataclasses.fields(Trace)] == ["name", "points", "losses", "state"]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"steps": -1}, "steps must be a whole number >= 0, got -1"),
        ({"steps": 1.5}, "steps must be a whole number >= 0, got 1.5"),
        ({"steps": "ten"}, "steps must be a whole number >= 0, got 'ten'"),
        ({"start": torch.ones(3)}, "points must be a tensor of shape [..., 2], got shape (3,)"),
        ({"start": (1.0, 3.0)}, "start must be a tensor"),
        ({"start": torch.tensor([1, 3])}, "start must be a tensor"),
        ({"lr": -1}, "lr must be a finite number >= 0, got -1"),
    ],
    ids=lambda value: None,
)
def test_what_cannot_be_followed_is_refused(options, words):
    with pytest.raises((ValueError, TypeError)) as error:
        descend(problems.booth, edu_optim.SGD, **options)
    assert words in str(error.value)


IMAGES = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3


def test_training_returns_the_loss_before_each_step_of_a_loop_written_out():
    model, twin = problems.small_net(4, 5, 3), problems.small_net(4, 5, 3)
    losses = train(model, edu_optim.Adam, IMAGES, LABELS, steps=3, lr=0.1)
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.1)
    for loss in losses:
        expected = torch.nn.functional.cross_entropy(twin(IMAGES), LABELS)
        torch.testing.assert_close(loss, expected.detach())
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    assert losses.shape == (3,) and losses[-1] < losses[0]


def test_the_batches_of_training_are_those_of_the_seed():
    first, again, other, whole = (
        train(problems.small_net(4, 3), edu_optim.SGD, IMAGES, LABELS, steps=5, batch=batch, seed=seed, lr=0.5)
        for batch, seed in [(16, 1), (16, 1), (16, 2), (None, 1)]
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, whole)
