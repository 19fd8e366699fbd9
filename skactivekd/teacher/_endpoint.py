"""Models behind a server as teachers: a lettered menu, and the probabilities of the letters."""

import json
from contextlib import contextmanager, nullcontext

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..encoders._read_image import reason
from ..utils._asked_rows import count_asked
from ..utils._check_params import WrongParameter, check_choice, check_integer, check_number
from ..utils._own_fingerprint import class_name
from ..utils._progress_bar import bar
from ._api_key import check_key_name, read_key
from ._ask_once import ask_once, check_cache
from ._chat_server import Chat, RowUnreadable, check_url
from ._concurrent_requests import ask_side_by_side
from ._data_url import data_url
from ._inputs import Rows
from ._lettered_answers import LETTERS, letter_probabilities, menu, read_answer
from ._prompted_teacher import PromptedTeacher, fill_prompt

_QUESTION = {
    "text": "Which of these fits the text best?",
    "image": "Which of these does the picture show?",
}
_ASK = "Answer with the letter alone."
_REVISION = 1  # to be raised when the same model comes to be asked otherwise


class EndpointTeacher(PromptedTeacher):
    r"""Ask a model behind an OpenAI-compatible server, once for each row.

    The classes are put to the model as a lettered menu, and the probabilities
    that it gives to the letters as its first token (``top_logprobs``) are those
    of the classes. vLLM, llama.cpp, SGLang and clouds answer so. It needs httpx:
    ``pip install skactivekd[endpoint]``.

    .. versionadded:: 0.1

    Parameters
    ----------
    url : str
        Of the server, most often ending in "/v1"; questions go to
        "/chat/completions" below it.
    model : str
        Its name there.
    classes : sequence of labels, or mapping of label to name
        At most 26 classes, by the labels that stand in y; without a mapping,
        their names are ``str(label)``.
    prompt : str or None, default=None
        The question. ``{text}`` is where a row's text goes and ``{menu}`` where
        the lettered classes go; without them the text comes before the question,
        the menu and "Answer with the letter alone." after it. None asks which
        class fits best.
    api_key_env : str or None, default=None
        Name of the environment variable that holds the key. It is read when rows
        are asked, and stands in no attribute, file, log or error.
    inputs : {"auto", "text", "image"}, default="auto"
        What rows are. "auto": strings are images if they name files, else texts.
    max_side : int, default=1024
        Pixels of the longer side of an image; larger ones are shrunk before they
        are sent, as PNG if they are small, else as JPEG, without EXIF.
    top_logprobs : int, default=20
        How many of the likeliest tokens to ask for; 20 is the most that many
        servers give.
    extra : dict or None, default=None
        What to add to, or with None to leave out of, the body of each request, as
        ``{"max_tokens": None, "max_completion_tokens": 1}``, or
        ``{"chat_template_kwargs": {"enable_thinking": False}}``.
    concurrency : int, default=8
        Rows asked at the same time.
    timeout : float, default=60.0
        Seconds that one try of a row may take.
    max_retries : int, default=6
        Further tries of a row after time-outs, lost connections, errors of the
        server (5xx) and answers that cannot be read. Refusals for the rate (429)
        do not count as long as other rows get through.
    backoff : float, default=0.5
        Seconds before the second try; they double with each, up to 60. What the
        server asks for (Retry-After) counts for all rows.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that have no answer after all tries: name them in one
        `RowError` once the others are answered, or give them equal probabilities
        and name them in one `SkippedRowsWarning`.
    cache : EmbeddingCache, False or None, default=None
        Where answers are kept: None is one memory for the process,
        ``EmbeddingCache("answers.sqlite")`` a file, so that no row is paid for
        twice; False nowhere.
    verbose : int, default=0
        1 or more shows a progress bar of what takes more than a second.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y; matters for `score` only.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them.
    usage_ : dict
        What was spent since `fit`: "rows" that were asked, "kept" rows whose
        answers were there, "requests" that were answered, and "prompt_tokens" and
        "completion_tokens" as the server counts them.

    See Also
    --------
    GenerativeTeacher : The same on this machine, and more than 26 classes.

    Notes
    -----
    Probabilities are those of the letters, over all spellings (spaces and
    punctuation around them), divided by their sum. Tokens that the server does not
    show have the mass that is left of 1, and none of them more than the least that
    it shows: each of the k letters that are not shown gets

    .. math:: \min\Bigl(\frac{1 - \sum_t p_t}{k}, \min_t p_t\Bigr)

    before the division, t running over the tokens shown.

    Each answer is kept as it comes. After a kill at most the `concurrency` rows
    under way are asked again. A model that thinks before it answers gives no letter
    as its first token: turn that off by `extra`.

    Examples
    --------
    >>> from skactivekd import EmbeddingCache, EndpointTeacher
    >>> teacher = EndpointTeacher(
    ...     "http://localhost:8000/v1", "Qwen/Qwen3-VL-8B-Instruct",
    ...     classes={0: "cat", 1: "dog"}, cache=EmbeddingCache("answers.sqlite"),
    ... ).fit()
    >>> teacher.predict_proba(["cat.jpg"])  # doctest: +SKIP
    array([[0.98, 0.02]], dtype=float32)
    """  # fmt: skip

    _places = ("{text}", "{menu}")

    def __init__(
        self,
        url,
        model,
        classes,
        prompt=None,
        api_key_env=None,
        *,
        inputs="auto",
        max_side=1024,
        top_logprobs=20,
        extra=None,
        concurrency=8,
        timeout=60.0,
        max_retries=6,
        backoff=0.5,
        on_error="raise",
        cache=None,
        verbose=0,
        missing_label=-1,
    ):
        self.url = url
        self.model = model
        self.classes = classes
        self.prompt = prompt
        self.api_key_env = api_key_env
        self.inputs = inputs
        self.max_side = max_side
        self.top_logprobs = top_logprobs
        self.extra = extra
        self.concurrency = concurrency
        self.timeout = timeout
        self.max_retries = max_retries
        self.backoff = backoff
        self.on_error = on_error
        self.cache = cache
        self.verbose = verbose
        self.missing_label = missing_label

    def fit(self, X=None, y=None):
        """Check the settings; nothing is asked, and nothing learned.

        Parameters
        ----------
        X, y : ignored

        Returns
        -------
        self : EndpointTeacher

        Raises
        ------
        ValueError
            If a setting cannot be, or there are more than 26 classes.
        TypeError
            If a setting is of the wrong kind.
        """
        self._check_settings()
        self._fit_classes()
        n_classes = len(self.classes_)
        if n_classes > len(LETTERS):
            raise ValueError(
                f"there are {n_classes} classes for the 26 letters of a menu: take a "
                "GenerativeTeacher, or ask for groups of classes first"
            )
        self.usage_ = dict.fromkeys(
            ("rows", "kept", "requests", "prompt_tokens", "completion_tokens"), 0
        )
        return self

    def predict_proba(self, X):
        """Probabilities of the classes, from the server for rows that it was not asked yet.

        Parameters
        ----------
        X : list, array, Series or data set of n rows
            Texts; or images as `OpenCLIPEncoder` takes them.

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
            Columns in the order of `classes_`. Rows that were skipped
            (``on_error="skip"``) are uniform: nothing is known of them.

        Raises
        ------
        RowError
            If rows cannot be read, or have no answer after all tries; all are named.
        EndpointError
            If the server cannot be asked; it says what to change. What was
            answered before is kept. It is a RuntimeError.
        ValueError
            If the variable of the key is not set.
        ImportError
            If httpx is not installed.
        """
        check_is_fitted(self)
        rows = Rows(X, self.inputs, self.on_error)
        self._template(rows.kind)
        asking = _Asking(self, rows)
        answers = ask_once(
            self._owner("predict_proba"),
            rows.keys,
            asking.ask,
            check_cache(self.cache, "EndpointTeacher"),
            batch_size=max(len(rows), 1),
            keeps=True,
        )
        self.usage_["rows"] += asking.n_asked
        self.usage_["kept"] += int(np.isfinite(answers).all(axis=1).sum()) - asking.n_asked
        problem = (
            "without an answer; the others are kept, so that another call asks for these alone"
        )
        return self._settle(answers, asking.bad, rows, problem)

    def fingerprint(self):
        """Identify all that the answers depend on.

        Returns
        -------
        fingerprint : str
            Equal for teachers of the same class, server, model, names of classes,
            prompt, `max_side`, `top_logprobs` and `extra`.
        """
        import joblib

        check_is_fitted(self)
        parts = [check_url(self.url), self.model, self.class_names_, self.prompt, self.max_side]
        parts += [self.top_logprobs, self.extra, _REVISION]
        return joblib.hash((class_name(type(self)), parts))

    def _check_settings(self):
        check_url(self.url)
        if not isinstance(self.model, str) or not self.model.strip():
            raise WrongParameter(f"model={self.model!r} must be the model's name on the server")
        self._check_prompt()
        check_key_name(self.api_key_env)
        for name, least in (("max_side", 1), ("concurrency", 1), ("max_retries", 0)):
            check_integer(getattr(self, name), name, least)
        check_integer(self.top_logprobs, "top_logprobs", 2)
        check_number(self.timeout, "timeout", above=0)
        check_number(self.backoff, "backoff", 0)
        check_choice(self.on_error, "on_error", ("raise", "skip"))
        check_cache(self.cache, "EndpointTeacher")
        if self.extra is not None:
            _check_extra(self.extra)

    def _template(self, kind):
        """Return the prompt with all its places, for rows of a kind."""
        prompt = _QUESTION[kind] if self.prompt is None else self.prompt
        if "{menu}" not in prompt:
            prompt += "\n\n{menu}\n\n" + _ASK
        return self._place_text(prompt, kind)

    def _body(self, rows, row):
        filled = {"menu": menu(self.class_names_)}
        if rows.kind == "text":
            content = fill_prompt(self._template("text"), text=rows[row], **filled)
        else:
            try:
                url = data_url(rows[row], self.max_side)
            except Exception as error:  # PIL lets almost anything escape
                raise RowUnreadable(reason(rows[row], error)) from None
            content = [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": fill_prompt(self._template("image"), **filled)},
            ]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": self.top_logprobs,
        }
        body |= self.extra or {}
        return {name: value for name, value in body.items() if value is not None}


class _Asking:
    """One call: rows that are not known go to the server."""

    def __init__(self, teacher, rows):
        self.teacher, self.rows, self.n_asked, self.bad = teacher, rows, 0, dict(rows.bad)

    def ask(self, positions, keep):
        """Ask for some rows; nan where they are skipped."""
        teacher, n_classes = self.teacher, len(self.teacher.classes_)
        answers = np.full((len(positions), n_classes), np.nan, dtype=np.float32)
        places = {row: place for place, row in enumerate(positions) if row not in self.rows.bad}
        if not places:
            return answers

        def read(reply):
            return letter_probabilities(read_answer(reply), n_classes)

        def keep_all(rows, proba):
            answers[[places[row] for row in rows]] = proba
            self.n_asked += len(rows)
            count_asked(len(rows))
            keep(rows, np.asarray(proba, dtype=np.float32))

        settings = [teacher.timeout, teacher.max_retries, teacher.backoff]
        chat = Chat(check_url(teacher.url), read_key(teacher.api_key_env), *settings)
        with chat, _bar(len(places), teacher.verbose) as advance:
            try:
                bad = ask_side_by_side(
                    lambda row: chat.ask(teacher._body(self.rows, row), read),
                    list(places),
                    keep_all,
                    chat.stop,
                    teacher.concurrency,
                    advance,
                )
            finally:
                teacher.usage_["requests"] += chat.n_requests
                teacher.usage_["prompt_tokens"] += chat.n_tokens[0]
                teacher.usage_["completion_tokens"] += chat.n_tokens[1]
        self.bad.update(bad)
        return answers


def _bar(total, verbose):
    """Give a function that moves a progress bar, or nothing."""
    if not verbose:
        return nullcontext(lambda n: None)

    @contextmanager
    def shown():
        with bar(total, what="Asking") as asked:
            yield asked.update

    return shown()


def _check_extra(extra):
    if not isinstance(extra, dict) or not all(isinstance(name, str) for name in extra):
        raise WrongParameter(f"extra={extra!r:.100} must be a dict of what a request may hold")
    own = sorted({"model", "messages", "logprobs", "top_logprobs", "stream", "n"} & set(extra))
    if own:
        raise WrongParameter(f"extra sets {', '.join(own)}, which EndpointTeacher decides itself")
    try:
        json.dumps(extra, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WrongParameter(f"extra holds what JSON cannot: {error}") from None
