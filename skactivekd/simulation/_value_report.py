"""The report on what a simulation says about labels saved."""

import math

import numpy as np

from ..metrics._curves import (
    METHOD,
    area_under_curve,
    check_targets,
    labels_to_reach,
    paired_difference,
    verdict,
)
from ..metrics._ranks import rank_table
from ._value_report_text import report_html, report_text


class ValueReport:
    """What labels, areas and ranks say; `value_report` makes it.

    ``print`` shows it as text, a notebook as tables.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : pandas.DataFrame
        Result of `simulate`.
    methods : list of (str, str)
        Estimator and strategy of each.
    targets : sequence of float
        Scores to reach.
    baseline : (str, str) or None
        The first reference.
    random : str
        The strategy that is the second reference, with the method's estimator.

    Attributes
    ----------
    labels : pandas.DataFrame
        For each "target" and method ("estimator", "strategy") the median number
        of "labels" over the seeds (one that does not reach it counts as
        infinitely many; nan where the median is that), how many of "n_seeds"
        reached it ("n_reached"), and the labels as a share of those of the
        references ("share_of_baseline", "share_of_random"; nan where one of the
        two is not reached).
    areas : pandas.DataFrame
        For each method "mean" and "std" over "n_seeds" of the area under the
        curve, which is the mean score over the labels.
    gains : pandas.DataFrame
        For each method and "reference" ("baseline" or "random") the mean paired
        "difference" of the areas, its "standard_error" and the "verdict":
        "gain" or "loss" beyond two standard errors, else "no gain"; "cannot
        tell" for one seed.
    ranks : pandas.DataFrame
        Result of `rank_table` over estimators and rounds, without the first
        round, before which nothing was queried.
    notes : list of str
        What to know before anything else.
    n_seeds : int
        Seeds of each method.
    budget : (int, int)
        Labels of the first and the last round.

    See Also
    --------
    value_report : Makes it.

    Examples
    --------
    >>> import pandas as pd
    >>> from skactivekd import value_report
    >>> results = pd.DataFrame({
    ...     "estimator": "student", "strategy": ["margin", "random"], "seed": 0, "round": 0,
    ...     "n_labels": 10, "score": [0.9, 0.8],
    ... })
    >>> value_report(results)
    <ValueReport: 2 methods, 1 seeds, 10 to 10 labels>
    """

    def __init__(self, results, methods, targets, baseline, random):
        self.methods, self.baseline, self.random = methods, baseline, random
        self.targets = np.unique(check_targets(targets))
        self.n_seeds = results["seed"].nunique()
        self.budget = int(results["n_labels"].min()), int(results["n_labels"].max())
        areas = area_under_curve(results)
        self.areas = _spread(areas)
        self.gains = self._compare(areas)
        self.labels = self._count(labels_to_reach(results, self.targets))
        self.ranks = rank_table(_after_queries(results))
        self.notes = self._note()

    def references(self, method):
        """Give the method's references by name, "baseline" and "random"."""
        found = {} if self.baseline is None else {"baseline": self.baseline}
        return {**found, "random": (method[0], self.random)}

    def _compare(self, areas):
        import pandas as pd

        runs = areas.groupby(list(METHOD))
        areas = {method: run.set_index("seed")["area"] for method, run in runs}
        rows = []
        for method in self.methods:
            for name, reference in self.references(method).items():
                if reference != method:
                    found = paired_difference(areas[method], areas[reference])
                    rows.append((*method, name, *found, verdict(*found)))
        columns = [*METHOD, "reference", "difference", "standard_error", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def _count(self, labels):
        groups = labels.groupby(["target", *METHOD], sort=False)["labels"]
        table = groups.agg(
            labels="median",
            n_reached=lambda values: int(np.isfinite(values).sum()),
            n_seeds="size",
        )
        table["labels"] = table["labels"].replace(math.inf, math.nan)
        needed = table["labels"].to_dict()
        for name in self.references(self.methods[0]):
            table[f"share_of_{name}"] = [
                _share(needed[key], needed[(key[0], *self.references(key[1:])[name])])
                for key in needed
            ]
        return table.reset_index()

    def _note(self):
        if self.n_seeds == 1:
            return ["one seed cannot tell a gain from chance; run at least five"]
        notes = []
        groups = self.gains.groupby(["reference", "estimator"], sort=False)
        for (reference, estimator), rows in groups:
            other = ", ".join(self.references((estimator, ""))[reference])
            if not (rows["verdict"] == "gain").any():
                notes.append(f"no gain over {other} by any strategy with {estimator!r}")
            worse = rows.loc[rows["verdict"] == "loss", "strategy"]
            if len(worse):
                notes.append(f"loss against {other} with {estimator!r}: {', '.join(worse)}")
        return list(dict.fromkeys(notes))  # the two references may be one

    def __str__(self):
        return report_text(self)

    def _repr_html_(self):
        return report_html(self)

    def __repr__(self):
        low, high = self.budget
        return (
            f"<ValueReport: {len(self.methods)} methods, {self.n_seeds} seeds, {low} to {high} "
            "labels>"
        )


def _spread(areas):
    groups = areas.groupby(list(METHOD), sort=False)["area"]
    return groups.agg(mean="mean", std="std", n_seeds="size").reset_index()


def _share(labels, others):
    """Divide numbers of labels, of which both may be 0 or nan."""
    if labels == others:
        return 1.0
    return math.inf if others == 0 else labels / others


def _after_queries(results):
    later = results[results["round"] > results["round"].min()]
    return later if len(later) else results
