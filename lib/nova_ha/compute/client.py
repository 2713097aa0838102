"""From the environment to a Nova that can be asked, at the right microversion. All heavy imports are in here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nova_ha.compute.credentials import Access, access
from nova_ha.errors import ConfigError
from nova_ha.limits import CALL_S

if TYPE_CHECKING:
    from nova_ha.compute.nova import Nova

Version = tuple[int, int]

LOWEST: Version = (2, 53)
# From 2.95 on, evacuated servers end stopped, whatever they were.
HIGHEST: Version = (2, 94)


def connect(environ: Mapping[str, str] = os.environ, call_timeout_s: float = CALL_S) -> Nova:
    """Log in, find Nova in the catalog and agree on a microversion.

    Raises ConfigError (Nova's clients not installed, credentials missing or wrong in form, Nova too old), NovaError
    (refused, not answering).
    """
    _need_the_clients()
    who = access(environ)
    from novaclient import client

    from nova_ha.compute.nova import Nova
    from nova_ha.compute.refusal import asking
    from nova_ha.compute.resources import Resources

    with asking(f"connect with {who.label}", call_timeout_s):
        microversion = _agree(_client(client, who, LOWEST), client)
        nova = _client(client, who, microversion)
    return Nova(
        nova, Resources(nova, _adapter(who, "image"), _adapter(who, "placement")), microversion, call_timeout_s
    )


def _need_the_clients() -> None:
    missing = [name for name in ("keystoneauth1", "novaclient", "openstack") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this is a monitor alone: {', '.join(missing)} not installed",
            remedy="install nova-ha-monitor[recovery] to recover as well",
        )


def _client(client: Any, who: Access, microversion: Version) -> Any:
    return client.Client(
        as_text(microversion),
        session=who.session,
        region_name=who.region,
        endpoint_type=who.interface,
        endpoint_override=who.compute_endpoint,
        connect_retries=0,
        status_code_retries=0,
    )


def _agree(nova: Any, client: Any) -> Version:
    import novaclient

    theirs = nova.versions.get_current()
    known = (novaclient.API_MAX_VERSION.ver_major, novaclient.API_MAX_VERSION.ver_minor)
    return agree(as_version(getattr(theirs, "min_version", "")), as_version(getattr(theirs, "version", "")), known)


def agree(lowest: Version, highest: Version, client_highest: Version) -> Version:
    """Return the highest microversion that Nova, novaclient and we allow. Raises ConfigError where there is none."""
    best = min(highest, client_highest, HIGHEST)
    if best < max(lowest, LOWEST):
        raise ConfigError(
            f"Nova's API speaks {as_text(lowest)} to {as_text(highest)}, novaclient up to {as_text(client_highest)};"
            f" needed is one of {as_text(LOWEST)} to {as_text(HIGHEST)}",
            remedy="use Nova 16 (Pike) or newer, and python-novaclient 18 or newer",
        )
    return best


def as_version(text: str) -> Version:
    """Read `2.94`; an API without microversions says nothing, which is (2, 0)."""
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major and minor else (2, 0)


def as_text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _adapter(who: Access, service: str) -> Any:
    from keystoneauth1 import adapter

    return adapter.Adapter(
        who.session,
        service_type=service,
        region_name=who.region,
        interface=who.interface,
        connect_retries=0,
        status_code_retries=0,
    )
