"""Rows of a task by number: what is computed once stands in tables that cells look up."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Rows(TransformerMixin, BaseEstimator):
    """Turn row numbers into rows of a table, for instance a student's features.

    Parameters
    ----------
    table : array or CSR matrix with a row for each row of the task
    """

    def __init__(self, table):
        self.table = table

    def __sklearn_clone__(self):
        return self

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return self.table[np.asarray(X)]

    def __sklearn_is_fitted__(self):
        return True


class TableEncoder:
    """An encoder whose work is done: embeddings by row number, prompts by text.

    Parameters
    ----------
    embeddings : array of shape (n_rows, d)
    prompts : dict of str to array of shape (d,)
    """

    cache = False

    def __init__(self, embeddings, prompts):
        self.embeddings, self.prompts = embeddings, prompts

    def encode_image(self, X):
        return self.embeddings[np.asarray(X)]

    def encode_text(self, texts):
        return np.stack([self.prompts[text] for text in texts])
