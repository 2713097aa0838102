"""A copy of the product, with an interpreter of its own whose packages are ours and whose nova_ha is the copy."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from faults.unprotected.removal import PROJECT, Edit

PARTS = ("lib", "checks", "handlers", "consul.d", "setup.cfg", "pyproject.toml")


class Product:
    """The copy exists while it is entered. Its commands, and those that Consul's agents find, are the copy's too."""

    def __init__(self, edits: Sequence[Edit] = ()) -> None:
        self.edits = edits
        self._folder = tempfile.TemporaryDirectory(prefix="nova-ha-unprotected-")
        self.path = Path(self._folder.name)

    def __enter__(self) -> Product:
        try:
            self._copy()
            for edit in self.edits:
                file = self.path / edit.file
                file.write_text(edit.applied(file.read_text()))
            self._make_interpreter()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._folder.cleanup()

    @property
    def python(self) -> Path:
        """The interpreter that imports the copy."""
        return self.path / "venv/bin/python"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its tests: nothing of ours in front of the copy, nothing written beside the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        examples = {"HYPOTHESIS_STORAGE_DIRECTORY": str(self.path / "hypothesis")}
        return {**kept, **examples, "PYTHONDONTWRITEBYTECODE": "1"}

    def _copy(self) -> None:
        for part in PARTS:
            source = PROJECT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, self.path / part, symlinks=True, ignore=ignored)
            else:
                shutil.copy(source, self.path / part)
        # The Consul that was fetched for this checkout.
        (self.path / ".cache").symlink_to(PROJECT / ".cache")

    def _make_interpreter(self) -> None:
        venv.create(self.path / "venv", symlinks=True, with_pip=False)
        [packages] = (self.path / "venv/lib").glob("python3*/site-packages")
        # Of our site-packages the folder alone: its own .pth would put the checkout's product back.
        (packages / "unprotected.pth").write_text(f"{self.path / 'lib'}\n{sysconfig.get_paths()['purelib']}\n")
        for script in Path(sys.executable).parent.glob("nova-ha*"):
            _, _, body = script.read_text().partition("\n")
            copy = self.path / "venv/bin" / script.name
            copy.write_text(f"#!{self.python}\n{body}")
            copy.chmod(0o755)
