"""The site's own settings with a throw-away database, media folder and key, and cheap password hashes."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

SCRATCH = Path(tempfile.mkdtemp(prefix="heygem-tests-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)

for name in [
    name
    for name in os.environ
    if name.removesuffix("_FILE") in {"SECRET_KEY", "ALLOWED_HOSTS", "MEDIA_ROOT", "DEBUG", "HEYGEM_ENV", "EMAIL_URL"}
]:
    del os.environ[name]
os.environ["SECRET_KEY"] = "a key for tests alone: " + "0123456789abcdef" * 3
os.environ["MEDIA_ROOT"] = str(SCRATCH / "media")
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{SCRATCH / 'heygem.sqlite3'}"
(SCRATCH / "media").mkdir()

from heygem_site.settings import *  # noqa: E402, F403
from heygem_site.settings import DATABASES, STORAGES  # noqa: E402

# A file, not memory: threads, live servers and real clusters share it as they would share the real one.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(SCRATCH / "test.sqlite3")}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "[::1]"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
API_RATES = dict.fromkeys(("reading", "changing", "anonymous"), 100_000)  # its own tests lower them
AXES_ENABLED = False  # the throttling tests turn it on
