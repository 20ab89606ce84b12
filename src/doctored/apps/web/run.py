"""From settings to a server that runs until it is stopped."""

import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctored.apps.web.jobs import Jobs
from doctored.apps.web.settings import ServeSettings
from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    import uvicorn

    from doctored.predict import Detector

# Each open connection holds some memory; a browser opens up to six.
_MOST_CONNECTIONS = 200
_LONGEST_HEADERS = 16_384
_SECONDS_TO_FINISH = 3


def run_server(settings: ServeSettings, detector: "Detector", announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or a signal to end; then nothing of the pictures is left.

    Args:
        settings: Where to listen, and the limits.
        detector: The model.
        announce: Called with the address once it can be called.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    from doctored.apps.web.results import Analysis
    from doctored.apps.web.server import make_app

    listener = _listen(settings)
    with (
        listener,
        tempfile.TemporaryDirectory(prefix="doctored-", ignore_cleanup_errors=True) as folder,
        settings.parser() as for_analysis,
        settings.parser() as for_requests,  # uploads are not to wait for what is analysed
    ):
        jobs = Jobs(Analysis(detector, settings.max_megapixels, for_analysis), Path(folder), settings)
        app = make_app(settings, jobs, model=detector.name, precision=detector.precision, parser=for_requests)
        # The server passes on the signal that has stopped it, and nothing would be cleaned up after this one.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            announce(_url(settings, listener))
            http_server(app).run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            jobs.close()


def http_server(app: Any) -> "uvicorn.Server":
    """What brings requests to an application, within limits on connections and headers."""
    import uvicorn

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_LONGEST_HEADERS,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    return uvicorn.Server(config)


def _listen(settings: ServeSettings) -> socket.socket:
    host = "127.0.0.1" if settings.host == "localhost" else settings.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"{settings.host} port {settings.port} cannot be listened on ({error.strerror or error}); "
            "choose another --port, or stop the program that uses it"
        ) from error


def _url(settings: ServeSettings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}/"
