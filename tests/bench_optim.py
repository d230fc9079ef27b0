"""How long a step of ours takes beside torch's, how long the first one takes, and how much memory a step needs.

``python tests/bench_optim.py`` takes about a quarter of an hour, on the CPU; on a machine that does nothing else. For
one thread and for two it prints a row for each model and rule: the default of ours beside torch's default and torch's
fastest way, with the targets of this course and a ``!`` where one is missed. Contenders take turns in every round; a
cell is the median over the rounds. Then come first steps and memory, each measured in a process of its own.
``--picture speed.png`` draws the time of a step against the number of weights; ``--quick`` is for a look.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch.utils.benchmark import Timer

import edu_optim
from edu_optim import problems
from edu_optim.signature import signature

RULES = {  # name: class, options, whether torch has a fused kernel
    "SGD, momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}, True),
    "Adagrad": ("Adagrad", {"lr": 1e-3}, True),
    "RMSprop": ("RMSprop", {"lr": 1e-3}, False),
    "Adadelta": ("Adadelta", {"lr": 1e-3}, False),
    "Adam": ("Adam", {"lr": 1e-3}, True),
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


GOALS = {  # of our default, in units of: torch's default, torch's default for SGD, torch's fused kernel
    "small": (0.6, 1.0, 1.2),
    "ResNet-18": (0.5, 0.75, 1.0),
    "large": (0.4, 0.7, 1.0),
    "many": (0.4, 0.6, 1.2),
}
LATE = 5  # milliseconds that the first step of a process may take longer than later ones
WAYS = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}  # of torch


def optimizer(cls, shapes, device="cpu", **options):
    """An optimizer of weights that have gradients."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=generator).to(device).requires_grad_() for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator).to(device)
    return cls(params, **options)


def stepper(cls, shapes, device="cpu", **options):
    """A function that takes a step; a library that takes the gradients away is given them again each time."""
    made = optimizer(cls, shapes, device, **options)
    params = [p for group in made.param_groups for p in group["params"]]
    gradients = [p.grad for p in params]

    def give():
        for p, g in zip(params, gradients, strict=True):
            p.grad = g

    for _ in range(3):
        made.step()
        taken = any(p.grad is None for p in params)
        give()
    return (lambda: (give(), made.step())) if taken else made.step


def contenders(rule, shapes, device="cpu", ways=tuple(WAYS)):
    """Name -> a function that takes a step: our default, torch's default, and torch's ways by name."""
    name, options, fused = RULES[rule]
    ours, theirs = getattr(edu_optim, name), getattr(torch.optim, name)
    yield "ours", stepper(ours, shapes, device, **options)
    yield "default", stepper(theirs, shapes, device, **options)
    for way in ways:
        if way != "fused" or fused and (device == "cpu" or name != "Adagrad"):  # which torch has on the CPU alone
            yield way, stepper(theirs, shapes, device, **options, **WAYS[way])


def others(rule, shapes):
    """Name -> a function that takes a step, for the other libraries that are installed."""
    name, options, _ = RULES[rule]
    for library, known in OTHERS.items():
        few = len(shapes) <= 100  # heavyball compiles for minutes where there are more
        if few and rule in known and importlib.util.find_spec(library):
            taken = {key: options[key] for key in options if library != "heavyball" or key == "lr"}
            yield library, stepper(getattr(importlib.import_module(library), name), shapes, **taken)


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
    ours, theirs = ([torch.rand(shape) for shape in shapes] for _ in range(2))
    return lambda: torch._foreach_copy_(ours, theirs)


def traffic(rule):
    """How often a step of the rule reads or writes an array as large as the parameters; a copy does so twice."""
    name, options, _ = RULES[rule]
    made = getattr(edu_optim, name)([torch.zeros(1)], **options)
    return 3 + 2 * len(signature(made.rule(made.param_groups[0])).buffers)


def judged(value, goal):
    """A number beside its target."""
    return f"{value:6.2f} <= {goal:4.2f} " if value <= goal else f"{value:6.2f} >  {goal:4.2f}!"


def row(model, rule, threads, rounds):
    shapes, (plain, sgd, fused) = MODELS[model], GOALS[model]
    ways = ["fused"] if RULES[rule][2] else ["loop", "foreach"]
    steps = {**dict(contenders(rule, shapes, ways=ways)), **dict(others(rule, shapes)), "copy": copying(shapes)}
    found = medians(steps, threads, rounds)
    best = min(ways, key=found.get)
    against = found["ours"] / found[best]
    cells = [f"{found[name] * 1e3:9.3f}" for name in ("ours", "default", best)]
    cells += [judged(found["ours"] / found["default"], sgd if rule.startswith("SGD") else plain)]
    cells += [f"{best:7} {judged(against, fused) if best == 'fused' else f'{against:6.2f}         '}"]
    cells += [f"{found['ours'] / (found['copy'] * traffic(rule) / 2):5.2f}"]
    cells += [f"{name} {found[name] * 1e3:.3f}" for name in OTHERS if name in found]
    return " | ".join([f"{model:9} | {rule:13}", *cells])


def table(threads, rounds):
    print(f"\nA step in milliseconds, {threads} thread{'s' * (threads > 1)}, float32, medians of {rounds} rounds;")
    print("ours is the default of ours; limit: a copy of as many bytes as the step must read and write")
    heads = ["model    ", "rule         ", "     ours", "  default", "     best"]
    print(" | ".join([*heads, "ours/default   ", "ours/best              ", "ours/limit"]))
    for model in MODELS:
        for rule in RULES:
            print(row(model, rule, threads, rounds), flush=True)


def first_and_later(step):
    """Milliseconds of the first call, and the median of later ones."""
    times = []
    for _ in range(12):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return times[0], statistics.median(times[2:])


def allocated(step):
    """The most bytes that torch's allocator held during a step and did not hold before it."""
    with torch.profiler.profile(profile_memory=True) as profile:
        step()
    events = profile.profiler.kineto_results.events()
    return max(itertools.accumulate((event.nbytes() for event in events if event.name() == "[memory]"), initial=0))


def resident(step):
    """The most bytes by which this process grew during a step, whoever asked for them: in whole pages, on Linux."""
    if platform.system() != "Linux":
        return math.nan
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark is now what is there
    before = _kilobytes("VmRSS")
    step()
    return 1024 * max(0, _kilobytes("VmHWM") - before)


def _kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def process(model, rule, way):
    """What a process of its own finds about one optimizer, as a line of JSON.

    ``way`` is ours, default, one of torch's three, or resumed: ours with the buffers of torch's default.
    """
    torch.set_num_threads(1)
    name, options, _ = RULES[rule]
    library = edu_optim if way in ("ours", "resumed") else torch.optim
    made = optimizer(getattr(library, name), MODELS[model], **options, **WAYS.get(way, {}))
    if way == "resumed":
        before = optimizer(getattr(torch.optim, name), MODELS[model], **options)
        before.step()
        made.load_state_dict(before.state_dict())
    first, later = first_and_later(made.step)
    memory = {"resident": resident(made.step), "allocated": allocated(made.step)}
    print(json.dumps({"first": first, "later": later, **memory}))


def in_a_process(cache, model, rule, way, repeats=1):
    """Medians of what processes find, which keep their kernels in the folder ``cache``."""
    code = f"import bench_optim; bench_optim.process({model!r}, {rule!r}, {way!r})"
    call = {"cwd": Path(__file__).parent, "env": {**os.environ, "XDG_CACHE_HOME": cache}, "text": True}
    seen = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, **call)
        if done.returncode:  # else the profiler's log is all there is
            sys.exit(done.stderr)
        seen.append(json.loads(done.stdout))
    return {key: statistics.median(found[key] for found in seen) for key in seen[0]}


def processes(rules, repeats):
    """Print how long first steps take with the kernel on disk, and the memory of a step."""
    print(f"\nThe first step of a process, later ones, and their difference, in milliseconds; medians of {repeats}")
    print("processes. resumed: ours, with its buffers there from the start, as after loading a checkpoint.")
    print("bytes: what torch's allocator held at the most during a step, beyond parameters, gradients and state")
    print(
        "(a profiler counts); grown: megabytes by which the process of ours grew (VmHWM, all of torch, C and Python)."
    )
    heads = ["model    ", "rule         ", "    first", "    later", "difference     ", "resumed        ", "  torch's"]
    print(" | ".join([*heads, "bytes: ours", "    default", "      fused", "grown"]))
    with tempfile.TemporaryDirectory() as cache:
        made = {rule: in_a_process(cache, "small", rule, "ours")["first"] for rule in rules}
        for model, rule in itertools.product(MODELS, rules):
            ways = ["ours", "resumed", "default", *["fused"] * RULES[rule][2]]
            found = {way: in_a_process(cache, model, rule, way, repeats) for way in ways}
            print(process_row(model, rule, found), flush=True)
    print("With no kernel on disk: " + ", ".join(f"{rule} {first:.0f} ms" for rule, first in made.items()))


def process_row(model, rule, found):
    late = {way: values["first"] - values["later"] for way, values in found.items()}
    cells = [f"{found['ours'][key]:9.3f}" for key in ("first", "later")]
    cells += [judged(late["ours"], LATE), judged(late["resumed"], LATE), f"{late['default']:9.3f}"]
    cells += [f"{found[way]['allocated']:11,.0f}" if way in found else " " * 11 for way in ("ours", "default", "fused")]
    return " | ".join([f"{model:9} | {rule:13}", *cells, f"{found['ours']['resident'] / 1e6:5.1f}"])


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
    from edu_optim.plot import BLACK, BLUE, GRAY, GREEN, ORANGE, RED, figure, label_ends

    sizes = [4 * 10 ** (k / 2) for k in range(4, 14)]
    names = {"ours": "ours", "lists": "ours, multi_tensor", "loop": "torch, loop", "foreach": "torch, foreach"}
    names |= {"fused": "torch, fused", "copy": "a copy of as many bytes"}
    times = {name: [] for name in names}
    for size in sizes:
        shapes = [(int(size) // 4,)] * 4
        lists = stepper(edu_optim.Adam, shapes, lr=1e-3, run="multi_tensor")
        found = medians({**dict(contenders("Adam", shapes)), "lists": lists, "copy": copying(shapes)}, threads, rounds)
        found["copy"] *= traffic("Adam") / 2
        for name in names:
            times[name].append(found[name] * 1e6)
    fig, ax = figure(width=7.0, height=4.4)
    dashes = ["-", "--", "-.", ":", (0, (6, 2)), (0, (1, 2, 6, 2))]
    for color, dash, name in zip([BLACK, ORANGE, GREEN, BLUE, RED, GRAY], dashes, names, strict=True):
        ax.plot(sizes, times[name], color=color, linestyle=dash, marker=".", label=names[name])
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
    parser.add_argument("--quick", action="store_true", help="three rounds, and processes for Adam alone: for a look")
    parser.add_argument("--picture", metavar="FILE", help="draw the time per step against the number of weights")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    rounds, rules, repeats = (3, ["Adam"], 1) if chosen.quick else (20, list(RULES), 3)
    print(f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {', '.join(versions())}")
    import_time()
    many_at_once(rounds)
    for threads in (1, 2):
        table(threads, rounds)
    processes(rules, repeats)
    if chosen.picture:
        picture(chosen.picture, 1, rounds)


if __name__ == "__main__":
    main()
