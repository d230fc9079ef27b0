"""Whose letters: which argument of a function or constructor takes what, however it is called."""

import ast
import difflib
import inspect
import itertools
import textwrap
from typing import NamedTuple

NAMES = {
    "t": "t step n k i iteration iter epoch timestep count steps numsteps nsteps num",
    "lr": "lr eta alpha learningrate rate stepsize lrate a0 η α epsilon0 gamma0",
    "betas": "betas",
    "beta1": "beta1 b1 β1 rho1 betaone decay1 betam",
    "beta2": "beta2 b2 β2 rho2 betatwo decay2 betav",
    "eps": "eps epsilon ε delta e small tiny",
    "momentum": "momentum mu beta gamma rho beta1 mom mass alpha μ β γ",
    "dampening": "dampening tau damp",
    "alpha": "alpha decay beta gamma rho decayrate beta2 smoothing α β γ ρ",
    "rho": "rho decay beta gamma decayrate alpha ρ β γ",
    "weight_decay": "weightdecay wd decay lam lambda lambd lmbda lambda l2 reg λ weightdecayrate coefficient",
    "maximize": "maximize",
    "beta": "beta momentum beta1 interpolation β μ mu b1 β1",
    "decay": "decay emadecay averagedecay beta rho alpha ρ β α",
    "momentum_decay": "momentumdecay scheduledecay psi ψ mdecay",
    "nesterov": "nesterov",
    "ns_coefficients": "nscoefficients coefficients coefs coeffs abc",
    "ns_steps": "nssteps steps iterations nsiterations newtonschulzsteps",
    "adjust_lr_fn": "adjustlrfn adjust adjustlr",
    "p": "p w W x theta param params parameter parameters weight weights var thetat wt xt pt value tensor θ par pos",
    "g": "g dw dW grad grads gradient gradients dx dtheta dp gt gradw wgrad gradp slope derivative df gw dtheta",
    "b": "b v m velocity vel buf buffer momentumbuffer vt u z mom vdw vw vb",
    "s": "s v cache r h G gsq accumulator acc sumsq squareavg sdw sw sb sqavg eg2 msq meansquare st gradsquared sum",
    "a": "a m mg gradavg mean avg gbar eg ema average averaged shadow",
    "c": "c muproduct muprod product mmu ones",
    "e": "e gap offset z x",
    "u": "u delta accdelta deltaacc edx2 edelta x2 dx2 updates accupdate h",
    "m": "m firstmoment first expavg m1 moment1 mt v vdw vw vb mom1 mdw mw mb m0",
    "v": "v secondmoment second expavgsq s sdw sw sb m2 moment2 vt r u var mom2 v0",
    "v_max": "vmax vhat maxv vhatmax maxexpavgsq vm largest",
    "state": "state states memory optstate config cfg hyperparams opts memo cache",
    "params": "params parameters modelparameters parms ps p w weights theta param paramlist tensors",
}
MEANINGS = {meaning: set(names.split()) for meaning, names in NAMES.items()}


class Unclear(Exception):
    """An argument that cannot be understood.

    >>> readings(lambda p, g, mystery: 0, ["p", "g"], [])
    Traceback (most recent call last):
    edu_optim.check.letters.Unclear: what the argument 'mystery' takes cannot be told. Understood are p, g.
    """


class Reading(NamedTuple):
    """For each argument what it takes, and what is passed besides.

    Args:
        bound: from the name of an argument to what it takes.
        rest: what goes into ``*args``, in order.
        gathered: what goes into ``**kwargs``, from a name to what it takes.
        assumed: what was told by its place alone, as words.

    >>> step = inspect.signature(lambda w, dw, eta=0.1: 0)
    >>> Reading({"w": "p", "dw": "g", "eta": "lr"}).arguments(step, {"p": 1.0, "g": 2.0, "lr": 0.5})
    ([1.0, 2.0, 0.5], {})
    """

    bound: dict
    rest: tuple = ()
    gathered: dict = {}
    assumed: str = ""

    def takes(self):
        """All that is passed."""
        return {*self.bound.values(), *self.rest, *self.gathered.values()}

    def arguments(self, signature, values):
        """The arguments of a call, where ``values`` has a value for each meaning."""
        positional, named, gap = [], {}, False
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional += [values[meaning] for meaning in self.rest]
                gap = True
            elif parameter.name not in self.bound:
                gap = True
            elif parameter.kind is parameter.KEYWORD_ONLY or (gap and parameter.kind is not parameter.POSITIONAL_ONLY):
                named[parameter.name] = values[self.bound[parameter.name]]
            else:
                positional.append(values[self.bound[parameter.name]])
        return positional, {**named, **{name: values[meaning] for name, meaning in self.gathered.items()}}


def asked_for(function):
    """The names that a function looks for in its ``**kwargs``, as its text says.

    >>> def rule(p, g, **options):
    ...     return p - options["eta"] * g
    >>> asked_for(rule)
    ['eta']
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):  # as where the text is not kept
        return []
    gathered = {node.args.kwarg.arg for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.args.kwarg}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            holder, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            holder, key = node.func.value, node.args[0]
        else:
            continue
        if getattr(holder, "id", None) in gathered and isinstance(key, ast.Constant):
            found.append(str(key.value))
    return found


def plain(name):
    """A name without what people add to it.

    >>> plain("learning_rate"), plain("m_prev"), plain("W")
    ('learningrate', 'm', 'W')
    """
    name = name.strip("_")
    name = name if len(name) == 1 else name.replace("dW", "dw").lower().replace("_", "")
    for ending in ("prev", "old", "last"):
        name = name.removesuffix(ending) or name
    return name


def meanings(name, wanted):
    """Which of ``wanted`` an argument of this name may take.

    >>> sorted(meanings("alpha", ["lr", "alpha", "eps"]))
    ['alpha', 'lr']
    """
    return [meaning for meaning in wanted if plain(name) in MEANINGS[meaning]]


def readings(function, columns, names, asked=()):
    """How a function may be called, the most likely first.

    Args:
        function: anything with a signature.
        columns: what it must take, in the usual order.
        names: the options that it may take.
        asked: the names that it looks for in its ``**kwargs``.

    Errors: Unclear, which names the argument.

    >>> readings(lambda w, dw, s, alpha, beta: 0, ["p", "g", "s"], ["lr", "alpha", "eps"])[0].bound
    {'w': 'p', 'dw': 'g', 's': 's', 'alpha': 'lr', 'beta': 'alpha'}
    """
    wanted = [*columns, *names, *(["beta1", "beta2"] if "betas" in names else [])]
    signature = inspect.signature(function)
    plainly = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    choices = []
    for parameter in plainly:
        own = [*meanings(parameter.name, wanted), *(["state"] if meanings(parameter.name, ["state"]) else [])]
        choices.append([*own, None])
    found, unclear = [], None
    for chosen in itertools.islice(itertools.product(*choices), 20_000):
        known = [meaning for meaning in chosen if meaning]
        if len(set(known)) < len(known):
            continue
        try:
            if any(not meaning and set(own[:-1]) - set(known) for own, meaning in zip(choices, chosen, strict=True)):
                continue  # an argument whose name tells what it takes
            found += _filled(signature, plainly, chosen, columns, names, asked)
        except Unclear as error:
            unclear = unclear or error
    if not found:
        raise unclear or Unclear(f"it takes more arguments than can be understood: {signature}")
    best = {}
    for score, reading in sorted(found, key=lambda pair: -pair[0]):
        best.setdefault(str((reading.bound, reading.rest, reading.gathered)), (score, reading))
    likeliest = max(score for score, _ in best.values())
    return [reading for score, reading in best.values() if score > likeliest - 15][:4]


def _filled(signature, plainly, chosen, columns, names, asked):
    """Readings and how likely they are, where arguments of an unknown name take the columns that are left, in order."""
    bound = {p.name: meaning for p, meaning in zip(plainly, chosen, strict=True) if meaning}
    left = [column for column in columns if column not in bound.values()]
    by_place = []
    for parameter, meaning in zip(plainly, chosen, strict=True):
        if meaning or parameter.default is not parameter.empty:
            continue
        if not left or "state" in bound.values() and left[0] not in ("p", "g"):
            close = difflib.get_close_matches(parameter.name, [*names, *columns], 1)
            hint = f"; does it mean {close[0]}?" if close else ""
            options = ", ".join([*columns, *names])
            known = {*bound.values(), *(("betas",) if "beta1" in bound.values() else ())}
            lacking = [name for name in [*columns, *names] if name not in known]
            unknown = [p for p, told in zip(plainly, chosen, strict=True) if not told and p.name not in bound]
            if lacking in [[name] for name in names] and [p.default for p in unknown] == [parameter.empty]:
                bound[parameter.name] = lacking[0]  # the one option that is left, for the one argument
                by_place.append(parameter.name)
                continue
            options += f"; none is known yet for {', '.join(lacking)}" if lacking else ""
            raise Unclear(
                f"what the argument {parameter.name!r} takes cannot be told{hint or '.'} Understood are {options}."
            )
        bound[parameter.name] = left.pop(0)
        by_place.append(parameter.name)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    rest = ()
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        rest, left = tuple(left), []
    gathered = [{}]
    if inspect.Parameter.VAR_KEYWORD in kinds:
        free = [name for name in [*names, "beta1", "beta2"] if name not in bound.values()]
        told = {word: meaning for word in asked for meaning in meanings(word, free)[:1]}
        gathered = [told, {name: name for name in names if name not in bound.values()}]
    missing = [] if "state" in bound.values() else left
    score = 1000 * -len(missing) + 20 * (len(bound) - len(by_place)) + sum(name == bound[name] for name in bound)
    score += 10 * ("lr" in bound.values())
    return [(score, Reading(bound, rest, more, _in_order(bound, by_place, names))) for more in gathered]


def _in_order(bound, by_place, names):
    unknown = [f"{name!r} as {bound[name]}" for name in by_place if bound[name] in ("p", "g") or bound[name] in names]
    return f"its arguments were taken by their place: {', '.join(unknown)}" if unknown else ""
