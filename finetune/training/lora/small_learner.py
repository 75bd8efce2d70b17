"""The shipped small describer with an adapter: vision through the node's own lines, language through transformers.

All linear layers get LoRA, the vision tower's and the aligner's too: a tower of this size has seen one product only,
and learns to see another. Text that nobody wrote about a region of the base's own product is left out of the loss.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from torch import Tensor

from finetune.training.lora.answers import answer_texts
from finetune.training.lora.coaugment import Example
from finetune.training.lora.learners import Learner
from finetune.training.lora.recipe import LoraRecipe
from scheduling.serving import torchvision_ops
from scheduling.serving.answers import TEXT_FIELDS
from scheduling.serving.contracts import Describer
from scheduling.serving.describers.adapters import Adapter, published_name
from scheduling.serving.describers.small import (
    CLASSES_FILE,
    SmallDescriber,
    small_shape,
    squares_of,
    trained_classes,
)
from scheduling.serving.describers.small_forward import see
from scheduling.serving.describers.small_tokens import AnswerTokens
from scheduling.serving.model_folder import check_folder, digest_of, read_json

TARGETS: Final = (
    r".*(visual\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])|visual\.merger\.mlp\.[02]"
    r"|layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj))"
)
IGNORED: Final = -100
PEAK_RATE: Final = 2e-3


class SmallLearner(Learner):
    """See the module."""

    def __init__(self, folder: Path, spec: str, recipe: LoraRecipe, class_names: Sequence[str]) -> None:
        files = check_folder(folder)
        torchvision_ops.ensure()
        from transformers import Qwen2VLForConditionalGeneration

        model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        super().__init__(model, recipe, TARGETS)
        self.folder, self.base_spec, self.base_digest = folder, spec, digest_of(files)
        self.peak_rate = recipe.rate or PEAK_RATE
        self.shape = small_shape(folder)
        self.tables = self.shape.vision_tables()
        self.tokens = AnswerTokens.load(folder / "tokenizer.json")
        self.base_classes = trained_classes(folder)
        self.hint_tokens = int(read_json(folder / CLASSES_FILE).get("hint_tokens", 0))
        self.own_product = set(class_names) <= set(self.base_classes)
        self.threads = recipe.threads

    def loss(self, examples: Sequence[Example]) -> Tensor:
        layout = self.shape.layout
        squares = squares_of([(example.crop, example.template) for example in examples], layout)
        image = see(self._effective(), self.shape, layout.patches(*squares), self.tables)
        ids, targets = self._ids(examples)
        inner = self.model.base_model.model
        words = inner.get_input_embeddings()(ids)
        inputs = torch.cat([words[:, :1], image, words[:, 1 + image.shape[1] :]], dim=1)
        rows, length = ids.shape
        positions = layout.positions(length)[:, None].expand(3, rows, length)
        hidden = inner.model.language_model(
            inputs_embeds=inputs, position_ids=positions, use_cache=False
        ).last_hidden_state
        known = targets != IGNORED
        return F.cross_entropy(inner.lm_head(hidden[known]), targets[known])

    def describer(self, adapter: Path) -> Describer:
        return SmallDescriber(self.folder, threads=self.threads, name=adapter.name, adapter=Adapter.read(adapter))

    def _effective(self) -> dict[str, Tensor]:
        """The vision tower's weights with the adapter's products added, by published names; differentiable."""
        weights: dict[str, Tensor] = {}
        for name, module in self.model.base_model.model.named_modules():
            if "visual" not in name:
                continue
            published = published_name(name)
            if hasattr(module, "lora_A"):
                product = module.lora_B["default"].weight @ module.lora_A["default"].weight
                weights[f"{published}.weight"] = module.base_layer.weight + module.scaling["default"] * product
                weights[f"{published}.bias"] = module.base_layer.bias
            else:
                for key, value in module.named_parameters(recurse=False):
                    weights.setdefault(f"{published}.{key}", value)
        return weights

    def _ids(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """(B, T) ids of prefix and answer, and targets shifted by one."""
        rows = []
        for example in examples:
            hint = self.tokens.hint_ids(example.hint, self.hint_tokens)
            prefix = self.tokens.prefix(self.shape.layout.image_tokens, hint)
            rows.append((prefix, *self._answer(example)))
        length = max(len(prefix) + len(answer) for prefix, answer, _ in rows) - 1
        ids = torch.full((len(rows), length), self.tokens.pad_id)
        targets = torch.full((len(rows), length), IGNORED)
        for row, (prefix, answer, known) in enumerate(rows):
            sequence = torch.tensor([*prefix, *answer])
            ids[row, : len(sequence) - 1] = sequence[:-1]
            first = len(prefix) - 1
            targets[row, first : first + len(answer)] = torch.tensor(
                [token if counts else IGNORED for token, counts in zip(answer, known, strict=True)]
            )
        return ids, targets

    def _answer(self, example: Example) -> tuple[list[int], list[bool]]:
        """The answer's tokens and which of them count; it ends before the first text that nobody knows."""
        texts = answer_texts(example, self.base_classes, own_product=self.own_product)
        ids, frames = self.tokens.text_ids(texts["defect_class"]), self.tokens.frame_ids
        ids.append(frames[1])
        for place, name in enumerate(TEXT_FIELDS, start=2):
            if name not in texts:
                break
            ids += [*self.tokens.text_ids(texts[name]), frames[place]]
        return ids, [True] * len(ids)
