"""Probabilities of more rows than fit into memory."""

import numpy as np

from .._take_rows import n_rows, take_rows
from ..encoders._unreadable_rows import collecting, numbered, report
from ..utils._atomic_write import replacing
from ..utils._check_params import check_choice, check_integer
from ..utils._proba import check_proba
from ..utils._progress_bar import bar


def proba_to_memmap(model, X, path, *, dtype="float16", block_size=16_384, verbose=0):
    """Write the probabilities of a teacher or student for many rows into a ``.npy`` file.

    The model is asked block by block, so that memory holds one block, and strategies read the
    file in blocks, too.

    .. versionadded:: 0.1

    Parameters
    ----------
    model : fitted object
        Has ``predict_proba``.
    X : array-like, list or DataFrame of n samples
        What the model takes: of a teacher with a `PrecomputedEncoder` the ids
        of rows.
    path : str or path
        The file; replaced when all is predicted.
    dtype : {"float16", "float32"}, default="float16"
        How probabilities are kept. float16 has three digits.
    block_size : int, default=16_384
        Rows at a time.
    verbose : int, default=0
        1 or more shows a progress bar with the time left.

    Returns
    -------
    proba : memmap of shape (n, n_classes)

    Raises
    ------
    RowError
        If rows cannot be encoded; those of the first block with such rows are
        named, by their place in X. Rows that an encoder skips are all named
        in one `SkippedRowsWarning`.
    ValueError
        If X is empty, or the model returns something else than probabilities.

    See Also
    --------
    PrecomputedEncoder : Looks embeddings up that were computed before.
    PCoreSet : Picks rows by their probabilities.

    Examples
    --------
    >>> import os, tempfile
    >>> from skactivekd import PCoreSet, ZeroShotTeacher, load_glyph_digits
    >>> from skactivekd.teacher import proba_to_memmap
    >>> X, _ = load_glyph_digits(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "proba.npy")
    ...     proba = proba_to_memmap(ZeroShotTeacher().fit(), X[:300], path, block_size=100)
    ...     picked = PCoreSet().select(proba_pool=proba, n_instances=3)
    >>> proba.shape
    (300, 10)
    """
    check_choice(dtype, "dtype", ("float16", "float32"))
    check_integer(block_size, "block_size", 1)
    n, n_classes = n_rows(X), None
    if not n:
        raise ValueError("X has no row")
    who = f"{type(model).__name__}.predict_proba"
    with (
        replacing(path, "wb") as file,
        bar(n, what="Predicting", shown=bool(verbose)) as shown,
        collecting() as warned,
    ):
        for start in range(0, n, block_size):
            rows = np.arange(start, min(start + block_size, n))
            with numbered(rows):
                proba = model.predict_proba(take_rows(X, rows))
            proba = np.asarray(check_proba(proba, who, n_rows=len(rows)), dtype=dtype)
            if n_classes is None:
                n_classes = proba.shape[1]
                shape = {"descr": proba.dtype.str, "fortran_order": False, "shape": (n, n_classes)}
                np.lib.format.write_array_header_1_0(file, shape)
            elif proba.shape[1] != n_classes:
                raise ValueError(
                    f"{who} returned {proba.shape[1]} columns for the rows from {start} on, and "
                    f"{n_classes} before"
                )
            # As a stream, so that a full disk is an error and not a crash.
            file.write(np.ascontiguousarray(proba).data)
            shown.update(len(rows))
    bad = {row: why for warning in warned for row, why in warning.bad.items()}
    if bad:
        report(bad, warned[0].noun, final=True, stacklevel=3)
    return np.load(path, mmap_mode="r", allow_pickle=False)
