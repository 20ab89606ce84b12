"""The routes: the page, and the same as an HTTP API."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from jinja2 import Environment, StrictUndefined
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import doctored
from doctored.apps.file_parser import FileParser
from doctored.apps.report.html_page import page_policy
from doctored.apps.report.views import colour_scale
from doctored.apps.report.wording import FACTS_MEANING, MAP_MEANING, WITNESS_MEANING
from doctored.apps.web.answers import (
    OF_A_JOB,
    OF_A_RESULT,
    REFUSED,
    Health,
    JobId,
    JobStatus,
    Limits,
    Result,
    Token,
    file_answer,
    problems,
)
from doctored.apps.web.guard import SESSION_COOKIE, Guard, is_same
from doctored.apps.web.jobs import Job, Jobs, QueueFullError, UnknownJobError
from doctored.apps.web.pyramid import TileKind, tile
from doctored.apps.web.results import ANSWER, StoredResult
from doctored.apps.web.scan_page import add_scan_page
from doctored.apps.web.settings import ServeSettings
from doctored.core.errors import DoctoredError, ImageReadError

_UPLOAD_PATH = "/inspect"
_EMPTY_HASH = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
_PAGE_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{_EMPTY_HASH}'; img-src 'self' data:; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The report's script only moves what is on its page; in a sandbox it could not reach this server if it tried.
_REPORT_POLICY = "frame-ancestors 'none'; sandbox allow-scripts; "
_LONGEST_NAME = 120
_SECONDS_BETWEEN_DELETIONS = 10.0
_SECONDS_TO_RETRY = 5


def make_app(settings: ServeSettings, jobs: Jobs, *, model: str, precision: str, parser: FileParser) -> Guard:
    """The application that a server runs.

    Args:
        settings: Limits, names and token.
        jobs: Takes pictures and keeps results; closed when the application ends.
        model: Name of the model.
        precision: What it computes in.
        parser: What parses the files of uploads and of the page about a scan.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deleting = asyncio.create_task(_delete_expired(jobs))
        yield
        deleting.cancel()
        await asyncio.to_thread(jobs.close)

    app = FastAPI(
        title="doctored",
        version=doctored.__version__,
        description="Has this photo been doctored? Where, and how?",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Newer versions would report what is asked to where an environment variable says.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
        responses=REFUSED,
    )
    guard = Guard(app, settings, _UPLOAD_PATH)
    app.exception_handler(HTTPException)(_on_refusal)
    app.exception_handler(RequestValidationError)(_on_wrong_parameter)
    app.exception_handler(UnknownJobError)(_on_unknown_job)
    app.exception_handler(FileNotFoundError)(_on_deleted_result)
    _add_pages(app, settings, model)
    _add_jobs(app, settings, jobs, model, precision, parser)
    _add_results(app, jobs)
    _add_session(app, settings, guard)
    if settings.scan is not None:
        add_scan_page(app, settings.scan, settings.max_megapixels, settings.max_megabytes, parser)
    return guard


async def _delete_expired(jobs: Jobs) -> None:
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_DELETIONS)
        await asyncio.to_thread(jobs.delete_expired)


async def _on_refusal(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"detail": str(error.detail)}, error.status_code, error.headers)


async def _on_wrong_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return JSONResponse({"detail": f"{where}: {first['msg']}"}, 422)


async def _on_unknown_job(request: Request, error: UnknownJobError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 404)


async def _on_deleted_result(request: Request, error: FileNotFoundError) -> JSONResponse:
    """Files of a result are deleted while somebody asks for them."""
    return JSONResponse({"detail": "the results of this job were deleted; send the picture again"}, 404)


def _add_pages(app: FastAPI, settings: ServeSettings, model: str) -> None:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    folder = resources.files("doctored.apps.web")
    style = resources.files("doctored.apps.report").joinpath("page.css").read_bytes()
    scale = colour_scale()

    def page(name: str, **values: Any) -> HTMLResponse:
        template = environment.from_string(folder.joinpath(name).read_text("utf-8"))
        text = template.render(version=doctored.__version__, model=model, **values)
        return HTMLResponse(text, headers={"content-security-policy": _PAGE_POLICY})

    index = page(
        "page.html.jinja",
        settings=settings,
        map_meaning=MAP_MEANING,
        facts_meaning=FACTS_MEANING,
        witness_meaning=WITNESS_MEANING,
    )

    @app.get("/", include_in_schema=False)
    def show_page() -> HTMLResponse:
        return index

    @app.get("/docs", include_in_schema=False)
    def show_docs(request: Request) -> HTMLResponse:
        needed = settings.token is not None
        return page("docs.html.jinja", api=app.openapi(), base=str(request.base_url), token_needed=needed)

    @app.get("/static/report.css", include_in_schema=False)
    def show_report_style() -> Response:
        return Response(style, media_type="text/css")

    @app.get("/static/scale.png", include_in_schema=False)
    def show_scale() -> Response:
        return Response(scale.data, media_type=scale.media_type)

    app.mount("/static", StaticFiles(packages=[("doctored.apps.web", "static")]), "static")


def _add_jobs(
    app: FastAPI, settings: ServeSettings, jobs: Jobs, model: str, precision: str, parser: FileParser
) -> None:
    # Checking headers needs whole files in memory: one at a time.
    checking = asyncio.Semaphore(1)

    def status_of(job: Job) -> JobStatus:
        return JobStatus(
            id=job.id,
            name=job.name,
            state=job.state,
            ahead=jobs.ahead(job),
            progress=job.progress,
            error=job.error,
            expires_at=job.expires_at,
        )

    @app.get("/health", response_description="It does.")
    def health() -> Health:
        """Whether the server works. Needs no token."""
        limits = Limits(**{name: getattr(settings, name) for name in Limits.model_fields})
        return Health(
            status="ok",
            version=doctored.__version__,
            model=model,
            precision=precision,
            waiting=jobs.waiting(),
            limits=limits,
        )

    @app.post(
        _UPLOAD_PATH,
        status_code=202,
        response_description="The picture waits for its turn.",
        response_model=JobStatus,
        responses=problems(
            status_400="The body is no form with one picture.",
            status_408="The upload took too long.",
            status_422="The file is no picture that can be read, or has too many pixels.",
            status_429="Too many pictures are waiting; Retry-After says in how many seconds to try again.",
            status_507="The server's disk is full, or refuses the picture.",
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["picture"],
                            "properties": {
                                "picture": {
                                    "type": "string",
                                    "format": "binary",
                                    "description": "One picture file, as it is.",
                                }
                            },
                        }
                    }
                },
            }
        },
    )
    async def inspect(request: Request, response: Response) -> JobStatus:
        """Send one picture; the answer names the job to ask for."""
        try:
            job = jobs.reserve()
        except QueueFullError as error:
            raise HTTPException(429, str(error), {"retry-after": str(_SECONDS_TO_RETRY)}) from error
        except OSError as error:
            raise _no_room(error) from error
        try:
            async with asyncio.timeout(settings.max_seconds):
                await _receive(request, job, checking, settings, parser)
        except BaseException as error:
            jobs.discard(job)
            if isinstance(error, TimeoutError):
                raise HTTPException(408, f"the upload took more than {settings.max_seconds:g} s") from error
            if isinstance(error, DoctoredError):
                raise HTTPException(422, str(error)) from error
            if isinstance(error, OSError):
                raise _no_room(error) from error
            raise
        jobs.submit(job)
        response.headers["location"] = f"/jobs/{job.id}"
        return status_of(job)

    @app.get("/jobs/{job_id}", response_description="Its state.", responses=OF_A_JOB)
    def job_status(job_id: JobId) -> JobStatus:
        """What has become of a picture."""
        return status_of(jobs.get(job_id))

    @app.delete("/jobs/{job_id}", status_code=204, response_description="It is deleted.", responses=OF_A_JOB)
    def delete_job(job_id: JobId) -> Response:
        """Delete a picture and all results; an analysis that runs stops."""
        jobs.delete(jobs.get(job_id))
        return Response(status_code=204)


def _no_room(error: OSError) -> HTTPException:
    # Where on the server it was is nothing for a client.
    why = error.strerror or type(error).__name__
    return HTTPException(
        507, f"the server cannot store the picture ({why}); tell whoever runs it, and send it again"
    )


async def _receive(
    request: Request, job: Job, checking: asyncio.Semaphore, settings: ServeSettings, parser: FileParser
) -> None:
    """Bring an upload into the folder of a job.

    Raises:
        HTTPException: The body is no form with one picture.
        ImageReadError: It is no picture, or has too many pixels.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(400, "send the picture as multipart/form-data, in a field called picture")
    async with request.form(max_files=1, max_fields=0) as form:
        upload = form.get("picture")
        if not isinstance(upload, UploadFile):
            raise HTTPException(400, "the form holds no file in a field called picture")
        job.name = label(upload.filename or "")

        def store(data: bytes) -> None:
            if not data:
                raise ImageReadError(
                    f"{job.name} is empty (0 bytes), not a picture; send a complete copy of it"
                )
            parser.check_header(job.name, data, max_megapixels=settings.max_megapixels)
            job.upload.write_bytes(data)

        async with checking:
            await asyncio.to_thread(store, await upload.read())


def label(file_name: str) -> str:
    """What an uploaded file is called: its name without folders and without what could deceive a reader."""
    name = PurePosixPath(file_name.replace("\\", "/")).name
    # Control and format characters could hide or turn around the rest of a name.
    visible = "".join(sign for sign in name if unicodedata.category(sign)[0] != "C").strip()
    stem, dot, ending = visible.rpartition(".")
    if len(visible) > _LONGEST_NAME:
        visible = stem[: _LONGEST_NAME - 11] + "…" + dot + ending[:9]
    return visible or "picture"


def _add_results(app: FastAPI, jobs: Jobs) -> None:
    def stored(job_id: str) -> tuple[Job, StoredResult]:
        job = jobs.get(job_id)
        if job.state == "failed":
            raise HTTPException(422, job.error)
        if job.state != "done":
            raise HTTPException(
                409, f"{job.name} is still {job.state}; ask GET /jobs/{job.id} when it is done"
            )
        return job, StoredResult(job.folder)

    @app.get("/jobs/{job_id}/result", response_description="The result.", responses=OF_A_RESULT)
    def result(job_id: JobId) -> Result:
        """What was found in a picture."""
        return Result(**stored(job_id)[1].json)

    @app.get(
        "/jobs/{job_id}/files/{name}",
        response_class=FileResponse,
        responses=OF_A_RESULT | file_answer("A file of the result's list `files`.", "*/*"),
    )
    def file(
        job_id: JobId,
        name: str,
        threshold: Annotated[
            float, Query(ge=0, le=1, description="For mask.png: white where the map is at or above it.")
        ] = 0.5,
    ) -> Response:
        """The report, JSON, overlay, a map (16-bit grey, 0 to 65535 stand for 0 to 1) or a mask.

        `mask.png` is the answer's map after a threshold on the model's own scale, no calibrated boundary.
        """
        job, found = stored(job_id)
        known = found.file(name)
        if name != "mask.png" and known is None:
            raise HTTPException(404, f"there is no file {name!r}; there are {', '.join(found.json['files'])}")
        download = f"{PurePosixPath(job.name).stem}.{name}"
        if known is None:
            content = found.mask(threshold)
            headers = {"content-disposition": 'attachment; filename="mask.png"'}
            return Response(content, media_type="image/png", headers=headers)
        path, media_type = known
        if name != "report.html":
            return FileResponse(path, media_type=media_type, filename=download)
        headers = {"content-security-policy": _REPORT_POLICY + page_policy()}
        return FileResponse(
            path, media_type=media_type, filename=download, content_disposition_type="inline", headers=headers
        )

    @app.get(
        "/jobs/{job_id}/tiles/{kind}/{halving}/{column}/{row}",
        response_class=Response,
        responses=OF_A_RESULT | file_answer("A tile, without loss.", "image/png"),
    )
    def tile_of(
        job_id: JobId,
        kind: TileKind,
        halving: Annotated[int, Path(ge=0, le=31, description="0 for the picture's own pixels.")],
        column: Annotated[int, Path(ge=0, le=10**6)],
        row: Annotated[int, Path(ge=0, le=10**6)],
        map_name: Annotated[str, Query(alias="map", description="One of the result's `maps`.")] = ANSWER,
    ) -> Response:
        """A part of the picture, its map or its overlay."""
        _, found = stored(job_id)
        view = None
        if map_name in found.json["maps"]:
            view = tile(found.pyramid, kind, map_name, halving, column, row, found.profile)
        if view is None:
            raise HTTPException(404, "there is no such tile")
        return Response(view.data, media_type=view.media_type)


def _add_session(app: FastAPI, settings: ServeSettings, guard: Guard) -> None:
    @app.post(
        "/session",
        status_code=204,
        response_description="The cookie is set.",
        responses=problems(status_422="The body is no token."),
    )
    def open_session(token: Token) -> Response:
        """Let a browser in: the answer sets a cookie that is worth as much as the token until the server stops."""
        if settings.token is not None and not is_same(token.token, settings.token):
            raise HTTPException(401, "this is not the token")
        response = Response(status_code=204)
        response.set_cookie(SESSION_COOKIE, guard.session, httponly=True, samesite="strict")
        return response
