"""From a rule to a loop in C that runs as fast as one written by hand.

The text of the rule is left alone. It is traced once, and parted: what touches numbers only, Python works out once a
step; what touches tensors becomes the body of a loop over the weights. Every weight is read once and written once,
and what is between is never in memory.
"""

import ctypes
import inspect
import itertools
import math
import operator
import os
import shlex
import struct
import subprocess
import tempfile
from array import array
from pathlib import Path

import torch

FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC", "-fopenmp"]
REALS = {torch.float32: ("float", "f"), torch.float64: ("double", "d")}  # in C, and as a code of Python's arrays
IN_C = {
    **{operator.add: "{} + {}", operator.sub: "{} - {}", operator.mul: "{} * {}", operator.truediv: "{} / {}"},
    **{operator.neg: "-{}", operator.pow: "pow({}, {})", "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}"},
}
POWERS = {2: "{0} * {0}", 0.5: "sqrt({0})"}
TAKEN = {
    *["auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern"],
    *["float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed"],
    *["sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"],
    *["complex", "imaginary", "I", "real", "n", "i"],
}
LOOP = """\
static void step({parameters}) {{
    for (long long i = 0; i < n; i++) {{
        {body}
    }}
}}"""
PROGRAM = """\
#include <tgmath.h>
#define BLOCK 16384LL
typedef {real} real;

{loop}

void run(long long tensors, const long long *sizes, real *const *data, const real *numbers, int threads) {{
    for (long long k = 0; k < tensors; k++) {{
        long long blocks = (sizes[k] + BLOCK - 1) / BLOCK;
        if (blocks < 2 || threads < 2) {{
            step(sizes[k], {whole});
            continue;
        }}
        #pragma omp parallel for num_threads(threads)
        for (long long block = 0; block < blocks; block++) {{
            long long at = block * BLOCK;
            step(block < blocks - 1 ? BLOCK : sizes[k] - at, {part});
        }}
    }}
}}
"""


def parted(hyper):
    """What kinds of hyper-parameters there are, those that are numbers, and those that are tensors.

    A kind is (name, whether it is a tensor), one for each element of a tuple. A tensor that holds one number on the
    host counts as that number.

    >>> parted({"lr": torch.tensor(0.5), "betas": (0.9, torch.tensor([0.5, 0.75]))})
    ((('lr', False), ('betas', False), ('betas', True)), [0.5, 0.9], [tensor([0.5000, 0.7500])])
    """
    kinds, numbers, grids = [], [], []
    for name, value in hyper.items():
        for leaf in value if isinstance(value, (tuple, list)) else (value,):
            is_tensor = isinstance(leaf, torch.Tensor)
            if is_tensor and leaf.dim() == 0 and leaf.is_cpu:
                leaf, is_tensor = leaf.item(), False
            kinds.append((name, is_tensor))
            (grids if is_tensor else numbers).append(leaf)
    return tuple(kinds), numbers, grids


def split(rule, kinds):
    """Trace a rule and part it: what it does with numbers alone, and what it does with tensors.

    Args:
        rule: one of `edu_optim.rules`, or your own, as long as no branch in it depends on a value. What it takes from
            outside, such as a global number, is taken once.
        kinds: of its keyword arguments, as `parted` tells them.

    Returns two `torch.fx.GraphModule`. The first takes the numbers and returns those that the second needs. The
    second takes the parameter, the gradient, the buffers, the keyword arguments that are tensors, and those numbers.
    Where a tensor is divided by a number it is multiplied by the reciprocal: a division a step, not one a weight.

    >>> from edu_optim.rules import rmsprop
    >>> numbers, tensors = split(rmsprop, [("lr", False), ("alpha", False), ("eps", False)])
    >>> numbers(0.25, 0.75, 0.0)
    [0.25, 0.75, 0.0, 0.25]
    """
    graph, numbers = torch.fx.Graph(), set()
    tracer = torch.fx.proxy.GraphAppendingTracer(graph)

    def argument(name, is_tensor):
        node = graph.placeholder(name)
        numbers.update([] if is_tensor else [node])
        return torch.fx.Proxy(node, tracer)

    code, hyper = inspect.unwrap(rule).__code__, {}
    positional = [argument(letter, True) for letter in code.co_varnames[: code.co_argcount]]
    names = [name for name, _ in kinds]
    for name, is_tensor in kinds:
        values = hyper.setdefault(name, [])
        numbered = f"{name.removesuffix('s')}{len(values) + 1}"  # betas: beta1, beta2
        values.append(argument(numbered if names.count(name) > 1 else name, is_tensor))
    hyper = {name: values[0] if len(values) == 1 else values for name, values in hyper.items()}
    results = rule(*positional, **hyper)
    if len(results) != len(positional) - 1:
        raise TypeError(f"it returned {len(results)} values in the place of {len(positional) - 1}")
    graph.output([result.node for result in results])
    for node in list(graph.nodes):
        if node.op.startswith("call") and numbers.issuperset(node.all_input_nodes):
            numbers.add(node)
        elif node.target is operator.truediv and node.args[1] in numbers:
            with graph.inserting_before(node):
                numbers.add(inverse := graph.call_function(reciprocal, (node.args[1],)))
            node.target, node.args = operator.mul, (node.args[0], inverse)
    return _parts(graph, numbers)


def _parts(graph, numbers):
    handed = [node for node in graph.nodes if node in numbers and not numbers.issuperset(node.users)]
    others = [node for node in graph.nodes if node not in numbers]
    given = [node for node in others if node.op == "placeholder"]
    first, second, copies = torch.fx.Graph(), torch.fx.Graph(), {}
    for node in graph.nodes:
        if node in numbers:
            copies[node] = first.node_copy(node, copies.get)
    first.output([copies[node] for node in handed])
    for node in [*given, *handed, *others[len(given) :]]:
        copies[node] = second.placeholder(node.name) if node in numbers else second.node_copy(node, copies.get)
    return torch.fx.GraphModule({}, first), torch.fx.GraphModule({}, second)


def reciprocal(number):
    """1 / number, also of zero.

    >>> reciprocal(4.0), reciprocal(0.0)
    (0.25, inf)
    """
    return 1 / number if number else math.copysign(math.inf, number)


def loop(numbers, tensors):
    """What `split` made of a rule, as a loop in C over the elements of its tensors.

    Errors: TypeError if the rule does anything but ``+ - * / **`` and `edu_optim.rules.maximum`.

    >>> from edu_optim.rules import gradient_descent
    >>> print(loop(*split(gradient_descent, [("lr", False)])))
    static void step(long long n, real *restrict p_, real *restrict g_,
                     real lr) {
        for (long long i = 0; i < n; i++) {
            real p = p_[i];
            real g = g_[i];
            real mul = lr * g;
            real sub = p - mul;
            p_[i] = sub;
        }
    }
    """
    names = {node: node.name + "_" * (node.name in TAKEN) for node in tensors.graph.nodes}
    arrays, handed = _arguments(numbers, tensors)
    scalars = [f"real {names[node]}" for node in handed]
    head = [["long long n", *(f"real *restrict {names[node]}_" for node in arrays)]]
    head += [scalars[start : start + 5] for start in range(0, len(scalars), 5)]
    body = [f"real {names[node]} = {names[node]}_[i];" for node in arrays]
    body += [f"real {names[node]} = {_in_c(node, names)};" for node in tensors.graph.nodes if node.op[:4] == "call"]
    results = zip([arrays[0], *arrays[2:]], tensors.graph.output_node().args[0], strict=False)
    body += [f"{names[old]}_[i] = {names[new]};" for old, new in results]
    return LOOP.format(parameters=",\n                 ".join(map(", ".join, head)), body="\n        ".join(body))


def _arguments(numbers, tensors):
    """The arguments of the second part: tensors, and the numbers that the first part hands to it."""
    inputs = tensors.graph.find_nodes(op="placeholder")
    count = len(inputs) - len(numbers.graph.output_node().args[0])
    return inputs[:count], inputs[count:]


def _in_c(node, names):
    form = POWERS.get(node.args[1]) if node.target is operator.pow else None
    form = form or IN_C.get(node.target)
    if form is None:
        raise TypeError(f"a rule may use + - * / ** and maximum, not {getattr(node.target, '__name__', node.target)}")
    return form.format(*[names.get(argument, f"(real){argument}") for argument in node.args])


def in_c(rule, kinds, dtype):
    """Compile a rule: a function of columns of contiguous tensors and of numbers, which writes the results in place.

    Args:
        rule, kinds: as in `split`.
        dtype: of all tensors, torch.float32 or torch.float64.

    Errors: OSError or RuntimeError if there is no C compiler or it fails; TypeError as in `loop`, or for a dtype.

    >>> from edu_optim.rules import gradient_descent
    >>> step = in_c(gradient_descent, [("lr", False)], torch.float32)
    >>> p, g = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 8.0])
    >>> step([[p], [g]], [0.25])
    >>> p
    tensor([0., 0.])
    """
    if dtype not in REALS:
        raise TypeError(f"dtype must be one of {', '.join(map(str, REALS))}, got {dtype}")
    numbers, tensors = split(rule, kinds)
    arrays, handed = _arguments(numbers, tensors)
    real, code = REALS[dtype]
    whole = [f"data[{index} * tensors + k]" for index, _ in enumerate(arrays)]
    given = [f"numbers[{index}]" for index, _ in enumerate(handed)]
    arguments = {"whole": [*whole, *given], "part": [*(f"{start} + at" for start in whole), *given]}
    arguments = {name: ", ".join(values) for name, values in arguments.items()}
    library = _library(PROGRAM.format(real=real, loop=loop(numbers, tensors), **arguments))

    def run(columns, values):
        flat = list(itertools.chain.from_iterable(columns))
        sizes = list(map(torch.Tensor.numel, columns[0]))
        if list(map(torch.Tensor.numel, flat)) != sizes * len(columns):
            raise ValueError("columns must hold tensors of the same sizes, each buffer as large as its parameter")
        library.run(
            ctypes.c_longlong(len(sizes)),
            struct.pack(f"{len(sizes)}q", *sizes),
            struct.pack(f"{len(flat)}Q", *map(torch.Tensor.data_ptr, flat)),
            array(code, numbers.forward(*values)).tobytes(),
            torch.get_num_threads(),
        )

    return run


def by_torch(rule, kinds, dtype):
    """Compile a rule as `in_c` does, for the devices that `torch.compile` knows: one graph for all tensors.

    >>> from edu_optim.rules import gradient_descent
    >>> step = by_torch(gradient_descent, [("lr", False)], torch.float32)
    >>> p, g = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 8.0])
    >>> step([[p], [g]], [0.25])
    >>> p
    tensor([0., 0.])
    """
    numbers, tensors = split(rule, kinds)

    @torch.compile
    def every(columns, handed):
        for p, g, *others in zip(*columns, strict=True):
            for old, new in zip([p, *others], tensors(p, g, *others, *handed), strict=False):
                old.copy_(new)

    def run(columns, values):
        handed = torch.tensor(numbers.forward(*values), dtype=dtype, device="cpu").unbind()
        every([[tensor.view(-1) for tensor in column] for column in columns], handed)

    return run


def _library(program):
    """A program in C, compiled and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "rule.c"), Path(folder, "rule.so")
        source.write_text(program)
        command = [*shlex.split(os.environ.get("CC", "cc")), str(source), "-o", str(binary), "-lm"]
        for flags in (FLAGS, FLAGS[:-1]):  # without OpenMP it is one thread
            result = subprocess.run([*command, *flags], capture_output=True, text=True)
            if result.returncode == 0:
                return ctypes.CDLL(str(binary))
        raise RuntimeError(f"{command[0]} failed: {result.stderr.strip()}")
