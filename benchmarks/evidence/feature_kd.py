"""Feature distillation: the student imitates the teacher's embeddings, not its probabilities."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from torch import nn
from torch.nn import functional as F

from skactivekd import DHONet
from skactivekd._devices_and_seeds import seeded
from skactivekd.student._backbones import build_backbone, count_features
from skactivekd.student._dataset import RowDataset
from skactivekd.student._torch_module import Student


class FeatureLoss(nn.Module):
    """Cross-entropy of the labels, and 1 - cosine between projected features and embeddings."""

    def __init__(self, distill_weight=0.5):
        super().__init__()
        self.distill_weight = distill_weight

    def forward(self, outputs, y, embeddings):
        logits, projected = outputs
        labeled = y >= 0
        cross_entropy = F.cross_entropy(logits[labeled], y[labeled], reduction="sum")
        cross_entropy = cross_entropy / labeled.sum().clamp(min=1)
        distance = 1 - F.cosine_similarity(projected, embeddings, dim=1)
        distillation = sum(distance[rows].mean() for rows in (labeled, ~labeled) if rows.any())
        return (1 - self.distill_weight) * cross_entropy + self.distill_weight * distillation


class FeatureHeads(nn.Module):
    """A classifier, and a projection onto the teacher's embedding."""

    def __init__(self, n_features, n_classes, n_embedding):
        super().__init__()
        self.ce = nn.Linear(n_features, n_classes)
        self.projection = nn.Linear(n_features, n_embedding)

    def forward(self, features):
        return self.ce(features), self.projection(features)


class FeatureNet(DHONet):
    """`DHONet` whose second head has the width of the teacher's embeddings."""

    def __init__(self, module=None, *, n_embedding=None, criterion=FeatureLoss, **kwargs):
        self.n_embedding = n_embedding
        super().__init__(module, criterion=criterion, **kwargs)

    def initialize_module(self):
        backbone = build_backbone(self.module, self.input_shape, **self.get_params_for("module"))
        n_features = count_features(backbone, self.input_shape)
        heads = FeatureHeads(n_features, self.n_classes, self.n_embedding)
        self.module_ = Student(backbone, heads)
        return self


class FeatureKD(ClassifierMixin, BaseEstimator):
    """Student of labels and of the teacher's embeddings, on row numbers.

    Parameters
    ----------
    net : FeatureNet
        Unfitted.
    features, embeddings : Rows
        The student's input and the teacher's embeddings, by row number.
    n_classes : int
    random_state : int
    """

    def __init__(self, net, features, embeddings, n_classes, random_state=None):
        self.net = net
        self.features = features
        self.embeddings = embeddings
        self.n_classes = n_classes
        self.random_state = random_state

    def fit(self, X, y):
        rows = self.features.transform(X)
        embeddings = self.embeddings.transform(X)
        self.classes_ = np.arange(self.n_classes)
        shape = rows.shape[1:] if rows.ndim == 2 else (1, *rows.shape[1:])
        net = clone(self.net).set_params(
            n_classes=self.n_classes, input_shape=shape, n_embedding=embeddings.shape[1]
        )
        with seeded(self.random_state, torch.device("cpu")):
            self.net_ = net.fit(RowDataset(rows, y, embeddings), None)
        return self

    def predict_proba(self, X):
        logits, _ = self.net_.forward(self.features.transform(X))
        return torch.softmax(logits, dim=1).numpy()

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def embed(self, X):
        return self.net_.embed(self.features.transform(X))
