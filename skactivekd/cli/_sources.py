"""Sources: what is to be labeled, read from a folder of images or a table."""

import os
import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..utils._picture_files import PICTURE, find_pictures
from ..utils._read_tables import SUFFIXES, as_numbers, as_text, is_table, read_table
from ._errors import Trouble

_LABELS = ("label", "labels", "class", "category", "target", "y")
_TEXTS = ("text", "sentence", "question", "content", "message", "title")
_PATHS = ("path", "file", "filename", "image", "image_path", "file_name")
_IDS = ("id", "key", "uid", "index", "unnamed: 0", "")
_OPEN = ("unlabeled", "unlabelled")  # folders that are called so are no class
_LOOKED_AT = 100
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MARKERS = ("-1", "nan", "NaN", "None", "<NA>", "NaT")  # of no label, in the words of programs


@dataclass
class Source:
    """The rows of a source.

    Parameters
    ----------
    kind : {"images", "texts", "table"}
    X : list of str, or DataFrame of float
        Paths from the root, texts, or numbers.
    labels : list of str of length n
        "" where there is none.
    names : list of str of length n
        What messages call a row.
    ids : list of str or None
        What rows are known by, where not by their content.
    table : DataFrame or None
        All columns, to be shown.
    columns : dict of str to str or list
        Which columns were found, by setting.
    notes : list of str
        What a person should know.
    """

    kind: str
    X: object
    labels: list
    names: list
    ids: list | None = None
    table: object = None
    columns: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def __len__(self):
        return len(self.names)

    def classes(self):
        """Return the labels that occur, sorted."""
        return sorted(set(self.labels) - {""})

    def take(self, rows):
        """Return some of the rows."""
        table = None if self.table is None else self.table.iloc[rows].reset_index(drop=True)
        X = self.X.iloc[rows].reset_index(drop=True) if hasattr(self.X, "iloc") else None
        return Source(
            self.kind,
            [self.X[row] for row in rows] if X is None else X,
            [self.labels[row] for row in rows],
            [self.names[row] for row in rows],
            None if self.ids is None else [self.ids[row] for row in rows],
            table,
            self.columns,
            self.notes,
        )


def read_source(path, *, classes=(), avoid=None, **columns):
    """Read a source.

    Parameters
    ----------
    path : str or path
        A folder of images, or a .csv, .tsv, .jsonl or .parquet file.
    classes : sequence of str, default=()
        With them, subfolders of other names are no labels.
    avoid : path, default=None
        A folder that is no part of it, though it may lie in it.
    **columns
        ``text_column``, ``path_column``, ``label_column``, ``id_column`` and ``columns``; what is
        empty is found by itself.

    Returns
    -------
    source : Source

    Raises
    ------
    Trouble
        If it cannot be read, holds nothing, or could mean several things.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if os.path.isdir(path):
        given = [name for name, value in columns.items() if value]
        if given:
            raise Trouble(f"{_option(given[0])} is for tables, but {path} is a folder; leave it.")
        return _read_folder(path, classes, avoid)
    if not os.path.exists(path):
        raise Trouble(
            f"{path} does not exist; name a folder of images, or a table ({', '.join(SUFFIXES)})."
        )
    if not is_table(path):
        raise Trouble(
            f"{path} is neither a folder of images nor a table ({', '.join(SUFFIXES)}); name one "
            "of these."
        )
    return _read_rows(path, read_table(path), classes, **columns)


def _read_folder(root, classes, avoid):
    paths, others, links = find_pictures(root, avoid)
    if not paths:
        hint = f" (only {others} other files)" if others else ""
        hint = f" but in linked folders, such as {links[0]}, which are left out" if links else hint
        raise Trouble(f"{root} holds no image{hint}; name a folder of JPEG, PNG or WebP files.")
    names = [os.path.relpath(path, root) for path in paths]
    labels, kept = [], set()
    alike = {name.strip().casefold(): name for name in classes}
    for name in names:
        folder, _, rest = name.partition(os.sep)
        label = folder if rest and folder.lower() not in _OPEN else ""
        if classes and label and label not in classes:
            near = alike.get(label.strip().casefold())
            if near:
                raise Trouble(
                    f"The folder {label!r} is almost the class {near!r}; call both alike, so that "
                    "its images count as labeled."
                )
            kept.add(label)
            label = ""
        labels.append(label)
    notes = [f"{others} files that are no images are left out."] if others else []
    if links:
        notes.append(f"{len(links)} linked folders are left out, such as {links[0]}.")
    if kept:
        shown = ", ".join(sorted(kept)[:5]) + (", ..." if len(kept) > 5 else "")
        notes.append(f"Folders that are none of the classes are taken as unlabeled: {shown}.")
    return Source("images", paths, labels, names, notes=notes)


def _read_rows(
    path,
    table,
    classes=(),
    text_column="",
    path_column="",
    label_column="",
    id_column="",
    columns=(),
):
    table.columns = [str(name) for name in table.columns]
    check_columns(path, table, text_column, path_column, label_column, id_column, columns)
    if (text_column != "") + (path_column != "") + bool(columns) > 1:
        raise Trouble("Name one of --text-column, --path-column and --columns, not several.")
    ids = _read_ids(path, table, id_column)
    label_column = label_column or _find(table, _LABELS, {text_column, path_column, *columns})
    several = [cell for cell in table[label_column] if _is_several(cell)] if label_column else []
    if several:
        raise Trouble(
            f"The column {label_column!r} of {path} holds {str(several[0])[:60]}; a row has one "
            "label here, which is a text or a number."
        )
    labels = [as_text(cell).strip() for cell in table[label_column]] if label_column else None
    marks = [mark for mark in _MARKERS if labels and mark in labels]
    if marks and not classes:
        raise Trouble(
            f"The column {label_column!r} of {path} holds {marks[0]}, which may be a class or mean "
            "that there is no label: name the classes by --classes, or leave such cells empty."
        )
    labels = labels or [""] * len(table)
    names = [f"row {row + 1} of {os.path.basename(path)}" for row in range(len(table))]
    rest = [
        name for name in table if name not in (label_column, id_column) and name.lower() not in _IDS
    ]
    folder = os.path.dirname(path)
    if not (text_column or path_column or columns):
        text_column, path_column, columns = _choose(path, table, rest, folder)
    found = {"label_column": label_column, "id_column": id_column}
    if path_column:
        paths = [as_text(cell).strip() for cell in table[path_column]]
        empty = [name for name, cell in zip(names, paths, strict=True) if not cell]
        if empty:
            raise Trouble(f"{empty[0]} has no path in the column {path_column!r}; take it out.")
        far = [cell for cell in paths if _ADDRESS.match(cell)]
        if far:
            raise Trouble(f"{far[0]} is no path; download what {path} names, and name the files.")
        X = [os.path.abspath(os.path.join(folder, os.path.expanduser(cell))) for cell in paths]
        found["path_column"] = path_column
        return Source("images", X, labels, paths, ids, table, found)
    if text_column:
        X = [as_text(cell) for cell in table[text_column]]
        for name, cell in zip(names, table[text_column], strict=True):
            if isinstance(cell, list | dict):
                raise Trouble(
                    f"{name} holds a {type(cell).__name__} in the column {text_column!r}, and no "
                    "text; make one of it."
                )
        empty = [name for name, text in zip(names, X, strict=True) if not text.strip()]
        notes = []
        if empty:
            notes = [f"{len(empty)} rows without a text are left out, such as {empty[0]}."]
        found["text_column"] = text_column
        source = Source("texts", X, labels, names, ids, table, found, notes)
        kept = [row for row, text in enumerate(X) if text.strip()]
        if not kept:
            raise Trouble(f"{path} has no text in the column {text_column!r}; name another one.")
        return source.take(kept) if empty else source
    X = table[list(columns)].apply(as_numbers)
    words = [name for name in columns if as_numbers(table[name]) is None]
    if words:
        raise Trouble(
            f"The column {words[0]!r} of {path} does not hold numbers; leave it out of --columns, "
            f"or name it by --text-column."
        )
    found["columns"] = list(columns)
    source = Source("table", X.astype(float), labels, names, ids, table, found)
    gaps = source.X.isna()
    incomplete = gaps.any(axis=1).to_numpy()
    if not incomplete.any():
        return source
    first = int(incomplete.argmax())
    where = f"{names[first]}, column {gaps.columns[gaps.iloc[first].to_numpy().argmax()]!r}"
    if incomplete.all():
        raise Trouble(
            f"{path} has no row without a gap, such as in {where}; leave columns with gaps out by "
            "--columns."
        )
    source.notes.append(f"{incomplete.sum()} rows with gaps are left out, such as {where}.")
    return source.take([row for row in range(len(source)) if not incomplete[row]])


def check_columns(path, table, text_column, path_column, label_column, id_column, columns):
    """Refuse columns that there are not, and those that are named for two things."""
    for name in columns:
        if not name:
            raise Trouble("--columns has an empty name; put commas between names only.")
    for name in filter(None, [text_column, path_column, label_column, id_column, *columns]):
        if name not in table:
            raise Trouble(_no_column(path, name, table))
    content = [*filter(None, [text_column, path_column]), *columns]
    twice = [name for place, name in enumerate(columns) if name in columns[:place]]
    if twice:
        raise Trouble(f"--columns names {twice[0]!r} more than once; name it once.")
    if label_column in content:
        raise Trouble(
            f"--label-column {label_column} is what the classes are told by, too; name another."
        )


def _is_several(cell):
    return hasattr(cell, "__len__") and not isinstance(cell, str)


def _read_ids(path, table, column):
    if not column:
        return None
    ids = [as_text(cell) for cell in table[column]]
    seen = {}
    for row, name in enumerate(ids, start=1):
        if not name:
            raise Trouble(f"{path}, row {row} has no id in the column {column!r}; give it one.")
        if seen.setdefault(name, row) != row:
            raise Trouble(
                f"{path}: rows {seen[name]} and {row} both have the id {name!r}; ids must differ."
            )
    return ids


def _choose(path, table, rest, folder):
    """Say which columns are the rows' content: (text column, path column, numeric columns)."""
    numeric = [name for name in rest if as_numbers(table[name]) is not None]
    words = [name for name in rest if name not in numeric and table[name].map(as_text).any()]
    paths = [name for name in words if _holds_paths(table[name], folder)]
    texts = [name for name in words if name not in paths]
    for option, found, usual in (
        ("--path-column", paths, _PATHS),
        ("--text-column", texts, _TEXTS),
    ):
        known = [name for name in found if name.lower() in usual]
        if len(known) == 1:
            found = known
        if len(found) > 1 and (known or option == "--path-column" or not numeric):
            raise Trouble(
                f"{path} has several columns that could be meant, {', '.join(found)}; say which by "
                f"{option}."
            )
        if len(found) == 1 and (known or option == "--path-column" or not numeric):
            return ("", found[0], []) if option == "--path-column" else (found[0], "", [])
    if texts and numeric:
        raise Trouble(
            f"{path} has texts ({', '.join(texts)}) and numbers ({', '.join(numeric)}); say by "
            f"--text-column or --columns what the classes are to be told by."
        )
    if not numeric:
        raise Trouble(
            f"{path} has only the columns {', '.join(map(repr, table))}, and none with texts, "
            "paths of images or numbers; say which by --text-column, --path-column or --columns."
        )
    return "", "", numeric


def _find(table, usual, taken):
    by_name = {name.lower(): name for name in reversed(list(table)) if name not in taken}
    return next((by_name[name] for name in usual if name in by_name), "")


def _holds_paths(column, folder):
    cells = [text for text in column.map(as_text)[:_LOOKED_AT] if text.strip()]
    return bool(cells) and all(
        PICTURE.search(text) and (os.sep not in text or " " not in text or _is_there(text, folder))
        for text in cells
    )


def _is_there(text, folder):
    return os.path.exists(os.path.join(folder, text))


def _option(setting):
    return "--" + setting.replace("_", "-")


def _no_column(path, name, table):
    near = get_close_matches(name, list(table), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{path} has no column {name!r}, but {', '.join(map(repr, table))}.{hint}"
