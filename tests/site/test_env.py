"""Settings from the environment: each parser's good values, and the sentence for each bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from heygem_site import env

STRONG = {
    "SECRET_KEY": "k9Qw2-Zr8_Ty4uP1sDf6gHj3lXc7vBn5mAe0oIi2Rr4Tt6Yy8Uu1",
    "DEBUG": False,
    "ALLOWED_HOSTS": ["heygem.example.com"],
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "CSRF_TRUSTED_ORIGINS": ["https://heygem.example.com"],
}


def test_a_variable_is_read_and_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "  value ")
    assert env.text("NAME") == "value"


S3 = {
    "S3_BUCKET": "films",
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_ACCESS_KEY": "access",
    "S3_SECRET_KEY": "secret",
}


def test_files_lie_in_a_folder_unless_a_bucket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.storage() == {"BACKEND": "projects.storage.files.Files"}
    assert env.s3_origin() == ""
    for name, value in (S3 | {"S3_PUBLIC_ENDPOINT": "https://films.example.com", "S3_PREFIX": "/site/"}).items():
        monkeypatch.setenv(name, value)
    made = env.storage()
    assert made["BACKEND"] == "projects.storage.bucket.Bucket"
    assert (made["OPTIONS"]["bucket_name"], made["OPTIONS"]["location"]) == ("films", "site")
    assert env.s3_origin() == "https://films.example.com"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"S3_BUCKET": ""}, "S3_ENDPOINT is set, but S3_BUCKET is not"),
        ({"S3_BUCKET": "My Films"}, "S3_BUCKET must be a bucket's name"),
        ({"S3_SECRET_KEY": ""}, "S3_ACCESS_KEY and S3_SECRET_KEY belong together"),
        ({"S3_SECRET_KEY": "", "S3_ACCESS_KEY": ""}, "S3_ENDPOINT needs S3_ACCESS_KEY"),
        ({"S3_ENDPOINT": "s3.example.com"}, "S3_ENDPOINT must be an address"),
        ({"S3_ENDPOINT": "https://key@s3.example.com"}, "without key or path"),
        ({"S3_ENDPOINT": ""}, "S3_BUCKET on AWS needs S3_REGION"),
        ({"S3_ENDPOINT": "", "S3_PUBLIC_ENDPOINT": "https://s3.example.com"}, "S3_PUBLIC_ENDPOINT is set, but"),
        ({"S3_PREFIX": "../up"}, "S3_PREFIX may hold"),
    ],
)
def test_a_bucket_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sentence: str
) -> None:
    for name, value in (S3 | given).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=sentence):
        env.storage()


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "")
    assert env.text("NAME", default="d") == "d"


def test_a_file_holds_the_value_and_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    monkeypatch.setenv("NAME", "from the variable")
    monkeypatch.setenv("NAME_FILE", str(file))
    assert env.text("NAME") == "from the file"


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAME_FILE", str(tmp_path / "absent"))
    with pytest.raises(ImproperlyConfigured, match=r"NAME_FILE names .*absent, which cannot be read"):
        env.text("NAME")


@pytest.mark.parametrize(("value", "meant"), [("yes", True), ("ON", True), ("1", True), ("No", False), ("0", False)])
def test_booleans_are_words(monkeypatch: pytest.MonkeyPatch, value: str, meant: bool) -> None:
    monkeypatch.setenv("FLAG", value)
    assert env.boolean("FLAG", default=not meant) is meant


@pytest.mark.parametrize(
    ("parse", "value", "sentence"),
    [
        (lambda: env.boolean("X", default=False), "maybe", "X must be yes or no, not 'maybe'"),
        (lambda: env.integer("X", default=1), "many", "X must be a whole number, not 'many'"),
        (lambda: env.integer("X", default=1, low=1, high=9), "10", "X must be between 1 and 9, not 10"),
        (lambda: env.integer("X", default=1, low=1), "0", "X must be at least 1, not 0"),
        (lambda: env.choice("X", default="a", of=("a", "b")), "c", "X must be one of a, b, not 'c'"),
        (lambda: env.origins("X"), "example.com", "X must hold addresses such as https://"),
        (lambda: env.amounts("X"), "exemplar=2000, other", "X must look like name=1000, other=2000, not 'other'"),
        (lambda: env.networks("X"), "10.1.0.0/8, lan", "X must hold networks such as 10.1.0.0/16: "),
        (lambda: env.networks("X"), "10.1.0.1/8", "X must hold networks such as 10.1.0.0/16: "),
        (lambda: env.origins("X"), "https://example.com/path", "X must hold addresses such as https://"),
        (lambda: env.command("X", default=[]), "run 'it", "X is not a command line"),
        (lambda: env.folder("X", default=Path("/")), "relative/path", "X must be an absolute path"),
        (lambda: env.database("X", default=""), "mysql://h/db", "X must begin with sqlite:/// or postgresql://"),
        (lambda: env.database("X", default=""), "sqlite://file.sqlite3", "X must name a file"),
        (lambda: env.database("X", default=""), "postgresql://user@host", "must end with the name of a database"),
        (lambda: env.database("X", default=""), "postgresql://user@host:port/db", "X has the port 'port'"),
        (lambda: env.database("X", default=""), "postgresql://user@host:99999/db", "X has the port '99999'"),
        (lambda: env.database("X", default=""), "postgresql://user@host/db?sslmod=require", "X has ?sslmod="),
        (lambda: env.email("X"), "mail.example.com", "X must look like smtp://"),
    ],
)
def test_a_wrong_value_is_a_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, parse: object, value: str, sentence: str
) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured) as raised:
        parse()  # type: ignore[operator]
    assert sentence in str(raised.value)


def test_amounts_are_whole_numbers_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "exemplar=2000, other = 8000")
    assert env.amounts("X") == {"exemplar": 2000, "other": 8000}
    monkeypatch.setenv("X", "")
    assert env.amounts("X") == {}


def test_a_password_never_appears_in_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "postgresql://user:hunter2@host:wrong/db")
    with pytest.raises(ImproperlyConfigured) as raised:
        env.database("X", default="")
    assert "hunter2" not in str(raised.value)


def test_a_folder_that_is_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("X", str(tmp_path / "file"))
    with pytest.raises(ImproperlyConfigured, match="which is not a folder"):
        env.folder("X", default=tmp_path)


def test_sqlite_takes_an_absolute_path_and_locks_from_the_first_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "sqlite:////srv/hey%20gem/db.sqlite3")
    found = env.database("X", default="")
    assert found["NAME"] == "/srv/hey gem/db.sqlite3"
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in found["OPTIONS"]["init_command"]


def test_postgresql_is_taken_apart_and_unquoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "postgresql://user:p%40ss%2Fword@db.example.com:5433/heygem")
    found = env.database("X", default="")
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
        "user",
        "p@ss/word",
        "db.example.com",
        "5433",
        "heygem",
    )


def test_a_database_whose_network_is_cut_is_noticed_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "postgresql://u@host/db?sslmode=require&connect_timeout=3")
    options = env.database("X", default="")["OPTIONS"]
    assert (options["sslmode"], options["connect_timeout"], options["tcp_user_timeout"]) == ("require", "3", 15_000)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("postgresql://u@[::1]:5433/db", "::1", "5433"),
        ("postgresql://u@[::1]/db", "::1", ""),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql", ""),
        ("postgresql:///db?host=/var/run/postgresql", "/var/run/postgresql", ""),
    ],
)
def test_postgresql_hosts_may_be_ipv6_or_a_socket(
    monkeypatch: pytest.MonkeyPatch, address: str, host: str, port: str
) -> None:
    monkeypatch.setenv("X", address)
    found = env.database("X", default="")
    assert (found["HOST"], found["PORT"]) == (host, port)


def test_mail_goes_to_the_log_unless_a_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.email("X")["EMAIL_BACKEND"].endswith("console.EmailBackend")
    monkeypatch.setenv("X", "smtps://me:word@mail.example.com")
    found = env.email("X")
    assert (found["EMAIL_PORT"], found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (465, True, False)
    monkeypatch.setenv("X", "smtp://mail.example.com?tls=no")
    found = env.email("X")
    assert (found["EMAIL_PORT"], found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (587, False, False)


def test_strong_settings_may_face_the_public() -> None:
    assert env.weaknesses(STRONG) == []


@pytest.mark.parametrize(
    ("weak", "named"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": "a" * 80}, "SECRET_KEY"),
        ({"SECRET_KEY": "django-insecure-" + STRONG["SECRET_KEY"]}, "SECRET_KEY"),  # type: ignore[operator]
        ({"DEBUG": True}, "DEBUG"),
        ({"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": []}, "ALLOWED_HOSTS"),
        ({"SESSION_COOKIE_SECURE": False}, "SESSION_COOKIE_SECURE"),
        ({"CSRF_COOKIE_SECURE": False}, "CSRF_COOKIE_SECURE"),
        ({"CSRF_TRUSTED_ORIGINS": ["http://heygem.example.com"]}, "CSRF_TRUSTED_ORIGINS"),
    ],
)
def test_each_weak_setting_is_refused_by_name(weak: dict[str, object], named: str) -> None:
    (sentence,) = env.weaknesses({**STRONG, **weak})
    assert sentence.startswith(named)


def test_a_file_is_there_or_the_start_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert env.regular_file("NAME") is None
    (tmp_path / "weights.pth").write_bytes(b"x")
    monkeypatch.setenv("NAME", str(tmp_path / "weights.pth"))
    assert env.regular_file("NAME") == tmp_path / "weights.pth"
    for value, sentence in (
        ("weights.pth", "must be an absolute path"),
        (str(tmp_path), "which is not a file"),
        (str(tmp_path / "gone.pth"), "which is not a file"),
    ):
        monkeypatch.setenv("NAME", value)
        with pytest.raises(ImproperlyConfigured, match=sentence):
            env.regular_file("NAME")


def test_a_folder_is_there_or_the_start_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert env.existing_folder("NAME") is None
    monkeypatch.setenv("NAME", str(tmp_path))
    assert env.existing_folder("NAME") == tmp_path
    for value, sentence in (("weights", "must be an absolute path"), (str(tmp_path / "gone"), "is not a folder")):
        monkeypatch.setenv("NAME", value)
        with pytest.raises(ImproperlyConfigured, match=sentence):
            env.existing_folder("NAME")


@pytest.mark.parametrize("value", ["auto", "cpu", "cuda", "cuda:3", "fake", " CUDA "])
def test_a_device_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert env.device("NAME") == "auto"
    monkeypatch.setenv("NAME", value)
    assert env.device("NAME") == value.strip().lower()


@pytest.mark.parametrize("value", ["gpu", "cuda:x", "cuda:", "mps"])
def test_a_device_that_torch_would_not_know_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NAME", value)
    with pytest.raises(ImproperlyConfigured, match=r"auto, cpu, cuda or a card such as cuda:1"):
        env.device("NAME")


def test_devices_are_a_list_and_each_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAME", raising=False)
    assert env.devices("NAME") == ()
    monkeypatch.setenv("NAME", " cuda:0, CUDA:1,cpu ")
    assert env.devices("NAME") == ("cuda:0", "cuda:1", "cpu")
    for wrong in ("cuda:0,gpu1", "cuda:0,cuda:0"):
        monkeypatch.setenv("NAME", wrong)
        with pytest.raises(ImproperlyConfigured, match="NAME"):
            env.devices("NAME")
