"""Pages that links of mails and push messages lead to, and the service worker that shows these.

A GET only asks: mail scanners follow every link. A POST does it, the mail program's own too
(RFC 8058), and needs no more than the link.
"""

from html import escape
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from domain.channels import ChannelName
from domain.errors import Unauthenticated
from domain.services.preferences import PreferenceService
from domain.services.verification import VerificationService
from infra.mail_links import PATH as UNSUBSCRIBE_PATH
from infra.mail_links import VERIFY_PATH, UnsubscribeLinks, VerificationLinks

SERVICE_WORKER: Final = Path(__file__).with_name("service_worker.js")
SERVICE_WORKER_PATH: Final = "/service-worker.js"
# Until a front end of its own shows tasks.
TASKS_PREFIX: Final = "/tasks/"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Carillon</title>
<meta name="viewport" content="width=device-width">
<style>body {{ font: 1.1em sans-serif; margin: 4em auto; max-width: 30em }}</style></head>
<body><p>{text}</p>{form}</body></html>
"""
_FORM: Final = '<form method="post"><button>{label}</button></form>'


class Pages:
    """Answers what is not GraphQL and is for people."""

    def __init__(
        self,
        unsubscribe: UnsubscribeLinks,
        verify: VerificationLinks,
        preferences: PreferenceService,
        verification: VerificationService,
    ) -> None:
        self._unsubscribe_links = unsubscribe
        self._verify_links = verify
        self._preferences = preferences
        self._verification = verification

    def serves(self, path: str) -> bool:
        """Tells whether that path is one of these pages."""
        own = path in {UNSUBSCRIBE_PATH, VERIFY_PATH, SERVICE_WORKER_PATH}
        return own or path.startswith(TASKS_PREFIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        request = Request(scope, receive)
        await (await self._response(request))(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        path = request.url.path
        if path == SERVICE_WORKER_PATH:
            headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
            return FileResponse(SERVICE_WORKER, media_type="text/javascript", headers=headers)
        if path.startswith(TASKS_PREFIX):
            return RedirectResponse("/graphql", 307)
        if request.method not in {"GET", "HEAD", "POST"}:
            return _page("Only GET and POST lead somewhere here.", status=405)
        try:
            if path == UNSUBSCRIBE_PATH:
                return await self._unsubscribe(request)
            return await self._verify(request)
        except Unauthenticated as error:
            return _page(str(error), status=400)

    async def _unsubscribe(self, request: Request) -> Response:
        user, category = self._unsubscribe_links.read(_token(request))
        what = f"mails of the kind {category.name.capitalize()}"
        if request.method != "POST":
            return _page(f"Shall no more {what} be sent to you?", label="Send no more")
        try:
            await self._preferences.mute(user, category, ChannelName.EMAIL)
        except LookupError as error:
            # Who has left needs no mails ended.
            raise Unauthenticated("The link is not valid any more.") from error
        return _page(f"You will get no more {what}.")

    async def _verify(self, request: Request) -> Response:
        user, email = self._verify_links.read(_token(request))
        if request.method != "POST":
            return _page(f"Is {email} your address?", label="Yes, it is mine")
        await self._verification.confirm(user, email)
        return _page("Thank you. Your notifications will come to this address.")


def _token(request: Request) -> str:
    return request.query_params.get("token", "")


def _page(text: str, *, label: str | None = None, status: int = 200) -> Response:
    form = "" if label is None else _FORM.format(label=escape(label))
    return HTMLResponse(_PAGE.format(text=escape(text), form=form), status, _HEADERS)
