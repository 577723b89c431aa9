"""The .nsim format: what is written comes back, and nothing else ever comes out."""

import json
import os
import pickle
import resource
import signal
import string
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurosim import store
from neurosim.errors import FileFormatError, ParameterError

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


def arrays():
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


NAMES = st.text(string.ascii_letters + string.digits + "_ é/", min_size=1, max_size=10)
KINDS = NAMES.filter(lambda kind: kind not in ("header", "end"))
METADATA = st.dictionaries(st.text(max_size=8), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8), max_size=4)
FRAMES = st.lists(st.tuples(KINDS, METADATA, st.dictionaries(NAMES, arrays(), max_size=3)), max_size=4)


def same(frame, other):
    return (frame[0] == other[0] and frame[1] == other[1] and frame[2].keys() == other[2].keys()
            and all(frame[2][name].dtype == other[2][name].dtype and frame[2][name].shape == other[2][name].shape
                    and frame[2][name].tobytes() == other[2][name].tobytes() for name in frame[2]))


def written(path, frames=3, close=True):
    """A file with that many frames, and what was written."""
    content = [("spikes", {"population": "exc", "n": k}, {"times": np.arange(k + 1.0), "ids": np.arange(k, dtype=np.int32)})
               for k in range(frames)]
    writer = store.StreamWriter(path, {"content": "stream"})
    for kind, meta, data in content:
        writer.write(kind, meta, **data)
    writer.close() if close else writer.abandon()
    return content


def frame_bytes(text, data=b"", length=None):
    """A frame of a forger who knows the format."""
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    text += b" " * (-len(text) % 8)
    head = struct.pack("<4sIQI", b"FRAM", len(text), len(data) if length is None else length, zlib.crc32(text + data))
    return head + struct.pack("<I", zlib.crc32(head)) + text + data


def forged(path, *frames):
    start = store.MAGIC + struct.pack("<II", 1, 0)
    header = frame_bytes({"kind": "header", "meta": {}, "arrays": []})
    path.write_bytes(start + header + b"".join(frames))
    return path


# ----------------------------------------------------------------------------------------- roundtrip


@given(header=METADATA, frames=FRAMES)
def test_what_is_written_comes_back(tmp_path_factory, header, frames):
    path = tmp_path_factory.mktemp("store") / "a.nsim"
    store.write_all(path, header, frames)
    back_header, back = store.read_all(path)
    assert back_header == header
    assert len(back) == len(frames)
    assert all(same(frame, other) for frame, other in zip(frames, back))


def test_numpy_values_and_paths_become_json(tmp_path):
    meta = {"a": np.float32(0.5), "b": np.int64(3), "c": np.arange(3), "d": tmp_path, "e": np.bool_(True), "f": (1, 2)}
    store.write_all(tmp_path / "a.nsim", meta, [])
    assert store.read(tmp_path / "a.nsim").header == {
        "a": 0.5, "b": 3, "c": [0, 1, 2], "d": str(tmp_path), "e": True, "f": [1, 2]}


def test_foreign_byte_orders_and_layouts_are_normalised(tmp_path):
    big, columns = np.arange(6, dtype=">f8"), np.asfortranarray(np.arange(6).reshape(2, 3))
    store.write_all(tmp_path / "a.nsim", {}, [("x", {}, {"big": big, "columns": columns, "view": big[::2]})])
    back = store.read_all(tmp_path / "a.nsim")[1][0].arrays
    assert np.array_equal(back["big"], big) and back["big"].dtype == np.dtype("<f8")
    assert np.array_equal(back["columns"], columns) and back["columns"].flags.c_contiguous
    assert np.array_equal(back["view"], [0, 2, 4])


@pytest.mark.parametrize("bad", [np.array([object()]), np.array(["text"]), np.zeros(2, "complex128"),
                                 np.zeros(2, "float16"), np.zeros(2, "datetime64[s]"), np.zeros(2, "i4,f8")])
def test_other_dtypes_are_refused_when_written(tmp_path, bad):
    with store.StreamWriter(tmp_path / "a.nsim", {}) as writer, pytest.raises(ParameterError, match="dtype"):
        writer.write("x", {}, bad=bad)


@pytest.mark.parametrize("meta", [{"x": object()}, {"x": {1, 2}}, {"x": b"bytes"}])
def test_other_metadata_is_refused_when_written(tmp_path, meta):
    with store.StreamWriter(tmp_path / "a.nsim", {}) as writer:
        with pytest.raises(ParameterError, match="must be numbers, text"):
            writer.write("x", meta)
        writer.write("y", {})
    assert [frame.kind for frame in store.read(tmp_path / "a.nsim")] == ["y"]


def test_what_could_not_be_read_is_not_written(tmp_path):
    deep = {}
    for _ in range(40):
        deep = {"x": deep}
    with pytest.raises(ParameterError, match="nested"):
        store.StreamWriter(tmp_path / "a.nsim", deep)
    assert not (tmp_path / "a.nsim").exists()


@pytest.mark.parametrize("kind", ["header", "end", "", 3])
def test_reserved_kinds_are_refused(tmp_path, kind):
    with store.StreamWriter(tmp_path / "a.nsim", {}) as writer, pytest.raises(ParameterError, match="kind"):
        writer.write(kind)


# ------------------------------------------------------------------------------------- truncation, damage


def test_a_file_cut_anywhere_gives_its_whole_frames_or_an_error(tmp_path):
    content = written(tmp_path / "whole.nsim")
    data = (tmp_path / "whole.nsim").read_bytes()
    seen = set()
    for n in range(len(data)):
        path = tmp_path / "cut.nsim"
        path.write_bytes(data[:n])
        try:
            reader = store.read(path)
        except FileFormatError:
            assert not seen  # only before the header is complete
            continue
        frames = list(reader)
        assert not reader.complete
        assert all(same(frame, wanted) for frame, wanted in zip(frames, content, strict=False))
        seen.add(len(frames))
        with pytest.raises(FileFormatError, match="truncated"):
            store.read_all(path)
    assert seen == {0, 1, 2, 3}
    assert store.read(tmp_path / "whole.nsim").complete


def test_every_flipped_byte_is_noticed(tmp_path):
    content = written(tmp_path / "whole.nsim", frames=2)
    data = bytearray((tmp_path / "whole.nsim").read_bytes())
    path = tmp_path / "flipped.nsim"
    refused = 0
    for n in range(len(data)):
        flipped = bytearray(data)
        flipped[n] ^= 0xFF
        path.write_bytes(flipped)
        with pytest.raises(FileFormatError):
            store.read_all(path)
        try:
            frames = list(store.read(path))
        except FileFormatError:
            refused += 1
        else:  # the end frame itself was hit: what comes before it is whole
            assert all(same(frame, wanted) for frame, wanted in zip(frames, content, strict=True))
    assert refused > 0.7 * len(data)


@given(data=st.data())
def test_random_damage_never_gives_wrong_frames(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("store") / "a.nsim"
    content = written(path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[:data.draw(st.integers(0, len(raw)))])
    try:
        frames = list(store.read(path))
    except FileFormatError:
        return
    assert all(same(frame, wanted) for frame, wanted in zip(frames, content, strict=False))


def test_a_tail_of_zeros_is_a_truncated_tail(tmp_path):
    """As a power cut leaves it where the length of a file is saved before its data."""
    content = written(tmp_path / "a.nsim", close=False)
    with open(tmp_path / "a.nsim", "ab") as file:
        file.write(bytes(5000))
    reader = store.read(tmp_path / "a.nsim")
    assert not reader.complete
    assert len(list(reader)) == len(content)


def test_a_torn_last_frame_is_left_out_but_a_torn_middle_is_an_error(tmp_path):
    content = written(tmp_path / "a.nsim", close=False)
    data = bytearray((tmp_path / "a.nsim").read_bytes())
    last = data.rindex(b"FRAM")
    torn = data[:last + 24] + bytes(len(data) - last - 24)
    (tmp_path / "a.nsim").write_bytes(torn)
    assert len(list(store.read(tmp_path / "a.nsim"))) == len(content) - 1
    (tmp_path / "b.nsim").write_bytes(torn + data[last:])
    with pytest.raises(FileFormatError, match="damaged at byte"):
        list(store.read(tmp_path / "b.nsim"))


# ------------------------------------------------------------------------------------ foreign and hostile files


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_foreign_files_are_refused_and_nothing_runs(tmp_path):
    trap = tmp_path / "executed"
    (tmp_path / "pickle").write_bytes(pickle.dumps(Trap(trap)))
    np.save(tmp_path / "objects.npy", np.array([Trap(trap)], dtype=object), allow_pickle=True)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello, I am not a simulation")
    (tmp_path / "magic").write_bytes(store.MAGIC)
    (tmp_path / "newer").write_bytes(store.MAGIC + struct.pack("<II", 99, 0))
    names = ("pickle", "objects.npy", "empty", "text", "magic", "newer", "missing", ".")
    for name in names:
        with pytest.raises(FileFormatError, match=str(tmp_path)):
            store.read(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize("frame", [
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "|O", [1]]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<c16", [1]]]}, bytes(16)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "i4,f8", [1]]]}, bytes(16)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [10**12]]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [-1]]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [1.0]]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [True]]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [0, 2**62, 2**62]]]}),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [1] * 40]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "<f8", [1]], ["a", "<f8", [1]]]}, bytes(16)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a", "|b1", [1]]]}, b"\x07" + bytes(7)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [["a"]]}),
    frame_bytes({"kind": "x", "meta": {}, "arrays": [[["a"], "<f8", [1]]]}, bytes(8)),
    frame_bytes({"kind": "x", "meta": {}, "arrays": {}}),
    frame_bytes({"kind": 3, "meta": {}, "arrays": []}),
    frame_bytes({"kind": "header", "meta": {}, "arrays": []}),
    frame_bytes({"meta": {}}),
    frame_bytes([1, 2]),
    frame_bytes(b"{nonsense"),
    frame_bytes(b"\xff\xfe"),
    frame_bytes(b'{"kind": "x", "meta": ' + b"[" * 100_000),
    frame_bytes(b'{"kind": "x", "arrays": [], "meta": ' + b'{"a":' * 100 + b"1" + b"}" * 101),
    frame_bytes(b'{"kind": "x", "arrays": [], "meta": {"a": ' + b"9" * 10_000 + b"}}"),
])
def test_frames_with_a_valid_checksum_but_a_hostile_content_are_refused(tmp_path, frame):
    path = forged(tmp_path / "a.nsim", frame, frame_bytes({"kind": "end", "meta": {"frames": 2}, "arrays": []}))
    with pytest.raises(FileFormatError, match="damaged"):
        store.read_all(path)


def test_an_announced_size_is_checked_before_memory_is_asked_for(tmp_path):
    """Under a limit on memory, so that an allocation of 10 TB would fail loudly."""
    text = {"kind": "x", "meta": {}, "arrays": [["a", "<f8", [10**13 // 8]]]}
    path = forged(tmp_path / "a.nsim", frame_bytes(text, length=10**13))
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (10**12, before[1]))
    try:
        reader = store.read(path)
        assert list(reader) == [] and not reader.complete
        with pytest.raises(FileFormatError):
            store.read_all(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_the_end_counts_the_frames(tmp_path):
    end = {"kind": "end", "meta": {"frames": 5}, "arrays": []}
    with pytest.raises(FileFormatError, match="counts 5 frames, not 1"):
        store.read(forged(tmp_path / "a.nsim", frame_bytes(end)))
    written(tmp_path / "b.nsim")
    with open(tmp_path / "b.nsim", "ab") as file:
        file.write(b"more")
    with pytest.raises(FileFormatError):
        store.read_all(tmp_path / "b.nsim")


# ------------------------------------------------------------------------------------------- writing


def test_a_path_that_cannot_be_written_is_named_at_once(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("precious")
    cases = {"missing/a.nsim": "No such file", "folder": "not a file", "notes.txt": "not an .nsim file"}
    for name, reason in cases.items():
        for write in (lambda p: store.StreamWriter(p, {}), lambda p: store.write_all(p, {}, [])):
            with pytest.raises(FileFormatError, match=reason) as caught:
                write(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)
    assert (tmp_path / "notes.txt").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["folder", "notes.txt"]


def test_only_our_own_files_are_replaced_and_only_if_wanted(tmp_path):
    path = tmp_path / "a.nsim"
    written(path, frames=3)
    for write in (lambda: store.StreamWriter(path, {}, overwrite=False),
                  lambda: store.write_all(path, {}, [], overwrite=False)):
        with pytest.raises(FileFormatError, match="overwrite=False"):
            write()
    assert len(list(store.read(path))) == 3
    written(path, frames=1)
    assert len(list(store.read(path))) == 1
    path.write_bytes(b"")  # an empty file holds nothing that could be lost
    written(path, frames=2)
    assert len(list(store.read(path))) == 2


def test_a_second_writer_does_not_mix_with_the_first(tmp_path):
    first = store.StreamWriter(tmp_path / "a.nsim", {"who": 1})
    second = store.StreamWriter(tmp_path / "a.nsim", {"who": 2})
    first.write("x")
    second.write("y")
    first.close()
    second.close()
    header, frames = store.read_all(tmp_path / "a.nsim")
    assert header == {"who": 2}
    assert [frame.kind for frame in frames] == ["y"]


def test_write_all_keeps_the_older_file_when_it_fails(tmp_path):
    path = tmp_path / "state.nsim"
    store.write_all(path, {"n": 1}, [])

    def failing():
        yield "x", {}, {"a": np.zeros(3)}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write_all(path, {"n": 2}, failing())
    assert store.read_all(path)[0] == {"n": 1}
    assert os.listdir(tmp_path) == ["state.nsim"]


def test_read_all_names_the_content_it_wants(tmp_path):
    store.write_all(tmp_path / "a.nsim", {"content": "state"}, [])
    assert store.read_all(tmp_path / "a.nsim", content="state")[1] == []
    with pytest.raises(FileFormatError, match="must hold a result, got a state"):
        store.read_all(tmp_path / "a.nsim", content="result")


def test_an_exception_leaves_a_file_that_counts_as_truncated(tmp_path):
    with pytest.raises(ZeroDivisionError), store.StreamWriter(tmp_path / "a.nsim", {}) as writer:
        writer.write("x")
        raise ZeroDivisionError
    reader = store.read(tmp_path / "a.nsim")
    assert not reader.complete
    assert [frame.kind for frame in reader] == ["x"]
    with pytest.raises(FileFormatError, match="closed"):
        writer.write("y")
    writer.close()


def test_an_interrupt_inside_a_write_leaves_no_half_frame(tmp_path):
    writer = store.StreamWriter(tmp_path / "a.nsim", {})
    writer.write("before")

    class Interrupting(bytes):
        def __len__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer._put([b"half a frame", Interrupting(b"x")])
    writer.write("after")
    writer.close()
    frames = store.read_all(tmp_path / "a.nsim")[1]
    assert [frame.kind for frame in frames] == ["before", "after"]


RUN_FULL = """
import resource, sys, numpy as np
from neurosim import store
from neurosim.errors import FileFormatError
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
writer = store.StreamWriter(sys.argv[1], {})
try:
    for k in range(100):
        writer.write("x", {"k": k}, a=np.full(10_000, k))
    print("no error")
except FileFormatError as error:
    print(error)
"""

RUN_KILLED = """
import sys, time, numpy as np
from neurosim import store
writer = store.StreamWriter(sys.argv[1], {"content": "stream"})
for k in range(10**9):
    writer.write("x", {"k": k}, a=np.full(1000, k))
    writer.flush()
    if k == 50:
        print("ready", flush=True)
"""


def test_a_full_disk_is_told_and_the_frames_before_it_are_kept(tmp_path):
    path = tmp_path / "a.nsim"
    done = subprocess.run([sys.executable, "-c", RUN_FULL, str(path)], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stdout.startswith(f"cannot write {path}: File too large")
    frames = list(store.read(path))
    assert len(frames) >= 20
    assert all((frame.arrays["a"] == k).all() for k, frame in enumerate(frames))


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_writer_leaves_all_that_it_flushed(tmp_path):
    path = tmp_path / "a.nsim"
    with subprocess.Popen([sys.executable, "-c", RUN_KILLED, str(path)], stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        assert process.stdout.readline() == b"ready\n"
        alive = list(store.read(path))  # a stream can be read while it is written
        process.send_signal(signal.SIGKILL)
    reader = store.read(path)
    frames = list(reader)
    assert len(frames) >= len(alive) >= 51
    assert not reader.complete
    assert all(frame.meta == {"k": k} and (frame.arrays["a"] == k).all() for k, frame in enumerate(frames))


