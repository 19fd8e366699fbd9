"""A student that starts as a small CLIP: its image tower, its texts as weights of the heads."""

import copy

import numpy as np
import torch
from torch import nn

from .._devices_and_seeds import own_settings
from ..encoders import OpenCLIPEncoder, _open_clip_models
from ..encoders._open_clip_preprocess import embed
from ..teacher import class_prompts
from ..teacher._embedding_teacher import _defaults
from ..teacher._prompts import name_classes
from ._dho_net import DHONet


@own_settings()
def clip_student(encoder=None, classes=None, templates=None, *, kd_scale=100.0, **net_params):
    r"""Make a DHONet of a CLIP model, which knows the classes by name before it trains.

    The backbone is the image tower. Both heads start from the texts: without
    bias, and with the weights

    .. math:: w_c = \frac{1}{|P_c|} \sum_{p \in P_c} g(p)

    where :math:`P_c` are the prompts of class c and :math:`g` gives the text
    embeddings of the same CLIP, which are not normalized, nor is their mean.
    The head of the teacher compares with features z of norm 1,
    :math:`h_{KD} = s \, (W_{KD} \, z / \lVert z \rVert + b_{KD})`, that of the
    labels is plain, :math:`h_{CE} = W_{CE} \, z + b_{CE}`. All of it is trained.

    .. versionadded:: 0.1

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
        and normalizes them.

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
    labels, names = name_classes(classes, missing_label=None)  # which is no label anyway
    model, transform, _ = encoder._load_model()
    weights = _text_means(encoder, class_prompts(names, templates, labels))
    return DHONet(
        ImageTower(model.visual, transform, _recipe(encoder, model)),
        head_weights=weights,
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
    recipe : dict, default=None
        What `from_recipe` makes the same tower of, without its weights.
    """

    def __init__(self, visual, transform, recipe=None):
        super().__init__()
        if any(hasattr(step, "longest") for step in transform.transforms):
            raise ValueError(
                "The model's way of resizing does not work on tensors. Set "
                'preprocess={"resize_mode": "squash"} on the encoder.'
            )
        self.visual = copy.deepcopy(visual).cpu().float().requires_grad_(True)
        # The others turn pictures into tensors.
        steps = [step for step in transform.transforms if isinstance(step, nn.Module)]
        self.prepare = nn.Sequential(*(_with_buffers(step) for step in steps))
        self.recipe = recipe

    @property
    def image_size(self):
        """Height and width that the tower takes."""
        return self.visual.image_size

    def forward(self, X):
        """Return the embeddings, of shape (n, d), of images of shape (n, 1 or 3, H, W)."""
        features = self.visual(self.prepare(X.expand(-1, 3, -1, -1)))
        # Some towers give the embeddings of patches as well.
        return features[0] if isinstance(features, tuple) else features

    @classmethod
    def from_recipe(cls, recipe):
        """Make a tower whose weights are still to come."""
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        vision = {**recipe["vision_cfg"], "timm_model_pretrained": False}
        # A whole model is what open_clip offers; its text tower is kept small.
        texts = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}
        clip = open_clip.CLIP(recipe["embed_dim"], vision, texts, recipe["quick_gelu"])
        transform = image_transform_v2(PreprocessCfg(**recipe["preprocess"]), is_train=False)
        return cls(clip.visual, transform, recipe)

    def for_images_of(self, height, width):
        """Return a copy that resizes images of one size by two matrices.

        Resizing is linear in the pixels, and ONNX has no other form of all of
        open_clip's ways.
        """
        from torchvision.transforms import Resize

        tower = copy.deepcopy(self)
        for number, step in enumerate(tower.prepare):
            if isinstance(step, Resize):
                tower.prepare[number] = _MatrixResize(step, height, width)
        return tower


class _Normalize(nn.Module):
    """torchvision's step without its look at the numbers, which torch.export cannot follow."""

    def __init__(self, mean, std):
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            values = torch.as_tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)
        if (self.std == 0).any():
            raise ValueError("The model's preparation of images divides by a std of zero.")

    def forward(self, X):
        """Return the normalized images."""
        return (X - self.mean) / self.std


class _MatrixResize(nn.Module):
    """Resize images of one size, columns and rows one after the other."""

    def __init__(self, resize, height, width):
        super().__init__()
        new_height, new_width = resize(torch.zeros(1, 1, height, width)).shape[2:]
        self.register_buffer("down", _resize_matrix(resize, height, new_height))
        self.register_buffer("across", _resize_matrix(resize, width, new_width).T)

    def forward(self, X):
        """Return the images in their new size."""
        return self.down @ X @ self.across


def _resize_matrix(resize, old, new):
    """Return what a column of pixels is multiplied by."""
    from torchvision.transforms.functional import resize as resize_to

    pixels = torch.eye(old)[None]
    return resize_to(pixels, [new, old], resize.interpolation, antialias=resize.antialias)[0]


def _with_buffers(step):
    from torchvision.transforms import Normalize

    return _Normalize(step.mean, step.std) if isinstance(step, Normalize) else step


def _recipe(encoder, model):
    """Say what the image tower is made of, as open_clip does."""
    import open_clip

    name, pretrained, _ = encoder._source()
    config = open_clip.get_model_config(name)
    quick = config.get("quick_gelu") or _open_clip_models.trained_with_quick_gelu(name, pretrained)
    return {
        "embed_dim": config["embed_dim"],
        "vision_cfg": config["vision_cfg"],
        "quick_gelu": bool(quick),
        "preprocess": dict(model.visual.preprocess_cfg),
    }


def _text_means(encoder, prompts):
    """Average the embeddings of each class's prompts as they come, of any norm."""
    model, _, device = encoder._load_model()
    tokenizer = encoder._load_tokenizer()
    texts = [text for of_class in prompts for text in of_class]
    _open_clip_models.warn_of_cuts(texts, tokenizer)

    def forward(batch):
        tokens = _open_clip_models.tokenize(tokenizer, batch).to(device)
        return model.encode_text(tokens, normalize=False)

    size = encoder.batch_size
    batches = (texts[i : i + size] for i in range(0, len(texts), size))
    rows = embed(forward, batches, lambda: [""], len(texts), encoder.verbose)
    counts = np.array([len(of_class) for of_class in prompts])
    return np.add.reduceat(rows, np.cumsum(counts) - counts) / counts[:, None].astype(np.float32)
