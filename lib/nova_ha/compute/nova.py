"""The real Nova, through python-novaclient. Import it only where Nova is asked: the clients take 0.4 s to load."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar
from urllib.parse import urlencode

from nova_ha.compute import Migration, Server, ServerID, ServiceReading, records
from nova_ha.compute.refusal import asking
from nova_ha.compute.resources import Resources
from nova_ha.errors import EvacuationRefused, NoSuchHost, NoSuchServer, NovaError
from nova_ha.printable import first_few

log = logging.getLogger(__name__)

Version = tuple[int, int]
Query = Mapping[str, str | int]
Item = TypeVar("Item")

BINARY = "nova-compute"
EVACUATION = "evacuation"
NAMES_SHOWN = 5
# A detailed server takes Nova some 10 ms: one page stays well within a call's time-out.
SERVERS_PER_PAGE = 100
MIGRATIONS_PER_PAGE = 500
LISTING_ATTEMPTS = 3
MIGRATION_PAGES_FROM: Version = (2, 59)
FORCE_UNTIL: Version = (2, 67)
LOCK_REASON_FROM: Version = (2, 73)

HOST_ERRORS: Mapping[int, type[NovaError]] = {404: NoSuchHost}
SERVER_ERRORS: Mapping[int, type[NovaError]] = {404: NoSuchServer}
# Whatever has such a status was not done: also what a proxy or a limit of requests refuses.
EVACUATE_ERRORS: Mapping[int, type[NovaError]] = {
    **dict.fromkeys(range(400, 500), EvacuationRefused),
    404: NoSuchServer,
}


# What reading an entry of another form than ours raises.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)


class MarkerGone(NovaError):
    """Nova no longer knows the record that a page was to begin after, not even as deleted: it was archived."""


class Nova:
    """Nova behind the Protocol `Compute`, at one microversion. Safe to use from several threads."""

    def __init__(self, client: Any, resources: Resources, microversion: Version, call_timeout_s: float) -> None:
        self._client = client
        self._resources = resources
        self.microversion = microversion
        self.call_timeout_s = call_timeout_s
        self._unreadable: frozenset[str] = frozenset()
        self._odd: set[str] = set()

    def service(self, host: str) -> ServiceReading | None:
        found, _ = self._services(f"read the nova-compute of {host}", host, {"host": host})
        return next((reading for reading in found if reading.service.host == host), None)

    def services(self, about: str = "") -> Sequence[ServiceReading]:
        """As the Protocol says. Which ones Nova cannot read is logged when it changes."""
        found, unreadable = self._services("list the services", about, {})
        if unreadable != self._unreadable:
            self._unreadable = unreadable
            log.warning("Nova cannot read %d nova-compute services: %s", len(unreadable), in_away_cells(unreadable))
        return found

    def _services(
        self, what: str, about: str, filters: Mapping[str, str]
    ) -> tuple[Sequence[ServiceReading], frozenset[str]]:
        """Return the services that Nova can read, and the hosts of the others."""
        found, unreadable = [], set()
        with self._asking(what):
            # The manager would hide the answer's Date.
            response, body = self._client.client.get(f"/os-services?{urlencode({'binary': BINARY, **filters})}")
            read_at = records.answered_at(response.headers)
            for entry in body["services"]:
                try:
                    found.append(ServiceReading(records.service(entry), read_at))
                except (records.CellAway, *UNREADABLE) as error:
                    # One that names no host is nobody's: where the one asked about is missed, that has its own gate.
                    host = entry.get("host") if isinstance(entry, dict) else None
                    if host and host == about:
                        raise
                    if isinstance(error, records.CellAway):
                        unreadable.add(str(host))
                    else:
                        self._tell_odd(str(host or "no host"), error)
        return found, frozenset(unreadable)

    def _tell_odd(self, host: str, odd: Exception) -> None:
        if host not in self._odd:
            self._odd.add(host)
            log.warning(
                "Nova's entry of the nova-compute of %s cannot be read: %s: %s", host, type(odd).__name__, odd
            )

    def force_down(self, service_id: str, down: bool) -> None:
        what = f"force service {service_id} down" if down else f"clear force-down of service {service_id}"
        with self._asking(what, HOST_ERRORS):
            self._client.services.force_down(service_id, down)

    def disable(self, service_id: str, reason: str) -> None:
        with self._asking(f"disable service {service_id}", HOST_ERRORS):
            self._client.services.disable_log_reason(service_id, reason)

    def enable(self, service_id: str) -> None:
        with self._asking(f"enable service {service_id}", HOST_ERRORS):
            self._client.services.enable(service_id)

    def servers(self, host: str) -> Sequence[Server]:
        """As the Protocol says, soft-deleted ones included. Raises NovaError where Nova cannot read the host.

        While the database of the host's cell is away, Nova lists no servers and says nothing; its service shows it.
        """
        self.service(host)
        query: Query = {"host": host, "all_tenants": 1, "soft_deleted": 1, "limit": SERVERS_PER_PAGE}
        return self._listed(
            f"list the servers of {host}",
            ("/servers/detail", "servers", "id"),
            query,
            lambda record: records.server_on(host, record),
        )

    def server(self, server_id: ServerID) -> Server | None:
        try:
            with self._asking(f"read server {server_id}", SERVER_ERRORS):
                return records.server(self._client.servers.get(server_id).to_dict())
        except NoSuchServer:
            return None

    def evacuations(self, host: str) -> Sequence[Migration]:
        """As the Protocol says. Nova forgets those of a server that was deleted. Raises NovaError as `servers` does.

        Whoever acts on what is missing here reads the host's service afterwards too: its cell may come and go.
        """
        self.service(host)
        query: Query = {"source_compute": host, "migration_type": EVACUATION}

        def wanted(record: records.Record) -> bool:
            # Nova drops a filter, without a word, for whoever has not the right to use it.
            kind, source = record.get("migration_type", EVACUATION), record["source_compute"]
            return bool(kind == EVACUATION and source == host)

        return self._migrations(f"list the evacuations of {host}", query, wanted)

    def moves_of(self, server_id: ServerID) -> Sequence[Migration]:
        found = self._moves(f"list the migrations of server {server_id}", {"instance_uuid": server_id})
        return [move for move in found if move.server == server_id]

    def moves_at(self, host: str) -> Sequence[Migration]:
        found = self._moves(f"list the migrations from and to {host}", {"host": host})
        return [move for move in found if host in (move.source, move.destination)]

    def moves_to(self, host: str) -> Sequence[Migration]:
        return [move for move in self.moves_at(host) if move.destination == host]

    def _moves(self, what: str, query: Query) -> Sequence[Migration]:
        return self._migrations(what, query, lambda record: record.get("migration_type") != EVACUATION)

    def _migrations(self, what: str, query: Query, wanted: Callable[[records.Record], bool]) -> Sequence[Migration]:
        """Return the wanted ones, newest first."""
        pages: Query = {"limit": MIGRATIONS_PER_PAGE} if self.microversion >= MIGRATION_PAGES_FROM else {}
        found = self._listed(
            what,
            ("/os-migrations", "migrations", "uuid"),
            {**query, **pages},
            lambda record: records.migration(record) if wanted(record) else None,
        )
        return newest_first([move for move in found if move])

    def evacuate(self, server_id: ServerID, target: str | None) -> None:
        """As the Protocol says, and NoSuchHost where Nova knows the server and not the target.

        Any status from 400 to 499 is a refusal.
        """
        options = {"force": False} if self.microversion <= FORCE_UNTIL else {}
        try:
            with self._asking(f"evacuate server {server_id} to {target or 'any host'}", EVACUATE_ERRORS):
                self._client.servers.evacuate(server_id, host=target, **options)
        except NoSuchServer as missing:
            if target and self.server(server_id) is not None:
                raise NoSuchHost(missing.message) from missing
            raise

    def reset_to_error(self, server_id: ServerID) -> None:
        with self._asking(f"reset server {server_id} to ERROR", SERVER_ERRORS):
            self._client.servers.reset_state(server_id, "error")

    def stop(self, server_id: ServerID) -> None:
        with self._asking(f"stop server {server_id}", SERVER_ERRORS):
            self._client.servers.stop(server_id)

    def lock(self, server_id: ServerID, reason: str) -> None:
        options = {"reason": reason} if self.microversion >= LOCK_REASON_FROM else {}
        with self._asking(f"lock server {server_id}", SERVER_ERRORS):
            self._client.servers.lock(server_id, **options)

    def flavor_marks(self, flavor_id: str) -> Mapping[str, str]:
        with self._asking(f"read flavor {flavor_id}"):
            return self._resources.flavor_marks(flavor_id)

    def image_marks(self, image_id: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
        with self._asking(f"read image {image_id}"):
            return self._resources.image_marks(image_id)

    def room(self, host: str) -> Mapping[str, int]:
        with self._asking(f"read the room on {host}"):
            return self._resources.room(host)

    def usage(self, host: str) -> Mapping[str, int]:
        with self._asking(f"read the usage of {host}"):
            return self._resources.usage(host)

    def _asking(
        self, what: str, refusals: Mapping[int, type[NovaError]] | None = None
    ) -> AbstractContextManager[None]:
        return asking(what, self.call_timeout_s, refusals)

    def _listed(
        self, what: str, where: tuple[str, str, str], query: Query, read: Callable[[records.Record], Item]
    ) -> Sequence[Item]:
        """Return all records as they are read. Where Nova forgets a marker meanwhile, the listing begins again.

        `where` is the path, the name of the list in the answer, and the field that is a record's marker.
        """
        for _ in range(LISTING_ATTEMPTS - 1):
            try:
                return self._pages(what, where, query, read)
            except MarkerGone:
                continue
        return self._pages(what, where, query, read)

    def _pages(
        self, what: str, where: tuple[str, str, str], query: Query, read: Callable[[records.Record], Item]
    ) -> Sequence[Item]:
        """Return what is read of all pages. Each page is read as it comes: what it raises ends the listing there."""
        path, key, marker = where
        found, more, after = self._page(what, path, key, query, read, marker)
        while more:
            page, more, after = self._page(what, path, key, {**query, "marker": after}, read, marker)
            found += page
        return found

    def _page(
        self, what: str, path: str, key: str, query: Query, read: Callable[[records.Record], Item], marker: str
    ) -> tuple[list[Item], bool, str]:
        """Return what is read of one page, whether another may follow, and after which record."""
        with self._asking(what, {400: MarkerGone} if "marker" in query else None):
            _, body = self._client.client.get(f"{path}?{urlencode(query)}")
            page, more = body[key], bool(body.get(f"{key}_links"))
            if more and not page:
                raise ValueError("an empty page, and another one after it")
            return [read(record) for record in page], more, str(page[-1][marker]) if more else ""


def in_away_cells(hosts: frozenset[str]) -> str:
    """Return whose services cannot be read, and why."""
    return f"{first_few(sorted(hosts), NAMES_SHOWN)}; their cells' databases are away" if hosts else "all are back"


def newest_first(migrations: Sequence[Migration]) -> Sequence[Migration]:
    """Sort by Nova's own numbers: its stamps are of as many clocks as there are nova-apis.

    Where one has no number, by the stamps; among equals Nova's order, newest first, stays.
    """
    if all(migration.number for migration in migrations):
        return sorted(migrations, key=lambda migration: migration.number, reverse=True)
    return sorted(migrations, key=lambda migration: migration.created_at, reverse=True)
