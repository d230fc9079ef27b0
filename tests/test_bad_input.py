"""Bad input: an error before anything has changed, with the argument, the value seen and what is allowed."""

import numpy
import pytest
import torch

from edu_optim import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop, from_rule, rules

NAN, INF = float("nan"), float("inf")
NOT_NEGATIVE, FRACTION, BELOW_ONE = "a finite number >= 0", "a number in [0, 1]", "a number in [0, 1)"
FromRule = from_rule(rules.adam)

# class, option, value, kind of error, words of its message
OPTIONS = [
    (SGD, "lr", -0.1, ValueError, ["lr must be", NOT_NEGATIVE, "got -0.1"]),
    (Adam, "lr", NAN, ValueError, ["lr must be", NOT_NEGATIVE, "got nan"]),
    (Adagrad, "lr", INF, ValueError, ["lr must be", NOT_NEGATIVE, "got inf"]),
    (RMSprop, "lr", "0.1", TypeError, ["lr must be", NOT_NEGATIVE, "got '0.1'"]),
    (Adadelta, "lr", None, TypeError, ["lr must be", NOT_NEGATIVE, "got None"]),
    (AdamW, "lr", True, TypeError, ["lr must be", NOT_NEGATIVE, "got True"]),
    (Adam, "lr", 1j, TypeError, ["lr must be", NOT_NEGATIVE, "got 1j"]),
    (Adam, "lr", [0.1], TypeError, ["lr must be", NOT_NEGATIVE, "got [0.1]"]),
    (Adam, "lr", numpy.array([0.1, 0.2]), TypeError, ["lr must be", NOT_NEGATIVE, "got array([0.1, 0.2])"]),
    (Adam, "lr", torch.tensor([0.1, -0.1]), ValueError, ["lr must hold", NOT_NEGATIVE, "got tensor([ 0.1000, -0.1"]),
    (Adam, "lr", torch.tensor([0.1, NAN]), ValueError, ["lr must hold", NOT_NEGATIVE, "nan"]),
    (Adam, "lr", torch.tensor([]), ValueError, ["lr must hold", NOT_NEGATIVE, "tensor([])"]),
    (Adam, "lr", torch.tensor([1j]), TypeError, ["lr must", "got tensor([0.+1.j])"]),
    (Adam, "lr", torch.ones(3), ValueError, ["lr must broadcast to a parameter of (2,)", "got (3,)"]),
    (Adam, "lr", torch.ones(2, 1), ValueError, ["lr must broadcast to a parameter of (2,)", "got (2, 1)"]),
    (Adam, "betas", (0.9, 1.0), ValueError, ["beta2 must be", BELOW_ONE, "got 1.0"]),
    (AdamW, "betas", (-0.1, 0.9), ValueError, ["beta1 must be", BELOW_ONE, "got -0.1"]),
    (FromRule, "betas", (NAN, 0.9), ValueError, ["beta1 must be", BELOW_ONE, "got nan"]),
    (Adam, "betas", ("0.9", 0.9), TypeError, ["beta1 must be", BELOW_ONE, "got '0.9'"]),
    (Adam, "betas", (0.9,), ValueError, ["betas must be two numbers in [0, 1)", "got (0.9,)"]),
    (Adam, "betas", 0.9, ValueError, ["betas must be two numbers in [0, 1)", "got 0.9"]),
    (Adam, "betas", (0.9, torch.tensor([0.9, 1.0])), ValueError, ["beta2 must hold", BELOW_ONE, "1.0000"]),
    (Adam, "betas", (torch.ones(3) / 2, 0.9), ValueError, ["beta1 must broadcast", "(2,)", "got (3,)"]),
    (Adam, "eps", -1e-8, ValueError, ["eps must be", NOT_NEGATIVE, "got -1e-08"]),
    (RMSprop, "eps", INF, ValueError, ["eps must be", NOT_NEGATIVE, "got inf"]),
    (AdamW, "weight_decay", -0.01, ValueError, ["weight_decay must be", NOT_NEGATIVE, "got -0.01"]),
    (FromRule, "weight_decay", -0.01, ValueError, ["weight_decay must be", NOT_NEGATIVE, "got -0.01"]),
    (SGD, "momentum", -0.9, ValueError, ["momentum must be", NOT_NEGATIVE, "got -0.9"]),
    (SGD, "dampening", NAN, ValueError, ["dampening must be", "a finite number", "got nan"]),
    (SGD, "nesterov", True, ValueError, ["nesterov=True needs a momentum above 0", "got momentum=0 and dampening=0"]),
    (SGD, "nesterov", 1, TypeError, ["nesterov must be True or False", "got 1"]),
    (RMSprop, "alpha", 1.5, ValueError, ["alpha must be", FRACTION, "got 1.5"]),
    (RMSprop, "centered", "no", TypeError, ["centered must be True or False", "got 'no'"]),
    (Adadelta, "rho", -0.1, ValueError, ["rho must be", FRACTION, "got -0.1"]),
    (Adagrad, "lr_decay", -1, ValueError, ["lr_decay must be", NOT_NEGATIVE, "got -1"]),
    (Adagrad, "initial_accumulator_value", -1, ValueError, ["initial_accumulator_value must be", "got -1"]),
    (Adam, "amsgrad", 0, TypeError, ["amsgrad must be True or False", "got 0"]),
    (Adam, "decoupled_weight_decay", None, TypeError, ["decoupled_weight_decay must be True or False", "got None"]),
    (Adam, "maximize", "yes", TypeError, ["maximize must be True or False", "got 'yes'"]),
    (Adam, "foreach", "yes", TypeError, ["foreach must be True, False or None", "got 'yes'"]),
    (SGD, "fused", 1.5, TypeError, ["fused must be True, False or None", "got 1.5"]),
    (AdamW, "capturable", True, TypeError, ["capturable must be False", "got True", "torch.optim inside a CUDA graph"]),
    (
        Adagrad,
        "differentiable",
        True,
        TypeError,
        ["differentiable must be False", "edu_optim.rules are pure"],
    ),
]
each_option = pytest.mark.parametrize(
    "cls, name, value, kind, words", OPTIONS, ids=[f"{row[0].__name__} {row[1]}={row[2]}" for row in OPTIONS]
)


def leaf(*shape):
    return torch.ones(*(shape or (2,)), requires_grad=True)


def refused(kind, words, call):
    with pytest.raises(kind) as error:
        call()
    for word in words:
        assert word in str(error.value)


@each_option
def test_a_bad_option_is_refused_by_the_constructor(cls, name, value, kind, words):
    options = {"lr": 0.1, name: value}
    refused(kind, words, lambda: cls([leaf()], **options))
    if name != "lr":
        refused(kind, words, lambda: cls([{"params": [leaf()], "lr": 0.2}], **options))


@each_option
def test_a_bad_option_of_one_group_is_refused(cls, name, value, kind, words):
    groups = [{"params": [leaf()]}, {"params": [leaf()], name: value}]
    refused(kind, words, lambda: cls(groups, lr=0.1))


@each_option
def test_a_refused_group_leaves_the_optimizer_as_it_was(cls, name, value, kind, words):
    harmless(cls, kind, words, {"params": [leaf()], name: value})


def test_a_bad_default_is_refused_even_where_every_group_has_a_better_one():
    refused(ValueError, ["lr must be", NOT_NEGATIVE, "got -1"], lambda: Adam([{"params": [leaf()], "lr": 0.1}], lr=-1))


@pytest.mark.parametrize("cls", [SGD, Adam, FromRule])
def test_an_unknown_option_is_refused_with_those_that_are_known(cls):
    refused(TypeError, ["take steps=3", "lr, ", "weight_decay"], lambda: cls([leaf()], lr=0.1, steps=3))


@pytest.mark.parametrize(
    "name, meant",
    [
        ("wieght_decay", "weight_decay"),
        ("weight-decay", "weight_decay"),
        ("beta", "betas"),
        ("beta1", "betas"),
        ("esp", "eps"),
        ("LR", "lr"),
        ("learning_rate", "lr"),
        ("maximise", "maximize"),
        ("amsgard", "amsgrad"),
    ],
)
def test_a_misspelt_option_is_refused_with_the_right_spelling(name, meant):
    words = [f"does not take {name}=0.1", f"did you mean {meant}?"]
    refused(TypeError, words, lambda: Adam([leaf()], **{name: 0.1}))
    refused(TypeError, words, lambda: Adam([{"params": [leaf()], name: 0.1}]))
    harmless(Adam, TypeError, words, {"params": [leaf()], name: 0.1})


@pytest.mark.parametrize("cls", [SGD, Adagrad, RMSprop, Adadelta, Adam, AdamW, FromRule])
@pytest.mark.parametrize(
    "name", ["lr_scale", "lr_mult", "group_name", "name", "initial_lr", "max_momentum", "base_momentum", "layer"]
)
def test_a_group_key_of_somebody_else_is_kept(cls, name):
    optimizer = cls([{"params": [leaf()], name: 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [leaf()], name: 0.25})
    again = cls([{"params": [leaf()]}, {"params": [leaf()]}], lr=0.1)
    again.load_state_dict(optimizer.state_dict())
    assert [group[name] for group in again.param_groups] == [0.5, 0.25]


@pytest.mark.parametrize("run", ["fused", (), 3])
def test_an_unknown_way_of_running_is_refused_with_those_that_are_known(run):
    words = ["run must be one of", "'per_tensor'", "'multi_tensor'", "a callable or None", f"got {run!r}"]
    refused((TypeError, ValueError), words, lambda: Adam([leaf()], run=run))


TAKEN = leaf()
PARAMETERS = [
    ([1.0], TypeError, ["params[0] must be a tensor", "got 1.0"]),
    ([leaf(), None], TypeError, ["params[1] must be a tensor", "got None"]),
    ([("weight", 1.0)], TypeError, ["params[0] must be a tensor", "got 1.0"]),
    ([("weight",)], TypeError, ["params[0] must be", "('weight',)"]),
    ([leaf(), leaf() * 2], ValueError, ["params[1] must be a leaf tensor", "MulBackward0", "tensor([2., 2.]"]),
    ([TAKEN, leaf(), TAKEN], ValueError, ["params[2] must be a tensor that is not there yet", "tensor([1., 1.]"]),
    ("weight", TypeError, ["params must be a list or iterator", "got 'weight'"]),
    ({leaf()}, TypeError, ["params must be a list or iterator", "got {tensor([1., 1.]"]),
    (None, TypeError, ["params must be a list or iterator", "got None"]),
    (3, TypeError, ["params must be a list or iterator", "got 3"]),
]
each_list = pytest.mark.parametrize("params, kind, words", PARAMETERS, ids=lambda value: None)


@each_list
def test_bad_parameters_are_refused(params, kind, words):
    refused(kind, words, lambda: Adam(params))
    refused(kind, words, lambda: Adam([{"params": params}]))
    harmless(Adam, kind, words, {"params": params})


@pytest.mark.parametrize(
    "params, kind, words",
    [
        ([], ValueError, ["params must hold at least one tensor", "got none"]),
        (iter([]), ValueError, ["params must hold at least one tensor", "got none"]),
        (leaf(), TypeError, ["params must be a list or iterator", "got tensor([1., 1.]"]),
        (torch.nn.Linear(1, 1), TypeError, ["params must be a list or iterator", "got Linear("]),
        ([{"lr": 0.1}], TypeError, ["param_group must be a dict with the key 'params'", "got {'lr': 0.1}"]),
        ([{"params": [leaf()]}, leaf()], TypeError, ["param_group must be a dict", "got tensor([1., 1.]"]),
        ([{"params": [TAKEN]}, {"params": [TAKEN]}], ValueError, ["params[0]", "not there yet", "tensor([1., 1.]"]),
        ([("weight", leaf()), leaf()], ValueError, ["names"]),
    ],
    ids=["none", "used up", "tensor", "module", "no params", "mixed", "in two groups", "half named"],
)
def test_what_is_no_list_of_parameters_is_refused(params, kind, words):
    refused(kind, words, lambda: Adam(params))


def harmless(cls, kind, words, group):
    """Refuse ``group`` in the middle of a run, which then goes on as that of a twin that was never asked."""
    parameters = [leaf(), leaf()]
    asked, twin = ([cls([{"params": [p], "lr": 0.2}], lr=0.1)] for p in parameters)
    for step in range(4):
        if step == 2:
            refused(kind, words, lambda: asked[0].add_param_group(group))
        for p, (optimizer,) in zip(parameters, (asked, twin), strict=True):
            p.grad = (p.detach() + step) ** 2
            optimizer.step()
    assert parameters[0].tolist() == parameters[1].tolist() != [1.0, 1.0]
    (asked,), (twin,) = asked, twin
    assert asked.defaults == twin.defaults
    assert len(asked.param_groups) == 1 and len(asked.state) == len(twin.state)
    assert asked.param_groups[0].keys() == twin.param_groups[0].keys()


@pytest.mark.parametrize(
    "group", [None, [leaf()], {"lr": 0.1}, {"params": [TAKEN]}], ids=["None", "list", "no", "twice"]
)
def test_a_group_that_is_none_or_there_already_is_refused(group):
    optimizer = Adam([TAKEN])
    with pytest.raises((TypeError, ValueError), match="param_group must be a dict|not there yet"):
        optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    "shape, lr", [((2,), ()), ((2,), (2,)), ((2,), (1,)), ((5, 2), (5, 1)), ((5, 2), (2,)), ((5, 2), (1, 1))]
)
def test_a_tensor_that_broadcasts_is_a_hyper_parameter(shape, lr):
    parameter = leaf(*shape)
    parameter.grad = torch.ones(shape)
    SGD([parameter], lr=torch.full(lr, 0.25)).step()
    assert torch.equal(parameter, torch.full(shape, 0.75))


def test_a_tensor_must_fit_every_parameter_of_its_group():
    words = ["lr must broadcast to a parameter of (2,)", "got (5, 1)"]
    refused(ValueError, words, lambda: Adam([leaf(5, 2), leaf(2)], lr=torch.ones(5, 1)))
    Adam([{"params": [leaf(5, 2)], "lr": torch.ones(5, 1)}, {"params": [leaf(2)]}])


@pytest.mark.parametrize(
    "cls, options",
    [
        (SGD, {"lr": 0, "momentum": 1.5, "dampening": -2.0, "weight_decay": 0}),
        (RMSprop, {"alpha": 1, "eps": 0}),
        (Adadelta, {"rho": 0}),
        (Adam, {"betas": [0, 0.5], "lr": 7}),
        (Adam, {"lr": numpy.float32(0.1), "eps": numpy.float64(0.1)}),
        (Adagrad, {"params": iter([leaf()])}),
        (Adagrad, {"params": [("weight", leaf()), ("bias", leaf())]}),
        (Adam, {"params": [{"params": leaf()}]}),
        (Adam, {"params": [{"params": iter([leaf()]), "name": "head", "initial_lr": 0.1}]}),
    ],
)
def test_what_lies_on_the_border_of_the_allowed_is_taken(cls, options):
    cls(**{"params": [leaf()], **options}).step()
