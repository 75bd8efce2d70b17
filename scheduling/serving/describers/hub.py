"""Describe with any image-text-to-text model of transformers, from a local folder or the Hugging Face hub.

One region after another, streamed. Local folders are looked through before anything in them is opened, and no
model brings its own code. The hub is asked only when the spec is a hub id. Knows families only by their adapters.
"""

import importlib
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from scheduling.serving import torchvision_ops
from scheduling.serving.answers import complete_answer, read_answer
from scheduling.serving.contracts import AnswerEvent, Describer, RegionRequest, Rgb, SizeWh, TokenEvent
from scheduling.serving.describers.adapters import Adapter
from scheduling.serving.describers.families import Family, family_of
from scheduling.serving.model_folder import RefusedFiles, check_folder, digest_of
from scheduling.serving.prompts import ask

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MAX_TOKENS: Final = 320
LOAD_TIMEOUT_S: Final = "30"
LONGEST_CHARACTER: Final = 4
"""Bytes of UTF-8; what is no character after as many tokens will not become one."""


def open_describer(spec: str, *, threads: int) -> Describer:
    return HubDescriber.open(spec, threads=threads)


class HubDescriber:
    """A transformers model and its processor; describes in float32 on a CPU, in bfloat16 on a GPU."""

    def __init__(self, model: Any, processor: Any, *, name: str, version: str, digest: str, max_tokens: int) -> None:
        self.model, self.processor, self.max_tokens = model.eval(), processor, max_tokens
        self.family: Family = family_of(model.config.model_type)
        self.name, self.version, self.digest = name, version, digest
        self.spec = name
        """What `open` was given: a folder or a hub id."""
        self.runtime = f"transformers {_transformers().__version__} {model.device.type}, {self.family.name}"

    @classmethod
    def open(
        cls, spec: str, *, threads: int, max_tokens: int = MAX_TOKENS, adapter: Adapter | None = None
    ) -> "HubDescriber":
        """Load a folder or a hub id, with an adapter merged into it where one is given.

        Raises ValueError with a sentence when it cannot be loaded.
        """
        torch.set_num_threads(threads)
        folder = Path(spec)
        local = folder.exists()
        if local:
            digest = digest_of(check_folder(folder))
        elif not HUB_ID.fullmatch(spec):
            raise RefusedFiles(f"{spec!r} is neither a folder here nor a hub id such as Qwen/Qwen2.5-VL-3B-Instruct.")
        try:
            model, processor = _load(spec, offline=local)
            if adapter:
                model = importlib.import_module("peft").PeftModel.from_pretrained(model, adapter.folder)
                model = model.merge_and_unload()
        except Exception as error:  # transformers raises nearly every kind; all mean that this model is not usable
            raise RefusedFiles(f"{spec} cannot be loaded: {type(error).__name__}: {_first_line(error)}") from error
        revision = str(getattr(model.config, "_commit_hash", None) or "")
        if not local:
            digest = revision
        if adapter:
            revision, digest = "", adapter.digest
        made = cls(
            model,
            processor,
            name=adapter.folder.name if adapter else folder.name,
            version=revision[:12] or digest[:12],
            digest=digest,
            max_tokens=max_tokens,
        )
        made.spec = spec
        return made

    def adapted(self, adapter: Adapter) -> "HubDescriber":
        """Another describer: this one's base, loaded once more, with the adapter merged. Raises RefusedFiles."""
        base = Path(self.spec)
        if base.exists():
            adapter.check_base(base)
        elif adapter.base != self.spec:
            raise RefusedFiles(f"The adapter was trained over {adapter.base}; this node serves {self.spec}.")
        made = HubDescriber.open(self.spec, threads=torch.get_num_threads(), adapter=adapter)
        made.name = self.name
        return made

    def save(self, folder: Path) -> None:
        """Write model and processor as a folder that `open` reads."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
        templates: Sequence[Rgb | None] | None = None,
    ) -> Iterator[TokenEvent | AnswerEvent]:
        """See `Describer`; `templates[i]`, where there is one, is the same cut of the golden template."""
        if len(crops) != len(regions):
            raise ValueError(f"{len(crops)} crops for {len(regions)} regions")
        golden = templates or [None] * len(crops)
        for crop, template, region in zip(crops, golden, regions, strict=True):
            text = ask(
                class_names=class_names,
                detector_class=region.detector_class,
                score=region.score,
                template=template is not None,
            )
            written, tokens = "", 0
            for piece in self._write(self.inputs(crop, text, template), is_cancelled):
                written, tokens = written + piece, tokens + 1
                yield TokenEvent(region.region_id, piece)
            if is_cancelled():
                return
            answer, errors = read_answer(written, class_names)
            if not errors:
                answer = complete_answer(answer, box_xyxy=region.box_xyxy, frame_size_wh=frame_size_wh)
            yield AnswerEvent(region.region_id, answer, written, not errors, errors, tokens)

    def _write(self, inputs: Any, is_cancelled: Callable[[], bool]) -> Iterator[str]:
        """The pieces of one answer. `generate` runs in a thread of its own and hands them over."""
        pieces: queue.Queue[str | BaseException | None] = queue.Queue()
        stop = threading.Event()
        streamer = _streamer(self.processor.tokenizer, pieces)

        def generate() -> None:
            try:
                self._generate(inputs, streamer, stop)
                pieces.put(None)
            except BaseException as error:
                pieces.put(error)

        worker = threading.Thread(target=generate, name="describe", daemon=True)
        worker.start()
        try:
            while not is_cancelled() and (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            stop.set()
            worker.join()

    def inputs(self, crop: Rgb, text: str, template: Rgb | None = None) -> Any:
        """The processor's tensors for one crop, its cut of the template if there is one, and its text."""
        pictures = [enlarged(one, self.family.least_side_px) for one in (crop, template) if one is not None]
        content: list[dict[str, Any]] = [{"type": "image", "image": picture} for picture in pictures]
        content.append({"type": "text", "text": text})
        turns = getattr(self.processor, "chat_template", None) or self.family.chat_template or None
        prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], chat_template=turns, add_generation_prompt=True, tokenize=False
        )
        made = self.processor(text=[prompt], images=pictures, return_tensors="pt", **self.family.images)
        return made.to(self.model.device)

    @torch.inference_mode()
    def _generate(self, inputs: Any, streamer: Any, stop: threading.Event) -> None:
        def stopped(ids: Any, scores: Any, **_: Any) -> Any:
            return torch.full((ids.shape[0],), stop.is_set(), device=ids.device)

        self.model.generate(
            **inputs,
            max_new_tokens=self.max_tokens,
            do_sample=False,
            num_beams=1,
            streamer=streamer,
            stopping_criteria=[stopped],
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )


def enlarged(crop: Rgb, least_side_px: int) -> Image.Image:
    """The crop as a picture whose shorter side has at least `least_side_px`, aspect kept up to 1:8."""
    picture = Image.fromarray(crop)
    scale = least_side_px / min(picture.size)
    if scale <= 1:
        return picture
    longest = 8 * least_side_px
    width, height = (min(max(least_side_px, round(side * scale)), longest) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _load(spec: str, *, offline: bool) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", LOAD_TIMEOUT_S)
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", LOAD_TIMEOUT_S)
    transformers = _transformers()
    gpu = torch.cuda.is_available()
    common = {"local_files_only": offline, "trust_remote_code": False}
    processor = transformers.AutoProcessor.from_pretrained(spec, **common)
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        spec, use_safetensors=True, dtype=torch.bfloat16 if gpu else torch.float32, **common
    )
    return model.to("cuda") if gpu else model, processor


def _transformers() -> Any:
    torchvision_ops.ensure()
    return importlib.import_module("transformers")


def _streamer(tokenizer: Any, pieces: "queue.Queue[str | BaseException | None]") -> Any:
    base: Any = importlib.import_module("transformers.generation.streamers").BaseStreamer

    class Streamer(base):  # type: ignore[misc]
        """Hands text over token by token, but no character before all of its bytes are there."""

        def __init__(self) -> None:
            self.ids: list[int] = []
            self.given = 0
            self.after_prompt = False

        def put(self, value: Any) -> None:
            if self.after_prompt:  # the first call brings the prompt
                self.ids += value.reshape(-1).tolist()
                self.give(whole=len(self.ids) % LONGEST_CHARACTER == 0)
            self.after_prompt = True

        def end(self) -> None:
            self.give(whole=True)

        def give(self, *, whole: bool) -> None:
            text = tokenizer.decode(self.ids, skip_special_tokens=True)
            if len(text) > self.given and (whole or not text.endswith("\ufffd")):
                pieces.put(text[self.given :])
                self.given = len(text)

    return Streamer()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]
