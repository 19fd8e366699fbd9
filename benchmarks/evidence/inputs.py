"""What the students of the tasks read, and the one net of theirs that is no default."""

import re
from itertools import pairwise
from zlib import crc32

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from torch import nn

MAX_TOKENS = 48
N_BUCKETS = 20_000


def lsa():
    """TF-IDF of words and pairs of words, reduced to 300 dimensions."""
    return make_pipeline(
        TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2)),
        TruncatedSVD(300, random_state=0),
        Normalizer(),
    )


def hashed_tokens(texts):
    """Turn texts into bucket numbers of their words and pairs of words, 0 where they end.

    Parameters
    ----------
    texts : list of n str

    Returns
    -------
    tokens : ndarray of int32 of shape (n, MAX_TOKENS)
    """
    tokens = np.zeros((len(texts), MAX_TOKENS), dtype=np.int32)
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower())
        grams = [*words, *map(" ".join, pairwise(words))][:MAX_TOKENS]
        tokens[row, : len(grams)] = [1 + crc32(gram.encode()) % (N_BUCKETS - 1) for gram in grams]
    return tokens


class EmbeddingBag(nn.Module):
    """Mean of the embeddings of a text's tokens, and a hidden layer on it.

    Parameters
    ----------
    width : int, default=100
    hidden : int, default=256
    """

    def __init__(self, width=100, hidden=256):
        super().__init__()
        self.bag = nn.EmbeddingBag(N_BUCKETS, width, mode="mean", padding_idx=0)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())

    def forward(self, tokens):
        return self.hidden(self.bag(tokens.long()))
