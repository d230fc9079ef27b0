"""Time a step of training: in one process, and shared by all ranks.

torchrun --standalone --nproc-per-node 2 steps.py
"""

import statistics
import time

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from edu_optim import Adam, problems

# The sizes of a network, the images in a batch, and how often a step is taken.
TRAININGS = [
    ((64, 48, 48, 10), 64, 301),
    ((64, 1024, 1024, 10), 1792, 7),
]


def milliseconds(model, images, labels, times):
    """The median over several steps of Adam."""
    optimizer, taken = Adam(model.parameters(), lr=0.001), []
    for _ in range(times):
        start = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def main():
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    images, labels = problems.digits()
    for sizes, batch, times in TRAININGS:
        x, y, model = images[:batch], labels[:batch], problems.small_net(*sizes)
        alone = milliseconds(model, x, y, times) if rank == 0 else 0.0
        dist.barrier()  # where the others wait for rank 0
        model = DistributedDataParallel(model)
        shared = milliseconds(model, x[rank::ranks], y[rank::ranks], times)
        slowest = torch.tensor(shared)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        if rank == 0:
            name = f"{'-'.join(map(str, sizes))}, {batch} images"
            both = f"alone {alone:.2g} ms, {ranks} ranks {slowest.item():.2g} ms"
            print(f"{name}: {both}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
