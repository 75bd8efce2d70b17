"""How a node's `tritonserver` process is started from the nvidia-pytriton wheel: files, arguments, variables.

It starts nothing itself and watches nothing: whoever supervises processes runs what `node_command` returns.
The wheel's Triton is meant for loopback; beyond it, it speaks only with clients that show a certificate. A node
that runs elsewhere, for example in NVIDIA's container, needs only this package, which holds the model repository
beside this file, and the same AIVD_ environment variables.
"""

import contextlib
import importlib.metadata
import importlib.util
import ipaddress
import os
import re
import secrets
import shutil
import sys
import sysconfig
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scheduling.serving.contracts import MODELS

LOOPBACK = "127.0.0.1"

MODEL_REPOSITORY = Path(__file__).resolve().parent / "model_repository"
PROJECT_ROOT = Path(__file__).resolve().parents[2]
_SHM_DIR = Path("/dev/shm")  # noqa: S108 (POSIX shared memory, where the python backend keeps its regions)

PLAIN_LINKS = {"models": MODEL_REPOSITORY, "home": PROJECT_ROOT, "python": Path(sys.prefix)}
"""What a node knows by links in its own folder. Triton hands the repository's path to a shell, which splits it at a
blank, and its Python knows ASCII alone: an umlaut in the path of a file that logs ends the process."""

_TEMPORARY = Path("/tmp")  # noqa: S108 (written into the python backend)
LEFT_AFTER_S = 60
CONTROL_HEADER = "aivd-control"
"""Name of the header that opens the control API; over gRPC Triton expects it behind a prefix of its own."""
CONTROL_METADATA = f"triton-grpc-protocol-{CONTROL_HEADER}"

_PASSED_ON = frozenset(
    {"HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "SSL_CERT_FILE"}
    | {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}
)
_PASSED_ON_PREFIXES = (
    "AIVD_DETECTOR",
    "AIVD_DESCRIBER",
    "AIVD_ALLOW_TEST_MODELS",
    "AIVD_PAUSE",
    "AIVD_RESIDENT_VERSIONS",
    "AIVD_STEP_BUDGET",
    "HF_",
    "OV_",
    "OMP_",
    "KMP_",
)


class NodeSetupError(RuntimeError):
    """This machine or environment cannot run a node; the text says what to do."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of a node that speaks TLS; with `clients_root` a client must show a certificate signed by it."""

    certificate: Path
    key: Path
    clients_root: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.certificate, self.key, self.clients_root):
            if path is not None and not os.access(path, os.R_OK):
                raise NodeSetupError(f"{path} cannot be read; a node needs it to speak TLS.")

    def options(self) -> dict[str, object]:
        """Triton's. It verifies clients where it is told a root, in mutual mode alone."""
        mutual = {"grpc-use-ssl-mutual": "true", "grpc-root-cert": self.clients_root} if self.clients_root else {}
        return {
            "grpc-use-ssl": "true",
            "grpc-server-cert": self.certificate,
            "grpc-server-key": self.key,
            **mutual,
        }


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node process: a name, what it serves, where it listens.

    `detector` and `describer` are the specs of `load_detector` and `load_describer`. `slowdown` 2.0 makes
    every answer take twice its time, to stand for slower hardware. `environment` wins over everything else.
    `control` is what a client has to know to load and unload models; left alone, nobody knows it.
    """

    name: str
    models: tuple[str, ...]
    grpc_port: int
    http_port: int
    metrics_port: int
    address: str = "127.0.0.1"
    threads: int = 1
    detector: str | None = None
    describer: str | None = None
    slowdown: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)
    control: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    tls: ServerTls | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,50}", self.name):
            raise ValueError(f"A node's name is letters, digits, - and _, not {self.name!r}.")
        unknown = set(self.models) - set(MODELS)
        if unknown or not self.models:
            raise ValueError(f"Node {self.name} can serve {', '.join(MODELS)}; asked for {self.models}.")
        mutual = self.tls is not None and self.tls.clients_root is not None
        if not ipaddress.ip_address(self.address).is_loopback and not mutual:
            raise ValueError(
                f"Node {self.name} may listen on loopback only, not on {self.address}, unless it speaks TLS and asks "
                "its clients for a certificate."
            )
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,100}", self.control):
            raise ValueError(f"Node {self.name} needs a control secret of 16 to 100 letters, digits, - and _.")
        if self.threads < 1 or self.slowdown < 1.0:
            raise ValueError(f"Node {self.name} needs threads >= 1 and slowdown >= 1.0.")

    @property
    def grpc_url(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'grpcs://' if self.tls else ''}{address}:{self.grpc_port}"


@dataclass(frozen=True, slots=True)
class Wheel:
    """Where the parts of the wheel's Triton lie; `locate_wheel` finds them in this environment."""

    server: Path
    backend_files: tuple[Path, ...]
    stub: Path
    libraries: Path


def locate_wheel() -> Wheel:
    """Find the wheel's Triton beside the running Python; raises `NodeSetupError` saying what is missing."""
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        raise NodeSetupError(
            "nvidia-pytriton, which brings the tritonserver binary, is not installed: pip install 'aivd[node]', "
            "or name nodes that run elsewhere in AIVD_NODES."
        )
    package = Path(found.origin).parent
    root = package / "tritonserver"
    backend = root / "backends" / "python"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = Wheel(
        server=root / "bin" / "tritonserver",
        backend_files=(backend / "libtriton_python.so", backend / "triton_python_backend_utils.py"),
        stub=root / "python_backend_stubs" / version / "triton_python_backend_stub",
        libraries=package.parent / "nvidia_pytriton.libs",
    )
    for path in (wheel.server, *wheel.backend_files, wheel.stub, wheel.libraries):
        if not path.exists():
            raise NodeSetupError(f"nvidia-pytriton lacks {path.name} for Python {version}; install it again.")
    return wheel


def code_of_a_node() -> tuple[Path, ...]:
    """What a node's process has to read and run: whoever cannot, cannot run one."""
    wheel = locate_wheel()
    models = sorted(MODEL_REPOSITORY.glob("*/1/model.py"))
    weights = sorted((PROJECT_ROOT / "scheduling" / "serving" / "weights").glob("*/*.*"))
    return (wheel.server, *wheel.backend_files, wheel.stub, *models, *weights)


def prepare_node(spec: NodeSpec, *, layout_dir: Path) -> None:
    """Lay out what the process needs under `layout_dir` and clear what a killed one left behind.

    The backend's three files lie apart in the wheel, and Triton wants them in one folder: links keep them
    those of the installed wheel. `layout_dir` must be a path that a shell takes as it is. Call it while no
    process of this node and folder is running.
    """
    _refuse_numpy_2()
    wheel = locate_wheel()
    folder = _backends_dir(layout_dir) / "python"
    folder.mkdir(parents=True, exist_ok=True)
    for target in (*wheel.backend_files, wheel.stub):
        _link(folder / target.name, target)
    for name, target in PLAIN_LINKS.items():
        _link(layout_dir / name, target)
    shutil.rmtree(own_folder(spec, layout_dir=layout_dir), ignore_errors=True)
    own_folder(spec, layout_dir=layout_dir).mkdir(parents=True)
    clear_shared_memory(spec, layout_dir=layout_dir)
    clear_left_folders()


def own_folder(spec: NodeSpec, *, layout_dir: Path) -> Path:
    """Where the process keeps what it needs while it runs; nothing in it outlives a start."""
    return layout_dir / "tmp" / spec.name


def clear_left_folders(*, temporary: Path = _TEMPORARY, now: Callable[[], float] = time.time) -> int:
    """Remove the empty folders that killed backends left; this Triton knows no other place for them.

    They are for packed Python environments, which no model of ours has. One that is young or not empty stays, and one
    of another user is not ours to remove.
    """
    left = 0
    for folder in temporary.glob("python_env_*"):
        with contextlib.suppress(OSError):
            if now() - folder.lstat().st_mtime > LEFT_AFTER_S:
                folder.rmdir()
                left += 1
    return left


def clear_shared_memory(spec: NodeSpec, *, layout_dir: Path, shm_dir: Path = _SHM_DIR) -> int:
    """Remove this node's shared memory regions, which outlive a killed process; returns how many."""
    regions = [path for path in shm_dir.glob(f"{_shm_prefix(spec, layout_dir)}*") if path.is_file()]
    for region in regions:
        region.unlink(missing_ok=True)
    return len(regions)


def node_command(
    spec: NodeSpec,
    *,
    layout_dir: Path,
    wheel: Wheel | None = None,
    base_environment: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> tuple[list[str], dict[str, str]]:
    """Arguments and whole environment of the process; reads the file system only to find the wheel.

    `python` is the folder of another Python than the running one, where the process cannot read that.
    """
    wheel = wheel or locate_wheel()
    base = os.environ if base_environment is None else base_environment
    own = {
        "TMPDIR": str(own_folder(spec, layout_dir=layout_dir)),
        "AIVD_HOME": str(layout_dir / "home"),
        # The stub asks the first python3 on PATH for its packages and ignores PYTHONPATH.
        "PATH": os.pathsep.join([str((python or layout_dir / "python") / "bin"), base.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(_library_dirs(wheel, base, python)),
    }
    return _arguments(spec, wheel, layout_dir), own | _environment(spec, base)


def _arguments(spec: NodeSpec, wheel: Wheel, layout_dir: Path) -> list[str]:
    options: dict[str, object] = {
        "id": spec.name,
        "model-repository": layout_dir / "models",
        "backend-directory": _backends_dir(layout_dir),
        "model-control-mode": "explicit",
        "exit-on-error": "true",
        "exit-timeout-secs": 5,
        "http-address": LOOPBACK,  # health for whoever supervises it; TLS is for gRPC alone
        "http-port": spec.http_port,
        "grpc-address": spec.address,
        "grpc-port": spec.grpc_port,
        "metrics-address": LOOPBACK,
        "metrics-port": spec.metrics_port,
        "allow-gpu-metrics": "false",
        # A client that pings more often than the default minimum of 5 minutes is sent away (too_many_pings).
        "grpc-keepalive-permit-without-calls": 1,
        "grpc-http2-min-recv-ping-interval-without-data": 500,
        "grpc-http2-max-ping-strikes": 0,
        "grpc-http2-max-pings-without-data": 0,
    }
    options |= spec.tls.options() if spec.tls else {}
    # Any page in a browser may post to loopback, and loading a model can bring code with it: over HTTP only health
    # and metadata answer without a header, which such a page cannot add.
    guarded = "inference,shared-memory,model-config,model-repository,statistics,trace,logging"
    options["http-restricted-api"] = f"{guarded}:{CONTROL_HEADER}={spec.control}"
    # So could any local user over gRPC: there, what changes the node is for whoever knows its secret.
    options["grpc-restricted-protocol"] = f"{_CONTROL_PROTOCOLS}:{CONTROL_HEADER}={spec.control}"
    shm = f"--backend-config=python,shm-region-prefix-name={_shm_prefix(spec, layout_dir)}"
    models = [f"--load-model={model}" for model in spec.models]
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [str(wheel.server), "--disable-auto-complete-config", *flags, shm, *models]


def _environment(spec: NodeSpec, base: Mapping[str, str]) -> dict[str, str]:
    """Only what a node needs: the secrets of the web application stay out of its environment."""
    kept = {name: value for name, value in base.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)}
    environment = kept | {
        "AIVD_NODE": spec.name,
        "AIVD_THREADS": str(spec.threads),
        "OMP_NUM_THREADS": str(spec.threads),
        "AIVD_SLOWDOWN": str(spec.slowdown),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name, value in (("AIVD_DETECTOR", spec.detector), ("AIVD_DESCRIBER", spec.describer)):
        if value is not None:
            environment[name] = value
    return environment | dict(spec.environment)


def _library_dirs(wheel: Wheel, base: Mapping[str, str], python: Path | None = None) -> list[str]:
    """Triton's own libraries, then Python's, which the stub links to, then what was there."""
    dirs = [str(wheel.libraries)]
    if python is not None:
        dirs.append(str(python / "lib"))
    python_libraries = sysconfig.get_config_var("LIBDIR")
    if python_libraries and (Path(python_libraries) / str(sysconfig.get_config_var("INSTSONAME"))).exists():
        dirs.append(python_libraries)
    return dirs + [part for part in base.get("LD_LIBRARY_PATH", "").split(os.pathsep) if part]


def _backends_dir(layout_dir: Path) -> Path:
    return layout_dir / "backends"


_CONTROL_PROTOCOLS = "model-repository,shared-memory,trace,logging"


def _shm_prefix(spec: NodeSpec, layout_dir: Path) -> str:
    """Unique for this node of this installation: two of them on one machine must not clear each other's."""
    return f"aivd_{zlib.crc32(str(layout_dir.resolve()).encode()):08x}_{spec.name}_"


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}.{threading.get_ident()}")  # a launcher prepares nodes at once
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)  # several nodes share the folder: there must be no moment without the file


def _refuse_numpy_2() -> None:
    version = importlib.metadata.version("numpy")
    if int(version.split(".")[0]) >= 2:
        raise NodeSetupError(
            f"numpy {version} is installed, and this Triton's python backend corrupts tensors under numpy 2; "
            "install numpy 1.26."
        )
