"""What is said where Consul takes no more requests for now, and whether a write may have been carried out."""

from __future__ import annotations

import consul
import pytest
from nova_ha.consul.trouble import reading, writing
from nova_ha.errors import ConsulError, OutcomeUnknown

ELSEWHERE = "429 rate limit exceeded, try again later or against a different server"
LEADERS = "503 rate limit exceeded for operation that can only be performed by the leader, try again later"
OF_CALLS = "500 RPC rate limit exceeded"


@pytest.mark.parametrize("words", [ELSEWHERE, LEADERS, OF_CALLS, "429 "])
def test_a_read_names_the_limit_and_where_it_is_set(words: str) -> None:
    with pytest.raises(ConsulError, match="rate limit is reached") as caught, reading("key x"):
        raise consul.ConsulException(words)
    assert "limits" in caught.value.remedy


def test_a_write_that_was_answered_429_was_not_carried_out() -> None:
    with pytest.raises(ConsulError, match=r"rate limit is reached \(the transaction\)"), writing("the transaction"):
        raise consul.ConsulException(ELSEWHERE)


@pytest.mark.parametrize("words", [LEADERS, OF_CALLS])
def test_a_write_that_a_server_gave_up_may_have_been(words: str) -> None:
    with pytest.raises(OutcomeUnknown), writing("the transaction"):
        raise consul.ConsulException(words)
