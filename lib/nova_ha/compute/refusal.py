"""What went wrong with a call to Nova, as one of our errors in one line. Loads the clients: import it lazily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from keystoneauth1 import exceptions as auth_errors
from novaclient import exceptions as nova_errors

from nova_ha.compute.credentials import one_line
from nova_ha.compute.not_found import LOOK_IN_FRONT, NOT_ITS_OWN, said_by_a_service, said_by_nova
from nova_ha.compute.records import RIGHTS
from nova_ha.compute.transport import call_within
from nova_ha.errors import EvacuationRefused, HAError, NovaError, OutcomeUnknown

HTTP_ERRORS = (nova_errors.ClientException, auth_errors.HttpError)
# Everything that the two clients raise, and what they raise over an answer that is not what they expect.
CLIENT_ERRORS = (
    nova_errors.ClientException,
    auth_errors.ClientException,
    OSError,  # every error of requests is one; where a file for TLS is missing it is no more than that
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)
REMEDIES = {
    401: "check the user and the password in clouds.yaml or OS_*",
    403: RIGHTS,
}
NOT_FOUND = 404
CATALOG = "check region and interface against the service catalog"
LOOK = "look before asking again"
MOST_SAID = 500


@contextmanager
def asking(what: str, seconds: float, refusals: Mapping[int, type[NovaError]] | None = None) -> Iterator[None]:
    """Bound one call, and turn whatever the clients raise into one of our errors.

    `what` completes "Nova: cannot ..." and names the host or server. `refusals` says which error an HTTP status is
    where the caller acts on it; any other is a NovaError, and so is a 404 that is not Nova's own. OutcomeUnknown when
    a write may have been acted on.
    """
    with call_within(seconds) as call:
        try:
            yield
        except HAError:
            raise
        except CLIENT_ERRORS as error:
            if call.maybe_done:
                line = f"Nova: not known whether it did {what}: {reason(error)}"
                raise OutcomeUnknown(line, remedy=LOOK) from error
            status, why, remedy = status_of(error) or 0, reason(error), remedy_of(error)
            kind = (refusals or {}).get(status, NovaError)
            if status == NOT_FOUND and not said_by_nova(call.answer):
                kind = NovaError
                if not said_by_a_service(call.answer):
                    why, remedy = f"{why}: {NOT_ITS_OWN}", LOOK_IN_FRONT
            refused = kind(f"Nova: cannot {what}: {why}", remedy=remedy)
            if isinstance(refused, EvacuationRefused):
                refused.retry_after_s = float(getattr(error, "retry_after", 0))
            raise refused from error


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an answer that was an error, or None where there was none."""
    status = getattr(error, "code", None) or getattr(error, "http_status", None)
    return status if isinstance(error, HTTP_ERRORS) and isinstance(status, int) else None


def remedy_of(error: Exception) -> str:
    if isinstance(error, (auth_errors.EndpointNotFound, auth_errors.EmptyCatalog)):
        return CATALOG
    return REMEDIES.get(status_of(error) or 0, "")


def reason(error: Exception) -> str:
    """Return the error's text on one line, with the HTTP status and Nova's request id where it has them."""
    text = shortened(one_line(getattr(error, "message", "") or error))
    if isinstance(error, (nova_errors.ClientException, auth_errors.ClientException)):
        marks = (f"HTTP {status_of(error)}" if status_of(error) else "", getattr(error, "request_id", "") or "")
        shown = ", ".join(mark for mark in marks if mark and mark not in text)
        return f"{text} ({shown})" if shown else text
    return f"its answer was not understood ({type(error).__name__}: {text})"


def shortened(text: str) -> str:
    """Return it without its middle where it is long: a proxy may answer with a whole page, and it is recorded."""
    half = MOST_SAID // 2
    return text if len(text) <= MOST_SAID else f"{text[:half]} ... {text[-half:]}"
