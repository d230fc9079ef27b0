"""Whatever torch's default dtype is, steps are counted and taken as they would be under float32 or float64."""

import copy

import pytest
import torch
from cases import NAMES, RICH, ours, theirs, title
from torch.overrides import TorchFunctionMode

import edu_optim
from edu_optim import from_rule, rules

RUNS = [None, "per_tensor", "multi_tensor", "compiled"]
MAKERS = {
    getattr(torch, name)
    for name in """arange as_tensor empty empty_strided eye full linspace logspace ones rand randint randn randperm
    scalar_tensor tensor zeros""".split()
}


class NoneInTheDefault(TorchFunctionMode):
    """Forbids to make a tensor without saying of which dtype."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in MAKERS and "dtype" not in (kwargs or {}):
            raise AssertionError(f"{func.__name__} without a dtype")
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=[torch.bfloat16, torch.float16, torch.float64], ids=lambda dtype: str(dtype)[6:])
def default(request):
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


def trained(cls, steps=300, **options):
    """A parameter in single precision after some steps with one gradient, and its optimizer."""
    p = torch.ones(3, dtype=torch.float32, requires_grad=True)
    p.grad = torch.full((3,), 0.1, dtype=torch.float32)
    optimizer = cls([p], **options)
    for _ in range(steps):
        optimizer.step()
    return p.detach().clone(), optimizer


def test_the_mode_notices_a_tensor_in_the_default_dtype():
    with NoneInTheDefault():
        torch.zeros(1, dtype=torch.float32)
        for make in (lambda: torch.tensor(0.0), lambda: torch.ones(2), lambda: torch.full((2,), 0.5)):
            with pytest.raises(AssertionError, match="without a dtype"):
                make()


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("case", RICH, ids=title)
def test_a_step_makes_no_tensor_in_the_default_dtype_and_ends_where_it_would(default, case, run):
    name, options = case
    p, optimizer = trained(ours(name), run=run, **options)
    with NoneInTheDefault():
        q, other = trained(ours(name), run=run, **options)
        other.load_state_dict(copy.deepcopy(other.state_dict()))
        other.step()
    assert torch.equal(p, q) and p.dtype == torch.float32
    truth, reference = trained(theirs(name), **options)
    torch.testing.assert_close(p, truth, rtol=1e-4, atol=1e-6)
    for key, value in optimizer.state[optimizer.param_groups[0]["params"][0]].items():
        wanted = reference.state[reference.param_groups[0]["params"][0]][key]
        assert value.dtype == wanted.dtype and torch.allclose(value, wanted, rtol=1e-3, atol=1e-5), key


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_steps_are_counted(default, name):
    """In bfloat16 a count stops at 256, without a word."""
    p, optimizer = trained(ours(name), steps=1000, lr=1e-3)
    truth, _ = trained(theirs(name), steps=1000, lr=1e-3)
    torch.testing.assert_close(p, truth, rtol=1e-3, atol=1e-4)
    counts = [state["step"].item() for state in optimizer.state.values() if "step" in state]
    assert counts == [1000.0] * (name != "SGD")


def test_the_class_of_a_rule_counts_too(default):
    with NoneInTheDefault():
        p = trained(from_rule(rules.adam), steps=400, lr=1e-3)[0]
    torch.testing.assert_close(p, trained(torch.optim.Adam, steps=400, lr=1e-3)[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_and_a_checkpoint_of_torchs_go_on(default, name):
    def run(cls):
        _, optimizer = trained(theirs(name), steps=300, lr=1e-3)
        p = torch.ones(3, dtype=torch.float32, requires_grad=True)
        p.grad = torch.full((3,), 0.1, dtype=torch.float32)
        resumed = cls([p], lr=1e-3)
        resumed.load_state_dict(optimizer.state_dict())
        schedule = torch.optim.lr_scheduler.ExponentialLR(resumed, gamma=0.99)
        for _ in range(50):
            resumed.step()
            schedule.step()
        return p.detach()

    torch.testing.assert_close(run(ours(name)), run(theirs(name)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("run", RUNS)
def test_a_step_count_of_shape_one_as_shared_memory_code_makes_it_steps_as_in_torch(run):
    """Beside one of shape () in the same group."""

    def train(cls, **options):
        params = [torch.ones(2, requires_grad=True) for _ in range(3)]
        optimizer = cls(params, lr=0.1, **options)
        for p, steps in zip(params[:2], (0.0, 4.0), strict=True):
            state = {"step": torch.full((1,), steps), "exp_avg": torch.zeros(2), "exp_avg_sq": torch.ones(2)}
            optimizer.state[p] = state
        for t in range(5):
            for p in params:
                p.grad = p.detach() + t
            optimizer.step()
        return params, [optimizer.state[p]["step"] for p in params]

    (mine, counts), (truth, wanted) = train(edu_optim.Adam, run=run), train(torch.optim.Adam, foreach=False)
    torch.testing.assert_close(mine, truth)
    assert [(count.shape, count.item()) for count in counts] == [(count.shape, count.item()) for count in wanted]
