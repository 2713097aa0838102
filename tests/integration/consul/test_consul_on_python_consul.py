"""We keep to what python-consul 1.1.0 offers as well: the same tests pass with it, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nova_ha.sandbox.provide import CACHE

HERE = Path(__file__).parent
WANTED = ("python-consul==1.1.0", "six")


@pytest.fixture(scope="module")
def library() -> Path:
    """A folder with python-consul alone; it and py-consul are one package, so never both in one environment."""
    folder = CACHE / "python-consul-1.1.0"
    if not (folder / "consul").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *WANTED]
        subprocess.run(command, check=True, timeout=600)
    return folder


def environment(library: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    return {**own, "PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}


def test_it_is_really_python_consul(library: Path) -> None:
    say = "import consul, nova_ha.consul.store as s; s.connect({}); print(consul.__file__, consul.__version__)"
    done = subprocess.run([sys.executable, "-c", say], env=environment(library), capture_output=True, text=True)
    assert done.stdout.split() == [str(library / "consul/__init__.py"), "1.1.0"], done.stderr


# Of the addresses the store alone: python-consul itself reads an address of the environment, and knows host:port.
WHAT = (
    "test_consul_store_on_consul.py",
    "test_consul_lock_on_consul.py",
    "test_addresses_on_consul.py::test_reads_transactions_sessions_and_locks_work_by_every_way",
)


@pytest.mark.parametrize("what", WHAT)
def test_the_store_and_the_locks_work_with_python_consul(library: Path, what: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / what)]
    done = subprocess.run(command, env=environment(library), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
