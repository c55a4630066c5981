"""Larger than one machine, on clusters that dask runs: searches, and whole archives."""

from ._archive import transform_archive
from ._search import search_backend

__all__ = ["search_backend", "transform_archive"]
