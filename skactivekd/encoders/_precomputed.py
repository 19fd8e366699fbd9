"""Embeddings that were computed elsewhere, in place of an encoder that computes them."""

import numpy as np

from ._base import Encoder, row_method
from ._embedding_table import hash_table, open_table
from ._sentence import SENTENCE_SCALE
from ._unreadable_rows import RowError
from ._wrapping_encoders import OnlyWhere, WrapsEncoder, embed_texts, identity_of


class PrecomputedEncoder(WrapsEncoder, Encoder):
    """Look embeddings up that were computed elsewhere; X are the ids of their rows.

    Whatever made them, and however many they are: a model of videos or proteins, a
    cluster, a service. Prompts are embedded by the other tower of the same model, `text_encoder`.

    .. versionadded:: 0.1

    Parameters
    ----------
    embeddings : array-like of shape (n, d), str or path
        Floats: an array, a memmap or a tensor; the path of a ``.npy`` file,
        which is read as a memmap; or of a ``.parquet`` file, or of a folder of
        such, with a column of ids and one of lists of floats. Parquet is
        copied once into a memmap in the temporary folder, which takes its
        place on the disk as long as the process lives; the folder of
        `embed_to_parquet` keeps its own. It needs
        ``pip install "skactivekd[parquet]"``.
    text_encoder : object or None, default=None
        Has ``encode_text``, into the space of the embeddings, such as
        `TransformersEncoder` or `SentenceEncoder` with the model that made
        them. None: rows can be embedded, but no prompts.
    ids : array-like of shape (n,) or None, default=None
        The id of each row of an array or ``.npy`` file, integers or texts.
        None: its number, from 0.
    id_column : str or None, default="id"
        Column of the ids in Parquet files; None: rows by their number.
    embedding_column : str, default="embedding"
        Column of the embeddings in Parquet files.
    on_error : {"raise", "skip"}, default="raise"
        What to do with ids that are not there, and with rows of zeros or nan:
        name them all in one `RowError`, or give them embeddings of nan and
        name them all in one `SkippedRowsWarning`.

    See Also
    --------
    TransformersEncoder : Computes embeddings, and serves as `text_encoder`.
    EmbeddingCache : Keeps what an encoder of this package computed.
    embed_to_parquet : Makes the embeddings of large pools.

    Notes
    -----
    Ids are matched by value: 3.0 is 3, but "3" is not, and -1 is no row but an
    id that is not there. An id that stands twice among those of the
    embeddings is an error, as nobody could tell which row is meant.

    Nothing is kept in a cache, as nothing is computed. Clones share the array.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import OpenCLIPEncoder, ZeroShotTeacher
    >>> from skactivekd.encoders import PrecomputedEncoder
    >>> embeddings = OpenCLIPEncoder().encode_image(np.zeros((3, 8, 8)))
    >>> encoder = PrecomputedEncoder(embeddings, OpenCLIPEncoder(), ids=["a", "b", "c"])
    >>> teacher = ZeroShotTeacher(encoder, classes={0: "zero", 1: "one"}).fit()
    >>> teacher.predict_proba(["c", "a"]).shape
    (2, 2)
    """

    _wrapped = "text_encoder"
    _shared = ("embeddings", "ids")
    cache, batch_size = False, 2**16

    def __init__(
        self,
        embeddings,
        text_encoder=None,
        *,
        ids=None,
        id_column="id",
        embedding_column="embedding",
        on_error="raise",
    ):
        self.embeddings = embeddings
        self.text_encoder = text_encoder
        self.ids = ids
        self.id_column = id_column
        self.embedding_column = embedding_column
        self.on_error = on_error

    def encode_image(self, X):
        """Look up the embeddings of rows.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            Ids of rows, or their numbers where they have none.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        RowError
            If ids are not there, or their rows have no direction; all of them
            are named. It is a ValueError.
        ValueError
            If the embeddings are no table of floats, or an id stands there
            twice.
        TypeError
            If X holds no ids.
        FileNotFoundError
            If there is no such file.
        """
        return self._encode("encode_image", X)

    @OnlyWhere
    def encode_text(self, texts):
        """Embed texts by `text_encoder`.

        Parameters
        ----------
        texts : list, array or Series of str of length n

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        TextError
            If rows are no texts; all are named.
        ValueError
            If `text_encoder` embeds into another space than that of the
            embeddings.
        """
        return self._encode("encode_text", texts)

    @property
    def logit_scale_(self):
        """What teachers multiply cosines by: the scale of `text_encoder`."""
        scale = super().logit_scale_
        texts_alone = row_method(self.text_encoder) == "encode_text"
        return SENTENCE_SCALE if scale is None and texts_alone else scale

    def _lack(self, method):
        if hasattr(self.text_encoder, method):
            return None
        return (
            f"text_encoder is {self.text_encoder!r:.100}, which has no encode_text: pass an "
            "encoder with the model that made the embeddings"
        )

    def _table(self):
        return open_table(self.embeddings, self.ids, self.id_column, self.embedding_column)

    def _embed(self, method, X, run):
        rows, error = super()._embed(method, X, run)
        if method == "encode_image" and error is not None:  # ids, and no images
            error = RowError(error.bad, error.problem.replace("read", "looked up"))
        return rows, error

    def _embed_image(self, X, run):
        table = self._table()
        rows, bad = table.find(X)
        good = np.flatnonzero(rows >= 0)
        found = np.asarray(table.values[rows[good]], dtype=np.float32)
        norms = np.linalg.norm(found, axis=1)
        usable = np.isfinite(norms) & (norms > 0)
        for place in np.flatnonzero(~usable):
            what = "zeros alone" if norms[place] == 0 else "nan or infinite numbers"
            bad[int(good[place])] = f"row {rows[good[place]]} of the embeddings holds {what}"
        return None if bad and self.on_error == "raise" else found[usable], bad

    def _embed_text(self, texts, run):
        found, bad = embed_texts(self.text_encoder, texts)
        width = self._table().values.shape[1]
        if len(found) and found.shape[1] != width:
            raise ValueError(
                f"the embeddings have {width} numbers a row, but those of text_encoder="
                f"{type(self.text_encoder).__name__} have {found.shape[1]}: take the model that "
                "made the embeddings"
            )
        return found, bad

    def _identity(self, params, run):
        for name in ("embeddings", "ids", "text_encoder"):
            params.pop(name)
        texts = None
        if self.text_encoder is not None:
            texts = identity_of(self.text_encoder, "encode_text")
        return hash_table(self.embeddings, self.ids), texts
