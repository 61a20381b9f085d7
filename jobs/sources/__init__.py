"""Where ingest takes tables from: files, their formats and their identity; samples of installed packages."""

from .listing import File, files, sources_digest

__all__ = ["File", "files", "sources_digest"]
