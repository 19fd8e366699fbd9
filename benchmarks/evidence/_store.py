"""Rows that are kept as they are measured, so that a killed run goes on."""

from itertools import groupby

import pandas as pd
from joblib import Parallel, delayed


def fill(store, keys, cells, measure, *, together=None, jobs=1):
    """Measure the cells that a CSV file lacks; append the rows of each as it is done.

    Parameters
    ----------
    store : Path
        The file, made where there is none.
    keys : list of str
        Names of the parts of a cell: the first columns.
    cells : iterable of tuple
    measure : callable
        Takes the parts of a cell; returns its rows as a list of dicts, which may rename parts.
    together : list of str, default=None
        Cells that follow one another and agree in these parts are measured by one process in
        their order, and kept together. None: each by itself.
    jobs : int, default=1
        Processes.

    Returns
    -------
    rows : DataFrame
        All rows of the file.
    """
    done = set()
    if store.exists():
        done = set(pd.read_csv(store)[keys].itertuples(index=False, name=None))
    store.parent.mkdir(parents=True, exist_ok=True)
    missing = [dict(zip(keys, cell, strict=True)) for cell in cells if cell not in done]
    runs = [
        list(run)
        for _, run in groupby(missing, lambda cell: [cell[name] for name in together or keys])
    ]
    order = "generator_unordered" if jobs > 1 else "generator"
    pool = Parallel(jobs, return_as=order, batch_size=1)
    for rows in pool(delayed(_measure_run)(measure, run) for run in runs):
        pd.DataFrame(rows).to_csv(
            store, mode="a", header=not store.exists(), index=False, float_format="%.6g"
        )
    return pd.read_csv(store)


def _measure_run(measure, run):
    return [{**cell, **row} for cell in run for row in measure(*cell.values())]
