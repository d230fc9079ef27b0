"""Following any optimizer over a problem."""

import dataclasses
import itertools
import subprocess
import sys

import pytest
import torch

import edu_optim
from edu_optim import Trace, descend, from_rule, problems, rules, sweep, train
from edu_optim.trace import HELD

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


# Sweeps.

LRS = torch.tensor([0.001, 0.01, 0.3], dtype=torch.float64)
KEPT = torch.tensor([0.1, 0.5, 0.8, 0.9], dtype=torch.float64)
EPS = torch.tensor([1e-8, 1e-1], dtype=torch.float64)
SWEEPS = {
    "a heavy ball": (edu_optim.SGD, {"lr": LRS, "momentum": KEPT}),
    "the other order": (edu_optim.SGD, {"momentum": KEPT, "lr": LRS}),
    "nesterov": (edu_optim.SGD, {"momentum": KEPT, "weight_decay": EPS, "lr": 0.01, "nesterov": True}),
    "centered": (edu_optim.RMSprop, {"eps": EPS, "alpha": KEPT, "lr": 0.01, "centered": True}),
    "adadelta": (edu_optim.Adadelta, {"rho": KEPT, "eps": EPS, "lr": LRS}),
    "amsgrad": (edu_optim.Adam, {"betas": (KEPT, KEPT / 2 + 0.5), "lr": LRS, "amsgrad": True}),
    "one beta": (edu_optim.AdamW, {"weight_decay": EPS, "betas": [0.9, KEPT], "lr": 0.1}),
    "a rule": (from_rule(rules.adagrad), {"lr": LRS, "eps": EPS}),
    "compiled": (edu_optim.Adam, {"lr": LRS, "betas": (KEPT, 0.99), "run": "compiled"}),
    "torch's": (torch.optim.Adam, {"lr": 0.1}),
}


def one_by_one(problem, cls, steps, start, options):
    """What a sweep must find, from one `descend` for each place of the grid: where it ends, and the axes."""
    axes = {name: values for name, values in options.items() if torch.is_tensor(values)}
    if "betas" in options:
        betas = {f"beta{i}": beta for i, beta in enumerate(options["betas"], 1) if torch.is_tensor(beta)}
        named = [(name, betas if name == "betas" else {name: axes.get(name)}) for name in options]
        axes = {k: v for _, group in named for k, v in group.items() if v is not None}
    ends = []
    for place in itertools.product(start.reshape(-1, 2), *axes.values()):
        values = dict(zip(axes, (value.item() for value in place[1:]), strict=True))
        betas = [values.pop(f"beta{i}", beta) for i, beta in enumerate(options.get("betas", ()), 1)]
        chosen = {**options, **values, **({"betas": tuple(betas)} if betas else {})}
        ends.append(descend(problem, cls, steps, place[0], **chosen).points[-1])
    return torch.stack(ends).reshape(*start.shape[:-1], *map(len, axes.values()), 2), axes


@pytest.mark.parametrize("start", [BATCH[1], BATCH[None, :2]], ids=["one", "grid"])
@pytest.mark.parametrize("cls, options", SWEEPS.values(), ids=SWEEPS)
def test_a_sweep_ends_where_each_descent_alone_ends(cls, options, start):
    found = sweep(problems.himmelblau, cls, 12, start, **options)
    points, axes = one_by_one(problems.himmelblau, cls, 12, start, options)
    assert found.axes.keys() == axes.keys() and list(found.axes) == list(axes)
    torch.testing.assert_close(found.points, points, rtol=1e-7, atol=1e-9, equal_nan=True)
    assert found.losses.equal(problems.himmelblau(found.points)) or found.losses.isnan().any()
    assert found.minimum.shape == found.arrival.shape == found.losses.shape == points.shape[:-1]
    assert found.name == cls.__name__ and not found.points.requires_grad


@pytest.mark.parametrize("at_once", [1, 5, 7, 71, 72, 73])
def test_a_sweep_in_parts_is_the_same_sweep(at_once):
    options = {"lr": LRS, "betas": (KEPT, torch.tensor([0.9, 0.99], dtype=torch.float64))}
    whole = sweep(problems.himmelblau, edu_optim.Adam, 20, BATCH, **options)
    parts = sweep(problems.himmelblau, edu_optim.Adam, 20, BATCH, memory=at_once * HELD * 16, **options)
    for field in ("points", "losses", "minimum", "arrival"):
        assert torch.equal(getattr(parts, field), getattr(whole, field))


def test_a_sweep_says_which_minimum_each_start_finds_and_with_which_step_it_got_there():
    found = sweep(problems.himmelblau, edu_optim.SGD, 40, problems.himmelblau.grid(9, 7), lr=0.01, momentum=0.8)
    path = descend(problems.himmelblau, edu_optim.SGD, 40, problems.himmelblau.grid(9, 7), lr=0.01, momentum=0.8)
    minima = torch.tensor(problems.himmelblau.minima, dtype=torch.float64)
    close = (path.points[..., None, :] - minima).norm(dim=-1) <= 0.1  # [step, row, column, minimum]
    for place in itertools.product(range(7), range(9)):
        at = close[-1][place].nonzero().flatten().tolist()
        assert found.minimum[place].item() == (at[0] if at else -1)
        if at:
            since = next(step for step in range(41) if close[(slice(step, None), *place, at[0])].all())
        assert found.arrival[place].item() == (since if at else -1)
    assert set(found.minimum.unique().tolist()) >= {0, 1, 2, 3} and found.arrival.max() > found.arrival.median()


def test_a_ball_that_leaves_and_returns_arrives_when_it_returns_and_one_that_starts_there_at_once():
    def bowl(points):
        return (points**2).sum(-1) / 2

    bowl.minima = ((0, 0),)

    def ball(steps, **options):
        found = sweep(bowl, edu_optim.SGD, steps, torch.tensor([[4.0, 0.0]]), close=1, lr=0.5, **options)
        return found.minimum.item(), found.arrival.item()

    path = descend(bowl, edu_optim.SGD, 6, torch.tensor([4.0, 0.0]), lr=0.5, momentum=0.9).points[:, 0]
    assert (path.abs() <= 1).tolist() == [False, False, True, False, False, False, True]
    assert [ball(steps, momentum=0.9) for steps in (1, 2, 3, 5, 6)] == [(-1, -1), (0, 2), (-1, -1), (-1, -1), (0, 6)]
    assert [ball(steps) for steps in (1, 2, 3, 5)] == [(-1, -1), (0, 2), (0, 2), (0, 2)]
    assert sweep(bowl, edu_optim.SGD, 0, torch.zeros(2)).arrival == 0
    assert sweep(lambda points: bowl(points), edu_optim.SGD, 0, torch.zeros(2)).minimum == -1


def test_one_that_diverges_is_at_no_minimum_and_the_others_do_not_feel_it():
    found = sweep(problems.booth, edu_optim.SGD, 400, lr=torch.tensor([0.05, 9.0, 0.06], dtype=torch.float64))
    calm = sweep(problems.booth, edu_optim.SGD, 400, lr=torch.tensor([0.05, 0.06], dtype=torch.float64))
    assert not found.points[1].isfinite().any() and not found.losses[1].isfinite()
    assert found.minimum.tolist() == [0, -1, 0] and found.arrival[1] == -1
    assert torch.equal(found.points[[0, 2]], calm.points)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_sweep_has_the_dtype_of_its_start_and_leaves_it_alone(dtype):
    start = torch.tensor([[0.0, 2.0], [1.0, 1.0]], dtype=dtype, requires_grad=True)
    found = sweep(problems.booth, edu_optim.Adam, 3, start, lr=torch.tensor([0.1, 0.2]), betas=(0.9, LRS + 0.6))
    assert found.points.dtype == found.losses.dtype == dtype and found.points.shape == (2, 2, 3, 2)
    assert start.grad is None and start.tolist() == [[0, 2], [1, 1]]
    alone = descend(problems.booth, edu_optim.Adam, 3, start[1], lr=0.2, betas=(0.9, 0.601)).points[-1]
    torch.testing.assert_close(found.points[1, 1, 0], alone, rtol=1e-2 if dtype.itemsize == 2 else 1e-5, atol=1e-2)


def test_in_noise_each_descent_of_a_sweep_meets_its_own_and_a_seed_repeats_it():
    starts = torch.zeros(2000, 2, dtype=torch.float64)
    first, again, other = (
        sweep(problems.noisy_quadratic(condition=1), edu_optim.SGD, 100, starts, lr=LRS[1:], seed=seed, memory=memory)
        for seed, memory in [(1, 2**28), (1, 2**28), (2, 2**20)]
    )
    assert torch.equal(first.points, again.points) and not torch.equal(first.points, other.points)
    for found in (first, other):
        assert len(found.points.unique()) == found.points.numel()
        assert found.points[:, 1].var().item() == pytest.approx(0.3 / (2 - 0.3), rel=0.05)


MEMORY = """
import re, torch
from edu_optim import AdamW, problems, sweep
def peak(n):
    axis = torch.linspace(0.1, 0.9, n, dtype=torch.float64)
    axes = {"betas": (axis, axis), "eps": axis, "weight_decay": axis, "lr": axis}
    sweep(problems.beale, AdamW, 2, amsgrad=True, memory=2**40, **axes)
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
before = peak(1)
print((peak(11) - before) / 11**5 / 16)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read where Linux writes it")
def test_the_memory_of_a_sweep_is_what_it_says():
    held = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    assert HELD / 2 < float(held) <= HELD


@pytest.mark.parametrize("seconds, said", [(0, False), (3, True)])
def test_only_long_work_shows_how_far_it_is(monkeypatch, capsys, seconds, said):
    monkeypatch.setattr("tqdm.std.time", itertools.count(step=seconds).__next__)
    sweep(problems.booth, edu_optim.SGD, 3, lr=LRS)
    assert ("/3 [" in capsys.readouterr().err) == said


@pytest.mark.parametrize(
    "options, words",
    [
        ({"steps": -1}, "steps must be a whole number >= 0, got -1"),
        ({"start": torch.ones(3)}, "start must hold points, shape [..., 2], and one or more, got shape (3,)"),
        ({"start": torch.ones(0, 2)}, "start must hold points, shape [..., 2], and one or more, got shape (0, 2)"),
        ({"start": torch.tensor([1, 3])}, "start must be a tensor"),
        ({"close": 0}, "close must be a distance > 0, got 0"),
        ({"memory": 639}, "memory must hold at least one descent, 640 bytes, got 639"),
        ({"lr": torch.ones(2, 2)}, "lr must be a number or a tensor [n] of n > 0 settings, got shape (2, 2)"),
        ({"lr": torch.tensor(0.1)}, "lr must be a number or a tensor [n] of n > 0 settings, got shape ()"),
        ({"betas": (0.9, torch.ones(0))}, "beta2 must be a number or a tensor [n] of n > 0 settings, got shape (0,)"),
        ({"lr": torch.tensor([0.1, -1])}, "lr must hold a finite number >= 0 in each place"),
        ({"betas": (0.9, 0.99, KEPT)}, "betas must be two numbers in [0, 1)"),
    ],
    ids=lambda value: None,
)
def test_a_sweep_that_cannot_be_run_is_refused(options, words):
    with pytest.raises((ValueError, TypeError)) as error:
        sweep(problems.booth, edu_optim.Adam, **options)
    assert words in str(error.value)
