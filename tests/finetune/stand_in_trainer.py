"""A trainer that learns nothing: it writes the events of the real one, keeps a checkpoint, and ends as it is told to.

    python stand_in_trainer.py run.json out/

`stand_in` in run.json says what happens at a step: {"fail_at", "die_at", "crash_at", "eat_mib", "step_s"};
and at the end: {"pickle", "report"}.
"""

import ctypes
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

asked_to_stop = False


def main(order_path: Path, out: Path) -> int:
    signal.signal(signal.SIGTERM, _stop)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    order = json.loads(order_path.read_text())
    acts: dict[str, Any] = order.get("stand_in", {})
    checkpoint = out / "checkpoint.json"
    step = json.loads(checkpoint.read_text())["step"] if checkpoint.exists() else 0
    steps = order["max_steps"]
    say(out, "started", step=step, steps=steps)
    held = bytearray(acts.get("eat_mib", 0) * 1024**2)
    while step < steps:
        if asked_to_stop:
            say(out, "cancelled", step=step, sentence="It was asked to stop.")
            return 3
        step += 1
        say(out, "step", step=step, loss=1 / step, learning_rate=1e-4, seconds_left=float(steps - step))
        checkpoint.write_text(json.dumps({"step": step}))
        ended = act(out, acts, step)
        if ended is not None:
            return ended
        time.sleep(acts.get("step_s", 0))
    say(out, "validated", step=step, field_f1=0.8, class_accuracy=0.9, json_valid=1.0, fields={}, best=True)
    if "report" in acts:
        (out / "report").mkdir(exist_ok=True)
        (out / "report" / "report.json").write_text(json.dumps(acts["report"]))
    digest = write_weights(out / "adapter", order["seed"], pickle=bool(acts.get("pickle")))
    say(out, "done", step=step, sentence="It was as good as it gets.", adapter=digest, field_f1=0.8, held=len(held))
    return 0


def act(out: Path, acts: dict[str, Any], step: int) -> int | None:
    """What is to happen at this step, if anything; dying happens once."""
    if acts.get("fail_at") == step:
        say(out, "failed", code="bad_picture", sentence="a.png is no readable picture.", hint="Seal a new version.")
        return 1
    if acts.get("crash_at") == step:
        raise RuntimeError("a fault that nobody foresaw")
    if acts.get("die_at") == step and (acts.get("always") or not (out / "died").exists()):
        (out / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return None


def say(out: Path, event: str, **fields: Any) -> None:
    with (out / "events.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, "at": "2026-01-01T00:00:00.000+00:00", **fields}) + "\n")


def write_weights(folder: Path, seed: int, *, pickle: bool) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    data = b"\x80\x04pickle" if pickle else struct.pack("<Q", len(header)) + header + struct.pack("<I", seed)
    (folder / "adapter_model.safetensors").write_bytes(data)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    lineage = {"base": {"digest": "b" * 64}, "classes": ["open"], "packages": {"torch": "2"}}
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return {"path": "adapter", "bytes": len(data)}


def _stop(*_: object) -> None:
    global asked_to_stop
    asked_to_stop = True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
