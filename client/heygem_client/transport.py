"""One request after another: with the token, with tries again where that is safe, and with refusals as exceptions.

Only the standard library. A proxy is taken from the environment, as ``urllib`` does.
"""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import IO, Any

from heygem_client.errors import HeyGemError, Problem, Unreachable, refusal

AGENT = "heygem-client/1.0"
TIMEOUT_S = 60.0
"""Without a byte; a large file may take as long as it takes."""
TRIES = 6
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LONGEST_RETRY_AFTER_S = 120.0
"""Asked to wait for longer than that, the client tells rather than waits."""
PASSING = (502, 503, 504)
TOO_MANY = 429
IN_FLIGHT = "key_in_flight"
"""The code of a creation that is still under way: its answer comes a little later."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """Raises :class:`HeyGemError` when something else than HeyGem answers at this address."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise HeyGemError("The answer is not JSON: is this the address of a HeyGem site?") from None


class Elsewhere(urllib.request.HTTPRedirectHandler):
    """Goes where a download lies, and leaves the token at home when that is another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.get_method() not in ("GET", "HEAD"):
            return None
        again = super().redirect_request(req, fp, code, msg, headers, newurl)
        if again is not None and _origin(newurl) != _origin(req.full_url):
            for name in ("Authorization", "If-range"):  # the other host has marks of its own
                again.remove_header(name)
        return again


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


@dataclass
class Transport:
    """``sleep`` is there for tests."""

    url: str
    token: str
    timeout_s: float = TIMEOUT_S
    tries: int = TRIES
    sleep: Callable[[float], None] = time.sleep
    opener: urllib.request.OpenerDirector = field(default_factory=lambda: urllib.request.build_opener(Elsewhere))

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/")
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise HeyGemError(f"The site's address must begin with https://, not {self.url!r}.")

    def address(self, path: str) -> str:
        """``path`` may also be whole, as in the address of a next page: then it must be this site's."""
        whole = urllib.parse.urljoin(f"{self.url}/", path)
        if _origin(whole) != _origin(self.url):
            # Behind a proxy a site may know itself by another name; the token goes to the one that was given.
            parts = urllib.parse.urlsplit(whole)
            whole = f"{self.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return whole

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        safe: bool = False,
    ) -> Answer:
        """The answer, if it is no refusal. ``safe``: asking twice does no harm, so a broken line is tried again."""
        for number in range(1, self.tries + 1):
            last = number == self.tries
            try:
                with self.open(method, path, headers=headers, body=body) as response:
                    return Answer(response.status, response.headers, response.read())
            except urllib.error.HTTPError as error:
                with error:
                    wait = self._wait(error, number, safe=safe)
                    if last or wait is None:
                        raise refused(error) from None
            except (OSError, http.client.HTTPException) as error:
                if last or not safe:
                    raise Unreachable(f"{self.url} cannot be reached: {reason(error)}") from None
                wait = pause(number)
            self.sleep(wait)
        raise AssertionError  # the last try has raised

    def _wait(self, error: urllib.error.HTTPError, number: int, *, safe: bool) -> float | None:
        """Seconds until the next try; None: there is none."""
        passing = error.code == TOO_MANY or (error.code in PASSING and safe)
        if not passing and error.code == 409 and safe:
            error.body = error.read()  # type: ignore[attr-defined]
            passing = problem_of(error).code == IN_FLIGHT
        if not passing:
            return None
        asked = retry_after(error.headers.get("Retry-After", ""))
        if asked is not None and asked > LONGEST_RETRY_AFTER_S:
            return None
        return max(pause(number), asked or 0.0)

    @contextmanager
    def open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Iterator[Any]:
        """The open answer of one try. Raises what ``urllib`` raises, with ``URLError`` unwrapped."""
        request = urllib.request.Request(self.address(path), data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("User-Agent", AGENT)
        request.add_header("Accept", "application/json, application/problem+json;q=0.9, */*;q=0.1")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            response = self.opener.open(request, timeout=self.timeout_s)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from None
        with response:
            yield response


def pause(number: int) -> float:
    """Seconds before the try after the ``number``-th: doubled each time, never quite the same."""
    longest: float = min(FIRST_PAUSE_S * 2 ** (number - 1), LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def retry_after(text: str) -> float | None:
    """Seconds from the header, a number or a date; None for neither."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def problem_of(error: urllib.error.HTTPError) -> Problem:
    """What the answer says of itself, or, from a proxy in between, as much as can be told."""
    body = getattr(error, "body", None)
    try:
        told = json.loads(error.read() if body is None else body)
        return Problem(
            code=str(told["code"]),
            title=str(told["title"]),
            detail=str(told["detail"]),
            status=error.code,
            errors=told.get("errors") or {},
        )
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return Problem(code="", title=f"The answer was {error.code} {error.reason}.", detail="", status=error.code)


def refused(error: urllib.error.HTTPError) -> HeyGemError:
    return refusal(problem_of(error))
