"""Ready for a GPU, shown without one: tensors that have a device but no memory, and a guard at every operation.

Where an accelerator exists, the comparisons of test_against_torch.py run on it.
"""

import pytest
import torch
from cases import CASES, EAGER, ours, parameters, title
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
    """In a torch built without CUDA the method ``copy_`` looks for the device before it gets to its operation."""
    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.Tensor, "copy_", lambda self, other: torch.ops.aten.copy_.default(self, other))


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
