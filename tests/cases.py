"""The table that is compared with torch.optim: every class with its options, alone and combined."""

import itertools

import torch

import edu_optim

EVERYWHERE = {"weight_decay": [0, 0.1], "maximize": [False, True]}
GRIDS = {
    "SGD": {"lr": [0.01], "momentum": [0, 0.9], "dampening": [0, 0.3], "nesterov": [False, True]},
    "Adagrad": {"lr": [0.1], "lr_decay": [0, 0.05], "initial_accumulator_value": [0, 0.5], "eps": [1e-10, 0.1]},
    "RMSprop": {
        "lr": [0.01],
        "alpha": [0.99, 0.8],
        "centered": [False, True],
        "momentum": [0, 0.9],
        "eps": [1e-8, 0.1],
    },
    "Adadelta": {"lr": [1.0, 0.3], "rho": [0.9, 0.7], "eps": [1e-6, 0.1]},
    "Adam": {
        "lr": [0.01],
        "betas": [(0.9, 0.999), (0.5, 0.7)],
        "amsgrad": [False, True],
        "decoupled_weight_decay": [False, True],
        "eps": [1e-8, 0.1],
    },
    "AdamW": {"lr": [0.01], "betas": [(0.9, 0.999), (0.5, 0.7)], "amsgrad": [False, True], "eps": [1e-8, 0.1]},
}


def _allowed(options):
    return not options.get("nesterov") or (options["momentum"] and not options["dampening"])


def _grid(name):
    grid = {**GRIDS[name], **EVERYWHERE}
    rows = (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
    return [(name, options) for options in rows if _allowed(options)]


NAMES = list(GRIDS)
CASES = [case for name in NAMES for case in _grid(name)]
PLAIN = [(name, {"lr": GRIDS[name]["lr"][0]}) for name in NAMES]
RICH = [
    ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.5, "eps": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.8, "centered": True, "momentum": 0.9, "eps": 0.1, "weight_decay": 0.1}),
    ("Adadelta", {"lr": 0.3, "rho": 0.7, "eps": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.01, "betas": (0.5, 0.7), "amsgrad": True, "eps": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.01, "betas": (0.5, 0.7), "amsgrad": True, "eps": 0.1, "weight_decay": 0.1}),
]
SOME = PLAIN + RICH
EAGER = ["per_tensor", "multi_tensor"]
RUNS = [*EAGER, "compiled"]
ACCELERATORS = [torch.accelerator.current_accelerator().type] if torch.accelerator.is_available() else []
DEVICES = ["cpu", *ACCELERATORS]


def title(case):
    """``Adam(lr=0.01, amsgrad=True)``, as the id of a test."""
    name, options = case
    return f"{name}({', '.join(f'{key}={value}' for key, value in options.items())})"


def ours(name):
    return getattr(edu_optim, name)


def theirs(name):
    return getattr(torch.optim, name)


SHAPES = {
    "0-d": (),
    "empty": (0, 3),
    "vector": (5,),
    "matrix": (4, 3),
    "non-contiguous": (3, 4),
    "channels-last": (2, 3, 2, 2),
}


def draw(generator, shape, dtype):
    return torch.randn(shape, generator=generator, dtype=torch.complex128 if dtype.is_complex else torch.float64)


def parameters(dtype=torch.float64, device="cpu"):
    """A leaf of each of the `SHAPES`, always with the same values."""
    generator = torch.Generator().manual_seed(1)
    leaves = []
    for layout, shape in SHAPES.items():
        p = draw(generator, shape, dtype).to(device, dtype)
        if layout == "non-contiguous":
            p = p.T.contiguous().T
        elif layout == "channels-last":
            p = p.to(memory_format=torch.channels_last)
        leaves.append(p.requires_grad_())
    return leaves


def gradients(steps=100, dtype=torch.float64, device="cpu"):
    """A gradient for each of the `parameters`, for each step: scales from 1e-3 to 1e3, one in five zero."""
    generator = torch.Generator().manual_seed(2)
    shapes = SHAPES.values()
    scales = [10 ** (6 * torch.rand(shape, generator=generator, dtype=torch.float64) - 3) for shape in shapes]
    return [
        [
            (draw(generator, scale.shape, dtype) * scale * (torch.rand(scale.shape, generator=generator) > 0.2)).to(
                device, dtype
            )
            for scale in scales
        ]
        for _ in range(steps)
    ]


def feed(optimizer, params, rows):
    """Take one step with each row of gradients."""
    for row in rows:
        for p, g in zip(params, row, strict=True):
            p.grad = g
        optimizer.step()


def buffers(optimizer, params):
    return [
        value
        for p in params
        for key, value in sorted(optimizer.state.get(p, {}).items())
        if isinstance(value, torch.Tensor)
    ]


def difference(ours, theirs):
    """The largest difference of two lists of tensors, relative to theirs, element by element."""
    assert [t.shape for t in ours] == [t.shape for t in theirs]
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = a.detach().cpu().to_dense(), b.detach().cpu().to_dense()
        assert a.isfinite().all() and b.isfinite().all()
        if a.numel():
            worst = max(worst, ((a - b).abs() / b.abs().clamp_min(1e-300)).max().item())
    return worst
