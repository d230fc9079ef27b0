"""What goes wrong in tasks of any subject: two known mistakes at once, and what one number has to do with another."""

import ast
import copy
import inspect
import itertools
import math
import sys
import textwrap

import torch

from ..exercises.exercise import edit
from .compare import Raised, alike, fits, is_real
from .tasks import returned_by_reference

CLOSE = 1e-6, 1e-12


def slip(trial, exercise, family, rounding):
    """The entry that is true of an answer to a task of which the catalog has no name, or None.

    Args:
        trial: of the answer.
        exercise: the task.
        family: of the task's programs.
        rounding: the tolerances.

    >>> from edu_optim.check import check
    >>> check(lambda lr, beta: 1 / (lr * (1 - beta)), like="to_torch").name
    'your answer is the reciprocal of the right one'
    """
    if any(isinstance(one.value, Raised) for one in trial.seen):
        return None
    asked, *_ = returned_by_reference(exercise)
    if asked is None or isinstance(asked, bool | dict) or isinstance(asked, list) and isinstance(asked[0], dict):
        return _two_mistakes(trial, family, rounding)
    pairs = _numbers(trial.seen, list(trial.again(family.program(()), {})))
    if not pairs:
        return None
    return _relation(pairs) or _one_change(trial, family, rounding, pairs) or _near(pairs)


# Two mistakes


def _two_mistakes(trial, family, rounding):
    """Two mistakes of the catalog that in either order do all that was seen, with a convention or without."""
    entries = [entry for entry in family.catalog if entry.edits]
    mistakes = [entry for entry in entries if entry.kind == "mistake" and not _made_of_others(entry, entries)]
    conventions = [(), *((entry,) for entry in entries if entry.kind == "convention")]
    found = {}
    for chosen, pair in itertools.product(conventions, itertools.combinations(mistakes, 2)):
        names = frozenset(entry.name for entry in pair)
        orders = (*chosen, *pair), (*chosen, *pair[::-1])
        if len(names) == 2 and names not in found and all(_does(one, trial, family, rounding) for one in orders):
            found[names] = chosen, pair
    if len(found) != 1:
        return None
    chosen, pair = next(iter(found.values()))
    pair = [entry for entry in family.catalog if entry in pair]
    besides = f"\nBesides, {chosen[0].name}; that is a convention, not a mistake." if chosen else ""
    return edit(
        " and ".join(entry.name for entry in pair),
        why="These two mistakes together do all that was seen.",
        ask="\n".join(entry.ask for entry in pair) + besides,
    )


def _made_of_others(entry, entries):
    places = [set(edits.items()) for one in entries if one is not entry for edits in one.edits]
    return any(place < set(edits.items()) for place in places for edits in entry.edits)


def _does(entries, trial, family, rounding):
    program = family.program(entries)
    return program is not None and fits(trial.seen, trial.again(program, {}), rounding)


# What one number has to do with the other


def _numbers(seen, right):
    """Pairs of an answer's number and the right one, None where there is something else."""
    if [one.label for one in seen] != [one.label for one in right]:
        return None
    pairs = []
    for one, two in zip(seen, right, strict=True):
        if isinstance(two.value, int) and one.value == two.value and two.label.startswith("how many"):
            continue
        if torch.is_tensor(two.value) and two.value.ndim and torch.is_tensor(one.value):
            pairs += zip(one.value.flatten().tolist(), two.value.flatten().tolist(), strict=True)
        elif is_real(one.value) and is_real(two.value) and not isinstance(two.value, bool):
            pairs.append((float(one.value), float(two.value)))
        else:
            return None
    return pairs


RELATIONS = {
    "the right one with the other sign": lambda y: -y,
    "the reciprocal of the right one": lambda y: 1 / y,
    "the square of the right one": lambda y: y**2,
    "the root of the right one": lambda y: y**0.5,
    "1 minus the right one": lambda y: 1 - y,
    "the natural logarithm of the right one": math.log,
    "e to the power of the right one": math.exp,
    "the right one rounded down": math.floor,
    "the right one rounded up": math.ceil,
    "the right one rounded to the nearest whole number": round,
}
BACK = {"up": math.ceil, "down": math.floor, "to the nearest whole number": round}
FACTORS = {math.log(10): "log(10), 2.303,", 1 / math.log(10): "1 / log(10), 0.4343,", 180 / math.pi: "180 / pi"}
FACTORS |= {math.pi / 180: "pi / 180", math.log(2): "log(2), 0.6931,", 1 / math.log(2): "1 / log(2), 1.443,"}


def _relation(pairs):
    """What holds of all pairs, if it is one thing and tells more than one of them from what is right."""
    count, signs = len(pairs), sum(x * y < 0 for x, y in pairs)
    if len({x for x, _ in pairs}) == 1 < len({y for _, y in pairs}):
        return edit("every number you return is the same", why="The right ones differ.", ask="On what do they depend?")
    if 0 < signs < count and all(alike(abs(x), abs(y), *CLOSE) for x, y in pairs):
        return _entry(f"the sign is wrong, and only the sign, in {signs} of {count} numbers", "")
    names = [f"your answer is {name}" for name, change in RELATIONS.items() if _holds(pairs, change)]
    turned = [(y, x) for x, y in pairs]
    names += [f"rounded {words}, your answer is the right one" for words, back in BACK.items() if _holds(turned, back)]
    names = names or [f"your answer is {name}" for name in _steady(pairs)]
    return _entry(names[0], f"So it is with all {count} numbers that were compared.") if len(names) == 1 else None


def _holds(pairs, change):
    """Whether an answer is always what ``change`` makes of the right one, and that differs for two right ones."""
    told = set()
    for x, y in pairs:
        try:
            other = change(y)
        except (ArithmeticError, ValueError):
            return False
        if isinstance(other, complex) or not alike(x, other, *CLOSE):
            return False
        if not alike(other, y, *CLOSE):
            told.add(y)
    return len(told) > 1


def _steady(pairs):
    """Whether an answer is always as many times the right one, or always as much more."""
    (x, y), *_ = pairs
    if len({y for _, y in pairs}) < 3 or not all(map(math.isfinite, itertools.chain(*pairs))):
        return []
    found = []
    if y and x and _holds(pairs, lambda right: right * x / y):
        word = next((word for factor, word in FACTORS.items() if math.isclose(factor, x / y, rel_tol=1e-6)), None)
        more = x / y - 1
        by_little = f"about {100 * abs(more):.2g} % {'more' if more > 0 else 'less'} than the right one"
        found.append(by_little if abs(more) < 0.01 else f"{word or _rounded(x / y)} times the right one")
    if all(math.isclose(a - b, x - y, rel_tol=1e-6, abs_tol=1e-12 * abs(a)) for a, b in pairs):
        found.append(f"{_rounded(abs(x - y))} {'more' if x > y else 'less'} than the right one")
    return found


def _rounded(value):
    text = f"{value:.4g}"
    return text if math.isclose(float(text), value, rel_tol=1e-9) else f"about {text}"


def _entry(name, why):
    return edit(name, why=why, ask="Which operation of yours could do that?")


def _near(pairs):
    """What is true where every number is nearly right, and where the right one is whole, exactly."""
    gaps = [abs(x - y) * math.inf if float(y).is_integer() else abs(x / y - 1) for x, y in pairs if x != y]
    far = max(gaps, default=0)
    if not far <= 0.02 or all(alike(x, y, *CLOSE) for x, y in pairs):
        return None
    return edit(
        f"every number is within {'a thousandth' if far <= 1e-3 else '2 %'} of the right one",
        why="A grid, rounding, an approximation or a small part that is wrong leaves such a gap.",
        ask="Which operation of yours is not exact?",
    )


# One change in the formula


def _one_change(trial, family, rounding, pairs):
    """A change of one place in the reference's text that does all that was seen, None where two kinds of change do."""
    names = set()
    for name, program in _changed(family.reference):
        if name not in names and fits(trial.seen, trial.again(program, {}), rounding):
            names.add(name)
    if len(names) != 1 or sum(not alike(x, y, *CLOSE) for x, y in pairs) < 2:
        return None
    return _entry(names.pop(), f"With that one change the right formula gives all {len(pairs)} of your numbers.")


def _changed(reference):
    """A function for each change of one place in the text of another, and what is changed."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(reference)))
    for node in list(ast.walk(tree)):
        for name, other in _others(node):
            _Put(node, other).visit(tree)
            space = dict(vars(sys.modules[reference.__module__]))
            exec(compile(ast.fix_missing_locations(tree), f"<{reference.__name__}>", "exec"), space)
            _Put(other, node).visit(tree)
            yield name, space[reference.__name__]


class _Put(ast.NodeTransformer):
    def __init__(self, node, other):
        self.node, self.other = node, other

    def visit(self, node):
        return self.other if node is self.node else self.generic_visit(node)


CALLS = {
    "ceil": {
        "floor": "as if it were rounded down, not up",
        "round": "as if it were rounded to the nearest, not up",
    },
    "log": {
        "log10": "as if a logarithm were to base 10",
        "log2": "as if a logarithm were to base 2",
    },
    "max": {"min": "as if the smallest were taken and not the largest"},
    "min": {"max": "as if the largest were taken and not the smallest"},
}
DROPPED = {"ceil": "as if it were not rounded", "abs": "as if an absolute value were missing"}


def _others(node):
    """What may stand by mistake where a node of a formula stands, each with words for it."""
    node = copy.deepcopy(node)
    if isinstance(node, ast.BinOp):
        left, op, right = node.left, node.op, node.right
        swaps = {
            ast.Add: [("as if a sign had turned", ast.Sub, left, right)],
            ast.Sub: [
                ("as if a sign had turned", ast.Add, left, right),
                ("as if a difference were taken the other way round", ast.Sub, right, left),
            ],
            ast.Mult: [("as if it divided where it should multiply", ast.Div, left, right)],
            ast.Div: [
                ("as if it multiplied where it should divide", ast.Mult, left, right),
                ("as if a quotient were upside down", ast.Div, right, left),
            ],
        }
        for name, kind, one, two in swaps.get(type(op), []):
            yield name, ast.BinOp(one, kind(), two)
        if isinstance(op, ast.Mult):
            yield from (("as if a factor were missing", one) for one in (left, right))
            yield from (("as if a factor were there twice", ast.BinOp(node, op, one)) for one in (left, right))
        elif isinstance(op, ast.Div):
            yield "as if a divisor were missing", left
            yield "as if 1 stood above a divisor", ast.BinOp(ast.Constant(1), op, right)
        elif isinstance(op, ast.Add | ast.Sub):
            kept = [one for one, gone in ((left, right), (right, left)) if not isinstance(gone, ast.Constant)]
            yield from (("as if a term were missing", one) for one in kept)
        if isinstance(op, ast.Pow):
            value = getattr(right, "value", None)
            what = {2: "square", 0.5: "root"}.get(value, "power")
            yield f"as if a {what} were missing", left
            if what != "power":
                belongs = {"square": "root", "root": "square"}[what]
                yield f"as if a {belongs} stood where a {what} belongs", ast.BinOp(left, op, ast.Constant(1 / value))
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        for other, name in CALLS.get(called, {}).items():
            plain = isinstance(node.func, ast.Name) or other == "round"
            func = ast.Name(other, ast.Load()) if plain else ast.Attribute(node.func.value, other, ast.Load())
            yield name, ast.Call(func, node.args, node.keywords)
        if called in DROPPED and len(node.args) == 1:
            yield DROPPED[called], node.args[0]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "as if a minus were missing", node.operand
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "as if a power or another whole number were one larger", ast.Constant(node.value + 1)
        yield "as if a power or another whole number were one smaller", ast.Constant(node.value - 1)
