"""The settings as a whole, started as a program starts them: in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = "k9Qw2-Zr8_Ty4uP1sDf6gHj3lXc7vBn5mAe0oIi2Rr4Tt6Yy8Uu1"
HEAVY = ("torch", "cv2", "av", "librosa", "scipy", "sklearn", "skimage", "face_alignment", "ai_edge_litert", "numpy")


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}}
    variables = {"DJANGO_SETTINGS_MODULE": "heygem_site.settings", "SECRET_KEY": KEY, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], env={**clean, **variables}, cwd=ROOT, capture_output=True, text=True, check=False
    )


def values(*names: str, **variables: str) -> dict[str, object]:
    code = (
        f"from django.conf import settings as s; import json; print(json.dumps({{n: getattr(s, n) for n in {names}}}))"
    )
    done = python(code, **variables)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


PUBLIC = {"HEYGEM_ENV": "production", "ALLOWED_HOSTS": "heygem.example.com"}


def test_the_site_loads_none_of_the_engines_libraries() -> None:
    code = f"""
import django, sys
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import rendering.tasks
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_production_is_strict_without_being_told() -> None:
    found = values("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "DEBUG", **PUBLIC)
    assert found == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "DEBUG": False,
    }


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY must be at least 50 random characters"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name the site's own hosts"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS must name the site's own hosts"),
        ({"DEBUG": "yes"}, "DEBUG must be off"),
        ({"SECURE_COOKIES": "no"}, "SESSION_COOKIE_SECURE must be on"),
    ],
)
def test_production_does_not_start_on_a_weak_setting(variables: dict[str, str], sentence: str) -> None:
    done = python("from django.conf import settings; settings.DEBUG", **{**PUBLIC, **variables})
    assert done.returncode != 0
    assert sentence in done.stderr


def test_a_local_site_works_over_plain_http() -> None:
    found = values("SESSION_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "ALLOWED_HOSTS")
    assert found == {
        "SESSION_COOKIE_SECURE": False,
        "SECURE_SSL_REDIRECT": False,
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"],
    }


def test_the_static_files_survive_being_hashed(tmp_path: Path) -> None:
    """As production does it: a style sheet that names a missing file, or a broken import, stops here."""
    code = f"""
import django
from django.conf import settings
settings.STATIC_ROOT = {str(tmp_path)!r}
django.setup()
from django.core.management import call_command
call_command("collectstatic", interactive=False, verbosity=0)
"""
    done = python(code, **PUBLIC)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "staticfiles.json").exists()
