"""Every data set end to end, on generated copies with a random teacher."""

import json
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from .config import load_config, names
from .copies import CLASSES, write_copies

_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
# A table in seconds: tiny networks, a few steps, two rounds.
SMALL = """
    n_classes=0 students=["test_resnet"] pretrained=false student_checkpoint= teacher_pretrained=
    image_size=32 batch_size=8 passes=2 final_passes=3 rounds=2 seeds=[1] clap_epochs=5 n_workers=0
    device=cpu
""".split()


def check_all(out):
    """Run all data sets in a new folder of `out`; print a line for each, return how many fail."""
    Path(out).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=out))
    write_copies(folder / "data")
    save_random_clip(folder / "clip")
    failed = 0
    for name in names():
        start = time.perf_counter()
        try:
            report = check_one(name, folder)
        except Exception:
            traceback.print_exc()
            report, failed = "FAILED", failed + 1
        print(f"{name}: {report} ({time.perf_counter() - start:.1f} s)", flush=True)
    print(f"{len(names()) - failed} of {len(names())} data sets run end to end; files in {folder}")
    return failed


def check_one(name, folder):
    """Run one data set with both teachers and both kinds of views; say what came out."""
    from .table import run_table

    parts = {
        "augmented": ['teachers=["zero_shot", "clap", "none"]', "pool=12"],
        "once": ['teachers=["zero_shot", "clap"]', 'strategies=["random", "pcoreset"]'],
    }
    scores = []
    for views, changes in parts.items():
        changes = [*SMALL, *changes, f"teacher_views={views}", f"teacher_model={folder / 'clip'}"]
        config = load_config(name, changes)
        results = run_table(config, folder / "data", folder / f"{name}-{views}.csv")
        expected = len(config["strategies"]) * len(config["teachers"]) * config["rounds"]
        budgets = [len(CLASSES[name]) * (number + 1) for number in range(config["rounds"])]
        if len(results) != expected or sorted(set(results["n_labels"])) != budgets:
            raise AssertionError(f"{expected} rounds at {budgets} labels expected:\n{results}")
        scores += list(results["score"])
    if not np.isfinite(scores).all():
        raise AssertionError(f"{name}: scores are {scores}")
    return f"{len(scores)} rounds, accuracy {min(scores):.2f} to {max(scores):.2f}"


def save_random_clip(folder, seed=0):
    """Save a tiny open_clip model with random weights as a directory."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIP(**_CLIP)
    pixels = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    config = {"model_cfg": _CLIP, "preprocess_cfg": pixels}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
