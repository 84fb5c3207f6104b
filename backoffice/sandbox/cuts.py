"""Where the connection of an exchange can be cut, and how a socket is cut there."""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

Point = Literal[
    "unread",  # before anything of the request is read
    "fields",  # behind its header fields, the body unread
    "body",  # behind the body, before anything is done
    "done",  # what was asked for is done, nothing is answered
    "in_status",  # in the middle of the answer's status line
    "in_fields",  # in the middle of its header fields
    "in_content",  # in the middle of its body
    "answered",  # behind the last byte
]
EARLY = ("unread", "fields")  # before the call is answered at all
LATE = ("done", "in_status", "in_fields", "in_content", "answered")  # the call has its effect

_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of a connection: at which point, after how many seconds of silence, with a reset or quietly."""

    at: Point = "body"
    after: float = 0.0
    reset: bool = False

    def bytes_sent(self, head: bytes, body: bytes) -> bytes:
        """Return what of an answer goes out before the end."""
        status_line = head.index(b"\r\n")
        lengths = {
            "in_status": status_line // 2,
            "in_fields": (status_line + len(head)) // 2,
            "in_content": len(head) + len(body) // 2,
            "answered": len(head) + len(body),
        }
        return (head + body)[: lengths.get(self.at, 0)]

    def end(self, connection: socket.socket) -> None:
        """End the connection."""
        with suppress(OSError):  # the client may have been faster
            if self.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                connection.close()  # once the handler has closed its files, too
            else:
                connection.shutdown(socket.SHUT_RDWR)
