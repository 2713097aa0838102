"""The pages: their links lead somewhere, the README stays short, and the reference pages name everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nova_ha.cli.commands import PLACES
from nova_ha.cluster.policy import OPTIONS, option_text
from nova_ha.power.drivers import DRIVERS

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the common hosts of Git make them."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.read_text()))
    return {words.replace(" ", "-") for words in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page.name} links to #{anchor}, which {path} has not"


def test_every_page_is_found_from_the_readme() -> None:
    found, todo = set(), {PROJECT / "README.md"}
    while todo:
        found |= (now := todo)
        links = {(page, link.partition("#")[0]) for page in now for link in LINK.findall(page.read_text())}
        reached = {(page.parent / path).resolve() for page, path in links if path.endswith(".md")}
        todo = {page for page in reached if page.exists()} - found
    assert set(PAGES) <= found


def test_the_readme_stays_short() -> None:
    assert len((PROJECT / "README.md").read_text().split()) <= 1000


@pytest.mark.parametrize("name", OPTIONS)
def test_the_page_of_the_policy_has_every_option_with_its_default(name: str) -> None:
    row = next(line for line in (PROJECT / "docs/policy.md").read_text().split("\n") if f"`{name}`" in line)
    names, defaults = (cell.strip() for cell in row.split("|")[1:3])
    place = re.findall(r"`([^`]+)`", names).index(name)
    told = defaults if names.count("`") == 2 else defaults.split(", ")[place]
    assert told == option_text(OPTIONS[name].default)


@pytest.mark.parametrize("command", PLACES)
def test_the_page_of_the_commands_has_every_command(command: str) -> None:
    page = (PROJECT / "docs/commands.md").read_text()
    assert re.search(rf"(nova-ha |/ ){command}\b", page)


def test_the_page_of_the_keys_has_every_driver_and_no_other() -> None:
    row = next(line for line in (PROJECT / "docs/keys.md").read_text().split("\n") if "config/bmc/`" in line)
    [told] = re.findall(r"`driver` \(([^)]*)\)", row)
    assert re.findall(r"`([^`]+)`", told) == list(DRIVERS)
