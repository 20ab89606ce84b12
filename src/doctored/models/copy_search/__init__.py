"""A search for places of a picture that show the same content: what a copy-move leaves behind."""

from doctored.models.copy_search.search import SEARCHED_PX, Copy, find_copies

__all__ = ["SEARCHED_PX", "Copy", "find_copies"]
