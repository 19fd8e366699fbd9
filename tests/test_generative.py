"""GenerativeTeacher: probabilities of a naive computation, for every kind of model."""

import json
import pickle
import shutil

import numpy as np
import pytest
import tiny_models
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    DHONet,
    EmbeddingCache,
    GenerativeTeacher,
    LabeledOnly,
    LabeledStratifiedKFold,
    TeacherProba,
    labeled_accuracy,
    simulate,
)
from skactivekd.encoders import ImageError, SkippedRowsWarning, TextError
from skactivekd.teacher import _generative_models

CLASSES = {3: "cat", 1: "dog", 2: "red fox", 0: "terrier hound"}
NAMES = ["terrier hound", "dog", "red fox", "cat"]  # by label
TEXTS = ["the cat sat", "", "a dog ran far from the fox", "gray wolf " * 5, "owl", "mat mat"]
PROMPT = "Text: {text}\nAnswer:"
RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (16 + 8 * (i % 3), 24, 3), dtype=np.uint8) for i in range(7)]
KINDS = ["llama", "gpt2", "sliding", "t5", "bart", "llava", "qwen2-vl"]
SEE = ["llava", "qwen2-vl"]


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A function from a kind to the folder of such a model, saved once."""
    root, made = tmp_path_factory.mktemp("generative"), {}

    def get(kind, chat=False):
        if (kind, chat) not in made:
            folder = root / f"{kind}-{chat}"
            made[kind, chat] = tiny_models.save(folder, kind, chat)
        return made[kind, chat]

    return get


def make(folder, **params):
    params = {"cache": EmbeddingCache(), "device": "cpu", "temperature": 4.0} | params
    return GenerativeTeacher(folder, params.pop("classes", CLASSES), **params).fit()


def naive(loaded, prompts, answers, special=True):
    """One prompt and one class at a time: no cache, no padding, no batch."""
    model, found = loaded.model, np.empty((len(prompts), len(answers)))
    for row, (text, image) in enumerate(prompts):
        if loaded.kind == "vision":
            images = {} if image is None else {"images": [image]}
            inputs = dict(
                loaded.processor(
                    text=[text], return_tensors="pt", add_special_tokens=special, **images
                )
            )
            inputs.pop("token_type_ids", None)
        else:
            inputs = dict(loaded.tokenizer(text, return_tensors="pt", add_special_tokens=special))
            inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        for column, answer in enumerate(answers):
            answer = torch.tensor([answer])
            with torch.no_grad():
                if loaded.kind == "seq2seq":
                    logits = model(**inputs, labels=answer).logits[0].numpy()
                else:
                    both = {
                        name: torch.cat(
                            [tensor, torch.full_like(answer, name == "attention_mask")], 1
                        )
                        if tensor.shape == inputs["input_ids"].shape
                        else tensor
                        for name, tensor in inputs.items()
                    }
                    both["input_ids"] = torch.cat([inputs["input_ids"], answer], dim=1)
                    logits = model(**both).logits[0, -answer.shape[1] - 1 : -1].numpy()
            steps = log_softmax(logits.astype(float), axis=1)
            found[row, column] = steps[np.arange(answer.shape[1]), answer[0].numpy()].sum()
    return found


def load(folder):
    return _generative_models.load(str(folder), "fp32", torch.device("cpu"))


def tokens(loaded, texts, **options):
    return [
        loaded.tokenizer(text, add_special_tokens=False, **options)["input_ids"] for text in texts
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_agree_with_one_prompt_per_class(saved, kind):
    folder = saved(kind)
    loaded = load(folder)
    special = kind != "sliding"  # whose tokenizer ends every text
    prompts = [(PROMPT.replace("{text}", text), None) for text in TEXTS]
    if not special:
        prompts = [(f"<s>{text}", image) for text, image in prompts]
    answers = tokens(loaded, NAMES if loaded.kind == "seq2seq" else [f" {n}" for n in NAMES])
    scores = naive(loaded, prompts, answers, special)
    assert {len(answer) for answer in answers} > {1}
    right = softmax(scores / 4, axis=1)
    assert scores.std(axis=0).max() > 1e-3  # rows differ
    cache = EmbeddingCache()
    for size in (1, 16, 3):
        teacher = make(folder, prompt=PROMPT, batch_size=size, cache=False)
        np.testing.assert_allclose(teacher.predict_proba(TEXTS), right, atol=1e-5)
    for _ in range(2):
        teacher = make(folder, prompt=PROMPT, cache=cache)
        np.testing.assert_allclose(teacher.predict_proba(TEXTS), right, atol=1e-5)
        assert len(cache) == len(TEXTS)
    lengths = [len(answer) for answer in answers]
    even = make(folder, prompt=PROMPT, cache=cache, length_normalize=True)
    np.testing.assert_allclose(
        even.predict_proba(TEXTS), softmax(scores / lengths / 4, axis=1), atol=1e-5
    )
    prior = scores[1]  # of the empty text
    fair = make(folder, prompt=PROMPT, cache=cache, remove_prior=True)
    np.testing.assert_allclose(
        fair.predict_proba(TEXTS), softmax((scores - prior) / 4, axis=1), atol=1e-5
    )
    np.testing.assert_allclose(fair.predict_proba(TEXTS)[1], 0.25, atol=1e-5)


@pytest.mark.parametrize("kind", SEE)
def test_images_agree_with_one_prompt_per_class(saved, kind):
    from PIL import Image

    folder = saved(kind)
    loaded = load(folder)
    start = loaded.processor.image_token + "\n"
    prompts = [(f"{start}Answer:", Image.fromarray(image)) for image in IMAGES]
    answers = tokens(loaded, [f" {name}" for name in NAMES])
    scores = naive(loaded, prompts, answers)
    right = softmax(scores / 4, axis=1)
    assert right.std(axis=0).max() > 1e-3
    for size in (1, 16, 2):
        teacher = make(folder, prompt="Answer:", batch_size=size, cache=False)
        np.testing.assert_allclose(teacher.predict_proba(IMAGES), right, atol=1e-5)
    cache = EmbeddingCache()
    for _ in range(2):
        teacher = make(folder, prompt="Answer:", cache=cache)
        np.testing.assert_allclose(teacher.predict_proba(IMAGES), right, atol=1e-5)
    assert len(cache) == 7
    prior = naive(loaded, [("Answer:", None)], answers)
    fair = make(folder, prompt="Answer:", cache=cache, remove_prior=True)
    np.testing.assert_allclose(
        fair.predict_proba(IMAGES), softmax((scores - prior) / 4, axis=1), atol=1e-5
    )


@pytest.mark.parametrize("kind", ["llama", "t5", "llava", "qwen2-vl"])
def test_a_chat_goes_through_the_models_own_template(saved, kind):
    from PIL import Image

    folder = saved(kind, chat=True)
    loaded = load(folder)
    see = kind in SEE
    X = IMAGES if see else TEXTS
    shown = tiny_models.IMAGES.get(kind, "")
    prompts = [
        (
            f"<|system|>Be brief</s><|user|>{shown}Is it a{'' if see else X[i]}?</s><|assistant|>",
            Image.fromarray(X[i]) if see else None,
        )
        for i in range(len(X))
    ]
    scores = naive(loaded, prompts, tokens(loaded, NAMES), special=False)
    prompt = "Is it a?" if see else "Is it a{text}?"
    for size in (1, 16):
        teacher = make(folder, prompt=prompt, system="Be brief", batch_size=size)
        np.testing.assert_allclose(teacher.predict_proba(X), softmax(scores / 4, 1), atol=1e-5)
    plain = make(folder, prompt=prompt, chat=False)
    assert abs(plain.predict_proba(X) - softmax(scores / 4, 1)).max() > 1e-3


def test_names_of_which_one_begins_as_another_are_ended(saved):
    folder = saved("llama")
    loaded = load(folder)
    names = ["cat", "cat food", "dog"]
    answers = tokens(loaded, [f" {name}" for name in names])
    assert answers[1][: len(answers[0])] == answers[0]
    prompts = [(PROMPT.replace("{text}", text), None) for text in TEXTS]
    ended = naive(loaded, prompts, [[*answer, 2] for answer in answers])
    bare = naive(loaded, prompts, answers)
    for end, scores in (("auto", ended), (True, ended), (False, bare)):
        teacher = make(folder, classes=names, prompt=PROMPT, end_token=end)
        np.testing.assert_allclose(teacher.predict_proba(TEXTS), softmax(scores / 4, 1), atol=1e-5)


def test_without_a_prompt_the_classes_are_named(saved):
    folder = saved("t5")
    loaded = load(folder)
    text = "{}\n\nWhich of these fits the text best: terrier hound, dog, red fox, cat?\nAnswer:"
    scores = naive(loaded, [(text.format(row), None) for row in TEXTS], tokens(loaded, NAMES))
    np.testing.assert_allclose(make(folder).predict_proba(TEXTS), softmax(scores / 4, 1), atol=1e-5)


def test_what_is_kept_does_not_depend_on_how_it_is_used(saved, tmp_path, monkeypatch):
    folder, path = saved("llama"), tmp_path / "answers.sqlite"
    first = make(folder, cache=EmbeddingCache(path), remove_prior=True).predict_proba(TEXTS)
    moved = tiny_models.copy(folder, tmp_path / "elsewhere")

    def refuse(*_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(_generative_models, "load", refuse)
    again = make(moved, cache=EmbeddingCache(path), remove_prior=True, batch_size=2)
    np.testing.assert_array_equal(again.predict_proba(TEXTS[::-1]), first[::-1])
    again.set_params(length_normalize=True, remove_prior=False, temperature=1.0)
    assert again.predict_proba(TEXTS).shape == (6, 4)
    changes = [{"prompt": "Other: {text}:"}, {"classes": ["a", "b"]}, {"end_token": True}]
    changes += [{"precision": "bf16"}, {"chat": False}, {"system": "Be brief"}]
    for change in changes:
        with pytest.raises(AssertionError, match="the model was loaded"):
            make(moved, **({"cache": EmbeddingCache(path)} | change)).predict_proba(TEXTS)
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    with pytest.raises(AssertionError, match="the model was loaded"):
        make(moved, cache=EmbeddingCache(path)).predict_proba(TEXTS)


def test_half_precision_in_cache_and_model(saved, tmp_path):
    right = make(saved("llama"), prompt=PROMPT).predict_proba(TEXTS)
    half = EmbeddingCache(tmp_path / "half.sqlite", dtype="float16")
    for _ in range(2):
        teacher = make(saved("llama"), prompt=PROMPT, cache=half)
        np.testing.assert_allclose(teacher.predict_proba(TEXTS), right, atol=0.02)
    rough = make(saved("llama"), prompt=PROMPT, precision="bf16").predict_proba(TEXTS)
    np.testing.assert_allclose(rough, right, atol=0.1)
    assert abs(rough - right).max() > 0


def test_fingerprints(saved):
    teacher = make(saved("llama"))
    assert pickle.loads(pickle.dumps(teacher)).fingerprint() == teacher.fingerprint()
    assert clone(teacher).fit().fingerprint() == teacher.fingerprint()
    assert (
        make(saved("llama"), batch_size=1, on_error="skip").fingerprint() == teacher.fingerprint()
    )
    assert make(saved("llama"), temperature=1.0).fingerprint() != teacher.fingerprint()
    assert make(saved("gpt2")).fingerprint() != teacher.fingerprint()


Y = np.array([3, 1, 2, 0] * 3 + [-1] * 24)
POOL = [f"the {word} {n}" for n in range(12) for word in ("cat", "dog", "fox")]
PICTURES = np.random.default_rng(1).integers(0, 256, (36, 16, 16, 3), dtype=np.uint8)


def student():
    net = DHONet(max_epochs=2, module__hidden=4)
    return DHOClassifier(net, classes=range(4), random_state=0)


@pytest.mark.parametrize("kind", ["llama", "t5", "llava", "qwen2-vl"])
def test_it_teaches_students(saved, kind):
    see = kind in SEE
    X = PICTURES if see else POOL
    teacher = make(saved(kind), batch_size=8)
    features = "passthrough" if see else TfidfVectorizer()
    pipe = make_pipeline(TeacherProba(teacher, features=features), student())
    pipe.fit(X, Y)
    assert (pipe[0].n_asked_, pipe[0].n_kept_) == (36, 0)
    assert pipe.predict_proba(X[:3]).shape == (3, 4)
    grid = {"dhoclassifier__distill_weight": [0.2, 0.6]}
    options = {"cv": LabeledStratifiedKFold(2), "scoring": labeled_accuracy}
    best = GridSearchCV(pipe, grid, **options).fit(X, Y).best_estimator_
    assert (best[0].n_asked_, best[0].n_kept_) == (0, 36)
    only = LabeledOnly(teacher, classes=range(4)).fit(X, Y)
    np.testing.assert_array_equal(only.predict_proba(X[:5]), teacher.predict_proba(X[:5]))
    truth = np.tile([3, 1, 2, 0], 9)
    options = {"n_rounds": 2, "seeds": 1, "n_instances": 4, "progress": False}
    results = simulate(pipe, X, truth, X_test=X[:8], y_test=truth[:8], **options)
    assert len(results) == 2
    assert len(teacher.cache) == 36


def test_images_come_in_every_form(saved, tmp_path):
    from PIL import Image

    teacher = make(saved("llava"), cache=False)
    right = teacher.predict_proba(IMAGES)
    paths = []
    for number, image in enumerate(IMAGES):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(image).save(paths[-1])
    pictures = [Image.open(path) for path in paths]
    contents = [(tmp_path / f"{number}.png").read_bytes() for number in range(7)]
    for X in (paths, pictures, contents):
        np.testing.assert_allclose(teacher.predict_proba(X), right, atol=1e-6)
    for picture in pictures:
        picture.close()
    even = np.stack(IMAGES[::3])
    np.testing.assert_allclose(teacher.predict_proba(even), right[::3], atol=1e-5)


def test_rows_that_the_model_cannot_read_are_named_or_skipped(saved, tmp_path):
    long = "mat " * 300
    for X, error, match in (
        ([*TEXTS, long, "owl", None], TextError, r"(?s)row 8: None is a NoneType"),
        ([*TEXTS, long, "owl", long + "x"], TextError, r"(?s)row 6: 3\d\d tokens.*256.*row 8: 3"),
    ):
        for size in (1, 16):
            with pytest.raises(error, match=match):
                make(saved("llama"), batch_size=size, on_error="raise").predict_proba(X)
        lenient = make(saved("llama"), on_error="skip")
        with pytest.warns(SkippedRowsWarning, match=r"row 6: 3\d\d tokens"):
            proba = lenient.predict_proba(X)
        np.testing.assert_array_equal(proba[[6, 8]], 0.25)
        np.testing.assert_allclose(proba[:6], lenient.predict_proba(TEXTS), atol=1e-6)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG no image")
    with pytest.raises(ImageError, match=r"row 1: .*broken\.png"):
        make(saved("llava")).predict_proba([IMAGES[0], str(broken)])
    with pytest.warns(SkippedRowsWarning, match=r"row 1: .*broken\.png"):
        proba = make(saved("llava"), on_error="skip").predict_proba([IMAGES[0], str(broken)])
    np.testing.assert_array_equal(proba[1], 0.25)


def test_images_are_not_for_models_of_texts(saved):
    with pytest.raises(TypeError, match="rows of X are images, but the model reads texts alone"):
        make(saved("llama")).predict_proba(IMAGES)
    with pytest.raises(ValueError, match="rows of X are images: leave it out"):
        make(saved("llava"), prompt=PROMPT).predict_proba(IMAGES)


SETTINGS = {
    "prompt": ({"prompt": 3}, "prompt=3 must be a question"),
    "empty prompt": ({"prompt": ""}, "prompt='' must be a question"),
    "a place": ({"prompt": "Is {} it?"}, r"prompt has \{\}, .*\{text\} and \{classes\}"),
    "place 0": ({"prompt": "Is {0} it?"}, r"prompt has \{0\}"),
    "a place misspelled": ({"prompt": "Is { texts } it?"}, r"prompt has \{ texts \}"),
    "a place of a menu": ({"prompt": "{text} {menu}"}, r"prompt has \{menu\}"),
    "a place of a label": ({"prompt": "Is it {label}?"}, r"prompt has \{label\}"),
    "class without name": ({"classes": {0: "", 1: "a"}}, "name of class 0 is ''"),
    "class of spaces": ({"classes": {0: " ", 1: "a"}}, "one line without spaces"),
    "class twice": ({"classes": ["cat", "cat"]}, "'cat' more than once"),
    "long class": ({"classes": ["cat " * 300 + "cat", "dog"]}, "(?s)row 0: .*but the model takes"),
    "classes": ({"classes": ["a"]}, "the one class 'a'"),
    "names": ({"classes": {0: "a", 1: 3}}, "name of class 1 is 3"),
    "chat": ({"chat": "yes"}, "chat='yes' must be True or False"),
    "chat absent": ({"chat": True}, "has no chat template"),
    "system": ({"system": 3}, "system=3 must be a str"),
    "system alone": ({"system": "Hi"}, "system= is for chats"),
    "chat_kwargs": ({"chat_kwargs": [1]}, "chat_kwargs=.*dict"),
    "chat_kwargs own": ({"chat_kwargs": {"tokenize": True}}, "sets tokenize"),
    "length": ({"length_normalize": 1}, "length_normalize=1 must be True or False"),
    "prior": ({"remove_prior": "yes"}, "remove_prior='yes'"),
    "end": ({"end_token": 2}, "end_token=2 must be True or False"),
    "temperature": ({"temperature": 0}, "temperature=0 must be above 0"),
    "batch": ({"batch_size": 0}, "batch_size=0"),
    "precision": ({"precision": "int8"}, "precision='int8' must be one of"),
    "device": ({"device": "gpu"}, "device must be"),
    "on_error": ({"on_error": "x"}, "on_error='x'"),
    "cache": ({"cache": "a"}, "EmbeddingCache"),
    "inputs": ({"inputs": "sound"}, "inputs='sound'"),
    "same tokens": ({"classes": {0: "cat", 1: "CAT"}}, "no model can tell apart"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_cannot_be_are_refused(saved, name):
    params, match = SETTINGS[name]
    with pytest.raises((ValueError, TypeError), match=match):
        make(saved("llama"), **params).predict_proba(TEXTS)


PLACES = {
    "type": (3, TypeError, "model is a int"),
    "path": ("/no/such/model", FileNotFoundError, "is no directory here"),
}


@pytest.mark.parametrize("name", PLACES)
def test_models_that_are_not_there(name):
    model, error, match = PLACES[name]
    with pytest.raises(error, match=match):
        make(model)


def test_a_model_of_the_hub_that_is_not_here(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RuntimeError, match=r"org/tiny.*not on this machine.*cache_dir"):
        make("org/tiny", cache_dir=tmp_path).predict_proba(TEXTS)


def test_a_model_of_the_hub_that_is_here(saved, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repo = tmp_path / "models--org--tiny"
    shutil.copytree(saved("llama"), repo / "snapshots" / ("a" * 40))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    found = make("org/tiny", cache_dir=tmp_path).predict_proba(TEXTS)
    np.testing.assert_array_equal(found, make(saved("llama")).predict_proba(TEXTS))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def spoil_code(folder):
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    edit(
        folder / "config.json",
        model_type="unheard-of",
        architectures=["Evil"],
        auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    )


def spoil_weights(folder):
    shutil.move(folder / "model.safetensors", folder / "pytorch_model.bin")


def spoil_numbers(folder):
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: weight * float("nan") for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def spoil_chat(template):
    def spoil(folder):
        edit(folder / "tokenizer_config.json", chat_template=template)

    return spoil


FILES = {
    "nan": (spoil_numbers, r"(?s)row 0: the model gives it nan.*row 5: "),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "cannot be loaded"),
    "a chat without the row": (spoil_chat("Hello"), "leaves the texts of rows out: set chat=False"),
    "a chat in no language": (spoil_chat("{% for %}"), "cannot be used .*set chat=False"),
    "a chat that refuses": (spoil_chat("{{ raise_exception('no') }}"), r"cannot be used \(no\)"),
    "code": (spoil_code, "(?i)needs code of its own|cannot be loaded"),
    "kernels": (lambda f: edit(f / "config.json", attn_implementation="org/k:run"), "never runs"),
    "pickle": (spoil_weights, "holds no .safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
    "broken weights": (
        lambda f: (f / "model.safetensors").write_bytes(b"no weights"),
        "cannot be loaded",
    ),
    "no text": (
        lambda f: edit(f / "config.json", model_type="vit", architectures=["ViTModel"]),
        "generates no text",
    ),
}


@pytest.mark.parametrize("fault", FILES)
def test_models_that_cannot_be_trusted_or_read_are_refused(saved, tmp_path, fault):
    spoil, match = FILES[fault]
    folder = tiny_models.copy(saved("llama"), tmp_path / "model")
    spoil(folder)
    with pytest.raises(ValueError, match=match):
        make(folder).predict_proba(TEXTS)


def test_a_chat_that_leaves_the_system_out_is_refused(saved, tmp_path):
    folder = tiny_models.copy(saved("llama"), tmp_path / "model")
    spoil_chat("{{ messages[-1]['content'] }}")(folder)
    assert make(folder).predict_proba(TEXTS).shape == (6, 4)
    with pytest.raises(ValueError, match="leaves the system= out"):
        make(folder, system="Be brief").predict_proba(TEXTS)


def test_a_tokenizer_needs_no_token_to_pad_with(saved, tmp_path):
    folder = tiny_models.copy(saved("llama"), tmp_path / "model")
    edit(folder / "tokenizer_config.json", pad_token=None)
    right = make(saved("llama")).predict_proba(TEXTS)
    np.testing.assert_allclose(make(folder).predict_proba(TEXTS), right, atol=1e-6)


def test_an_image_needs_a_place(saved, tmp_path):
    folder = tiny_models.copy(saved("qwen2-vl"), tmp_path / "model")
    loaded = load(folder)
    loaded.processor.image_token = None
    with pytest.raises(ValueError, match="neither a chat template nor an image_token"):
        make(folder).predict_proba(IMAGES)


def test_a_class_that_no_token_stands_for(saved):
    teacher = make(saved("llama"), classes=["cat", "\ud83d"], prompt="a")
    with pytest.raises((ValueError, TypeError)):
        teacher.predict_proba(TEXTS)


def test_progress_is_shown(saved, capsys, monkeypatch):
    monkeypatch.setattr("skactivekd.utils._progress_bar.LATE", 0)
    make(saved("llama"), verbose=1).predict_proba(TEXTS)
    assert "6/6" in capsys.readouterr().err
