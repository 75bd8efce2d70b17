"""The forward pass of a small Qwen2-VL for a batch of equal crops, with the fewest tensor operations.

`transformers`' own model serves any mix of picture sizes, prompts and caches, and pays for it on every token: on
a CPU a model this small spends most of its time in Python. Here every crop has one size and every prompt one
length, so positions are constants, crops are a plain batch and the cache is one tensor written in place. The
weights and the mathematics are those of `Qwen2VLForConditionalGeneration`; a test compares the logits.

Shapes: B crops, P patches a crop, N = P / 4 image tokens, T tokens, D model width, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from torch import Tensor

from scheduling.serving.contracts import Rgb

MEAN = STD = 127.5


@dataclass(frozen=True)
class Layout:
    """How a square crop becomes patches: its side, a patch's side, and how many patches a token merges."""

    side_px: int
    patch_px: int
    merge: int

    @property
    def grid(self) -> int:
        return self.side_px // self.patch_px

    @property
    def image_tokens(self) -> int:
        return (self.grid // self.merge) ** 2

    def patches(self, squares: Rgb) -> Tensor:
        """(B, side, side, 3) uint8 to (B, P, 3 * patch * patch), in the merge-block order of Qwen2-VL."""
        g, m, p = self.grid // self.merge, self.merge, self.patch_px
        pixels = torch.from_numpy(np.ascontiguousarray(squares)).float().sub_(MEAN).div_(STD)
        blocks = pixels.view(-1, g, m, p, g, m, p, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
        return blocks.reshape(len(squares), self.grid**2, 3 * p * p)

    def patch_places(self) -> Tensor:
        """(P, 2): row and column of each patch in that order."""
        g, m = self.grid // self.merge, self.merge
        places = torch.arange(self.grid)
        rows = places.view(g, 1, m, 1).expand(g, g, m, m)
        columns = places.view(1, g, 1, m).expand(g, g, m, m)
        return torch.stack([rows.reshape(-1), columns.reshape(-1)], dim=1)

    def positions(self, length: int) -> Tensor:
        """(3, length): Qwen2-VL's positions of [vision start, image tokens, vision end, text ...]."""
        side = self.grid // self.merge
        after = 1 + side  # the picture takes as many positions as its longer side
        image = torch.arange(side) + 1
        rows, columns = image.repeat_interleave(side), image.repeat(side)
        text = torch.arange(length - 1 - side * side) + after
        stamps = [
            torch.cat([torch.zeros(1, dtype=torch.long), part, text]) for part in (torch.ones_like(rows), rows, columns)
        ]
        return torch.stack(stamps)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


def vision_tables(visual: Any, layout: Layout) -> tuple[Tensor, Tensor]:
    """Cosines and sines (P, head) of each patch's place."""
    cos, sin = visual.rotary_pos_emb(torch.zeros(1), layout.patch_places())
    return cos, sin


def see(visual: Any, patches: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """(B, P, C * p * p) to image tokens (B, N, D), through the modules of `model.model.visual`."""
    batch, count, _ = patches.shape
    weight = visual.patch_embed.proj.weight
    x = patches @ weight.view(weight.shape[0], -1).t()
    for block in visual.blocks:
        heads = block.attn.num_heads
        qkv = block.attn.qkv(block.norm1(x)).view(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(qkv[0], *tables), rotate(qkv[1], *tables)
        mixed = F.scaled_dot_product_attention(q, k, qkv[2])
        x = x + block.attn.proj(mixed.transpose(1, 2).reshape(batch, count, -1))
        x = x + block.mlp(block.norm2(x))
    merged: Tensor = visual.merger(x.reshape(batch * count, -1))
    return merged.view(batch, -1, merged.shape[-1])
