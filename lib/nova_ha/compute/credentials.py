"""Who we are to OpenStack: `OS_CLOUD` with clouds.yaml, or the `OS_*` variables, as every client of it reads them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nova_ha.errors import ConfigError

REMEDY = "set OS_CLOUD (and clouds.yaml), or OS_AUTH_URL and the other OS_* variables, in the Consul agent's unit"

# OS_* variables that name the user and its scope; what remains of OS_* is read below or means nothing here.
AUTH_OPTIONS = (
    "auth_url",
    "username",
    "user_id",
    "password",
    "token",
    "project_name",
    "project_id",
    "user_domain_name",
    "user_domain_id",
    "project_domain_name",
    "project_domain_id",
    "domain_name",
    "domain_id",
    "system_scope",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
)
PASSWORD = (("password",), ("username", "user_id"), ("project_name", "project_id", "system_scope"))
# By the kind of authentication: of each group, one is needed. Other kinds are left to keystoneauth's own checks.
NEEDED = {
    "password": PASSWORD,
    "v3password": PASSWORD,
    "token": (("token",),),
    "v3token": (("token",),),
    "v3applicationcredential": (
        ("application_credential_secret",),
        ("application_credential_id", "application_credential_name"),
    ),
}


@dataclass(frozen=True)
class Access:
    """A keystoneauth session, and which endpoints of its catalog to use. `label` names it for error lines."""

    session: Any = field(repr=False)
    label: str
    region: str | None
    interface: str
    compute_endpoint: str | None = None


def access(environ: Mapping[str, str]) -> Access:
    """Build the session from the environment; asks no service yet. Raises ConfigError naming what is missing."""
    if environ.get("OS_CLOUD"):
        return _from_clouds_yaml(environ)
    if environ.get("OS_AUTH_URL"):
        return _from_variables(environ)
    raise ConfigError("no OpenStack credentials: neither OS_CLOUD nor OS_AUTH_URL is set", remedy=REMEDY)


def _from_clouds_yaml(environ: Mapping[str, str]) -> Access:
    cloud = environ["OS_CLOUD"]
    options: dict[str, Any] = {"load_envvars": False}
    if file := environ.get("OS_CLIENT_CONFIG_FILE"):
        _refuse_unreadable(file, cloud)
        options["config_files"] = [file]
    chosen = {"region_name": environ["OS_REGION_NAME"]} if environ.get("OS_REGION_NAME") else {}
    return _load(f"cloud {cloud!r} of clouds.yaml", options, {"cloud": cloud, **chosen})


def _refuse_unreadable(file: str, cloud: str) -> None:
    """Raise ConfigError where openstacksdk would pass over the file and then say that the cloud is not in it."""
    import yaml

    try:
        yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except yaml.YAMLError as error:
        # Its own words quote the line, which may be the password's.
        mark = getattr(error, "problem_mark", None)
        why = f"it is not valid YAML{f' in line {mark.line + 1}' if mark else ''}: quote what has special characters"
    else:
        return
    raise ConfigError(f"OpenStack credentials: cloud {cloud!r}: {file} cannot be read: {why}", remedy=REMEDY)


def _from_variables(environ: Mapping[str, str]) -> Access:
    auth = {option: environ[name] for option in AUTH_OPTIONS if environ.get(name := f"OS_{option.upper()}")}
    kind = environ.get("OS_AUTH_TYPE") or _kind_of(auth)
    _refuse_missing(kind, auth)
    chosen: dict[str, Any] = {
        "auth_type": kind,
        "auth": auth,
        "region_name": environ.get("OS_REGION_NAME"),
        "interface": environ.get("OS_INTERFACE") or environ.get("OS_ENDPOINT_TYPE"),
        "cacert": environ.get("OS_CACERT"),
        "cert": environ.get("OS_CERT"),
        "key": environ.get("OS_KEY"),
        "verify": False if environ.get("OS_INSECURE", "").lower() in ("1", "true", "yes") else None,
    }
    kept = {name: value for name, value in chosen.items() if value is not None}
    return _load("OS_* variables", {"load_envvars": False, "load_yaml_config": False}, kept)


def _kind_of(auth: Mapping[str, str]) -> str:
    if "application_credential_secret" in auth:
        return "v3applicationcredential"
    return "token" if "token" in auth and "password" not in auth else "password"


def _refuse_missing(kind: str, auth: Mapping[str, str]) -> None:
    missing = [group for group in NEEDED.get(kind, ()) if not set(group) & set(auth)]
    if missing:
        names = ", ".join(" or ".join(f"OS_{option.upper()}" for option in group) for group in missing)
        raise ConfigError(f"OS_AUTH_URL is set without {names}", remedy=REMEDY)


def _load(label: str, options: Mapping[str, Any], chosen: Mapping[str, Any]) -> Access:
    """Let openstacksdk read and check the settings, and build keystoneauth's session over our transport."""
    from keystoneauth1 import exceptions as auth_errors
    from keystoneauth1 import session as auth_session
    from openstack import config
    from openstack import exceptions as sdk_errors

    from nova_ha.compute.transport import requests_session

    # It quotes what YAML cannot read: a password that begins with ! or *, say.
    logging.getLogger("openstack.config").setLevel(logging.ERROR)
    # The last two are what it raises over a cloud that is no mapping.
    wrong = (sdk_errors.ConfigException, auth_errors.ClientException, OSError, ValueError, TypeError, AttributeError)
    constructor = partial(auth_session.Session, session=requests_session())
    try:
        region = config.OpenStackConfig(session_constructor=constructor, **options).get_one(**chosen)
        session = region.get_session()
    except wrong as error:
        raise ConfigError(f"OpenStack credentials: {label}: {one_line(error)}", remedy=REMEDY) from error
    return Access(
        session=session,
        label=label,
        region=region.get_region_name("compute") or None,
        interface=region.get_interface("compute") or "public",
        compute_endpoint=region.config.get("compute_endpoint_override") or None,
    )


def one_line(error: object) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())
