"""What the HTTP API answers with, as types that its description is made from."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from doctored.apps.web.jobs import JobState


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="One sentence.")


class Limits(BaseModel):
    """What is refused."""

    max_megabytes: float = Field(description="Size of a file.")
    max_megapixels: float = Field(description="Size of a picture.")
    max_seconds: float = Field(description="Time for an upload, and for the analysis of a picture.")
    queue: int = Field(description="Pictures that may wait.")
    keep_minutes: float = Field(description="Results are deleted so long after they were ready.")


class Health(BaseModel):
    """Whether the server works, and with what."""

    status: Literal["ok"]
    version: str = Field(description="Of doctored.")
    model: str = Field(description="Name of the model.")
    precision: str = Field(description="What it computes in.")
    waiting: int = Field(description="Pictures that wait now.")
    limits: Limits


class JobStatus(BaseModel):
    """What has become of a picture."""

    id: str = Field(description="Cannot be guessed; whoever knows it sees the results.")
    name: str = Field(description="Of the file, without folders.")
    state: JobState
    ahead: int = Field(description="Pictures that come before it.")
    progress: float = Field(ge=0, le=1, description="Share of the analysis that is done.")
    error: str | None = Field(description="One sentence if it failed, else null.")
    expires_at: datetime | None = Field(description="When it is deleted; null as long as it is not over.")


class Marking(BaseModel):
    """A region of the answer, or a place where the map is highest if the model marks no regions."""

    title: str
    box_xyxy: tuple[int, int, int, int] = Field(description="Left, top, right and bottom in pixels.")
    score: float | None = Field(description="Null for a place, which is no find.")
    mean: float = Field(description="Of the map in the box.")
    highest: float = Field(description="Of the map in the box.")


class Fact(BaseModel):
    """What the file says about one thing; anyone can change that."""

    title: str
    text: str


class Tiles(BaseModel):
    """How the picture is cut up to be shown."""

    width: int
    height: int
    tile_px: int = Field(description="Side of a tile, which is smaller at the right and lower border.")
    halvings: int = Field(description="After so many halvings the picture fits into one tile.")


class Result(BaseModel):
    """What was found in a picture."""

    verdict: Literal["manipulated", "no_signs", "cannot_judge"]
    title: str = Field(description="The verdict in a few words.")
    report: dict[str, Any] = Field(
        description="As in the list `pictures` of `doctored report --output report.json`, with a published schema; "
        "`report.inspection` is what `doctored detect --json` prints."
    )
    markings: list[Marking]
    markings_left_out: int
    highest: float = Field(description="Largest value of the answer's map.")
    facts: list[Fact]
    maps: list[str] = Field(description="`answer`, and the names of the witnesses if there are several.")
    tiles: Tiles
    files: list[str] = Field(description="What can be downloaded.")


class Token(BaseModel):
    """What whoever started the server knows."""

    token: str


Answers = dict[int | str, dict[str, Any]]


def problems(**sentences: str) -> Answers:
    """Descriptions of refusals, by "status_404" and so on."""
    return {
        int(name.removeprefix("status_")): {"model": Problem, "description": text}
        for name, text in sentences.items()
    }


def file_answer(description: str, media_type: str) -> Answers:
    """Description of an answer that is a file."""
    return {200: {"description": description, "content": {media_type: {}}}}


REFUSED = problems(
    status_401="The token is missing or wrong.",
    status_403="The request comes from a page of another site.",
    status_413="More bytes than allowed.",
    status_421="The server is not called by a name of its own.",
    status_503="Too many connections.",
)
OF_A_JOB = problems(status_404="There is no such job, or its results were deleted.")
OF_A_RESULT = OF_A_JOB | problems(
    status_409="The picture is still waiting or being analysed.",
    status_422="The picture could not be analysed, or a parameter makes no sense.",
)
JobId = Annotated[str, Path(description="As `POST /inspect` answered.", pattern=r"^[A-Za-z0-9_-]{22}$")]
