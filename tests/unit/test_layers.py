"""Who may import whom: the two parts meet only in the KV store, and each is useful alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nova_ha
import pytest

ROOT = Path(nova_ha.__file__).parent

# What each layer may import, beside itself and what is below all: errors, clock, printable, log, guard.
PARTS = {"monitor", "recovery"}
LOWER = {"consul", "cluster", "probe", "power", "compute"}
ALLOWED = {
    "errors": set(),
    "clock": set(),
    "printable": set(),
    "limits": set(),
    "log": set(),
    "guard": set(),
    "beside": set(),
    "run_folder": set(),
    "consul": set(),
    "power": set(),
    "compute": set(),
    "cluster": {"consul", "power"},
    "probe": {"consul", "cluster"},
    "monitor": {"consul", "cluster", "probe", "power"},
    "recovery": LOWER,
    "sandbox": LOWER | PARTS | {"cli", "checks", "handlers"},
    "cli": LOWER | PARTS | {"checks", "handlers", "sandbox"},
    "checks": LOWER,
    "checks.cluster": LOWER | {"monitor", "checks"},
    "handlers": LOWER,
    "handlers.failures": LOWER | {"monitor", "handlers"},
    "handlers.recovery": LOWER | PARTS | {"handlers"},
    "handlers.watching": LOWER | {"recovery", "handlers"},
}
BELOW_ALL = {"errors", "clock", "limits", "printable", "log", "guard", "beside", "run_folder"}


def modules() -> list[str]:
    """Every module of the product but the root package, as `checks.ssh`; the links are followed."""
    files = [path for top in ROOT.iterdir() if top.is_dir() for path in top.resolve().rglob("*.py")]
    links = {top.resolve(): top.name for top in ROOT.iterdir() if top.is_dir()}
    names = []
    for path in files:
        top = next(folder for folder in path.parents if folder in links)
        parts = [links[top], *path.relative_to(top).with_suffix("").parts]
        names.append(".".join(part for part in parts if part != "__init__"))
    return sorted({*names, *(path.stem for path in ROOT.glob("*.py") if path.stem != "__init__")})


def source(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: str) -> Iterator[str]:
    """Yield what the module imports from the product, inside functions and for types too: `cluster.store`."""
    for node in ast.walk(ast.parse(source(module).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("nova_ha.") for name in names if name.startswith("nova_ha."))


def layer(module: str) -> str:
    return next((name for name in (module, module.partition(".")[0]) if name in ALLOWED), "")


def test_the_walk_finds_the_product() -> None:
    assert {"checks.ssh", "checks.cluster", "handlers.failures", "monitor.assess", "cluster.view", "errors"} <= set(
        modules()
    )
    assert "monitor.writing" in {name.rpartition(".")[0] for name in imports("handlers.failures")}
    assert "monitor.writing" in {name.rpartition(".")[0] for name in imports("checks.cluster")}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    own = module.partition(".")[0]
    assert layer(module), f"{module} is in no layer"
    for name in imports(module):
        target = name.partition(".")[0]
        allowed = ALLOWED[layer(module)] | BELOW_ALL | {own, "__version__"}
        assert target in allowed, f"nova_ha.{module} imports nova_ha.{name}"


@pytest.mark.parametrize("module", [m for m in modules() if m.partition(".")[0] in ("checks", "handlers")])
def test_the_checks_and_the_handlers_reach_the_other_part_through_no_neighbour(module: str) -> None:
    """What a script imports, directly or through its own folder, belongs to one part, or to none."""
    reached, todo = set(), {module}
    while todo:
        reached |= (now := todo)
        names = {name for known in now for name in imports(known)}
        todo = {m for m in modules() if any(n == m or n.startswith(m + ".") for n in names)} - reached
    parts = {name.partition(".")[0] for name in reached} & PARTS
    expected = {
        "handlers.recovery": {"recovery"},
        "handlers.watching": {"recovery"},
        "handlers.failures": {"monitor"},
        "checks.cluster": {"monitor"},
    }
    assert parts <= expected.get(module, set())


BLOCKER = """
import importlib, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
    importlib.import_module("nova_ha." + name)
from nova_ha.handlers.failures import preview
loaded = sorted(name for name in {blocked!r} if name in sys.modules)
assert not loaded, loaded
"""

MONITOR_SIDE = ("errors", "clock", "consul", "cluster", "probe", "power", "monitor", "checks")


def test_the_monitor_works_where_nothing_of_openstack_is_installed() -> None:
    names = [m for m in modules() if m.partition(".")[0] in MONITOR_SIDE or m.startswith("handlers.failures")]
    blocked = ["novaclient", "keystoneauth1", "openstack", "os_client_config"]
    code = BLOCKER.format(blocked=blocked, modules=[*names, "handlers.handler_guard"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_check_or_handler_loads_no_clients_library_before_it_uses_it() -> None:
    heavy = ["consul", "pyghmi", "novaclient", "keystoneauth1", "asyncssh", "requests", "rich"]
    names = [m for m in modules() if m.partition(".")[0] in ("consul", "cluster", "monitor", "checks", "handlers")]
    # What TLS and unix sockets use, loaded by the connection that needs them: adapters of requests.
    names = [name for name in names if name not in ("consul.encryption", "consul.sockets")]
    code = BLOCKER.format(blocked=heavy, modules=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
