"""Whether a path is on storage that other hosts mount too, found without touching that storage.

A dead file server keeps whoever looks at its files waiting for ever, so nothing below such a mount is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

# Types of file systems that several hosts mount at once.
NETWORK = ("nfs", "nfs4", "ceph", "cifs", "smb3", "glusterfs", "gfs2", "ocfs2", "lustre", "gpfs", "beegfs", "afs")
FUSE = ("fuse.ceph", "fuse.ceph-fuse", "fuse.glusterfs", "fuse.mfs", "fuse.quobyte", "fuse.sshfs")
SHARED = frozenset((*NETWORK, *FUSE))
MOST_LINKS = 40


def is_shared(path: str, mounts: Path = Path("/proc/self/mounts")) -> bool | None:
    """Return whether the path, its symlinks followed, is on shared storage; None where that cannot be told."""
    try:
        types = _types(mounts.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return None
    return _is_shared(path, types) if path.startswith("/") else None


def _is_shared(path: str, types: Mapping[str, str]) -> bool | None:
    """Walk down the path; what is found of it so far is never below a shared mount."""
    reached, rest = "/", list(PurePosixPath(os.path.normpath(path)).parts[1:])
    for _ in range(MOST_LINKS + len(rest)):
        if _type_of(reached, types) in SHARED:
            return True
        if not rest:
            return False
        reached = os.path.join(reached, rest.pop(0))
        # A mount point is no symlink, and the file server would have to answer for it.
        if _type_of(reached, types) in SHARED or not os.path.islink(reached):
            continue
        whole = os.path.normpath(os.path.join(os.path.dirname(reached), os.readlink(reached)))
        reached, rest = "/", [*PurePosixPath(whole).parts[1:], *rest]
    return None


def _types(text: str) -> dict[str, str]:
    """Return the file system's type by mount point; the last mount on a point covers the others."""
    rows = (line.split() for line in text.splitlines())
    return {_unescaped(row[1]): row[2] for row in rows if len(row) >= 3}


def _type_of(path: str, types: Mapping[str, str]) -> str:
    whole = PurePosixPath(path)
    return next((types[str(place)] for place in (whole, *whole.parents) if str(place) in types), "")


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
