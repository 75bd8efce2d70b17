"""The weights that a plant keeps by their digest, and how a Node that lacks some gets them: once at a time.

Whoever asks first brings them; whoever comes while they are on their way comes back later, so that one version on a
slow link never holds the threads that other requests need. Knows no database.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from scheduling.client.answers import NodeError
from scheduling.client.triton import NodeClient
from scheduling.dispatch.values import RequestFailed
from scheduling.serving.contracts import VERSION_MISSING, VERSION_REFUSED
from scheduling.serving.describers.adapters import FILES, Adapter
from scheduling.serving.model_folder import RefusedFiles

BRING_S: Final = 120.0
"""How long a version may take to a Node. What is not there then is tried again by the next request."""

REST_S: Final = 10.0
"""How long a request rests whose version cannot be had: it stays pending, and says why."""

UNDER_WAY_S: Final = 0.3
REFUSED_FOR_S: Final = 30.0


class ArtifactMissing(Exception):
    """The weights are not kept here, or are damaged; the text is a sentence that says which."""


class Artifacts(Protocol):
    def files(self, digest: str) -> Mapping[str, Path]:
        """A version's files by their names, checked against its digest. Raises ArtifactMissing."""
        ...


class ArtifactStore:
    """A folder with one folder for each version, named by its digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, digest: str) -> Mapping[str, Path]:
        folder = self.folder / digest
        if not folder.is_dir():
            raise ArtifactMissing(f"The weights of version {digest[:12]} are not in the store.")
        try:
            found = Adapter.read(folder).digest
        except (RefusedFiles, OSError) as error:
            raise ArtifactMissing(f"The weights of version {digest[:12]} are damaged in the store: {error}") from error
        if found != digest:
            raise ArtifactMissing(f"The weights of version {digest[:12]} were changed in the store.")
        return {name: folder / name for name in FILES}


class NoArtifacts:
    """For a dispatcher that only ever asks for the Nodes' own models."""

    def files(self, digest: str) -> Mapping[str, Path]:
        raise ArtifactMissing(f"No weights are kept here, so version {digest[:12]} cannot be brought to a node.")


class VersionBringer:
    """Brings versions to Nodes. Safe to use from many threads."""

    def __init__(self, artifacts: Artifacts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.artifacts, self._clock = artifacts, clock
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, str]] = set()
        self._refused: dict[tuple[str, str], tuple[float, str]] = {}

    def bring(self, client: NodeClient, digest: str) -> None:
        """Returns when the Node has it. Raises NodeError where this Node does not take it, RequestFailed where no
        Node could have it now."""
        key = (client.name, digest)
        until, detail = self._refused.get(key, (0.0, ""))
        if self._clock() < until:
            raise NodeError(VERSION_REFUSED, detail, node=client.name)
        with self._alone(key):
            try:
                client.bring(digest, self.artifacts.files(digest), timeout_s=BRING_S)
            except (ArtifactMissing, OSError) as error:
                raise RequestFailed(VERSION_MISSING, str(error), blames_request=False, rest_s=REST_S) from error
            except NodeError as error:
                if error.code == VERSION_REFUSED:
                    self._refused[key] = (self._clock() + REFUSED_FOR_S, error.detail)
                raise

    @contextmanager
    def _alone(self, key: tuple[str, str]) -> Iterator[None]:
        with self._lock:
            if key in self._under_way:
                detail = f"Version {key[1][:12]} is on its way to {key[0]}."
                raise RequestFailed(VERSION_MISSING, detail, blames_request=False, rest_s=UNDER_WAY_S)
            self._under_way.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(key)
