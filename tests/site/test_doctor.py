"""``./heygem doctor`` names what is wrong and what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from heygem_site import doctor

ROOT = Path(__file__).resolve().parents[2]


def test_a_package_in_another_version_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("# comment\nDjango==1.0\nno-such-package==2.0\n")
    finding = doctor.packages_match_the_lock(lock)
    assert finding.level == "bad"
    assert "Django" in finding.what
    assert "no-such-package missing" in finding.what


def test_the_packages_here_are_the_locks() -> None:
    assert doctor.packages_match_the_lock().level == "ok"


def test_a_key_that_others_can_read_is_noticed(tmp_path: Path, settings: Settings) -> None:
    settings.VAR_DIR = tmp_path
    (tmp_path / "secret_key").write_text("x")
    (tmp_path / "secret_key").chmod(0o644)
    assert "chmod 600" in doctor.secret_key_is_safe().remedy
    (tmp_path / "secret_key").chmod(0o600)
    assert doctor.secret_key_is_safe().level == "ok"


def test_a_migrated_database_is_well(db: None) -> None:
    assert doctor.database_is_current().level == "ok"


def test_media_that_cannot_be_written_is_bad(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "absent"
    assert doctor.media_is_writable().level == "bad"


def test_the_engine_is_tried_in_a_process_of_its_own() -> None:
    finding = doctor.engine_starts()
    assert finding.level == "ok", finding
    assert finding.what.startswith("engine ")


def test_missing_system_libraries_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENGINE_PROBE", "raise ImportError('libGL.so.1: cannot open shared object file')")
    assert doctor.engine_starts().remedy == "sudo apt-get install -y libgl1 libglib2.0-0"


def test_a_wrong_setting_is_a_line_and_a_status(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "heygem_site.doctor"],
        cwd=ROOT,
        env={**os.environ, "HEYGEM_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "heygem_site.settings", "DEBUG": "?"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "bad   settings: DEBUG must be yes or no" in done.stdout
