"""The optimiser of fine-tuning. Torch's own loads a compiler on its first step, which takes longer than tuning."""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi, sqrt

import torch

BETAS, EPSILON = (0.9, 0.999), 1e-8


class AdamW:
    """Adam with decoupled weight decay; the rate falls along half a cosine from ``rate`` to 0 over ``steps``.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(self, parameters: Iterable[torch.Tensor], *, rate: float, decay: float, steps: int) -> None:
        self.parameters = list(parameters)
        self.rate, self.decay, self.steps = rate, decay, steps
        self.taken = 0
        self._mean = [torch.zeros_like(each) for each in self.parameters]
        self._square = [torch.zeros_like(each) for each in self.parameters]

    def step(self) -> None:
        """Move every parameter against its gradient, and forget the gradients."""
        rate = self.rate * (1 + cos(pi * self.taken / self.steps)) / 2
        self.taken += 1
        first, second = (1 - beta**self.taken for beta in BETAS)
        with torch.no_grad():
            for parameter, mean, square in zip(self.parameters, self._mean, self._square, strict=True):
                gradient = parameter.grad
                assert gradient is not None  # noqa: S101  (every weight of the net is on the way to the loss)
                parameter.mul_(1 - rate * self.decay)
                mean.lerp_(gradient, 1 - BETAS[0])
                square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                parameter.addcdiv_(mean, (square.sqrt() / sqrt(second)).add_(EPSILON), value=-rate / first)
                parameter.grad = None
