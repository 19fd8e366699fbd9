"""The student's net: timm backbones, the teacher on the student's views, several GPUs."""

import numpy as np
import torch
from scipy.special import softmax
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import Normalize

from skactivekd import DHONet
from skactivekd.student import AcceleratedDHONet

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def timm_backbone(name, pretrained=True, checkpoint=None):
    """Build a timm model without its classifier, on pixels in [0, 1].

    Parameters
    ----------
    name : str
    pretrained : bool, default=True
        Take timm's weights.
    checkpoint : path, default=None
        Take these weights instead; its classifier is left out.

    Raises
    ------
    ValueError
        If the checkpoint lacks weights of the model.
    """
    import timm

    model = timm.create_model(name, pretrained=pretrained and checkpoint is None, num_classes=0)
    if checkpoint is not None:
        state = timm.models.load_state_dict(checkpoint, use_ema=False, weights_only=True)
        missing = model.load_state_dict(state, strict=False).missing_keys
        if missing:
            raise ValueError(f"{checkpoint} lacks {len(missing)} weights of {name}: {missing[0]}")
    return nn.Sequential(Normalize(*_IMAGENET), model)


class TeacherOnViews:
    """The teacher's probabilities of the very pixels that the student sees.

    Parameters
    ----------
    teacher : fitted teacher of this package, with an `OpenCLIPEncoder`
    """

    def __init__(self, teacher):
        self.teacher = teacher
        self.model, transform, self.device = teacher.encoder_._load_model()
        self.normalize = transform.transforms[-1]
        size = self.model.visual.image_size
        self.size = tuple(size) if isinstance(size, tuple | list) else (size, size)
        self.dtype = next(self.model.visual.parameters()).dtype

    def __call__(self, pixels):
        pixels = pixels.to(self.device)
        if pixels.shape[2:] != self.size:
            pixels = F.interpolate(pixels, self.size, mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            features = self.model.encode_image(self.normalize(pixels).to(self.dtype))
        features = F.normalize(features.float(), dim=1).cpu().numpy()
        return torch.from_numpy(softmax(self.teacher._logits(features), axis=1))


class StudentNet(DHONet):
    """`DHONet` for a fixed number of steps, in one epoch.

    Parameters
    ----------
    module : callable
        The backbone.
    n_steps : int
        Steps of the fit.
    teacher_view : TeacherOnViews, default=None
        Asked at every step; None where the data set brings the probabilities.
    apart : bool, default=False
        Run labelled and unlabelled rows through the network one after the
        other: each half has its own statistics of batch normalisation.
    **kwargs
        Of `DHONet`.
    """

    def __init__(self, module, *, n_steps=1, teacher_view=None, apart=False, **kwargs):
        self.n_steps = n_steps
        self.teacher_view = teacher_view
        self.apart = apart
        super().__init__(module, **kwargs)

    def count_steps(self, dataset):
        return self.n_steps

    def infer(self, x, **fit_params):
        n_labeled = int(x["labeled"].sum())
        if not self.apart or n_labeled in (0, len(x["X"])):
            return super().infer(x, **fit_params)
        halves = x["X"].split([n_labeled, len(x["X"]) - n_labeled])
        halves = [super(StudentNet, self).infer({"X": half}, **fit_params) for half in halves]
        return tuple(torch.cat(logits) for logits in zip(*halves, strict=True))

    def get_loss(self, y_pred, y_true, X=None, training=False):
        if training and self.teacher_view is not None:
            proba = self.teacher_view(X["X"]).to(y_pred[1].device)
            X = {**X, "teacher_proba": proba}
        return super().get_loss(y_pred, y_true, X=X, training=training)


class AcceleratedNet(AcceleratedDHONet, StudentNet):
    """`StudentNet` on all processes of ``accelerate launch``."""


def forward_shared(forward, paths, process, n_processes):
    """Predict a share of the rows in each process, and give all of them to every one."""
    if n_processes == 1 or len(paths) < n_processes:
        return forward(paths)
    from accelerate.utils import gather_object

    own = forward(np.array_split(paths, n_processes)[process])
    parts = gather_object([own])
    if isinstance(own, tuple):
        return tuple(torch.cat(logits) for logits in zip(*parts, strict=True))
    return np.concatenate(parts)
