"""``python -m tests.rendering.frozen_line PORT TO_PORT``: passes connections on. Stopped with SIGSTOP it is a network
that is cut off: nobody answers, and nobody says so."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading


def pass_on(line: socket.socket, port: int) -> None:
    with line, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as onward:
        others = {line: onward, onward: line}
        while True:
            readable, _, _ = select.select(list(others), [], [])
            for source in readable:
                if not (data := source.recv(65536)):
                    return
                others[source].sendall(data)


def main() -> None:
    port, to_port = (int(word) for word in sys.argv[1:])
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            line, _ = server.accept()
            threading.Thread(target=pass_on, args=(line, to_port), daemon=True).start()


if __name__ == "__main__":
    main()
