"""Clusters of predictions in the simplex, against predictions whose structure is shuffled away."""

from hashlib import blake2b

import numpy as np

from ..utils._check_params import check_integer, naming, refuse_mask
from ..utils._label_values import as_labels, plain
from ..utils._matrix import as_ndarray
from ..utils._proba import check_proba

_FIT_ROWS = 5000  # enough to place the centers; radii are those of all rows
_ROWS_PER_CLUSTER = 10
_MOST_CLUSTERS = 200
_WIDE = 512  # classes; k-means of more takes minutes, and sees a sketch of them
_SKETCH = 256  # columns of it: squared distances are right to 9 %, and near rows stay near
_BLOCK = 2**21  # numbers worked on at once


def prediction_clusters(proba, labeled=None, n_clusters=None, *, n_shuffles=3, random_state=0):
    r"""Describe how a teacher's predictions bunch together.

    The predictions of a pretrained model keep to a few regions of the
    simplex, balls of center :math:`\mu_k` and radius :math:`r_k` [1]_: it
    errs in the same few ways over and over. k-means finds them. Whether the
    radii are small is judged by a control: predictions of the same sharpness,
    clustered in the same way, whose structure is shuffled away.

    .. versionadded:: 0.1

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Probabilities of labeled and unlabeled rows alike.
    labeled : array-like of bool of shape (n_samples,), default=None
        The rows that are labeled; None: none is.
    n_clusters : int, default=None
        None takes three for each class, but no more than 200, than one for
        ten rows or than there are distinct rows.
    n_shuffles : int, default=3
        How often the control is drawn.
    random_state : None, int or numpy.random.RandomState, default=0
        Starts of k-means and shuffles.

    Returns
    -------
    result : sklearn.utils.Bunch
        centers : ndarray of shape (n_clusters, n_classes)
            Sorted, the largest cluster first.
        labels : ndarray of int of shape (n_samples,)
            The cluster of each row.
        table : pandas.DataFrame
            One row for each cluster, with the columns "n", "n_labeled",
            "mean_radius" and "max_radius" (mean and largest Euclidean distance
            of its rows from its center).
        control : pandas.DataFrame
            The same of the shuffled predictions, without "n_labeled"; "shuffle"
            counts the draws.
        mean_radius, control_radius : float
            Mean distance of a row from its center, of the teacher and of the
            control.
        coverage, row_coverage : float
            Share of the clusters that hold a labeled row, and share of the
            rows in such clusters.
        expected_coverage : float
            What `coverage` would be, on average, with as many labels at random.

    Raises
    ------
    ValueError
        If there are fewer distinct rows than `n_clusters`.

    See Also
    --------
    teacher_report : How far to trust a teacher.

    Notes
    -----
    In the control every row keeps its largest probability where it is, and
    its other probabilities are dealt to the other classes at random. How
    confident the teacher is, and how often it predicts each class, is thus
    the same in both, and what remains is the question whether the classes
    that come second and third are always the same ones. Other controls answer
    other questions: permuting whole columns also undoes that a row is sure of
    one class, and would find structure in any sharp teacher; permuting whole
    rows also undoes that some classes are more frequent, which may be the
    data's doing. With two classes there is nothing to deal: the control is
    the teacher itself.

    k-means sees at most 5,000 rows, drawn at random, and of more than 512
    classes a random projection to 256 columns. Centers and radii are those of
    the probabilities themselves.

    References
    ----------
    .. [1] "PCoreSet: Effective Active Learning through Knowledge Distillation
       from Vision-Language Models". 2025. arXiv:2506.00910.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.inspection import prediction_clusters
    >>> habits = np.array([[0.6, 0.4, 0.0, 0.0], [0.0, 0.3, 0.7, 0.0]])
    >>> found = prediction_clusters(np.repeat(habits, 50, axis=0), n_clusters=2)
    >>> found.mean_radius < 0.01 < found.control_radius
    True
    """
    from sklearn.utils import Bunch

    from .._devices_and_seeds import draw_seed

    check_integer(n_shuffles, "n_shuffles", 1)
    proba = as_ndarray(check_proba(proba, "proba"))
    n, rng = len(proba), np.random.default_rng(draw_seed(random_state))
    labeled = check_mask(labeled, n)
    n_clusters = _check_n_clusters(proba, n_clusters)
    centers, labels, distances = _cluster(proba, n_clusters, rng)
    table = _radii(labels, distances, len(centers))
    table.insert(1, "n_labeled", np.bincount(labels[labeled], minlength=len(centers)))
    control = [_cluster(deal_others(proba, rng), n_clusters, rng) for _ in range(n_shuffles)]
    hit = table["n_labeled"] > 0
    return Bunch(
        centers=centers,
        labels=labels,
        table=table,
        control=_control_table(control),
        mean_radius=float(distances.mean()),
        control_radius=float(np.mean([distances.mean() for _, _, distances in control])),
        coverage=float(hit.mean()),
        row_coverage=float(table["n"][hit].sum() / n),
        expected_coverage=expected_coverage(table["n"], int(labeled.sum())),
    )


def deal_others(proba, rng):
    """Deal all but the largest probability of each row to random other classes.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
    rng : numpy.random.Generator

    Returns
    -------
    shuffled : ndarray of shape (n_samples, n_classes)
        The same probabilities in each row, the largest in its place.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.inspection._prediction_clusters import deal_others
    >>> dealt = deal_others(np.array([[0.1, 0.6, 0.0, 0.3]]), np.random.default_rng(0))
    >>> np.sort(dealt).tolist(), float(dealt[0, 1])
    ([[0.0, 0.1, 0.3, 0.6]], 0.6)
    """
    shuffled = proba.copy()
    for rows in _blocks(proba):
        block = shuffled[rows]
        others = np.ones(block.shape, bool)
        others[np.arange(len(block)), block.argmax(axis=1)] = False
        rest = block[others].reshape(len(block), -1)
        block[others] = rng.permuted(rest, axis=1).ravel()
    return shuffled


def expected_coverage(sizes, n_labeled):
    """Share of clusters that as many labels, at random, would hit on average.

    Examples
    --------
    >>> from skactivekd.inspection._prediction_clusters import expected_coverage
    >>> expected_coverage([1, 1], 1)
    0.5
    """
    from scipy.stats import hypergeom

    sizes = np.asarray(sizes)
    return float(1 - hypergeom.pmf(0, sizes.sum(), sizes, n_labeled).mean())


def cluster_labels(proba, n_clusters, random_state):
    """Return the clusters of `prediction_clusters` alone, without the control."""
    from .._devices_and_seeds import draw_seed

    rng = np.random.default_rng(draw_seed(random_state))
    return _cluster(proba, _check_n_clusters(proba, n_clusters), rng)[1]


def _check_n_clusters(proba, n_clusters):
    if n_clusters is None:
        enough = max(1, min(len(proba), _FIT_ROWS) // _ROWS_PER_CLUSTER)
        return _count_distinct(proba, min(3 * proba.shape[1], _MOST_CLUSTERS, enough))
    check_integer(n_clusters, "n_clusters", 1)
    n_distinct = _count_distinct(proba, n_clusters)
    if n_clusters > n_distinct:
        raise ValueError(
            f"n_clusters={n_clusters!r} must be in 1 to {n_distinct}, the number of distinct rows "
            "of probabilities"
        )
    return n_clusters


def check_mask(labeled, n):
    """Return the mask of the labeled rows; row numbers, which could pass for one, are refused."""
    if labeled is None:
        return np.zeros(n, bool)
    refuse_mask(labeled, "labeled")
    with naming("labeled"):
        mask = plain(as_labels(labeled))
    if mask.dtype != bool or mask.shape != (n,):
        raise ValueError(
            f"labeled must be a mask, True or False for each of the {n} rows of proba, got dtype "
            f"{mask.dtype} of shape {mask.shape}."
        )
    return mask


def _count_distinct(rows, most):
    """Count distinct rows, no further than asked for."""
    seen = set()
    for row in rows:
        if len(seen) >= most:
            break
        # Much faster than to sort them, and -0.0 does not occur.
        seen.add(blake2b(np.ascontiguousarray(row), digest_size=16).digest())
    return len(seen)


def _cluster(proba, n_clusters, rng):
    """Return centers, the largest cluster's first, and each row's cluster and distance."""
    from sklearn.cluster import KMeans

    few = len(proba) <= _FIT_ROWS
    sample = proba if few else rng.choice(proba, _FIT_ROWS, replace=False)
    n_clusters = _count_distinct(sample, n_clusters)
    kmeans = KMeans(n_clusters, n_init=1, random_state=int(rng.integers(2**31)))
    if proba.shape[1] > _WIDE:
        axes = rng.standard_normal((proba.shape[1], _SKETCH), dtype=np.float32)
        kmeans.fit(sample.astype(np.float32, copy=False) @ axes)
        centers = _means(sample, kmeans.labels_, n_clusters)
        labels = kmeans.labels_ if few else _nearest(proba, centers)
    else:
        kmeans.fit(sample)
        centers = kmeans.cluster_centers_
        labels = kmeans.labels_ if few else kmeans.predict(proba)
    order = np.argsort(-np.bincount(labels, minlength=n_clusters), kind="stable")
    centers, labels = centers[order], np.argsort(order)[labels]
    distances = [np.linalg.norm(proba[i] - centers[labels[i]], axis=1) for i in _blocks(proba)]
    return centers, labels, np.concatenate(distances)


def _blocks(rows):
    """Slice rows into blocks of bounded size."""
    from sklearn.utils import gen_batches

    return gen_batches(len(rows), max(1, _BLOCK // rows.shape[1]))


def _means(rows, labels, n_clusters):
    """Return the mean of the rows of each cluster."""
    from scipy.sparse import csr_array

    n = len(rows)
    shares = (1 / np.bincount(labels, minlength=n_clusters)[labels]).astype(rows.dtype)
    return csr_array((shares, (labels, np.arange(n))), shape=(n_clusters, n)) @ rows


def _nearest(rows, centers):
    """Return the nearest center of each row."""
    half = np.square(centers).sum(axis=1) / 2
    return np.concatenate([(half - rows[i] @ centers.T).argmin(axis=1) for i in _blocks(rows)])


def _radii(labels, distances, n_clusters):
    import pandas as pd

    grouped = pd.Series(distances).groupby(labels).agg(["size", "mean", "max"])
    grouped.columns, grouped.index.name = ["n", "mean_radius", "max_radius"], "cluster"
    return grouped.reindex(range(n_clusters), fill_value=0)


def _control_table(control):
    import pandas as pd

    tables = [_radii(labels, distances, len(centers)) for centers, labels, distances in control]
    return pd.concat(tables, keys=range(len(tables)), names=["shuffle"]).reset_index()
