"""What the page shows of a row: a picture, a text, a sound, or the cells of a table."""

import io
import os
import threading
from collections import OrderedDict

import numpy as np

from ..encoders._inputs import item_problem
from ..encoders._read_image import open_image, reason
from ..utils._label_values import is_list

_LARGE = 1600  # pixels of a side: more than a screen shows is not worth waiting for
_SMALL = 176  # pixels of a thumbnail's side: twice what the page gives it, for sharp screens
_TINY = 64  # pixels: pictures up to here are enlarged without smoothing, to be seen at all
_ENLARGED = 320
_KEPT = 64 * 2**20  # bytes of pictures in memory
_SOUNDS = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".webm": "audio/webm",
}


class Items:
    """What the page shows of the rows of a session: base class, each row by its number.

    .. versionadded:: 0.1

    Attributes
    ----------
    kind : {"image", "text", "sound", "row"}
        How it is shown.

    See Also
    --------
    serve : Serves a page that shows them.

    Examples
    --------
    Texts of which some are long:

    >>> from skactivekd.app import Items
    >>> class Beginnings(Items):
    ...     kind = "text"
    ...     def show(self, index):
    ...         return {"text": ["a short one", "a long one " * 900][index][:300]}
    >>> Beginnings().show(0)
    {'text': 'a short one'}
    """

    kind = None

    def show(self, index):
        """Return what is shown as text.

        Parameters
        ----------
        index : int
            A row of the session's X.

        Returns
        -------
        shown : dict
            {"text": str}, {"columns": list of str, "values": list of str}, or for
            pictures and sounds {"name": str}.
        """
        raise NotImplementedError

    def media(self, index):
        """Return the bytes of a picture or sound, and their type.

        Parameters
        ----------
        index : int
            A row of the session's X.

        Returns
        -------
        content : bytes
        content_type : str

        Raises
        ------
        ValueError
            If it cannot be read; the message says why.
        """
        raise ValueError(f"Row {index} is a {self.kind}, which has no file.")

    def thumbnail(self, index):
        """Return a small picture, as `media` does; by default what `media` returns."""
        return self.media(index)


class Texts(Items):
    """Texts.

    .. versionadded:: 0.1

    Parameters
    ----------
    texts : sequence of str
        As the session has them.

    See Also
    --------
    serve : Serves a page that shows them.

    Examples
    --------
    >>> from skactivekd.app import Texts
    >>> Texts(["I lost my card"]).show(0)
    {'text': 'I lost my card'}
    """

    kind = "text"

    def __init__(self, texts):
        self.texts = _rows(texts, "texts")

    def show(self, index):
        """Return {"text": str}."""
        return {"text": str(self.texts[index])}


class TableRows(Items):
    """Rows of a table.

    .. versionadded:: 0.1

    Parameters
    ----------
    table : DataFrame or array-like of shape (n, n_columns)
        What a person is to see of them, which may be more than the session has.
    columns : sequence of str, default=None
        Their names; None is those of the DataFrame, or "column 1" and so on.

    Raises
    ------
    ValueError
        If the table has not two dimensions, or the names are too many or too few.

    See Also
    --------
    serve : Serves a page that shows them.

    Examples
    --------
    >>> from skactivekd.app import TableRows
    >>> TableRows([[1.5, 20]], columns=["width", "height"]).show(0)
    {'columns': ['width', 'height'], 'values': ['1.5', '20']}
    """

    kind = "row"

    def __init__(self, table, columns=None):
        if columns is None:
            columns = getattr(table, "columns", None)
        if hasattr(table, "iloc"):
            self.rows = table.astype(object).to_numpy()
        else:
            self.rows = np.asarray(table)
        if self.rows.ndim != 2:
            raise ValueError(f"A table has rows and columns; this has shape {self.rows.shape}.")
        n_columns = self.rows.shape[1]
        if columns is None:
            columns = [f"column {number + 1}" for number in range(n_columns)]
        if not _is_flat(columns):
            raise TypeError(f"columns must be a list of names, got {columns!r}.")
        self.columns = [str(name) for name in columns]
        if len(self.columns) != n_columns:
            raise ValueError(f"columns names {len(self.columns)} of {n_columns} columns.")

    def show(self, index):
        """Return {"columns": list of str, "values": list of str}."""
        return {"columns": self.columns, "values": [_cell(value) for value in self.rows[index]]}


class _Pictures(Items):
    """Pictures, made into what every browser shows, the last ones kept in memory."""

    kind = "image"

    def __init__(self):
        self._kept, self._size, self._lock = OrderedDict(), 0, threading.Lock()

    def media(self, index):
        """Return the picture as PNG or JPEG, and its type."""
        return self._remember(("large", index), _LARGE)

    def thumbnail(self, index):
        """Return a small picture, and its type."""
        return self._remember(("small", index), _SMALL)

    def _source(self, index):
        raise NotImplementedError

    def _remember(self, name, limit):
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        made = self._make(name[1], limit)
        with self._lock:
            if name not in self._kept:
                self._kept[name] = made
                self._size += len(made[0])
            while self._size > _KEPT and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1][0])
        return made

    def _make(self, index, limit):
        source = self._source(index)
        try:
            image = open_image(source)
        except Exception as error:  # PIL lets almost anything escape from a broken file
            said = item_problem(source) or reason(source, error)
            raise ValueError(f"This picture cannot be read: {said}.") from error
        return _encode(image, limit)


class ImageFiles(_Pictures):
    """Image files: turned as their EXIF says, and no larger than a screen.

    .. versionadded:: 0.1

    Parameters
    ----------
    paths : sequence of str, path, bytes or image of PIL
        Or whatever else a teacher reads pictures from.

    See Also
    --------
    serve : Serves a page that shows them.

    Examples
    --------
    >>> from skactivekd.app import ImageFiles
    >>> ImageFiles(["pets/cat.jpg"]).show(0)
    {'name': 'cat.jpg'}
    """

    def __init__(self, paths):
        super().__init__()
        self.paths = _rows(paths, "paths")

    def show(self, index):
        """Return {"name": str}."""
        return {"name": _file_name(self.paths[index], index)}

    def _source(self, index):
        return self.paths[index]


class ImageArrays(_Pictures):
    """Pictures of numbers, small ones enlarged.

    .. versionadded:: 0.1

    Parameters
    ----------
    images : array of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
        Numbers in [0, 1], or integers of 8 or 16 bits.

    Raises
    ------
    ValueError
        If it has another shape.

    See Also
    --------
    serve : Serves a page that shows them.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.app import ImageArrays
    >>> ImageArrays(np.zeros((2, 8, 8))).media(0)[1]
    'image/png'
    """

    def __init__(self, images):
        super().__init__()
        self.images = np.asarray(images)
        if self.images.ndim not in (3, 4):
            raise ValueError(
                "Pictures are an array of shape (n, height, width) or (n, height, width, channels);"
                f" this has shape {self.images.shape}."
            )

    def show(self, index):
        """Return {"name": str}."""
        return {"name": f"row {index}"}

    def _source(self, index):
        return self.images[index]


class SoundFiles(Items):
    """Sound files, played by the browser.

    .. versionadded:: 0.1

    Parameters
    ----------
    paths : sequence of str or path
        WAV, MP3, Ogg, Opus, FLAC, AAC, M4A or WebM.

    See Also
    --------
    serve : Serves a page that shows them.

    Examples
    --------
    >>> from skactivekd.app import SoundFiles
    >>> SoundFiles(["birds/wren.wav"]).show(0)
    {'name': 'wren.wav'}
    """

    kind = "sound"

    def __init__(self, paths):
        self.paths = _rows(paths, "paths")

    def show(self, index):
        """Return {"name": str}."""
        return {"name": _file_name(self.paths[index], index)}

    def media(self, index):
        """Return the file, and its type by the ending of its name."""
        path = self.paths[index]
        kind = _SOUNDS.get(os.path.splitext(os.fspath(path))[1].lower())
        if kind is None:
            raise ValueError(
                f"{_file_name(path, index)} has an ending that is none of a sound: "
                f"{', '.join(_SOUNDS)}."
            )
        try:
            with open(path, "rb") as file:
                return file.read(), kind
        except OSError as error:
            said = error.strerror or type(error).__name__
            raise ValueError(
                f"This sound cannot be read: {_file_name(path, index)}: {said}."
            ) from error


def _encode(image, limit):
    from PIL import Image

    size = max(image.size)
    if size > limit:
        image.thumbnail((limit, limit), Image.Resampling.LANCZOS, reducing_gap=2.0)
    elif size <= _TINY:
        target = _ENLARGED if limit == _LARGE else _SMALL
        times = max(1, target // size)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    if size <= 4 * _TINY:  # where JPEG would smear what counts
        image.save(stream, "PNG")
        return stream.getvalue(), "image/png"
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue(), "image/jpeg"


def _rows(values, name):
    """Rows by their place, whatever the index of a Series says."""
    if not _is_flat(values):
        raise TypeError(f"{name} must be a list, one for each row, got {type(values).__name__}.")
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def _is_flat(values):
    listed = is_list(values) and not isinstance(values, str | bytes)
    return listed and getattr(values, "ndim", 1) == 1


def _file_name(path, index):
    return (
        os.path.basename(os.fspath(path)) if isinstance(path, str | os.PathLike) else f"row {index}"
    )


def _cell(value):
    if value is None or value != value or type(value).__name__ == "NAType":
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return str(value)
