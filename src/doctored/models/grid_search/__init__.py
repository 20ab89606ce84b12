"""A search for places of a picture that were compressed on another JPEG grid than the rest."""

from doctored.models.grid_search.search import ForeignGrid, find_foreign_grids

__all__ = ["ForeignGrid", "find_foreign_grids"]
