"""The same bits on every processor: whatever the instructions, the optimization and the threads."""

import inspect
import platform
import re
import shutil

import pytest
import torch

from edu_optim import execute, kernel, rules
from edu_optim.signature import signature

RULES = [function for name, function in inspect.getmembers(rules, inspect.isfunction) if name != "maximum"]
SETTINGS = {
    "t": 3.0,
    "lr": 0.1,
    "betas": (0.8, 0.95),
    "eps": 1e-3,
    "alpha": 0.9,
    "rho": 0.7,
    "momentum": 0.7,
    "dampening": 0.2,
    "weight_decay": 0.1,
}
IS_X86 = platform.machine() in ("x86_64", "AMD64")
INSTRUCTIONS = [["-march=x86-64"], ["-march=x86-64-v2"], ["-march=x86-64-v3"]] if IS_X86 else [[]]
WHOLE = ["momentum", "nesterov", "gradient_descent"]  # the rules that take no root
SIZE = 40_001  # three blocks for two threads, and what is left over for no vector
pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
by_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield
    execute._kernel.cache_clear()


def columns(rule, dtype=torch.float32):
    """Parameters, gradients and buffers of very different sizes, the squares positive."""
    generator = torch.Generator().manual_seed(0)
    given = []
    for letter in ["p", "g", *signature(rule).buffers]:
        drawn = torch.randn(SIZE, generator=generator, dtype=torch.float64)
        drawn = drawn * 10 ** (4 * torch.rand(SIZE, generator=generator, dtype=torch.float64) - 2)
        given.append([(drawn**2 if letter in ("s", "u", "v", "v_max") else drawn).to(dtype)])
    return given


def stepped(execute_rule, rule, dtype=torch.float32, steps=3):
    given = columns(rule, dtype)
    for t in range(steps):
        hyper = {name: SETTINGS[name] for name in signature(rule).keywords}
        execute_rule(rule, given, {**hyper, "t": t + 1.0} if "t" in hyper else hyper)
    return [tensor for index, (tensor,) in enumerate(given) if index != 1]


def same_bits(one, other):
    integers = {torch.float32: torch.int32, torch.float64: torch.int64}
    return all(
        torch.equal(a.view(integers[a.dtype]), b.view(integers[b.dtype])) for a, b in zip(one, other, strict=True)
    )


def threaded(threads, work):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return work()
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@by_rule
def test_instructions_optimization_and_threads_change_no_bit(rule, monkeypatch):
    monkeypatch.setattr(kernel, "INSTRUCTIONS", {})
    plain, found = [flag for flag in kernel.FLAGS if flag != "-O3"], []
    for instructions in INSTRUCTIONS:
        for level in ("-O1", "-O3"):
            monkeypatch.setattr(kernel, "FLAGS", [*plain, level, *instructions])
            execute._kernel.cache_clear()
            found += [threaded(threads, lambda: stepped(execute.compiled, rule)) for threads in (1, 2)]
    assert len(found) == 4 * len(INSTRUCTIONS)
    assert all(same_bits(found[0], other) for other in found[1:])


@pytest.mark.skipif(not IS_X86, reason="without x86-64-v3 a multiplication and an addition may not become one")
def test_contraction_does_change_bits_so_that_it_must_be_off(monkeypatch):
    """Two roundings become one where a processor multiplies and adds at once: what the test above would notice."""
    monkeypatch.setattr(kernel, "INSTRUCTIONS", {})
    contracted = [flag for flag in kernel.FLAGS if not flag.startswith("-ffp-contract")]
    found = []
    for instructions in ("-march=x86-64", "-march=x86-64-v3"):
        monkeypatch.setattr(kernel, "FLAGS", [*contracted, "-ffp-contract=fast", instructions])
        execute._kernel.cache_clear()
        found.append(stepped(execute.compiled, rules.momentum))
    assert not same_bits(*found)


def nudged(rule, factor):
    """The rule with every root in its text multiplied by ``factor``."""
    space = dict(vars(rules))
    for function in RULES:  # some call others
        exec(re.sub(r"\*\* ?0\.5", "** 0.5 * FACTOR", inspect.getsource(function)), space)
    space["FACTOR"] = factor
    return space[rule.__name__]


@by_rule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_step_is_the_eager_one_to_the_bit_or_to_the_rounding_of_a_root(rule, dtype):
    """To the bit where the rule takes no root. Else each number may differ by what it does to the eager step to round
    a root, and what comes after it, the other way: at most twice the effect of a root's last place, and two units in
    the last place of the number itself, for the sums into which that effect is rounded.
    """
    mine, truth = (stepped(run, rule, dtype, steps=1) for run in (execute.compiled, execute.per_tensor))
    if rule.__name__ in WHOLE:
        assert same_bits(mine, truth)
        return
    unit, before = torch.finfo(dtype).eps, columns(rule, torch.float64)
    exact, moved = (stepped(execute.per_tensor, nudged(rule, x), torch.float64, steps=1) for x in (1, 1 + 1e-6))
    for index, letter in enumerate(["p", *signature(rule).buffers]):
        effect = unit * (moved[index] - exact[index]).abs() / 1e-6
        largest = torch.maximum(before[index + (index > 0)][0].abs(), exact[index].abs())
        off = (mine[index].double() - truth[index].double()).abs() - 2 * unit * largest
        units = (off / effect).nan_to_num(0, 0, 0).clamp(min=0).max().item()
        print(f"{rule.__name__}, {dtype}: {letter} differs by {units:.2f} times the effect of a root's last place")
        assert units <= 2
