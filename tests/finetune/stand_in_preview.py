"""A preview that shows one crop, or ends as `stand_in` in run.json says: {"fail", "crash", "sleep_s", "shown"}.

python stand_in_preview.py run.json out/
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(order_path: Path, out: Path) -> int:
    acts: dict[str, Any] = json.loads(order_path.read_text()).get("stand_in", {})
    say(out, event="log", level="info", text="Reads and checks 3 pictures.")
    time.sleep(acts.get("sleep_s", 0))
    if acts.get("fail"):
        say(out, event="failed", code="bad_picture", sentence="a.png is no readable picture.", hint="Seal again.")
        return 1
    if acts.get("crash"):
        raise RuntimeError("a fault that nobody foresaw")
    (out / "crops").mkdir()
    (out / "crops" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n of a crop")
    shown = {"estimate": {"seconds": 12.5}, "places": {"train": 9, "validation": 3}, "crops": [{"question": "a\0b"}]}
    (out / "preview.json").write_text(json.dumps(acts.get("shown", shown)))
    return 0


def say(out: Path, **fields: Any) -> None:
    with (out / "events.jsonl").open("a") as file:
        file.write(json.dumps(fields) + "\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
