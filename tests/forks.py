"""Processes that are forked from one which has imported what takes longer than most of them run."""

import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path

import torch
from torch.distributed import TCPStore

PRELOADED = ["torch._dynamo", "torch.distributed.fsdp", "sympy", "ipykernel.kernelapp"]
PRELOADED += ["edu_optim.lab", "edu_optim.check"]


def prepared():
    """The context of these processes; the one that they are forked from runs nothing itself."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def on_ranks(script, *options, ranks, timeout=100):
    """Run a script in so many processes that meet as those of torchrun do; the lines that the first printed."""
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    meeting |= {"WORLD_SIZE": str(ranks), "GLOO_SOCKET_IFNAME": "lo"}
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, str(rank)) for rank in range(ranks)]
        started = [
            prepared().Process(
                target=_script, args=(str(script), list(map(str, options)), meeting | {"RANK": str(rank)}, said[rank])
            )
            for rank in range(ranks)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(timeout)
            process.kill()
        for process, words in zip(started, said, strict=True):
            process.join()
            assert process.exitcode == 0, words.read_text()
        return said[0].read_text().splitlines()


def _script(path, options, environment, said):
    torch.set_num_threads(1)
    os.environ.update(environment)
    sys.argv = [path, *options]
    with open(said, "w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        runpy.run_path(path, run_name="__main__")
        sys.stdout.flush()
