"""Train a network on the digits, and go on from the last checkpoint if there is one.

python train.py runs
torchrun --standalone --nproc-per-node 2 train.py runs --way whole zero sharded
torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST \
    --rdzv-id digits --max-restarts 3 train.py runs --way sharded

On a cluster, ``runs`` is a folder that all nodes see.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from edu_optim import Adam, problems

BATCH = 64  # of all ranks together


def join():
    """Meet the other ranks, or be alone without torchrun; return this rank's device."""
    found = torch.accelerator.current_accelerator(check_available=True)
    device = torch.device("cpu")
    if found is not None:
        device = torch.device(found.type, int(os.environ.get("LOCAL_RANK", 0)))
        torch.accelerator.set_device_index(device.index)
    meeting = {}
    if "RANK" not in os.environ:
        meeting = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group(dist.get_default_backend_for_device(device), **meeting)
    return device


def build(way, device):
    """A model and its Adam: all whole, zero (the state shared out), or all sharded.

    In the way unlike all is sharded too, and each rank draws its own start.
    """
    seed = dist.get_rank() if way == "unlike" else 0
    model = problems.small_net(64, 48, 48, 10, seed=seed).to(device)
    if way in ("sharded", "unlike"):
        fully_shard(model)
        return model, Adam(model.parameters(), lr=0.01)
    model = DistributedDataParallel(model, gradient_as_bucket_view=True)
    if way == "zero":
        zero = ZeroRedundancyOptimizer(model.parameters(), Adam, lr=0.01)
        return model, zero
    return model, Adam(model.parameters(), lr=0.01)


def on_its_own(model, last):
    """Where gradients add up on each rank, and travel in the last micro-batch alone."""
    if isinstance(model, DistributedDataParallel):
        return contextlib.nullcontext() if last else model.no_sync()
    model.set_requires_gradient_sync(last)
    return contextlib.nullcontext()


def step(model, optimizer, images, labels):
    """Take a step in two micro-batches; return the loss, a mean over all ranks."""
    optimizer.zero_grad()
    total = torch.zeros((), dtype=images.dtype, device=images.device)
    for part in (0, 1):
        with on_its_own(model, last=part == 1):
            loss = cross_entropy(model(images[part::2]), labels[part::2]) / 2
            loss.backward()
        total += loss.detach()
    optimizer.step()
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def save(folder, model, optimizer, losses):
    weights, state = get_state_dict(model, optimizer)
    parts = {"model": weights, "optimizer": state, "losses": losses}
    dcp.save(parts, checkpoint_id=folder / f"{len(losses):06}")


def load(folder, model, optimizer):
    """Go on from the last whole checkpoint; return the losses until there."""
    whole = sorted(folder.glob("*/.metadata"))  # the file that is written last
    if not whole:
        return []
    weights, state = get_state_dict(model, optimizer)
    parts = {"model": weights, "optimizer": state, "losses": []}
    dcp.load(parts, checkpoint_id=whole[-1].parent)
    model_state, state = parts["model"], parts["optimizer"]
    set_state_dict(
        model, optimizer, model_state_dict=model_state, optim_state_dict=state
    )
    return parts["losses"]


def held(model, optimizer):
    """Bytes of parameters, gradients and optimizer state on this rank."""
    parameters = list(model.parameters())
    state = getattr(optimizer, "optim", optimizer).state.values()
    tensors = [
        parameters,
        [p.grad for p in parameters],
        [x for buffers in state for x in buffers.values() if torch.is_tensor(x)],
    ]
    return [sum(on_this_rank(x).nbytes for x in part) for part in tensors]


def on_this_rank(x):
    return x.to_local() if isinstance(x, DTensor) else x


def train(folder, way, device, steps, every, die):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    who = f"{ranks} rank{'s' * (ranks > 1)}, {way}"
    model, optimizer = build(way, device)
    data = TensorDataset(*problems.digits())
    sampler = DistributedSampler(data, drop_last=True)
    loader = DataLoader(data, BATCH // ranks, sampler=sampler, drop_last=True)
    losses = load(folder, model, optimizer)
    if losses and rank == 0:
        print(f"{who}: goes on after step {len(losses)}", flush=True)
    while len(losses) < steps:
        epoch, done = divmod(len(losses), len(loader))
        sampler.set_epoch(epoch)
        for batch in itertools.islice(loader, done, done + steps - len(losses)):
            images, labels = (x.to(device) for x in batch)
            losses.append(step(model, optimizer, images, labels))
            first = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
            if len(losses) == die and first and rank == ranks - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if len(losses) % every == 0 and way in ("whole", "sharded"):
                save(folder, model, optimizer, losses)
    everyone = [None] * ranks
    dist.all_gather_object(everyone, held(model, optimizer))
    if rank == 0:
        result = {"losses": losses, "bytes": everyone}
        (folder / "result.json").write_text(json.dumps(result))
        print(f"{who}: loss {losses[0]:.4f} to {losses[-1]:.4f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--way", nargs="+", default=["whole"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--die", type=int, help="the step that kills the last rank")
    asked = parser.parse_args()
    device = join()
    ranks = dist.get_world_size()
    if BATCH % (2 * ranks):  # else some micro-batches would be larger than others
        raise SystemExit(f"twice the number of ranks must divide {BATCH}, got {ranks}")
    for way in asked.way:
        folder = asked.folder / way
        folder.mkdir(parents=True, exist_ok=True)
        train(folder, way, device, asked.steps, asked.every, asked.die)
    # Sharded models outlive this, and gloo's threads with them: one that still holds a
    # tensor would crash at the end: https://github.com/pytorch/pytorch/issues/190489
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
