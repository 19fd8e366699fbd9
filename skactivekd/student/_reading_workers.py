"""How other processes read pictures, and how those that cannot be read come back."""

import warnings

from torch.utils.data import DataLoader

from ..encoders._unreadable_rows import ImageError, remedy


def make_loader(dataset, kind, **settings):
    """Make a loader whose processes start without Python's warning.

    Python warns of forks in programs with threads: these processes run
    neither PIL's nor torch's threads of their parent.
    """
    return (PictureLoader if kind is DataLoader else kind)(dataset, **settings)


class PictureLoader(DataLoader):
    """torch's loader; pictures that cannot be read raise in the process that asks."""

    def __iter__(self):
        with warnings.catch_warnings():
            if self.num_workers:
                warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            batches = super().__iter__()
        for batch in batches:
            check_batch(batch)
            yield batch


def check_batch(batch):
    """Raise if a batch could not be read."""
    if isinstance(batch, Unreadable):
        batch.throw()


class Unreadable:
    """In place of a batch: the rows that cannot be read.

    An exception would reach the caller from another process as text only.
    """

    def __init__(self, bad):
        self.bad = bad

    def throw(self):
        """Raise what it stands for."""
        raise ImageError(self.bad, f"cannot be read; {remedy('DHONet')}")


def worker_settings(n_workers, training):
    """Return settings of a loader that go with a number of processes chosen here."""
    if not n_workers:
        return {}
    return {"multiprocessing_context": "fork", "persistent_workers": training}
