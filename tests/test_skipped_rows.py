"""Rows that an encoder skips: known by their place in the user's X, and never silently wrong."""

import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skactivekd import (
    Badge,
    CLAPTeacher,
    ClassBalanced,
    CoreSet,
    DHOClassifier,
    DHONet,
    Embedder,
    Entropy,
    LabeledOnly,
    Margin,
    OpenCLIPEncoder,
    PCoreSet,
    TeacherProba,
    TipAdapterTeacher,
    ZeroShotTeacher,
    load_glyph_digits,
)
from skactivekd.encoders import ImageError, SkippedRowsWarning
from skactivekd.modal import ActiveLearner
from skactivekd.query import UncertaintyHerding

BROKEN = [3, 11, 12, 40]  # 3 and 12 are labeled
N = 60


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Paths, of which some are broken, and labels, of which few are known."""
    X, y = load_glyph_digits(return_X_y=True)
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for row, image in enumerate(X[:N]):
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(np.rint(np.asarray(image) * 255).astype(np.uint8)).save(paths[-1])
    for row in BROKEN:
        with open(paths[row], "wb") as file:
            file.write(b"%!PS" if row == 11 else b"\x89PNG\r\n\x1a\n")
    known = np.full(N, -1)
    known[:9] = y[:9]
    known[[12, 13]] = y[[12, 13]]
    return np.array(paths, dtype=object), known, y[:N]


@pytest.fixture(params=[None, False], ids=["cache", "no cache"])
def lenient(request):
    return OpenCLIPEncoder(on_error="skip", cache=request.param, n_workers=0)


def pipeline(encoder, teacher=None):
    teacher = ZeroShotTeacher(encoder) if teacher is None else teacher
    student = DHOClassifier(DHONet(max_epochs=3, module__hidden=16), random_state=0)
    return make_pipeline(
        TeacherProba(teacher, features=Embedder(encoder), encoder_at_predict=True), student
    )


def warned_rows(call):
    """The result, and the rows of each warning of skipped ones; no other warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    assert {warning.category for warning in caught} <= {SkippedRowsWarning}
    return result, [sorted(warning.message.bad) for warning in caught]


@pytest.mark.filterwarnings("ignore::skactivekd.encoders.SkippedRowsWarning")
def test_an_embedder_gives_zeros_for_what_was_skipped(photos, lenient):
    paths, _, _ = photos
    embeddings = Embedder(lenient).fit(paths).transform(paths)
    norms = np.linalg.norm(embeddings, axis=1)
    assert np.flatnonzero(norms == 0).tolist() == BROKEN
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.delete(norms, BROKEN), 1, atol=1e-5)


def test_the_first_row_is_no_exception(photos):
    paths, _, _ = photos
    broken_first = paths[[3, 0, 11, 1, 12]]
    strict = Embedder(OpenCLIPEncoder(n_workers=0))
    with pytest.raises(ImageError) as error:
        strict.fit_transform(broken_first)
    assert sorted(error.value.bad) == [0, 2, 4]
    lenient = Embedder(OpenCLIPEncoder(n_workers=0, on_error="skip"))
    _, rows = warned_rows(lambda: lenient.fit_transform(broken_first))
    assert rows == [[0, 2, 4]]


def test_a_student_on_embeddings_learns_and_predicts(photos, lenient):
    paths, known, y = photos
    pipe, rows = warned_rows(lambda: pipeline(lenient).fit(paths, known))
    assert set(map(tuple, rows)) == {tuple(BROKEN)}
    proba, rows = warned_rows(lambda: pipe.predict_proba(paths[10:20]))
    assert rows == [[1, 2]]
    assert np.isfinite(proba).all()
    good = np.setdiff1d(np.arange(N), BROKEN)
    predicted, _ = warned_rows(lambda: pipe.predict(paths))
    assert (predicted[good] == y[good]).mean() > 0.4


@pytest.mark.parametrize("kind", [CLAPTeacher, TipAdapterTeacher])
def test_few_shot_teachers_number_labeled_rows_as_in_x(photos, lenient, kind):
    paths, known, _ = photos
    teacher, rows = warned_rows(lambda: kind(lenient).fit(paths, known))
    assert rows == [[3, 12]]
    _, rows = warned_rows(lambda: teacher.score(paths, known))
    assert rows == [[3, 12]]
    with pytest.raises(ImageError) as error:
        kind(OpenCLIPEncoder(n_workers=0)).fit(paths, known)
    assert sorted(error.value.bad) == [3, 12]


def test_a_classifier_of_labeled_rows_numbers_them_as_in_x(photos, lenient):
    paths, known, _ = photos
    teacher = LabeledOnly(make_pipeline(Embedder(lenient), LogisticRegression()))
    fitted, rows = warned_rows(lambda: teacher.fit(paths, known))
    assert rows == [[3, 12]]
    proba, rows = warned_rows(lambda: fitted.predict_proba(paths))
    assert rows == [BROKEN]
    assert np.isfinite(proba).all()
    strict = LabeledOnly(make_pipeline(Embedder(OpenCLIPEncoder()), LogisticRegression()))
    with pytest.raises(ImageError) as error:
        strict.fit(paths, known)
    assert sorted(error.value.bad) == [3, 12]


STRATEGIES = [Badge, ClassBalanced, CoreSet, Entropy, Margin, PCoreSet, UncertaintyHerding]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_strategies_never_ask_for_what_nobody_can_see(photos, kind):
    paths, known, _ = photos
    encoder = OpenCLIPEncoder(on_error="skip", n_workers=0)
    pipe, _ = warned_rows(lambda: pipeline(encoder).fit(paths, known))
    picks, rows = warned_rows(lambda: kind().query(paths, known, pipe, n_instances=20))
    assert len(set(picks.tolist())) == 20
    assert not set(picks) & {*BROKEN, *np.flatnonzero(known >= 0)}
    # Unlabeled ones by their place in X, and labeled ones where a strategy looks at them.
    assert [11, 40] in rows
    assert all(found in ([11, 40], [3, 12]) for found in rows)
    good = np.setdiff1d(np.arange(N), BROKEN)
    same = kind().query(paths[good], known[good], pipe, n_instances=20)
    if kind in (Entropy, Margin):  # the others compare with labeled rows, too
        assert good[same].tolist() == picks.tolist()


def test_a_teacher_is_a_model_like_others(photos, lenient):
    paths, known, _ = photos
    teacher = ZeroShotTeacher(lenient).fit()
    picks, rows = warned_rows(lambda: Entropy().query(paths, known, teacher, n_instances=3))
    assert rows == [[11, 40]]
    assert not set(picks) & set(BROKEN)


def test_an_error_in_a_query_numbers_rows_as_in_x(photos):
    paths, known, _ = photos
    teacher = ZeroShotTeacher(OpenCLIPEncoder(n_workers=0)).fit()
    for strategy, expected in ((Entropy(), [11, 40]), (PCoreSet(), BROKEN)):
        with pytest.raises(ImageError) as error:
            strategy.query(paths, known, teacher, n_instances=3)
        assert sorted(error.value.bad) == expected


def test_a_pool_without_a_readable_row_is_an_error(photos, lenient):
    paths, known, _ = photos
    teacher = ZeroShotTeacher(lenient).fit()
    rows = np.array([0, 1, 11, 40])
    with (
        pytest.raises(ValueError, match="No row is left to select: all 2 were skipped"),
        pytest.warns(SkippedRowsWarning, match=r"(?s)row 2.*row 3"),
    ):
        Entropy().query(paths[rows], known[rows], teacher)
    with (
        pytest.warns(SkippedRowsWarning),
        pytest.warns(UserWarning, match="n_instances"),
    ):
        assert len(Entropy().query(paths[9:12], known[9:12], teacher, n_instances=3)) == 2


def test_modal_numbers_rows_of_the_pool(photos, lenient):
    paths, known, _ = photos
    good = np.flatnonzero((known >= 0) & ~np.isin(np.arange(N), BROKEN))
    learner = ActiveLearner(
        LabeledOnly(make_pipeline(Embedder(lenient), LogisticRegression())),
        Margin(),
        X_training=paths[good],
        y_training=known[good],
    )
    (picks, _), rows = warned_rows(lambda: learner.query(paths[9:50], n_instances=5))
    assert rows == [[2, 3, 31]]
    assert not set(picks + 9) & set(BROKEN)
