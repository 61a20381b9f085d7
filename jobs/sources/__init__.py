"""Sources of tables: files, their formats and their digests; samples of installed packages."""

from .listing import File, files, sources_digest

__all__ = ["File", "files", "sources_digest"]
