"""All that needs a GPU, in one command of under five minutes: ``python tests/on_gpu.py``.

Every class is compared with torch.optim on the GPU, in each way of running it; checkpoints of both libraries go from
the CPU to the GPU and back; networks are trained there, in three precisions, killed and resumed; and steps are timed
beside torch's fused kernel. It says what it ran, with the largest differences, and ends non-zero where one is too
large. Without a GPU it says so, and runs nothing.
"""

import io
import math
import platform
import sys
import tempfile
import time
import traceback
import warnings

import torch
from bench_optim import MODELS, RULES, contenders, medians, stepper
from cases import CASES, RICH, SOME, buffers, difference, feed, gradients, ours, parameters, theirs, title

import edu_optim
from edu_optim import problems
from edu_optim.trace import fit

LIMIT = 1e-10  # of the largest relative difference in float64
LATER = [
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1, "maximize": True}),
]
PRECISIONS = [None, torch.bfloat16, torch.float16]  # of the forward pass
FEW = 100  # tensors: torch.compile takes minutes where there are more


def walk(cls, options, values, rows, device, state=None):
    """Parameters on a device and their optimizer, after a step with each row of gradients; from a checkpoint or not."""
    params = [value.detach().clone().to(device).requires_grad_() for value in values]
    optimizer = cls(params, **options)
    if state is not None:
        optimizer.load_state_dict(state)
    feed(optimizer, params, [[gradient.to(device) for gradient in row] for row in rows])
    return params, optimizer


def compared(case, run, rows, device):
    """The largest difference between ours and torch's on one device, in parameters and buffers."""
    name, options = case
    found = []
    for cls, switch in ((ours(name), {"run": run}), (theirs(name), {})):
        params, optimizer = walk(cls, {**options, **switch}, parameters(), rows, device)
        found.append(params + buffers(optimizer, params))
    return difference(*found)


def carried(case, libraries, rows, device):
    """The largest difference from torch's on the CPU, of a run that goes to the device for its middle third.

    ``libraries`` are the three whose class takes each third: `cases.ours` or `cases.theirs`.
    """
    name, options = case
    third = len(rows) // 3
    values, state = parameters(), None
    for start, library, place in zip((0, third, 2 * third), libraries, ("cpu", device, "cpu"), strict=True):
        params, optimizer = walk(library(name), options, values, rows[start : start + third], place, state)
        file = io.BytesIO()
        torch.save((params, optimizer.state_dict()), file)
        file.seek(0)
        values, state = torch.load(file, map_location="cpu")
    expected, reference = walk(theirs(name), options, parameters(), rows[: 3 * third], "cpu")
    return difference(params + buffers(optimizer, params), expected + buffers(reference, expected))


def trained(autocast, device, stops=(40,)):
    """The losses of a network, trained with all that `fit` can do; stopped at each of these steps, and resumed."""
    dtype = torch.float32 if autocast else torch.float64
    images, labels = problems.digits()
    with tempfile.TemporaryDirectory() as folder:
        for steps in stops:
            net = problems.small_net(64, 32, 10).to(device, dtype)
            optimizer = edu_optim.AdamW(net.parameters(), lr=0.02)
            history = fit(
                net,
                optimizer,
                images.to(dtype),
                labels,
                steps,
                batch=64,
                accumulate=3,
                clip=1.0,
                scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40),
                autocast=autocast,
                scaler=torch.amp.GradScaler(device) if autocast == torch.float16 else None,
                checkpoint=f"{folder}/run.pt",
            )
    return torch.tensor(history.losses)


def resumed(autocast, device):
    """The largest difference that it makes to stop a training at step 17, and to resume it from its checkpoint."""
    return difference([trained(autocast, device, (17, 40))], [trained(autocast, device)])


def trained_beside_the_cpu(autocast, device):
    """The largest difference between the losses of a training on the device and on the CPU."""
    return difference([trained(autocast, device)], [trained(autocast, "cpu")])


def tried(cases, find, *arguments, name=title):
    """The differences by case, infinite where an error was raised, so that one does not hide the others."""
    found = {}
    for case in cases:
        try:
            found[name(case)] = find(case, *arguments)
        except Exception:
            traceback.print_exc()
            found[name(case)] = math.inf
    return found


def checks(device):
    """What is compared, and for each the differences by case."""
    rows = gradients(30)
    eager = CASES + LATER
    for run, cases in (("per_tensor", eager), ("multi_tensor", eager), ("compiled", SOME)):
        yield f"{run} beside torch.optim", tried(cases, compared, run, rows, device)
    for libraries in ((ours, theirs, ours), (theirs, ours, theirs)):
        words = f"a checkpoint from CPU to {device} and back, {', '.join(library.__name__ for library in libraries)}"
        yield words, tried(RICH, carried, libraries, rows, device)
    yield "a training in float64 beside that on the CPU", tried([None], trained_beside_the_cpu, device, name=str)
    yield "a training stopped and resumed, by autocast", tried(PRECISIONS, resumed, device, name=str)


def times(device, rounds):
    """Print how long a step takes, in milliseconds: medians of interleaved rounds, float32."""
    names = ["ours", "compiled", "default", "loop", "foreach", "fused"]
    print(f"\nmilliseconds a step      | {' | '.join(f'{name:>8}' for name in names)} | ours/default | ours/fused")
    for model, shapes in MODELS.items():
        for rule, (name, options, _) in RULES.items():
            steps = dict(contenders(rule, shapes, device))
            if rule == "Adam" and len(shapes) <= FEW:
                steps["compiled"] = stepper(ours(name), shapes, device, **options, run="compiled")
            found = medians(steps, 1, rounds)
            cells = [f"{found[name] * 1e3:8.3f}" if name in found else " " * 8 for name in names]
            ratios = [f"{found['ours'] / found[name]:10.2f}" for name in ("default", "fused") if name in found]
            print(" | ".join([f"{model:9} {rule:14}", *cells, *ratios]), flush=True)


def main(device="cuda", rounds=10):
    """Run everything; return the status with which the program ends."""
    if device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU that torch can use here: nothing was run.")
        return 0
    warnings.filterwarnings("error", message="run='compiled' cannot compile")
    start, wrong = time.perf_counter(), 0
    where = torch.cuda.get_device_name() if device == "cuda" else device
    print(f"{where}; Python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    torch.set_default_dtype(torch.float64)  # in which torch's NAdam multiplies
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):  # else it would run on without compiling
        for words, found in checks(device):
            worst = max(found, key=found.get)
            print(f"{words}: {len(found)} cases, largest difference {found[worst]:.1e}, {worst}", flush=True)
            beyond = [case for case in found if not found[case] <= LIMIT]
            wrong += len(beyond)
            print("".join(f"  WRONG, {found[case]:.1e}: {case}\n" for case in beyond), end="")
        torch.set_default_dtype(torch.float32)
        times(device, rounds)
    print(f"\n{wrong} differences above {LIMIT:.0e}; {time.perf_counter() - start:.0f} seconds")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
