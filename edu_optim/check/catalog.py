"""Programs made of the reference's own text: with conventions, with a mistake, with both."""

import collections
import functools
import inspect
import re
import sys
import textwrap

from ..exercises.around import AROUND, Reference, around


def validate(exercises):
    """Refuse a catalog that holds an edit whose places are in no text.

    >>> from edu_optim.exercises import EXERCISES, edit
    >>> import dataclasses
    >>> lost = edit("lost", {"no such place": ""}, why="", ask="")
    >>> validate([dataclasses.replace(EXERCISES["to_torch"], catalog=[lost])])
    Traceback (most recent call last):
    ValueError: lost: no text contains 'no such place'
    """
    known = collections.defaultdict(list)
    references = [(_texts(exercise.reference).values(), exercise.catalog) for exercise in exercises]
    for texts, catalog in [*references, ([inspect.getsource(Reference)], AROUND)]:
        conventions = [entry for entry in catalog if entry.kind == "convention"]
        put = [other for entry in conventions for places in entry.edits for other in places.values()]
        for entry in catalog:
            known[entry].append("\0".join([*texts, *put]))
    for entry, texts in known.items():
        for places in entry.edits:
            if not any(all(place in text for place in places) for text in texts):
                raise ValueError(f"{entry.name}: no text contains {' and '.join(map(repr, places))}")


def _texts(reference):
    """The text of a reference and of the rules that it calls, by name."""
    space = vars(sys.modules[reference.__module__])
    text = textwrap.dedent(inspect.getsource(reference))
    called = [name for name in re.findall(r"[=*] (\w+)\((?:p, [gd]|u|p\.shape),|\breturn (\w+)\(p, g,", text)]
    called = [name for names in called for name in names if name in space]
    return {reference.__name__: text} | {name: inspect.getsource(space[name]) for name in called}


class Family:
    """A reference, and all programs that are edits of its text.

    Args:
        reference: the function.
        catalog: the entries that may apply to it.
        rule: whether the text is a rule's, which may call other rules; a class around it is then `around`.

    >>> from edu_optim import rules
    >>> from edu_optim.exercises import RULES
    >>> family = Family(rules.gradient_descent, RULES)
    >>> family.program([RULES[0]])(1.0, 4.0, lr=0.25)
    (2.0,)
    >>> RULES[0].name
    'the steps go uphill'
    """

    def __init__(self, reference, catalog):
        self.reference, self.name = reference, reference.__name__
        self.space = vars(sys.modules[reference.__module__])
        self.texts = _texts(reference)
        self.catalog = [entry for entry in catalog if entry.program or self._edited(self.texts, entry)]
        self.core = self.catalog  # of a class, the entries of its rule
        self.programs = {}

    def program(self, entries):
        """The function with these entries, None where one finds no place."""
        key = tuple(map(id, entries))
        if key not in self.programs:
            self.programs[key] = self._made(entries)
        return self.programs[key]

    def _made(self, entries):
        own = [entry.program for entry in entries if entry.program]
        if own:
            return own[0] if len(entries) == 1 else None
        texts = self.texts
        for entry in entries:
            texts = self._edited(texts, entry)
            if texts is None:
                return None
        space = dict(self.space)
        try:
            for text in reversed(texts.values()):  # what is called first
                exec(_compiled(text, self.name), space)
        except SyntaxError:
            if len(entries) > 1:  # they do not go together
                return None
            raise
        return space[self.name]

    @staticmethod
    def _edited(texts, entry):
        whole = "\0".join(texts.values())
        for places in entry.edits:
            if all(place in whole for place in places):
                for place, other in places.items():
                    whole = whole.replace(place, other)
                return dict(zip(texts, whole.split("\0"), strict=True))
        return None


@functools.lru_cache(4096)
def _compiled(text, name):
    return compile(text, f"<{name}>", "exec")


class ClassFamily(Family):
    """A rule, and the class around it: an entry edits the text of either.

    >>> from edu_optim.rules import momentum
    >>> family = ClassFamily(momentum, [], ("b",), ("lr", "momentum", "dampening"))
    >>> [entry.name for entry in family.catalog][0]
    'the update is recorded for the backward pass'
    """

    def __init__(self, reference, catalog, letters, names):
        self.inner = Family(reference, catalog)
        self.letters, self.names = letters, names
        super().__init__(Reference, around(letters, names))
        self.own = {id(entry) for entry in self.catalog}
        self.core = self.inner.catalog
        self.catalog = [*self.core, *self.catalog]

    def _made(self, entries):
        rule = self.inner.program([entry for entry in entries if id(entry) not in self.own])
        cls = super()._made([entry for entry in entries if id(entry) in self.own])
        if rule is None or cls is None:
            return None
        return type("Edited", (cls,), {"rule": staticmethod(rule), "letters": self.letters, "names": self.names})
