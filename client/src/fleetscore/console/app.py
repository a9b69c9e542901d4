"""The application: routes, templates and errors of the console."""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from fleetscore.console import charts, pages, runs
from fleetscore.console.device import device_context
from fleetscore.console.downloads import Downloads
from fleetscore.console.live import FULL, LiveStreams, figures, listed_runs
from fleetscore.console.pages import MAX_PICTURE_ROWS, Filters
from fleetscore.console.reader import LIMITS, Reader, ReaderLimits, Snapshot
from fleetscore.console.security import LOCAL_HOSTS, REPORT_POLICY, SecurityMiddleware
from fleetscore.contract.windows import Window
from fleetscore.errors import AccessDenied, FleetscoreError, NotFound, UsageInvalid
from fleetscore.fleet import Fleet

MAX_ID_CHARS = 1024
MAX_FILES = 2
MAX_REPORTS = 4
"""Number of predictions, and of reports, that are downloaded at the same time: 256 MiB and 128 MiB at most."""


def create_app(fleet: Fleet, *, hosts: Collection[str] = LOCAL_HOSTS, limits: ReaderLimits = LIMITS) -> ASGIApp:
    """Return the console of a fleet.

    Args:
        fleet: The fleet.
        hosts: The allowed names of the Host header.
        limits: The limits of the pages' data.
    """
    console = Console(Reader(fleet, limits))
    app = Starlette(
        routes=[
            Route("/", console.fleet),
            Route("/heat-map", console.heat_map),
            Route("/heat-map.png", console.picture),
            Route("/heat-map/device", console.device_of_row),
            Route("/device", console.device),
            Route("/device/predictions.csv", console.predictions),
            Route("/run", console.run),
            Route("/report", console.report),
            Route("/schedules", console.schedules),
            Route("/live", console.live),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Mount("/static", StaticFiles(packages=[("fleetscore.console", "static")])),
        ],
        exception_handlers={FleetscoreError: console.failed, HTTPException: console.http_error},
    )
    app.router.redirect_slashes = False  # behind a proxy with TLS, the redirect would lead to http
    return SecurityMiddleware(app, hosts)


class Console:
    """The pages of a fleet.

    Args:
        reader: The data of the pages.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._streams = LiveStreams(self._figures)
        self._files, self._reports = Downloads(MAX_FILES), Downloads(MAX_REPORTS)

    def fleet(self, request: Request) -> Response:
        """Return the page Fleet. Without storage it has the runs, and without the cluster all but the runs."""
        found, status, is_read, runs_problem = [], 200, True, ""
        try:
            snapshot = self._reader.snapshot()
        except FleetscoreError as error:
            snapshot, status, is_read = Snapshot(problems=(str(error),)), _status(error), False
        try:
            found = runs.run_rows(self._reader.runs())
        except FleetscoreError as error:
            runs_problem, status = str(error), _status(error)
        context = {"snapshot": snapshot, "is_read": is_read, "runs": found, "runs_problem": runs_problem}
        return self._page(request, "fleet.html", status, **context, **pages.fleet_context(snapshot))

    def heat_map(self, request: Request) -> Response:
        """Return the page Heat map."""
        snapshot, filters = self._reader.snapshot(), Filters.parse(request.query_params)
        return self._page(request, "heat_map.html", snapshot=snapshot, **pages.heat_map_context(snapshot, filters))

    def picture(self, request: Request) -> Response:
        """Return the heat map as PNG."""
        rows = list(pages.select(self._reader.snapshot(), Filters.parse(request.query_params)).values())
        if not rows:
            raise NotFound("the filters select no device; change them")
        dark = request.query_params.get("theme") == "dark"
        return Response(charts.heat_map(rows[:MAX_PICTURE_ROWS], dark=dark), media_type="image/png")

    def device_of_row(self, request: Request) -> Response:
        """Redirect from a row of the heat map to its device."""
        snapshot = self._reader.snapshot()
        devices = list(pages.select(snapshot, Filters.parse(request.query_params)))
        row, shown = (request.query_params.get(name, "") for name in ("row", "shown"))
        is_row = row.isascii() and row.isdigit() and len(row) <= 6 and int(row) < len(devices)
        if not is_row or shown != pages.shown_history(snapshot, devices):
            raise NotFound("the heat map has changed; load it again")
        return RedirectResponse(f"/device?id={quote(devices[int(row)], safe='')}", status_code=303)

    def device(self, request: Request) -> Response:
        """Return the page Device."""
        window = request.query_params.get("window")
        context = device_context(self._reader, _device(request), Window.parse(window) if window else None)
        return self._page(request, "device.html", snapshot=self._reader.snapshot(), **context)

    def predictions(self, request: Request) -> Response:
        """Return the predictions of a device as a file."""
        device, window = _device(request), _window(request)
        name = quote(f"{device}_{window.slug}.csv", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return self._files.respond(lambda: self._reader.predictions_csv(device, window), "text/csv", headers)

    def run(self, request: Request) -> Response:
        """Return the page Run."""
        context = runs.run_context(self._reader, request.query_params.get("name", ""))
        return self._page(request, "run.html", **context)

    def report(self, request: Request) -> Response:
        """Return the stored report of a window, in a sandbox."""
        window = _window(request)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return self._reports.respond(lambda: self._reader.report(window), "text/html", headers)

    def schedules(self, request: Request) -> Response:
        """Return the page Schedules."""
        return self._page(request, "schedules.html", **runs.schedules_context(self._reader, runs.utc_now()))

    async def live(self, request: Request) -> Response:
        """Return a stream of live figures."""
        if self._reader.cluster is None:
            return Response(status_code=204)  # an EventSource does not connect again
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self._streams.is_full:
            return PlainTextResponse(f"{FULL}\n", 503, {"Retry-After": "10"})
        events = self._streams.events(request.query_params.get("name", ""))
        return StreamingResponse(events, media_type="text/event-stream")

    def failed(self, request: Request, error: Exception) -> Response:
        """Return the page of an error that the user can act on."""
        return self._page(request, "error.html", _status(error), message=str(error))

    def http_error(self, request: Request, error: Exception) -> Response:
        """Return the page of an HTTP error, such as an unknown address."""
        assert isinstance(error, HTTPException)  # noqa: S101  the handler is registered for it alone
        message = "this page does not exist; use the links above" if error.status_code == 404 else error.detail
        return self._page(request, "error.html", error.status_code, message=message)

    def _figures(self, name: str) -> list[dict[str, Any]]:
        found = [self._reader.run(name)] if name else listed_runs(self._reader.runs())
        return [figures(run) for run in found]

    def _page(self, request: Request, template: str, status_code: int = 200, /, **context: Any) -> Response:
        reader = self._reader
        common = {
            "path": request.url.path,
            "has_cluster": reader.cluster is not None,
            "fleet_name": reader.fleet.layout.name,
            "location": reader.fleet.store.location,
        }
        text = _environment().get_template(template).render(**common, **context)
        return HTMLResponse(text.encode(errors="replace"), status_code)  # names of files need not be Unicode


async def healthz(_: Request) -> Response:
    """Return 200 while the process handles requests, also without storage and cluster: a restart repairs neither."""
    return PlainTextResponse("ok\n")


def readyz(_: Request) -> Response:
    """Return 200 when a thread of the pages is free, as this function runs in one: not while all wait for storage."""
    return PlainTextResponse("ok\n")


def device_url(device: object) -> str:
    """Return the address of the page of a device."""
    return f"/device?id={quote(str(device), safe='', errors='replace')}"


def visible(text: str) -> str:
    """Return a text, or its escapes if no character of it can be seen: a link and a heading need a name."""
    return text if any(one.isprintable() and not one.isspace() for one in text) else ascii(text)


def _status(error: Exception) -> int:
    """Return the HTTP status of an error that the user can act on."""
    kinds: list[tuple[type[Exception], int]] = [(NotFound, 404), (UsageInvalid, 400), (AccessDenied, 403)]
    return next((code for kind, code in kinds if isinstance(error, kind)), 503)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fleetscore.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "device_url": device_url,
        "visible": visible,
        "urlvalue": lambda text: quote(str(text), safe=""),
    }
    environment.filters.update(filters)
    return environment


def _device(request: Request) -> str:
    device = request.query_params.get("id", "")
    if not device or len(device) > MAX_ID_CHARS:
        raise UsageInvalid("the id of the device is invalid: it is missing or too long; use a link of the heat map")
    return device


def _window(request: Request) -> Window:
    return Window.parse(request.query_params.get("window", ""))
