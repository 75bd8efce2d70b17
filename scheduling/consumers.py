"""The fleet's websocket: decisions as they are made, and every node's state now and then.

Knows nothing of lines: a decision is told to those who may see its scope.
"""

from typing import Any

import rules

from aivd_web.kernel.socket import LiveSocket
from aivd_web.kernel.threads import in_thread
from scheduling.client.addresses import without_addresses
from scheduling.services import fleet, scopes
from scheduling.services.dispatching import FLEET_GROUP


class FleetSocket(LiveSocket):
    """`/ws/v1/fleet`: hints only. Each beat tells the nodes that changed, so a lost hint is made up for."""

    group = FLEET_GROUP

    async def allowed(self, who: Any) -> bool:
        sees, self.manages, self.scopes = await in_thread(_rights, who)
        return sees

    async def joined(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        await self.beat()

    async def heard(self, message: dict[str, Any]) -> None:
        hint = message["hint"]
        if hint["type"] == "node":
            await self.beat()  # the hint holds only what changed
        elif hint["type"] != "dispatch":
            await self.tell(hint)
        elif scopes.holds(self.scopes, message.get("scope")):
            await self.tell(self._readable(hint))

    def _readable(self, hint: dict[str, Any]) -> dict[str, Any]:
        return hint if self.manages else hint | {"error_detail": without_addresses(hint.get("error_detail", ""))}

    async def beat(self) -> None:
        for node in await in_thread(fleet.snapshot, addresses=self.manages):
            if self.told.get(node["name"]) != node:
                self.told[node["name"]] = node
                await self.tell({"type": "node", **node})
        await self.tell({"type": "beat"})


def _rights(who: Any) -> tuple[bool, bool, scopes.Scopes]:
    """Whether one may see the fleet, whether one manages it, and whose decisions one may see."""
    sees, manages = (bool(rules.has_perm(name, who)) for name in (scopes.SEE, scopes.MANAGE))
    return sees, manages, scopes.of(scopes.SEE, who)
