"""The page and what it asks the server for."""

import hashlib
import re
from contextlib import asynccontextmanager
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ._guard import Guard
from ._live_session import LiveSession, sentence

_STATIC = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
_MOST = 1000  # items of a grid
_LONGEST = 86_400  # seconds


def make_app(
    session,
    *,
    items,
    title,
    token,
    hosts=("127.0.0.1", "localhost"),
    guideline=None,
    on_finish=None,
):
    """Make the web application of a labeling page.

    .. versionadded:: 0.1

    Parameters
    ----------
    session : LabelingSession
        Opened with ``refit=False``: the application fits it in the background.
    items : Items
        What is shown of its rows: one of this module, or an object with their
        `kind`, `show` and `media`.
    title : str
        Of the page.
    token : str
        Random text of 16 characters or more. The page opens with ``/?token=...``,
        which leaves a cookie, and nobody else gets anything.
    hosts : sequence of str, default=("127.0.0.1", "localhost")
        Names under which the server may be called; others are refused. "*"
        stands for any name.
    guideline : str or dict of class to str, default=None
        What the person is to know: one text, or one for each class.
    on_finish : callable, default=None
        Called without arguments when a person presses "Finish"; what it returns
        is shown as text. None: there is no such button.

    Returns
    -------
    app : starlette.applications.Starlette
        For any ASGI server, in one process.

    Raises
    ------
    ValueError
        If `session` refits by itself, `token` is too short, or `items` is of no
        kind that can be shown.

    See Also
    --------
    serve : Serves it, on this machine alone.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skactivekd import LabelingSession
    >>> from skactivekd.app import Texts, make_app
    >>> texts = ["my card is lost", "how do I top up?"]
    >>> folder = tempfile.TemporaryDirectory()
    >>> session = LabelingSession(
    ...     LogisticRegression(), texts, classes=["card", "top-up"], refit=False,
    ...     journal=os.path.join(folder.name, "labels.sqlite"),
    ... )
    >>> app = make_app(session, items=Texts(texts), title="Mail", token="f00d" * 8)
    >>> session.close()
    >>> folder.cleanup()
    """
    if session.refit:
        raise ValueError("Open the session with refit=False: the page fits it in the background.")
    kind = getattr(items, "kind", None)
    if kind not in ("image", "text", "sound", "row"):
        raise ValueError(f"items.kind is {kind!r}; it must be image, text, sound or row.")
    live = LiveSession(session, items)
    page = _Page(live, title, guideline, on_finish)

    @asynccontextmanager
    async def lifespan(_):
        live.start()
        yield
        await run_in_threadpool(live.stop)

    answers = {
        "answer": page.answer,
        "undo": page.undo,
        "class": page.add_class,
        "accept": page.accept,
        "finish": page.finish,
    }
    asked = {
        "start": page.start,
        "state": page.state,
        "confirm": page.confirm,
        "review": page.review,
        "examples": page.examples,
        "item": page.item,
    }
    routes = [
        Route("/", _static("page.html")),
        Route("/page.js", _static("page.js")),
        Route("/page.css", _static("page.css")),
        Route("/favicon.ico", lambda _: Response(status_code=204)),
        Route("/media/{index:int}", _media(live, "media")),
        Route("/thumbnail/{index:int}", _media(live, "thumbnail")),
    ]
    routes += [Route(f"/api/{name}", _asked(work)) for name, work in asked.items()]
    routes += [
        Route(f"/api/{name}", _told(work), methods=["POST"]) for name, work in answers.items()
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, hosts=tuple(hosts))],
        exception_handlers={HTTPException: _refuse},
        lifespan=lifespan,
    )
    Guard(None, token, hosts)  # Starlette makes its own later, too late to complain
    app.state.live = live
    return app


class _Page:
    """Reads what a browser sends, field by field, and asks the live session."""

    def __init__(self, live, title, guideline, on_finish):
        self.live, self.session = live, live.session
        self.title, self.guideline, self.on_finish = str(title), guideline, on_finish

    def start(self, fields):
        """What stays as it is."""
        texts = self.guideline if isinstance(self.guideline, dict) else {}
        return {
            "title": self.title,
            "kind": self.live.items.kind,
            "annotator": self.session.annotator,
            "guideline": None if isinstance(self.guideline, dict) else self.guideline,
            "guidelines": [[name, str(text)] for name, text in texts.items()],
            "finish": self.on_finish is not None,
            "journal": hashlib.sha256(self.session.journal.encode("utf-8", "replace")).hexdigest()[
                :16
            ],
        }

    def state(self, fields):
        """Everything that changes."""
        return self.live.state(self._who(fields), _browser(fields))

    def confirm(self, fields):
        """A grid of the surest rows of a class."""
        n = _integer(fields, "n", 1, _MOST)
        why = self.live.no_student()
        if why is not None:
            return {"questions": [], "note": why}
        return {"questions": self.live.grid(self._who(fields), self._class(fields), n)}

    def review(self, fields):
        """Labels for a second look."""
        return self.live.review(self._who(fields))

    def examples(self, fields):
        """Rows that have a label."""
        return {"examples": self.live.examples(self._class(fields))}

    def item(self, fields):
        """What is shown of a row."""
        n = len(self.session.y)
        return self.live.example(_integer(fields, "index", 0, n - 1), fields.get("key"))

    def answer(self, fields):
        """One answer."""
        seconds = _seconds(fields)
        kind, key, label = fields.get("kind"), _text(fields, "key"), fields.get("label")
        self.live.answer(self._who(fields), kind, key, label, seconds, _uid(fields))
        return self._next(fields)

    def undo(self, fields):
        """The last answer back."""
        rows = self.live.undo(self._who(fields), _uid(fields))
        return {"undone": rows, **self._next(fields)}

    def add_class(self, fields):
        """A class on the way."""
        name = fields.get("name")
        name = name.strip() if isinstance(name, str) else name
        name = self.live.add_class(self._who(fields), name, _uid(fields))
        return {"name": name, **self._next(fields)}

    def accept(self, fields):
        """A grid, but for some."""
        keys, wrong = _texts(fields, "keys"), _texts(fields, "wrong")
        label, seconds = fields.get("class"), _seconds(fields)
        self.live.accept(self._who(fields), label, keys, wrong, seconds, _uid(fields))
        return self._next(fields)

    def finish(self, fields):
        """Whatever follows the labeling."""
        if self.on_finish is None:
            raise ValueError("There is nothing to finish here: just close the page.")
        said = self.on_finish()
        return {"said": None if said is None else str(said)}

    def _next(self, fields):
        questions = self.live.questions(self._who(fields), _browser(fields))
        return {"questions": questions, "classes": self.session.classes}

    def _who(self, fields):
        who = fields.get("annotator")
        if who is None or who == "":
            return self.session.annotator
        if not isinstance(who, str) or len(who) > 100 or not who.isprintable():
            raise ValueError("The name of an annotator has up to 100 printable characters.")
        return who.strip() or self.session.annotator

    def _class(self, fields):
        classes = self.session.classes
        return classes[_integer(fields, "class", 0, len(classes) - 1)]


def _name(journal):
    """Return by what a browser keeps answers that it could not send to a journal."""
    return hashlib.sha256(journal.encode("utf-8", "replace")).hexdigest()[:16]


def _static(name):
    content, kind = files(__package__).joinpath("static", name).read_bytes(), _STATIC[name]

    async def serve(_):
        return Response(content, media_type=kind, headers={"Cache-Control": "no-store"})

    return serve


def _media(live, what):
    items, n = live.items, len(live.session.y)
    read = getattr(items, what, items.media)

    def load(index, key):
        live.check_row(index, key)
        return read(index)

    async def serve(request):
        index = request.path_params["index"]
        if not 0 <= index < n:
            return _error(f"There is no row {index}.", 404)
        try:
            key = request.query_params.get("k")
            content, kind = await run_in_threadpool(load, index, key)
        except Exception as error:
            return _error(sentence(error), 422)
        headers = {"Cache-Control": "private, max-age=600", "Accept-Ranges": "bytes"}
        return _part(request, content, kind, headers)

    return serve


def _part(request, content, kind, headers):
    """Return the part that a player asks for when someone seeks; else all."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not asked:
        return Response(content, media_type=kind, headers=headers)
    first = int(asked[1])
    last = min(int(asked[2] or len(content)), len(content) - 1)
    if first > last:
        headers["Content-Range"] = f"bytes */{len(content)}"
        return Response(status_code=416, headers=headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, kind)


def _asked(work):
    async def serve(request):
        return await _reply(work, dict(request.query_params))

    return serve


def _told(work):
    async def serve(request):
        try:
            fields = await request.json()
        except ValueError:
            return _error("That is no JSON.", 422)
        if not isinstance(fields, dict):
            return _error("An answer is a JSON object.", 422)
        return await _reply(work, fields)

    return serve


async def _reply(work, fields):
    try:
        reply = await run_in_threadpool(work, fields)
    except OSError as error:  # a full disk, a journal that may not be written
        return _error(sentence(error), 507)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        return _error(sentence(error), 422)
    except Exception as error:
        return _error(sentence(error), 500)
    return JSONResponse(reply, headers={"Cache-Control": "no-store"})


def _error(text, status):
    headers = {"Cache-Control": "no-store"}
    return JSONResponse({"error": text}, status_code=status, headers=headers)


async def _refuse(_, error):
    return _error(f"{error.detail}.", error.status_code)


def _text(fields, name):
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing.")
    return value


def _texts(fields, name):
    values = fields.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is missing.")
    return values


def _integer(fields, name, low, high):
    value = str(fields.get(name, ""))
    if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}.")
    return int(value)


def _seconds(fields):
    value = fields.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST else None


def _uid(fields):
    value = fields.get("id")
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{32}", value):
        raise ValueError("Each answer has an id of 32 hexadecimal digits.")
    return f"page-{value}"


def _browser(fields):
    value = fields.get("browser")
    return value if isinstance(value, str) and len(value) <= 64 else ""
