"""Ready for a GPU, shown without one: tensors that have a device but no memory, and a guard at every operation.

Where an accelerator exists, the comparisons of test_against_torch.py run on it.
"""

import itertools
import re

import on_gpu
import pytest
import torch
from bench_optim import RULES, contenders
from cases import CASES, EAGER, RICH, gradients, ours, parameters, theirs, title
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

VARIANTS = [
    (name, options)
    for name, options in CASES
    if options.get("eps", 0.1) == 0.1 and options["weight_decay"] and options["maximize"]
]
WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


@pytest.fixture(autouse=True)
def copy_without_a_device(monkeypatch):
    """In a torch built without CUDA ``copy_`` and ``to`` look for the device before they get to their operations."""

    def to(tensor, *args, copy=True, **kwargs):
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        return torch.ops.aten._to_copy.default(tensor, device=device, dtype=dtype, memory_format=layout)

    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.Tensor, "copy_", lambda self, other: torch.ops.aten.copy_.default(self, other))
        monkeypatch.setattr(torch.Tensor, "to", to)


class HostSynchronisation(Exception):
    pass


class NoHostSynchronisation(TorchDispatchMode):
    """Refuse each operation that waits for the GPU, or brings something from it to the host.

    Counting on is allowed: ``state["step"]`` lives on the CPU, and reading it there waits for nothing.
    """

    def __init__(self):
        super().__init__()
        self.launches = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = _devices(args, kwargs)
        if "cuda" in given and WAITING & set(func.tags):
            raise HostSynchronisation(f"{func} on cuda")
        result = func(*args, **(kwargs or {}))
        if "cuda" in given and "cpu" in _devices(result, args if "copy_" in str(func) else None):
            raise HostSynchronisation(f"{func} from cuda to cpu")
        self.launches += "cuda" in given
        return result


def _devices(*values):
    return {leaf.device.type for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)}


def on_cuda():
    """Parameters that say they are on a GPU, and have gradients there; only inside a FakeTensorMode."""
    leaves = []
    for like in parameters(torch.float32):
        p = torch.empty_like(like, device="cuda").requires_grad_()
        p.grad = torch.empty_like(p, requires_grad=False)
        leaves.append(p)
    return leaves


def assert_ready(optimizer, params):
    with NoHostSynchronisation() as guard:
        for _ in range(3):
            optimizer.step()
    assert guard.launches > 3
    for p in params:
        assert p.device.type == p.grad.device.type == "cuda"
        for key, value in optimizer.state.get(p, {}).items():
            assert value.device.type == ("cpu" if key == "step" else "cuda"), key
            assert key == "step" or (value.dtype, value.shape) == (p.dtype, p.shape), key


@pytest.mark.slow
@pytest.mark.parametrize("run", EAGER)
@pytest.mark.parametrize("case", VARIANTS, ids=title)
def test_a_step_on_a_gpu_mixes_no_devices_and_never_waits(case, run):
    name, options = case
    with FakeTensorMode():
        params = on_cuda()
        assert_ready(ours(name)(params, **options, run=run), params)


@pytest.mark.parametrize("run", EAGER)
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW"])
def test_a_learning_rate_in_a_tensor_on_the_host_makes_nothing_wait(name, run):
    with FakeTensorMode():
        params = on_cuda()
        assert_ready(ours(name)(params, lr=torch.tensor(0.1), run=run), params)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: torch.equal(x, x),
        lambda x: x.cpu(),
        lambda x: x.to("cpu", non_blocking=True),
        lambda x: torch.empty(3).copy_(x),
        lambda x: torch._foreach_copy_([torch.empty(3)], [x]),
    ],
    ids=["item", "tolist", "equal", "cpu", "to", "copy_", "foreach_copy_"],
)
def test_the_guard_does_catch_what_waits(wait):
    with FakeTensorMode():
        x = torch.empty(3, device="cuda")
        with NoHostSynchronisation(), pytest.raises(HostSynchronisation):
            wait(x)


def test_the_guard_lets_the_host_read_its_own_numbers():
    with FakeTensorMode(), NoHostSynchronisation():
        assert (torch.tensor(2.0) + 1).item() == 3


@pytest.mark.parametrize("name", ["Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW"])
def test_steps_are_counted_on_the_host_whatever_the_default_device(name):
    p = torch.ones(3, requires_grad=True)
    optimizer = ours(name)([p])
    for _ in range(2):
        p.grad = torch.ones(3)
        with torch.device("meta"):
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[p]["step"].item() == 2


# The script that runs where there is a GPU, as far as it gets without one


@pytest.mark.parametrize("libraries", [(ours, theirs, ours), (theirs, ours, theirs)], ids=["ours", "theirs"])
@pytest.mark.parametrize("case", RICH, ids=title)
def test_a_checkpoint_goes_to_the_gpu_and_back(case, libraries):
    name, options = case
    with FakeTensorMode():
        rows, values, state = gradients(2), parameters(), None
        for library, device in zip(libraries, ("cpu", "cuda", "cpu"), strict=True):
            values, optimizer = on_gpu.walk(library(name), options, values, rows, device, state)
            state = optimizer.state_dict()
            for kept in state["state"].values():
                if "step" in kept:  # a number that is read when it is loaded, and that a fake tensor has only when new
                    kept["step"] = torch.tensor(2.0)
            held = [value for p in values for key, value in optimizer.state[p].items() if key != "step"]
            assert _devices(values, held) == {device}


@pytest.mark.parametrize("rule", RULES)
def test_every_contender_of_the_benchmark_but_the_fused_one_steps_on_a_gpu(rule):
    with FakeTensorMode():
        for _, step in itertools.islice(contenders(rule, [(3, 4), (5,)], "cuda"), 4):  # fused kernels run on none
            with NoHostSynchronisation() as guard:
                step()
            assert guard.launches


@pytest.fixture
def a_few(monkeypatch):
    """The script with a few cases and one small model."""
    monkeypatch.setattr(on_gpu, "CASES", RICH)
    monkeypatch.setattr(on_gpu, "SOME", RICH)
    monkeypatch.setattr(on_gpu, "MODELS", {"tiny": [(3,), ()]})


def test_the_script_agrees_on_the_cpu_and_says_what_it_ran(a_few, capsys):
    assert on_gpu.main("cpu", rounds=1) == 0
    printed = capsys.readouterr().out
    cases = [int(count) for count in re.findall(r"(\d+) cases, largest difference", printed)]
    assert cases == [len(RICH + on_gpu.LATER)] * 2 + [len(RICH)] * 3 + [1, 3]
    assert all(f"tiny      {rule}" in printed for rule in RULES)


@pytest.mark.parametrize("fault", ["wrong", "broken"])
def test_the_script_ends_non_zero_where_a_number_differs_or_an_error_is_raised(a_few, monkeypatch, capsys, fault):
    class Wrong(theirs("Adam")):
        def __init__(self, params, run=None, **options):
            if fault == "broken" and run == "per_tensor":
                raise RuntimeError("broken on purpose")
            super().__init__(params, **{**options, "eps": 0.2})

    monkeypatch.setattr(on_gpu, "ours", lambda name: Wrong if name == "Adam" else ours(name))
    assert on_gpu.main("cpu", rounds=1) == 1
    printed = capsys.readouterr().out
    assert "WRONG" in printed and title(RICH[5]) in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_script_says_that_it_ran_nothing_where_there_is_no_gpu(capsys):
    assert on_gpu.main() == 0
    assert capsys.readouterr().out == "There is no GPU that torch can use here: nothing was run.\n"
