"""Several processes share each batch: first by hand, then as torch does it.

torchrun --standalone --nproc-per-node 2 by_hand.py
"""

import contextlib
import functools

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from edu_optim import SGD, Adam, problems

BATCH, STEPS = 64, 100
SEEN = 1280  # images, which make 20 batches; the rest is held out


def all_reduce(x):
    """Put the sum over all ranks in the place of ``x``."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    held = [x.clone() for _ in range(ranks)]
    for hop in range(1, ranks):
        sending = dist.isend(held[(rank - hop + 1) % ranks], (rank + 1) % ranks)
        dist.recv(held[(rank - hop) % ranks], (rank - 1) % ranks)
        sending.wait()
    x.copy_(sum(held))  # in the order of the ranks, so that all round alike


def mean_over_ranks(tensors):
    end_to_end = torch.cat([tensor.flatten() for tensor in tensors])
    all_reduce(end_to_end)
    parts = end_to_end.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor) / dist.get_world_size())


def gradients(model, images, labels):
    model.zero_grad()
    cross_entropy(model(images), labels).backward()
    return [p.grad for p in model.parameters()]


def train(optimizer, images, labels, batch, average=None):
    """Train for five epochs; the ranks average gradients, parameters, or nothing."""
    model = problems.small_net(64, 16, 10)
    optimizer = optimizer(model.parameters())
    for step in range(STEPS):
        start = batch * (step % (SEEN // BATCH))
        now = slice(start, start + batch)
        found = gradients(model, images[now], labels[now])
        if average == "gradients":
            mean_over_ranks(found)
        optimizer.step()
        if average == "parameters":
            mean_over_ranks([p.data for p in model.parameters()])
    return model


def judged(model, images, labels):
    """The loss over the images that were seen, and the share of errors on the rest."""
    with torch.no_grad():
        scores = model(images)
    wrong = (scores[SEEN:].argmax(1) != labels[SEEN:]).double().mean().item()
    return cross_entropy(scores[:SEEN], labels[:SEEN]).item(), wrong


def accumulate(images, labels, quiet):
    """Two micro-batches: how often DistributedDataParallel sends, and the mean."""
    model, sent = DistributedDataParallel(problems.small_net(64, 16, 10)), []

    def counted(group, bucket):
        sent.append(bucket.index())
        return allreduce_hook(group, bucket)

    model.register_comm_hook(None, counted)
    for part in (0, 1):
        with model.no_sync() if quiet and part == 0 else contextlib.nullcontext():
            loss = cross_entropy(model(images[part::2]), labels[part::2])
            (loss / 2).backward()
    return len(sent), [p.grad for p in model.parameters()]


def difference(these, those):
    pairs = zip(these, those, strict=True)
    return max((this - that).abs().max().item() for this, that in pairs)


def main():
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    if BATCH % (2 * ranks):  # else some micro-batches would be larger than others
        raise SystemExit(f"twice the number of ranks must divide {BATCH}, got {ranks}")
    images, labels = problems.digits()
    mine = images[rank::ranks], labels[rank::ranks]
    batch = BATCH // ranks
    say = print if rank == 0 else lambda *words: None

    model = problems.small_net(64, 16, 10)
    big = [g.clone() for g in gradients(model, images[:BATCH], labels[:BATCH])]
    small = gradients(model, mine[0][:batch], mine[1][:batch])
    say(f"one rank's gradient is off by {difference(small, big):.1g}")
    mean_over_ranks(small)
    assert difference(small, big) < 1e-15
    say(f"the mean over {ranks} ranks is that of the big batch")

    for quiet in (False, True):
        sent, found = accumulate(mine[0][:batch], mine[1][:batch], quiet)
        assert difference(found, big) < 1e-15
        how = "with" if quiet else "without"
        say(f"two micro-batches {how} no_sync: messages {sent}, the same mean")

    for optimizer, lr in ((SGD, 0.5), (Adam, 0.01)):
        begun = functools.partial(optimizer, lr=lr)
        alone = train(begun, images, labels, BATCH)
        for average in ("gradients", "parameters"):
            model = train(begun, *mine, batch, average)
            loss, wrong = judged(model, images, labels)
            off = difference(model.parameters(), alone.parameters())
            end = f"loss {loss:.2f}, held-out error {wrong:.0%}"
            say(f"{optimizer.__name__} {lr}, {average}: as alone {off < 1e-9}, {end}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
