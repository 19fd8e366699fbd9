"""What a fit learns from: rows, labels, teacher and weights."""

import numpy as np

from .._torch import draw_seed
from ..utils._classes import check_classes, refuse_learned_marker
from ..utils._labels import check_labels, encode_labels, find_classes
from ..utils._matrix import as_ndarray
from ..utils._proba import check_proba
from ..utils._score import check_weights
from ._class_weight import weigh_labels
from ._dataset import RowDataset
from ._heads import ResidualHeads
from ._input import unpack
from ._pictures import Pictures
from ._soft_labels import SoftLabeled
from ._targets import resolve_classes


class Teaching:
    """The part of `DHOClassifier` that learns."""

    def _learn(self, X, y, teacher_proba, sample_weight, keep, classes, on):
        asked = X.teacher if isinstance(X, SoftLabeled) else None
        X, teacher_proba, teacher_classes, exact = unpack(X, teacher_proba)
        X = self._take_in(X) if keep else self._take_in_new(X)
        declared, known = self._declare(classes, keep), teacher_classes
        if declared is not None:
            known = declared.labels
        refuse_learned_marker(teacher_classes, self.missing_label, "The teacher")
        y, labeled = check_labels(y, self.missing_label, classes=known, n_rows=X.shape[0])
        sample_weight = check_weights(sample_weight, X)
        if teacher_proba is not None:
            teacher_proba = as_ndarray(check_proba(teacher_proba, "teacher_proba", n_rows=len(y)))
        if isinstance(X, Pictures) and X.on_error == "skip":
            good = X.without_bad()
            X, y, labeled = X[good], y[good], labeled[good]
            sample_weight = None if sample_weight is None else sample_weight[good]
            teacher_proba = None if teacher_proba is None else teacher_proba[good]
        if keep and self.heads != self._fitted_heads:
            raise ValueError(
                f"heads={self.heads!r}, but this student was fitted with "
                f"heads={self._fitted_heads!r}. Call fit on a new clone to change them."
            )
        found, columns = resolve_classes(
            find_classes(y, labeled),
            declared,
            teacher_classes,
            None if teacher_proba is None else teacher_proba.shape[1],
            exact,
        )
        codes = encode_labels(y, found, self.missing_label)
        if sample_weight is not None:
            codes[sample_weight == 0] = -1
        weight = self._loss_weight()
        if weight == 0:
            teacher_proba = columns = asked = None
        if keep and isinstance(self.net_.module_.heads, ResidualHeads):
            self._check_teacher_stays(weight)
            if teacher_proba is None:
                self._trained_heads((codes >= 0).any(), False)
            trained = ("ce",) if (codes >= 0).any() and weight < 1 else ()
        else:
            trained = self._trained_heads((codes >= 0).any(), teacher_proba is not None)
        if not keep:
            self.classes_ = found
            self._declared = check_classes(found, None) if declared is None else declared
            self._row_shape = X.shape[1:]
            self._seeds = np.random.RandomState(draw_seed(self.random_state))
            self._fitted_heads = self.heads
            self.trained_heads_ = ()
        label_weight = weigh_labels(self.class_weight, self.classes_, codes, sample_weight)
        if label_weight is not None:
            codes[label_weight == 0] = -1
        teacher = {} if teacher_proba is None else {"teacher_weight": sample_weight}
        if keep:
            residual = isinstance(self.net_.module_.heads, ResidualHeads)
        else:
            residual = self.heads == "residual" and teacher_proba is not None
        if residual:
            rows = RowDataset(X, None, teacher_proba, columns=columns, **teacher)
            rows.teacher = asked
            self._fit_residual(rows, codes, label_weight, keep, on and keep)
        else:
            if keep:
                self._check_no_teacher_comes(teacher_proba is not None)
            net = self.net_ if keep else self._new_net(X, teacher_proba is not None)
            if not keep:
                self._scale_inputs(net, X, sample_weight)
            else:
                net.criterion_.distill_weight = weight
                net.criterion_.temperature = self.temperature
            rows = RowDataset(
                net.show(X),
                codes,
                teacher_proba,
                columns=columns,
                sample_weight=label_weight,
                **teacher,
            )
            rows.teacher = asked
            self._fit_net(net, rows, keep)
            self.net_ = net
            self.distill_weight_ = 0.0 if teacher_proba is None else float(weight)
        self.trained_heads_ = tuple(
            h for h in ("ce", "kd") if h in {*self.trained_heads_, *trained}
        )
        self._note_teaching(codes, teacher_proba is not None, keep)

    def _declare(self, classes, keep):
        """Return all classes as declared now, or in the first fit; None if they never were."""
        classes = self.classes if classes is None else classes
        declared = None if classes is None else check_classes(classes, self.missing_label)
        if not keep:
            return declared
        if declared is not None and not np.array_equal(declared.labels, self.classes_):
            raise ValueError(
                f"classes={declared.labels.tolist()} differ from those of the first fit, "
                f"{self.classes_.tolist()}. Call fit on a new clone to change them."
            )
        return self._declared

    def _loss_weight(self):
        """Return the weight of the teacher in the loss of the network."""
        return 0.5 if self.distill_weight == "auto" else self.distill_weight

    def _trained_heads(self, has_labels, has_teacher):
        uses_labels = bool(has_labels) and (not has_teacher or self._loss_weight() < 1)
        if not uses_labels and not has_teacher:
            raise ValueError(
                "There is nothing to learn from: no row of y is labeled and no teacher counts. "
                "Label some rows, or pass teacher_proba with distill_weight > 0."
            )
        if self.heads == "single":
            return ("ce",)
        return tuple(head for head, used in (("ce", uses_labels), ("kd", has_teacher)) if used)

    def _check_teacher_stays(self, weight):
        if weight == 0:
            raise ValueError(
                "distill_weight=0 leaves the teacher out, but this student started from one. Call "
                "fit on a new clone, with warm_start=False."
            )

    def _check_no_teacher_comes(self, has_teacher):
        if self.heads == "residual" and has_teacher:
            raise ValueError(
                "The first fit had no teacher, so that there is none that the labels could "
                "correct. Call fit on a new clone with the teacher, or take heads='dual'."
            )

    def _note_teaching(self, codes, has_teacher, keep):
        """Count what was learned from, for the model card."""
        labels = np.bincount(codes[codes >= 0], minlength=len(self.classes_))
        before = self._taught_by if keep else {"rows": 0, "labels": 0 * labels, "calls": 0}
        self._taught_by = {
            "rows": before["rows"] + len(codes),
            "labels": (labels + before["labels"]).tolist(),
            "teacher": has_teacher or before.get("teacher", False),
            "calls": before["calls"] + 1,
        }
