"""Each process that runs tests computes on one core; there is one more than cores, since some wait for a browser."""

import gc

import pytest
import torch

torch.set_num_threads(1)
gc.disable()  # what collecting the tests makes stays: to look through it takes as long again


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers():
    return min(8, (yield)) + 1
