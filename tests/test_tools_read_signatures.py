"""What tools read off the optimizers: `inspect`, `help`, a completion engine, and code that builds from options."""

import dataclasses
import functools
import inspect
import pydoc
import typing

import jedi
import pytest
import torch
from cases import NAMES, ours, theirs

import edu_optim

OPTIONS = {name: list(inspect.signature(theirs(name)).parameters)[1:] + ["run"] for name in NAMES}


def half_as_far(p, g, b, *, t, lr, momentum=0.9):
    """Half a step of momentum.

    Buffer ``b``, the velocity.
    """
    b = momentum * b + g
    return p - lr * b / 2, b


HalfAsFar = edu_optim.from_rule(half_as_far)
OF_RULE = "(params, *, weight_decay=0, lr, momentum=0.9, maximize=False, run='per_tensor')"


def parameter():
    p = torch.tensor([1.0], requires_grad=True)
    p.grad = torch.tensor([4.0])
    return p


def read(text, *names):
    """A line of code as an editor reads it, without running anything; with names, as a notebook reads it, after."""
    if names:
        return jedi.Interpreter(text, [dict(names)])
    return jedi.Script(f"import edu_optim\n\n{text}")


def offered(script):
    return [completion.name for completion in script.complete()]


def shown(script):
    """The options in the pop-up of a call."""
    (call,) = script.get_signatures()
    return [parameter.name for parameter in call.params]


@pytest.mark.parametrize("name", NAMES)
def test_an_editor_completes_every_option_and_shows_them_all(name):
    assert shown(read(f"edu_optim.{name}(")) == ["params", *OPTIONS[name]]
    for option in OPTIONS[name]:
        assert f"{option}=" in offered(read(f"edu_optim.{name}(params, {option[:-1]}"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_completes_every_option_and_shows_them_all(name):
    names = ("edu_optim", edu_optim), ("params", [])
    assert shown(read(f"edu_optim.{name}(", *names)) == ["params", *OPTIONS[name]]
    for option in OPTIONS[name]:
        assert f"{option}=" in offered(read(f"edu_optim.{name}(params, {option[:-1]}", *names))


def test_a_notebook_completes_the_options_of_a_rule():
    names = ("HalfAsFar", HalfAsFar), ("params", [])
    assert shown(read("HalfAsFar(", *names)) == list(inspect.signature(HalfAsFar).parameters)
    assert "momentum=" in offered(read("HalfAsFar(params, mo", *names))
    assert "weight_decay=" in offered(read("HalfAsFar(params, lr=0.1, we", *names))


def test_an_editor_completes_the_options_of_a_subclass():
    text = "class Mine(edu_optim.SGD):\n    def __init__(self, params, warmup=0): ...\n\n\n"
    assert shown(read(text + "Mine(")) == ["params", "warmup"]
    assert "warmup=" in offered(read(text + "Mine(params, wa"))


def test_the_class_of_a_rule_and_its_constructor_list_its_options():
    assert str(inspect.signature(HalfAsFar)) == OF_RULE
    assert str(inspect.signature(HalfAsFar.__init__)) == OF_RULE.replace("(", "(self, ", 1)
    assert "t" not in inspect.signature(HalfAsFar).parameters  # the class counts the steps


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_the_options_and_what_they_mean(name):
    text = pydoc.render_doc(ours(name), renderer=pydoc.plaintext)
    head, *_ = text.split("Method resolution order")
    assert f"class {name}" in head and "Args:" in head
    assert not [option for option in OPTIONS[name] if f"{option}:" not in head.partition("Args:")[0]]
    assert "**kwargs" not in head and "**options" not in head


def test_help_of_the_class_of_a_rule_shows_its_options_and_its_text():
    text = pydoc.render_doc(HalfAsFar, renderer=pydoc.plaintext)
    assert f"half_as_far{OF_RULE}" in text
    assert "Half a step of momentum." in text and "Buffer ``b``, the velocity." in text


@pytest.mark.parametrize("name", NAMES)
def test_annotations_can_be_read(name):
    assert list(typing.get_type_hints(ours(name).__init__)) == ["params", *OPTIONS[name], "return"]


@pytest.mark.parametrize("name", NAMES)
def test_a_partial_class_lists_its_options_and_builds(name):
    make = functools.partial(ours(name), lr=0.125, weight_decay=0.5)
    assert list(inspect.signature(make).parameters) == ["params", *OPTIONS[name]]
    group = make([parameter()], run="per_tensor").param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.125, 0.5)
    with pytest.raises(TypeError, match="learning_rate"):
        functools.partial(make, learning_rate=1)([parameter()])


@pytest.mark.parametrize("name", NAMES)
def test_a_dataclass_made_of_the_options_builds_the_same_optimizer(name):
    """As tools do that keep the options of a class in a configuration."""
    _, *own = inspect.signature(ours(name)).parameters.values()
    fields = [(option.name, option.annotation, dataclasses.field(default=option.default)) for option in own]
    config = dataclasses.make_dataclass("Config", fields)
    made = [ours(name)([parameter()], **dataclasses.asdict(config(**given))) for given in ({}, {"lr": 0.125})]
    asked = [theirs(name)([parameter()], **given) for given in ({}, {"lr": 0.125})]
    for optimizer, reference in zip(made, asked, strict=True):
        groups = [dict(o.param_groups[0], params=None) for o in (optimizer, reference)]
        assert groups[0] == groups[1]


def test_a_subclass_may_pass_options_on_and_add_its_own():
    class Warm(edu_optim.SGD):
        def __init__(self, params, *args, warmup=4, **kwargs):
            super().__init__(params, *args, **kwargs)
            self.warmup = warmup

    class Plain(edu_optim.AdamW):
        """Sets nothing up by itself."""

    warm = Warm([parameter()], 0.125, warmup=2, momentum=0.5)
    warm.step()
    (p,) = warm.param_groups[0]["params"]
    assert (warm.warmup, warm.param_groups[0]["momentum"], p.item()) == (2, 0.5, 0.5)
    assert list(inspect.signature(Warm).parameters) == ["params", "args", "warmup", "kwargs"]
    with pytest.raises(TypeError, match="momentun.*did you mean momentum"):
        Warm([parameter()], momentun=0.5)
    assert inspect.signature(Plain) == inspect.signature(edu_optim.AdamW)


def test_a_subclass_of_the_class_of_a_rule_passes_its_options_on():
    class Slow(HalfAsFar):
        def __init__(self, params, lr=0.25, **options):
            super().__init__(params, lr=lr, **options)

    optimizer = Slow([parameter()], momentum=0.5)
    optimizer.step()
    (p,) = optimizer.param_groups[0]["params"]
    assert (optimizer.param_groups[0]["momentum"], p.item()) == (0.5, 0.5)
