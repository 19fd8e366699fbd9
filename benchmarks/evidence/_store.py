"""Rows that are kept as they are measured, so that a killed run goes on."""

import pandas as pd


def fill(store, keys, cells, measure):
    """Measure the cells that a CSV file lacks; append the rows of each as it is done.

    Parameters
    ----------
    store : Path
        The file, made where there is none.
    keys : list of str
        Names of the parts of a cell: the first columns.
    cells : iterable of tuple
    measure : callable
        Takes the parts of a cell; returns its rows as a list of dicts.

    Returns
    -------
    rows : DataFrame
        All rows of the file.
    """
    done = set()
    if store.exists():
        done = set(pd.read_csv(store)[keys].itertuples(index=False, name=None))
    store.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if cell not in done:
            named = dict(zip(keys, cell, strict=True))
            rows = pd.DataFrame([{**named, **row} for row in measure(*cell)])
            rows.to_csv(
                store, mode="a", header=not store.exists(), index=False, float_format="%.6g"
            )
    return pd.read_csv(store)
