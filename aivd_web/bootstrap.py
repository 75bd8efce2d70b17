"""What a new installation needs before its first start: an admin, the site's role, and the rows of its nodes."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission

from aivd_web.launcher.addresses import NodeAddress
from scheduling.services import fleet
from scheduling.serving.contracts import DESCRIBER, EDGE_DETECTOR

ADMIN = "admin"
MODELS = {"edge": (EDGE_DETECTOR.model,), "cloud": (DESCRIBER.model,)}
FLEET_MANAGERS = "Fleet managers"
FLEET_RIGHTS = ("view_node", "add_node", "change_node")


def ensure_admin(*, password_file: Path) -> str | None:
    """Make the first admin where there is no superuser; return the new password, which is also kept in the file."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{ADMIN}\n{password}\n")
    users.create_superuser(username=ADMIN, password=password)
    return password


def ensure_fleet_managers() -> Group:
    """The role of the site that has power over all nodes: a group, so that the admin gives and takes it."""
    group, made = Group.objects.get_or_create(name=FLEET_MANAGERS)
    if made:  # what somebody took from it later stays taken
        rights = Permission.objects.filter(content_type__app_label="scheduling", codename__in=FLEET_RIGHTS)
        group.permissions.set(rights)
    return group


def ensure_nodes(nodes: Sequence[NodeAddress]) -> list[str]:
    """Make the Nodes of these addresses and return their names. Others stay, for a person may have added them."""
    for node in nodes:
        fleet.ensure_node(name=node.name, kind=node.kind, grpc_url=node.grpc_url, models=MODELS[node.kind])
    return [node.name for node in nodes]
