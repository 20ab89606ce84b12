"""Files from strangers are parsed in a process that can neither open files nor reach the network."""

from doctored.apps.isolation.parent import IsolatedParser, check_supported, ending, file_parser

__all__ = ["IsolatedParser", "check_supported", "ending", "file_parser"]
