"""Static files for production: names with a hash, so that browsers may keep them for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

LEFT_OUT = ("django_htmx/ext/",)
"""Not used here, and it imports files that its package does not carry."""


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Also rewrites ``import`` in ES modules, which would otherwise ask for unhashed names."""

    support_js_module_import_aggregation = True

    def post_process(self, paths: dict[str, Any], **options: Any) -> Iterator[tuple[str, str, bool]]:
        used = {name: path for name, path in paths.items() if not name.startswith(LEFT_OUT)}
        yield from super().post_process(used, **options)
