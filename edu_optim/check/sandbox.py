"""Everything of the reader's runs in here: in one thread, under one time limit, and what it changes is undone."""

import ast
import builtins
import contextlib
import ctypes
import dis
import inspect
import io
import linecache
import math
import operator
import random
import sys
import textwrap
import threading
import time
import traceback
import warnings

import torch

SECONDS, BY_THE_CLOCK = 2, 3  # of work; and how many times as long may pass by the clock


class TooSlow(BaseException):
    """An answer took too long; no `except Exception` stops this one.

    >>> print(TooSlow())
    it took more than 2 seconds of work, or 6 by the clock: does it end?
    """

    def __str__(self):
        waited = BY_THE_CLOCK * SECONDS
        return f"it took more than {SECONDS} seconds of work, or {waited} by the clock: does it end?"


def in_time(work, answer, seconds=SECONDS):
    """The result of ``work()``, which runs code of ``answer``, and what it raised; one of the two is None.

    After ``seconds`` of work, or `BY_THE_CLOCK` times as many, the thread is stopped; one that waits outside of Python,
    or catches even that, is left to itself. Random numbers, the default dtype, warning filters, patched modules and the
    containers that belong to ``answer`` are afterwards what they were.

    >>> in_time(lambda: 1 + 1, None)
    (2, None)
    >>> in_time(lambda: exit(), None)[1]
    SystemExit(None)
    """
    outcome = {}

    def run():
        with contextlib.suppress(TooSlow):  # one that comes while another is handled
            try:
                outcome["result"] = work()
            except BaseException as error:
                outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    with undone(answer):
        thread.start()
        try:
            _wait(thread, seconds)
        finally:
            stopped = not thread.is_alive() or _stop(thread, outcome)
    ended = dict(outcome)  # what a thread does that ends later changes nothing
    if not stopped or isinstance(ended.get("error"), TooSlow):
        return None, ended.get("error") or TooSlow()
    return ended.get("result"), ended.get("error")


def _wait(thread, seconds):
    """Until a thread ends, or this process has worked for so long, or `BY_THE_CLOCK` times as long has passed."""
    worked, passed = time.process_time() + seconds, time.monotonic() + BY_THE_CLOCK * seconds
    thread.join(seconds)
    while thread.is_alive() and time.process_time() < worked and time.monotonic() < passed:
        thread.join(seconds / 40)


def _stop(thread, outcome):
    """Raise `TooSlow` in a thread until it ends, for another second at most; whether it has ended."""
    until = time.monotonic() + 1
    while thread.is_alive() and not outcome and time.monotonic() < until:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TooSlow))
        thread.join(0.005)
    return False


@contextlib.contextmanager
def undone(answer=None):
    """What is changed in here is afterwards what it was; random numbers start at a seed, and nothing is printed.

    >>> before = torch.get_rng_state()
    >>> with undone():
    ...     _ = torch.rand(3)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    modules = [torch, torch.Tensor, torch.nn.functional, torch.optim.Optimizer, math, random, builtins]
    modules += [sys.modules[name] for name in ("numpy",) if name in sys.modules]
    before = [(module, dict(vars(module))) for module in modules]
    own = [(container, type(container)(container)) for container in _containers(answer)]
    numpy = sys.modules.get("numpy")
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state() if numpy else None
    threads, dtype, limit = torch.get_num_threads(), torch.get_default_dtype(), sys.getrecursionlimit()
    torch.set_default_dtype(torch.float32)
    torch.default_generator.manual_seed(0)  # and no accelerator's, whose state is not put back
    random.seed(0)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(_Nowhere()), contextlib.redirect_stderr(_Nowhere()):
            warnings.simplefilter("ignore")
            with torch.enable_grad():
                yield
    finally:
        for module, names in before:
            now = vars(module)
            if [*now] == [*names] and not any(map(operator.is_not, now.values(), names.values())):
                continue
            for name in [name for name, value in names.items() if now.get(name) is not value]:
                setattr(module, name, names[name])
            for name in now.keys() - names.keys():
                if not inspect.ismodule(now[name]):  # such as one that was imported meanwhile
                    delattr(module, name)
        for container, content in own:
            if container != content or len(container) != len(content):
                container.clear()
                container.extend(content) if isinstance(container, list) else container.update(content)
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        if numpy:
            numpy.random.set_state(states[2])
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        sys.setrecursionlimit(limit)


class _Nowhere(io.TextIOBase):
    """Takes in what an answer prints, which may be without end."""

    def write(self, text):
        return len(text)


def _containers(answer):
    """The lists, dicts and sets that an answer keeps between calls: defaults, attributes, and globals that it names."""
    functions = [
        f for f in ([answer] if not inspect.isclass(answer) else vars(answer).values()) if inspect.isfunction(f)
    ]
    found = [] if not inspect.isclass(answer) else [v for k, v in vars(answer).items() if not k.startswith("__")]
    for function in map(inspect.unwrap, functions):
        found += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *vars(function).values()]
        found += [function.__globals__.get(name) for name in function.__code__.co_names]
        found += [cell.cell_contents for cell in function.__closure__ or () if not _is_empty_cell(cell)]
    return [thing for thing in found if type(thing) in (list, dict, set)]


def _is_empty_cell(cell):
    try:
        return cell.cell_contents is None
    except ValueError:
        return True


STUB = ("RESUME", "NOP", "LOAD_CONST", "LOAD_GLOBAL", "LOAD_NAME", "RETURN", "POP_TOP", "PUSH_NULL", "PRECALL", "CALL")
STUB += ("RAISE", "CACHE", "LOAD_COMMON_CONSTANT")


def is_stub(function):
    """Whether a function has no more in it than ``...``, ``pass`` or ``raise NotImplementedError``.

    >>> def rule(p, g):
    ...     raise NotImplementedError("later")
    >>> is_stub(rule), is_stub(lambda p, g: p)
    (True, False)
    """
    before = None
    for instruction in dis.get_instructions(inspect.unwrap(function)):
        name, value = instruction.opname, instruction.argval
        if name.startswith(("LOAD_GLOBAL", "LOAD_NAME")) and value not in ("NotImplementedError", "NotImplemented"):
            return False
        if not name.startswith(STUB):
            return False
        returned = value if name == "RETURN_CONST" else before if name == "RETURN_VALUE" else None
        if "CONST" in name and not isinstance(value, str | None) and value is not Ellipsis or isinstance(returned, str):
            return False
        before = value if name == "LOAD_CONST" else None
    return not _has_a_dropped_line(function)


def _has_a_dropped_line(function):
    """Whether a function has a line that Python compiles to nothing, such as ``1.0``, beside those of a stub."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # as where the text is not kept
        return False
    return isinstance(definition, ast.FunctionDef) and not all(map(_is_of_a_stub, definition.body))


def _is_of_a_stub(line):
    if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
        return isinstance(line.value.value, str) or line.value.value is ...
    return isinstance(line, ast.Pass | ast.Raise | ast.Return)


def in_words(error, answer):
    """What was raised, and at which line of the reader's.

    >>> in_words(ZeroDivisionError("by nothing"), is_stub)
    'ZeroDivisionError: by nothing'
    """
    if isinstance(error.__cause__, StopIteration) and not own_frames(error, answer):
        error = error.__cause__  # Python made a RuntimeError of it, for the answer was called in a generator of ours
    try:
        says = str(error)
    except BaseException as other:
        says = f"(its __str__ raises {type(other).__name__})"
    said = says if isinstance(error, TooSlow) else f"{type(error).__name__}: {says}".removesuffix(": ")
    own = own_frames(error, answer)
    if not own:
        return said
    line = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno)).strip()
    return f"{said}\nin {own[-1].name}, line {own[-1].lineno}: {line}".removesuffix(": ")


def own_frames(error, answer):
    """The frames of a traceback that are in the reader's file or cell.

    >>> own_frames(ValueError(), is_stub)
    []
    """
    files = {code.co_filename for code in codes(answer)}
    return [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]


def codes(answer):
    """The code objects of a function, method, class, partial or callable object.

    >>> [code.co_name for code in codes(is_stub)]
    ['is_stub']
    """
    answer = getattr(answer, "func", answer)
    if inspect.isclass(answer):
        functions = [
            f for cls in answer.__mro__[:-1] for f in vars(cls).values() if cls.__module__.split(".")[0] != "torch"
        ]
    else:
        functions = [getattr(answer, "__func__", answer), vars(type(answer)).get("__call__")]
    functions = [inspect.unwrap(function) for function in functions if callable(function)]
    return [function.__code__ for function in functions if hasattr(function, "__code__")]
