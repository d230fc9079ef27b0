"""What came after Adam: rules, and the classes of torch.optim that run them."""

from .muon import Muon, split
from .optimizers import NAdam, RAdam

__all__ = ["Muon", "NAdam", "RAdam", "split"]
