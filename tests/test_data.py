"""Samples in three parts: the splits, the made tasks, images from packages, recordings from files that the tests write."""

import io
import struct
import tarfile

import numpy as np
import pytest

from neurosim import data, fetch
from neurosim.data import events, images
from neurosim.errors import FileFormatError, ParameterError
from neurosim.models import digits_data

# ------------------------------------------------------------------------------------------------ splits


def test_parts_are_stratified_disjoint_and_of_the_size_asked_for(rng):
    targets = rng.choice(7, 1003, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    parts = data.stratified(targets, (0.7, 0.1, 0.2), seed=3)
    assert [len(part) for part in parts] == [702, 100, 201]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == 1003
    for part, fraction in zip(parts, (0.7, 0.1, 0.2)):
        wanted = fraction * np.bincount(targets)
        assert np.abs(np.bincount(targets[part], minlength=7) - wanted).max() <= 2
    again, other = data.stratified(targets, (0.7,), seed=3)[0], data.stratified(targets, (0.7,), seed=4)[0]
    np.testing.assert_array_equal(parts[0], again)
    assert len(np.setdiff1d(parts[0], other)) > 50


def test_no_group_is_in_two_parts(rng):
    groups = rng.choice([f"speaker{k}" for k in range(9)], 500)
    parts, names = data.by_group(groups, 2, 3, seed=1)
    assert [len(part) for part in names] == [4, 2, 3] and len(set(sum(names, ()))) == 9
    assert sum(map(len, parts)) == 500
    for part, there in zip(parts, names):
        assert set(groups[part]) == set(there)
    _, fixed = data.by_group(groups, ["speaker0"], 3, seed=1)
    assert fixed[1] == ("speaker0",) and "speaker0" not in fixed[2] and len(fixed[2]) == 3
    assert data.by_group(groups, 1, 3, seed=1)[1][2] == names[2], "the test part does not depend on how many validate"
    with pytest.raises(ParameterError, match="no group 'nobody'"):
        data.by_group(groups, 1, ["nobody"])
    with pytest.raises(ParameterError, match="do not make three parts"):
        data.by_group(groups, 4, 5)
    with pytest.raises(ParameterError, match="more than one part"):
        data.Split(*[(np.zeros((1, 2)), np.zeros(1, int))] * 3, groups=(("a",), ("b",), ("a",)))


def test_a_split_refuses_what_does_not_fit():
    x, y = np.zeros((4, 3)), np.zeros(4, int)
    with pytest.raises(ParameterError, match="as many inputs as targets"):
        data.Split((x, y), (x, y[:2]), (x, y))
    with pytest.raises(ParameterError, match="as many inputs as targets"):
        data.Split((x, y), (x[:0], y[:0]), (x, y))
    with pytest.raises(ParameterError, match="samples of shape"):
        data.Split((x, y), (x, y), (x[:, :2], y))
    with pytest.raises(ParameterError, match="more than one part"):
        data.by_index(x, y, ([0, 1], [2], [1]))
    made = data.by_index(np.arange(4.0)[:, None], np.arange(4), ([0, 1], [2], [3]), "made")
    assert made.classes == 4 and "train 2, validation 1, test 1" in repr(made)
    np.testing.assert_array_equal(made.map(lambda a: 2 * a).test[0], [[6.0]])


# ------------------------------------------------------------------------------------------------ tasks


def nearest(train, test):
    """Accuracy of the nearest class mean, on inputs flattened."""
    means = np.stack([train[0][train[1] == k].reshape((train[1] == k).sum(), -1).mean(axis=0) for k in range(1 + train[1].max())])
    flat = test[0].reshape(len(test[0]), -1)
    return np.mean(((flat[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) == test[1])


def test_delay_coded_classes_differ_only_in_time():
    made = data.delay_coded((400, 50, 200), seed=2)
    inputs, targets = made.train
    assert inputs.shape == (400, 40, 20) and inputs.dtype == np.uint8 and made.test[0].shape == (200, 40, 20)
    assert (inputs.sum(axis=1) == 1).all(), "each channel spikes once: counts say nothing"
    assert (np.bincount(targets) == 40).all()
    assert nearest(made.train, made.test) > 0.95
    when = inputs.argmax(axis=1)
    spread = np.stack([when[targets == k].std(axis=0) for k in range(10)])
    assert 0.6 < np.median(spread) < 1.4, "jitter of one step"
    assert (data.delay_coded((20, 5, 5), jitter=0.0, last=10, seed=2).train[0][:, 10:] == 0).all()
    again = data.delay_coded((400, 50, 200), seed=2)
    np.testing.assert_array_equal(again.test[0], made.test[0])
    assert not np.array_equal(data.delay_coded((400, 50, 200), seed=3).test[0], made.test[0])


def test_store_and_recall_can_be_read_off():
    made = data.store_recall((300, 20, 60), values=3, slot=5, delay=(10, 40), group=4, rate=0.9, noise=0.01, seed=1)
    inputs, targets = made.train
    assert inputs.shape == (300, (2 + 8) * 5, 5 * 4)
    slots = inputs.reshape(300, 10, 5, 5, 4).mean(axis=(2, 4))  # how much each signal is on in each slot
    store, recall = slots[:, :, 3] > 0.5, slots[:, :, 4] > 0.5
    assert (store.sum(axis=1) == 1).all() and recall[:, -1].all() and not recall[:, :-1].any()
    at = store.argmax(axis=1)
    np.testing.assert_array_equal(slots[np.arange(300), at, :3].argmax(axis=1), targets)
    waited = 9 - at - 1
    assert waited.min() == 2 and waited.max() == 8 and len(np.unique(waited)) == 7
    shown = slots[:, :-1, :3].argmax(axis=2)
    assert abs(np.mean(shown[np.arange(300), at - 1] == targets) - 1 / 3) < 0.12, "what was shown before tells nothing"
    assert slots[:, -1, :3].max() < 0.5


def test_delayed_match_is_of_what_was_first():
    made = data.delayed_match((400, 20, 20), patterns=3, show=4, delay=(5, 12), group=5, rate=0.9, seed=1)
    inputs, targets = made.train
    assert inputs.shape == (400, 20, 15)
    on = inputs.reshape(400, 20, 3, 5).mean(axis=3)
    last, first = on[:, -4:].sum(axis=1).argmax(axis=1), on[:, :-4].sum(axis=1).argmax(axis=1)
    np.testing.assert_array_equal((first == last).astype(int), targets)
    assert targets.mean() == 0.5
    begin = (on.max(axis=2) > 0.3).argmax(axis=1)
    assert begin.min() == 0 and begin.max() == 7


@pytest.mark.parametrize(("call", "message"), [
    (lambda: data.delay_coded((10, 0, 10)), "three whole numbers"),
    (lambda: data.delay_coded(classes=1), r"delay_coded\.classes must be a whole number >= 2"),
    (lambda: data.delay_coded(last=50), "last must be at most steps"),
    (lambda: data.store_recall(delay=(300, 200)), "delay must be"),
    (lambda: data.store_recall(rate=1.5), "probability per step"),
    (lambda: data.delayed_match(seed=-1), "seed must be a whole number"),
    (lambda: data.stratified([0, 1], (0.8, 0.4)), "add up to at most 1"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


# ------------------------------------------------------------------------------------------------ images


def idx(array):
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def clothes(rng):
    """Contents of four files in the format of MNIST."""
    arrays = [rng.integers(0, 256, (60, 5, 6)), np.arange(60) % 4, rng.integers(0, 256, (20, 5, 6)), np.arange(20) % 4]
    return [idx(array.astype(np.uint8)) for array in arrays], arrays


def debian(contents, kind="xz"):
    """A Debian package with these files."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode=f"w:{kind}") as archive:
        for name, content in zip(digits_data.FILES, contents):
            member = tarfile.TarInfo(f"./usr/share/datasets/fashion-mnist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    out = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"abc"), (f"data.tar.{kind}", inner.getvalue())):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return out


@pytest.mark.parametrize("kind", ["xz", "gz"])
def test_fashion_comes_out_of_its_debian_package(rng, tmp_path, monkeypatch, kind):
    contents, arrays = clothes(rng)
    package = debian(contents, kind)
    (tmp_path / images.PACKAGE).write_bytes(package)
    monkeypatch.setattr(images, "MIRROR", tmp_path.as_uri())
    monkeypatch.setattr(images, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.setattr(images, "SHA256", fetch.digest(package))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = data.fashion(validation=0.2, seed=5)
    assert [len(targets) for _, (_, targets) in made.parts()] == [48, 12, 20] and made.source.startswith("Fashion-MNIST")
    np.testing.assert_array_equal(made.test[1], arrays[3])
    np.testing.assert_allclose(made.test[0], arrays[2] / 255.0, rtol=1e-6)
    assert (np.bincount(made.validation[1]) == 3).all()
    (tmp_path / images.PACKAGE).unlink()
    np.testing.assert_array_equal(data.fashion(validation=0.2, seed=5).train[0], made.train[0])
    assert (tmp_path / "cache" / "neurosim" / "data" / images.PACKAGE).is_file()


def test_a_package_that_is_none_is_told(rng, tmp_path, monkeypatch):
    contents, _ = clothes(rng)
    damaged = debian(contents)[:300]
    for bad, message in ((b"zip", "not a Debian package"), (damaged, "damaged|cannot read"), (b"!<arch>\n", "holds no data")):
        with pytest.raises(FileFormatError, match=message):
            images._debian(bad, "it")
    (tmp_path / images.PACKAGE).write_bytes(debian(contents))
    monkeypatch.setattr(images, "MIRROR", tmp_path.as_uri())
    monkeypatch.setattr(images, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FileFormatError, match="checksum is wrong"):
        data.fashion()


def test_an_installed_folder_is_read(rng, tmp_path, monkeypatch):
    contents, arrays = clothes(rng)
    for name, content in zip(digits_data.FILES, contents):
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(images, "INSTALLED", tmp_path)
    np.testing.assert_array_equal(data.fashion(validation=0.1).test[1], arrays[3])
    np.testing.assert_array_equal(data.mnist(tmp_path, validation=0.1).test[1], arrays[3])


@pytest.mark.needs("sklearn")
def test_small_digits_in_three_parts():
    made = data.digits()
    assert [len(targets) for _, (_, targets) in made.parts()] == [1078, 269, 450]
    assert made.train[0].shape[1:] == (8, 8) and made.train[0].max() == 1.0 and made.classes == 10
    few = data.some(made, (100, 50, 20), seed=1)
    assert [len(targets) for _, (_, targets) in few.parts()] == [100, 50, 20]
    assert np.ptp(np.bincount(few.train[1])) <= 2


def test_what_was_made_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def make():
        calls.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        np.testing.assert_array_equal(fetch.made("x.npz", "an x", "1 s", make)["a"], [0, 1, 2])
    assert len(calls) == 1 and "making an x" in caplog.text
    (tmp_path / "neurosim" / "data" / "x.npz").write_bytes(b"broken")
    fetch.made("x.npz", "an x", "1 s", make)
    assert len(calls) == 2


# ----------------------------------------------------------------------------------------------- events


def test_binned_is_the_array_it_stands_for(rng):
    times = [rng.uniform(0, 60, n) for n in (30, 0, 200)]
    places = [rng.integers(0, 6, len(t)) for t in times]
    made = data.binned(times, places, (2, 3), 10, 5.0)
    plain = np.zeros((3, 10, 6), int)
    for k, (t, p) in enumerate(zip(times, places)):
        for when, where in zip(t, p):
            if when < 50:
                plain[k, int(when // 5), where] += 1
    plain = plain.reshape(3, 10, 2, 3)
    assert made.shape == plain.shape and len(made) == 3 and made.ndim == 4
    np.testing.assert_array_equal(np.asarray(made), plain)
    np.testing.assert_array_equal(made[2], plain[2])
    np.testing.assert_array_equal(made[1:], plain[1:])
    np.testing.assert_array_equal(made[np.array([2, 0, 2])], plain[[2, 0, 2]])
    np.testing.assert_array_equal(made.take([2, 1])[:], plain[[2, 1]])
    np.testing.assert_array_equal(data.binned(times, places, (2, 3), 10, 5.0, binary=True)[:], plain > 0)
    with pytest.raises(ParameterError, match="places, which must be from 0 to 5"):
        data.binned([[1.0]], [[6]], (2, 3), 10, 5.0)


def write_heidelberg(h5py, path, rng, n, speakers=True):
    units = [rng.integers(0, 700, rng.integers(5, 40)) for _ in range(n)]
    times = [np.sort(rng.uniform(0, 1.2, len(u))) for u in units]
    with h5py.File(path, "w") as file:
        for name, rows, kind in (("times", times, np.float16), ("units", units, np.uint16)):
            kept = file.create_dataset(f"spikes/{name}", (n,), dtype=h5py.vlen_dtype(kind))
            for k, row in enumerate(rows):
                kept[k] = row.astype(kind)
        file["labels"] = np.arange(n) % 20
        if speakers:
            file["extra/speaker"] = np.arange(n) // 20
    return times, units


@pytest.mark.needs("h5py")
def test_spiking_speech_is_read(tmp_path, rng, needs):
    h5py = needs("h5py")
    write_heidelberg(h5py, tmp_path / "shd_train.h5", rng, 80)
    times, units = write_heidelberg(h5py, tmp_path / "shd_test.h5", rng, 20)
    made = data.shd(tmp_path, validation=0.25)
    assert made.train[0].shape == (60, 100, 140) and made.validation[0].shape == (20, 100, 140)
    assert (np.bincount(made.validation[1]) == 1).all()
    np.testing.assert_array_equal(made.test[1], np.arange(20))
    plain = np.zeros((100, 140), int)
    for t, u in zip(times[3].astype(np.float16).astype(float), units[3]):
        if int(t * 1000 // 10) < 100:
            plain[int(t * 1000 // 10), u // 5] += 1
    np.testing.assert_array_equal(made.test[0][3], plain)
    by_speaker = data.shd(tmp_path, validation=[3], binary=True)
    assert len(by_speaker.validation[1]) == 20 and by_speaker.train[0][:].max() == 1
    for part in ("train", "valid", "test"):
        write_heidelberg(h5py, tmp_path / f"ssc_{part}.h5", rng, 35, speakers=False)
    assert data.ssc(tmp_path, merge=1, steps=50, dt=20.0).validation[0].shape == (35, 50, 700)
    (tmp_path / "shd_test.h5").write_bytes(b"no")
    with pytest.raises(FileFormatError, match="shd_test.h5"):
        data.shd(tmp_path)
    with pytest.raises(ParameterError, match="merge must divide 700"):
        data.shd(tmp_path, merge=3)


def nmnist_bytes(t, x, y, p):
    return np.stack([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255], axis=1).astype(np.uint8).tobytes()


def camera_events(rng, n=200, side=34):
    return np.sort(rng.integers(0, 300_000, n)), *(rng.integers(0, side, (2, n))), rng.integers(0, 2, n)


def test_neuromorphic_digits_are_read(tmp_path, rng):
    kept = {}
    for part, n in (("Train", 4), ("Test", 2)):
        for digit in range(10):
            (tmp_path / part / str(digit)).mkdir(parents=True)
            for k in range(n):
                kept[part, digit, k] = camera_events(rng)
                (tmp_path / part / str(digit) / f"{k:05}.bin").write_bytes(nmnist_bytes(*kept[part, digit, k]))
    found = events.nmnist_events(nmnist_bytes(*kept["Train", 3, 1]))
    for got, put in zip(found, kept["Train", 3, 1]):
        np.testing.assert_array_equal(got, put)
    made = data.nmnist(tmp_path, validation=0.25, binary=False)
    assert made.train[0].shape == (30, 30, 2, 34, 34) and len(made.validation[1]) == 10 and len(made.test[1]) == 20
    t, x, y, p = kept["Test", 7, 1]
    plain = np.zeros((30, 2, 34, 34), int)
    np.add.at(plain, (t // 10_000, p, y, x), 1)
    np.testing.assert_array_equal(made.test[0][15], plain)
    assert len(data.nmnist(tmp_path, limit=2).test[1]) == 20 and len(data.nmnist(tmp_path, limit=2, validation=0.5).train[1]) == 10
    with pytest.raises(FileFormatError, match="not 5 for each event"):
        events.nmnist_events(b"123456")
    with pytest.raises(FileFormatError, match="holds no file"):
        data.nmnist(tmp_path / "Train")


def test_packed_events_are_read(tmp_path, rng):
    arrays = {}
    for part, n in (("train", 20), ("test", 6)):
        rows = [camera_events(rng, 50) for _ in range(n)]
        for key, column in zip("txyp", zip(*rows)):
            arrays[f"{part}_{key}"] = np.concatenate(column).astype(np.uint32 if key == "t" else np.uint8)
        arrays[f"{part}_offsets"], arrays[f"{part}_label"] = np.arange(n + 1) * 50, np.arange(n) % 2
    np.savez(tmp_path / "few.npz", **arrays)
    made = data.nmnist(tmp_path / "few.npz", binary=False)
    assert made.train[0].shape == (18, 30, 2, 34, 34) and (made.test[0][:].sum(axis=(1, 2, 3, 4)) == 50).all()
    pooled = data.packed_events(tmp_path / "few.npz", (34, 34), pool=2, binary=False)
    np.testing.assert_array_equal(pooled.test[0][:], made.test[0][:].reshape(6, 30, 2, 17, 2, 17, 2).sum(axis=(4, 6)))
    arrays["test_label"] = arrays["test_label"][:3]
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(FileFormatError, match="do not belong together"):
        data.nmnist(tmp_path / "odd.npz")


def aedat_bytes(t, x, y, p, per=60):
    """A recording in packets, with a packet of another kind and an event that is not valid between them."""
    out = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    for first in range(0, len(t), per):
        part = slice(first, first + per)
        over = int(t[part][0] >> 31)
        rows = np.stack([(x[part] << 17) | (y[part] << 2) | (p[part] << 1) | 1, t[part] - (over << 31)], axis=1).astype("<u4")
        rows = np.concatenate([rows, [[(5 << 17) | (5 << 2), 7]]]).astype("<u4")
        out += struct.pack("<HHIIIIII", 1, 0, 8, 4, over, len(rows), len(rows), len(rows) - 1) + rows.tobytes()
        out += struct.pack("<HHIIIIII", 0, 0, 4, 4, 0, 2, 2, 2) + b"8 bytes!"
    return out


def test_gestures_are_read(tmp_path, rng):
    for person in range(6):
        t, x, y, p = camera_events(rng, 300, 128)
        t = t * 4
        (tmp_path / f"user0{person}_led.aedat").write_bytes(aedat_bytes(t, x, y, p))
        rows = ["class,startTime_usec,endTime_usec", "1,0,500000", "11,500000,1300000"]
        (tmp_path / f"user0{person}_led_labels.csv").write_text("\n".join(rows))
    (tmp_path / "trials_to_train.txt").write_text("\n".join(f"user0{k}_led.aedat" for k in range(4)) + "\n")
    (tmp_path / "trials_to_test.txt").write_text("user04_led.aedat\nuser05_led.aedat\n")
    found = events.aedat((tmp_path / "user05_led.aedat").read_bytes())
    for got, put in zip(found, (t, x, y, p)):
        np.testing.assert_array_equal(got, put)
    made = data.dvs_gesture(tmp_path, validation=1, binary=False, steps=50, dt=10.0)
    assert [len(targets) for _, (_, targets) in made.parts()] == [6, 2, 4] and made.train[0].shape[1:] == (50, 2, 32, 32)
    assert made.groups[2] == ("user04", "user05") and made.test[1].tolist() == [0, 10, 0, 10]
    second = (t >= 500_000) & (t < 1_000_000)
    plain = np.zeros((50, 2, 32, 32), int)
    np.add.at(plain, ((t[second] - 500_000) // 10_000, p[second], y[second] // 4, x[second] // 4), 1)
    np.testing.assert_array_equal(made.test[0][3], plain)
    wrapped = t + 2**31 - 600_000
    half = np.searchsorted(wrapped, 2**31)
    content = aedat_bytes(wrapped[:half], x[:half], y[:half], p[:half]) + aedat_bytes(
        wrapped[half:], x[half:], y[half:], p[half:]).partition(b"#!END-HEADER\r\n")[2]
    np.testing.assert_array_equal(events.aedat(content).t, wrapped)
    with pytest.raises(FileFormatError, match="damaged, or cut short"):
        events.aedat(content[:-3])
    with pytest.raises(FileFormatError, match="does not begin"):
        events.aedat(b"RIFF")
    (tmp_path / "user00_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n12,0,5")
    with pytest.raises(FileFormatError, match="class 12 is not from 1 to 11"):
        data.dvs_gesture(tmp_path)


