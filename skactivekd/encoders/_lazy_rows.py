"""Pictures that a data set makes when they are asked for."""

import numpy as np


def is_lazy(X):
    """Tell a column of Hugging Face's datasets or a map-style data set of torch."""
    if type(X).__module__.partition(".")[0] == "datasets":
        return type(X).__name__ in ("Column", "Dataset")
    if isinstance(X, LazyRows):
        return True
    from torch.utils.data import Dataset, IterableDataset

    return isinstance(X, Dataset) and not isinstance(X, IterableDataset) and hasattr(X, "__len__")


class LazyRows:
    """The rows of a data set as pictures, each read when it is asked for.

    Parameters
    ----------
    source : datasets.Column or torch.utils.data.Dataset
        Rows are pictures of any kind, torch's tensors included; of a pair
        (picture, label) the picture.
    rows : ndarray of int, default=None
        Which rows of it; None is all.
    """

    def __init__(self, source, rows=None):
        if type(source).__module__.startswith("datasets.") and hasattr(source, "column_names"):
            raise TypeError(
                f"X is a whole data set with the columns {source.column_names}; pass its column "
                "of pictures, as X['image']."
            )
        self.source = source
        self.rows = np.arange(len(source)) if rows is None else rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return _as_item(self.source[int(self.rows[index])])

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def take(self, indices):
        """Return some of the rows, in their order."""
        return LazyRows(self.source, self.rows[indices])


def _as_item(item):
    if isinstance(item, tuple) and len(item) == 2:
        item = item[0]
    if isinstance(item, dict) and {"bytes", "path"} <= set(item):  # datasets.Image(decode=False)
        item = item["path"] if item["bytes"] is None else item["bytes"]
    if hasattr(item, "detach"):
        item = item.detach().cpu().numpy()
    return item
