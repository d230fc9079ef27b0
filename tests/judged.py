"""What the tests of the judge share: every program of a catalog, and changes of one place in a text."""

import ast
import inspect
import itertools
import textwrap

from edu_optim.check.catalog import ClassFamily, Family
from edu_optim.exercises import EXERCISES
from edu_optim.signature import signature


def family(name, of_class=False):
    exercise = EXERCISES[name]
    if not of_class:
        return Family(exercise.reference, exercise.catalog)
    return ClassFamily(exercise.reference, exercise.catalog, *signature(exercise.reference))


def programs(family, alone=1, together=1):
    """Sets of conventions, alone and with one mistake: the conventions, the mistake or None, the program.

    Of the entries alone every ``alone``-th, and of the compositions every ``together``-th.
    """
    conventions = [entry for entry in family.catalog if entry.kind == "convention"]
    mistakes = [None, *(entry for entry in family.catalog if entry.kind == "mistake")]
    counts = {True: itertools.count(1), False: itertools.count(1)}
    for size in range(len(conventions) + 1):
        for chosen, mistake in itertools.product(itertools.combinations(conventions, size), mistakes):
            single = len(chosen) + bool(mistake) == 1
            if not (chosen or mistake) or next(counts[single]) % (alone if single else together):
                continue
            program = family.program((*chosen, mistake) if mistake else chosen)
            if program:
                yield chosen, mistake, program


def expected(chosen, mistake):
    return mistake.name if mistake else " and ".join(entry.name for entry in chosen)


def as_class(program, family):
    """A program of a class family as a reader writes it: its options are named in the constructor."""
    extra = [name for name in ("weight_decay", "maximize") if name not in family.names]
    options = [name for name in family.names if name != "t"]
    arguments = ", ".join([*(f"{name}=None" for name in options), *(f"{name}=0" for name in extra)])
    given = ", ".join(f"{name}={name}" for name in [*options, *extra])
    text = f"class Typed(Base):\n  def __init__(self, params, {arguments}):\n    Base.__init__(self, params, {given})"
    found = {"Base": program}
    exec(text, found)
    return found["Typed"]


SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
SWAPS |= {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def changes(function, letters=()):
    """Every text that differs from a function or class in one place: an operator, a number, a name, a statement."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            yield _changed(tree, node, "op", SWAPS[type(node.op)]())
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield _changed(tree, node, "ops", [SWAPS[type(node.ops[0])]()])
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield _changed(tree, node, "value", node.value + 1)
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield _changed(tree, node, "value", not node.value)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in letters:
            yield from (_changed(tree, node, "id", other) for other in letters if other != node.id)
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list) and not isinstance(node, ast.Module | ast.ClassDef):
                for k, statement in enumerate(block):
                    if not isinstance(statement, ast.Return | ast.FunctionDef) and not isinstance(
                        getattr(statement, "value", None), ast.Constant
                    ):
                        yield _changed(tree, node, name, [*block[:k], ast.Pass(), *block[k + 1 :]])


def _changed(tree, node, field, value):
    before = getattr(node, field)
    setattr(node, field, value)
    text = ast.unparse(ast.fix_missing_locations(tree))
    setattr(node, field, before)
    return text


def built(text, function):
    """The function or class that a text defines, in the place of another."""
    found = dict(vars(inspect.getmodule(function)))
    exec(compile(text, "<changed>", "exec"), found)
    return found[function.__name__]
