"""What is said of a call to Nova that failed."""

from __future__ import annotations

import pytest
from nova_ha.compute.refusal import MOST_SAID, reason
from novaclient.exceptions import ClientException


@pytest.mark.parametrize("length", [10, MOST_SAID, MOST_SAID + 1, 600_000])
def test_a_whole_page_of_a_proxy_is_told_by_its_beginning_and_its_end(length: int) -> None:
    told = reason(ClientException(503, "<html>" + "x" * (length - 12) + "</html"))
    assert told.startswith("<html>")
    assert "</html (HTTP 503" in told
    assert len(told) < MOST_SAID + 50
