"""The model, the data and the optimizer with which training loops are watched."""

import torch


def _first_line():
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(0.67037853)
        model.bias.fill_(0.34645085)
    return model


def _places():
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    return x, 2 * x


class _Diary(torch.optim.SGD):
    """Gradient descent that writes down the gradient and the learning rate of each step."""

    def __init__(self, parameters, **options):
        super().__init__(parameters, lr=0.01, **options)
        self.gradients, self.rates = [], []

    def step(self, closure=None):
        group = self.param_groups[0]
        zeros = [torch.zeros_like(p) if p.grad is None else p.grad for p in group["params"]]
        self.gradients.append(torch.cat([g.flatten() for g in zeros]).clone())
        self.rates.append(group["lr"])
        super().step()


def _pages(model, diary):
    weights = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    return [
        ("the number of calls of step()", len(diary.gradients)),
        *((f"the learning rate at step {k}", lr) for k, lr in enumerate(diary.rates, 1)),
        *((f"the gradient at step {k}", g) for k, g in enumerate(diary.gradients, 1)),
        ("the model at the end", weights),
    ]
