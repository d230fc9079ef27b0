"""How long a step takes: ours, torch's three ways, the memory limit, and other libraries where they are installed.

``python tests/bench_optim.py`` takes about ten minutes. For one thread and for two it prints a row for each model and
rule. Contenders take turns in every round; a cell is the median over the rounds. On an accelerator it runs there, and
torch.utils.benchmark waits for the device. ``--picture speed.png`` draws the time of a step against the number of
weights; ``--quick`` is for a look.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import math
import platform
import statistics
import subprocess
import sys
import time
import warnings

import torch
from torch.utils.benchmark import Timer

import edu_optim
from edu_optim import problems
from edu_optim.plot import BLACK, BLUE, GRAY, GREEN, ORANGE, PINK, RED, SKY, figure, label_ends
from edu_optim.signature import signature

DEVICE = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
RULES = {  # name: class, options, whether torch has a fused kernel on the CPU
    "SGD, momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}, True),
    "Nesterov": ("SGD", {"lr": 1e-3, "momentum": 0.9, "nesterov": True}, True),
    "Adagrad": ("Adagrad", {"lr": 1e-3}, True),
    "RMSprop": ("RMSprop", {"lr": 1e-3}, False),
    "Adadelta": ("Adadelta", {"lr": 1e-3}, False),
    "Adam": ("Adam", {"lr": 1e-3}, True),
    "AMSGrad": ("Adam", {"lr": 1e-3, "amsgrad": True}, True),
    "AdamW": ("AdamW", {"lr": 1e-3}, True),
}
OTHERS = {  # library: the rules of which it has a class of torch's name
    "heavyball": ["SGD, momentum", "RMSprop", "AdamW"],
    "pytorch_optimizer": ["SGD, momentum", "RMSprop", "Adam", "AdamW"],
}


def resnet18():
    """The shapes of the 62 parameters of ResNet-18, 11.7 million weights."""
    shapes = [(64, 3, 7, 7), (64,), (64,)]
    for width in (64, 128, 256, 512):
        for block in range(2):
            inputs = width // 2 if block == 0 and width > 64 else width
            shapes += [(width, inputs, 3, 3), (width,), (width,), (width, width, 3, 3), (width,), (width,)]
            shapes += [(width, inputs, 1, 1), (width,), (width,)] * (inputs < width)
    return [*shapes, (1000, 512), (1000,)]


MODELS = {
    "small": [(128, 784), (128,), (64, 128), (64,), (10, 64), (10,)],
    "ResNet-18": resnet18(),
    "large": [(8_388_608,)] * 4,
    "many": [(256,)] * 1000,
}


def weights(shapes):
    return sum(map(math.prod, shapes))


def stepper(cls, shapes, **options):
    """A function that takes a step; a library that takes the gradients away is given them again each time."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=generator).to(DEVICE).requires_grad_() for shape in shapes]
    gradients = [torch.randn(shape, generator=generator).to(DEVICE) for shape in shapes]

    def give():
        for p, g in zip(params, gradients, strict=True):
            p.grad = g

    give()
    optimizer = cls(params, **options)
    for _ in range(3):
        optimizer.step()
        taken = any(p.grad is None for p in params)
        give()
    return (lambda: (give(), optimizer.step())) if taken else optimizer.step


def contenders(rule, shapes, eager=True):
    """Name -> a function that takes a step; ``eager`` says whether our lists, slow on large models, take part."""
    name, options, fused = RULES[rule]
    ours, theirs = getattr(edu_optim, name), getattr(torch.optim, name)
    yield "compiled", stepper(ours, shapes, run="compiled", **options)
    if eager:
        yield "eager", stepper(ours, shapes, **options)
    yield "loop", stepper(theirs, shapes, foreach=False, **options)
    yield "foreach", stepper(theirs, shapes, foreach=True, **options)
    if fused or DEVICE != "cpu":
        yield "fused", stepper(theirs, shapes, fused=True, **options)
    for library in OTHERS:
        few = len(shapes) <= 100  # heavyball compiles for minutes where there are more
        if few and rule in OTHERS[library] and importlib.util.find_spec(library):
            options = {key: options[key] for key in options if library != "heavyball" or key == "lr"}
            yield library, stepper(getattr(importlib.import_module(library), name), shapes, **options)


def medians(steps, threads, rounds):
    """Name -> median seconds; in each round each takes its turn, as often as fits into some milliseconds."""
    timers = {name: Timer("step()", globals={"step": step}, num_threads=threads) for name, step in steps.items()}
    number = {name: max(1, int(5e-3 / timer.timeit(2).mean)) for name, timer in timers.items()}
    seen = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            seen[name].append(timer.timeit(number[name]).mean)
    return {name: statistics.median(values) for name, values in seen.items()}


def copying(shapes):
    """A function that copies as many bytes as the weights have: each is read and written once."""
    ours, theirs = ([torch.rand(shape, device=DEVICE) for shape in shapes] for _ in range(2))
    return lambda: torch._foreach_copy_(ours, theirs)


def traffic(rule):
    """How often a step of the rule reads or writes an array as large as the parameters; a copy does so twice."""
    name, options, _ = RULES[rule]
    optimizer = getattr(edu_optim, name)([torch.zeros(1)], **options)
    return 3 + 2 * len(signature(optimizer.rule(optimizer.param_groups[0]))[0])


def row(model, rule, threads, rounds):
    shapes = MODELS[model]
    steps = dict(contenders(rule, shapes, eager=model == "small"))
    found = medians({**steps, "copy": copying(shapes)}, threads, rounds)
    limit = found.pop("copy") * traffic(rule) / 2
    rivals = {name: value for name, value in found.items() if name in ("loop", "foreach", "fused")}
    best = min(rivals, key=rivals.get)
    cells = [f"{found[name] * 1e3:9.3f}" if name in found else "        -" for name in COLUMNS]
    ratios = [found["compiled"] / found[best], found["compiled"] / limit]
    ratios += [found["eager"] / found["loop"]] if "eager" in found else []
    return " | ".join(
        [f"{model:9} | {rule:13}", *cells, f"{ratios[0]:4.2f} ({best:7})", *(f"{x:5.2f}" for x in ratios[1:])]
    )


COLUMNS = ["compiled", "eager", "loop", "foreach", "fused", *OTHERS]


def table(threads, rounds):
    heads = [f"{name[:9]:>9}" for name in COLUMNS]
    print(f"\nMilliseconds a step, {threads} thread{'s' * (threads > 1)}, medians of {rounds} rounds")
    print(" | ".join(["model     | rule         ", *heads, "compiled/best ", "c/lim", "eager/loop"]))
    for model in MODELS:
        for rule in RULES:
            print(row(model, rule, threads, rounds), flush=True)


def compile_times():
    """Seconds that the first step of a rule takes longer than its second, which includes making its buffers."""
    for rule, model in [("Adam", "small"), ("RMSprop", "small"), ("AMSGrad", "many"), ("Adadelta", "large")]:
        name, options, _ = RULES[rule]
        params = [torch.ones(shape, device=DEVICE, requires_grad=True) for shape in MODELS[model]]
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer, times = getattr(edu_optim, name)(params, run="compiled", **options), []
        for _ in range(2):
            start = time.perf_counter()
            optimizer.step()
            times.append(time.perf_counter() - start)
        print(f"compiling {rule} for {len(params)} tensors: {times[0] - times[1]:.2f} s")


def many_at_once(rounds):
    """1,000 learning rates for 500 steps of Adam on Rosenbrock's valley, at once against one after the other."""
    rates = torch.logspace(-4, 0, 1000, dtype=torch.float64)
    at_once = {"at once": lambda: edu_optim.sweep(problems.rosenbrock, edu_optim.Adam, 500, lr=rates)}
    at_once["at once, compiled"] = lambda: edu_optim.sweep(
        problems.rosenbrock, edu_optim.Adam, 500, lr=rates, run="compiled"
    )
    sample = lambda: edu_optim.descend(problems.rosenbrock, torch.optim.Adam, 500, lr=0.01)  # noqa: E731
    found = medians({**at_once, "one": sample}, 1, min(rounds, 5))
    for name in at_once:
        alone = 1000 * found["one"]
        print(
            f"1,000 settings x 500 steps {name}: {found[name]:.2f} s, {alone / found[name]:.0f} times as fast as "
            f"torch's Adam one after the other ({alone:.0f} s, from a sample)"
        )


def import_time():
    code = "import time, torch; start = time.perf_counter(); import edu_optim; print(time.perf_counter() - start)"
    seen = [float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout) for _ in range(5)]
    print(f"import edu_optim beyond import torch: {statistics.median(seen) * 1e3:.0f} ms")


def picture(path, threads, rounds):
    """The time of a step of Adam against the number of weights, in four tensors."""
    sizes = [4 * 10 ** (k / 2) for k in range(4, 14)]
    times = {}
    for size in sizes:
        shapes = [(int(size) // 4,)] * 4
        found = medians({**dict(contenders("Adam", shapes)), "copy": copying(shapes)}, threads, rounds)
        found["copy"] *= traffic("Adam") / 2
        for name, value in found.items():
            times.setdefault(name, []).append(value * 1e6)
    names = {"compiled": "ours, compiled", "eager": "ours, lists", "copy": "a copy of as many bytes"}
    names |= {name: f"torch, {name}" for name in ("loop", "foreach", "fused")}
    fig, ax = figure(width=7.0, height=4.4)
    dashes = ["-", "--", "-.", ":", (0, (6, 2)), (0, (1, 2, 6, 2)), (0, (2, 1)), (0, (4, 1, 1, 1))]
    colors = [BLACK, ORANGE, GREEN, BLUE, RED, PINK, SKY, GRAY]
    for color, dash, (name, values) in zip(colors, dashes, times.items(), strict=False):
        ax.plot(sizes, values, color=color, linestyle=dash, marker=".", label=names.get(name, name))
    ax.set(xscale="log", yscale="log", xlabel="weights, log scale", ylabel="microseconds a step, log scale")
    ax.set_title(f"A step of Adam, {threads} thread, float32, four tensors")
    label_ends(ax)
    fig.savefig(path)
    print(f"{path}: written")


def versions():
    for name in ("torch", *OTHERS):
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} not installed"


def processor():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three rounds, for a look")
    parser.add_argument("--picture", metavar="FILE", help="draw the time per step against the number of weights")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    rounds = 3 if chosen.quick else 20
    device = torch.accelerator.current_accelerator() if DEVICE != "cpu" else processor()
    print(f"{device}, {torch.get_num_threads()} cores; Python {platform.python_version()}, {', '.join(versions())}")
    import_time()
    compile_times()
    many_at_once(rounds)
    for threads in (1, 2):
        table(threads, rounds)
    if chosen.picture:
        picture(chosen.picture, 1, rounds)


if __name__ == "__main__":
    main()
