"""What several plots share."""

import itertools
from hashlib import blake2b

import numpy as np

from ..utils._classes import check_classes

ABOVE = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 2, "frameon": False}
SHARE = (-0.02, 1.02)  # leaves room for whole markers

# Dark enough to be read as text; the first are those of the package's own strategies.
_COLORS = (
    *("#222222", "#1f77b4", "#d62728", "#2a8a2a", "#9467bd", "#c76a00", "#8c564b"),
    *("#c2338a", "#00838f", "#6b7a00", "#1a237e", "#5aa9e6"),
)
_OWN = (
    *("random", "entropy", "margin", "leastconfidence", "coreset", "pcoreset", "badge"),
    *("uncertaintyherding", "classbalanced"),
)
_DASHES = ("-", "--", ":", "-.")


def pyplot():
    """Return matplotlib.pyplot, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"Plots need matplotlib: pip install skactivekd[plots] ({error})."
        ) from error
    return plt


def own_axes(ax, **settings):
    """Return axes that were given, or those of a new figure."""
    plt = pyplot()
    return plt.subplots(layout="constrained", **settings)[1] if ax is None else ax


def whole_ticks(axis):
    """Keep ticks of counts whole; those that the user set, or a logarithm's, stay as they are."""
    from matplotlib.ticker import AutoLocator

    locator = axis.get_major_locator()
    if isinstance(locator, AutoLocator):
        locator.set_params(integer=True, min_n_ticks=1)  # one tick where there is one count


def check_axes(axes, n, what):
    """Return axes as an array, if there are as many as pictures."""
    axes = np.asarray(axes, dtype=object).ravel()
    if len(axes) != n:
        raise ValueError(f"axes must be {n}, {what}, got {len(axes)}.")
    return axes


def draw_diagonal(ax):
    """Draw where a model is right as often as it says, in axes of two shares."""
    ax.plot([0, 1], [0, 1], color="gray", linestyle="--", label="calibrated")
    ax.set(xlim=SHARE, ylim=SHARE)


def draw_reliability(ax, curve, label, **style):
    """Draw a `reliability_curve`, with the interval of each accuracy."""
    shares = curve["confidence"], curve["accuracy"]
    ax.errorbar(*shares, yerr=bars(curve), marker="o", label=label, **style)


def bars(table):
    """Lengths of the bars below and above the accuracies; rounding leaves none negative."""
    below, above = table["accuracy"] - table["low"], table["high"] - table["accuracy"]
    return np.array([below.clip(lower=0), above.clip(lower=0)])


def classes_in_order(classes, missing_label):
    """Return labels, as an array, and their names as strings, in the order in which they came."""
    known = check_classes(classes, missing_label)
    order = np.argsort(known.given)
    return known.labels[order], [str(known.called[place]) for place in order]


def line_styles(names):
    """Give each line a color, its strategy's in every figure, and a dash of its own.

    Lines are named "strategy" or "estimator, strategy". Two strategies share a color only when
    there are more of them than colors; a name that is not the package's own yields its color to
    one that is, or that comes before it in the alphabet.
    """
    strategies = {name: str(name).rpartition(", ")[2] for name in names}
    own = {strategy: _own_color(strategy) for strategy in strategies.values()}
    colors = {strategy: color for strategy, color in own.items() if color is not None}
    for strategy in sorted(set(own) - set(colors)):
        colors[strategy] = _free_color(strategy, set(colors.values()))
    taken, styles = set(), {}
    for name, strategy in strategies.items():
        first = colors[strategy]
        order = [(first + step) % len(_COLORS) for step in range(len(_COLORS))]
        places = [place for place in itertools.product(order, _DASHES) if place not in taken]
        color, dash = places[0] if places else (first, "-")
        taken.add((color, dash))
        styles[name] = {"color": _COLORS[color], "linestyle": dash}
    return styles


def _own_color(strategy):
    plain = "".join(letter for letter in strategy.casefold() if letter.isalnum())
    return _OWN.index(plain) if plain in _OWN else None


def _free_color(strategy, taken):
    start = int.from_bytes(blake2b(strategy.encode(), digest_size=4).digest(), "big")
    order = [(start + step) % len(_COLORS) for step in range(len(_COLORS))]
    return next((color for color in order if color not in taken), order[0])


def spread(heights, gap, low=0.0, high=1.0):
    """Move heights as little as need be to be `gap` apart and within bounds, in their order."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(order))
    moved = isotonic_regression(np.asarray(heights, dtype=float)[order] - steps)
    placed = np.empty(len(order))
    placed[order] = np.clip(moved, low, max(low, high - gap * (len(order) - 1))) + steps
    return placed
