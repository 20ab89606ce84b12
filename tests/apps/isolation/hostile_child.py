"""A program in place of `child.py` whose decoder was taken over: files that begin with a command make it obey."""

import os
import resource
import signal
import socket
import time
from pathlib import Path

from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import child
from doctored.core.errors import ImageReadError

HOSTILE_PROGRAM = Path(__file__)
COMMAND = b"\xff\xd8\xff command "


def obey(command, data):
    """Do something that a picture should never be able to do; whatever is learned comes back as a refusal."""
    if command == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif command == "abort":
        os.abort()
    elif command == "exit":
        os._exit(3)
    elif command == "sleep":
        time.sleep(600)
    elif command == "spin":
        while True:
            pass
    elif command == "fill":
        return bytearray(1 << 40)
    elif command == "fill slowly":
        kept = []
        while True:
            kept.append(bytearray(1 << 24))
    elif command == "say nonsense":
        os.write(4, data)
        os._exit(0)
    elif command == "look around":
        attempts = {
            "read": lambda: Path("/etc/passwd").read_bytes(),
            "write": lambda: Path("/tmp/doctored-was-here").touch(),
            "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
            "listen": lambda: socket.create_server(("127.0.0.1", 0)),
            "pipe": os.pipe,
        }
        for name, attempt in attempts.items():
            try:
                attempt()
            except OSError as error:
                attempts[name] = error.strerror
        raise ImageReadError(str(attempts))
    elif command == "tell":
        secrets = [name for name in os.environ if "TOKEN" in name or "SECRET" in name or "AWS" in name]
        limits = [resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)]
        raise ImageReadError(f"{os.getpid()} {secrets} {limits} user {os.getuid()}")
    raise AssertionError(command)


class TakenOver(FileParser):
    def decode(self, name, data, *, max_megapixels):
        if not data.startswith(COMMAND):
            return super().decode(name, data, max_megapixels=max_megapixels)
        command, _, rest = data.removeprefix(COMMAND).partition(b";")
        return obey(command.decode(), rest)


if __name__ == "__main__":
    child.FileParser = TakenOver
    child.main()
