"""From a rule to a loop in C that runs as fast as one written by hand.

The text of the rule is left alone. It is traced once and partitioned: what touches numbers only, Python works out once
a step; what touches tensors becomes the body of a loop over the weights. Every weight is read once and written once,
and what is between is never in memory. All operations in the loop are those that IEEE 754 rounds correctly, each by
itself, so that it gives the same bits on every processor.
"""

import contextlib
import ctypes
import hashlib
import math
import operator
import os
import shlex
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.fx.proxy import GraphAppendingTracer

from .signature import members, positional

Kinds = tuple[tuple[str, str, bool], ...]

FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC"]
INSTRUCTIONS = {"AVX2": ["-march=x86-64-v3"], "AVX512": ["-march=x86-64-v4"]}  # a processor's, as torch names them
REALS = {torch.float32: ("float", "f"), torch.float64: ("double", "d")}  # in C, and as a code of Python's arrays
IN_C = {
    operator.add: "{} + {}",
    operator.sub: "{} - {}",
    operator.mul: "{} * {}",
    operator.truediv: "{} / {}",
    operator.neg: "-{}",
    operator.pow: "pow({}, {})",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
}
POWERS = {2: "{0} * {0}", 0.5: "sqrt({0})"}
TAKEN = (  # names that mean something in C, or in the loop
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
    "complex imaginary I real from to i"
).split()
LOOP = """\
static void step({parameters}) {{
    for (long long i = from; i < to; i++) {{
        {body}
    }}
}}"""
PROGRAM = """\
#include <tgmath.h>
typedef {real} real;

{loop}

void run(long long tensors, const long long *sizes, real *const *data, const real *numbers, int threads) {{
    for (long long k = 0; k < tensors; k++) {{
        if (threads < 2 || sizes[k] <= 16384) {{
            step(0, sizes[k], {arguments});
            continue;
        }}
        #pragma omp parallel for num_threads(threads)
        for (long long from = 0; from < sizes[k]; from += 16384)
            step(from, from + 16384 < sizes[k] ? from + 16384 : sizes[k], {arguments});
    }}
}}
"""


def partition(hyper: Mapping[str, Any]) -> tuple[Kinds, list, list[torch.Tensor]]:
    """What kinds of hyper-parameters there are, those that are numbers, and those that are tensors.

    A kind is (option, name, whether it is a tensor), one for each number of an option. A tensor that holds one number
    on the host counts as that number.

    >>> partition({"lr": torch.tensor(0.5), "betas": (0.9, torch.tensor([0.5, 0.75]))})
    ((('lr', 'lr', False), ('betas', 'beta1', False), ('betas', 'beta2', True)), [0.5, 0.9], [tensor([0.5000, 0.7500])])
    """
    kinds, numbers, grids = [], [], []
    for option, value in hyper.items():
        for name, member in members(option, value):
            is_tensor = isinstance(member, torch.Tensor)
            if is_tensor and member.dim() == 0 and member.is_cpu:
                member, is_tensor = member.item(), False
            kinds.append((option, name, is_tensor))
            (grids if is_tensor else numbers).append(member)
    return tuple(kinds), numbers, grids


def split(rule: Callable, kinds: Kinds) -> tuple[torch.fx.GraphModule, torch.fx.GraphModule]:
    """Trace a rule and split it: what it does with numbers alone, and what it does with tensors.

    Args:
        rule: one of `edu_optim.rules`, or your own, as long as no branch in it depends on a value. What it takes from
            outside, such as a global number, is taken once.
        kinds: of its keyword arguments, as `partition` tells them.

    Returns two `torch.fx.GraphModule`. The first takes the numbers and returns those that the second needs. The
    second takes the parameter, the gradient, the buffers, the keyword arguments that are tensors, and those numbers.
    Where a tensor is divided by a number it is multiplied by the reciprocal (measured: true divisions take Adam's loop
    from 45 to 78 us on 109k weights).

    >>> from edu_optim.rules import rmsprop
    >>> kinds, values, _ = partition({"lr": 0.25, "alpha": 0.75, "eps": 0.0})
    >>> numbers, tensors = split(rmsprop, kinds)
    >>> numbers(*values)
    [0.25, 0.75, 0.0, 0.25]
    """
    graph, numbers = torch.fx.Graph(), set()
    tracer = GraphAppendingTracer(graph)

    def argument(name, is_tensor):
        node = graph.placeholder(name)
        numbers.update([] if is_tensor else [node])
        return torch.fx.Proxy(node, tracer)

    given, hyper = [argument(letter, True) for letter in positional(rule)], {}
    for option, name, is_tensor in kinds:
        value = argument(name, is_tensor)
        hyper[option] = value if option == name else [*hyper.get(option, []), value]
    results = rule(*given, **hyper)
    if len(results) != len(given) - 1:
        raise TypeError(f"it returned {len(results)} values in the place of {len(given) - 1}")
    graph.output([result.node for result in results])
    for node in list(graph.nodes):
        node.args = tuple(each.item() if hasattr(each, "item") else each for each in node.args)  # numpy's, torch's
        if node.op.startswith("call") and numbers.issuperset(node.all_input_nodes):
            numbers.add(node)
        elif node.target is operator.truediv and node.args[1] in numbers:
            with graph.inserting_before(node):
                numbers.add(inverse := graph.call_function(reciprocal, (node.args[1],)))
            node.target, node.args = operator.mul, (node.args[0], inverse)
    return _halves(graph, numbers)


def _halves(graph, numbers):
    passed = [node for node in graph.nodes if node in numbers and not numbers.issuperset(node.users)]
    others = [node for node in graph.nodes if node not in numbers]
    given = [node for node in others if node.op == "placeholder"]
    first, second, copies = torch.fx.Graph(), torch.fx.Graph(), {}
    for node in graph.nodes:
        if node in numbers:
            copies[node] = first.node_copy(node, copies.get)
    first.output([copies[node] for node in passed])
    for node in [*given, *passed, *others[len(given) :]]:
        copies[node] = second.placeholder(node.name) if node in numbers else second.node_copy(node, copies.get)
    return torch.fx.GraphModule({}, first), torch.fx.GraphModule({}, second)


def reciprocal(number: float) -> float:
    """1 / number, also of zero.

    >>> reciprocal(4.0), reciprocal(0.0)
    (0.25, inf)
    """
    return 1 / number if number else math.copysign(math.inf, number)


def loop(numbers: torch.fx.GraphModule, tensors: torch.fx.GraphModule) -> str:
    """What `split` made of a rule, as a loop in C over the elements of its tensors.

    Errors: TypeError if the rule does anything but ``+ - * / **`` and `edu_optim.rules.maximum`.

    >>> from edu_optim.rules import gradient_descent
    >>> print(loop(*split(gradient_descent, partition({"lr": 0.5})[0])))
    static void step(long long from, long long to,
                     real *restrict p_, real *restrict g_,
                     real lr) {
        for (long long i = from; i < to; i++) {
            real p = p_[i];
            real g = g_[i];
            real mul = lr * g;
            real sub = p - mul;
            p_[i] = sub;
        }
    }
    """
    names = {node: node.name + "_" * (node.name in TAKEN) for node in tensors.graph.nodes}
    arrays, passed = _arguments(numbers, tensors)
    scalars = [f"real {names[node]}" for node in passed]
    head = [["long long from", "long long to"], [f"real *restrict {names[node]}_" for node in arrays]]
    head += [scalars[start : start + 5] for start in range(0, len(scalars), 5)]
    body = [f"real {names[node]} = {names[node]}_[i];" for node in arrays]
    body += [f"real {names[node]} = {_in_c(node, names)};" for node in tensors.graph.nodes if node.op[:4] == "call"]
    results: Any = tensors.graph.output_node().args[0]
    body += [f"{names[old]}_[i] = {names[new]};" for old, new in zip([arrays[0], *arrays[2:]], results, strict=False)]
    return LOOP.format(parameters=",\n                 ".join(map(", ".join, head)), body="\n        ".join(body))


def _arguments(numbers, tensors):
    """The arguments of the second half: tensors, and the numbers that the first half passes to it."""
    inputs = tensors.graph.find_nodes(op="placeholder")
    count = len(inputs) - len(numbers.graph.output_node().args[0])
    return inputs[:count], inputs[count:]


def _in_c(node, names):
    form = node.target is operator.pow and POWERS.get(node.args[1]) or IN_C.get(node.target)
    if form is None:
        used = getattr(node.target, "__name__", node.target)
        raise TypeError(f"a rule may use + - * / ** and rules.maximum, not {used}")
    return form.format(*[names.get(argument, f"(real){argument}") for argument in node.args])


def in_c(rule: Callable, kinds: Kinds, dtype: torch.dtype) -> Callable:
    """Compile a rule: a function of columns of contiguous tensors and of numbers, which writes the results in place.

    Args:
        rule, kinds: as in `split`.
        dtype: of all tensors, torch.float32 or torch.float64.

    Errors: OSError or RuntimeError if there is no C compiler or it fails; TypeError as in `loop`, or for a dtype.

    >>> from edu_optim.rules import gradient_descent
    >>> step = in_c(gradient_descent, partition({"lr": 0.25})[0], torch.float32)
    >>> p, g = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 8.0])
    >>> step([[p], [g]], [0.25])
    >>> p
    tensor([0., 0.])
    """
    if dtype not in REALS:
        raise TypeError(f"dtype must be one of {', '.join(map(str, REALS))}, got {dtype}")
    numbers, tensors = split(rule, kinds)
    arrays, passed = _arguments(numbers, tensors)
    real, code = REALS[dtype]
    given = [f"data[{index} * tensors + k]" for index in range(len(arrays))]
    given += [f"numbers[{index}]" for index in range(len(passed))]
    program = PROGRAM.format(real=real, loop=loop(numbers, tensors), arguments=", ".join(given))
    compiled, work_out = library(program).run, numbers.forward

    def run(columns, values):
        flat = [tensor for column in columns for tensor in column]
        sizes = list(map(torch.Tensor.numel, columns[0]))
        if list(map(torch.Tensor.numel, flat)) != sizes * len(columns):
            raise ValueError("columns must hold tensors of the same sizes, each buffer as large as its parameter")
        compiled(
            ctypes.c_longlong(len(sizes)),
            array("q", sizes).tobytes(),
            array("Q", map(torch.Tensor.data_ptr, flat)).tobytes(),
            array(code, work_out(*values)).tobytes(),
            torch.get_num_threads(),
        )

    return run


def by_torch(rule: Callable, kinds: Kinds, dtype: torch.dtype) -> Callable:
    """Compile a rule as `in_c` does, for the devices that `torch.compile` knows: one graph for all tensors.

    >>> from edu_optim.rules import gradient_descent
    >>> step = by_torch(gradient_descent, partition({"lr": 0.25})[0], torch.float32)
    >>> p, g = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 8.0])
    >>> with torch.compiler.set_stance("force_eager"):  # so that the example needs no C++ compiler
    ...     step([[p], [g]], [0.25])
    >>> p
    tensor([0., 0.])
    """
    numbers, tensors = split(rule, kinds)

    def every(columns, passed):
        for p, g, *others in zip(*columns, strict=True):
            for old, new in zip([p, *others], tensors(p, g, *others, *passed), strict=False):
                old.copy_(new)

    every.__code__ = every.__code__.replace()  # torch stops after eight compilations of one code object
    fused = torch.compile(every)

    def run(columns, values):
        passed = torch.tensor(numbers.forward(*values), dtype=dtype, device="cpu").unbind()
        fused([[tensor.view(-1) for tensor in column] for column in columns], passed)

    return run


def library(program: str) -> ctypes.CDLL:
    """A program in C, compiled and loaded; what an earlier process has compiled is loaded only.

    Kernels are kept in the user's cache folder, under a key of all that they depend on. Where one cannot be kept, it
    is compiled again.

    Errors: OSError or RuntimeError if there is no C compiler or it fails.

    >>> library("int answer(void) { return 42; }").answer()
    42
    """
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS]
    command += INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), [])
    compiler = Path(shutil.which(command[0]) or os.devnull).resolve()
    key = repr((program, command, compiler, compiler.stat().st_size, compiler.stat().st_mtime_ns, os.uname().machine))
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    kept = Path(cache, "edu_optim", f"{hashlib.sha256(key.encode()).hexdigest()}.so")
    try:
        return _loaded(kept)
    except OSError:  # there is none, or none that may be loaded
        with tempfile.TemporaryDirectory() as scratch:
            binary = _compiled(program, command, Path(scratch))
            with contextlib.suppress(OSError):  # a read-only home or a full disk costs time, and no more
                _keep(binary.read_bytes(), kept)
            return ctypes.CDLL(str(binary))


def _compiled(program, command, folder):
    source, binary = folder / "rule.c", folder / "rule.so"
    source.write_text(program)
    for openmp in (["-fopenmp"], []):  # without OpenMP it is one thread
        call = [*command, *openmp, str(source), "-o", str(binary), "-lm"]
        result = subprocess.run(call, capture_output=True, text=True)
        if result.returncode == 0:
            return binary
    raise RuntimeError(f"{command[0]} failed: {result.stderr.strip()}")


def _loaded(path):
    """A kernel from the cache, if it is whole, and if it and its folder are the user's alone: it is code.

    Errors: OSError if there is none, if it is damaged or made for another system, or if others may have written it.
    """
    for place in (path.parent, path):
        seen = place.lstat()
        if seen.st_uid != os.getuid() or seen.st_mode & 0o022 or place.is_symlink():
            raise PermissionError(f"{place} is not the user's alone")
    text = path.read_bytes()
    if hashlib.sha256(text[:-32]).digest() != text[-32:]:
        raise OSError(f"{path} is damaged")
    return ctypes.CDLL(str(path))


def _keep(text, path):
    """Write a kernel and its digest aside, then give it its name, so that nobody ever sees half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as aside:
        aside.write(text + hashlib.sha256(text).digest())
    os.replace(aside.name, path)
