"""One sound, from whatever it is in to samples of one channel at one rate."""

import functools
import math
import numbers
import os
import re

import numpy as np

from .._take_rows import one_column
from ._read_image import UnreadableError, _open_stream, reason

FORMS = (
    "file paths, bytes of files, pairs (samples, rate), dicts with 'array' and 'sampling_rate', or "
    "arrays of samples, whose rate sampling_rate= says"
)
_RATES = 1000, 768_000  # samples a second that recordings have
_MOST_CHANNELS = 32
_LOUDEST = 8.0  # 18 dB above full scale: no recording in floats, but integers
LONGEST = 600  # seconds
_SHORTER = re.compile(r"(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)")
_STREAMED = 2**31 - 2**16  # who streams writes the largest number as the size, or nearly so
# What 0 and full scale are in integers, as in the files that hold them.
_LEVELS = {"u1": (128, 2**7), "i2": (0, 2**15), "i4": (0, 2**31)}


def check_sounds(X):
    """Return the rows of X, each a sound of any form, as a list or an array."""
    if isinstance(X, str | bytes | os.PathLike | dict):
        raise TypeError(f"X is one sound ({type(X).__name__}); pass a list of sounds: [X]")
    if hasattr(X, "iloc"):
        X = one_column(X)
        if X.ndim != 1:
            raise TypeError(f"X is a {type(X).__name__}; pass its column of paths, as X['path']")
        X = X.tolist()
    X = X.numpy() if hasattr(X, "detach") else X
    if isinstance(X, np.ndarray):
        if X.ndim == 0:
            raise TypeError(f"X is one item ({X.item()!r:.60}); pass a list of sounds: [X]")
        if X.ndim == 1 and X.dtype.kind not in "OUT":
            raise TypeError(
                f"X is one array of {len(X)} numbers: if it is one sound, pass X[None]; sounds are "
                f"{FORMS}"
            )
        if X.ndim == 2 and X.shape[1] == 1 and X.dtype.kind in "OUT":
            X = X[:, 0]
    elif not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise TypeError(f"X is a {type(X).__name__}; sounds are {FORMS}")
    if isinstance(X, tuple) and len(X) == 2 and _is_pair(X):
        raise TypeError("X is one sound (samples, rate); pass a list of sounds: [X]")
    if len(X) == 0:
        raise ValueError("X holds no sound")
    if holds_sound_files(X):
        _soundfile()  # where it lacks, no row is to blame
    return X


def holds_sound_files(X):
    """Tell whether rows have to be read first, which threads can do ahead."""
    return not isinstance(X, np.ndarray) and any(
        isinstance(x, str | bytes | os.PathLike) for x in X
    )


def read_sound(item, rate, own_rate=None, shortest=1):
    """Return a sound at `rate` as float32 in [-1, 1], one channel: the mean of its channels.

    `own_rate` is that of bare arrays. What cannot be, or has fewer samples than `shortest`, is an
    `UnreadableError`.
    """
    samples, found = _read(item, own_rate)
    samples = _mix(np.asarray(samples))
    if len(samples) > LONGEST * found:
        raise UnreadableError(_too_long(len(samples) / found))
    samples = _resample(samples, found, rate)
    if len(samples) < shortest:
        raise UnreadableError(
            f"{len(samples)} samples at {rate} Hz, which do not fill one frame of the spectrogram, "
            f"{shortest}: leave it out, or join it to what lies around it"
        )
    return samples


def sound_reason(item, error):
    """Say which sound could not be read, and why."""
    if isinstance(item, str | os.PathLike):
        return reason(item, error)
    what = str(error)
    if not isinstance(error, UnreadableError):
        what = f"{type(error).__name__}: {what}"
    return f"{_describe(item)}: {what}"


def _describe(item):
    if isinstance(item, bytes):
        return f"{len(item)} bytes"
    if isinstance(item, dict):
        return f"dict with {', '.join(map(repr, list(item)[:6]))}"
    if _is_pair(item):
        return f"samples at {_split(item)[1]!r:.20} Hz"
    if hasattr(item, "shape"):
        return f"array of shape {tuple(item.shape)}"
    return f"{item!r:.60} is a {type(item).__name__}"


def _read(item, own_rate):
    """Return samples as they come, and their rate."""
    if isinstance(item, dict):
        return _read(_from_dict(item), own_rate)
    if isinstance(item, str | bytes | os.PathLike):
        return _read_file(item)
    if _is_pair(item):
        samples, rate = _split(item)
        return _as_array(samples), _check_rate(rate)
    if isinstance(item, list | tuple | np.ndarray) or hasattr(item, "detach"):
        samples = _as_array(item)
        if own_rate is None:
            raise UnreadableError(
                "samples without a rate: pass the pair (samples, rate), or set sampling_rate="
            )
        return samples, _check_rate(own_rate)
    raise UnreadableError(f"no sound: sounds are {FORMS}")


def _from_dict(item):
    """Return what Hugging Face's datasets give for a sound, decoded or not."""
    if item.get("array") is not None and item.get("sampling_rate") is not None:
        return item["array"], item["sampling_rate"]
    for name in ("bytes", "path"):
        if item.get(name) is not None:
            return item[name]
    raise UnreadableError("no sound: it needs 'array' and 'sampling_rate', or 'bytes' or 'path'")


def _is_pair(item):
    """Tell samples with a rate, in either order."""
    if not isinstance(item, list | tuple) or len(item) != 2:
        return False
    return sum(_is_scalar(part) for part in item) == 1


def _is_scalar(part):
    return isinstance(part, numbers.Number | str) or part is None or getattr(part, "ndim", 1) == 0


def _split(pair):
    return pair[::-1] if _is_scalar(pair[0]) else pair


def _as_array(samples):
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu().numpy()
    try:
        samples = np.asarray(samples)
    except ValueError:  # lists of unequal length
        raise UnreadableError("channels of unequal length") from None
    return samples


def _check_rate(rate):
    low, high = _RATES
    if isinstance(rate, bool | np.bool_) or not isinstance(rate, numbers.Real):
        raise UnreadableError(f"the rate is {rate!r:.60}, no number of samples a second")
    if not low <= rate <= high or rate != int(rate):
        raise UnreadableError(
            f"a rate of {rate} Hz: whole numbers from {low} to {high} are; if it is in kHz, "
            "multiply it by 1000"
        )
    return int(rate)


@functools.cache
def _soundfile():
    try:
        import soundfile
    except ImportError as error:
        raise ImportError(
            f'files of sounds need soundfile: pip install "skactivekd[sound]" ({error})'
        ) from None
    return soundfile


def _check_whole(said):
    """Refuse a file of which the end is missing, by what libsndfile says of its parts.

    Of OGG nobody can say: many that are whole lack the mark of their last page.
    """
    match = _SHORTER.search(said)
    if match:
        claimed, there = map(int, match.groups())
        if there < 0.99 * claimed and claimed < _STREAMED:
            raise UnreadableError(
                f"ends after {100 * there / claimed:.0f} % of the sound that its header says: get "
                "all of it"
            )


def _read_file(item):
    soundfile = _soundfile()
    with _open_stream(item) as stream:
        try:
            with soundfile.SoundFile(stream) as file:
                rate, n = _check_rate(file.samplerate), file.frames
                if n > LONGEST * rate and n < 2**62:  # a header that does not know says 2**63 - 1
                    raise UnreadableError(_too_long(n / rate))
                _check_whole(file.extra_info)
                samples = file.read((LONGEST + 1) * rate, dtype="float32", always_2d=True)
                if file.subtype not in ("FLOAT", "DOUBLE"):
                    np.clip(samples, -1, 1, out=samples)  # a codec overshoots; players do the same
        except soundfile.SoundFileError as error:
            said = str(error).partition(": ")[2] or str(error)
            raise UnreadableError(
                f"{said.strip()} It is read if it is WAV, FLAC, OGG, MP3, AIFF or the like: "
                "convert it, or leave it out"
            ) from None
    if len(samples) < min(n, 2**62) * 0.99:
        raise UnreadableError(
            f"ends after {len(samples) / rate:.2f} s of the {n / rate:.2f} s that its header says"
        )
    return samples, rate


def _too_long(seconds):
    return f"{seconds:,.0f} s, more than {LONGEST}: cut it into pieces"


def _mix(samples):
    """Check samples, and return the mean of their channels as float32."""
    kind = samples.dtype.kind + str(samples.dtype.itemsize)
    if samples.dtype.kind != "f" and kind not in _LEVELS:
        raise UnreadableError(
            f"samples of dtype {samples.dtype}: floats in [-1, 1], int16, int32 and uint8 have a "
            "full scale"
        )
    if samples.ndim not in (1, 2) or not samples.size:
        what = "no sample" if not samples.size else f"samples of shape {samples.shape}"
        raise UnreadableError(
            f"{what}: one sound has the shape (n,), (n, channels) or (channels, n)"
        )
    if samples.ndim == 2:
        axis = int(samples.shape[1] < samples.shape[0])
        if samples.shape[0] == samples.shape[1] or samples.shape[axis] > _MOST_CHANNELS:
            raise UnreadableError(
                f"samples of shape {samples.shape}, which is no sound of a few channels: pass each "
                "sound as a row of its own"
            )
        samples = _to_floats(samples, kind).mean(axis=axis)
    else:
        samples = _to_floats(samples, kind)
    loudest = np.abs(samples).max()  # nan if one is
    if not np.isfinite(loudest):
        raise UnreadableError("samples that are nan or infinite: mend or leave it out")
    if loudest > _LOUDEST:
        raise UnreadableError(
            f"floats up to {loudest:g}, but full scale is 1: divide them by 32768 if they were "
            "int16"
        )
    return samples


def _to_floats(samples, kind):
    if kind in _LEVELS:
        zero, full = _LEVELS[kind]
        return (samples.astype(np.float32) - zero) / np.float32(full)
    return samples.astype(np.float32)


def _resample(samples, found, rate):
    if found == rate:
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(found, rate)
    return resample_poly(samples, rate // common, found // common).astype(np.float32)
