"""Prompts: template sets, tidy names, descriptions, and their ensembles."""

import numpy as np
import pytest

from skactivekd.teacher import (
    ZeroShotTeacher,
    class_prompts,
    embed_classes,
    list_prompt_templates,
    prompt_templates,
    tidy_classes,
    tidy_name,
)

BENCHMARKS = (
    "imagenet caltech101 oxford_pets stanford_cars flowers102 food101 fgvc_aircraft sun397 dtd "
    "eurosat ucf101"
).split()


class Planar:
    """Texts as directions in the plane that depend on every letter."""

    def __init__(self):
        self.seen = []

    def encode_text(self, texts):
        self.seen += texts
        angles = [sum(ord(letter) * (i + 1) for i, letter in enumerate(text)) for text in texts]
        return np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize("name", [*BENCHMARKS, "generic"])
def test_every_benchmark_data_set_has_templates(name):
    assert name in list_prompt_templates()
    templates = prompt_templates(name)
    assert len(set(templates)) == len(templates) >= 1
    assert all(template.count("{}") == 1 for template in templates)


def test_imagenet_templates_are_those_of_open_clip():
    import open_clip

    for name, size in (("imagenet", 7), ("imagenet_80", 80)):
        assert len(prompt_templates(name)) == size
    expected = [template("cat") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert class_prompts(["cat"], "imagenet_80") == [expected]


def test_a_list_of_templates_can_be_changed_without_harm():
    prompt_templates("food101").append("{}")
    assert len(prompt_templates("food101")) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("food_101", "did you mean 'food101'"), ("Flowers", "flowers102"), ("xyz", "the sets are")],
)
def test_an_unknown_set_names_the_sets(name, message):
    with pytest.raises(ValueError, match=message):
        prompt_templates(name)
    with pytest.raises(ValueError, match=message):
        class_prompts(["cat"], name)


def test_a_teacher_takes_the_name_of_a_set():
    named = ZeroShotTeacher(Planar(), ["rice", "soup"], "food101").fit()
    plain = ZeroShotTeacher(Planar(), ["rice", "soup"], "a photo of {}, a type of food.").fit()
    np.testing.assert_array_equal(named.class_embeddings_, plain.class_embeddings_)


@pytest.mark.parametrize(
    ("name", "tidy"),
    [
        ("001.ak47", "ak47"),
        ("012.Black_footed_Albatross", "Black footed Albatross"),
        ("01 cat", "cat"),
        ("0_cat", "cat"),
        ("apple_pie", "apple pie"),
        ("AnnualCrop", "annual crop"),
        ("HandstandPushups", "handstand pushups"),
        ("Forest", "Forest"),
        ("737-800", "737-800"),
        ("An-12", "An-12"),
        ("F-16A/B", "F-16A/B"),
        ("McLaren MP4-12C Coupe 2012", "McLaren MP4-12C Coupe 2012"),
        ("2.5 inch disk", "2.5 inch disk"),
        ("7", "7"),
        ("HTTP", "HTTP"),
        ("/a/apartment_building/outdoor", "outdoor apartment building"),
        ("  two\tspaces  in ", "two spaces in"),
        ("crème_brûlée", "crème brûlée"),
    ],
)
def test_names_are_tidied(name, tidy):
    assert tidy_name(name) == tidy
    assert tidy_name(tidy) == tidy


def test_the_year_comes_first_if_asked():
    assert tidy_name("Acura RL Sedan 2012", year_first=True) == "2012 Acura RL Sedan"
    assert tidy_name("Model 3000", year_first=True) == "Model 3000"
    assert tidy_classes({7: "Acura TL 2012"}, year_first=True) == {7: "2012 Acura TL"}


def test_names_without_text_are_refused():
    with pytest.raises(ValueError, match="nothing is left of the name '_'"):
        tidy_name("_")
    with pytest.raises(TypeError, match="name=3 is a int"):
        tidy_name(3)


def test_tidy_classes_keep_labels_and_order():
    assert list(tidy_classes(["SeaLake", "AnnualCrop"]).items()) == [
        ("SeaLake", "sea lake"),
        ("AnnualCrop", "annual crop"),
    ]
    assert tidy_classes({3: "a_b", 1: "a_b"}) == {3: "a b", 1: "a b"}


def test_names_that_become_the_same_are_refused():
    with pytest.raises(ValueError, match=r"\['001.cat', '002.cat'\] all become 'cat'"):
        tidy_classes(["001.cat", "002.cat", "dog"])


def test_names_are_never_tidied_unasked():
    encoder = Planar()
    ZeroShotTeacher(encoder, ["apple_pie", "001.cat"], "a {}").fit()
    assert encoder.seen == ["a apple_pie", "a 001.cat"]


def test_templates_functions_and_descriptions_add_up_in_order():
    prompts = class_prompts(
        ["cat", "owl"],
        ["a {}.", lambda name: name.upper(), "food101", {1: ["big {eyes}", "a {} at night"]}],
        labels=[0, 1],
    )
    food = "a photo of {}, a type of food."
    assert prompts[0] == ["a cat.", "CAT", food.format("cat")]
    assert prompts[1] == ["a owl.", "OWL", food.format("owl"), "big {eyes}", "a owl at night"]


def test_descriptions_alone_need_every_class():
    described = {"cat": "it purrs", "owl": ["it hoots", "it flies"]}
    assert class_prompts(["cat", "owl"], described) == [["it purrs"], ["it hoots", "it flies"]]
    with pytest.raises(ValueError, match="no description of class 'dog'"):
        class_prompts(["cat", "owl", "dog"], described)


@pytest.mark.parametrize(
    ("templates", "error", "message"),
    [
        ({5: "it purrs"}, ValueError, "describes 5, which is not among the labels"),
        ({"cat": []}, ValueError, "descriptions of class 'cat' is empty"),
        ({"cat": ["it purrs", 3]}, TypeError, "prompt of class 'cat' is 3"),
        (lambda name: None, TypeError, "prompt of class 'cat' is None"),
        ([], ValueError, "templates="),
        (3, ValueError, "templates=3"),
        (["a {}", "{} {}"], ValueError, "must have {} once"),
        (["a {}", "{0}"], ValueError, "must have {} once"),
    ],
)
def test_templates_that_make_no_sense_are_refused(templates, error, message):
    with pytest.raises(error, match=message):
        class_prompts(["cat"], templates)


def test_an_embedding_is_the_normalized_mean_of_a_class_s_own_prompts():
    described = {"cat": ["it purrs"], "owl": ["it hoots", "it flies", "it sees at night"]}
    found = embed_classes(Planar(), ["cat", "owl"], ["a {}", described])
    for name, row in zip(["cat", "owl"], found, strict=True):
        mean = Planar().encode_text([f"a {name}", *described[name]]).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert found.dtype == np.float32


def test_embeddings_agree_with_open_clip():
    import open_clip
    import torch

    class Tower:
        def encode_text(self, texts, normalize):
            return torch.tensor(Planar().encode_text(texts))

    class Texts(list):
        def to(self, device):
            return self

    names, templates = ["cat", "owl", "dog"], prompt_templates("imagenet")
    expected = open_clip.build_zero_shot_classifier(Tower(), Texts, names, templates).numpy().T
    np.testing.assert_allclose(embed_classes(Planar(), names, templates), expected, atol=1e-6)


def test_each_prompt_is_encoded_once():
    encoder = Planar()
    for _ in range(2):
        embed_classes(encoder, ["one", "two", "one"], ["generic", "caltech101", "the {}"])
    assert sorted(encoder.seen) == ["a photo of a one.", "a photo of a two.", "the one", "the two"]


def test_labels_of_any_kind_key_descriptions():
    for labels in ([0, 1], np.array([0, 1]), ["a", "b"], [None, "b"]):
        described = {label: [f"text {i}"] for i, label in enumerate(list(labels))}
        assert class_prompts(["x", "y"], described, labels) == [["text 0"], ["text 1"]]


def test_a_teacher_keys_descriptions_by_label():
    described = {7: "it purrs", 9: "it hoots"}
    teacher = ZeroShotTeacher(Planar(), {7: "cat", 9: "owl"}, described).fit()
    np.testing.assert_allclose(
        teacher.class_embeddings_, Planar().encode_text(["it purrs", "it hoots"]), atol=1e-6
    )


def test_opposite_prompts_have_no_mean():
    class Opposite:
        def encode_text(self, texts):
            return np.array([[1.0, 0.0], [-1.0, 0.0]])[: len(texts)]

    with pytest.raises(ValueError, match="prompts of 'x' were skipped, or their mean is zero"):
        embed_classes(Opposite(), ["x"], ["a {}", "b {}"])
