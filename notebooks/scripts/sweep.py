"""Split a sweep of learning rates over processes; rank 0 gathers the losses.

torchrun --standalone --nproc-per-node 2 sweep.py
"""

import torch
import torch.distributed as dist

from edu_optim import Adam, sweep
from edu_optim.problems import rosenbrock


def main():
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    rates = torch.logspace(-3, 0, 31, dtype=torch.float64)
    mine = sweep(rosenbrock, Adam, 100, lr=rates[rank::ranks]).losses
    parts = [None] * ranks
    dist.all_gather_object(parts, mine)
    losses = torch.empty_like(rates)
    for rank_of, part in enumerate(parts):
        losses[rank_of::ranks] = part
    if rank == 0:
        best = losses.argmin()
        print(f"best of {len(rates)}: {rates[best]:.3f}, loss {losses[best]:.4f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
