"""What is read of an answer of a Redfish BMC: so many bytes at most, as it comes and unpacked."""

from __future__ import annotations

import contextlib
import http.client
import zlib

# A system is described in some 10 KB.
MOST_BYTES = 1024 * 1024


class AnswerTooLong(http.client.HTTPException):
    """Whether the BMC did what it was asked for is not known."""

    def __init__(self) -> None:
        super().__init__(f"answer too long: more than {MOST_BYTES} bytes")


class BoundedAnswer(http.client.HTTPResponse):
    """An answer that raises AnswerTooLong where its body is longer, and has it unpacked already."""

    def read(self, amt: int | None = None) -> bytes:
        if (self.length or 0) > MOST_BYTES:
            raise AnswerTooLong
        # Read to its end, one of a given length is missed where it ends too early.
        body = super().read(amt if amt or self.length is not None else MOST_BYTES + 1)
        if self.getheader("Content-Encoding") == "gzip":
            del self.headers["Content-Encoding"]
            with contextlib.suppress(zlib.error):  # some BMCs say so and do not pack it
                body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise AnswerTooLong
        return body
