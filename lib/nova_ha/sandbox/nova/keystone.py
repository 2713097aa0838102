"""The simulated Keystone: passwords to tokens, the catalog, and who may do what."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from nova_ha.sandbox.nova.http import Refusal, Request, Response, Route, route

PREFIX = "/identity"
CATALOG = {
    "identity": f"{PREFIX}/v3",
    "compute": "/compute/v2.1",
    "placement": "/placement",
    "image": "/image",
}
REGION = "RegionOne"
LIFE = timedelta(hours=1)


@dataclass(frozen=True)
class User:
    """A user with one project of the same name; only `admin` has the role admin."""

    name: str
    password: str = field(repr=False)
    admin: bool = False


@dataclass
class Identity:
    """Keystone's users and tokens. `services` are those that the catalog names."""

    users: dict[str, User] = field(
        default_factory=lambda: {
            "admin": User("admin", "secret", admin=True),
            "member": User("member", "secret"),
        }
    )
    services: list[str] = field(default_factory=lambda: list(CATALOG))
    _tokens: dict[str, User] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        return [
            route("GET", PREFIX, self._versions),
            route("GET", f"{PREFIX}/v3", self._version),
            route("POST", f"{PREFIX}/v3/auth/tokens", self._issue),
        ]

    def forget_tokens(self) -> None:
        """Make every token invalid, as an expired key repository does."""
        self._tokens.clear()

    def user_of(self, request: Request) -> User:
        """Return who asks. Raises Refusal 401 for a token that was not issued, or not any more."""
        user = self._tokens.get(request.headers.get("x-auth-token", ""))
        if user is None:
            raise Refusal(401, "The request you have made requires authentication.")
        return user

    def _versions(self, request: Request) -> Response:
        return Response(300, {"versions": {"values": [_v3(request)]}})

    def _version(self, request: Request) -> Response:
        return Response(200, {"version": _v3(request)})

    def _issue(self, request: Request) -> Response:
        asked = request.body["auth"]["identity"].get("password", {}).get("user", {})
        user = self.users.get(asked.get("name", ""))
        if user is None or user.password != asked.get("password"):
            raise Refusal(401, "The request you have made requires authentication.")
        token = uuid.uuid4().hex
        self._tokens[token] = user
        return Response(201, {"token": self._token(request, user)}, {"X-Subject-Token": token})

    def _token(self, request: Request, user: User) -> dict[str, Any]:
        now = datetime.now(UTC)
        domain = {"id": "default", "name": "Default"}
        return {
            "methods": ["password"],
            "issued_at": _stamp(now),
            "expires_at": _stamp(now + LIFE),
            "user": {"id": user.name, "name": user.name, "domain": domain},
            "project": {"id": user.name, "name": user.name, "domain": domain},
            "roles": [{"id": role, "name": role} for role in ("member", *(["admin"] if user.admin else []))],
            "catalog": [_entry(request, service) for service in self.services],
        }


def _v3(request: Request) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{request.base}{PREFIX}/v3/"}
    return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": [link]}


def _entry(request: Request, service: str) -> dict[str, Any]:
    url = f"{request.base}{CATALOG[service]}"
    endpoints = [
        {"id": f"{service}-{kind}", "interface": kind, "region": REGION, "region_id": REGION, "url": url}
        for kind in ("public", "internal", "admin")
    ]
    return {"id": service, "name": service, "type": service, "endpoints": endpoints}


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
