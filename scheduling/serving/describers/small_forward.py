"""The forward pass of a small Qwen2-VL for a batch of equal crops, with the fewest tensor operations.

`transformers`' own model serves any mix of picture sizes, prompts and caches, and pays for it on every token: on
a CPU a model this small spends most of its time in Python. Here every crop has one size and every prompt one
length, so positions are constants, crops are a plain batch and the cache is one tensor written in place. The
weights and the mathematics are those of `Qwen2VLForConditionalGeneration`; a test compares the logits. Loading
needs no transformers either, so a node starts quickly.

Shapes: B crops, P patches a crop, N image tokens, T tokens, D model width, H heads, G key heads, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from torch import Tensor

from scheduling.serving.contracts import Rgb

MEAN = STD = 127.5
BLANK = 128
"""The grey that stands where there is no template."""

VISION_EPS = 1e-6
VISION_THETA = 10000.0

Tables = tuple[Tensor, Tensor]
"""Cosines and sines of rotary positions, (length, head width) each."""

Weights = Mapping[str, Tensor]
"""Tensors by the names of a published Qwen2-VL checkpoint: `visual.blocks.0...`, `model.layers.0...`."""


@dataclass(frozen=True)
class Layout:
    """How a square crop becomes patches: its side, a patch's side, how many patches a token merges.

    `frames` is Qwen2-VL's temporal patch: with 2, each patch holds the crop's pixels and those of the golden template
    at the same place, as two frames of a film; grey where there is no template.
    """

    side_px: int
    patch_px: int
    merge: int
    frames: int = 1

    @property
    def grid(self) -> int:
        return self.side_px // self.patch_px

    @property
    def image_tokens(self) -> int:
        return (self.grid // self.merge) ** 2

    def patches(self, squares: Rgb, templates: Rgb | None = None) -> Tensor:
        """(B, side, side, 3) uint8 to (B, P, 3 * frames * patch * patch), in the merge-block order of Qwen2-VL."""
        g, m, p, t = self.grid // self.merge, self.merge, self.patch_px, self.frames
        if t > 1:
            golden = np.full_like(squares, BLANK) if templates is None else templates
            squares = np.stack([squares, golden], axis=1)
        pixels = torch.from_numpy(np.ascontiguousarray(squares)).float().sub_(MEAN).div_(STD)
        blocks = pixels.view(-1, t, g, m, p, g, m, p, 3).permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
        return blocks.reshape(len(squares), self.grid**2, 3 * t * p * p)

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
        steps = torch.arange(side) + 1
        text = torch.arange(length - 1 - side * side) + 1 + side  # a picture takes its longer side in positions
        image = (torch.ones(side * side, dtype=torch.long), steps.repeat_interleave(side), steps.repeat(side))
        start = torch.zeros(1, dtype=torch.long)
        return torch.stack([torch.cat([start, axis, text]) for axis in image])


@dataclass(frozen=True)
class Shape:
    """The numbers of a Qwen2-VL configuration that the forward pass needs."""

    layout: Layout
    vision_depth: int
    vision_heads: int
    vision_width: int
    depth: int
    heads: int
    key_heads: int
    width: int
    eps: float
    theta: float
    sections: tuple[int, ...]
    longest: int

    @classmethod
    def read(cls, config: Mapping[str, Any], side_px: int) -> "Shape":
        """From config.json; ValueError with a sentence where this forward pass would not be the model's."""
        text, vision = config.get("text_config", {}), config.get("vision_config", {})
        rope = text.get("rope_parameters") or {}
        wanted = {
            "model_type": (config.get("model_type"), "qwen2_vl"),
            "hidden_act": (text.get("hidden_act"), "silu"),
            "rope_type": (rope.get("rope_type"), "default"),
            "use_sliding_window": (bool(text.get("use_sliding_window")), False),
            "vision hidden_act": (vision.get("hidden_act"), "quick_gelu"),
            "tie_word_embeddings": (bool(config.get("tie_word_embeddings")), True),
        }
        for name, (found, needed) in wanted.items():
            if found != needed:
                raise ValueError(f"the small describer's forward pass needs {name} {needed!r}, not {found!r}")
        frames = int(vision.get("temporal_patch_size", 0))
        if frames not in (1, 2):
            raise ValueError(f"the small describer's forward pass needs temporal_patch_size 1 or 2, not {frames}")
        layout = Layout(side_px, int(vision["patch_size"]), int(vision["spatial_merge_size"]), frames)
        if side_px % (layout.patch_px * layout.merge):
            raise ValueError(f"a crop of {side_px} px does not divide into merged patches of {layout.patch_px} px")
        return cls(
            layout=layout,
            vision_depth=int(vision["depth"]),
            vision_heads=int(vision["num_heads"]),
            vision_width=int(vision["embed_dim"]),
            depth=int(text["num_hidden_layers"]),
            heads=int(text["num_attention_heads"]),
            key_heads=int(text["num_key_value_heads"]),
            width=int(text["hidden_size"]),
            eps=float(text["rms_norm_eps"]),
            theta=float(rope["rope_theta"]),
            sections=tuple(int(n) for n in rope["mrope_section"]),
            longest=int(text["max_position_embeddings"]),
        )

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def vision_tables(self) -> Tables:
        """(P, head width) for each patch's row and column."""
        half = self.vision_width // self.vision_heads // 2
        speeds = VISION_THETA ** -(torch.arange(0, half, 2).float() / half)
        angles = (self.layout.patch_places()[..., None] * speeds).flatten(1)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()

    def text_tables(self, length: int) -> Tables:
        """(length, head width): each section of the head follows the time, the row or the column."""
        speeds = self.theta ** -(torch.arange(0, self.head_width, 2).float() / self.head_width)
        angles = self.layout.positions(length)[..., None] * speeds
        parts = torch.split(angles, list(self.sections), dim=-1)
        angles = torch.cat([part[i % 3] for i, part in enumerate(parts)], dim=-1)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


def published_names(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a live transformers model under the names of its published checkpoint."""
    return {
        name.replace("model.visual.", "visual.", 1).replace("model.language_model.", "model.", 1): value
        for name, value in named.items()
    }


def rotate(x: Tensor, tables: Tables) -> Tensor:
    half = x.shape[-1] // 2
    return x * tables[0] + torch.cat((-x[..., half:], x[..., :half]), -1) * tables[1]


def see(weights: Weights, shape: Shape, patches: Tensor, tables: Tables) -> Tensor:
    """(B, P, C) patches to (B, N, D) image tokens, all of one type. Differentiable: training runs the same lines."""
    batch, count, _ = patches.shape

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], VISION_EPS)

    x = F.linear(patches, weights["visual.patch_embed.proj.weight"].flatten(1))
    for index in range(shape.vision_depth):
        block = f"visual.blocks.{index}"
        qkv = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x))
        q, k, v = qkv.view(batch, count, 3, shape.vision_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(rotate(q, tables), rotate(k, tables), v)
        x = x + linear(f"{block}.attn.proj", mixed.transpose(1, 2).reshape(batch, count, -1))
        inner = linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", x))
        x = x + linear(f"{block}.mlp.fc2", inner * torch.sigmoid(1.702 * inner))
    merged = norm("visual.merger.ln_q", x).reshape(batch, shape.layout.image_tokens, -1)
    return linear("visual.merger.mlp.2", F.gelu(linear("visual.merger.mlp.0", merged)))


class Writer:
    """The language side with fused weights: one product for query, key and value, one for gate and up.

    The products are computed in `dtype`; everything between them in float32.
    """

    def __init__(self, weights: Weights, shape: Shape, dtype: torch.dtype = torch.float32) -> None:
        self.shape, self._dtype = shape, dtype
        self.words = weights["model.embed_tokens.weight"]
        self._scores = self.words.to(dtype)
        self.norm = weights["model.norm.weight"]
        self.layers = [self._fused(weights, f"model.layers.{index}") for index in range(shape.depth)]
        self.tables = shape.text_tables(shape.longest)

    def _fused(self, weights: Weights, layer: str) -> tuple[Tensor, ...]:
        attention, mlp = f"{layer}.self_attn", f"{layer}.mlp"
        products = (
            torch.cat([weights[f"{attention}.{part}_proj.weight"] for part in "qkv"]),
            torch.cat([weights[f"{attention}.{part}_proj.bias"] for part in "qkv"]),
            weights[f"{attention}.o_proj.weight"],
            torch.cat([weights[f"{mlp}.gate_proj.weight"], weights[f"{mlp}.up_proj.weight"]]),
            weights[f"{mlp}.down_proj.weight"],
        )
        norms = weights[f"{layer}.input_layernorm.weight"], weights[f"{layer}.post_attention_layernorm.weight"]
        return *norms, *(weight.to(self._dtype) for weight in products)

    def start(self, batch: int, length: int) -> "Cache":
        return Cache(self.shape, batch, length)

    def forward(self, x: Tensor, cache: "Cache", *, outputs: int = 1) -> Tensor:
        """(B, T, D) inputs after those kept so far to logits (B, outputs, V) of the last ones; fills the cache."""
        batch, count, _ = x.shape
        shape = self.shape
        places = (cache.kept[:, None] + torch.arange(count)).clamp(max=shape.longest - 1)
        cosines, sines = (table[places][:, None] for table in self.tables)
        mask = cache.open(count, shared=shape.heads // shape.key_heads)
        for index, (norm_in, norm_mid, qkv, bias, out, gate_up, down) in enumerate(self.layers):
            mixed = _product(F.rms_norm(x, x.shape[-1:], norm_in, shape.eps), qkv, bias)
            heads = mixed.view(batch, count, -1, shape.head_width).transpose(1, 2)
            turned = rotate(heads[:, : shape.heads + shape.key_heads], (cosines, sines))
            keys, values = cache.write(index, turned[:, shape.heads :], heads[:, shape.heads + shape.key_heads :])
            # The heads that share a key are laid out as more queries: one product a key head.
            queries = turned[:, : shape.heads].reshape(batch, shape.key_heads, -1, shape.head_width)
            seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
            seen = seen.reshape(batch, shape.heads, count, -1).transpose(1, 2).reshape(batch, count, -1)
            x = x + _product(seen, out)
            gate, up = _product(F.rms_norm(x, x.shape[-1:], norm_mid, shape.eps), gate_up).chunk(2, dim=-1)
            x = x + _product(F.silu(gate) * up, down)
        return _product(F.rms_norm(x[:, -outputs:], x.shape[-1:], self.norm, shape.eps), self._scores)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x.to(weight.dtype), weight, bias).to(x.dtype)


class Cache:
    """Keys and values of a batch, (layers, B, G, slots, head) each.

    A forward pass fills the next slots of every row alike. `keep` then says how many of them each row goes on from;
    the others stay where they are, and no later query of that row sees them. `kept` (B) counts those that are seen:
    the position of a row's next token.
    """

    def __init__(self, shape: Shape, batch: int, slots: int) -> None:
        size = (shape.depth, batch, shape.key_heads, slots, shape.head_width)
        self.keys, self.values = torch.empty(size), torch.empty(size)
        self.slots = slots
        self.kept = torch.zeros(batch, dtype=torch.long)
        self._hidden = torch.zeros(batch, slots)
        self._first = self._last = 0

    @property
    def free(self) -> int:
        return self.slots - self._last

    def open(self, count: int, *, shared: int) -> Tensor | None:
        """Take the next `count` slots; what to add to the scores (B, 1, shared * count, slots so far), if anything.

        Each query sees its row's kept slots and, of the new ones, those up to its own; queries are stacked by head.
        """
        self._first, self._last = self._last, self._last + count
        before = self._hidden[:, : self._first]
        if count == 1 and not before.any():
            return None
        later = torch.full((count, count), -torch.inf).triu(1)
        rows = len(before)
        mask = torch.cat([before[:, None].expand(-1, count, -1), later.expand(rows, -1, -1)], dim=2)
        return mask.repeat(1, shared, 1)[:, None]

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put a layer's keys and values into the new slots; all of them up to now, (B, G, slots so far, head)."""
        self.keys[layer, :, :, self._first : self._last] = keys
        self.values[layer, :, :, self._first : self._last] = values
        return self.keys[layer, :, :, : self._last], self.values[layer, :, :, : self._last]

    def drop_all_but(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone, in this order."""
        chosen = torch.tensor(rows)
        keys, values = self.keys, self.values
        self.keys, self.values = (torch.empty(old[:, : len(rows)].shape) for old in (keys, values))
        self.keys[..., : self._last, :] = keys[:, chosen, :, : self._last]
        self.values[..., : self._last, :] = values[:, chosen, :, : self._last]
        self.kept, self._hidden = self.kept[chosen], self._hidden[chosen]

    def keep(self, counts: Sequence[int]) -> None:
        """Of the slots of the last forward pass each row keeps the first so many; the rest are hidden from it."""
        self._last = self._first + max(counts)
        self.kept += torch.tensor(counts)
        for row, count in enumerate(counts):
            self._hidden[row, self._first + count : self._last] = -torch.inf
