"""What may be called, and that what was checked is what is called."""

from __future__ import annotations

import datetime
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_django.fixtures import Settings

from projects import outbound
from projects.outbound import Refused, Unreached
from tests.receiver import Receiver, receiving

PUBLIC = "93.184.215.14"


class Names:
    """A resolver that answers what it is told, one answer after the other, and counts how often it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> list[outbound.Address]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [ip_address(text) for text in answer]


@pytest.fixture
def opened(settings: Settings) -> None:
    """The loopback network and plain http are allowed."""
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    settings.WEBHOOK_ALLOW_HTTP = True


@pytest.fixture
def receiver(opened: None) -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def _post(url: str) -> outbound.Answer:
    return outbound.post(url, headers={"Content-Type": "application/json"}, body=b"{}")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
        *("255.255.255.255", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
        "168.63.129.16",
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "64:ff9b::a00:1"),
        *("64:ff9b:1::a00:1", "2002:a00:1::1", "2001::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    ],
)
def test_no_address_is_called_that_is_not_of_the_public_internet(address: str) -> None:
    assert not outbound.allowed(ip_address(address))


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_of_the_public_internet_are(address: str) -> None:
    assert outbound.allowed(ip_address(address))


def test_the_settings_open_a_network_and_no_other(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/64")]
    for address, may in (
        *(("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("fd00:1::5", True)),
        *(("10.2.0.1", False), ("fd00:2::5", False), ("127.0.0.1", False)),
    ):
        assert outbound.allowed(ip_address(address)) is may


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *((url, "webhook_url") for url in ("", "example.com", "ftp://example.com/", "https://", "file:///etc/passwd")),
        *((f"https://example.com/{bad}", "webhook_url") for bad in ("a b", "a\r\nHost: evil", "é", "x" * 2000)),
        *((f"https://{host}/", "webhook_url") for host in ("example.com:99999", "[::1", "a..b", "x" * 64)),
        *((f"https://{who}@example.com/", "webhook_url_password") for who in ("user", "user:word", "")),
        ("http://example.com/", "webhook_needs_https"),
        *((f"https://example.com:{port}/", "webhook_port") for port in (22, 25, 1023, 5432, 6379, 9200, 11211)),
        *((f"https://{host}/", "webhook_private") for host in ("127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]")),
    ],
)
def test_an_address_is_refused_with_its_reason_before_anything_is_looked_up(
    url: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names([PUBLIC])
    monkeypatch.setattr(outbound, "lookup", names)
    with pytest.raises(Refused) as refused:
        _post(url)
    assert refused.value.code == code
    assert names.asked == 0


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "017700000001", "localhost", "localhost."])
def test_other_spellings_of_a_private_address_are_seen_through(host: str) -> None:
    with pytest.raises((Refused, Unreached)) as error:
        _post(f"https://{host}/")
    assert error.value.code in {"webhook_private", "webhook_unknown_host"}


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "lookup", Names([PUBLIC, "10.0.0.1"]))
    with pytest.raises(Refused) as refused:
        _post("https://rebinding.example/")
    assert refused.value.code == "webhook_private"


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: whatever the name answers the second time is never asked."""
    names = Names(["127.0.0.1"], ["10.9.9.9"])
    monkeypatch.setattr(outbound, "lookup", names)
    assert _post(f"http://rebinding.example:{receiver.port}/x?y=1").status == 204
    assert names.asked == 1
    assert receiver.heard[0].headers["Host"] == f"rebinding.example:{receiver.port}"


def test_what_answers_a_private_address_at_the_delivery_is_not_called(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name was public when it was entered; now it leads to the receiver, which is on the loopback."""
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    url = f"http://rebinding.example:{receiver.port}/"
    assert outbound.parse(url).host == "rebinding.example"
    monkeypatch.setattr(outbound, "lookup", Names(["127.0.0.1"]))
    with pytest.raises(Refused):
        _post(url)
    assert receiver.heard == []


def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "lookup", Names(["127.0.0.77", "127.0.0.1"]))
    assert _post(f"http://two.example:{receiver.port}/").status == 204


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}
    assert _post(receiver.url).status == 302
    assert len(receiver.heard) == 1


def test_no_more_than_the_beginning_of_an_answer_is_read(receiver: Receiver) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    receiver.answer = endless
    assert len(_post(receiver.url).beginning) == outbound.ANSWER_BYTES


@pytest.mark.parametrize("size", [b"-1", b"-5", b"ffffffffff"])
def test_a_chunk_of_a_strange_size_is_not_read_to_its_end(receiver: Receiver, size: bytes) -> None:
    """``http.client`` reads a chunk of -1 bytes until the connection ends, and fails at one of -5."""
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n")
        try:
            while sent < 64 << 20:
                handler.wfile.write(b"x" * 65536)
                sent += 65536
        except OSError:
            return

    receiver.answer = endless
    assert len(_post(receiver.url).beginning) <= outbound.ANSWER_BYTES
    assert sent < 64 << 20


def test_an_answer_in_small_chunks_is_read_whole(receiver: Receiver) -> None:
    def pieces(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(b"".join(b"1\r\n" + letter + b"\r\n" for letter in (b"o", b"k", b"!")) + b"0\r\n\r\n")

    receiver.answer = pieces
    assert _post(receiver.url).beginning == b"ok!"


def test_an_answer_that_comes_drop_by_drop_ends_in_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_S", 0.6)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(100):
                handler.wfile.write(b"H")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            return

    receiver.answer = drip
    with pytest.raises(Unreached) as error:
        _post(receiver.url)
    assert error.value.code == "webhook_timeout"


def test_a_name_server_that_does_not_answer_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "LOOKUP_S", 0.1)
    monkeypatch.setattr(outbound, "lookup", lambda host, port: time.sleep(0.5) or [])
    with pytest.raises(Unreached) as error:
        _post("https://slow.example/")
    assert error.value.code == "webhook_unknown_host"


def test_nobody_there_and_nonsense_are_told_apart_from_success(receiver: Receiver) -> None:
    receiver.answer = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n") and None
    for url in (receiver.url, "http://127.0.0.1:1/".replace(":1/", ":1024/")):
        with pytest.raises(Unreached) as error:
            _post(url)
        assert error.value.code == "webhook_unreachable"


# By https, in the name of the host


def _certificate(folder: Path, name: str) -> Path:
    """A certificate of its own for ``name``, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_the_certificate_must_be_valid_and_the_hosts_own(
    opened: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = _certificate(tmp_path, "hooks.example")
    asked_for: list[str | None] = []

    def wrap(server: ThreadingHTTPServer) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.sni_callback = lambda _socket, name, _context: asked_for.append(name)  # type: ignore[assignment]
        server.socket = context.wrap_socket(server.socket, server_side=True)

    monkeypatch.setattr(outbound, "lookup", Names(["127.0.0.1"]))
    with receiving(wrap=wrap) as receiver:
        with pytest.raises(Unreached) as unknown:
            _post(f"https://hooks.example:{receiver.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert _post(f"https://hooks.example:{receiver.port}/").status == 204
        with pytest.raises(Unreached) as other:
            _post(f"https://other.example:{receiver.port}/")
        assert [error.value.code for error in (unknown, other)] == ["webhook_tls", "webhook_tls"]
        assert asked_for == ["hooks.example", "hooks.example", "other.example"]
        assert len(receiver.heard) == 1
