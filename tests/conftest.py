"""Each process that runs tests computes on one core; there is one more than cores, since some wait for a browser."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers():
    return min(8, (yield)) + 1
