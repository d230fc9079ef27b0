"""Each process that runs tests computes on one core: as many run at once as there are cores."""

import torch

torch.set_num_threads(1)
