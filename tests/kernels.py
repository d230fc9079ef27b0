"""A plugin of pytest: the kernels of lessons are spoken to through files, and forked from one process.

A port is found free before its kernel takes it: of many kernels that start side by side, one now and then gets a port
that another process has taken meanwhile, and never answers. And an import of torch and of what it needs at the first
optimizer takes longer than most lessons, so one process imports them for all kernels, and runs nothing.
"""

import atexit
import functools
import os
import sys
import tempfile
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import nbval.kernel
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import local_provisioner

from tests.forks import prepared


@functools.cache
def folder():
    made = tempfile.TemporaryDirectory(prefix="kernels")
    atexit.register(made.cleanup)
    return made


class FileKernelManager(KernelManager):
    def __init__(self, **options):
        super().__init__(transport="ipc", ip=str(Path(tempfile.mkdtemp(dir=folder().name), "socket")), **options)


class Kernel(ForkServerProcess):
    """A kernel with what its manager asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def poll(self):
        return self.exitcode

    def wait(self):
        self.join()
        return self.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)


def forked(command, *, env=None, cwd=None, **_):
    """A kernel as ``jupyter_client.launch_kernel`` starts one, but in a fork of the process that has the imports."""
    here, there = prepared().Pipe(duplex=False)
    kernel = Kernel(target=_live, args=(command[command.index("-f") :], env, cwd, there))
    kernel.start()
    there.close()
    here.recv()  # it has become the head of its own group, to which signals are sent
    return kernel


def _live(arguments, env, cwd, ready):
    from ipykernel import kernelapp

    os.setsid()
    ready.send(True)
    ready.close()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.environ.update(env or {})
    if cwd:
        os.chdir(cwd)
    kernelapp.launch_new_instance(argv=arguments)


nbval.kernel.KernelManager = FileKernelManager
if sys.platform == "linux":
    local_provisioner.launch_kernel = forked
