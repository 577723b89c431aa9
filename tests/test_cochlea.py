"""The cochlea: filters where they should be, spikes that follow the sound; and digits that are spoken."""

import io
import wave

import numpy as np
import pytest

from neurosim import data
from neurosim.data import cochlea, speech
from neurosim.errors import FileFormatError, ParameterError

RATE = 8000


def tone(frequency, seconds=0.3, amplitude=0.1):
    t = np.arange(int(RATE * seconds)) / RATE
    return amplitude * np.sin(2 * np.pi * frequency * t)


def wav(sound, rate=RATE):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.rint(32767 * np.asarray(sound)).astype("<i2").tobytes())
    return content.getvalue()


def test_channels_answer_to_their_frequency_with_gain_one():
    ear = data.Cochlea()
    assert ear.frequencies[0] == pytest.approx(100.0) and ear.frequencies[-1] == pytest.approx(3600.0)
    for channel in (2, 12, 25, 37):
        heard = ear.filtered(tone(ear.frequencies[channel], amplitude=1.0))[:, RATE // 10: -RATE // 20]
        level = np.sqrt(2.0) * heard.std(axis=1)
        assert level.argmax() == channel and level[channel] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("channel", [8, 20, 33])
def test_the_filter_is_a_gammatone(channel):
    """Gain off the centre, and envelope t^3 exp(-2 pi b t) of the impulse response."""
    ear = data.Cochlea()
    centre = ear.frequencies[channel]
    b = 1.019 * cochlea.bandwidth(centre)
    heard = ear.filtered(tone(centre + b, amplitude=1.0, seconds=0.5))[channel, RATE // 8: -RATE // 8]
    assert np.sqrt(2.0) * heard.std() == pytest.approx(abs((1 + 1j) ** -4), rel=0.03)
    impulse = np.zeros(RATE // 8)
    impulse[80] = 1.0
    response = ear.filtered(impulse)[channel]
    assert np.abs(response[:78]).max() < 0.05 * np.abs(response).max(), "causal, but for the negative frequencies left out"
    t = np.arange(len(response) - 80) / RATE
    envelope = t**3 * np.exp(-2 * np.pi * b * t)
    exact = envelope * np.cos(2 * np.pi * centre * t)
    ours = response[80:]
    assert np.corrcoef(ours, exact)[0, 1] > 0.99
    ours, exact = (np.abs(np.fft.rfft(one)) / np.abs(np.fft.rfft(one)).max() for one in (ours, exact))
    assert np.abs(ours - exact).max() < 0.03


@pytest.mark.needs("scipy")
@pytest.mark.parametrize("channel", [10, 22, 34])
def test_the_filter_is_close_to_that_of_scipy(channel, needs):
    signal = needs("scipy.signal")
    ear = data.Cochlea()
    centre = ear.frequencies[channel]
    numerator, denominator = signal.gammatone(centre, "iir", fs=RATE)
    f = np.linspace(centre - 3 * cochlea.bandwidth(centre), centre + 3 * cochlea.bandwidth(centre), 61)
    _, theirs = signal.freqz(numerator, denominator, f, fs=RATE)
    ours = (1 + 1j * (f - centre) / (1.019 * cochlea.bandwidth(centre))) ** -4
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=0.03)


def test_spikes_follow_place_and_loudness():
    ear = data.Cochlea()
    counts = [ear.spikes([tone(f)], 40, 8.0, binary=False)[0].sum(axis=0).astype(int) for f in ear.frequencies[[5, 20, 35]]]
    for count, channel in zip(counts, (5, 20, 35)):
        best = np.flatnonzero(count == count.max())
        assert abs(best.mean() - channel) <= 1 and count.max() > 10
        assert count[np.abs(np.arange(40) - channel) > 12].sum() < 0.1 * count.sum()
    loud = [ear.spikes([tone(1000, amplitude=a)], 40, 8.0, binary=False).sum(dtype=int) for a in (0.0, 0.001, 0.01, 0.1, 1.0)]
    assert loud[0] == 0 and (np.diff(loud) >= 0).all() and loud[1] < loud[3] < loud[4]


def test_spikes_are_of_the_shape_and_reproducible(rng):
    ear = data.Cochlea(channels=16)
    sounds = [0.1 * rng.standard_normal(n) for n in (800, 2400, 9000)]
    made = ear.spikes(sounds, 50, 4.0)
    assert made.shape == (3, 50, 16) and made.dtype == np.uint8 and made.max() == 1
    np.testing.assert_array_equal(made, ear.spikes(sounds, 50, 4.0))
    np.testing.assert_array_equal(made[1], ear.spikes([sounds[1]], 50, 4.0)[0], "a clip does not depend on its company")
    assert made[0, :25].sum() > 0 and made[0, 40:].sum() == 0, "silence after the clip"
    chance = ear.spikes(sounds, 50, 4.0, seed=1)
    np.testing.assert_array_equal(chance, ear.spikes(sounds, 50, 4.0, seed=1))
    assert (chance != ear.spikes(sounds, 50, 4.0, seed=2)).any() and (chance != made).any()
    counts = ear.spikes(sounds, 5, 40.0, binary=False)
    np.testing.assert_array_equal(counts, ear.spikes(sounds, 200, 1.0).reshape(3, 5, 40, 16).sum(axis=2))


def test_poisson_spikes_have_the_rate_that_was_asked_for():
    ear = data.Cochlea(channels=1, low=1000.0, high=1000.0, adaptation=0.0, refractory=0.0, peak=200.0)
    sound = tone(1000, seconds=20.0, amplitude=10 ** (-25 / 20))  # half way from the floor to 0 dB
    assert ear.drive(sound)[100:-100].mean() == pytest.approx(0.5, abs=0.03)
    spikes = ear.spikes([sound], 19_000, 1.0, seed=3)
    assert spikes[0, 500:].mean() * 1000 == pytest.approx(100.0, rel=0.1)


def test_adaptation_answers_to_the_onset_and_neurons_rest_after_a_spike():
    ear = data.Cochlea(adaptation=0.7, channels=8)
    counts = ear.spikes([tone(1000, seconds=0.6, amplitude=1.0)], 600, 1.0, binary=False)[0]
    assert counts[:100].sum() > 2 * counts[300:400].sum() > 0
    best = counts.sum(axis=0).argmax()
    assert np.diff(np.flatnonzero(counts[:, best])).min() >= ear.refractory


@pytest.mark.parametrize(("settings", "message"), [
    ({"channels": 0}, "channels"), ({"high": 4000.0}, "rate / 2 Hz"), ({"tau_m": 0.0}, r"tau_m must be > 0"), ({"floor": 3.0}, "floor"),
    ({"frame": 0.01}, "holds no sample"),
])
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ParameterError, match=message):
        data.Cochlea(**settings)


def test_bad_sounds_and_bins_are_named():
    with pytest.raises(ParameterError, match="finite pressures"):
        data.Cochlea().filtered([[1.0, 2.0]])
    with pytest.raises(ParameterError, match="whole number of frames"):
        data.Cochlea().spikes([[1.0]], 10, 1.5)


# ---------------------------------------------------------------------------------------- spoken digits


def voice(digit, take, rng):
    """A "word": two tones, the digit in their order and distance; silence around."""
    low, high = 300 + 120 * (digit % 5), 900 + 240 * (digit % 5)
    pair = (low, high) if digit < 5 else (high, low)
    sound = np.concatenate([np.zeros(300), tone(pair[0], 0.12), tone(pair[1], 0.12), np.zeros(500)])
    return sound * rng.uniform(0.5, 1.0) + 1e-4 * rng.standard_normal(len(sound))


@pytest.fixture
def recorded(tmp_path, rng):
    """Folder and npz of the same clips, in the two formats."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    rows = []
    for digit in range(10):
        for speaker in ("anna", "ben", "carl"):
            for take in (0, 5, 12):
                sound = voice(digit, take, rng)
                (folder / f"{digit}_{speaker}_{take}.wav").write_bytes(wav(sound))
                rows.append((digit, speaker, take, np.rint(32767 * sound).astype(np.int16)))
    rows.sort(key=lambda row: row[:3])
    np.savez(tmp_path / "packed.npz", audio=np.concatenate([row[3] for row in rows]), digit=np.array([row[0] for row in rows], np.uint8),
             offsets=np.cumsum([0] + [len(row[3]) for row in rows]), speaker=np.array([row[1] for row in rows]),
             take=np.array([row[2] for row in rows], np.uint8), rate=np.int64(RATE))
    return folder, tmp_path / "packed.npz"


def test_recorded_digits_are_read_from_both_formats(recorded):
    folder, packed = recorded
    ear = data.Cochlea(channels=12)
    made, same = (data.spoken(path, steps=40, cochlea=ear, seed=4) for path in recorded)
    assert made.train[0].shape == (30, 40, 12) and "real speech" in made.source and made.classes == 10
    assert len(set(sum(made.groups, ()))) == 3 and all(len(group) == 1 for group in made.groups)
    for one, two in zip(made.parts(), same.parts()):
        np.testing.assert_array_equal(one[1][0], two[1][0])
        np.testing.assert_array_equal(one[1][1], two[1][1])
    named = data.spoken(packed, steps=40, cochlea=ear, validation=["ben"], test=["anna"])
    assert named.groups == (("carl",), ("ben",), ("anna",))
    takes = data.spoken(packed, steps=40, cochlea=ear, split="take")
    assert [len(targets) for _, (_, targets) in takes.parts()] == [30, 30, 30] and takes.groups == ()


def test_spikes_tell_what_was_first(recorded):
    """Digits k and k + 5 are the same two tones, the low or the high one first."""
    ear = data.Cochlea(channels=24)
    made = data.spoken(recorded[1], steps=40, cochlea=ear, split="take")
    inputs, targets = made.test[0].astype(float), made.test[1]
    low = ear.frequencies < 850
    first, second = inputs[:, :15], inputs[:, 15:30]
    rises = first[:, :, low].sum(axis=(1, 2)) - second[:, :, low].sum(axis=(1, 2)) > 0
    np.testing.assert_array_equal(rises, targets < 5)
    tones = inputs.sum(axis=1).reshape(10, 3, 24).sum(axis=1)
    for digit in range(5):
        assert np.corrcoef(tones[digit], tones[digit + 5])[0, 1] > 0.8


def test_clips_are_cut_and_made_equally_loud(rng):
    sound = np.concatenate([np.zeros(100), tone(500, 0.1), np.zeros(700)])
    for factor in (0.01, 1.0):
        clip = speech.even(factor * sound)
        assert 700 < len(clip) <= 800 and np.sqrt(np.mean(clip**2)) == pytest.approx(0.1, rel=1e-4)
    with pytest.raises(FileFormatError, match="silent"):
        speech.even(np.zeros(100))


@pytest.mark.parametrize("rate", [22050, 16000, 11025])
def test_resampling_keeps_a_tone(rate):
    t = np.arange(int(0.4 * rate)) / rate
    made = speech.resampled(np.sin(2 * np.pi * 700 * t), rate)
    pad = -(-rate // 20)
    expected = np.sin(2 * np.pi * 700 * (np.arange(len(made)) / RATE - pad / rate))
    inside = slice(900, 2700)
    np.testing.assert_allclose(made[inside], expected[inside], atol=0.02)
    lost = speech.resampled(np.sin(2 * np.pi * 5000 * t), rate) if rate > 12000 else np.zeros(4000)
    assert np.abs(lost[900:2700]).max() < 0.05


@pytest.fixture
def spoken_to(tmp_path, monkeypatch):
    """An espeak-ng of two tones, and an empty cache; what it was asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(speech, "VOICES", ("m1", "m2", "f1", "f2", "f3", "f4", "Andy", "Annie"))
    said = []

    def say(word, name, pitch, speed):
        said.append((word, name, pitch, speed))
        return wav(voice((speech._WORDS["en"] + speech._WORDS["de"]).index(word) % 10, 0, np.random.default_rng(pitch)))

    monkeypatch.setattr(speech, "_espeak", say)
    return said


def test_synthetic_voices_are_made_once_and_held_out(spoken_to):
    ear = data.Cochlea(channels=12)
    made = data.spoken(steps=40, cochlea=ear, clips=100, seed=2)
    assert len(spoken_to) == 160, "every voice says every digit equally often"
    assert {word for word, *_ in spoken_to} == set(speech._WORDS["en"])
    assert "synthetic speech" in made.source and sum(len(targets) for _, (_, targets) in made.parts()) == 160
    assert len(set(sum(made.groups, ()))) == 8 and [len(group) for group in made.groups] == [6, 1, 1]
    again = data.spoken(steps=40, cochlea=ear, clips=100, seed=2)
    assert len(spoken_to) == 160, "kept"
    np.testing.assert_array_equal(again.train[0], made.train[0])
    both = data.spoken(steps=40, cochlea=ear, clips=100, languages=("en", "de"), seed=2)
    assert both.classes == 20 and {name for _, name, *_ in spoken_to[160:] if name.startswith("de+")}


def test_a_missing_program_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(speech.shutil, "which", lambda name: None)
    with pytest.raises(FileFormatError, match="apt-get install espeak-ng"):
        data.spoken()


def test_bad_files_and_arguments_are_named(tmp_path, recorded):
    folder, packed = recorded
    for name in ("empty.npz", "nothing"):
        (tmp_path / "empty.npz").write_bytes(b"")
        with pytest.raises(FileFormatError, match="does not hold packed spoken digits"):
            data.spoken(tmp_path / name)
    (tmp_path / "none").mkdir()
    with pytest.raises(FileFormatError, match="no file like 7_name_12.wav"):
        data.spoken(tmp_path / "none")
    (folder / "3_anna_0.wav").write_bytes(b"RIFFx")
    with pytest.raises(FileFormatError, match="3_anna_0.wav is not a wav file"):
        data.spoken(folder)
    with pytest.raises(ParameterError, match="split must be"):
        data.spoken(split="take")
    with pytest.raises(ParameterError, match="Cochlea.rate is 16000"):
        data.spoken(packed, cochlea=data.Cochlea(rate=16000.0))
    with pytest.raises(ParameterError, match="languages"):
        data.spoken(languages=("fr",))
    with pytest.raises(ParameterError, match="no group 'zoe'"):
        data.spoken(packed, test=["zoe"])
