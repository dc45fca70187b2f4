"""Calling an address that somebody typed in, without becoming their tunnel into our network.

The name is looked up once; every address it has must be allowed; the connection goes to the very address that was
checked, so a name that answers differently the second time (DNS rebinding) gains nothing. No redirect is followed, no
proxy is used, little of the answer is read, and all of it together takes a bounded time.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from django.conf import settings

Address = IPv4Address | IPv6Address

LOOKUP_S = 4.0
TOTAL_S = 10.0
"""From the connection's begin to the answer's end."""
ANSWER_BYTES = 4096
LONGEST_URL = 2000
REFUSED_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's host, which is no private address
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.88.99.0/24",  # 6to4 relays
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "fec0::/10",  # site-local
    )
)
"""What ``ipaddress`` calls global and leads to a private address all the same."""
USUAL_PORTS = frozenset({80, 443})
LOWEST_PORT = 1024
REFUSED_PORTS = frozenset(
    {1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5672, 5900, 5984, 6000, 6379, 6443, 6667}
    | {9042, 9092, 9100, 9200, 9300, 10250, 11211, 15672, 27017}
)
"""Databases, brokers and the like: none of them receives webhooks."""


class Refused(Exception):  # noqa: N818 - it is our own no
    """This address is not called. ``code`` is in the catalogue."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Unreached(Exception):  # noqa: N818 - an event
    """Nothing answered, or not in time. ``code`` is in the catalogue."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A checked address of the web. ``host`` is in ASCII, ``path`` has the query."""

    tls: bool
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    retry_after: str
    beginning: bytes
    """At most :data:`ANSWER_BYTES` of it."""


def parse(url: str) -> Place:
    """Where ``url`` leads. Raises :class:`Refused`; looks nothing up."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:  # also UnicodeError
        raise Refused("webhook_url") from None
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not host or not printable or len(url) > LONGEST_URL:
        raise Refused("webhook_url")
    if "@" in parts.netloc:
        raise Refused("webhook_url_password")
    if parts.scheme == "http" and not settings.WEBHOOK_ALLOW_HTTP:
        raise Refused("webhook_needs_https")
    port = port or (443 if parts.scheme == "https" else 80)
    if port not in USUAL_PORTS and (port < LOWEST_PORT or port in REFUSED_PORTS):
        raise Refused("webhook_port")
    literal = _literal(host)
    if literal is not None and not allowed(literal):
        raise Refused("webhook_private")
    path = parts.path or "/"
    return Place(
        tls=parts.scheme == "https", host=host, port=port, path=f"{path}?{parts.query}" if parts.query else path
    )


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def allowed(address: Address) -> bool:
    """Whether ``address`` is one of the public internet, or of a network that the settings open."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return True
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in REFUSED_NETWORKS)
    )


def lookup(host: str, port: int) -> list[Address]:
    """The addresses of ``host``, in the system's order of preference. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))


def addresses_of(place: Place) -> list[Address]:
    """The one look-up, in bounded time. Raises :class:`Refused` if any of the addresses may not be called."""
    literal = _literal(place.host)
    found = [literal] if literal is not None else _looked_up(place)
    if not all(allowed(address) for address in found):
        raise Refused("webhook_private")
    return found


def _looked_up(place: Place) -> list[Address]:
    answer: Future[list[Address]] = Future()

    def ask() -> None:
        try:
            answer.set_result(lookup(place.host, place.port))
        except (OSError, ValueError) as error:
            answer.set_exception(error)

    # The system's resolver cannot be told how long to try; the thread is left to end by itself.
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.result(LOOKUP_S)
    except (OSError, ValueError, TooLate):
        raise Unreached("webhook_unknown_host") from None
    if not found:
        raise Unreached("webhook_unknown_host")
    return found


class _Pinned(http.client.HTTPConnection):
    """Speaks to one of the ``addresses`` in the name of the host: Host header, SNI and certificate are the host's."""

    def __init__(self, place: Place, addresses: list[Address], until: float) -> None:
        super().__init__(place.host, place.port)
        self.place, self.addresses, self.until = place, addresses, until
        self.raw: socket.socket | None = None

    def left(self) -> float:
        return max(0.05, self.until - time.monotonic())

    def connect(self) -> None:
        for number, address in enumerate(self.addresses, 1):
            try:
                plain = socket.create_connection((str(address), self.place.port), timeout=self.left())
                break
            except OSError:
                if number == len(self.addresses) or time.monotonic() > self.until:
                    raise
        self.raw = self.sock = plain
        if self.place.tls:
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(plain, server_hostname=self.place.host, do_handshake_on_connect=False)
            self.raw = self.sock = wrapped
            wrapped.do_handshake()

    def abort(self) -> None:
        """From another thread: whatever is being waited for ends now."""
        if self.raw is not None:
            try:
                socket.socket.shutdown(self.raw, socket.SHUT_RDWR)
            except OSError:
                return


def post(url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
    """Send ``body`` to ``url``. Raises :class:`Refused` before anything is sent, :class:`Unreached` after."""
    place = parse(url)
    addresses = addresses_of(place)
    connection = _Pinned(place, addresses, time.monotonic() + TOTAL_S)
    with _bounded(connection) as late:
        try:
            connection.request(
                "POST", place.path, body=body, headers={**headers, "Host": place.netloc, "Connection": "close"}
            )
            response = connection.getresponse()
            answer = Answer(
                status=response.status,
                retry_after=response.headers.get("Retry-After", ""),
                beginning=_beginning(response),
            )
        except TimeoutError:
            raise Unreached("webhook_timeout") from None
        except ssl.SSLError:
            raise Unreached("webhook_timeout" if late.is_set() else "webhook_tls") from None
        except (OSError, http.client.HTTPException):
            raise Unreached("webhook_timeout" if late.is_set() else "webhook_unreachable") from None
    if late.is_set():  # the answer ended because we ended it
        raise Unreached("webhook_timeout")
    return answer


def _beginning(response: http.client.HTTPResponse) -> bytes:
    """What the answer begins with. ``read`` would take a chunk of -1 bytes for the whole connection, whatever comes."""
    read = b""
    while len(read) < ANSWER_BYTES and (piece := response.read1(ANSWER_BYTES - len(read))):
        read += piece
    return read[:ANSWER_BYTES]


@contextmanager
def _bounded(connection: _Pinned) -> Iterator[threading.Event]:
    """A time-out of a socket starts again with every byte; this one does not."""
    late = threading.Event()

    def end() -> None:
        late.set()
        connection.abort()

    timer = threading.Timer(TOTAL_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        connection.close()
