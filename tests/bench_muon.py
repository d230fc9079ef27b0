"""How long a step of Muon takes beside torch's, on twelve matrices of 64 x 64: ``python tests/bench_muon.py``."""

import statistics
import time

import torch

import edu_optim


def milliseconds(cls, rounds=9, steps=10):
    """The median over rounds of the time of a step."""
    draw = torch.Generator().manual_seed(0)
    matrices = [torch.randn(64, 64, generator=draw).requires_grad_() for _ in range(12)]
    for p in matrices:
        p.grad = torch.randn(64, 64, generator=draw)
    optimizer = cls(matrices)
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.step()
        found.append((time.perf_counter() - start) / steps * 1e3)
    return statistics.median(found)


if __name__ == "__main__":
    theirs, ours = milliseconds(torch.optim.Muon), milliseconds(edu_optim.Muon)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, twelve matrices of 64 x 64")
    print(f"torch.optim.Muon {theirs:.2f} ms, edu_optim.Muon {ours:.2f} ms a step: {theirs / ours:.1f} times as fast")
