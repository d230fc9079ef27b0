"""How long a step of Muon takes beside torch's, on twelve matrices of 64 x 64: ``python tests/bench_muon.py``.

torch iterates in bfloat16, for which not every CPU has instructions: with ``ONEDNN_MAX_CPU_ISA=AVX2`` before the
command it takes the time that it takes on a CPU without.
"""

import statistics
import time

import torch

import edu_optim


def milliseconds(cls, device, rounds=9, steps=10):
    """The median over rounds of the time of a step."""
    draw = torch.Generator().manual_seed(0)
    matrices = [torch.randn(64, 64, generator=draw).to(device).requires_grad_() for _ in range(12)]
    for p in matrices:
        p.grad = torch.randn(64, 64, generator=draw).to(device)
    optimizer = cls(matrices)
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append((time.perf_counter() - start) / steps * 1e3)
    return statistics.median(found)


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, twelve matrices of 64 x 64")
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        theirs, ours = milliseconds(torch.optim.Muon, device), milliseconds(edu_optim.Muon, device)
        print(f"{device}: torch.optim.Muon {theirs:.2f} ms, edu_optim.Muon {ours:.2f} ms a step: {theirs / ours:.1f} x")
