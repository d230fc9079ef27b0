"""Time an all-reduce: ours sends whole gradients, and torch's sends parts.

torchrun --standalone --nproc-per-node 2 timed.py
"""

import statistics
import time

import torch
import torch.distributed as dist
from by_hand import all_reduce

WEIGHTS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def milliseconds(call, x, times):
    """The median over several calls, begun together; the slowest rank counts."""
    taken = []
    for _ in range(times):
        dist.barrier()
        start = time.perf_counter()
        call(x)
        taken.append(1e3 * (time.perf_counter() - start))
    slowest = torch.tensor(statistics.median(taken))
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return slowest.item()


def main():
    dist.init_process_group("gloo")
    for weights in WEIGHTS:
        x, times = torch.zeros(weights), min(201, 10**8 // weights)
        ours, theirs = (
            milliseconds(call, x, times) for call in (all_reduce, dist.all_reduce)
        )
        if dist.get_rank() == 0:
            print(f"{weights} weights: ours {ours:.3g} ms, torch's {theirs:.3g} ms")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
