"""The scheduler on real nodes; see `__main__.py`."""

import os

# gRPC's own handlers at fork are not made for a process that starts nodes while calls are under way.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
