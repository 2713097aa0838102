"""The release before this one, installed beside it from this repository's own history."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox.provide import CACHE, PROJECT, say

RELEASES = CACHE / "releases"
SOURCE = "lib/nova_ha/__init__.py"


def commands_of(commit: str = "") -> Path:
    """Return the folder with the commands of that commit; without one, of the last before the version was raised.

    It is installed once. Raises HAError where the history does not reach so far back, as in a shallow clone.
    """
    commit = _git("rev-parse", "--verify", f"{commit}^{{commit}}") if commit else _last_of_the_version_before()
    home = RELEASES / commit
    done = home / "installed"
    if not done.exists():
        _install(commit, home)
        done.touch()
    return home / "venv/bin"


def _last_of_the_version_before() -> str:
    raised = _git("log", "-1", "--format=%H", "-G", "^__version__", "--", SOURCE)
    if not raised:
        raise HAError(
            f"no commit here changes the version in {SOURCE}", remedy="BASE=<commit>, or a clone that is not shallow"
        )
    return _git("rev-parse", "--verify", f"{raised}^")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(PROJECT), *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise HAError(f"git {words[0]}: {done.stderr.strip()}", remedy="BASE=<commit>, in a clone that has it")
    return done.stdout.strip()


def _install(commit: str, home: Path) -> None:
    say(f"older release: installing {commit[:10]} of this repository into .cache/ (nothing else is touched)")
    shutil.rmtree(home, ignore_errors=True)
    (home / "source").mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(PROJECT), "archive", commit], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(home / "source")], input=archive.stdout, check=True)
    venv.create(home / "venv", with_pip=True, symlinks=True)
    pip = [str(home / "venv/bin/python"), "-m", "pip", "install", "--quiet", f"{home / 'source'}[recovery]"]
    done = subprocess.run(pip, stdout=sys.stderr)
    if done.returncode != 0:
        raise HAError(f"pip could not install {commit[:10]}", remedy="see its words above; then again")
