"""Results that stream to `out`: the same numbers, in little memory, and nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from collections import namedtuple

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from specvae.estimators import (
    AdversarialAutoencoder,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralSimulator,
    SpectralVAE,
    _blocks,
    _stream,
)
from specvae.exceptions import SpectrumError
from specvae.preprocessing import MedianNormalizer, PixelMasker
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid, write_spectra
from specvae.spectra import _part as part_module

N_SPECTRA, N_PIXELS = 23, 40
GRID = WavelengthGrid(5000.0, 0.5, N_PIXELS)
FLUX = np.random.default_rng(0).uniform(0.5, 1.5, (N_SPECTRA, N_PIXELS)).astype(np.float32)
FLUX[:, 3] = np.nan  # in no spectrum
FLUX[4, 10:20] = np.nan
LABELS = np.random.default_rng(1).normal(size=(N_SPECTRA, 2))
SMALL = {
    "max_epochs": 1,
    "random_state": 0,
    "device": "cpu",
    "grid": GRID,
    "validation_fraction": 0.0,
}


def dense(**changes):
    return {"encoder": "dense", "decoder": "dense", **SMALL, **changes}


@pytest.fixture(scope="module")
def autoencoder():
    return SpectralAutoencoder(2, **dense()).fit(FLUX)


@pytest.fixture(scope="module")
def vae():
    return SpectralVAE(2, **dense(kl_weight=1e-6)).fit(FLUX)


@pytest.fixture(scope="module")
def semi():
    return SemiSupervisedVAE(1, **dense()).fit(FLUX, LABELS)


@pytest.fixture(scope="module")
def adversarial():
    return AdversarialAutoencoder(2, **dense()).fit(FLUX, conditions=LABELS)


@pytest.fixture(scope="module")
def simulator():
    return SpectralSimulator(decoder="dense", **SMALL).fit(LABELS, FLUX)


@pytest.fixture(autouse=True)
def five_rows_at_a_time(monkeypatch):
    """Blocks of five spectra, so that there are several."""

    def blocks(n_rows, n_pixels):
        return [np.arange(start, min(start + 5, n_rows)) for start in range(0, n_rows, 5)]

    monkeypatch.setattr(_blocks, "row_blocks", blocks)


CODES = {
    "autoencoder.transform": lambda get, **out: get("autoencoder").transform(FLUX, **out),
    "vae.transform": lambda get, **out: get("vae").transform(FLUX, **out),
    "semi.transform": lambda get, **out: get("semi").transform(FLUX, **out),
    "adversarial.transform": lambda get, **out: get("adversarial").transform(
        FLUX, conditions=LABELS, **out
    ),
}
DECODED = {
    "autoencoder.inverse_transform": lambda get, **out: get("autoencoder").inverse_transform(
        LABELS, **out
    ),
    "autoencoder.reconstruct": lambda get, **out: get("autoencoder").reconstruct(FLUX, **out),
    "vae.inverse_transform": lambda get, **out: get("vae").inverse_transform(LABELS, **out),
    "vae.sample": lambda get, **out: get("vae").sample(17, random_state=3, **out),
    "semi.generate": lambda get, **out: get("semi").generate(LABELS, 2, random_state=3, **out),
    "semi.intervene": lambda get, **out: get("semi").intervene(FLUX, 1, 0.5, **out),
    "semi.reconstruct": lambda get, **out: get("semi").reconstruct(FLUX, **out),
    "adversarial.decode": lambda get, **out: get("adversarial").decode(LABELS, LABELS, **out),
    "adversarial.reconstruct": lambda get, **out: get("adversarial").reconstruct(
        FLUX, conditions=LABELS, **out
    ),
    "simulator.predict": lambda get, **out: get("simulator").predict(LABELS, **out),
}


@pytest.fixture
def get(request):
    return request.getfixturevalue


@pytest.mark.parametrize("name", [*CODES, *DECODED])
def test_an_array_is_filled_and_returned(name, get, tmp_path):
    call = {**CODES, **DECODED}[name]
    expected = call(get)
    for dtype in (np.float32, np.float64):
        out = np.full(expected.shape, -1.0, dtype=dtype)
        assert call(get, out=out) is out
        np.testing.assert_array_equal(out, expected)
    mapped = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, expected.shape)
    assert call(get, out=mapped) is mapped
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


@pytest.mark.parametrize("name", CODES)
def test_codes_go_to_a_file(name, get, tmp_path):
    path = tmp_path / "codes.npy"
    codes = CODES[name](get, out=str(path))
    assert isinstance(codes, np.memmap) and not codes.flags.writeable
    np.testing.assert_array_equal(np.load(path), CODES[name](get))
    assert [each.name for each in tmp_path.iterdir()] == ["codes.npy"]


@pytest.mark.parametrize("name", DECODED)
def test_flux_goes_to_a_store(name, get, tmp_path):
    spectra = DECODED[name](get, out=tmp_path / "flux.npy")
    assert isinstance(spectra, SpectraArray) and spectra.grid == GRID
    np.testing.assert_array_equal(spectra.to_numpy(), DECODED[name](get))
    opened = SpectraArray.open(tmp_path / "flux.npy")
    np.testing.assert_array_equal(opened.to_numpy(), spectra.to_numpy())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["flux.json", "flux.npy"]


def test_data_sets_of_hdf5_and_zarr_are_filled(autoencoder, tmp_path):
    codes, flux = autoencoder.transform(FLUX), autoencoder.reconstruct(FLUX)
    with h5py.File(tmp_path / "codes.h5", "w") as file:
        out = file.create_dataset("codes", codes.shape, "f4")
        assert autoencoder.transform(FLUX, out=out) is out
        np.testing.assert_array_equal(out[:], codes)
    array = zarr.create_array(
        tmp_path / "flux.zarr", shape=flux.shape, dtype="f4", chunks=(1, N_PIXELS)
    )
    assert autoencoder.reconstruct(FLUX, out=array) is array
    np.testing.assert_array_equal(array[:], flux)


def test_codes_and_deviations_go_to_a_pair(vae, tmp_path):
    codes, std = vae.transform(FLUX, return_std=True)
    out = np.empty_like(codes), tmp_path / "std.npy"
    streamed = vae.transform(FLUX, return_std=True, out=out)
    assert streamed[0] is out[0]
    np.testing.assert_array_equal(out[0], codes)
    np.testing.assert_array_equal(np.load(tmp_path / "std.npy"), std)
    with pytest.raises(ValueError, match=r"out must be a pair with return_std"):
        vae.transform(FLUX, return_std=True, out=out[0])


def test_of_two_files_neither_gets_its_name_without_the_other(vae, tmp_path):
    (tmp_path / "std.npy").write_bytes(b"older")
    with pytest.raises(FileExistsError):
        vae.transform(FLUX, return_std=True, out=(tmp_path / "codes.npy", tmp_path / "std.npy"))
    assert [each.name for each in tmp_path.iterdir()] == ["std.npy"]


def test_a_table_comes_back_where_it_is_asked_for(tmp_path):
    named = SpectralAutoencoder(2, **dense()).set_output(transform="pandas").fit(FLUX)
    expected = SpectralAutoencoder(2, **dense()).fit(FLUX).transform(FLUX)
    out = np.empty((N_SPECTRA, 2))
    table = named.transform(FLUX, out=out)
    assert list(table.columns) == ["latent0", "latent1"]
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(table, expected)
    table = named.transform(SpectraArray(FLUX), out=tmp_path / "codes.npy")
    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


def test_a_pipeline_hands_out_on_where_it_is_requested(tmp_path):
    with config_context(enable_metadata_routing=True):
        coder = SpectralAutoencoder(2, **dense()).set_transform_request(out=True)
        pipeline = make_pipeline(MedianNormalizer(), coder).fit(FLUX)
        codes = pipeline.transform(FLUX, out=tmp_path / "codes.npy")
    assert isinstance(codes, np.memmap)
    np.testing.assert_array_equal(codes, coder.transform(MedianNormalizer().transform(FLUX)))


class Counted:
    """A store that notes how many rows are asked for at once."""

    shape, dtype = FLUX.shape, FLUX.dtype

    def __init__(self):
        self.asked = []

    def __getitem__(self, rows):
        self.asked.append(len(rows))
        return FLUX[rows]


LAZY = {
    "autoencoder.transform": lambda get, X, out: get("autoencoder").transform(X, out=out),
    "autoencoder.reconstruct": lambda get, X, out: get("autoencoder").reconstruct(X, out=out),
    "semi.intervene": lambda get, X, out: get("semi").intervene(X, 1, 0.5, out=out),
    "adversarial.reconstruct": lambda get, X, out: get("adversarial").reconstruct(
        X, conditions=LABELS, out=out
    ),
}


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_matrix_is_read_once_and_written_as_it_is_read(name, get):
    class Watched(Counted):
        """Notes how many rows are filled whenever rows are asked for."""

        def __getitem__(self, rows):
            filled.append(int((out[:, 0] != -7.0).sum()))
            return super().__getitem__(rows)

    store, filled = Watched(), []
    out = np.full((N_SPECTRA, 2 if name.endswith("transform") else N_PIXELS), -7.0, np.float32)
    LAZY[name](get, SpectraArray(store, grid=GRID), out)
    assert store.asked == [5, 5, 5, 5, 3]
    # While a block is computed the next two are read; all before it are in their place.
    assert all(n_rows >= 5 * (number - 2) for number, n_rows in enumerate(filled))
    assert filled[-1] < N_SPECTRA and not (out[:, 0] == -7.0).any()


def test_flux_of_a_store_comes_row_block_by_row_block(autoencoder, tmp_path):
    store = Counted()
    spectra = autoencoder.reconstruct(SpectraArray(store, grid=GRID), out=tmp_path / "flux.npy")
    compared, *read = store.asked  # first the rows by which the input is known again
    assert compared == N_SPECTRA and read == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(spectra.to_numpy(), autoencoder.reconstruct(FLUX))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((N_SPECTRA, 3)), ValueError, r"out has shape \(23, 3\); wanted is \(23, 2\)"),
        (np.empty((N_SPECTRA, 2), int), ValueError, r"out holds int64; wanted are floats"),
        ([[0.0, 0.0]] * N_SPECTRA, TypeError, r"out must be an array or the name .* got list"),
        (SpectraArray(FLUX[:, :2]), TypeError, r"out must be an array .* got SpectraArray"),
        ("codes.dat", ValueError, r"out must be an array or the name of a .npy file"),
        ("nowhere/codes.npy", FileNotFoundError, r"the folder for out does not exist; create it"),
    ],
)
def test_what_cannot_be_filled_is_refused(autoencoder, out, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        autoencoder.transform(FLUX, out=out)
    assert list(tmp_path.iterdir()) == []


OVERLAPPING = {
    "one array twice": lambda: (lambda out: (out, out))(np.empty((N_SPECTRA, 2))),
    "rows of one array": lambda: (lambda out: (out[1:], out[:-1]))(np.empty((N_SPECTRA + 1, 2))),
}


@pytest.mark.parametrize("name", OVERLAPPING)
def test_parts_that_would_overwrite_each_other_are_refused(name, vae, monkeypatch):
    Failing(monkeypatch, 0, AssertionError("nothing is to be read"))
    with pytest.raises(ValueError, match="two arrays of out share memory; give each part"):
        vae.transform(FLUX, return_std=True, out=OVERLAPPING[name]())


def test_columns_of_one_array_are_filled(vae):
    table = np.empty((N_SPECTRA, 4), dtype=np.float32)
    vae.transform(FLUX, return_std=True, out=(table[:, :2], table[:, 2:]))
    np.testing.assert_array_equal(table, np.hstack(vae.transform(FLUX, return_std=True)))


def test_one_file_for_two_parts_is_refused(vae, tmp_path, monkeypatch):
    Failing(monkeypatch, 0, AssertionError("nothing is to be read"))
    (tmp_path / "folder").mkdir()
    out = tmp_path / "codes.npy", tmp_path / "folder" / ".." / "codes.npy"
    with pytest.raises(ValueError, match=r"out names the file '.*codes.npy' twice; give each"):
        vae.transform(FLUX, return_std=True, out=out)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_what_is_read_is_not_overwritten(autoencoder, get, tmp_path):
    flux, codes = FLUX.copy(), np.zeros((N_SPECTRA, 2), dtype=np.float32)
    shared = r"out shares memory with what it is computed from, .* give a new array"
    with pytest.raises(ValueError, match=shared):
        autoencoder.reconstruct(flux, out=flux)
    with pytest.raises(ValueError, match=shared):
        autoencoder.reconstruct(SpectraArray(flux, grid=GRID)[1:], out=flux[:-1])
    with pytest.raises(ValueError, match=shared):
        autoencoder.transform(flux, out=flux[:, :2])
    with pytest.raises(ValueError, match=shared):
        get("semi").intervene(flux, 1, 0.5, out=flux)
    wide = np.zeros((N_SPECTRA, N_PIXELS), dtype=np.float32)
    with pytest.raises(ValueError, match=shared):
        autoencoder.inverse_transform(wide[:, :2], out=wide)
    np.testing.assert_array_equal(flux, FLUX)
    assert autoencoder.transform(FLUX, out=codes) is codes


def test_a_tensor_is_refused(autoencoder):
    wanted = r"out must be an array .* got Tensor; give its array, out.numpy\(\)"
    with pytest.raises(TypeError, match=wanted):
        autoencoder.transform(FLUX, out=torch.empty(N_SPECTRA, 2))


def test_what_is_read_only_or_too_coarse_is_refused(autoencoder):
    fixed = np.empty((N_SPECTRA, 2))
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"out is read-only; open its file with mode 'r\+'"):
        autoencoder.transform(FLUX, out=fixed)
    half = np.empty((N_SPECTRA, N_PIXELS), dtype=np.float16)
    codes = 1e9 * np.ones((N_SPECTRA, 2))
    with pytest.raises(ValueError, match=r"out holds float16, which does not reach .* float32"):
        autoencoder.inverse_transform(codes, out=half)


@pytest.mark.parametrize("name", ["autoencoder.transform", "autoencoder.reconstruct"])
def test_an_existing_file_is_never_replaced(name, get, tmp_path):
    path = tmp_path / "out.npy"
    path.write_bytes(b"older")
    with pytest.raises(FileExistsError, match="delete it"):
        {**CODES, **DECODED}[name](get, out=path)
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["out.npy"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(vae, tmp_path, monkeypatch, has_links):
    codes, std = tmp_path / "codes.npy", tmp_path / "std.npy"

    def no_link(*names):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    complete = _stream._NpyFile.complete

    def late(target):
        std.write_bytes(b"other")
        complete(target)

    monkeypatch.setattr(_stream._NpyFile, "complete", late)
    if not has_links:
        monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(FileExistsError, match="appeared meanwhile and is not replaced"):
        vae.transform(FLUX, return_std=True, out=(codes, std))
    assert std.read_bytes() == b"other"
    assert [each.name for each in tmp_path.iterdir()] == ["std.npy"]


def test_a_file_gets_its_name_where_there_are_no_links(autoencoder, tmp_path, monkeypatch):
    def no_link(*names):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    codes = autoencoder.transform(FLUX, out=tmp_path / "codes.npy")
    np.testing.assert_array_equal(codes, autoencoder.transform(FLUX))
    assert [each.name for each in tmp_path.iterdir()] == ["codes.npy"]


def test_of_two_calls_for_one_file_the_first_to_end_has_it(autoencoder, tmp_path, monkeypatch):
    path, read, calls = tmp_path / "codes.npy", _blocks.read_flux, []

    def read_flux(X, rows):
        if rows[0] == 10 and not calls:
            calls.append(rows)
            autoencoder.transform(FLUX * 2.0, out=path)
        return read(X, rows)

    monkeypatch.setattr(_blocks, "read_flux", read_flux)
    with pytest.raises(FileExistsError, match="appeared meanwhile"):
        autoencoder.transform(FLUX, out=path)
    np.testing.assert_array_equal(np.load(path), autoencoder.transform(FLUX * 2.0))
    assert [each.name for each in tmp_path.iterdir()] == ["codes.npy"]


def test_a_half_written_store_is_not_replaced_by_codes(autoencoder, tmp_path):
    unfinished = b"{}\n"
    (tmp_path / "out.journal.part").write_bytes(unfinished)
    with pytest.raises(FileExistsError, match="half written"):
        autoencoder.transform(FLUX, out=tmp_path / "out.npy")
    assert (tmp_path / "out.journal.part").read_bytes() == unfinished


def test_a_store_needs_wavelengths(tmp_path):
    fitted = SpectralAutoencoder(2, **dense(grid=None)).fit(FLUX)
    with pytest.raises(ValueError, match=r"names a store of spectra, .* fit with a grid"):
        fitted.reconstruct(FLUX, out=tmp_path / "flux.npy")
    fitted.transform(FLUX, out=tmp_path / "codes.npy")  # codes have none


class Failing:
    """Lets some blocks pass, and then raises."""

    def __init__(self, monkeypatch, n_blocks, error):
        self.n_left, self.error, self.rows = n_blocks, error, []
        read = _blocks.read_flux

        def read_flux(X, rows):
            if self.n_left == 0:
                raise self.error
            self.n_left -= 1
            self.rows.extend(rows)
            return read(X, rows)

        monkeypatch.setattr(_blocks, "read_flux", read_flux)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.EIO, "spectrum 12 cannot be read")]
)
def test_interrupted_nothing_has_the_name_of_the_file(autoencoder, error, tmp_path, monkeypatch):
    Failing(monkeypatch, 2, error)
    with pytest.raises(type(error)) as raised:
        autoencoder.transform(FLUX, out=tmp_path / "codes.npy")
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []
    assert not torch.is_inference_mode_enabled()


def test_interrupted_a_store_goes_on_where_it_stopped(autoencoder, tmp_path, monkeypatch):
    X = SpectraArray(FLUX, grid=GRID)
    unbroken = autoencoder.reconstruct(X)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        Failing(broken, 3, KeyboardInterrupt())
        autoencoder.reconstruct(X, out=tmp_path / "flux.npy")
    assert not (tmp_path / "flux.npy").exists()
    going_on = Failing(monkeypatch, 99, None)
    spectra = autoencoder.reconstruct(X, out=tmp_path / "flux.npy")
    np.testing.assert_array_equal(spectra.to_numpy(), unbroken)
    assert going_on.rows == list(range(15, N_SPECTRA))


def test_a_store_does_not_go_on_with_other_weights_or_spectra(autoencoder, tmp_path, monkeypatch):
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        Failing(broken, 3, KeyboardInterrupt())
        autoencoder.reconstruct(FLUX, out=tmp_path / "flux.npy")
    other = SpectralAutoencoder(2, **dense(random_state=1)).fit(FLUX)
    with pytest.raises(ValueError, match=r"begun with other arguments \(weights was"):
        other.reconstruct(FLUX, out=tmp_path / "flux.npy")
    with pytest.raises(ValueError, match=r"begun with other arguments \(given was"):
        autoencoder.reconstruct(FLUX * 2.0, out=tmp_path / "flux.npy")


def test_a_store_does_not_go_on_with_another_method(get, tmp_path, monkeypatch):
    square = SpectralAutoencoder(N_PIXELS, **dense()).fit(FLUX)
    given = np.nan_to_num(FLUX)  # spectra of as many pixels as the code has numbers
    compute, n_left = _blocks.Blocks.computed, [3]

    def stopping(blocks, first=0):
        for each in compute(blocks, first):
            if not n_left[0]:
                raise KeyboardInterrupt
            n_left[0] -= 1
            yield each

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(_blocks.Blocks, "computed", stopping)
        square.reconstruct(given, out=tmp_path / "flux.npy")
    wanted = r"begun with other arguments \(method was reconstruct, now inverse_transform\)"
    with pytest.raises(ValueError, match=wanted):
        square.inverse_transform(given, out=tmp_path / "flux.npy")


@pytest.mark.parametrize("delta", [np.zeros(3), np.zeros((N_SPECTRA, 1))])
def test_a_change_of_another_shape_is_refused(semi, delta):
    with pytest.raises(ValueError, match=r"delta has shape .*; wanted is one number, or \(23,\)"):
        semi.intervene(FLUX, 1, delta)


def test_a_full_disk_is_one_message_and_leaves_no_part_of_codes(autoencoder, tmp_path, monkeypatch):
    class FullDisk:
        """A file on a disk that takes 200 bytes."""

        def __init__(self, path, *args, **options):
            self._file, self._left = open(path, *args, **options), 200
            self.close, self.fileno = self._file.close, self._file.fileno

        def write(self, data):
            if not self._left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            n_written = self._file.write(data[: self._left])
            self._left -= n_written
            return n_written

    monkeypatch.setattr(_stream, "open", FullDisk, raising=False)
    with pytest.raises(OSError, match=r"disk of .*codes.npy is full, and nothing .* was kept"):
        autoencoder.transform(FLUX, out=tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_a_store_that_goes_on(autoencoder, tmp_path, monkeypatch):
    write, done = part_module._write, []

    def failing(file, data):
        done.append(data)
        if len(done) == 12:
            write(file, data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, data)

    with monkeypatch.context() as broken:
        broken.setattr(part_module, "_write", failing)
        with pytest.raises(OSError, match=r"full after 4 spectra[\s\S]* repeat the same call"):
            autoencoder.reconstruct(FLUX, out=tmp_path / "flux.npy")
    assert not (tmp_path / "flux.npy").exists()
    spectra = autoencoder.reconstruct(FLUX, out=tmp_path / "flux.npy")
    np.testing.assert_array_equal(spectra.to_numpy(), autoencoder.reconstruct(FLUX))


def test_a_store_that_does_not_fit_is_refused_before_any_work(autoencoder, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 9_000, 1_000))
    with pytest.raises(OSError, match=r"needs .* GB more, .* nothing was written"):
        autoencoder.reconstruct(FLUX, out=tmp_path / "flux.npy")
    assert list(tmp_path.iterdir()) == []


def test_killed_nothing_has_the_name_of_the_file(tmp_path):
    code = """
        import os, signal, sys
        import numpy as np
        from specvae.estimators import SpectralAutoencoder, _blocks

        flux = np.ones((20, 40), dtype=np.float32) + np.arange(20, dtype=np.float32)[:, None]
        fitted = SpectralAutoencoder(
            2, encoder="dense", decoder="dense", max_epochs=1, device="cpu"
        ).fit(flux)
        read, seen = _blocks.read_flux, []

        def read_flux(X, rows):
            if len(seen) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(rows)
            return read(X, rows)

        _blocks.read_flux = read_flux
        _blocks.row_blocks = lambda n, _: [np.arange(at, at + 5) for at in range(0, n, 5)]
        fitted.transform(flux, out=sys.argv[1])
    """
    path = tmp_path / "codes.npy"
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=False)
    assert run.returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.match("codes.npy.*.part")
    # What is left is no obstacle.
    fitted = SpectralAutoencoder(2, **dense()).fit(FLUX)
    fitted.transform(FLUX, out=path)
    assert sorted(tmp_path.iterdir()) == [path, left]


def test_an_unusable_spectrum_is_named_by_its_row(autoencoder, tmp_path):
    flux = FLUX.copy()
    flux[13] = np.nan
    with pytest.raises(SpectrumError, match="spectrum 13 has no valid pixel"):
        autoencoder.transform(SpectraArray(flux), out=tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_spectrum_that_a_map_refuses_is_named_by_its_row(autoencoder, tmp_path, monkeypatch):
    monkeypatch.setattr(_stream, "_IDENTIFYING_BYTES", 4 * N_PIXELS * 3)  # rows 0, 11 and 22
    flux = FLUX.copy()
    flux[11] = np.nan
    X = MedianNormalizer().transform(SpectraArray(flux, grid=GRID))
    with pytest.raises(SpectrumError, match="spectrum 11 has no valid pixel") as raised:
        autoencoder.reconstruct(X, out=tmp_path / "flux.npy")
    assert raised.value.row == 11
    assert list(tmp_path.iterdir()) == []


def test_a_matrix_without_rows_is_refused(autoencoder):
    with pytest.raises(ValueError, match=r"0 sample\(s\) .* SpectralAutoencoder"):
        autoencoder.transform(SpectraArray(FLUX)[:0])


def test_a_simulator_of_one_pixel_fills_one_dimension(tmp_path):
    fitted = SpectralSimulator(decoder="dense", **{**SMALL, "grid": None}).fit(
        LABELS, LABELS.sum(axis=1)
    )
    out = np.empty(N_SPECTRA)
    assert fitted.predict(LABELS, out=out) is out
    np.testing.assert_array_equal(out, fitted.predict(LABELS))


def test_rowwise_steps_of_a_lazy_matrix_go_to_disk_row_by_row(tmp_path):
    np.save(tmp_path / "raw.npy", FLUX)
    raw = SpectraArray(NpyStore(tmp_path / "raw.npy"), grid=GRID)
    mapped = MedianNormalizer().transform(PixelMasker([(5005.0, 5007.0)]).transform(raw))
    meta = pd.DataFrame({"star": np.arange(N_SPECTRA)})
    written = write_spectra(mapped.__getitem__, tmp_path / "ready.npy", GRID, meta=meta)
    np.testing.assert_array_equal(written.to_numpy(), mapped.to_numpy())
