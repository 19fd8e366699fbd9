"""Sounds as pictures, for a student that hears: spectrograms of log-mel energies."""

import functools
import warnings

import numpy as np
from joblib import cpu_count
from sklearn.base import BaseEstimator, TransformerMixin

from ..utils._check_params import check_choice, check_integer, check_number
from ._open_clip_preprocess import good_batches, load_batches
from ._read_sound import LONGEST, check_sounds, holds_sound_files, read_sound, sound_reason
from ._unreadable_rows import RowError, remedy, report

_WINDOW, _HOP = 0.05, 0.02  # seconds
_FLOOR = -80.0  # decibels below full scale that are silence
_BANDWIDTH = 1.5  # bins over which a Hann window spreads a tone
_BATCH = 64


class LogMel(TransformerMixin, BaseEstimator):
    r"""Turn sounds into pictures of log-mel energies, without learning anything.

    A row is a gray picture in [0, 1] of shape (n_mels, n_frames): low pitches first, a column
    each 20 ms. So a student hears by the small convolutional network that it has for images,
    or by any of timm's:

    .. math:: 1 + \max\bigl(\tfrac{10}{80} \log_{10} M\,|S|^2, -1\bigr)

    where S is the spectrum in Hann windows of about 50 ms, 1 for full scale, and M a bank of
    triangles evenly spaced in mel, :math:`2595 \log_{10}(1 + f / 700)`.

    .. versionadded:: 0.1

    Parameters
    ----------
    rate : int, default=16000
        Samples a second to which sounds are resampled; half of it is the
        highest pitch.
    n_mels : int, default=64
        Height of the picture.
    seconds : float, default=5.0
        Length of the picture, the same for all. Shorter sounds end in
        silence; of longer ones the middle is taken, with a warning.
    sampling_rate : int or None, default=None
        Samples a second of sounds that come as bare arrays. None: they come
        with their rate.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that cannot be read: name them all in one
        `RowError`, or take them for silence and name them all in one
        `SkippedRowsWarning`.

    See Also
    --------
    TransformersEncoder : CLAP, whose embeddings teach.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.encoders import LogMel
    >>> beep = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    >>> picture = LogMel(rate=8000, seconds=1.0).transform([(beep, 8000)])[0]
    >>> picture.shape, int(picture.sum(axis=1).argmax())
    ((64, 50), 29)
    """

    def __init__(self, rate=16000, n_mels=64, seconds=5.0, *, sampling_rate=None, on_error="raise"):
        self.rate = rate
        self.n_mels = n_mels
        self.seconds = seconds
        self.sampling_rate = sampling_rate
        self.on_error = on_error

    def fit(self, X=None, y=None):
        """Check the settings; nothing is learned.

        Parameters
        ----------
        X : ignored
        y : ignored

        Returns
        -------
        self : LogMel

        Raises
        ------
        ValueError
            If a setting cannot be.
        """
        check_integer(self.rate, "rate", 1000)
        check_integer(self.n_mels, "n_mels", 1)
        check_number(self.seconds, "seconds", above=0)
        check_choice(self.on_error, "on_error", ("raise", "skip"))
        if self.seconds > LONGEST:
            raise ValueError(f"seconds={self.seconds!r} must be at most {LONGEST}")
        if not (mel_bank(self.rate, self.n_mels).sum(axis=1) > 0).all():
            raise ValueError(
                f"n_mels={self.n_mels} are more than the spectrum at rate={self.rate} tells "
                "apart: some would be silent forever; take fewer"
            )
        return self

    def transform(self, X):
        """Turn sounds into pictures.

        Parameters
        ----------
        X : list, array or Series of n sounds
            As `TransformersEncoder.encode_audio` takes them.

        Returns
        -------
        pictures : ndarray of float32 of shape (n, n_mels, n_frames)
            In [0, 1]; zeros where a row was skipped.

        Raises
        ------
        RowError
            If sounds cannot be read, or are shorter than 20 ms; all of them
            are named. It is a ValueError.
        ImportError
            If there are files and soundfile is not installed.
        """
        self.fit()
        X, bad, cut = check_sounds(X), {}, []
        length = max(round(self.seconds * self.rate), 1)
        shortest = min(_sizes(self.rate)[1], length)

        def prepare(row):
            wave = read_sound(X[row], self.rate, self.sampling_rate, shortest)
            if len(wave) > length:
                cut.append(row)
                start = (len(wave) - length) // 2
                wave = wave[start : start + length]
            return row, log_mel(np.pad(wave, (0, length - len(wave))), self.rate, self.n_mels)

        n_workers = min(8, cpu_count()) if holds_sound_files(X) else 0
        batches = load_batches(prepare, list(range(len(X))), _BATCH, n_workers)
        silent = log_mel(np.zeros(length, dtype=np.float32), self.rate, self.n_mels)
        pictures = np.zeros((len(X), *silent.shape), dtype=np.float32)
        strict = self.on_error == "raise"
        for made in good_batches(
            batches, bad, lambda row, error: sound_reason(X[row], error), strict
        ):
            for row, picture in made:
                pictures[row] = picture
        if bad and strict:
            raise RowError(bad, f"cannot be read; {remedy(self)}")
        if bad:
            report(bad, "sound", stacklevel=3)
        if cut:
            warnings.warn(
                f"{len(cut)} sounds are longer than seconds={self.seconds:g} and lose both ends, "
                f"the first in row {min(cut)}",
                UserWarning,
                stacklevel=2,
            )
        return pictures

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        return tags


def log_mel(wave, rate, n_mels):
    """Return the log-mel energies of samples at a rate, scaled to [0, 1]."""
    size, hop = _sizes(rate)
    # Frames are centered at 0, hop, 2 hop, ...
    padded = np.pad(wave, (size // 2, size))
    n_frames = -(-len(wave) // hop)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:n_frames]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * (2 * window / window.sum()), axis=1)) ** 2 / _BANDWIDTH
    energy = mel_bank(rate, n_mels) @ power.T
    decibels = 10 * np.log10(np.maximum(energy, 10 ** (_FLOOR / 10)))
    return np.clip(1 - decibels / _FLOOR, 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=16)
def mel_bank(rate, n_mels):
    """Return triangles evenly spaced in mel, of shape (n_mels, n_frequencies), 1 at their tops."""
    size, _ = _sizes(rate)
    edges = np.linspace(0, _mel(rate / 2), n_mels + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)
    pitches = np.fft.rfftfreq(size, 1 / rate)
    low, top, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (pitches - low) / (top - low), (high - pitches) / (high - top)
    return np.maximum(0, np.minimum(rising, falling))


def _mel(pitch):
    return 2595 * np.log10(1 + pitch / 700)


def _sizes(rate):
    """Return the samples of a window, a power of two, and between windows."""
    return 2 ** round(np.log2(_WINDOW * rate)), max(round(_HOP * rate), 1)
