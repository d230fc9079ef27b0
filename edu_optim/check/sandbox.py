"""Run an answer in a thread of its own, for two seconds at most, and say in words what it raised."""

import ctypes
import linecache
import threading
import traceback
import warnings

import torch

SECONDS = 2


def _in_time(work):
    """The result of ``work``, run in a thread of its own, which is stopped after a while."""
    outcome = {}
    torch.optim.SGD([torch.zeros(1)], lr=0)  # the first optimizer of all loads half of torch, which is not the answer's

    def run():
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TooSlow))
        thread.join(1)
        raise outcome.get("error") or _TooSlow()
    error = outcome.get("error")
    if error is not None and not isinstance(error, Exception):  # such as exit(): it ends the answer, not the notebook
        raise RuntimeError(f"it ended with {type(error).__name__}").with_traceback(error.__traceback__)
    if error is not None:
        raise error
    return outcome["result"]


class _TooSlow(Exception):
    """An answer took too long."""

    def __str__(self):
        return f"it took more than {SECONDS} seconds; is there a loop that never ends?"


def _in_words(error, answer):
    """What an error says, at the line of the reader's that raised it."""
    own = _own_frames(error, answer)
    if not own:
        return f"{error}" if isinstance(error, TypeError | _TooSlow) else f"{type(error).__name__}: {error}"
    line = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno).strip()
    return f"{type(error).__name__}: {error}\nin {own[-1].name}, line {own[-1].lineno}: {line}"


def _own_frames(error, answer):
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename == answer.__code__.co_filename]
