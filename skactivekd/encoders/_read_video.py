"""One clip, from whatever it is in to a few frames of it, evenly spaced in time."""

import functools
import itertools
import os
import re

import numpy as np

from .._take_rows import one_column
from ..utils._row_identity import stamp_file
from ._inputs import LazyRows, is_lazy
from ._read_image import (
    UnreadableError,
    _open_stream,
    file_problem,
    is_path,
    is_picture,
    name_file,
    open_image,
)
from ._read_image import reason as image_reason

FORMS = (
    "paths or bytes of videos, paths of folders of frames, lists of frames, or arrays of shape "
    "(T, H, W, 3)"
)
_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"),
    *(".avif", ".heic", ".heif"),
)
# What holds a film itself. FFmpeg's playlists name other files and hosts, which it would open.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf,gif,h264,hevc,"
    "ivf,m4v,mjpeg,dv,nut,wtv,mxf,apng"
)
_HEADED = {"mp4", "matroska", "avi", "flv", "asf"}  # and say in a header how long it is
_NEAR = 5.0  # seconds ahead that are sooner decoded than sought
_CUT = 1.0, 0.05  # seconds, and share of a film, by which it may be shorter than its header says


class Frames:
    """The frames to take of a clip; what they are, and the state of their files, identifies it."""

    def __init__(self, items, name=None):
        self.items, self.name = items, name
        self.states = [stamp_file(item) if is_path(item) else None for item in items]


def pick(n, n_frames):
    """Return the numbers of frames in the middle of `n_frames` equal parts; all where they are few.

    >>> pick(100, 4)
    [12, 37, 62, 87]
    """
    if n <= n_frames:
        return list(range(n))
    return [(2 * i + 1) * n // (2 * n_frames) for i in range(n_frames)]


def as_clips(X, n_frames):
    """Return the rows of X, an array or a list; of folders and lists, the frames to take."""
    if isinstance(X, bytes) or is_path(X) or is_picture(X):
        raise TypeError(f"X is one clip ({type(X).__name__}); pass a list of clips: [X]")
    if isinstance(X, LazyRows):
        return X
    if hasattr(X, "iloc"):
        X = one_column(X)
        if X.ndim != 1:
            raise TypeError(f"X is a {type(X).__name__}; pass its column of paths, as X['path']")
        X = X.tolist()
    elif not isinstance(X, list | tuple | np.ndarray) and is_lazy(X):
        X = LazyRows(X)
    X = X.detach().cpu().numpy() if hasattr(X, "detach") else X
    if isinstance(X, np.ndarray) and X.ndim == 0:
        raise TypeError(f"X is one item ({X.item()!r:.60}); pass a list of clips: [X]")
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT":
        X = one_column(X).tolist()
    elif isinstance(X, np.ndarray) and X.ndim != 5:
        hint = ": if it is one clip, pass X[None]" if X.ndim == 4 else ""
        raise ValueError(f"X has shape {X.shape}, clips have (n, T, H, W, 3){hint}")
    if not (hasattr(X, "__len__") and hasattr(X, "__getitem__")) or isinstance(X, dict):
        raise TypeError(f"X is a {type(X).__name__}; clips are {FORMS}")
    if len(X) == 0:
        raise ValueError("X holds no clip")
    if isinstance(X, np.ndarray | LazyRows):
        return X
    return [_as_clip(item, n_frames) for item in X]


def holds_clip_files(X):
    """Tell whether rows have to be read first, which threads can do ahead."""
    return not isinstance(X, np.ndarray)


def _as_clip(item, n_frames):
    if isinstance(item, list | tuple) and len(item):
        return Frames([item[number] for number in pick(len(item), n_frames)])
    if is_path(item) and os.path.isdir(item):
        names = _frame_names(item)
        chosen = [os.path.join(item, names[number]) for number in pick(len(names), n_frames)]
        return Frames(chosen, os.fspath(item)) if names else item
    return item


def _frame_names(folder):
    """Name the pictures in a folder in their order: 10 comes after 9."""
    names = [
        entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith(".")
    ]
    return sorted(names, key=lambda name: [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ])  # fmt: skip


def read_frames(item, n_frames):
    """Return at most `n_frames` frames of a clip, as RGB images of PIL."""
    if isinstance(item, Frames):
        return [_open_frame(number, frame) for number, frame in enumerate(item.items)]
    if hasattr(item, "detach"):
        item = item.detach().cpu().numpy()
    if isinstance(item, np.ndarray):
        if item.ndim != 4 or not len(item):
            hint = ", gray ones clip[..., None]" if item.ndim == 3 else ""
            what = f"shape {item.shape}" if len(item.shape) != 4 else "no frame"
            raise UnreadableError(f"{what}; a clip has the shape (T, H, W, 3){hint}")
        return [_open_frame(number, item[number]) for number in pick(len(item), n_frames)]
    if isinstance(item, list | tuple) and len(item):  # of a data set, read just now
        return read_frames(Frames([item[i] for i in pick(len(item), n_frames)]), n_frames)
    if not isinstance(item, bytes) and not is_path(item):
        raise UnreadableError(f"no clip: clips are {FORMS}")
    if is_path(item) and os.path.isdir(item):
        raise UnreadableError("a folder without a picture")
    return _read_video(item, n_frames)


def _open_frame(number, frame):
    try:
        return open_image(frame)
    except Exception as error:  # PIL lets almost anything escape
        raise UnreadableError(
            f"frame {number} of those taken: {image_reason(frame, error)}"
        ) from None


def clip_reason(item, error):
    """Say which clip could not be read, and why."""
    what = str(error)
    if is_path(item) and not os.path.isdir(item) and file_problem(item):
        what = file_problem(item)
    elif not isinstance(error, UnreadableError):
        what = f"{type(error).__name__}: {what}"
    return f"{describe(item)}: {what}"


def describe(item):
    """Name a row that is one clip."""
    if isinstance(item, Frames):
        return f"{len(item.items)} frames" if item.name is None else name_file(item.name)
    if isinstance(item, bytes):
        return f"{len(item)} bytes"
    if is_path(item):
        return name_file(item)
    if hasattr(item, "shape"):
        return f"array of shape {tuple(item.shape)}"
    return f"{item!r:.60} is a {type(item).__name__}"


@functools.cache
def _av():
    try:
        import av
    except ImportError as error:
        raise ImportError(f'videos need av: pip install "skactivekd[video]" ({error})') from None
    return av


def check_can_decode(X):
    """Refuse videos at once where the library lacks: no row is to blame."""
    if not isinstance(X, np.ndarray | LazyRows):
        if any(isinstance(item, bytes) or (is_path(item) and os.path.isfile(item)) for item in X):
            _av()


def _read_video(item, n_frames):
    av = _av()
    try:
        with _open_stream(item) as file:
            return _decode(file, n_frames)
    except av.error.FFmpegError as error:
        said = (error.strerror or str(error)).lower()
        raise UnreadableError(
            f"{said}. It is read if it is MP4, MOV, MKV, WebM, AVI, MPEG, GIF or the like: convert "
            "it, or leave it out"
        ) from None


def _open_video(file):
    file.seek(0)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": ""}
    container = _av().open(file, container_options=options)
    if not container.streams.video:
        container.close()
        raise UnreadableError("there is no picture in it")
    return container, container.streams.video[0]


def _decode(file, n_frames):
    container, stream = _open_video(file)
    with container:
        packets = [
            (packet.stream.index, packet.pts, packet.dts, packet.time_base)
            for packet in container.demux()
            if packet.size
        ]
        times = [pts for index, pts, _, _ in packets if index == stream.index]
        dated = [(dts if pts is None else pts, base) for _, pts, dts, base in packets]
        _check_end(container, [time * base for time, base in dated if time is not None])
        if times and None not in times:
            frames = _at_times(container, stream, _spread(sorted(times), n_frames), min(times))
            return [_upright(frame) for frame in frames]
    return _by_number(file, n_frames)


def _spread(times, n_frames):
    """Return the times of the frames shown in the middle of equal parts, each once."""
    if len(times) <= n_frames:
        return times
    span = (times[-1] - times[0]) * len(times) / (len(times) - 1)  # the last one lasts, too
    middles = times[0] + (np.arange(n_frames) + 0.5) / n_frames * span
    return [times[i] for i in sorted(set(np.searchsorted(times, middles, side="right") - 1))]


def _check_end(container, seconds):
    """Refuse a film of which a part is missing, where its header says how long it is."""
    headed = _HEADED & set(container.format.name.split(","))
    if not (headed and container.duration and seconds):
        return
    length = container.duration / 1e6
    there = float(max(seconds)) - (container.start_time or 0) / 1e6
    if there < length - max(_CUT[0], _CUT[1] * length):
        raise UnreadableError(
            f"ends after {there:.1f} s of the {length:.1f} s that its header says: get all of it"
        )


def _at_times(container, stream, wanted, start):
    """Yield the frames of these times, or the next that can be decoded."""
    decoded, at = None, start
    for time in wanted:
        if decoded is None or float((time - at) * stream.time_base) > _NEAR:
            decoded = _decode_from(container, stream, time, start)
        frame = next((frame for frame in decoded if frame.pts is None or frame.pts >= time), None)
        if frame is None:
            if time == wanted[0]:
                raise UnreadableError("none of its frames can be decoded")
            return  # what follows the last frame shown
        at = frame.pts if frame.pts is not None else time
        yield frame


def _decode_from(container, stream, time, start):
    """Decode from a time on; from the start where seeking leads beyond it."""
    for place in (time, start):
        container.seek(place, stream=stream, backward=True)
        decoded = container.decode(stream)
        first = list(itertools.islice(decoded, 1))
        if not first or first[0].pts is None or first[0].pts <= time:
            break
    return itertools.chain(first, decoded)


def _by_number(file, n_frames):
    """Take frames that bear no time by their numbers: what they are is known at the end alone."""
    container, stream = _open_video(file)
    with container:
        n = sum(1 for _ in container.decode(stream))
    if not n:
        raise UnreadableError("none of its frames can be decoded")
    wanted = set(pick(n, n_frames))
    container, stream = _open_video(file)
    with container:
        frames = enumerate(container.decode(stream))
        return [_upright(frame) for number, frame in frames if number in wanted]


def _upright(frame):
    image = frame.to_image()
    turn = int(getattr(frame, "rotation", 0) or 0) % 360
    return image.rotate(turn, expand=True) if turn else image
