"""Checkpoints that survive a process that is killed, and are loaded whole or not at all."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module

VERSION = 1


def save(path: str | Path, **parts: Any) -> None:
    """Write the states of ``parts``, and torch's own random state, to a file.

    The file is written aside, to ``path`` with ``.part`` behind it, and takes the place of the old one only when all of
    it is on the disk and could be read. A process that is killed at any moment leaves the old checkpoint or the new
    one, never a half.

    Args:
        path: of the file; its folder must exist.
        parts: name -> a model, optimizer, scheduler, GradScaler, `torch.Generator` or anything else with
            ``state_dict`` and ``load_state_dict`` whose state is tensors, numbers, words, lists and dicts.

    Errors: ValueError if a state holds anything else; the old checkpoint is then still there.

    >>> import tempfile
    >>> model = torch.nn.Linear(1, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/run.pt", model=model)
    ...     _ = torch.nn.init.zeros_(model.weight)
    ...     load(f"{folder}/run.pt", model=model)
    >>> model.weight.item() == 0
    False
    """
    states = {name: _state(part) for name, part in parts.items()}
    kinds = {name: type(part).__name__ for name, part in parts.items()}
    path = Path(path).resolve()  # behind a link, for a link would be replaced
    aside = path.with_name(f"{path.name}.part")
    with open(aside, "wb") as file:
        torch.save({"edu_optim": VERSION, "kinds": kinds, "states": states, "random": _random_states()}, file)
        file.flush()
        os.fsync(file.fileno())
    _read(aside)
    os.replace(aside, path)
    if os.name == "posix":  # the new name is on the disk only when its folder is
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def load(path: str | Path, **parts: Any) -> None:
    """Put the states that `save` has written into ``parts``, and torch's random state where it was.

    Args:
        path: of the file.
        parts: as for `save`, with the same names. An optimizer may be torch's of the same name, or the other way round.

    The file is read with ``weights_only=True``, so that none can run code.

    Errors: ValueError if the file is damaged, is no checkpoint or one of another version, or belongs to other parts,
    such as another model; all parts are then as they were before.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/run.pt", model=torch.nn.Linear(1, 1))
    ...     load(f"{folder}/run.pt", model=torch.nn.Linear(1, 2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: .../run.pt holds another model: weight is (1, 1) torch.float32 there and (2, 1) torch.float32 here
    """
    saved = _read(path)
    if saved["kinds"].keys() != parts.keys():
        there, here = (", ".join(names) for names in (saved["kinds"], parts))
        raise ValueError(f"{path} holds the states of {there}; asked for were {here}")
    for name, part in parts.items():
        kind = type(part).__name__
        if isinstance(part, Module):
            _check_tensors(path, name, saved["states"][name], part.state_dict())
        elif kind != saved["kinds"][name]:
            raise ValueError(f"{path} holds another {name}: a {saved['kinds'][name]}, and here is a {kind}")
    before = {name: copy.deepcopy(_state(part)) for name, part in parts.items()}
    try:
        _restore(parts, saved["states"])
    except Exception as error:
        _restore(parts, before)
        raise ValueError(f"{path} does not fit: {error}") from error
    torch.set_rng_state(saved["random"]["cpu"])
    for device, state in saved["random"].items():
        if device != "cpu" and _accelerator() == device:
            torch.get_device_module(device).set_rng_state(state)


def _read(path: str | Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{path} is damaged, or no checkpoint: {error}") from error
    version = saved.get("edu_optim") if isinstance(saved, dict) else None
    if version is None:
        raise ValueError(f"{path} is no checkpoint of edu_optim")
    if version != VERSION:
        raise ValueError(f"{path} is a checkpoint of version {version}, and this edu_optim reads version {VERSION}")
    return saved


def _check_tensors(path: str | Path, name: str, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse a model whose tensors have other names, shapes or dtypes."""
    for key in [*saved, *own]:
        there, here = (_look(state, key) for state in (saved, own))
        if there != here:
            raise ValueError(f"{path} holds another {name}: {key} is {there} there and {here} here")


def _look(state: Mapping[str, Any], key: str) -> str:
    if key not in state:
        return "missing"
    value = state[key]
    return f"{tuple(value.shape)} {value.dtype}" if torch.is_tensor(value) else type(value).__name__


def _state(part: Any) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def _restore(parts: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        put = part.set_state if isinstance(part, torch.Generator) else part.load_state_dict
        put(states[name])


def _accelerator() -> str | None:
    found = torch.accelerator.current_accelerator(check_available=True)
    return found and found.type


def _random_states() -> dict[str, torch.Tensor]:
    states, device = {"cpu": torch.get_rng_state()}, _accelerator()
    if device:
        states[device] = torch.get_device_module(device).get_rng_state()
    return states
