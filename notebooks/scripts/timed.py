"""Time the sum over all ranks: whole gradients, a ring of parts, and torch's.

torchrun --standalone --nproc-per-node 2 timed.py
"""

import contextlib
import statistics
import time

import torch
import torch.distributed as dist
from by_hand import all_reduce

from edu_optim.exercises import EXERCISES

WEIGHTS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


class Parts(list):
    """A list that copies what is put into a place, so one buffer does for all."""

    def __setitem__(self, place, part):
        self[place].copy_(part)


def ring(x):
    """The sum over all ranks, by the exercise's ring of parts of ``x``."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    parts = Parts(x.chunk(ranks))
    buffer, arrived = torch.empty_like(parts[0]), None
    turns = EXERCISES["ring"].reference(parts, rank)
    with contextlib.suppress(StopIteration):
        while True:
            sending = dist.isend(turns.send(arrived), (rank + 1) % ranks)
            dist.recv(buffer, (rank - 1) % ranks)
            sending.wait()
            arrived = buffer


def unsent(x):
    """What `all_reduce` does beside sending: it lays gradients aside and adds them."""
    held = [x.clone() for _ in range(dist.get_world_size())]
    x.copy_(sum(held))


WAYS = {
    "whole": all_reduce,
    "unsent": unsent,
    "ring": ring,
    "torch's": dist.all_reduce,
}


def milliseconds(x, rounds):
    """For each way the median over several rounds of all; the slowest rank counts."""
    taken = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, call in WAYS.items():
            dist.barrier()
            start = time.perf_counter()
            call(x)
            taken[way].append(1e3 * (time.perf_counter() - start))
    slowest = torch.tensor([statistics.median(times) for times in taken.values()])
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return dict(zip(WAYS, slowest.tolist(), strict=True))


def main():
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for call in (all_reduce, ring, dist.all_reduce):
        x = torch.arange(4.0 * ranks) + rank
        call(x)
        assert x[0] == sum(range(ranks)) and x[-1] - x[0] == ranks * (4 * ranks - 1)
    for weights in WEIGHTS:
        taken = milliseconds(torch.zeros(weights), min(101, 5 * 10**7 // weights))
        if rank == 0:
            said = ", ".join(f"{way} {time:.3g} ms" for way, time in taken.items())
            print(f"{weights} weights: {said}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
