"""The paper's protocol: the 11 layouts on disk, the student's settings, the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.paper.__main__ import main
from benchmarks.paper.check import SMALL, save_random_clip
from benchmarks.paper.config import load_config, names
from benchmarks.paper.copies import CLASSES, PER_CLASS, write_copies
from benchmarks.paper.data import draw_pool
from benchmarks.paper.data import load as load_data
from benchmarks.paper.splits import hold_out, official_ucf101
from benchmarks.paper.table import make_student, make_teacher, markdown, run_table, score
from skactivekd import DHOClassifier
from skactivekd.encoders import ImageError
from skactivekd.encoders._read_image import open_image
from skactivekd.student import AcceleratedDHONet, RowDataset
from skactivekd.student._image_files import Pictures

CLASS_NAMES = {
    "caltech101": ["face", "airplane", "camera"],
    "dtd": ["banded", "blotchy", "polka-dotted"],
    "eurosat": ["Annual Crop Land", "Forest", "Sea or Lake"],
    "fgvc_aircraft": ["707-320", "A300B4", "Cessna 172"],
    "flowers102": ["pink primrose", "common dandelion", "blackberry lily"],
    "food101": ["apple pie", "baklava", "hot and sour soup"],
    "imagenet": ["tench", "tabby cat", "construction crane"],
    "oxford_pets": ["abyssinian", "maine coon", "american bulldog"],
    "stanford_cars": ["2000 AM General Hummer SUV", "2012 Acura TL Sedan", "2007 Audi S4 Sedan"],
    "sun397": ["abbey", "outdoor apartment building", "beach"],
    "ucf101": ["Apply Eye Makeup", "Archery", "Handstand Pushups"],
}
SPLIT_FILES = {name: load_config(name)["split_file"] for name in names()}
COUNTS = {  # of train, val and test, where they are not 50/20/30 of 12 a class
    "dtd": (12, 12, 12),
    "fgvc_aircraft": (12, 12, 12),
    "flowers102": (12, 12, 12),
    "imagenet": (36, 0, 36),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    write_copies(folder)
    save_random_clip(folder / "clip")
    return folder


def load(name, root, seed=0):
    return load_data(load_config(name, [f"split_seed={seed}"]), root)


def small(name, root, *changes):
    changes = [*SMALL, f"teacher_model={root / 'clip'}", *changes]
    return load_config(name, changes)


def student(root, *changes, teacher="zero_shot", name="eurosat"):
    config = small(name, root, "batch_size=4", *changes)
    data = load(name, root)
    model = make_student("test_resnet", make_teacher(teacher, config, data), config, data, root)
    return clone(model).set_params(**SEEDS[teacher != "none"]), data


SEEDS = {"random_state": 0}, {"dhoclassifier__random_state": 0}


def labels(data, n_labeled):
    y = data.train[1].copy()
    order = np.argsort(np.arange(len(y)) % 6, kind="stable")  # a row of each class, then others
    y[order[n_labeled:]] = -1
    return y


def net_of(model):
    return (model[-1] if hasattr(model, "steps") else model).net_


def write_split_file(root, name, seed=1):
    """Write a split file in CoOp's format beside a copy; it differs from the split without."""
    data = load(name, root, seed)
    images = Path(root) / load_config(name)["images"][0]
    rows = {
        part: [
            [Path(path).relative_to(images).as_posix(), int(label), data.class_names[label]]
            for path, label in zip(*lists, strict=True)
        ]
        for part, lists in {"train": data.test, "val": data.val, "test": data.train}.items()
    }
    (images.parent / SPLIT_FILES[name]).write_text(json.dumps(rows))


def test_there_is_a_configuration_for_each_of_the_eleven():
    assert names() == sorted(CLASSES)
    for name in names():
        config = load_config(name)
        assert config["data"] == config["templates"] == name
    assert load_config("imagenet")["eval_mixture"]["clap"] == [0.2, 0.5]


@pytest.mark.parametrize("name", CLASSES)
def test_every_layout_gives_paths_labels_and_class_names(name, root):
    data = load(name, root)
    assert data.class_names == CLASS_NAMES[name]
    parts = data.train, data.val, data.test
    assert tuple(len(paths) for paths, _ in parts) == COUNTS.get(name, (18, 6, 12))
    paths = np.concatenate([paths for paths, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    assert len(set(paths)) == len(paths)
    assert all(Path(path).is_file() for path in paths)
    # The copies write the class into the path, or into the number of the image.
    for path, label in zip(paths, labels, strict=True):
        original = CLASSES[name][label]
        if name in ("flowers102", "fgvc_aircraft"):
            number = int(Path(path).stem.removeprefix("image_"))
            assert (number - 1) // PER_CLASS == label
        elif name == "stanford_cars":
            per_class = {"cars_train": 8, "cars_test": 4}[Path(path).parent.name]
            assert (int(Path(path).stem) - 1) // per_class == label
        else:
            assert str(original) in path


def test_the_seed_decides_on_a_split_that_is_not_official(root):
    first, again, other = (load("eurosat", root, seed).train[0].tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert load("dtd", root, 0).train[0].tolist() == load("dtd", root, 1).train[0].tolist()


@pytest.mark.parametrize("name", [name for name, file in SPLIT_FILES.items() if file])
def test_a_split_file_of_coop_counts(name, tmp_path):
    write_copies(tmp_path, [name])
    before = load(name, tmp_path)
    write_split_file(tmp_path, name)
    data = load(name, tmp_path)
    assert data.source.endswith(SPLIT_FILES[name])
    assert data.class_names == before.class_names
    rows = json.loads(Path(data.source).read_text())
    for part in ("train", "val", "test"):
        paths, labels = getattr(data, part)
        assert [Path(path).name for path in paths] == [Path(row[0]).name for row in rows[part]]
        assert labels.tolist() == [row[1] for row in rows[part]]
        assert all(Path(path).is_file() for path in paths)
    assert data.train[0].tolist() != before.train[0].tolist()


def test_coops_folders_need_its_split_file(tmp_path):
    write_copies(tmp_path, ["dtd"])
    write_split_file(tmp_path, "dtd")
    (tmp_path / "dtd" / "dtd").rename(tmp_path / "other")
    (tmp_path / "dtd").rmdir()
    (tmp_path / "other").rename(tmp_path / "dtd")
    assert len(load("dtd", tmp_path).train[0]) == 12
    (tmp_path / "dtd" / SPLIT_FILES["dtd"]).unlink()
    with pytest.raises(FileNotFoundError, match="split_zhou_DescribableTextures"):
        load("dtd", tmp_path)


def test_split_files_that_do_not_fit_are_refused(tmp_path):
    write_copies(tmp_path, ["eurosat"])
    write_split_file(tmp_path, "eurosat")
    file = tmp_path / "eurosat" / SPLIT_FILES["eurosat"]
    rows = json.loads(file.read_text())
    rows["val"].append(["Forest/Forest_999.jpg", 1, "Forest"])
    file.write_text(json.dumps(rows))
    with pytest.raises(FileNotFoundError, match=r"1 images .*Forest_999"):
        load("eurosat", tmp_path)
    rows["val"][-1] = ["Forest/Forest_1.jpg", 1, "Wood"]
    file.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"label 1 is 'Forest' and 'Wood'"):
        load("eurosat", tmp_path)


def test_missing_data_sets_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="caltech-101"):
        load("caltech101", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_official_lists_of_ucf101_keep_groups_together(tmp_path):
    rows = [(f"a b/Hand/v_Hand_g{g:02d}_c0{c}.jpg", 0) for g in range(1, 6) for c in range(1, 5)]
    lines = [f"Hand/v_HAND_g{g:02d}_c0{c}.avi" for g in range(1, 6) for c in range(1, 5)]
    (tmp_path / "trainlist01.txt").write_text("".join(f"{line} 1\n" for line in lines[4:]))
    (tmp_path / "testlist01.txt").write_text("".join(f"{line}\n" for line in lines[:4]))
    train, val, test = official_ucf101(tmp_path, rows, 0)
    assert test == rows[:4]
    assert sorted(train + val) == rows[4:]
    assert len(val) == 3
    with pytest.raises(ValueError, match="v_new"):
        official_ucf101(tmp_path, [("v_new.jpg", 0)], 0)


def test_hold_out_keeps_a_training_row_of_each_class():
    parts = hold_out([("a", 0), ("b", 1), ("c", 1), *[(i, 2) for i in range(10)]], (0.2, 0.3), 0)
    counts = [[sum(label == c for _, label in part) for c in range(3)] for part in parts]
    assert counts == [[1, 1, 5], [0, 0, 2], [0, 1, 3]]


def test_the_pool_is_drawn_by_the_seed(root):
    data = load("imagenet", root)
    pools = [draw_pool(data, 20, seed)[0].tolist() for seed in (1, 1, 2)]
    assert len(set(pools[0])) == 20
    assert pools[0] == pools[1] != pools[2]
    assert len(draw_pool(data, 0, 1)[0]) == 36


@pytest.mark.parametrize("n_labeled", [3, 64, 65, 192])
def test_steps_are_200_passes_over_the_labels(n_labeled, root):
    net = configured("eurosat", root)
    rows = RowDataset(np.zeros((1000, 1)), np.where(np.arange(1000) < n_labeled, 0, -1), TAUGHT)
    dict(net.callbacks)["length"].on_train_begin(net, X=rows)
    assert (net.count_epochs(rows), net.count_steps(rows)) == (200, -(-n_labeled // 64))


@pytest.mark.parametrize("taught", [True, False])
def test_steps_on_imagenet_are_20_passes_over_the_pool_and_50_in_the_last_round(root, taught):
    net = configured("imagenet", root)
    for n_labeled, passes in ((24, 50), (21, 20)):
        y = np.where(np.arange(1000) < n_labeled, 0, -1)
        rows = RowDataset(np.zeros((1000, 1)), y, TAUGHT if taught else None)
        dict(net.callbacks)["length"].on_train_begin(net, X=rows)
        assert net.count_epochs(rows) * net.count_steps(rows) == passes * 4


TAUGHT = np.full((1000, 3), 1 / 3)


def configured(name, root):
    """The net of a data set with all settings of the paper's."""
    config = load_config(name, ["n_classes=0", "student_checkpoint=", "pretrained=false"])
    return make_student(config["students"][0], None, config, load(name, root), root).net


@pytest.mark.parametrize(("name", "cropped"), [("dtd", "bilinear"), ("imagenet", "bicubic")])
def test_views_are_the_papers(name, cropped, root):
    net, path = configured(name, root), load(name, root).train[0][0]
    crop, flip = net.augment.transforms
    assert (crop.size, crop.scale, crop.interpolation.value) == ((224, 224), (0.5, 1.0), cropped)
    assert flip.p == 0.5
    net.set_params(input_shape=net._find_input_shape(Pictures([path])))
    plain = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224)])
    expected = transforms.functional.pil_to_tensor(plain(open_image(path)))
    assert torch.equal(net._show([path]).read([0])[0], expected)


@pytest.mark.parametrize("name", names())
def test_settings_are_the_papers(name, root):
    net, large = configured(name, root), name == "imagenet"
    got = (net.lr, net.batch_size, net.optimizer, net.replacement, net.apart)
    assert got == (1e-3, 256 if large else 64, torch.optim.AdamW, not large, not large)
    schedule = net.get_params_for("callbacks__schedule")
    shape, warmup = ("cosine", 0) if large else ("linear", 0.1)
    assert schedule == {"shape": shape, "warmup": warmup}
    student = make_student(
        "x", None, load_config(name, ["n_classes=0", "student_checkpoint="]), load(name, root), root
    )
    got = (student.heads, student.distill_weight, student.temperature, student.alpha, student.beta)
    assert got == ("dual", 0.5, 2.0, 0.5, 1.0)
    mixtures = load_config(name)["eval_mixture"]
    expected = ([0.4, 0.5], [0.2, 0.5]) if large else ([0.5, 1.0], [0.5, 1.0])
    assert (mixtures["zero_shot"], mixtures["clap"]) == expected


def test_a_fit_takes_the_steps_and_the_schedule_of_the_paper(root):
    model, data = student(root, "schedule=cosine", "lr=0.5")
    net = net_of(model.fit(data.train[0], labels(data, 5)))
    history = net.history[:, "batches", :, "train_batch_size"]
    assert history == [[8, 8]] * 2
    net = net_of(model.fit(data.train[0], labels(data, 6)))  # as many as in the last round
    assert len(net.history) == 3
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_scores_have_another_mixture_than_what_strategies_ask(root):
    model, data = student(root, "passes=3")
    model.fit(data.train[0], labels(data, 9))
    X, y = data.test
    asked = model.predict_proba(X)
    for alpha, head in ((1.0, "ce"), (0.0, "kd")):
        right = model.classes_[model.predict_proba(X, head=head).argmax(axis=1)] == y
        assert score(model, X, y, {"zero_shot": (alpha, 0.5)}) == right.mean()
    assert score(model, X, y, {"clap": (0, 1), "zero_shot": (0.5, 1)}) == model.score(X, y)
    assert np.array_equal(model.predict_proba(X), asked)


def test_kinds_of_views_and_teachers_teach_differently_and_repeat(root):
    probas = []
    for teacher, views in [("none", "once"), ("zero_shot", "once"), ("zero_shot", "augmented")]:
        model, data = student(root, f"teacher_views={views}", "lr=0.01", teacher=teacher)
        X, y = data.train[0], labels(data, 9)
        probas.append(model.fit(X, y).predict_proba(X))
    assert np.array_equal(clone(model).fit(X, y).predict_proba(X), probas[2])
    assert not np.allclose(probas[0], probas[1], atol=1e-4)
    assert not np.allclose(probas[1], probas[2], atol=1e-4)


def test_a_student_learns_the_colors_of_the_classes(root):
    model, data = student(root, "final_passes=6", "lr=0.005", "image_size=16", teacher="none")
    assert model.fit(*data.train).score(*data.test) >= 0.9


def test_processes_of_accelerate_train_the_same_student(root):
    model, data = student(root, "accelerate=true", "apart=false")
    net_of(model.fit(data.train[0], labels(data, 9)))
    assert isinstance(net_of(model), AcceleratedDHONet)
    plain, _ = student(root, "apart=false")
    plain.fit(data.train[0], labels(data, 9))
    X = data.test[0]
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-5)


def test_unknown_settings_are_refused(root):
    model, data = student(root, "teacher_views=twice")
    with pytest.raises(ValueError, match="teacher_views must be 'once' or 'augmented'"):
        model.fit(*data.train)
    for change in ('strategies=["corset"]', 'teachers=["tip"]'):
        with pytest.raises(ValueError, match=r"has \['(corset|tip)'\]; there are"):
            run_table(small("dtd", root, change), root, root / "none.csv")
    with pytest.raises(ValueError, match="there is no setting 'round'"):
        load_config("dtd", ["round=3"])
    with pytest.raises(ValueError, match="rounds='x' must be of type int"):
        load_config("dtd", ["rounds=x"])
    with pytest.raises(ValueError, match="there is no configuration 'mnist'"):
        load_config("mnist")


def test_a_broken_image_is_named(root, tmp_path):
    model, data = student(root)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"row 18.*broken\.jpg"):
        model.fit([*data.train[0], str(broken)], [*labels(data, 9), -1])


def test_weights_of_the_student_come_from_a_file(root, tmp_path):
    import timm

    trained = timm.create_model("test_resnet", num_classes=0)
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    file = f"student_checkpoint={tmp_path / 'trained.pth'}"
    model, data = student(root, file, "lr=0.0", teacher="none")
    backbone = net_of(model.fit(*data.train)).module_.backbone
    assert torch.equal(next(backbone.parameters()), next(trained.parameters()))
    torch.save({"stem": torch.zeros(1)}, tmp_path / "trained.pth")
    with pytest.raises(RuntimeError, match="Missing key"):
        clone(model).fit(*data.train)
    with pytest.raises(FileNotFoundError, match=r"'none\.pth' are neither here nor in"):
        student(root, "student_checkpoint=none.pth")


def test_a_table_runs_from_the_command_line_and_goes_on(root, tmp_path, capsys, monkeypatch):
    out = tmp_path / "ucf101.csv"
    command = ["table", "ucf101", "--root", str(root), "--out", str(out)]
    changes = [*SMALL, f"teacher_model={root / 'clip'}", 'strategies=["pcoreset", "random"]']
    command += [part for change in changes for part in ("--set", change)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "| strategy | 3 | 6 |" in printed
    assert "| pcoreset |" in printed
    stored = out.read_bytes()
    fits = []
    fit = DHOClassifier.fit
    monkeypatch.setattr(DHOClassifier, "fit", lambda *args: fits.append(1) or fit(*args))
    assert main(command) == 0
    assert fits == []
    assert capsys.readouterr().out == printed
    out.write_bytes(stored[: stored.rfind(b"\n", 0, -1) + 1] + b"test_res")  # as a kill leaves it
    assert main(command) == 0
    assert fits == [1]
    assert out.read_bytes() == stored


def test_a_table_refuses_another_number_of_classes(root, tmp_path):
    command = ["table", "dtd", "--root", str(root), "--out", str(tmp_path / "dtd.csv")]
    with pytest.raises(ValueError, match="3 classes of dtd, not 47"):
        main(command)


def test_markdown_has_mean_and_deviation_over_seeds():
    columns = ["estimator", "strategy", "seed", "round", "n_labels", "score"]
    rows = [("m", "random", seed, 0, 3, 0.5 + 0.1 * seed) for seed in (1, 2, 3)]
    table = markdown(pd.DataFrame([*rows, ("m", "pcoreset", 1, 0, 3, 0.25)], columns=columns))
    assert "| random | 70.0 ± 10.0 |" in table
    assert "| pcoreset | 25.0 |" in table


def test_the_check_counts_what_fails(tmp_path, capsys, monkeypatch):
    def run(name, folder):
        assert (folder / "data").is_dir()
        if name == "dtd":
            raise RuntimeError("it broke")
        return "fine"

    monkeypatch.setattr("benchmarks.paper.check.check_one", run)
    assert main(["check", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "dtd: FAILED" in printed.out
    assert "10 of 11 data sets" in printed.out
    assert "it broke" in printed.err


def test_show_says_what_is_there(root, capsys):
    assert main(["show", "food101", "--root", str(root)]) == 0
    assert "3 classes" in capsys.readouterr().out
