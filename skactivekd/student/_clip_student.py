"""A student that starts as a small CLIP: its image tower, its texts as weights of the heads."""

import copy

import numpy as np
from torch import nn

from ..teacher import OpenCLIPEncoder, _open_clip, class_prompts
from ..teacher._embedding_teacher import _defaults
from ..teacher._encoders import _fspath
from ..teacher._prompts import check_classes
from ._net import DHONet


def clip_student(encoder=None, classes=None, templates=None, *, kd_scale=100.0, **net_params):
    r"""Make a DHONet of a CLIP model, which knows the classes by name before it trains.

    The backbone is the image tower. Both heads start from the texts: without
    bias, and with the weights

    .. math:: w_c = \frac{1}{|P_c|} \sum_{p \in P_c} g(p)

    where :math:`P_c` are the prompts of class c and :math:`g` gives the text
    embeddings of the same CLIP, which are not normalised, nor is their mean.
    The head of the teacher compares with features z of norm 1,
    :math:`h_{KD} = s \, (W_{KD} \, z / \lVert z \rVert + b_{KD})`, that of the
    labels is plain, :math:`h_{CE} = W_{CE} \, z + b_{CE}`. All of it is trained.

    Parameters
    ----------
    encoder : OpenCLIPEncoder, default=None
        Says which model, and how it prepares images. Its own weights stay as
        they are; the student trains a copy in float32. None is the small
        model of this package.
    classes : sequence of labels, or mapping of label to name, default=None
        All classes, by the labels that stand in y; names are ``str(label)``
        without a mapping. Give the same labels to ``DHOClassifier(classes=)``
        where y may miss some. None is the ten digits for the model of this
        package, an error for others.
    templates : str, callable, mapping, sequence of these, or None, default=None
        What to make of a name, as `class_prompts` has it. None is what the
        model of this package was trained with, for others "a photo of a {}.".
    kd_scale : float or None, default=100.0
        The scale s above; None makes the teacher's head plain as well.
    **net_params
        Parameters of `DHONet`, say ``lr`` or ``max_epochs``.

    Returns
    -------
    net : DHONet
        Unfitted. It takes what `DHOClassifier` does of images: uint8 or floats
        in [0, 1] of one or three channels, of any size; the backbone resizes
        and normalises them.

    Raises
    ------
    TypeError
        If `encoder` is no `OpenCLIPEncoder`.
    ValueError
        If classes or templates are missing or malformed, there is no such
        model, or its way of resizing does not work on tensors.

    See Also
    --------
    DualHead : The heads.

    References
    ----------
    .. [1] Kang et al., "Simple Semi-supervised Knowledge Distillation from
       Vision-Language Models via Dual-Head Optimization", arXiv:2505.07675,
       equation 10 and table 6.

    Examples
    --------
    >>> from skactivekd import DHOClassifier, clip_student
    >>> net = clip_student(classes={0: "zero", 1: "one"}, max_epochs=5, lr=1e-5)
    >>> net.head_weights.shape
    (2, 64)
    >>> clf = DHOClassifier(net, classes=[0, 1])
    """
    encoder = OpenCLIPEncoder() if encoder is None else encoder
    if not isinstance(encoder, OpenCLIPEncoder):
        raise TypeError(f"encoder must be an OpenCLIPEncoder, got {encoder!r}.")
    classes, templates = _defaults(encoder, classes, templates)
    labels, names = check_classes(classes)
    model, transform, _ = encoder._load_model()
    weights = _text_means(encoder, class_prompts(names, templates, labels))
    return DHONet(
        ImageTower(model.visual, transform),
        # Columns of the student follow the sorted labels.
        head_weights=weights[np.argsort(labels)],
        kd_scale=kd_scale,
        **net_params,
    )


class ImageTower(nn.Module):
    """Image tower of a CLIP model, from pixels in [0, 1] to embeddings of any norm.

    Parameters
    ----------
    visual : torch.nn.Module
        The tower, which is copied.
    transform : callable
        The model's preparation of images, from open_clip.
    """

    def __init__(self, visual, transform):
        super().__init__()
        if any(hasattr(step, "longest") for step in transform.transforms):
            raise ValueError(
                "The model's way of resizing does not work on tensors. Set "
                'preprocess={"resize_mode": "squash"} on the encoder.'
            )
        self.visual = copy.deepcopy(visual).cpu().float().requires_grad_(True)
        self.transform = transform

    @property
    def image_size(self):
        """Height and width that the tower takes."""
        return self.visual.image_size

    def forward(self, X):
        """Return the embeddings, of shape (n, d), of images of shape (n, 1 or 3, H, W)."""
        features = self.visual(self.transform(X.expand(-1, 3, -1, -1)))
        # Some towers give the embeddings of patches as well.
        return features[0] if isinstance(features, tuple) else features


def _text_means(encoder, prompts):
    """Average the embeddings of each class's prompts as they come, of any norm."""
    model, _, device = encoder._load_model()
    tokenizer = _open_clip.load_tokenizer(*encoder._source()[::2], _fspath(encoder.cache_dir))
    texts = [text for of_class in prompts for text in of_class]
    _open_clip.warn_of_cuts(texts, tokenizer)

    def forward(batch):
        tokens = _open_clip.tokenize(tokenizer, batch).to(device)
        return model.encode_text(tokens, normalize=False)

    size = encoder.batch_size
    batches = (texts[i : i + size] for i in range(0, len(texts), size))
    rows = _open_clip.embed(forward, batches, [""], len(texts), encoder.verbose)
    counts = np.array([len(of_class) for of_class in prompts])
    return np.add.reduceat(rows, np.cumsum(counts) - counts) / counts[:, None].astype(np.float32)
