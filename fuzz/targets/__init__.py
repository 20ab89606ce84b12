"""What is fuzzed: each module holds the `PARSERS` of one target."""

import pkgutil
from importlib import import_module

from parser import Parser

TARGETS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def parsers_of(target: str) -> list[Parser]:
    """The parsers of a target, which is imported here and not before."""
    parsers: list[Parser] = import_module(f"targets.{target}").PARSERS
    return parsers
