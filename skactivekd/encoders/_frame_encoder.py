"""Embeddings of clips: the mean of those of their frames."""

import functools

import numpy as np
from joblib import cpu_count
from tqdm.auto import tqdm

from ..utils._check_params import check_integer
from ._base import Encoder
from ._open_clip_preprocess import load_batches
from ._read_video import (
    as_clips,
    check_can_decode,
    clip_reason,
    describe,
    holds_clip_files,
    read_frames,
)
from ._transformers import join_parts
from ._unreadable_rows import ImageError, remedy
from ._wrapping_encoders import OnlyWhere, WrapsEncoder, embed_texts, encode_good, identity_of


class FrameEncoder(WrapsEncoder, Encoder):
    r"""Embed clips by their frames, with an encoder of images.

    .. math:: f(x) = \frac{m}{\lVert m \rVert}, \qquad m = \frac{1}{T} \sum_t f_I(x_t)

    where the frames :math:`x_t` are evenly spaced in time and :math:`f_I` is the encoder of
    images. Videos need PyAV: ``pip install "skactivekd[video]"``; folders of frames and arrays do
    without.

    .. versionadded:: 0.1

    Parameters
    ----------
    image_encoder : object
        Has ``encode_image(list of PIL images)``, which returns an array of
        shape (n, d), and ``encode_text``, such as `OpenCLIPEncoder` or
        `TransformersEncoder`.
    n_frames : int, default=8
        Frames of a clip. One that has fewer is embedded by all it has.
    batch_size : int, default=8
        Clips read at a time. The encoder of images has a batch size of its own.
    on_error : {"raise", "skip"}, default="raise"
        What to do with clips that cannot be read: name them all in one
        `ImageError`, or give them embeddings of nan and name them all in one
        `SkippedRowsWarning`.
    cache : EmbeddingCache, False or None, default=None
        Where teachers keep the embeddings of clips: None is one cache for the
        process, False none. Those of frames are not kept.
    verbose : int, default=0
        1 or more shows a progress bar.

    See Also
    --------
    PrecomputedEncoder : Embeddings that a model of videos computed elsewhere.

    Notes
    -----
    A clip is cut into `n_frames` equal parts, and of each the frame in its middle is taken. Frames
    are read as `OpenCLIPEncoder` reads images, and those of videos are turned as the file says.

    A video of which a part is missing, so that it ends before its header says, is a bad row. Files
    that name other files or hosts, such as playlists, are not opened.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import OpenCLIPEncoder
    >>> from skactivekd.encoders import FrameEncoder
    >>> encoder = FrameEncoder(OpenCLIPEncoder(), n_frames=4)
    >>> clips = np.zeros((2, 30, 8, 8, 3), dtype=np.uint8)
    >>> (encoder.encode_image(clips) @ encoder.encode_text(["the digit seven"]).T).shape
    (2, 1)
    """

    _wrapped = "image_encoder"

    def __init__(
        self,
        image_encoder,
        n_frames=8,
        *,
        batch_size=8,
        on_error="raise",
        cache=None,
        verbose=0,
    ):
        self.image_encoder = image_encoder
        self.n_frames = n_frames
        self.batch_size = batch_size
        self.on_error = on_error
        self.cache = cache
        self.verbose = verbose

    def encode_image(self, X):
        """Embed clips.

        Parameters
        ----------
        X : list, array or Series of n clips
            Array of shape (n, T, H, W, 3); or a list of paths or bytes of
            videos, paths of folders of frames (pictures in the order of their
            names, numbers by value), lists of frames (paths or PIL images), or
            arrays of shape (T, H, W, 3). Pixels are as `OpenCLIPEncoder` takes
            them.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        ImageError
            If clips cannot be read; all of them are named. It is a ValueError.
        ValueError
            If X has another form, or a parameter a wrong value.
        TypeError
            If X is no collection of clips, or `image_encoder` embeds no images.
        ImportError
            If there are videos and PyAV is not installed.
        """
        return self._encode("encode_image", X)

    @OnlyWhere
    def encode_text(self, texts):
        """Embed texts by the encoder of images.

        Parameters
        ----------
        texts : list, array or Series of str of length n

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.
        """
        return self._encode("encode_text", texts)

    def _lack(self, method):
        if hasattr(self.image_encoder, method):
            return None
        return f"the image_encoder, {type(self.image_encoder).__name__}, has no {method}"

    def _check(self):
        check_integer(self.n_frames, "n_frames", 1)
        encoder = self.image_encoder
        if isinstance(encoder, type) or not hasattr(encoder, "encode_image"):
            raise TypeError(
                f"image_encoder={encoder!r:.100} must be an object with encode_image(X), such as "
                "OpenCLIPEncoder('ViT-B-32', 'laion2b_s34b_b79k')"
            )

    def _as_rows(self, X):
        """Name clips by the frames that are taken of them, for the cache."""
        self._check()
        return as_clips(X, self.n_frames)

    def _embed_image(self, X, run):
        X, bad = self._as_rows(X), {}
        check_can_decode(X)
        strict, rows, counts, found = self.on_error == "raise", list(range(len(X))), [], []
        read = functools.partial(read_frames, n_frames=self.n_frames)
        n_workers = min(8, cpu_count()) if holds_clip_files(X) else 0
        batches = load_batches(lambda row: read(X[row]), rows, self.batch_size, n_workers)
        with tqdm(total=len(rows), unit="clips", disable=not run.verbose) as bar:
            for batch in batches:
                good = self._sort_out(batch, X, bad)
                if good and not (strict and bad):
                    parts, n_frames = self._embed_frames(good, X, bad)
                    found.append(parts)
                    counts.extend(n_frames)
                bar.update(len(batch))
        if strict and bad:
            return None, bad
        found = [part for part in found if len(part)] or [np.empty((0, 0), dtype=np.float32)]
        return join_parts(np.concatenate(found), counts), bad

    @staticmethod
    def _sort_out(batch, X, bad):
        """Return the clips that could be read, by their rows."""
        for row, made in batch.items():
            if isinstance(made, Exception):
                bad[row] = clip_reason(X[row], made)
        return {row: made for row, made in batch.items() if row not in bad}

    def _embed_frames(self, clips, X, bad):
        """Embed the frames of some clips, and count those of each that the encoder takes."""
        owners = np.repeat(list(clips), [len(frames) for frames in clips.values()])
        frames = [frame for some in clips.values() for frame in some]
        rows, worse = encode_good(self.image_encoder.encode_image, frames)
        for place, why in worse.items():
            row = int(owners[place])
            bad.setdefault(row, f"{describe(X[row])}: the image_encoder refuses a frame: {why}")
        kept = np.array([place for place in range(len(frames)) if place not in worse], dtype=int)
        sound = np.isin(owners[kept], list(bad), invert=True)
        return rows[sound], [len(made) for row, made in clips.items() if row not in bad]

    def _find_bad(self, method, X, run):
        """Only read clips, where those of another batch were bad."""
        if method == "encode_text":
            return super()._find_bad(method, X, run)
        X, bad = self._as_rows(X), {}
        for row in range(len(X)):
            try:
                read_frames(X[row], self.n_frames)
            except Exception as error:  # of as many kinds as there are files
                bad[row] = clip_reason(X[row], error)
        return ImageError(bad, f"cannot be read; {remedy(self)}") if bad else None

    def _embed_text(self, texts, run):
        return embed_texts(self.image_encoder, texts)

    def _identity(self, params, run):
        params.pop("image_encoder")
        return identity_of(self.image_encoder, "encode_image")
