"""Optimizer classes are run through what training asks: right ones pass, and each fault is told as it is."""

import collections
import functools
import itertools
import math
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import as_class, built, changes, expected, family, programs
from torch.optim import Optimizer

import edu_optim
from edu_optim import from_rule, rules
from edu_optim.check import check
from edu_optim.exercises.around import Reference


@pytest.mark.slow
def test_the_table_of_every_program():
    """Every third entry around momentum, every eighth around AdamW, some around others, and some compositions."""
    counts = collections.Counter()
    seconds = []
    for name, every in {"momentum": 3, "adamw": 8, "amsgrad": 24, "rmsprop_centered": 24, "adadelta": 24}.items():
        kin = family(name, of_class=True)
        for chosen, mistake, program in programs(kin, alone=every, together=331):
            single = len(chosen) + bool(mistake) == 1
            started = time.perf_counter()
            verdict = check(as_class(program, kin), like=name)
            seconds.append(time.perf_counter() - started)
            idle = mistake and verdict.name in (None, expected(chosen, None)) and verdict.passed
            if idle or verdict.kind in ("correct", "error"):  # it has no effect around this rule, or raises
                counts["correct" if idle else verdict.kind] += 1
                continue
            alike = {entry.name for entry in kin.catalog if mistake and entry.kin and entry.kin == mistake.kin}
            some = [] if mistake else [c for n in range(len(chosen)) for c in itertools.combinations(chosen, n + 1)]
            named = {expected(chosen, mistake), *alike, *(expected(one, None) for one in some)}
            assert verdict.name in named, (name, expected(chosen, mistake), verdict)
            assert verdict.passed == (mistake is None), (name, expected(chosen, mistake), verdict)
            counts["alone" if single else "together"] += 1
    print(f"of classes {dict(counts)}: all called, all named as themselves")
    print(f"seconds of a check: median {sorted(seconds)[len(seconds) // 2]:.3f}, longest {max(seconds):.3f}")
    assert counts["alone"] > 30 and counts["together"] > 15 and counts["correct"] + counts["error"] < 15


class Written(Optimizer):
    """Adam as a reader writes it; most of the others change one thing."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        self.lr, self.betas, self.eps = lr, betas, eps
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def options(self, group):
        return group["lr"], *group["betas"], group["eps"]

    def memory(self, p):
        state = self.state[p]
        if not state:
            state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        return state

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, group)

    def move(self, p, group):
        (lr, beta1, beta2, eps), state = self.options(group), self.memory(p)
        state["t"] += 1
        state["m"].lerp_(p.grad, 1 - beta1)
        state["v"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
        m, v = state["m"] / (1 - beta1 ** state["t"]), state["v"] / (1 - beta2 ** state["t"])
        p.sub_(lr * m / (v.sqrt() + eps))


class OtherKeys(Written):
    def __init__(self, params, alpha=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
        Optimizer.__init__(self, params, {"alpha": alpha, "beta1": beta1, "beta2": beta2, "epsilon": epsilon})

    def options(self, group):
        return group["alpha"], group["beta1"], group["beta2"], group["epsilon"]


class NumbersInTheText(Written):
    def __init__(self, params, learning_rate=1e-3):
        Optimizer.__init__(self, params, {"learning_rate": learning_rate})

    def options(self, group):
        return group["learning_rate"], 0.9, 0.999, 1e-8


class Gathers(Written):
    def __init__(self, params, **kwargs):
        Optimizer.__init__(self, params, {"lr": kwargs.get("lr", 1e-3), "betas": kwargs.get("betas"), "eps": 1e-8})


class RefusesMore(Written):
    def __init__(self, params, lr=1e-3, **kwargs):
        if kwargs:
            raise TypeError(f"unknown: {kwargs}")
        super().__init__(params, lr)


class CountInFloat32(Written):
    def memory(self, p):
        state = self.state[p]
        if not state:
            state.update(t=torch.tensor(0.0), m=torch.zeros_like(p), v=torch.zeros_like(p))
        return state


class WithoutBase:
    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr
        self.state = [[0, torch.zeros_like(p), torch.zeros_like(p)] for p in self.params]

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p, state in zip(self.params, self.state, strict=True):
            if p.grad is not None:
                state[0] += 1
                new, state[1], state[2] = rules.adam(p, p.grad, *state[1:], t=state[0], lr=self.lr)
                p.copy_(new)


class PowersOfBeta(Written):
    def move(self, p, group):
        (lr, *betas, eps), state = self.options(group), self.memory(p)
        powers = state["powers"] = [
            beta * power for beta, power in zip(betas, state.get("powers", (1, 1)), strict=True)
        ]
        state["m"].lerp_(p.grad, 1 - betas[0])
        state["v"].mul_(betas[1]).addcmul_(p.grad, p.grad, value=1 - betas[1])
        p.sub_(lr * state["m"] / (1 - powers[0]) / ((state["v"] / (1 - powers[1])).sqrt() + eps))


class KeysOfItsOwn(Written):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        Optimizer.__init__(self, params, {"pace": lr, "fade": betas[0], "fade_of_squares": betas[1], "least": eps})

    def options(self, group):
        return group["pace"], group["fade"], group["fade_of_squares"], group["least"]


class TakesWhateverComes(Written):
    def step(self, *args, **kwargs):
        super().step()


class AdadeltaWithoutLr(Optimizer):
    def __init__(self, params, rho=0.9, eps=1e-6):
        super().__init__(params, {"rho": rho, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                kept = self.state[p].get("kept", (torch.zeros_like(p), torch.zeros_like(p)))
                new, *kept = rules.adadelta(p, p.grad, *kept, lr=1.0, rho=group["rho"], eps=group["eps"])
                self.state[p]["kept"] = kept
                p.copy_(new)


def with_option(cls, **options):
    return functools.partial(cls, **options)


RIGHT = [
    *[(cls, "adam") for cls in (Written, OtherKeys, NumbersInTheText, Gathers, RefusesMore, CountInFloat32)],
    (WithoutBase, "adam"),
    *[(cls, "adam") for cls in (PowersOfBeta, KeysOfItsOwn, TakesWhateverComes)],
    (AdadeltaWithoutLr, "adadelta"),
    *[(from_rule(getattr(rules, name)), name) for name in ("adam", "amsgrad", "nesterov", "rmsprop_centered", "adamw")],
    *[
        (cls, name)
        for package in (edu_optim, torch.optim)
        for cls, name in [
            *[(getattr(package, name), name.lower()) for name in ("Adam", "AdamW", "RMSprop", "Adadelta", "Adagrad")],
            (package.SGD, "gradient_descent"),
            (package.SGD, "momentum"),
            (with_option(package.SGD, momentum=0.9, nesterov=True), "nesterov"),
            (with_option(package.Adam, amsgrad=True), "amsgrad"),
            (with_option(package.AdamW, amsgrad=True), "adamw_amsgrad"),
            (package.RMSprop, "rmsprop_momentum"),
            (with_option(package.RMSprop, centered=True), "rmsprop_centered"),
            (with_option(package.RMSprop, centered=True), "rmsprop_centered_momentum"),
        ]
    ],
]


@pytest.mark.parametrize(("cls", "like"), RIGHT)
def test_a_right_class_is_called_correct(cls, like):
    verdict = check(cls, like=like)
    assert verdict.kind == "correct", verdict


def test_a_course_that_decays_last_and_does_not_correct_eps_passes():
    class AdamW(Optimizer):
        def __init__(self, params, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.999), eps=1e-8):
            super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

        def step(self, closure=None):
            loss = None if closure is None else closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state, g, (beta1, beta2) = self.state[p], p.grad.data, group["betas"]
                    t = state.get("t", 1)
                    state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
                    state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g**2
                    rate = group["lr"] * math.sqrt(1 - beta2**t) / (1 - beta1**t)
                    p.data -= rate * state["m"] / (torch.sqrt(state["v"]) + group["eps"])
                    p.data -= group["lr"] * group["weight_decay"] * p.data
                    state["t"] = t + 1
            return loss

    verdict = check(AdamW)
    assert verdict.name == "eps is not corrected and the decay comes after the step" and verdict.passed
    assert "Not tried, for it is not offered: maximize." in verdict.text


class Momentum(Optimizer):
    def __init__(self, params, lr, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, group)


BUFFERS = {}


class InAGlobal(Momentum):
    def move(self, p, group):
        BUFFERS[p] = group["momentum"] * BUFFERS.get(p, 0) + p.grad
        p -= group["lr"] * BUFFERS[p]


class OnTheParameter(Momentum):
    def move(self, p, group):
        p.b = group["momentum"] * getattr(p, "b", 0) + p.grad
        p -= group["lr"] * p.b


class IsTheGradient(Momentum):
    def move(self, p, group):
        state = self.state[p]
        if "b" not in state:
            state["b"] = p.grad
        else:
            state["b"].mul_(group["momentum"]).add_(p.grad)
        p -= group["lr"] * state["b"]


class ByPlace(Momentum):
    def step(self):
        self.buffers = getattr(self, "buffers", {})
        found = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for index, (p, group) in enumerate(found):
            self.buffers[index] = group["momentum"] * self.buffers.get(index, 0 * p.detach()) + p.grad
            p.data.sub_(group["lr"] * self.buffers[index])


class KeepsTheGenerator:
    def __init__(self, params, lr):
        self.params, self.lr = params, lr

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p in self.params:
            if p.grad is not None:
                p -= self.lr * p.grad


class Descent(Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})


class Rebinds(Descent):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p = p - group["lr"] * p.grad


class RecordsTheUpdate(Descent):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * p.grad


class TripsOverNone(Descent):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.grad


class OwnBetas(Written):
    def options(self, group):
        return group["lr"], *self.betas, group["eps"]


class OwnLr(Written):
    def options(self, group):
        return self.lr, *group["betas"], group["eps"]


class OwnEverything(Written):
    def options(self, group):
        return self.lr, *self.betas, self.eps


class FirstGroup(Written):
    def options(self, group):
        return super().options(self.param_groups[0])


class HalvesLr(Written):
    def step(self):
        super().step()
        for group in self.param_groups:
            group["lr"] /= 2


class ClosureWithoutGradients(Written):
    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure else None
        super().step()
        return loss


class StepsWithoutGradients(Written):
    @torch.no_grad()
    def step(self):
        frozen = [p for group in self.param_groups for p in group["params"] if p.grad is None]
        for p in frozen:
            p.grad = torch.zeros_like(p)
        super().step()
        for p in frozen:
            p.grad = None


class BuffersInOneTensor(Written):
    def move(self, p, group):
        (lr, *betas, eps), state = self.options(group), self.memory(p)
        state["m"], state["t"] = state["v"], state["t"] + 1
        moved, m, v = rules.adam(p, p.grad, state["m"], state["v"], t=state["t"], lr=lr, betas=betas, eps=eps)
        for old, new in ((p, moved), (state["m"], m), (state["v"], v)):
            old.copy_(new)


class ClearsNothing(Written):
    def zero_grad(self, set_to_none=True):
        pass


class DecaysUpwards(Written):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        Optimizer.__init__(self, params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def move(self, p, group):
        g, p.grad = p.grad, p.grad - group["weight_decay"] * p
        super().move(p, group)
        p.grad = g


class CountsFromZero(Written):
    def move(self, p, group):
        self.memory(p)["t"] -= not self.state[p].setdefault("begun", False)
        self.state[p]["begun"] = True
        super().move(p, group)


class Breaks(Written):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    break
                self.move(p, group)


class KeepsItsGroups(Written):
    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.groups = self.param_groups

    @torch.no_grad()
    def step(self):
        for group in self.groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, group)


class DoublesEps(Written):
    def options(self, group):
        return group["lr"], *group["betas"], 2 * group["eps"]


class HalvesInTheSecondGroup(Written):
    def options(self, group):
        lr, *others = super().options(group)
        return lr / (1 + (group is not self.param_groups[0])), *others


class OneGroup(Written):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, group)
            return


class LastGroup(Written):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            self.last = group
        for p in self.last["params"]:
            if p.grad is not None:
                self.move(p, self.last)


class HandsBackTheClosure(Written):
    def step(self, closure=None):
        super().step()
        return closure


class DecaysAll(Written):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        Optimizer.__init__(self, params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"] * group["weight_decay"])
                if p.grad is not None:
                    self.move(p, group)


class DecaysInTheGradient(DecaysAll):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                p.grad.add_(p, alpha=group["weight_decay"])
                self.move(p, group)


class SumStandsStill(Optimizer):
    def __init__(self, params, lr=0.01, eps=1e-10):
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                state["squares"] = state.get("squares", 0) + p.grad**2
                p -= 0 * p.grad / (state["squares"].sqrt() + group["eps"])


class FirstSquareAndNoDecay(Optimizer):
    def __init__(self, params, lr=0.001, weight_decay=0.0, epsilon=1e-8, fading=0.9):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "epsilon": epsilon, "fading": fading})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state, square, fading = self.state[p], p.grad**2, group["fading"]
                state["G"] = fading * state["G"] + (1 - fading) * square if "G" in state else square
                p -= group["lr"] * p.grad / (state["G"] + group["epsilon"]).sqrt()


class NoEpsOnTop(Optimizer):
    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state, rho, eps = self.state[p], group["rho"], group["eps"]
                s, u = state.get("square_avg", torch.zeros_like(p)), state.get("acc_delta", torch.zeros_like(p))
                state["square_avg"] = s = rho * s + (1 - rho) * p.grad**2
                d = u.sqrt() / (s + eps).sqrt() * p.grad
                state["acc_delta"] = rho * u + (1 - rho) * d**2
                p -= group["lr"] * d


WRONG = {
    InAGlobal: ("momentum", "a checkpoint forgets the buffers"),
    OnTheParameter: ("momentum", "a checkpoint forgets the buffers"),
    IsTheGradient: ("momentum", "the buffer is the gradient's own tensor"),
    ByPlace: ("momentum", None),
    KeepsTheGenerator: ("gradient_descent", None),
    Rebinds: ("gradient_descent", "the parameter stands still"),
    RecordsTheUpdate: ("gradient_descent", "the update is recorded for the backward pass"),
    TripsOverNone: ("gradient_descent", "a parameter without a gradient stops the step with an error"),
    OwnBetas: ("adam", "betas are those of the constructor, not of the group"),
    OwnLr: ("adam", "lr is that of the constructor, not of the group"),
    OwnEverything: ("adam", "every option is that of the constructor, not of the group"),
    FirstGroup: ("adam", "every option is that of the first group, not of the group"),
    HalvesLr: ("adam", "step() changes the learning rate of its group"),
    ClosureWithoutGradients: ("adam", "the closure is called while gradients are switched off"),
    ClearsNothing: ("adam", "zero_grad() does nothing"),
    StepsWithoutGradients: ("adam", "a parameter without a gradient is stepped as if its gradient were zero"),
    BuffersInOneTensor: ("adam", "the buffers of a parameter are one tensor"),
    DecaysUpwards: ("adam", "weight_decay makes the weights grow"),
    CountsFromZero: ("adam", "the steps are counted from zero"),
    Breaks: ("adam", "the step ends at the first parameter without a gradient"),
    KeepsItsGroups: ("adam", "the groups from before loading are used"),
    DoublesEps: ("adam", None),
    HalvesInTheSecondGroup: ("adam", None),
    OneGroup: ("adam", "only the first group is updated"),
    LastGroup: ("adam", "only the last group is updated"),
    HandsBackTheClosure: ("adam", "the closure is not called"),
    DecaysAll: ("adamw", "a parameter without a gradient decays"),
    DecaysInTheGradient: ("adam", "the gradient is another after the step than before"),
    SumStandsStill: ("adagrad", "the parameter stands still"),
    FirstSquareAndNoDecay: ("rmsprop", "weight_decay is not used"),
    NoEpsOnTop: ("adadelta", "there is no eps on top"),
}


@pytest.mark.slow
@pytest.mark.parametrize("cls", WRONG)
def test_a_wrong_class_is_told_what_it_does(cls):
    like, name = WRONG[cls]
    verdict = check(cls, like=like)
    assert not verdict.passed and verdict.name == name, verdict
    assert verdict.difference or "Error" in verdict.text


def test_what_is_known_of_no_entry_is_told_where_it_differs():
    label, yours, right = check(HalvesInTheSecondGroup, like="adam").difference
    assert label == "with two groups: parameter 2 after step 1" and yours != right
    assert (
        check(KeepsTheGenerator, like="gradient_descent").difference[0].startswith("with a generator of parameters: ")
    )


def test_nothing_is_left_in_a_global_of_the_readers():
    BUFFERS["kept"] = 1
    check(InAGlobal, like="momentum")
    assert BUFFERS == {"kept": 1}


class Stub(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})


class EmptyStep(Stub):
    @torch.no_grad()
    def step(self):
        raise NotImplementedError()


@pytest.mark.parametrize("cls", [Stub, EmptyStep])
def test_a_step_that_is_not_written_is_no_mistake(cls):
    assert check(cls, like="adam").kind == "not attempted"


def test_an_option_that_nobody_can_guess_is_named():
    class Asks(Written):
        def __init__(self, params, mystery):
            super().__init__(params)

    verdict = check(Asks, like="adam")
    assert verdict.kind == "error" and "'mystery'" in verdict.text


def test_an_error_is_shown_at_the_line_of_the_reader():
    class Breaks(Written):
        def step(self):
            return self.nothing_of_that_name

    verdict = check(Breaks, like="adam")
    assert verdict.kind == "error" and "return self.nothing_of_that_name" in verdict.text


# Random changes of one place in the class around a rule

TEXTS = st.deferred(lambda: st.sampled_from(list(changes(Reference, ["p", "g", "group", "state", "t", "loss"]))))
COUNTS = {"tried": 0, "altering": 0, "named": 0}


def training(cls):
    """What an optimizer class does in a training of its own: two groups, gaps, a closure, a schedule, a checkpoint."""
    found = []
    try:
        for one in _training(cls):
            found.append(one)
    except Exception:
        found.append("raises")
    return found


def _training(cls):
    draw = torch.Generator().manual_seed(3)
    params = [torch.nn.Parameter(torch.randn(2, 3, generator=draw, dtype=torch.float64)) for _ in range(3)]
    options = {"lr": 0.2, "betas": (0.7, 0.9), "eps": 0.03, "weight_decay": 0.1}

    def new(params):
        other = {**options, "lr": 0.05, "betas": (0.3, 0.8), "eps": 0.3, "weight_decay": 0.4}
        return cls([{"params": params[:2]}, {"params": params[2:], **other}], **options)

    optimizer = new(params)
    for t in range(9):
        if t == 5:
            saved = optimizer.state_dict()
            params = [torch.nn.Parameter(p.detach().clone()) for p in params]
            optimizer = new(params)
            optimizer.load_state_dict(saved)
        for k, p in enumerate(params):
            p.grad = torch.randn(2, 3, generator=draw, dtype=torch.float64) * (t != 3)
            p.grad = None if (t + k) % 4 == 1 else p.grad
        yield optimizer.step(None if t % 2 else lambda: float(torch.is_grad_enabled()))
        yield from (p.detach().clone() for p in params)
        optimizer.param_groups[0]["lr"] *= 0.9


def same(one, two):
    if torch.is_tensor(one) and torch.is_tensor(two):
        return torch.allclose(one, two, rtol=1e-9, equal_nan=True)
    return one == two


@pytest.mark.slow
@settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_every_random_change_of_the_class_that_alters_something_is_called(text):
    kin = family("adamw", of_class=True)

    def filled(base):
        return type("Filled", (base,), {"rule": staticmethod(rules.adamw), "letters": kin.letters, "names": kin.names})

    changed = filled(built(text, Reference))
    mine, right = training(changed), training(filled(Reference))
    alters = len(mine) != len(right) or not all(map(same, mine, right))
    COUNTS["tried"] += 1
    verdict = check(as_class(changed, kin), like="adamw")
    assert not alters or verdict.kind != "correct", text
    COUNTS["altering"] += alters
    named = [entry for entry in kin.catalog if entry.name == verdict.name]
    if alters and named:
        COUNTS["named"] += 1
        assert any(all(map(same, training(kin.program((entry,))), mine)) for entry in named), (text, verdict)


@pytest.mark.slow
def test_how_many_random_changes_of_the_class_there_were():
    print(f"random changes of the class: {COUNTS}; none passed")
    assert COUNTS["altering"] > 8
