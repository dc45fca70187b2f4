"""``python -m tests.rendering.faulty_line HOST PORT TO_HOST TO_PORT FAULT``: passes connections on, until FAULT exists.

While there is a file of that name, every connection is answered ``500 Internal Server Error``; those that are open when
it appears are closed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
from pathlib import Path

ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
ANSWER = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ERROR), ERROR)
)


def refuse(line: socket.socket) -> None:
    """Read what is asked, as far as it comes at once, and say no."""
    with line, contextlib.suppress(OSError):
        line.settimeout(1)
        line.recv(65536)
        line.sendall(ANSWER)
        line.shutdown(socket.SHUT_WR)
        while line.recv(65536):  # the rest of what was sent, or the answer would be lost with a reset
            pass


def pass_on(line: socket.socket, behind: tuple[str, int], fault: Path) -> None:
    with line, contextlib.suppress(OSError), socket.create_connection(behind, timeout=10) as onward:
        others = {line: onward, onward: line}
        while not fault.exists():
            readable, _, _ = select.select(list(others), [], [], 0.2)
            for source in readable:
                if not (data := source.recv(65536)):
                    return
                others[source].sendall(data)


def serve(listen: tuple[str, int], behind: tuple[str, int], fault: Path) -> None:
    server = socket.create_server(listen, backlog=64)
    while True:
        line, _ = server.accept()
        work = (refuse, line) if fault.exists() else (pass_on, line, behind, fault)
        threading.Thread(target=work[0], args=work[1:], daemon=True).start()


if __name__ == "__main__":
    host, port, to_host, to_port, flag = sys.argv[1:]
    serve((host, int(port)), (to_host, int(to_port)), Path(flag))
