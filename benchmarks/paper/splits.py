"""Splits: CoOp's files, the official lists of UCF101, and seeded ones where there is neither."""

import json
from itertools import chain
from pathlib import Path

import numpy as np


def read_split_file(path, images):
    """Read a CoOp split, ``{"train": [[path, label, class name], ...], "val": ..., "test": ...}``.

    Return the class names and the lists of (path, label), paths below the folder `images`.
    """
    parts = json.loads(path.read_text())
    parts = [parts[part] for part in ("train", "val", "test")]
    named = {}
    for _, label, name in chain(*parts):
        if named.setdefault(label, name) != name:
            raise ValueError(f"{path}: label {label} is {named[label]!r} and {name!r}")
    codes = {label: code for code, label in enumerate(sorted(named))}
    lists = [[(images / file, codes[label]) for file, label, _ in part] for part in parts]
    missing = [file for pairs in lists for file, _ in pairs if not file.exists()]
    if missing:
        raise FileNotFoundError(
            f"{path} names {len(missing)} images that are missing: {missing[0]}"
        )
    return [named[label] for label in codes], *lists


def hold_out(rows, shares, seed):
    """Split (path, label) rows at random into train, val and test, each class alike.

    `shares` are those of val and test. Each class keeps a training row, and a row of each share
    above 0 that it has rows left for, test rows first.

    >>> from benchmarks.paper.splits import hold_out
    >>> [len(part) for part in hold_out([(i, i % 2) for i in range(20)], (0.2, 0.3), 0)]
    [10, 4, 6]
    """
    rng = np.random.RandomState(seed)
    labels = np.array([label for _, label in rows])
    parts = [], [], []
    for label in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == label))
        counts = [max(round(share * len(order)), int(share > 0)) for share in shares]
        n_test = min(counts[1], len(order) - 1)
        n_val = min(counts[0], len(order) - 1 - n_test)
        cuts = np.split(order, [len(order) - n_test - n_val, len(order) - n_test])
        for part, cut in zip(parts, cuts, strict=True):
            part.extend(sorted(cut))
    return tuple([rows[row] for row in part] for part in parts)


def official_ucf101(folder, rows, seed):
    """Split the middle frames as the official lists split the videos; None without lists.

    Clips of one group are cut from one video: a random split would put its halves on both
    sides.
    """
    files = [folder / f"{part}list01.txt" for part in ("train", "test")]
    if not all(file.exists() for file in files):
        return None
    train, test = ({_video(line) for line in f.read_text().splitlines() if line} for f in files)
    videos = [_video(Path(path).name) for path, _ in rows]
    unlisted = [video for video in videos if video not in train | test]
    if unlisted:
        raise ValueError(f"{len(unlisted)} frames are in no list of {folder}: {unlisted[0]}")
    seen, held = (
        [row for row, video in zip(rows, videos, strict=True) if video in part]
        for part in (train, test)
    )
    train_rows, val, _ = hold_out(seen, (0.2, 0.0), seed)
    return train_rows, val, held


def _video(name):
    """Name the video of ``Archery/v_Archery_g01_c01.avi 3``; spellings differ in case."""
    return name.split()[0].rpartition("/")[2].rpartition(".")[0].lower()
