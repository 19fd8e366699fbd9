"""Strangers' models run nothing: not by what their settings name, nor by their weights."""

import json
import pickle
import shutil

import numpy as np
import pytest

from skactivekd import DHOClassifier, DHONet, OpenCLIPEncoder, SentenceEncoder
from skactivekd.encoders._sentence_models import ModelCodeError, check_model_code

RAN = """
import pathlib
pathlib.Path({mark!r}).touch()
from sentence_transformers.models import Pooling
class Module(Pooling): pass
"""


@pytest.fixture
def stranger(tiny_sentence, tmp_path):
    """A folder with a model that works, and a file beside it that leaves a mark when it is run."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_sentence, folder)
    (folder / "evil.py").write_text(RAN.format(mark=str(tmp_path / "ran")))
    return folder


def edit(path, change):
    settings = json.loads(path.read_text()) if path.exists() else {}
    change(settings)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(settings))


def name_module(kind):
    return lambda modules: modules[1].update(type=kind)


ROUTER = {"types": {"a": "sentence_transformers.models.Pooling", "b": "evil.Module"}}
EDITS = {
    "a module": ("modules.json", name_module("evil.Module")),
    "a module elsewhere": ("modules.json", name_module("subprocess.Popen")),
    "no class": ("modules.json", name_module("sentence_transformers.util.torch")),
    "a name with a trick": ("modules.json", name_module("sentence_transformers.x/../evil.Module")),
    "no text": ("modules.json", name_module(3)),
    "a path": ("modules.json", lambda modules: modules[1].update(path="../other")),
    "an absolute path": ("modules.json", lambda modules: modules[1].update(path="/tmp")),
    "a router": ("2_Router/router_config.json", lambda s: s.update(ROUTER)),
    "an old router": ("2_Asym/config.json", lambda s: s.update(ROUTER)),
    "a model within": ("inner/modules.json", lambda s: s.update(ROUTER)),
    "an activation": ("2_Dense/config.json", lambda s: s.update(activation_function="os.abort")),
    "words": ("0_Words/wordembedding_config.json", lambda s: s.update(tokenizer_class="evil.T")),
    "trust": ("sentence_bert_config.json", lambda s: s.update(m={"trust_remote_code": True})),
    "kernels": ("config.json", lambda s: s.update(attn_implementation="org/kernel:run")),
    "any kernels": ("sentence_bert_config.json", lambda s: s.update(m={"allow_all_kernels": 1})),
}


@pytest.mark.parametrize("edited", EDITS)
def test_a_model_that_would_run_code_is_refused(stranger, tmp_path, monkeypatch, edited):
    file, change = EDITS[edited]
    edit(stranger / file, change)
    monkeypatch.chdir(stranger)  # from where anything can be imported by name
    monkeypatch.syspath_prepend(str(stranger))
    with pytest.raises(ValueError, match=rf"(?s)would run code of its own: {file} has") as error:
        SentenceEncoder(stranger).encode_text(["a cat"])
    assert "trust_remote_code=True" in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_links_do_not_hide_settings(stranger, tmp_path):
    shutil.move(stranger / "1_Pooling", tmp_path / "elsewhere")
    edit(tmp_path / "elsewhere" / "router_config.json", lambda s: s.update(ROUTER))
    (stranger / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(stranger)
    with pytest.raises(ModelCodeError, match=r"1_Pooling/router_config\.json has the module"):
        check_model_code(stranger)


def test_who_trusts_a_model_says_so(stranger, tmp_path):
    edit(stranger / "modules.json", name_module("evil.Module"))
    trusting = SentenceEncoder(stranger, trust_remote_code=True)
    assert trusting.encode_text(["a cat"]).shape == (1, 16)
    assert (tmp_path / "ran").exists()


def test_a_model_of_the_hub_is_checked_as_well(stranger, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    edit(stranger / "modules.json", name_module("evil.Module"))
    repo = tmp_path / "hub" / "models--org--tiny"
    shutil.copytree(stranger, repo / "snapshots" / ("a" * 40))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    with pytest.raises(ValueError, match=r"has the module 'evil\.Module'"):
        SentenceEncoder("org/tiny", cache_dir=repo.parent).encode_text(["a cat"])


def test_settings_of_sound_models_pass(tmp_path):
    edit(
        tmp_path / "config.json",
        lambda s: s.update(
            activation_function="gelu",
            hidden_act="gelu",
            tokenizer_class="BertTokenizer",
            attn_implementation="sdpa",
            rope_scaling={"type": "linear"},
            type_vocab_size=2,
        ),
    )
    dense = "torch.nn.modules.activation.Tanh"
    edit(tmp_path / "dense.json", lambda s: s.update(activation_function=dense))
    words = "sentence_transformers.models.tokenizer.WhitespaceTokenizer"
    edit(tmp_path / "words.json", lambda s: s.update(tokenizer_class=words))
    (tmp_path / "broken.json").write_text("{")
    check_model_code(tmp_path)


class Touch:
    """What leaves a mark when a pickle of it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture
def poisoned(tmp_path):
    import torch

    torch.save({"state_dict": Touch(tmp_path / "ran")}, tmp_path / "weights.pt")
    with open(tmp_path / "plain.pt", "wb") as file:
        pickle.dump(Touch(tmp_path / "ran"), file)
    return [tmp_path / "weights.pt", tmp_path / "plain.pt"]


def test_weights_of_clip_models_are_weights(tiny_clip, poisoned, tmp_path):
    for file in poisoned:
        encoder = OpenCLIPEncoder(tiny_clip.name, file, preprocess={}, device="cpu")
        with pytest.raises(ValueError, match="cannot be loaded"):
            encoder.encode_image(np.zeros((1, 8, 8)))
    folder = tmp_path / "folder"
    shutil.copytree(tiny_clip.directory, folder)
    (folder / "open_clip_model.safetensors").unlink()
    for name in ("open_clip_pytorch_model.bin", "open_clip_model.bin"):
        shutil.copy(poisoned[0], folder / name)
    with pytest.raises(ValueError, match="cannot be loaded"):
        OpenCLIPEncoder(folder, device="cpu").encode_image(np.zeros((1, 8, 8)))
    assert not (tmp_path / "ran").exists()


def test_weights_of_sentence_models_are_weights(stranger, poisoned, tmp_path):
    for file in stranger.glob("*.safetensors"):
        file.unlink()
    shutil.copy(poisoned[0], stranger / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be loaded"):
        SentenceEncoder(stranger).encode_text(["a cat"])
    assert not (tmp_path / "ran").exists()


def test_weights_of_backbones_are_weights(poisoned, tmp_path):
    X, y = np.zeros((4, 3, 32, 32), dtype=np.float32), [0, 1, 0, 1]
    for file in poisoned:
        for given in (
            {"module__checkpoint_path": str(file)},
            {"module__pretrained": True, "module__pretrained_cfg_overlay": {"file": str(file)}},
        ):
            net = DHONet("resnet10t", max_epochs=1, **given)
            with pytest.raises(Exception, match=r"(?i)weights"):
                DHOClassifier(net, device="cpu").fit(X, y)
    assert not (tmp_path / "ran").exists()


def test_a_clip_model_cannot_vouch_for_its_own_tokenizer(tiny_clip, tmp_path):
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip.directory, folder)

    def vouch(settings):
        kwargs = {"trust_remote_code": True}
        settings["model_cfg"]["text_cfg"].update(hf_tokenizer_name="own", tokenizer_kwargs=kwargs)

    edit(folder / "open_clip_config.json", vouch)
    (folder / "evil.py").write_text(
        RAN.format(mark=str(tmp_path / "ran")).replace("Module(Pooling)", "Tokens(Pooling)")
    )
    tokens = {"tokenizer_class": "Tokens", "auto_map": {"AutoTokenizer": ["evil.Tokens", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(RuntimeError, match=r"tokenizer of model .* cannot be loaded"):
        OpenCLIPEncoder(folder, device="cpu").encode_text(["a cat"])
    assert not (tmp_path / "ran").exists()
