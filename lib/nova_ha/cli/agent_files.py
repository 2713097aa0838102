"""Which file, or flag, gives a setting to the Consul agent of this machine: read from its process and its files.

It names a place for an operator to look at, and decides nothing; so the files are searched rather than understood.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
COMMAND_LINE = "the agent's command line"
SUFFIXES = (".hcl", ".json")
# A process's start is known to a hundredth of a second.
CLOCKS_S = 1.0
# Of HCL and of JSON alike: strings, comments, brackets, words, and what stands between a name and its value. A word
# ends where a comment begins, and a text of several lines (`<<EOF`) is one token.
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|<<-?(?P<end>\w+)\n.*?^[ \t]*(?P=end)$'
    r'|#[^\n]*|//[^\n]*|/\*.*?\*/|[{}\[\]]|(?:(?!//|/\*)[^\s"#{}\[\]=:,])+|[=:]',
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Source:
    """One of the texts that an agent merges; of two that give a setting the later wins.

    `changed` says that the file was written after the agent was started.
    """

    name: str
    text: str
    changed: bool = False


def sources(data_dir: str, node_id: str) -> Sequence[Source] | None:
    """Return what the agent with this data merges, in its order; None where it is not found, or may not be read.

    It may be read by root, and by the user whose agent it is. Of several agents on a machine each has data of
    its own.
    """
    for process in _processes():
        # A process that has ended meanwhile, or that is somebody else's, is not the one.
        with suppress(OSError):
            args = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if "agent" in args[1:] and _has_data(process, data_dir, node_id):
                return list(_sources(process, args[args.index("agent", 1) + 1 :]))
    return None


def last_setting(merged: Sequence[Source], setting: str) -> tuple[Source, str] | None:
    """Return where the setting is given last, and what is given there; None where no source has it."""
    found = [(source, value) for source in merged if (value := given(source.text, setting)) is not None]
    return found[-1] if found else None


def last_mention(merged: Sequence[Source], name: str) -> str | None:
    """Return the last source in which the name stands in quotes; None where there is none."""
    found = [source.name for source in merged if f'"{name}"' in source.text]
    return found[-1] if found else None


def mentions(merged: Sequence[Source], *names: str) -> bool:
    """True where a source names one of these, in a block or outside, but in no comment."""
    tokens = (found[0].strip('"').lower() for source in merged for found in _TOKEN.finditer(source.text))
    return any(token in names for token in tokens)


def given(text: str, setting: str) -> str | None:
    """Return the value that HCL or JSON gives to the setting, outside of all blocks; None where it gives none.

    Consul takes a setting's name in any case.
    """
    outside = 1 if text.lstrip("\ufeff \t\r\n").startswith("{") else 0
    depth, before, name, value = 0, "", "", None
    for token in (found[0] for found in _TOKEN.finditer(text)):
        if token.startswith(("#", "//", "/*")):
            continue
        if name:
            value, name = token.strip('"'), ""
        if token in ("{", "["):
            depth += 1
        elif token in ("}", "]"):
            depth -= 1
        elif token in ("=", ":"):
            name = setting if depth == outside and before.lower() == setting else ""
        before = token.strip('"')
    return value


def _processes() -> Iterator[Path]:
    return (path for path in PROC.iterdir() if path.name.isdecimal())


def _has_data(process: Path, data_dir: str, node_id: str) -> bool:
    """Say whether the process has this folder's gossip record open, and the folder is that of this agent.

    Another machine's agent may well keep its data in a folder of the same name. Raises OSError.
    """
    folder = _seen_by(process, data_dir)
    record = (folder / "serf" / "local.snapshot").stat()
    if not any(os.path.samestat(record, found) for found in _open_files(process)):
        return False
    with suppress(FileNotFoundError):  # there is none where node_id is configured
        return (folder / "node-id").read_text().strip() == node_id
    return True


def _open_files(process: Path) -> Iterator[os.stat_result]:
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            yield descriptor.stat()


def _seen_by(process: Path, name: str) -> Path:
    """Return where this process sees what the agent, which may be in a container, calls so."""
    return Path(f"{process / 'root'}{os.path.join(os.readlink(process / 'cwd'), name)}")


def _sources(process: Path, args: Sequence[str]) -> Iterator[Source]:
    """Yield them in Consul's order: files and folders as the command line has them, then its own settings."""
    flags = list(_flags(args))
    any_name = any(name == "config-format" for name, _ in flags)
    for name, value in flags:
        if name not in ("config-file", "config-dir"):
            continue
        # Either takes a file as well as a folder.
        place = _seen_by(process, value)
        if not place.is_dir():
            yield _file(process, value)
            continue
        for path in sorted(place.iterdir()):
            if path.is_file() and (any_name or path.suffix in SUFFIXES):
                yield _file(process, os.path.join(value, path.name))
    own = [value if name == "hcl" else f"{name.replace('-', '_')} = {value}" for name, value in flags]
    yield Source(COMMAND_LINE, "\n".join(own))


def _file(process: Path, name: str) -> Source:
    path = _seen_by(process, name)
    shown = os.path.join(os.readlink(process / "cwd"), name)
    changed = path.stat().st_mtime > _started(process) + CLOCKS_S
    return Source(shown, path.read_text(errors="replace"), changed)


def _started(process: Path) -> float:
    """Return when the process was started, by the clock that stamps files."""
    # The name of a program, the second field, may have blanks and brackets in it.
    ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def _flags(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the flags with their values, as Go reads them: `-name value`, `-name=value`, and `-name` for true."""
    for at, arg in enumerate(args):
        if arg.startswith("-"):
            name, given_here, value = arg.lstrip("-").partition("=")
            follows = args[at + 1] if at + 1 < len(args) and not args[at + 1].startswith("-") else "true"
            yield name, value if given_here else follows
