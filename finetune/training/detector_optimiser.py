"""Optimisers for a convolutional network: Muon where a batch norm follows, AdamW for everything else.

Muon steps by the orthogonalised momentum, so that every direction of a filter bank learns equally fast. It needs
weights whose scale does not matter, which is what a batch norm behind them makes of them. Knows no detector.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from finetune.training import ultralytics_import

ADAM_BETAS = (0.9, 0.99)
MUON_MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """Steps 4-D weights by their orthogonalised Nesterov momentum, with decoupled weight decay."""

    def __init__(self, weights: list[torch.Tensor], *, lr: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients that are there; takes no closure."""
        ultralytics_import.ensure()
        from ultralytics.optim.muon import muon_update

        if closure is not None:
            raise ValueError("Muon evaluates no closure")
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            momenta = [self._momentum(weight) for weight in weights]
            gradients = [weight.grad for weight in weights]
            updates: Any = muon_update(gradients, momenta, beta=MUON_MOMENTUM)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, updates, alpha=-group["lr"])

    def _momentum(self, weight: torch.Tensor) -> torch.Tensor:
        """In the weight's own memory order: a resumed run rounds as an unbroken one does."""
        kept: torch.Tensor = self.state[weight].get("momentum", torch.zeros_like(weight))
        momentum = torch.empty_like(weight).copy_(kept) if kept.stride() != weight.stride() else kept
        self.state[weight]["momentum"] = momentum
        return momentum


def optimisers_of(
    network: nn.Module, *, muon_rate: float, adam_rate: float, weight_decay: float
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the convolutions without a bias, which a batch norm follows here; AdamW for the rest, undecayed."""
    before_norm = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is None]
    known = {id(weight) for weight in before_norm}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in known]
    return (
        Muon(before_norm, lr=muon_rate, weight_decay=weight_decay),
        torch.optim.AdamW(rest, lr=adam_rate, betas=ADAM_BETAS, weight_decay=0.0),
    )
