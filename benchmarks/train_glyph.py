"""Train the embedded default teacher: a tiny CLIP that has seen nothing but synthetic digits.

    python benchmarks/train_glyph.py --out skactivekd/encoders/glyph

It learns from deformed glyphs of matplotlib's fonts with captions of many templates. Settings
were chosen on two synthetic validation sets: fonts held out (accuracy 0.88), and digits drawn by a
pen (0.82). It takes about three minutes on one core.
"""

import argparse
import json
import math
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from synthetic_digits import draw_font, draw_pen, font_glyphs, render, skeletons
from torch.nn.functional import cross_entropy, interpolate

from skactivekd import OpenCLIPEncoder, ZeroShotTeacher
from skactivekd.encoders._open_clip_models import GLYPH_CLASSES, GLYPH_TEMPLATES

SCALE = 100.0  # what teachers multiply cosines by, so it is not learned
SMOOTHING = 0.1  # matches confidence to accuracy on the pen digits
HELD_OUT = ("cmmi10", "cmss10", "cmti10", "DejaVuSansMono-3", "DejaVuSerif-Italic", "STIXGeneral-1")
MODEL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESS = {
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


def captions():
    """Every caption of every digit, in words and numerals: (10, n_captions) strings."""
    media = ["", "a photo of ", "an image of ", "a picture of ", "a scan of "]
    things = ["{}", "the digit {}", "the number {}", 'the number: "{}"']
    things += ["a handwritten {}", "the handwritten digit {}"]
    templates = [m + thing + stop for m, thing, stop in product(media, things, ["", "."])]
    return [
        [t.format(word) for word in (name, digit) for t in templates]
        for digit, name in GLYPH_CLASSES.items()
    ]


def synthetic_sets(n_train, n_valid, seed):
    """Render training images, then validation images of held-out fonts and of the pen."""
    fonts = font_glyphs()
    kept = [name for name in fonts if not name.startswith(HELD_OUT)]
    train, held = (
        {digit: [fonts[name][digit] for name in names] for digit in range(10)}
        for names in (kept, [name for name in fonts if name not in kept])
    )
    rng = np.random.default_rng(seed)
    return (
        render(train, draw_font, n_train, rng),
        {
            "fonts": render(held, draw_font, n_valid, rng),
            "pen": render(skeletons(), draw_pen, n_valid, rng),
        },
    )


def pixels(images):
    """Do to 8x8 arrays what open_clip's transform does to them as pictures."""
    images = interpolate(torch.as_tensor(images)[:, None], size=32, mode="bilinear")
    return (images.expand(-1, 3, -1, -1) - 0.5) / 0.5


def contrastive_loss(image, text, image_digit, text_digit):
    """CLIP's symmetric loss where every pair of the same digit is a positive."""
    logits = SCALE * image @ text.T
    positive = (image_digit[:, None] == text_digit).float()
    return sum(
        cross_entropy(side, match / match.sum(dim=1, keepdim=True), label_smoothing=SMOOTHING)
        for side, match in ((logits, positive), (logits.T, positive.T))
    )


def train(model, images, digits, tokens, steps, batch_size=128, captions_per_digit=2):
    """Fit the model in place; tokens has shape (10, n_captions, context)."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)
    images, digits = torch.as_tensor(images), torch.as_tensor(digits)
    text_digit = torch.arange(10).repeat_interleave(captions_per_digit)
    model.train()
    for _ in range(steps):
        batch = torch.randint(len(images), (batch_size,))
        text = tokens[text_digit, torch.randint(tokens.shape[1], text_digit.shape)]
        loss = contrastive_loss(
            model.encode_image(pixels(images[batch]), normalize=True),
            model.encode_text(text, normalize=True),
            digits[batch],
            text_digit,
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def fit_clip(images, digits, steps, seed):
    """Train a CLIP; the rows of its token table that no caption uses are zero.

    Training uses a short table of the tokens in use, in their order: the text tower finds the end
    of a caption by the largest token.
    """
    from open_clip import CLIP, SimpleTokenizer

    torch.manual_seed(seed)
    tokenize = SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    tokens = torch.stack([tokenize(texts) for texts in captions()])
    used = tokens.unique()
    text_cfg = {**MODEL["text_cfg"], "vocab_size": len(used)}
    model = CLIP(**{**MODEL, "text_cfg": text_cfg})
    model.logit_scale.requires_grad_(False).fill_(math.log(SCALE))
    train(model, images, digits, torch.searchsorted(used, tokens), steps)
    state = model.state_dict()
    table = torch.zeros(MODEL["text_cfg"]["vocab_size"], MODEL["text_cfg"]["width"])
    table[used] = state["token_embedding.weight"]
    return {**state, "token_embedding.weight": table}


def write(state, out):
    """Write open_clip's directory; half precision but for what it would round visibly."""
    from safetensors.torch import save

    out.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    half = {k: v.half() if v.ndim and v.is_floating_point() else v for k, v in state.items()}
    (out / "open_clip_model.safetensors").write_bytes(save(half))


def report(name, teacher, images, digits):
    proba = teacher.predict_proba(images)
    accuracy = (proba.argmax(axis=1) == digits).mean()
    print(f"{name:>12}: accuracy {accuracy:.3f}, mean confidence {proba.max(axis=1).mean():.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-train", type=int, default=30_000, help="rendered images")
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--evaluate", action="store_true", help="report on handwritten digits too")
    args = parser.parse_args()
    torch.set_num_threads(1)  # more are slower on a model this small
    start = time.perf_counter()
    (images, digits), validation = synthetic_sets(args.n_train, 2_000, args.seed)
    write(fit_clip(images, digits, args.steps, args.seed), args.out)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    if args.evaluate:
        from skactivekd.datasets import load_glyph_digits

        validation["handwritten"] = load_glyph_digits(return_X_y=True)
    encoder = OpenCLIPEncoder(f"local-dir:{args.out}")
    teacher = ZeroShotTeacher(encoder, GLYPH_CLASSES, GLYPH_TEMPLATES, logit_scale=SCALE).fit()
    for name, held_out in validation.items():
        report(name, teacher, *held_out)


if __name__ == "__main__":
    main()
