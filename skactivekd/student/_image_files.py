"""Pictures as rows of the student: read batch by batch, and never all in memory."""

import os
import warnings
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ..encoders._inputs import LazyRows, check_images, is_lazy, is_path, is_picture
from ..encoders._read_image import describe, open_image, row_reason, upright_size
from ..encoders._unreadable_rows import ImageError, list_rows, remedy, report
from ..utils._picture_files import PICTURE
from ..utils._remote_files import is_url
from ..utils._row_identity import content_key, hash_content, settle_file, stamp_file
from ._augmentation import drawing, row_seed
from ._reading_workers import Unreadable, make_loader, worker_settings

ROW_SHAPE = (None, None, 3)  # of a row, where rows are pictures of any size
_LOOKED_AT = 100  # strings of which one must name a file, for all to be taken for paths
_MAX_WORKERS = 8  # so that one reader does not fill a large machine
_WORTH_WORKERS = 256  # files of one pass from which on processes to read them pay


def holds_pictures(X):
    """Tell pictures one by one from an array of numbers.

    That is: paths, URLs, bytes, PIL images, arrays of several sizes, and data sets.
    """
    if isinstance(X, Pictures) or is_lazy(X):
        return True
    items = _items(X)
    if not items:
        return False
    # A single image of PIL would be read by numpy, whatever its format.
    if isinstance(items[0], bytes) or any(map(is_picture, items)):
        return True
    arrays = [isinstance(item, np.ndarray) and item.ndim in (2, 3) for item in items]
    if any(map(is_path, items)):
        return any(arrays) or _are_paths(items)
    return all(arrays) and len({item.shape for item in items}) > 1


def holds_texts(X):
    """Tell strings that name no files."""
    items = _items(X)
    return bool(items) and isinstance(items[0], str) and not _are_paths(items)


def _items(X):
    """Return a flat sequence of objects as a list, None if X is something else."""
    if hasattr(X, "iloc"):
        if X.ndim == 2:  # its column was meant, as check_images says
            X = X.iloc[:, 0] if X.shape[1] == 1 else X.iloc[:0, 0]
        return X.tolist() if X.dtype.kind not in "biufcmM" else None
    if isinstance(X, np.ndarray):
        return X.tolist() if X.ndim == 1 and X.dtype.kind in "OU" else None
    return X if isinstance(X, list | tuple) else None


def _are_paths(items):
    looked_at = islice(filter(is_path, items), _LOOKED_AT)
    return any(
        not isinstance(item, str) or is_url(item) or PICTURE.search(item) or os.path.isfile(item)
        for item in looked_at
    )


class Pictures:
    """Rows of pictures, from wherever they are to tensors of one size.

    Sliced like an array, it gives other `Pictures`; `read` gives tensors.

    Parameters
    ----------
    X : list, array, Series, data set
        As `check_images` has it.
    on_error : {"raise", "skip"}, default="raise"
        What to do with those that cannot be read.

    Raises
    ------
    ImageError
        If rows can be told at a glance to be no pictures; all are named.
    """

    def __init__(self, X, on_error="raise"):
        self.items, bad = check_images(X, on_error)
        if bad and on_error == "raise":
            raise ImageError(bad, f"cannot be read; {remedy('DHONet')}")
        self.on_error = on_error
        self.places = np.arange(len(self.items))
        self.view = None

    @property
    def shape(self):
        """Number of rows, each a picture of any size."""
        return len(self.items), *ROW_SHAPE

    def __len__(self):
        return len(self.items)

    def __getitem__(self, rows):
        rows = rows[0] if isinstance(rows, tuple) else rows
        rows = np.arange(len(self))[rows]
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part.places = self.places[rows]
        if isinstance(self.items, LazyRows):
            part.items = self.items.take(rows)
        elif isinstance(self.items, list):
            part.items = [self.items[row] for row in rows]
        else:
            part.items = self.items[rows]
        return part

    def shown(self, view):
        """Return the same pictures, as a view shows them."""
        part = self[:]
        part.view = view
        return part

    def try_open(self, row):
        """Return one picture as an RGB image of PIL, None if it cannot be read."""
        try:
            return open_image(self.items[row])
        except Exception:  # training will tell
            return None

    def size(self, row):
        """Return width and height of a picture, None if it cannot be told."""
        try:
            return upright_size(self.items[row])
        except Exception:  # reading will tell
            return None

    def read(self, rows, view=None, seed=None):
        """Read some pictures as a tensor (n, 3, H, W) of uint8 or float32, or as `Unreadable`.

        A view makes a tensor of an image; None is that of `shown`. What it draws at random
        follows from the seed, the row in X, and how often that came before.
        """
        view, made, bad = view or self.view, [None] * len(rows), {}
        with nullcontext() if seed is None else drawing() as start:
            for row, found in places_of(rows).items():
                place = int(self.places[row])
                try:
                    image = open_image(self.items[row])
                except Exception as error:
                    bad[place] = row_reason(self.items, row, error)
                    continue
                for number, at in enumerate(found):
                    if start is not None:
                        start(row_seed(*seed, place, number))
                    made[at] = view(image)
        return Unreadable(bad) if bad else stack_pixels(made)

    def find_bad(self):
        """Decode all pictures once; return those that cannot be read, and why."""
        n_workers = self.count_workers(len(self))
        loader = make_loader(
            _Check(self),
            DataLoader,
            batch_size=64,
            num_workers=n_workers,
            collate_fn=_merge,
            generator=torch.Generator(),
            **worker_settings(n_workers, False),
        )
        return {place: why for bad in loader for place, why in bad.items()}

    def without_bad(self):
        """Return the rows that can be read, and warn of the others; raise if there is none."""
        bad = self.find_bad()
        if len(bad) == len(self):
            raise ImageError(bad, "cannot be read, and there is no other")
        if bad:
            report(bad, ImageError.noun)
        return np.flatnonzero(~np.isin(self.places, list(bad)))

    def count_workers(self, n_rows):
        """Count the processes that are to read: none for few rows, or where all is in memory.

        Nor in a process that is itself one of several, or where a new one starts
        slowly and runs the user's script again.
        """
        from multiprocessing import parent_process

        from joblib import cpu_count

        if n_rows < _WORTH_WORKERS or not self.on_disk() or not _forks():
            return 0
        if parent_process() is not None or get_worker_info() is not None:
            return 0
        return min(_MAX_WORKERS, max(1, cpu_count() - 1))

    def on_disk(self):
        """Tell whether reading is work that other processes can do."""
        items = self.items
        if isinstance(items, LazyRows):
            return True
        return isinstance(items, list) and not any(map(is_picture, items))

    def check_workers(self, n_workers):
        """Refuse to let several processes read one open file."""
        if n_workers and isinstance(self.items, list) and any(map(_is_open, self.items)):
            raise ValueError(
                "X holds images of PIL whose files are open but not read, which several processes "
                "cannot share. Pass the paths, or set num_workers=0."
            )

    def states(self):
        """Return the state of each file by its row; what is no file has none."""
        if not isinstance(self.items, list):
            return {}
        rows = (row for row, item in enumerate(self.items) if is_path(item) and not is_url(item))
        return {row: stamp_file(self.items[row]) for row in rows}

    def identity(self):
        """Return bytes that no other pictures have: files by place and state, others by content."""
        digest = blake2b(f"{len(self)}".encode(), digest_size=16)
        for item in self.items:
            digest.update(_identify(item))
        return digest.digest()


def _forks():
    import multiprocessing

    return (
        os.name == "posix"
        and os.uname().sysname == "Linux"
        and ("fork" in multiprocessing.get_all_start_methods())
    )


def _is_open(item):
    return is_picture(item) and getattr(item, "fp", None) is not None


def places_of(rows):
    """Return for each row its places in a batch: where it stands twice, it is read once."""
    places = {}
    for place, row in enumerate(np.asarray(rows).tolist()):
        places.setdefault(row, []).append(place)
    return places


def stack_pixels(pixels):
    """Put pictures of one size into a batch."""
    if len({item.dtype for item in pixels}) > 1:
        pixels = [as_floats(item) for item in pixels]
    try:
        return torch.stack(pixels)
    except RuntimeError:
        shapes = sorted({tuple(item.shape) for item in pixels})
        raise ValueError(
            f"augment returned pictures of several sizes for one batch: {shapes[:5]}. End it with "
            "v2.RandomResizedCrop or v2.Resize to one (height, width)."
        ) from None


def as_floats(pixels):
    """Turn bytes of pixels into floats in [0, 1]; floats stay as they are."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def _identify(item):
    if not is_path(item) or is_url(item):
        return content_key(item)
    try:
        state = settle_file(item)
    except (OSError, ValueError):  # reading will tell
        state = None
    return hash_content(f"{state}".encode(errors="surrogatepass"))


class _Check(Dataset):
    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        read = self.pictures.read([row], view=_nothing)
        return read.bad if isinstance(read, Unreadable) else {}


def _nothing(image):
    return torch.zeros(0)


def _merge(batch):
    return {place: why for bad in batch for place, why in bad.items()}


@contextmanager
def naming_all(X):
    """Where a picture cannot be read inside, raise an error that names all that cannot."""
    try:
        yield
    except ImageError as error:
        if not isinstance(X, Pictures):
            raise
        raise ImageError({**error.bad, **X.find_bad()}, error.problem) from None


@contextmanager
def watching(X):
    """Warn of files that were changed inside, where each is read many times."""
    before = X.states() if isinstance(X, Pictures) else {}
    yield
    after = X.states() if before else {}
    changed = [row for row, state in before.items() if after[row] != state]
    if changed:
        bad = {int(X.places[row]): describe(X.items[row]) for row in changed}
        problem = (
            "changed while the student learned from them: it has seen them as they were before, "
            "and after. Fit again to have them as they are now"
        )
        warnings.warn(list_rows(bad, "file", problem, 10), UserWarning, stacklevel=4)


def spread(X, values, good, fill):
    """Put values of the rows that were read in their places, and fill the others."""
    if good is None:
        return values
    spread = np.full((len(X), *values.shape[1:]), fill, dtype=values.dtype)
    spread[good] = values
    return spread
