"""Static files for production: names with a hash, so that browsers may keep them for ever."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Also rewrites ``import`` in ES modules, which would otherwise ask for unhashed names."""

    support_js_module_import_aggregation = True
