"""Odd forms of good values, and values that are no good, for tests of any call.

``equal[kind]`` are functions of a good value to the same value in another form, which must not
change any result; ``odd[kind]`` are functions of a good value and a number, which says where, to
something that may be right or wrong.
"""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import torch
from scipy import sparse


def strided(values):
    wide = np.repeat(values, 2, axis=0)
    return wide[::2]


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def backwards(values):
    return values[::-1].copy()[::-1]


def odd_index(values):
    """An index that neither counts nor is unique."""
    return [7] * len(values)


def frame(values, columns=None):
    return pd.DataFrame(np.asarray(values), index=odd_index(values), columns=columns)


def at(values, place, value, dtype=None):
    """A copy with another value somewhere."""
    values = np.array(values, dtype=dtype or values.dtype)
    values.flat[place % values.size] = value
    return values


class Lazy:
    """An array only to who asks."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)

    def __len__(self):
        return len(self.values)


MATRIX = {
    "float32": lambda v: v.astype(np.float32),
    "float16": lambda v: v.astype(np.float16),
    "longdouble": lambda v: v.astype(np.longdouble),
    "big-endian": lambda v: v.astype(">f8"),
    "object": lambda v: v.astype(object),
    "Fortran": np.asfortranarray,
    "strided": strided,
    "backwards": backwards,
    "columns strided": lambda v: np.repeat(v, 2, axis=1)[:, ::2],
    "read-only": read_only,
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(map(tuple, v.tolist())),
    "list of arrays": list,
    "frame": frame,
    "nullable frame": lambda v: frame(v).astype("Float64"),
    "tensor": torch.from_numpy,
    "float tensor": lambda v: torch.from_numpy(v).float(),
    "bfloat16": lambda v: torch.from_numpy(v).bfloat16(),
    "half tensor": lambda v: torch.from_numpy(v).half(),
}
SPARSE = {
    kind: lambda v, kind=kind: sparse.csr_array(v).asformat(kind)
    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr")
} | {"csr_matrix": sparse.csr_matrix}
ROWS = {
    **{name: form for name, form in MATRIX.items() if name not in ("bfloat16",)},
    "frame of numbers": lambda v: frame(v, range(5, 5 + v.shape[1])),
}

JUNK = {
    "None": lambda v, k: None,
    "text": lambda v, k: "abc",
    "number": lambda v, k: 3,
    "nan": lambda v, k: np.nan,
    "object": lambda v, k: object(),
    "dict": lambda v, k: {"a": 1},
    "set": lambda v, k: {1, 2},
    "class": lambda v, k: dict,
    "function": lambda v, k: len,
    "iterator": lambda v, k: iter([1, 2, 3]),
    "empty list": lambda v, k: [],
    "zero-dimensional": lambda v, k: np.array(3.0),
    "bytes": lambda v, k: b"abc",
    "datetime": lambda v, k: np.array(["2020-01-01"] * len(v), dtype="M8[D]"),
}
BAD_MATRIX = {
    **JUNK,
    "nan inside": lambda v, k: at(v, k, np.nan),
    "infinity inside": lambda v, k: at(v, k, np.inf),
    "1e39": lambda v, k: at(v, k, 1e39),
    "1e300": lambda v, k: at(v, k, -1e300),
    "None inside": lambda v, k: at(v, k, None, object),
    "text inside": lambda v, k: at(v, k, "cat", object),
    "number as text": lambda v, k: at(v, k, "1.5", object),
    "NA inside": lambda v, k: frame(at(v, k, np.nan)).astype("Float64"),
    "big integer": lambda v, k: at(v, k, 10**400, object),
    "array inside": lambda v, k: [*at(v, k, 0, object).tolist()[:-1], np.zeros(9)],
    "texts": lambda v, k: v.astype(str),
    "grad": lambda v, k: torch.from_numpy(v).requires_grad_(),
    "complex": lambda v, k: v + 1j,
    "complex tensor": lambda v, k: torch.from_numpy(v + 1j),
    "bool": lambda v, k: v > 0,
    "int8": lambda v, k: v.astype(np.int8),
    "negative": lambda v, k: at(v, k, -0.5),
    "logits": lambda v, k: 3 * v - 1,
    "percent": lambda v, k: 100 * v,
    "zeros": lambda v, k: 0 * v,
    "masked": lambda v, k: np.ma.masked_array(v, v == v.flat[k % v.size]),
    "records": lambda v, k: np.zeros(len(v), dtype=[("a", float), ("b", float)]),
    "matrix": lambda v, k: np.matrix(v),
    "one-dimensional": lambda v, k: v[:, 0],
    "three-dimensional": lambda v, k: np.stack([v, v], axis=1),
    "four-dimensional": lambda v, k: np.stack([v[:, None], v[:, None]], axis=1),
    "five-dimensional": lambda v, k: v[:, None, None, None],
    "no rows": lambda v, k: v[:0],
    "one row": lambda v, k: v[:1],
    "two rows": lambda v, k: v[:2],
    "one row less": lambda v, k: v[:-1],
    "one row more": lambda v, k: np.concatenate([v, v[:1]]),
    "no columns": lambda v, k: v[:, :0],
    "one column": lambda v, k: v[:, :1],
    "a column less": lambda v, k: v[:, 1:],
    "a column more": lambda v, k: np.column_stack([v, 0 * v[:, 0]]),
    "ragged": lambda v, k: [row[: 1 + (n + k) % 3] for n, row in enumerate(v.tolist())],
    "sparse nan": lambda v, k: sparse.csr_array(at(v, k, np.nan)),
    "sparse duplicates": lambda v, k: sparse.csr_array(
        (np.ones(4), ([0, 0, 1, 1], [0, 0, 1, 1])), shape=v.shape
    ),
    "sparse vector": lambda v, k: sparse.coo_array(v[:, 0]),
    "sparse int64": lambda v, k: sparse.csr_array(v.astype(np.int64)),
    "sparse bool": lambda v, k: sparse.csr_array(v > 0),
    "sparse complex": lambda v, k: sparse.csr_array(v + 1j),
    "transposed": lambda v, k: v.T,
    "lazy": lambda v, k: Lazy(v),
    "series": lambda v, k: pd.Series(v[:, 0]),
    "meta tensor": lambda v, k: torch.from_numpy(v).to("meta"),
    "sparse tensor": lambda v, k: torch.from_numpy(v).to_sparse(),
    "frame with text": lambda v, k: frame(v, [*"abcdefgh"[: v.shape[1]]]).assign(a="x"),
    "levels": lambda v, k: frame(v, [[1] * v.shape[1], [*range(v.shape[1])]]),
    "same columns": lambda v, k: frame(v, ["a"] * v.shape[1]),
    "other columns": lambda v, k: frame(v, [*"xyzuvw"[: v.shape[1]]]),
    "mixed columns": lambda v, k: frame(v, ["x", *range(1, v.shape[1])]),
    "column of None": lambda v, k: frame(v, [None, *range(1, v.shape[1])]),
    "nan column": lambda v, k: frame(v, [np.nan, *range(1, v.shape[1])]),
    "timedelta": lambda v, k: v.astype("m8[s]"),
}

LABELS = {
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "object": lambda v: v.astype(object),
    "strided": strided,
    "backwards": backwards,
    "read-only": read_only,
    "series": lambda v: pd.Series(v, index=odd_index(v)),
    "categorical": lambda v: pd.Series(pd.Categorical(v), index=odd_index(v)),
    "categorical array": lambda v: pd.Categorical(v.tolist()),
    "index": lambda v: pd.Index(v.tolist()),
    "column": lambda v: v[:, None],
    "frame": lambda v: pd.DataFrame({"y": v}),
    "list of scalars": list,
    "lazy": Lazy,
}
INTEGERS = {
    "int8": lambda v: v.astype(np.int8),
    "float": lambda v: v.astype(float),
    "float16": lambda v: v.astype(np.float16),
    "big-endian": lambda v: v.astype(">i8"),
    "nullable": lambda v: pd.Series(v, dtype="Int64"),
    "nullable array": lambda v: pd.array(v.tolist(), dtype="Int8"),
    "tensor": torch.from_numpy,
    "int8 tensor": lambda v: torch.from_numpy(v).to(torch.int8),
}
STRINGS = {
    "StringDtype": lambda v: pd.Series(v, dtype="string"),
    "StringDType": lambda v: np.array(v.tolist(), dtype=np.dtypes.StringDType()),
    "wide": lambda v: v.astype("U50"),
}
BAD_LABELS = {
    **JUNK,
    "nan inside": lambda v, k: at(v.astype(object), k, np.nan),
    "nan among floats": lambda v, k: np.array(
        [np.nan if i == k % len(v) else float(i % 3) for i in range(len(v))]
    ),
    "None inside": lambda v, k: at(v.astype(object), k, None),
    "NA inside": lambda v, k: at(v.astype(object), k, pd.NA),
    "NaT inside": lambda v, k: at(v.astype(object), k, pd.NaT),
    "'' inside": lambda v, k: at(v.astype(object), k, ""),
    "'nan' inside": lambda v, k: at(v.astype(object), k, "nan"),
    "'-1' inside": lambda v, k: at(v.astype(object), k, "-1"),
    "-1 inside": lambda v, k: at(v.astype(object), k, -1),
    "-1.0 inside": lambda v, k: at(v.astype(object), k, -1.0),
    "True inside": lambda v, k: at(v.astype(object), k, True),
    "7 inside": lambda v, k: at(v.astype(object), k, 7),
    "'zebra' inside": lambda v, k: at(v.astype(object), k, "zebra"),
    "0.5 inside": lambda v, k: at(v.astype(object), k, 0.5),
    "infinity inside": lambda v, k: at(v.astype(object), k, np.inf),
    "huge inside": lambda v, k: at(v.astype(object), k, 10**30),
    "Decimal inside": lambda v, k: at(v.astype(object), k, Decimal("NaN")),
    "Fraction inside": lambda v, k: at(v.astype(object), k, Fraction(1, 2)),
    "bytes inside": lambda v, k: at(v.astype(object), k, b"cat"),
    "tuple inside": lambda v, k: [(1, 2) if i == k % len(v) else x for i, x in enumerate(v)],
    "list inside": lambda v, k: [[1] if i == k % len(v) else x for i, x in enumerate(v.tolist())],
    "array inside": lambda v, k: [np.zeros(3) if i == k % len(v) else x for i, x in enumerate(v)],
    "dict inside": lambda v, k: [{} if i == k % len(v) else x for i, x in enumerate(v.tolist())],
    "date inside": lambda v, k: at(v.astype(object), k, datetime.date(2020, 1, 1)),
    "complex inside": lambda v, k: at(v.astype(object), k, 1j),
    "texts": lambda v, k: v.astype(str),
    "all missing": lambda v, k: np.full(len(v), -1),
    "all nan": lambda v, k: np.full(len(v), np.nan),
    "all None": lambda v, k: [None] * len(v),
    "one class": lambda v, k: np.zeros(len(v), int),
    "signs": lambda v, k: np.where(np.arange(len(v)) % 2, 1, -1),
    "bools": lambda v, k: np.arange(len(v)) % 2 == 0,
    "own classes": lambda v, k: np.arange(len(v)),
    "halves": lambda v, k: np.arange(len(v)) / 2,
    "uint64": lambda v, k: np.full(len(v), 2**64 - 1, dtype=np.uint64),
    "unsigned": lambda v, k: (np.arange(len(v)) % 3).astype(np.uint8),
    "complex": lambda v, k: np.arange(len(v)) * 1j,
    "one-hot": lambda v, k: np.eye(3)[np.arange(len(v)) % 3],
    "three-dimensional": lambda v, k: np.zeros((len(v), 1, 1), int),
    "two columns": lambda v, k: np.column_stack([v, v]),
    "row": lambda v, k: v[None],
    "short": lambda v, k: v[: k % len(v)],
    "long": lambda v, k: np.concatenate([v, v[:1]]),
    "sparse": lambda v, k: sparse.csr_array(np.eye(len(v))),
    "masked": lambda v, k: np.ma.masked_array(v, np.arange(len(v)) == k % len(v)),
    "generator": lambda v, k: (label for label in v.tolist()),
    "mapping": lambda v, k: dict(enumerate(v.tolist())),
    "range": lambda v, k: range(len(v)),
    "bool tensor": lambda v, k: torch.arange(len(v)) % 2 == 0,
    "float tensor": lambda v, k: torch.arange(len(v)) / 2,
    "ragged": lambda v, k: [[1] * (n % 3) for n in range(len(v))],
    "bytes array": lambda v, k: np.array([b"a", b"b"] * len(v))[: len(v)],
    "records": lambda v, k: np.zeros(len(v), dtype=[("a", int)]),
}

VECTOR = {
    "float32": lambda v: v.astype(np.float32),
    "float16": lambda v: v.astype(np.float16),
    "longdouble": lambda v: v.astype(np.longdouble),
    "big-endian": lambda v: v.astype(">f8"),
    "object": lambda v: v.astype(object),
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "series": lambda v: pd.Series(v, index=odd_index(v)),
    "nullable": lambda v: pd.Series(v, dtype="Float64"),
    "strided": strided,
    "read-only": read_only,
    "tensor": torch.from_numpy,
}
BAD_VECTOR = {
    **JUNK,
    "negative": lambda v, k: at(v, k, -1),
    "nan inside": lambda v, k: at(v, k, np.nan),
    "infinity inside": lambda v, k: at(v, k, np.inf),
    "1e300": lambda v, k: at(v, k, 1e300),
    "zeros": lambda v, k: 0 * v,
    "all but one zero": lambda v, k: at(0 * v, k, 1),
    "texts": lambda v, k: v.astype(str),
    "complex": lambda v, k: v + 1j,
    "bools": lambda v, k: v > 1,
    "integers": lambda v, k: v.astype(int),
    "two columns": lambda v, k: np.column_stack([v, v]),
    "column": lambda v, k: v[:, None],
    "short": lambda v, k: v[:-1],
    "long": lambda v, k: np.append(v, 1),
    "empty": lambda v, k: v[:0],
    "None inside": lambda v, k: at(v, k, None, object),
    "text inside": lambda v, k: at(v, k, "a", object),
    "sparse": lambda v, k: sparse.csr_array(v[:, None]),
    "masked": lambda v, k: np.ma.masked_array(v, np.arange(len(v)) == k % len(v)),
}

SCALARS = [
    None, True, False, 0, 1, 2, 3, -1, 10**30, 0.0, 0.5, 1.0, 1.5, -0.5, 1e-300, 1e300, np.nan,
    np.inf, -np.inf, "abc", "", "auto", b"a", 1j, [], [1], [1, 2], (), {}, {0: 1.0}, {"a": "b"},
    {1, 2}, object(), dict, len, np.int64(2), np.int8(1), np.uint8(2), np.float32(0.5),
    np.float16(1), np.bool_(True), np.array(1), np.array(0.5), np.array([1]), np.array([1, 2]),
    np.array([0.5, 0.5]), torch.tensor(1), torch.tensor(0.5), Fraction(1, 2), Decimal("0.5"),
    np.str_("auto"), pd.NA, range(3), "cpu", "cuda:9", "tpu", torch.device("cpu"),
    np.random.RandomState(0), np.random.default_rng(0), pd.Series([1, 2]), pd.Timestamp(0),
]  # fmt: skip
CLASSES = {
    "list": lambda v: list(v),
    "tuple": tuple,
    "array": np.asarray,
    "objects": lambda v: np.asarray(v, dtype=object),
    "series": lambda v: pd.Series(list(v), index=odd_index(v)),
    "index": lambda v: pd.Index(list(v)),
    "categorical": lambda v: pd.Categorical(list(v)),
    "keys": lambda v: dict.fromkeys(v).keys(),
    "values": lambda v: dict(enumerate(v)).values(),
}
BAD_CLASSES = {
    **JUNK,
    "reversed": lambda v, k: list(v)[::-1],
    "set": lambda v, k: set(v),
    "frozenset": lambda v, k: frozenset(v),
    "generator": lambda v, k: (label for label in v),
    "mapping": lambda v, k: {label: f"name {label}" for label in v},
    "mapping of names": lambda v, k: {label: "abc"[n] for n, label in enumerate(v)},
    "mapping to one": lambda v, k: dict.fromkeys(v, "same"),
    "repeated": lambda v, k: [*v, v[k % len(v)]],
    "one less": lambda v, k: [label for n, label in enumerate(v) if n != k % len(v)],
    "one more": lambda v, k: [*v, "zebra" if isinstance(v[0], str) else 9],
    "only one": lambda v, k: [v[0]],
    "with the marker": lambda v, k: [*v, -1],
    "with nan": lambda v, k: [*v, np.nan],
    "with None": lambda v, k: [*v, None],
    "with ''": lambda v, k: [*v, ""],
    "with NA": lambda v, k: [*v, pd.NA],
    "with a list": lambda v, k: [*v, []],
    "with bytes": lambda v, k: [*v, b"a"],
    "with a fraction": lambda v, k: [*v, 0.5],
    "two kinds": lambda v, k: [*v, 9 if isinstance(v[0], str) else "zebra"],
    "texts": lambda v, k: [str(label) for label in v],
    "floats": lambda v, k: [float(n) for n in range(len(v))],
    "column": lambda v, k: np.asarray(v)[:, None],
    "of others": lambda v, k: ["x", "y", "z"],
    "text": lambda v, k: "abc",
    "frame": lambda v, k: pd.DataFrame({"a": list(v)}),
}
BAD_ROWS = {  # row numbers
    **JUNK,
    "mask": lambda v, k: np.arange(18) >= 9 + k % 3,
    "mask of 0 and 1": lambda v, k: (np.arange(18) >= 9).astype(int),
    "short mask": lambda v, k: np.ones(5, bool),
    "floats": lambda v, k: v.astype(float),
    "halves": lambda v, k: v + 0.5,
    "negative": lambda v, k: at(v, k, -1),
    "beyond": lambda v, k: at(v, k, 1000),
    "huge": lambda v, k: at(v, k, 10**30, object),
    "twice": lambda v, k: np.append(v, v[k % len(v)]),
    "labeled": lambda v, k: np.append(v, 0),
    "two columns": lambda v, k: np.column_stack([v, v]),
    "empty": lambda v, k: v[:0],
    "one": lambda v, k: v[:1],
    "nan": lambda v, k: at(v.astype(float), k, np.nan),
    "None inside": lambda v, k: at(v, k, None, object),
    "texts": lambda v, k: v.astype(str),
    "one number": lambda v, k: int(v[0]),
    "all True": lambda v, k: np.ones(18, bool),
}
ROW_NUMBERS = {
    "list": lambda v: v.tolist(),
    "reversed": lambda v: v[::-1],
    "shuffled": lambda v: np.random.RandomState(0).permutation(v),
    "int8": lambda v: v.astype(np.int8),
    "uint64": lambda v: v.astype(np.uint64),
    "big-endian": lambda v: v.astype(">i4"),
    "object": lambda v: v.astype(object),
    "series": lambda v: pd.Series(v, index=odd_index(v)),
    "nullable": lambda v: pd.Series(v, dtype="Int64"),
    "index": pd.Index,
    "tensor": torch.from_numpy,
    "mask": lambda v: np.isin(np.arange(18), v),
    "mask as list": lambda v: np.isin(np.arange(18), v).tolist(),
    "mask as series": lambda v: pd.Series(np.isin(np.arange(18), v), index=odd_index(range(18))),
    "nullable mask": lambda v: pd.array(np.isin(np.arange(18), v), dtype="boolean"),
}
TABLE = {
    "odd index": lambda t: t.set_axis(odd_index(t)),
    "shuffled": lambda t: t.sample(frac=1, random_state=0),
    "columns turned": lambda t: t[t.columns[::-1]],
    "categories": lambda t: t.astype({"strategy": "category", "estimator": "category"}),
    "nullable": lambda t: t.convert_dtypes(),
    "float rounds": lambda t: t.astype({"round": float, "n_labels": float}),
    "int8": lambda t: t.astype({"round": np.int8, "n_labels": np.int8, "seed": np.int8}),
    "objects": lambda t: t.astype(object),
    "another column": lambda t: t.assign(note="x"),
}


def cell(table, k, column, value):
    table = table.astype({column: object}).reset_index(drop=True)
    table.loc[k % len(table), column] = value
    return table


BAD_TABLE = {
    **JUNK,
    "no rows": lambda t, k: t.iloc[:0],
    "one row": lambda t, k: t.iloc[:1],
    "one row less": lambda t, k: t.drop(index=k % len(t)),
    "one row twice": lambda t, k: t.iloc[[*range(len(t)), k % len(t)]],
    "array": lambda t, k: t.to_numpy(),
    "records": lambda t, k: t.to_dict("records"),
    "series": lambda t, k: t["score"],
    "no columns": lambda t, k: t[[]],
    "a column less": lambda t, k: t.drop(columns=t.columns[k % 6]),
    "a column twice": lambda t, k: t[[*t.columns, t.columns[k % 6]]],
    "one seed": lambda t, k: t[t["seed"] == 0],
    "one round": lambda t, k: t[t["round"] == 0],
    "same labels": lambda t, k: t.assign(n_labels=5),
    "same scores": lambda t, k: t.assign(score=0.5),
    "scores as text": lambda t, k: t.assign(score=t["score"].astype(str)),
    "labels as text": lambda t, k: t.assign(n_labels=t["n_labels"].astype(str)),
    "columns of numbers": lambda t, k: t.set_axis(range(6), axis=1),
    "levels": lambda t, k: t.set_axis(pd.MultiIndex.from_product([["a"], t.columns]), axis=1),
    **{
        f"{value} in {column}": lambda t, k, c=column, v=value: cell(t, k, c, v)
        for column, value in [
            ("score", np.nan), ("score", np.inf), ("score", None), ("score", "0.5"),
            ("score", True), ("score", 1e300), ("n_labels", -1), ("n_labels", np.nan),
            ("n_labels", "5"), ("n_labels", 0.5), ("seed", None), ("seed", "a"),
            ("seed", 0.5), ("round", None), ("round", "a"), ("round", 7), ("strategy", None),
            ("strategy", 3), ("strategy", "other"), ("strategy", [1]), ("estimator", np.nan),
            ("estimator", ("a", "b")), ("score", 1j), ("n_labels", 10**30), ("score", [0.5]),
        ]
    },
}  # fmt: skip
TEXTS = {
    "list": list,
    "tuple": tuple,
    "array": np.asarray,
    "objects": lambda v: np.asarray(v, dtype=object),
    "series": lambda v: pd.Series(v, index=odd_index(v)),
}
BAD_TEXTS = {
    **JUNK,
    "one less": lambda v, k: v[:-1],
    "one more": lambda v, k: [*v, "{}"],
    "numbers": lambda v, k: [*range(len(v))],
    "bytes": lambda v, k: [text.encode() for text in v],
    "None inside": lambda v, k: [*v[:-1], None],
    "'' inside": lambda v, k: [*v[:-1], ""],
    "number inside": lambda v, k: [*v[:-1], 3],
    "braces": lambda v, k: [*v[:-1], "{0} {name}"],
    "two braces": lambda v, k: [*v[:-1], "{} {}"],
    "open brace": lambda v, k: [*v[:-1], "{"],
    "repeated": lambda v, k: [*v[:-1], v[0]],
    "surrogate": lambda v, k: [*v[:-1], "\ud800 {}"],
    "nested": lambda v, k: [*v[:-1], list(v)],
    "mapping": lambda v, k: {text: text for text in v},
    "mapping of lists": lambda v, k: {text: [text] for text in v},
    "mapping of numbers": lambda v, k: dict.fromkeys(v, 3),
    "mapping of empty": lambda v, k: {text: [] for text in v},
    "function": lambda v, k: "a {}".format,
    "function of numbers": lambda v, k: len,
    "generator": lambda v, k: (text for text in v),
    "columns": lambda v, k: np.array(v)[:, None],
}


def scalars(v, k):
    return SCALARS[k % len(SCALARS)]


EQUAL = {
    "rows": ROWS,
    "sparse rows": ROWS | SPARSE,
    "proba": MATRIX,
    "matrix": MATRIX | SPARSE,
    "labels": LABELS | INTEGERS,
    "names": LABELS | STRINGS,
    "vector": VECTOR,
    "classes": CLASSES,
    "row numbers": ROW_NUMBERS,
    "table": TABLE,
    "texts": TEXTS,
    "tensor": {},
    "scalar": {},
    "count": {},
}
ODD = {
    "rows": BAD_MATRIX | {name: lambda v, k, form=form: form(v) for name, form in SPARSE.items()},
    "sparse rows": BAD_MATRIX,
    "proba": BAD_MATRIX,
    "matrix": BAD_MATRIX,
    "labels": BAD_LABELS,
    "names": BAD_LABELS,
    "vector": BAD_VECTOR,
    "classes": BAD_CLASSES,
    "row numbers": BAD_ROWS,
    "table": BAD_TABLE,
    "texts": BAD_TEXTS,
    "tensor": {
        name: lambda v, k, change=change: _as_tensor(change(v.detach().numpy(), k))
        for name, change in BAD_MATRIX.items()
        if name not in ("meta tensor", "sparse tensor", "complex tensor")
    }
    | {"double": lambda v, k: v.double(), "half": lambda v, k: v.half(),
       "int": lambda v, k: v.int(), "meta": lambda v, k: v.to("meta"),
       "flat": lambda v, k: v.flatten(), "sparse": lambda v, k: v.to_sparse()},
    "scalar": {"scalar": scalars},
    # Of what takes time in proportion.
    "count": {"count": lambda v, k: 7 if scalars(v, k) is SCALARS[8] else scalars(v, k)},
}  # fmt: skip


def _as_tensor(values):
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        return values
