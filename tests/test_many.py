"""Many copies of a network trained at once: each is the one that `train` gives."""

import copy

import pytest
import torch

import edu_optim
from edu_optim import from_rule, problems, rules, train, train_many

IMAGES = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3
LR = torch.tensor([0.001, 0.01, 0.03])
DECAY = torch.tensor([0.0, 0.1, 0.5])
SLOW = torch.tensor([0.5, 0.9, 0.99])
OPTIMIZERS = [
    (edu_optim.SGD, {"lr": LR}),
    (edu_optim.SGD, {"lr": LR, "momentum": torch.tensor([0.0, 0.5, 0.9]), "weight_decay": DECAY}),
    (edu_optim.SGD, {"lr": 0.02, "momentum": SLOW, "nesterov": True}),
    (edu_optim.RMSprop, {"lr": LR, "alpha": SLOW, "eps": 0.1}),
    (edu_optim.RMSprop, {"lr": 0.01, "momentum": SLOW, "centered": True, "eps": DECAY + 0.01}),
    (edu_optim.Adam, {"lr": LR, "betas": (torch.tensor([0.0, 0.5, 0.9]), 0.99), "weight_decay": DECAY}),
    (edu_optim.Adam, {"lr": 0.01, "betas": [SLOW, SLOW.flip(0)], "amsgrad": True}),
    (edu_optim.AdamW, {"lr": LR, "weight_decay": DECAY, "eps": 0.1, "run": "per_tensor"}),
    (edu_optim.Adagrad, {"lr": LR, "lr_decay": DECAY}),
    (from_rule(rules.adadelta), {"lr": LR, "rho": SLOW}),
]


def net(seed=0):
    return problems.small_net(4, 5, 3, seed=seed)


def setting(value, index):
    """The number that copy ``index`` has."""
    if isinstance(value, tuple | list):
        return tuple(setting(member, index) for member in value)
    return value[index].item() if isinstance(value, torch.Tensor) else value


def assert_each_is_alone(models, optimizer, inputs, labels, *, rtol=1e-7, atol=1e-9, options, **how):
    """Train all at once, then one after the other, and compare; return the `Copies`."""
    each = copy.deepcopy(models if isinstance(models, list) else [models] * 3)
    copies = train_many(models, optimizer, inputs, labels, **how, **options)
    for index, model in enumerate(map(copy.deepcopy, each)):
        own = {name: setting(value, index) for name, value in options.items()}
        losses = train(model, optimizer, inputs, labels, **how, **own)
        torch.testing.assert_close(copies.losses[:, index], losses, rtol=rtol, atol=atol)
        assert copies.parameters.keys() == dict(model.named_parameters()).keys()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(copies.parameters[name][index], parameter.detach(), rtol=rtol, atol=atol)
        torch.testing.assert_close(copies.scores(inputs)[index], model(inputs).detach(), rtol=rtol, atol=atol)
    return copies


@pytest.mark.parametrize("batch", [None, 8])
@pytest.mark.parametrize("cls, options", OPTIMIZERS, ids=[f"{cls.__name__}-{'-'.join(o)}" for cls, o in OPTIMIZERS])
def test_each_copy_learns_what_it_learns_alone(cls, options, batch):
    copies = assert_each_is_alone(net(), cls, IMAGES, LABELS, options=options, steps=30, batch=batch, seed=3)
    assert copies.losses.shape == (30, 3) and copies.losses.dtype == torch.float64
    assert copies.losses[-1].unique().numel() == 3
    assert copies.scores(IMAGES[:7]).shape == (3, 7, 3)


@pytest.mark.parametrize("options", [{"lr": 0.01}, {"lr": LR}], ids=["number", "tensor"])
def test_each_copy_may_have_a_start_of_its_own(options):
    copies = assert_each_is_alone(
        [net(0), net(1), net(2)], edu_optim.Adam, IMAGES, LABELS, options=options, steps=20, batch=8
    )
    assert copies.losses[0].unique().numel() == 3


class Odd(torch.nn.Module):
    """Parameters of every rank from 0 to 4, one that is frozen and one that is never used."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.conv = torch.nn.Conv2d(1, 2, 1)
        self.line = torch.nn.Conv1d(2, 3, 2)
        self.norm = torch.nn.BatchNorm1d(3)
        self.conv.bias.requires_grad_(False)
        self.idle = torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        x = self.conv(x[:, None, None])[:, :, 0]
        return self.scale * self.norm(self.line(x)).tanh().sum(-1)


@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-7), (torch.float32, 1e-4)])
def test_parameters_of_every_rank_and_dtype(dtype, rtol):
    torch.manual_seed(0)
    model, options = Odd().to(dtype), {"lr": LR, "betas": (0.9, SLOW), "eps": 1e-3}
    copies = assert_each_is_alone(
        model, edu_optim.AdamW, IMAGES.to(dtype), LABELS, options=options, steps=20, rtol=rtol, atol=rtol / 10
    )
    assert {copies.parameters[name].dtype for name in copies.parameters} == {dtype}
    assert {p.ndim for p in model.parameters()} == {0, 1, 3, 4}
    assert torch.equal(copies.parameters["idle"], torch.ones(3, 2, dtype=dtype))


@pytest.mark.parametrize("models", [net(), [net(0), net(1), net(2)]], ids=["one", "list"])
def test_the_models_are_left_as_they_were(models):
    modules = models if isinstance(models, list) else [models]
    before = copy.deepcopy([module.state_dict() for module in modules])
    lr = LR.clone()
    copies = train_many(models, edu_optim.SGD, IMAGES, LABELS, steps=2, lr=lr)
    for module, state in zip(modules, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        assert all(p.grad is None for p in module.parameters())
    assert torch.equal(lr, LR)
    tensors = [copies.losses, copies.scores(IMAGES), *copies.parameters.values()]
    assert not any(tensor.requires_grad for tensor in tensors)


@pytest.mark.parametrize("cls", [edu_optim.SGD, edu_optim.Adam])
@pytest.mark.parametrize("wild", [1e200, torch.finfo(torch.float64).max])
def test_a_copy_that_diverges_does_not_disturb_the_others(cls, wild):
    models = [net(), net(), net()]
    calm, broken = ([0.1, 0.1, 0.2], [0.1, wild, 0.2])
    calm, broken = (
        train_many(models, cls, IMAGES, LABELS, steps=20, batch=8, lr=torch.tensor(lr, dtype=torch.float64))
        for lr in (calm, broken)
    )
    assert not broken.losses[-1, 1] < 1e100
    assert torch.equal(broken.losses[:, [0, 2]], calm.losses[:, [0, 2]])
    assert torch.equal(broken.accuracy(IMAGES, LABELS)[[0, 2]], calm.accuracy(IMAGES, LABELS)[[0, 2]])
    for name, values in calm.parameters.items():
        assert torch.equal(broken.parameters[name][[0, 2]], values[[0, 2]])


def test_the_accuracy_of_each_copy_is_its_fraction_of_right_answers():
    models = [net(0), net(1)]
    copies = train_many(models, edu_optim.Adam, IMAGES, LABELS, steps=5, lr=0.1)
    for model in models:
        train(model, edu_optim.Adam, IMAGES, LABELS, steps=5, lr=0.1)
    held_out, answers = IMAGES.flip(1)[:9], LABELS[:9]
    right = [sum(model(x).argmax() == y for x, y in zip(held_out, answers, strict=True)) / 9 for model in models]
    assert copies.accuracy(held_out, answers).tolist() == pytest.approx([float(fraction) for fraction in right])


def test_settings_by_seeds_is_a_table_of_one_line():
    lrs, seeds = torch.tensor([0.0, 0.1]), range(3)
    models = [net(seed) for _ in lrs for seed in seeds]
    copies = train_many(models, edu_optim.Adam, IMAGES, LABELS, lr=lrs.repeat_interleave(3))
    table = copies.accuracy(IMAGES, LABELS).reshape(2, 3)
    assert (table[1] > table[0]).all() and torch.equal(copies.losses[0, :3], copies.losses[0, 3:])


def test_the_draws_are_those_of_the_seed():
    first, again, other, whole = (
        train_many(net(), edu_optim.SGD, IMAGES, LABELS, steps=5, batch=batch, seed=seed, lr=LR).losses
        for batch, seed in [(16, 1), (16, 1), (16, 2), (None, 1)]
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, whole)


def test_one_model_and_no_tensor_is_one_copy():
    copies = train_many(net(), edu_optim.SGD, IMAGES, LABELS, steps=5, lr=0.1)
    expected = train(net(), edu_optim.SGD, IMAGES, LABELS, steps=5, lr=0.1)
    torch.testing.assert_close(copies.losses, expected[:, None])


def test_an_optimizer_of_torch_trains_many_starts_and_refuses_many_settings():
    models = [net(0), net(1), net(2)]
    assert_each_is_alone(models, torch.optim.Adam, IMAGES, LABELS, options={"lr": 0.01}, steps=5)
    with pytest.raises(ValueError, match="lr must be 1-element"):
        train_many(models, torch.optim.Adam, IMAGES, LABELS, lr=LR)


@pytest.mark.parametrize(
    "model, options, words",
    [
        (net(), {"lr": LR, "eps": torch.ones(2)}, "lr and eps must hold one for each of the N copies, N > 0, got 3 in"),
        (net(), {"lr": LR, "betas": (0.9, torch.ones(2) / 2)}, "got 3 in lr, 2 in beta2"),
        (net(), {"betas": (SLOW, SLOW[:2])}, "got 3 in beta1, 2 in beta2"),
        (net(), {"lr": torch.ones(2, 3)}, "lr must be a number or a tensor [n] of n > 0 settings, got shape (2, 3)"),
        (net(), {"betas": (0.9, SLOW[:, None])}, "beta2 must be a number or a tensor [n]"),
        (net(), {"lr": torch.ones(0)}, "lr must be a number or a tensor [n] of n > 0 settings, got shape (0,)"),
        ([net(), net()], {"lr": LR}, "lr and model must hold one for each of the N copies, N > 0, got 3 in lr, 2 in"),
        ([net()], {"lr": LR}, "got 3 in lr, 1 in model"),
        ([], {"lr": 0.1}, "model must hold one for each of the N copies, N > 0, got 0 in model"),
        ([net(), problems.small_net(4, 3)], {"lr": 0.1}, "model[1] must have the architecture of model[0], Sequential"),
        (net(), {"lr": -LR}, "lr must hold a finite number >= 0 in each place, got tensor([-0.0010"),
        (net(), {"betas": (0.9, 2 * SLOW)}, "beta2 must hold a number in [0, 1) in each place, got tensor("),
        (net(), {"lr": [0.1, 0.2]}, "lr must be a finite number >= 0, got [0.1, 0.2]"),
        (net(), {"rho": SLOW}, "Adam does not take rho="),
    ],
    ids=lambda value: None,
)
def test_what_cannot_be_trained_is_refused_before_anything_runs(model, options, words):
    inputs = torch.ones(1, 99)  # of a shape that no forward pass takes
    with pytest.raises((ValueError, TypeError)) as error:
        train_many(model, edu_optim.Adam, inputs, LABELS, **options)
    assert words in str(error.value)
