"""What a compute node's own files say: Nova's host name, where its instances are, and which versions run."""

from __future__ import annotations

import configparser
import re
import socket
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path

from nova_ha.checks.mounts import is_shared
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.errors import ConfigError
from nova_ha.power.identity import from_uuid_text

# In the order in which nova-compute reads them: later ones win. Debian has the second one.
USUAL_FILES = ("/etc/nova/nova.conf", "/etc/nova/nova-compute.conf", "/etc/nova/nova.conf.d/*.conf")
DEFAULTS = {"state_path": "/var/lib/nova", "instances_path": "$state_path/instances", "report_interval": "10"}
PACKAGES = ("/usr/lib/python3*/dist-packages", "/usr/lib/python3*/site-packages")
SYSTEM_UUID = Path("/sys/class/dmi/id/product_uuid")
LIBRARIES = ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib")


def read_runtime_config(files: Sequence[Path] = ()) -> RuntimeConfig:
    """Read Nova's configuration files and this machine. Raises ConfigError naming the file."""
    conf = _parsed(files or _usual())
    options = {**DEFAULTS, **_options(conf)}
    instances = _substituted(options, "instances_path")
    # Its disks are not where its instances are: what is mounted there tells nothing of them.
    in_ceph = (conf.get("libvirt", "images_type", fallback="") or "").strip() == "rbd"
    return RuntimeConfig(
        nova_host=options.get("host", "").strip() or socket.gethostname(),
        hypervisor_hostname=_libvirt_hostname(),
        instances_path=instances,
        shared_instances=None if in_ceph else is_shared(instances),
        system_uuid=_system_uuid(),
        report_interval_s=_whole(options, "report_interval"),
        versions=_versions(),
    )


def _whole(options: Mapping[str, str], name: str) -> int:
    """Return the number. Raises ConfigError where it is none: then nova-compute does not start with it either."""
    text = _substituted(options, name)
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise ConfigError(f"{name} in [DEFAULT] is no whole number", remedy=f"mend {name} in nova.conf")
    return int(text)


def _system_uuid() -> str:
    """Return the UUID that this machine's firmware shows, empty where that is a placeholder, or cannot be read."""
    try:
        text = SYSTEM_UUID.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    return from_uuid_text(text) or ""


def _usual() -> list[Path]:
    found = [Path(name) for pattern in USUAL_FILES for name in sorted(glob(pattern))]
    if not found:
        raise ConfigError(f"there is no {USUAL_FILES[0]}", remedy="name Nova's configuration with --nova-conf")
    return found


def _parsed(files: Sequence[Path]) -> configparser.RawConfigParser:
    """Read them as oslo.config does: the last of several options counts."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, inline_comment_prefixes=None)
    for file in files:
        try:
            parser.read_string(file.read_text(encoding="utf-8-sig"), str(file))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise ConfigError(f"{file} cannot be read ({_without_content(error)})") from None
    return parser


def _options(conf: configparser.RawConfigParser) -> dict[str, str]:
    """Return the options of [DEFAULT]."""
    return {name: value.strip() for name, value in conf.defaults().items() if value}


def _without_content(error: Exception) -> str:
    """Say what is wrong with a file, and nothing of what is in it: there are passwords."""
    if isinstance(error, configparser.ParsingError):
        lines = [getattr(error, "lineno", 0)] if hasattr(error, "lineno") else [number for number, _ in error.errors]
        return f"line {', '.join(map(str, lines))} is no section and no option of one"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__


def _substituted(options: Mapping[str, str], name: str, depth: int = 5) -> str:
    """Return the option with `$other` and `${other}` replaced; what nobody knows stays as it is."""
    text = options.get(name, f"${name}")
    if not depth or text == f"${name}":
        return text
    return re.sub(r"\$\{?(\w+)\}?", lambda found: _substituted(options, found[1], depth - 1), text)


def _libvirt_hostname() -> str:
    """Return the name by which libvirt knows this machine: it asks the resolver where the name has no dot."""
    name = socket.gethostname()
    if "." in name or name.startswith("localhost"):
        return name
    try:
        canonical = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)[0][3]
    except OSError:
        return name
    return name if not canonical or canonical.startswith("localhost") else canonical


def _versions() -> dict[str, str]:
    """Return the versions of Nova and libvirt as far as the names of installed files tell: no program is run."""
    found = {}
    for name in (Path(path).name for folder in PACKAGES for path in glob(f"{folder}/nova-*-info")):
        if match := re.fullmatch(r"nova-([\w.+!]+?)(?:-py[\d.]+)?\.(?:dist|egg)-info", name):
            found["nova"] = match[1]
    for name in (Path(path).name for folder in LIBRARIES for path in glob(f"{folder}/libvirt.so.0.*")):
        # libvirt 9.1.2 is libvirt.so.0.9001.2
        if match := re.fullmatch(r"libvirt\.so\.0\.(\d+)\.(\d+)", name):
            found["libvirt"] = f"{int(match[1]) // 1000}.{int(match[1]) % 1000}.{match[2]}"
    return found
