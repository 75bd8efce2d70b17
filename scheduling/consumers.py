"""The fleet's websocket: decisions as they are made, and every node's state now and then. Knows nothing of lines."""

from typing import Any

import rules

from aivd_web.kernel.socket import LiveSocket
from aivd_web.kernel.threads import in_thread
from scheduling.runtime import FLEET_GROUP
from scheduling.services import fleet


class FleetSocket(LiveSocket):
    """`/ws/v1/fleet`: hints only. Each beat tells the nodes that changed, so a lost hint is made up for."""

    group = FLEET_GROUP

    async def allowed(self, who: Any) -> bool:
        return bool(await in_thread(rules.has_perm, "scheduling.see_fleet", who))

    async def joined(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        await self.beat()

    async def heard(self, message: dict[str, Any]) -> None:
        if message["hint"]["type"] == "node":
            await self.beat()  # the hint holds only what changed
        else:
            await self.tell(message["hint"])

    async def beat(self) -> None:
        for node in await in_thread(fleet.snapshot):
            if self.told.get(node["name"]) != node:
                self.told[node["name"]] = node
                await self.tell({"type": "node", **node})
        await self.tell({"type": "beat"})
