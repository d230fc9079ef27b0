"""A plugin of pytest: the kernels of lessons are spoken to through files instead of ports.

A port is found free before its kernel takes it: of many kernels that start side by side, one now and then gets a port
that another process has taken meanwhile, and never answers.
"""

import tempfile
from pathlib import Path

import nbval.kernel
from jupyter_client.manager import KernelManager

SOCKETS = tempfile.TemporaryDirectory(prefix="kernels")


class FileKernelManager(KernelManager):
    def __init__(self, **options):
        super().__init__(transport="ipc", ip=str(Path(tempfile.mkdtemp(dir=SOCKETS.name), "socket")), **options)


nbval.kernel.KernelManager = FileKernelManager
