"""Any model of the describer door with an adapter: Qwen2-VL and its kin, InternVL, SmolVLM, LLaVA-Next.

LoRA on all linear layers of the language side; vision tower and aligner stay as they are. One example after the
other, since each has its own picture size and its own question; gradients add up over the batch. In bfloat16 where
there is a GPU; with bitsandbytes beside it, a base in 4 bits is left to `transformers`' own configuration.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from torch import Tensor

from finetune.training.lora.answers import answer_texts
from finetune.training.lora.coaugment import Example
from finetune.training.lora.learners import Learner
from finetune.training.lora.recipe import LoraRecipe
from scheduling.serving.answers import TEXT_FIELDS
from scheduling.serving.contracts import Describer
from scheduling.serving.describers.adapters import Adapter
from scheduling.serving.describers.hub import HubDescriber

TARGETS: Final = (
    r"^(?!.*(visual|vision|connector|multi_modal_projector|merger)).*"
    r"\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)$"
)
PEAK_RATE: Final = 1e-4
IGNORED: Final = -100


class HubLearner(Learner):
    """See the module."""

    def __init__(self, spec: str, recipe: LoraRecipe) -> None:
        self._base = HubDescriber.open(spec, threads=recipe.threads)
        self.base_spec, self.base_digest = spec, self._base.digest
        super().__init__(self._base.model, recipe, TARGETS)
        self.peak_rate = recipe.rate or PEAK_RATE

    def loss(self, examples: Sequence[Example]) -> Tensor:
        total: Any = 0.0
        for example in examples:
            total = total + self._loss_of(example)
        return total / len(examples)  # type: ignore[no-any-return]

    def describer(self, adapter: Path) -> Describer:
        """The live model: what `adapter` holds is what it computes with at this moment."""
        return HubDescriber(
            self.model,
            self._base.processor,
            name=adapter.name,
            version="",
            digest=Adapter.read(adapter).digest,
            max_tokens=self._base.max_tokens,
        )

    def _loss_of(self, example: Example) -> Tensor:
        inputs = self._base.inputs(example.crop, example.question, example.template)
        answer = self._answer_ids(example).to(inputs["input_ids"].device)
        count = answer.shape[1]
        made = {name: _longer(name, value, inputs["input_ids"].shape, answer) for name, value in inputs.items()}
        logits = self.model(**made, use_cache=False).logits[:, -count - 1 : -1]
        return F.cross_entropy(logits.float().flatten(0, 1), answer.flatten())

    def _answer_ids(self, example: Example) -> Tensor:
        texts = answer_texts(example, (), own_product=False)
        known = {"defect_class": texts["defect_class"]} | {n: texts[n] for n in TEXT_FIELDS if n in texts}
        whole = len(known) == 1 + len(TEXT_FIELDS)
        text = json.dumps(known | ({"confidence": 1.0} if whole else {}), ensure_ascii=False)
        tokenizer = self._base.processor.tokenizer
        ids = tokenizer(text if whole else text[:-1] + ",", add_special_tokens=False, return_tensors="pt")["input_ids"]
        end = torch.tensor([[tokenizer.eos_token_id]])
        return torch.cat([ids, end], dim=1) if whole else ids


def _longer(name: str, value: Tensor, shape: Any, answer: Tensor) -> Tensor:
    """A tensor of the prompt's shape made as long as prompt and answer; all others as they are."""
    if value.shape != shape:
        return value
    if name == "input_ids":
        return torch.cat([value, answer], dim=1)
    fill = torch.ones_like(answer) if name == "attention_mask" else torch.zeros_like(answer)
    return torch.cat([value, fill.to(value.dtype)], dim=1)
