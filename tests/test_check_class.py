"""Optimizer classes: right ones pass however they are written, and each fault of the bank is called by its name."""

import pytest
import torch

import edu_optim
from edu_optim import from_rule, rules
from edu_optim.check import check
from edu_optim.exercises import FAULTS, SEEN, bank


class Written(torch.optim.Optimizer):
    """Adam as a reader writes it; every fault is a subclass that changes one thing."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        self.lr = lr
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def memory(self, p):
        if not self.state[p]:
            self.state[p].update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        return self.state[p]

    def advance(self, memory):
        memory["t"] += 1
        return memory["t"]

    def rate(self, group):
        return group["lr"]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, group)

    def move(self, p, group):
        (beta1, beta2), memory = group["betas"], self.memory(p)
        t = self.advance(memory)
        memory["m"].lerp_(p.grad, 1 - beta1)
        memory["v"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
        m, v = memory["m"] / (1 - beta1**t), memory["v"] / (1 - beta2**t)
        p.sub_(self.rate(group) * m / (v.sqrt() + group["eps"]))


class SharesState(Written):
    def memory(self, p):
        self.shared = getattr(self, "shared", {})
        own = super().memory(p)
        for key in ("m", "v"):
            own[key] = self.shared.setdefault((key, p.shape), own[key])
        return own


class TPerParameter(Written):
    t = 0

    def advance(self, memory):
        self.t += 1
        return self.t


class TShared(Written):
    t = 0

    def step(self):
        self.t += 1
        super().step()

    def advance(self, memory):
        return self.t

    def state_dict(self):
        return {**super().state_dict(), "t": self.t}

    def load_state_dict(self, saved):
        self.t = saved.pop("t")
        super().load_state_dict(saved)


class IgnoresGroup(Written):
    def rate(self, group):
        return self.param_groups[0]["lr"]


class KeepsTheFirstLr(Written):
    def rate(self, group):
        return self.first.setdefault(id(group), group["lr"])

    def __init__(self, *args, **options):
        self.first = {}
        super().__init__(*args, **options)


class StateNotSaved(Written):
    def memory(self, p):
        self.own = getattr(self, "own", {})
        return self.own.setdefault(p, {"t": 0, "m": torch.zeros_like(p), "v": torch.zeros_like(p)})


class TNotSaved(Written):
    def advance(self, memory):
        self.counts = getattr(self, "counts", {})
        self.counts[id(memory)] = self.counts.get(id(memory), 0) + 1
        return self.counts[id(memory)]


class BuffersNotSaved(Written):
    def memory(self, p):
        self.own = getattr(self, "own", {})
        own = super().memory(p)
        own.update(self.own.setdefault(p, {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}))
        return own


class TNeverAdvances(Written):
    def advance(self, memory):
        return 1


class RebindsParameter(Written):
    def move(self, p, group):
        p = p - self.rate(group) * p.grad  # noqa: F841


class UpdatesWithGraph(Written):
    @torch.enable_grad()
    def move(self, p, group):
        p -= self.rate(group) * p.grad


class ChangesGradient(Written):
    def move(self, p, group):
        super().move(p, group)
        p.grad.mul_(0.5)


class CrashesOnMissingGradient(Written):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                self.move(p, group)


FAULTY = Written.__subclasses__()


class Decayed(Written):
    """AdamW as a reader writes it."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, lr, betas, eps)
        for group in self.param_groups:
            group.setdefault("weight_decay", weight_decay)
            group["first_lr"] = group["lr"]
        self.weight_decay = weight_decay

    def decay(self, group):
        return group["lr"] * group["weight_decay"]

    def move(self, p, group):
        p.mul_(1 - self.decay(group))
        super().move(p, group)


class DecaysEveryGroup(Decayed):
    def decay(self, group):
        return group["lr"] * self.weight_decay


class DecayByScheduleOnly(Decayed):
    def decay(self, group):
        return group["lr"] / group["first_lr"] * group["weight_decay"]


class DecayWithoutLr(Decayed):
    def decay(self, group):
        return group["weight_decay"]


class DampensFirstStep(from_rule(rules.momentum)):
    pass


AROUND = [(cls, "adam") for cls in FAULTY]
AROUND += [(DecaysEveryGroup, "adamw"), (DecayByScheduleOnly, "adamw"), (DecayWithoutLr, "adamw")]
AROUND += [(DampensFirstStep, "momentum")]


class OtherNames(Written):
    def __init__(self, parameters, learning_rate=0.1, b1=0.9, b2=0.999, epsilon=1e-8):
        super().__init__(parameters, learning_rate, (b1, b2), epsilon)


RIGHT = [
    (OtherNames, "adam"),
    (Written, "adam"),
    (Decayed, "adamw"),
    (from_rule(rules.adam), "adam"),
    *[
        (cls, name.lower())
        for name in ("Adam", "AdamW", "RMSprop", "Adadelta", "Adagrad")
        for cls in (getattr(edu_optim, name), getattr(torch.optim, name))
    ],
    *[(cls, "gradient_descent") for cls in (edu_optim.SGD, torch.optim.SGD)],
    *[(cls, "momentum") for cls in (edu_optim.SGD, torch.optim.SGD)],
    (from_rule(rules.nesterov), "nesterov"),
    (from_rule(rules.rmsprop_centered), "rmsprop_centered"),
    (from_rule(rules.amsgrad), "amsgrad"),
]


def words(cls):
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in cls.__name__).strip()


@pytest.mark.parametrize(("cls", "like"), RIGHT)
def test_a_right_class_is_called_correct(cls, like):
    verdict = check(cls, like=like)
    assert verdict.kind == "correct", verdict


@pytest.mark.parametrize(("cls", "like"), AROUND)
def test_a_fault_is_called_by_its_name(cls, like):
    verdict = check(cls, like=like)
    assert verdict.name == words(cls), verdict
    assert verdict.passed == (cls in (TShared, DecayByScheduleOnly, DampensFirstStep))


def test_every_fault_of_the_bank_is_tried_here():
    known = {fault.name for fault in [*FAULTS, *SEEN.values()]} - {"returns nothing"}
    assert known == {words(cls) for cls, _ in AROUND} - {"decay without lr"}


@pytest.mark.parametrize("mistake", bank("adam"), ids=lambda mistake: mistake.name)
def test_a_mistaken_rule_is_named_in_a_class_too(mistake):
    def wrong(p, g, m, v, *, t, lr, betas, eps):
        return mistake.rule(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)

    verdict = check(from_rule(wrong), like="adam")
    in_a_class = {"stands still": "rebinds parameter", "correction without power": "t never advances"}
    assert verdict.name == in_a_class.get(mistake.name, mistake.name), verdict


def test_a_fault_that_is_not_in_the_bank_gets_no_name():
    class Halves(Written):
        def rate(self, group):
            return group["lr"] / (1 + (group is not self.param_groups[0]))

    verdict = check(Halves, like="adam")
    assert (verdict.kind, verdict.name) == ("unknown", None) and "With two groups: after step 1, " in verdict.text


def test_a_variant_does_not_hide_a_bug():
    class Forgets(TShared):
        def memory(self, p):
            self.own = getattr(self, "own", {})
            return self.own.setdefault(p, {"m": torch.zeros_like(p), "v": torch.zeros_like(p)})

    verdict = check(Forgets, like="adam")
    assert verdict.name == "buffers not saved" and "With a checkpoint" in verdict.text


class Stub(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})


class EmptyStep(Stub):
    @torch.no_grad()
    def step(self): ...


@pytest.mark.parametrize("cls", [Stub, EmptyStep])
def test_a_step_that_is_not_written_is_no_mistake(cls):
    assert check(cls, like="adam").kind == "not attempted"


def test_buffers_in_the_order_of_the_gradients_are_wrong_where_one_is_missing():
    class Counts(torch.optim.Optimizer):
        def __init__(self, params, lr, momentum=0.9):
            super().__init__(params, {"lr": lr, "momentum": momentum})
            self.buffers = {}

        @torch.no_grad()
        def step(self):
            found = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
            for index, (p, group) in enumerate(found):
                self.buffers[index] = group["momentum"] * self.buffers.get(index, 0 * p) + p.grad
                p.sub_(group["lr"] * self.buffers[index])

    assert "With a gradient that is missing" in check(Counts, like="momentum").text


def test_an_option_that_nobody_can_guess_is_named():
    class Asks(Written):
        def __init__(self, params, mystery):
            super().__init__(params)

    verdict = check(Asks, like="adam")
    assert verdict.kind == "error" and "mystery" in verdict.text


def test_an_error_is_shown_at_the_line_of_the_reader():
    class Breaks(Written):
        def step(self):
            return self.nothing_of_that_name

    verdict = check(Breaks, like="adam")
    assert verdict.kind == "error" and "return self.nothing_of_that_name" in verdict.text
