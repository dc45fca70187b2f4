"""One file that holds an installation: ``./heygem backup FILE``, ``./heygem restore FILE``.

A plain tar, written in one go. In this order: ``about.json`` (what made it), ``database/<table>.jsonl.gz`` (a line of
columns, then a line for each row), ``media.jsonl.gz`` (every stored file with size and checksum), ``media/<key>`` (the
stored files), ``manifest.json`` (the SHA-256 of everything before it; a file without it was cut off).

The database is read in one snapshot, whatever is written meanwhile. Stored files never change and are kept from being
removed until they are copied (``projects.services.media_hold``). Rows are kept as the models' values, not as one
database's own dump, so a backup also moves an installation from SQLite to PostgreSQL.
"""


class BackupError(Exception):
    """Why there is no backup, or no restoring, in a sentence."""
