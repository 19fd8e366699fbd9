"""A value report in words and tables."""

import math
from html import escape


def report_text(report):
    """Write a value report for the terminal."""
    parts = [f"{heading}\n{table.to_string()}" for heading, table in _sections(report)]
    notes = [f"note: {note}" for note in report.notes]
    return "\n\n".join([_title(report), *parts, *(["\n".join(notes)] if notes else [])])


def report_html(report):
    """Write a value report for a notebook."""
    parts = [f"<p>{escape(heading)}</p>{table.to_html()}" for heading, table in _sections(report)]
    notes = [f"<p>note: {escape(note)}</p>" for note in report.notes]
    return "".join([f"<p><b>{escape(_title(report))}</b></p>", *parts, *notes])


def _title(report):
    low, high = report.budget
    seeds = "1 seed" if report.n_seeds == 1 else f"{report.n_seeds} seeds"
    return f"Value report: {len(report.methods)} methods, {seeds}, {low} to {high} labels"


def _sections(report):
    """Pair the headings with the tables, as they are to be read."""
    return [
        ("Labels to reach a score: median over seeds, and share of a reference's", _labels(report)),
        (
            "Mean score over the labels (area under the curve) ± standard deviation, and paired\n"
            "difference to a reference ± standard error; a gain or loss exceeds two of these",
            _areas(report),
        ),
        ("Ranks of the strategies over estimators and rounds with queries", _ranks(report.ranks)),
    ]


def _reference_names(report):
    names = {"random": f"{report.random}, same estimator"}
    if report.baseline is not None:
        names = {"baseline": ", ".join(report.baseline), **names}
    return names


def _labels(report):
    shown = report.labels.set_index(["target", "estimator", "strategy"])
    text = shown[[]].copy()
    reached = shown["labels"].notna()
    text["labels"] = [
        f"{n:g}" if there else "not reached"
        for n, there in zip(shown["labels"], reached, strict=True)
    ]
    text["seeds"] = [
        f"{n} of {total}" for n, total in zip(shown["n_reached"], shown["n_seeds"], strict=True)
    ]
    for key, name in _reference_names(report).items():
        shares = zip(shown[f"share_of_{key}"], reached, strict=True)
        text[f"of {name}"] = [_share(share, there) for share, there in shares]
    return text


def _share(share, reached):
    if math.isnan(share):
        return "it never does" if reached else ""
    return "it needs none" if math.isinf(share) else f"{share:.0%}"


def _areas(report):
    shown = report.areas.set_index(["estimator", "strategy"])
    text = shown[[]].copy()
    text["mean score"] = [
        _give(mean, std) for mean, std in zip(shown["mean"], shown["std"], strict=True)
    ]
    gains = report.gains.set_index(["reference", "estimator", "strategy"])
    for key, name in _reference_names(report).items():
        cells = [_gain(gains, (key, *method)) for method in shown.index]
        text[f"against {name}"] = cells
    return text


def _gain(gains, key):
    if key not in gains.index:
        return "(the reference)"
    found = gains.loc[key]
    return f"{_give(found['difference'], found['standard_error'], '+')} {found['verdict']}"


def _give(value, spread, sign=""):
    text = f"{value:{sign}.3f}"
    return text if math.isnan(spread) else f"{text} ± {spread:.3f}"


def _ranks(ranks):
    text = ranks[[]].copy()
    text["rank"] = [
        _give(mean, std) for mean, std in zip(ranks["mean_rank"], ranks["std_rank"], strict=True)
    ]
    text["first"] = [f"{share:.0%}" for share in ranks["first"]]
    text["first within one standard error"] = [f"{share:.0%}" for share in ranks["near_first"]]
    text["settings"] = ranks["n_settings"]
    return text
