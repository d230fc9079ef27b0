"""A compiled kernel is kept on disk: who may have written it, what becomes of a damaged one, and who compiles when."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys

import pytest
import torch

from edu_optim import SGD, Adam, execute, kernel

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
POISON = "void run(long long tensors, const long long *sizes, void *const *data, const void *numbers, int threads) {}"
STEP = """
import torch
from edu_optim import Adam
p = torch.ones(3, requires_grad=True)
p.grad = torch.ones(3)
Adam([p], lr=0.5).step()
print(p.tolist())
"""


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder in which kernels are kept, not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edu_optim"


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """A compiler that writes a line for each call."""
    log, script = tmp_path / "calls", tmp_path / "counting-cc"
    log.touch()
    script.write_text(f'#!/bin/sh\necho called >> "{log}"\nexec cc "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    return lambda: len(log.read_text().splitlines())


def stepped(cls=SGD):
    """Where a step from 1 ends, with a kernel that this process has not loaded yet."""
    execute._kernel.cache_clear()
    p = torch.ones(3, requires_grad=True)
    p.grad = torch.ones(3)
    cls([p], lr=0.5).step()
    return p.tolist()


def sealed(text):
    return text + hashlib.sha256(text).digest()


def poison(cache):
    """Put a kernel in the place of the one in the cache that leaves all as it is, sealed as ours are."""
    (kept,) = cache.iterdir()
    folder = cache.parent
    (folder / "poison.c").write_text(POISON)
    subprocess.run(["cc", "-shared", "-fPIC", folder / "poison.c", "-o", folder / "poison.so"], check=True)
    kept.write_bytes(sealed((folder / "poison.so").read_bytes()))
    return kept


def test_a_kernel_is_compiled_once_and_loaded_by_those_who_come_later(cache, compiler):
    assert [stepped(), stepped(), stepped()] == [[0.5] * 3] * 3
    assert compiler() == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    assert stepped(Adam) == [0.5] * 3
    assert compiler() == 2 and len(list(cache.iterdir())) == 2


def test_what_lies_in_the_cache_is_what_runs(cache):
    """So that the tests below, in which it must not run, can fail."""
    stepped()
    poison(cache)
    assert stepped() == [1.0] * 3


def test_other_flags_another_compiler_and_another_text_are_other_kernels(cache, compiler, monkeypatch):
    stepped()
    monkeypatch.setattr(kernel, "FLAGS", [*kernel.FLAGS, "-O1"])
    stepped()
    monkeypatch.setenv("CC", "cc")
    stepped()
    monkeypatch.setattr(kernel, "PROGRAM", kernel.PROGRAM + "// more\n")
    stepped()
    assert compiler() == 2 and len(list(cache.iterdir())) == 4


@pytest.mark.slow
def test_two_processes_at_once_both_step_and_leave_one_whole_kernel(cache):
    command = [sys.executable, "-c", STEP]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in both] == ["[0.5, 0.5, 0.5]\n"] * 2
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == sealed(kept.read_bytes()[:-32])


def shorten(kept):
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])


def change_a_byte(kept):
    text = bytearray(kept.read_bytes())
    text[len(text) // 2] ^= 1
    kept.write_bytes(text)


def empty(kept):
    kept.write_bytes(b"")


def make_for_another_processor(kept):
    text = bytearray(kept.read_bytes()[:-32])
    text[18:20] = (243 if text[18] != 243 else 62).to_bytes(2, "little")  # the machine, in the header of an ELF file
    kept.write_bytes(sealed(bytes(text)))
    with pytest.raises(OSError):
        ctypes.CDLL(str(kept))


@pytest.mark.parametrize("damage", [shorten, change_a_byte, empty, make_for_another_processor])
def test_a_damaged_or_foreign_file_is_made_anew(cache, compiler, damage):
    stepped()
    (kept,) = cache.iterdir()
    damage(kept)
    assert stepped() == [0.5] * 3 and compiler() == 2
    assert stepped() == [0.5] * 3 and compiler() == 2


def test_where_nothing_can_be_written_it_is_compiled_each_time(monkeypatch, tmp_path, compiler):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a folder cannot be made in it, not even by root
    assert [stepped(), stepped()] == [[0.5] * 3] * 2
    assert compiler() == 2


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_home_costs_time_only(cache, compiler):
    cache.parent.mkdir(mode=0o500)
    assert [stepped(), stepped()] == [[0.5] * 3] * 2
    assert compiler() == 2


def let_others_write_the_file(kept, monkeypatch):
    kept.chmod(0o666)


def let_others_write_the_folder(kept, monkeypatch):
    kept.parent.chmod(0o777)


def let_the_group_write_the_folder(kept, monkeypatch):
    kept.parent.chmod(0o770)


def let_it_belong_to_somebody_else(kept, monkeypatch):
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)


def lead_elsewhere(kept, monkeypatch):
    kept.rename(kept.parent.parent / "elsewhere.so")
    kept.symlink_to(kept.parent.parent / "elsewhere.so")


def lead_the_folder_elsewhere(kept, monkeypatch):
    kept.parent.rename(kept.parent.parent / "elsewhere")
    kept.parent.symlink_to(kept.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    "doubt",
    [
        let_others_write_the_file,
        let_others_write_the_folder,
        let_the_group_write_the_folder,
        let_it_belong_to_somebody_else,
        lead_elsewhere,
        lead_the_folder_elsewhere,
    ],
)
def test_what_others_may_have_written_is_never_loaded(cache, monkeypatch, doubt):
    stepped()
    doubt(poison(cache), monkeypatch)
    assert stepped() == [0.5] * 3
