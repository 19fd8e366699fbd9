"""What was asked, with what was suggested and what was answered."""

import os
import textwrap

import numpy as np

from .._take_rows import n_rows
from ..encoders._inputs import is_path, is_picture
from ..encoders._read_image import open_image
from ..simulation._journal import read_store
from ..utils._check_params import check_integer, is_integer
from ._common import check_axes, pyplot

_LETTERS, _LINES = 24, 6  # of a text that are shown


class ContactSheetDisplay:
    r"""Images or texts that were asked about, with suggestion and answer.

    Above each stands the answer; where a suggestion was shown that it contradicts,
    it is red, and the suggestion with its probability stands below it.

    .. versionadded:: 0.1

    Parameters
    ----------
    items : sequence
        Images (arrays of shape (h, w), (h, w, 3) or (3, h, w), or what PIL
        opens) or texts.
    answers : sequence of the same length
        What was answered; None where nothing was.
    suggestions : sequence of the same length, default=None
        What was suggested: a pair (class, probability), or None.
    titles : sequence of str of the same length, default=None
        What each is called, such as its row.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        The axes drawn on, one for each item.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skactivekd.LabelingSession : Asks persons.
    skactivekd.simulate : Asks labels that are known.

    Examples
    --------
    >>> from skactivekd import ContactSheetDisplay
    >>> display = ContactSheetDisplay(
    ...     ["a fine film", "dull"], ["good", "bad"], [("good", 0.9), ("good", 0.6)]
    ... ).plot()
    >>> display.axes_[1].get_title()
    'bad\nsuggested: good 0.60'
    """

    def __init__(self, items, answers, suggestions=None, *, titles=None):
        n = len(items)
        if not n:
            raise ValueError("There is nothing to show: items is empty.")
        suggestions = [None] * n if suggestions is None else suggestions
        titles = [None] * n if titles is None else titles
        named = {"answers": answers, "suggestions": suggestions, "titles": titles}
        for name, values in named.items():
            if len(values) != n:
                raise ValueError(f"{name} has {len(values)} entries for {n} items; pass one each.")
        self.items, self.answers = list(items), list(answers)
        self.suggestions, self.titles = list(suggestions), list(titles)

    @classmethod
    def from_session(cls, session, n=20, *, show=None, annotator=None, axes=None):
        """Plot what an annotator answered last.

        Parameters
        ----------
        session : LabelingSession
            A session with answers.
        n : int, default=20
            Most rows to show, the latest first.
        show : sequence, default=None
            What to show for each row of X, where X itself is no picture or text.
        annotator : str, default=None
            Whose answers; None is the session's.
        axes : sequence of matplotlib.axes.Axes, default=None
            One for each row shown; None makes a figure.

        Returns
        -------
        display : ContactSheetDisplay

        Raises
        ------
        ValueError
            If nothing was answered so far.
        """
        if not hasattr(session, "history"):
            raise TypeError(f"session must be a LabelingSession, got {type(session).__name__}.")
        check_integer(n, "n", 1)
        said = session.history(n, annotator=annotator)
        if not said:
            raise ValueError("Nothing was answered in this session yet; answer by tell, then plot.")
        source = _check_show(session.X, show)
        items = [source[entry["index"]] for entry in said]
        answers = [
            entry["label"] if entry["kind"] == "answered" else f"({entry['kind']})"
            for entry in said
        ]
        suggestions = [entry["suggestions"][0] if entry["suggestions"] else None for entry in said]
        titles = [f"row {entry['index']}" for entry in said]
        return cls(items, answers, suggestions, titles=titles).plot(axes=axes)

    @classmethod
    def from_store(
        cls, store, X, y, *, strategy, estimator=None, seed=0, n=20, show=None, axes=None
    ):
        """Plot what a strategy asked in a simulation, from the first question on.

        A store does not keep suggestions; none is shown.

        Parameters
        ----------
        store : str or path
            The file that `simulate` wrote with ``store=``.
        X : array-like or sequence of shape (n_samples, ...)
            The pool that it was given.
        y : array-like of shape (n_samples,)
            All its labels.
        strategy : str
            The strategy's name.
        estimator : str, default=None
            The estimator's name; None where there is one.
        seed : int, default=0
            The run.
        n : int, default=20
            Most rows to show.
        show : sequence, default=None
            What to show for each row of X, where X itself is no picture or text.
        axes : sequence of matplotlib.axes.Axes, default=None
            One for each row shown; None makes a figure.

        Returns
        -------
        display : ContactSheetDisplay

        Raises
        ------
        ValueError
            If the file is no such store or was damaged, there is no such run,
            or it asked for rows that X has not. That X is the pool of the run
            cannot be told beyond that.
        """
        check_integer(n, "n", 1)
        if n_rows(X) != len(y):
            raise ValueError(f"X has {n_rows(X)} rows and y {len(y)}; pass the pool of the run.")
        rounds = _find_run(read_store(store), strategy, estimator, seed)
        asked = [(int(row), at) for at, part in enumerate(rounds) for row in part.queried][:n]
        if not asked:
            raise ValueError(f"The run of {strategy!r} asked for nothing; it has a single round.")
        if max(row for row, _ in asked) >= len(y):
            raise ValueError(f"The run asked for rows beyond the {len(y)} of X; pass its pool.")
        source, labels = _check_show(X, show), np.asarray(y)
        items, answers = ([part[row] for row, _ in asked] for part in (source, labels))
        titles = [f"round {number}, row {row}" for row, number in asked]
        return cls(items, answers, titles=titles).plot(axes=axes)

    def plot(self, *, axes=None, n_columns=5):
        """Draw the items in a grid.

        Parameters
        ----------
        axes : sequence of matplotlib.axes.Axes, default=None
            One for each item; None makes a figure.
        n_columns : int, default=5
            Items side by side.

        Returns
        -------
        display : ContactSheetDisplay

        Raises
        ------
        TypeError
            If an item is neither image nor text.
        ValueError
            If there are not as many axes as items.
        """
        check_integer(n_columns, "n_columns", 1)
        drawn = [_read_item(item) for item in self.items]
        plt, n = pyplot(), len(drawn)
        if axes is None:
            across = min(n, n_columns)
            down = -(-n // across)
            size = (2 * across, 2.3 * down)
            figure, axes = plt.subplots(
                down, across, figsize=size, squeeze=False, layout="constrained"
            )
            figure.get_layout_engine().set(h_pad=0.08)
            for ax in axes.flat[n:]:
                ax.remove()
            axes = axes.flat[:n]
        self.axes_ = check_axes(axes, n, "one for each item")
        self.figure_ = self.axes_[0].figure
        said = zip(self.answers, self.suggestions, self.titles, strict=True)
        for ax, item, (answer, suggestion, title) in zip(self.axes_, drawn, said, strict=True):
            _draw(ax, item)
            text, color = _caption(answer, suggestion)
            ax.set_title(text, size=7.5, color=color)
            ax.set(xticks=[], yticks=[])
            ax.set_xlabel(title or "", size="x-small", color="dimgray")
        return self


def _caption(answer, suggestion):
    said = "no answer" if answer is None else _shorten(answer, 22)
    if suggestion is None:
        return said, "black"
    best, probability = suggestion
    name = _shorten(best, 12)
    if str(best) == str(answer):
        return f"{said}\nas suggested {probability:.2f}", "black"
    return f"{said}\nsuggested: {name} {probability:.2f}", "#c00000"


def _shorten(name, most):
    name = str(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def _check_show(X, show):
    """Return what is indexed by the row's place: `show`, or X."""
    if show is not None and len(show) != n_rows(X):
        raise ValueError(f"show has {len(show)} entries for the {n_rows(X)} rows of X.")
    source = X if show is None else show
    return source.iloc if hasattr(source, "iloc") else source


def _read_item(item):
    """Return a text, or an image with its channels last."""
    if is_picture(item) or is_path(item):
        if isinstance(item, str) and not os.path.isfile(item):
            return item
        return np.asarray(open_image(item))
    image = np.asarray(item)
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
        image = np.moveaxis(image, 0, 2)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    picture = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
    if not picture or image.dtype.kind not in "biuf":
        raise TypeError(
            f"An item of type {type(item).__name__} and shape {image.shape} is neither image nor "
            "text; pass what is to be seen of each row in show=, such as images or texts."
        )
    return image


def _draw(ax, item):
    if not isinstance(item, str):
        if item.ndim == 3 and item.dtype.kind == "f":
            item = (item - item.min()) / max(item.max() - item.min(), 1e-12)
        ax.imshow(item, cmap="gray")
        return
    lines = textwrap.wrap(item, _LETTERS, max_lines=_LINES, placeholder=" …") or ["(empty)"]
    # A dollar sign is money here, not a formula.
    text = "\n".join(lines).replace("$", r"\$")
    ax.text(0.03, 0.95, text, size=7, va="top", transform=ax.transAxes)


def _find_run(runs, strategy, estimator, seed):
    if not is_integer(seed):
        raise TypeError(f"seed must be an integer, got {seed!r}.")
    names = sorted({run[0] for run in runs})
    if estimator is None:
        if len(names) > 1:
            raise ValueError(f"The store has several estimators, {names}; choose by estimator=.")
        estimator = names[0] if names else None
    run = (estimator, strategy, int(seed))
    if run not in runs:
        raise ValueError(f"The store has no run of {run!r}; it has {sorted(runs)[:10]}.")
    return runs[run]
