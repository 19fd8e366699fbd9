"""The paper's protocol: the 11 layouts on disk, the batches, the rounds and the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.paper.__main__ import main
from benchmarks.paper.check import SMALL, save_random_clip
from benchmarks.paper.config import load_config, names
from benchmarks.paper.copies import CLASSES, PER_CLASS, write_copies, write_split_file
from benchmarks.paper.data import IMAGES, SPLIT_FILES, draw_pool, load
from benchmarks.paper.net import TeacherOnViews, timm_backbone
from benchmarks.paper.rows import ImageRows, StepSampler, test_view, train_view
from benchmarks.paper.splits import hold_out, official_ucf101
from benchmarks.paper.student import FolderStudent
from benchmarks.paper.table import make_students, make_teacher, markdown

test_view.__test__ = False
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
COUNTS = {  # of train, val and test, where they are not 50/20/30 of 12 a class
    "dtd": (12, 12, 12),
    "fgvc_aircraft": (12, 12, 12),
    "flowers102": (12, 12, 12),
    "imagenet": (36, 0, 12),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    write_copies(folder)
    save_random_clip(folder / "clip")
    return folder


def small(name, root, *changes):
    changes = [*SMALL, f"teacher_model={root / 'clip'}", *changes]
    return load_config(name, changes)


def student(root, teacher="zero_shot", **params):
    config = small("eurosat", root)
    data = load("eurosat", root)
    made = make_teacher(teacher, config, data)
    settings = {"backbone": "test_resnet", "pretrained": False, "image_size": 32, "n_workers": 0}
    settings |= {"batch_size": 4, "passes": 2, "device": "cpu", "random_state": 0}
    return FolderStudent(3, made, **{**settings, **params}), data


def test_there_is_a_configuration_for_each_of_the_eleven():
    assert names() == sorted(IMAGES) == sorted(CLASSES)
    for name in names():
        config = load_config(name)
        assert config["data"] == config["templates"] == name
    assert load_config("imagenet")["eval_mixture"]["clap"] == [0.2, 0.5]


@pytest.mark.parametrize("name", IMAGES)
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


@pytest.mark.parametrize("name", SPLIT_FILES)
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
    with pytest.raises(ValueError, match="there is no data set 'mnist'"):
        load("mnist", tmp_path)


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


def batches(replacement=False, n_labeled=5, n_unlabeled=9, n_steps=6, **share):
    labeled, unlabeled = np.arange(n_labeled), 100 + np.arange(n_unlabeled)
    generator = torch.Generator().manual_seed(0)
    sampler = StepSampler(
        labeled, unlabeled, 4, n_steps, generator, replacement=replacement, **share
    )
    return [batch.tolist() for batch in sampler]


def test_batches_are_labelled_rows_first_and_as_many_unlabelled():
    drawn, passed = batches(replacement=True, n_labeled=2), batches(n_labeled=2)
    assert [sum(row < 100 for row in batch) for batch in drawn] == [4] * 6
    assert [sum(row < 100 for row in batch) for batch in passed] == [2] * 6
    for batch in drawn + passed:
        assert batch == [*[r for r in batch if r < 100], *[r for r in batch if r >= 100]]
    seen = [row for batch in drawn for row in batch if row >= 100]
    assert sorted(seen[:9]) == list(range(100, 109))
    assert all(max(batch) < 100 for batch in batches(n_unlabeled=0))
    assert len(batches(replacement=True, n_labeled=0)) == 6


def test_processes_share_each_batch():
    whole = batches(replacement=True)
    shares = [batches(replacement=True, share=(p, 2)) for p in (0, 1)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(batch) == sorted(parts[0] + parts[1])
        assert len(parts[0]) == len(parts[1])


@pytest.mark.parametrize("n_labeled", [1, 64, 65, 192])
def test_steps_are_200_passes_over_the_labels(n_labeled):
    y = np.where(np.arange(1000) < n_labeled, 0, -1)
    assert FolderStudent(3).count_steps(y) == 200 * -(-n_labeled // 64)


def test_steps_on_imagenet_are_20_passes_over_the_pool_and_50_in_the_last_round(root):
    config = small("imagenet", root, "passes=20", "final_passes=50", "batch_size=256", "rounds=8")
    (model,) = make_students(config, load("imagenet", root), root).values()
    y = np.full(100_000, -1)
    y[:21] = 0
    assert model.count_steps(y) == 20 * 391
    y[21:24] = 0
    assert model.count_steps(y) == 50 * 391
    assert (model.eval_alpha, model.eval_beta, model.alpha, model.beta) == (0.4, 0.5, 0.5, 1.0)


def test_a_fit_takes_the_steps_and_the_schedule_of_the_paper(root):
    model, data = student(root, schedule="cosine", lr=0.5)
    X, y = data.train
    model.fit(X, np.where(np.arange(18) % 2, y, -1))
    history = model.net_.history[0, "batches", :, "train_batch_size"]
    assert model.n_steps_ == len(history) == 2 * 3
    assert set(history) == {8}
    assert model.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("teacher", ["zero_shot", "clap"])
def test_the_teacher_sees_the_pixels_of_the_student(teacher, root):
    model, data = student(root, teacher)
    X, y = data.train
    # As the student's, so that the teacher's own preparation gives the same pixels.
    model.teacher.encoder.set_params(preprocess={"interpolation": "bilinear"})
    fitted = model.teacher.fit(list(X), y)
    pixels = ImageRows(X, test_view(32)).__getitems__(range(18))[0]["X"]
    once = fitted.predict_proba(list(X))
    np.testing.assert_allclose(TeacherOnViews(fitted)(pixels), once, atol=1e-4)
    large = ImageRows(X, test_view(64)).__getitems__(range(18))[0]["X"]
    assert TeacherOnViews(fitted)(large).shape == (18, 3)


def test_kinds_of_views_and_teachers_teach_differently_and_repeat(root):
    probas = []
    for teacher, views in [("none", "once"), ("zero_shot", "once"), ("zero_shot", "augmented")]:
        model, data = student(root, teacher, teacher_views=views, lr=0.01)
        X, y = data.train
        y = np.where(np.arange(18) % 2, y, -1)
        probas.append(model.fit(X, y).predict_proba(X))
        assert model.embed(X).shape == (18, model.net_.module_.heads.ce.in_features)
    assert np.array_equal(model.fit(X, y).predict_proba(X), probas[2])
    assert not np.allclose(probas[0], probas[1], atol=1e-4)
    assert not np.allclose(probas[0], probas[2], atol=1e-4)


def test_a_student_learns_the_colours_of_the_classes(root):
    model, data = student(root, "none", passes=6, lr=0.005, image_size=16)
    assert model.fit(*data.train).score(*data.test) >= 0.9


def test_halves_apart_have_their_own_batch_statistics(root):
    probas = []
    for apart in (True, False):
        model, data = student(root, apart=apart)
        X, y = data.train
        probas.append(model.fit(X, np.where(np.arange(18) % 2, y, -1)).predict_proba(X))
    assert not np.allclose(*probas, atol=1e-4)


def test_unknown_settings_are_refused(root):
    model, data = student(root, teacher_views="twice")
    with pytest.raises(ValueError, match="teacher_views='twice' must be one of"):
        model.fit(*data.train)
    with pytest.raises(ValueError, match="there is no setting 'round'"):
        load_config("dtd", ["round=3"])
    with pytest.raises(ValueError, match="rounds='x' must be of type int"):
        load_config("dtd", ["rounds=x"])
    with pytest.raises(ValueError, match="there is no configuration 'mnist'"):
        load_config("mnist")


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.jpg cannot be read"):
        ImageRows([str(tmp_path / "broken.jpg")], train_view(8))[0]


def test_backbone_takes_a_checkpoint_without_its_classifier(tmp_path):
    import timm

    trained = timm.create_model("test_resnet", num_classes=7)
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    backbone = timm_backbone("test_resnet", checkpoint=tmp_path / "trained.pth")
    assert torch.equal(next(backbone[1].parameters()), next(trained.parameters()))
    torch.save({"stem": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"lacks \d+ weights of test_resnet"):
        timm_backbone("test_resnet", checkpoint=tmp_path / "other.pth")


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
    fit = FolderStudent.fit
    monkeypatch.setattr(FolderStudent, "fit", lambda *args: fits.append(1) or fit(*args))
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


def test_show_and_copies_commands(tmp_path, capsys):
    assert main(["copies", "--out", str(tmp_path)]) == 0
    assert main(["show", "food101", "--root", str(tmp_path)]) == 0
    assert "3 classes" in capsys.readouterr().out
