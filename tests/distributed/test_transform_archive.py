import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

pytest.importorskip("dask.distributed")

from archive_helpers import NotesLoading, Projection, lines_of

from specvae.distributed import _archive as archive_module
from specvae.distributed import _part as part_module
from specvae.distributed import transform_archive
from specvae.estimators import SpectralAutoencoder, SpectralRegressor
from specvae.exceptions import DataQualityWarning, SpectrumError
from specvae.preprocessing import MedianNormalizer, SpectraLoader
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid, write_spectra

BLOCK = 16  # so that the last of seven blocks has 14 spectra


@pytest.fixture
def model(spectra, log):
    return Projection(log).fit(spectra)


@pytest.fixture
def codes(tmp_path):
    return tmp_path / "codes.npy"


@pytest.fixture
def encode(model, spectra, codes, here):
    """Encode in this process, or with what differs from it."""

    def call(estimator=model, store=spectra, client=here, out=codes, **arguments):
        arguments = {"block_rows": BLOCK, "progress": False, **arguments}
        return transform_archive(estimator, store, out, client, **arguments)

    return call


@pytest.fixture
def expected(model, spectra, log):
    values = model.transform(spectra)
    Path(log).unlink()
    return values


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("log.txt"))


UNFINISHED = ["codes.journal.part", "codes.npy.part", "flux.npy"]


def stop_at_write(monkeypatch, n_writes, error, *, fraction=0.5):
    """Let a write go through by a fraction and then fail; a block takes two writes."""
    write, done = part_module._write_at, []

    def failing(file, data, position):
        done.append(data)
        if len(done) == n_writes:
            write(file, data[: int(fraction * len(data))], position)
            raise error
        write(file, data, position)

    monkeypatch.setattr(part_module, "_write_at", failing)


def interrupt(*arguments):
    raise KeyboardInterrupt


def leave_unfinished(encode, n_blocks=3, **arguments):
    """Stop a call after so many blocks."""
    with pytest.MonkeyPatch.context() as broken, pytest.raises(KeyboardInterrupt):
        # The first lines of the journal, and the header, take three writes.
        stop_at_write(broken, 4 + 2 * n_blocks, KeyboardInterrupt(), fraction=0)
        encode(**arguments)


def times_seen(log):
    """How often the workers saw the block that begins with each value."""
    return Counter(line.split()[2] for line in lines_of(log))


def n_blocks_seen(log):
    # A block that was under way when an earlier call ended may still come to its end, and be seen
    # twice.
    return len(times_seen(log))


def test_archive_equals_transform_of_the_estimator(both_workers, encode, spectra, codes, flux):
    pipeline = make_pipeline(
        MedianNormalizer(),
        SpectralAutoencoder(3, encoder="dense", decoder="dense", max_epochs=2, n_threads=1),
    ).fit(spectra)
    found = encode(pipeline, client=both_workers)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pipeline.transform(spectra), rtol=1e-5, atol=1e-6)
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"]
    # One block holds the same rows as the whole: nothing may differ at all.
    whole = encode(pipeline, client=both_workers, out=codes.with_name("whole.npy"), block_rows=200)
    np.testing.assert_array_equal(whole, pipeline.transform(spectra))
    # What a network reconstructs, and what row-wise transformers prepare.
    out = codes.with_name("flux_again.npy")
    again = encode(pipeline[1], client=both_workers, out=out, method="reconstruct", block_rows=None)
    np.testing.assert_array_equal(again, pipeline[1].reconstruct(spectra))
    prepared = encode(pipeline[:1], out=codes.with_name("prepared.npy"))
    np.testing.assert_array_equal(prepared, pipeline[0].transform(flux))


def test_without_a_client_this_process_computes(monkeypatch, encode, spectra, log, expected):
    leave_unfinished(encode, client=None)
    assert n_blocks_seen(log) == 4
    monkeypatch.setitem(sys.modules, "distributed", None)
    np.testing.assert_array_equal(encode(client=None), expected)
    # Three of the seven blocks were written before, the fourth was computed twice.
    assert times_seen(log).total() == 8
    assert {line.split()[0] for line in lines_of(log)} == {str(os.getpid())}


def test_what_stops_this_process_says_what_is_kept(encode, spectra, log):
    failing = Projection(log, error="divide").fit(spectra)
    with pytest.raises(ZeroDivisionError) as caught:
        encode(failing, client=None)
    assert caught.value.__notes__ == ["transform_archive stopped; nothing is written."]


def test_predicts_one_number_a_row_in_its_own_precision(encode, model, spectra):
    found = encode(method="predict")
    assert found.shape == (110,) and found.dtype == np.float64
    np.testing.assert_array_equal(found, model.predict(spectra))


def test_labels_of_a_regressor_and_tables_become_arrays(encode, spectra, codes, flux):
    model = SpectralRegressor(encoder="dense", max_epochs=1, n_threads=1).fit(spectra, flux[:, :2])
    found = encode(model, method="predict")
    np.testing.assert_allclose(found, model.predict(spectra), rtol=1e-5)
    table = make_pipeline(SpectraLoader(), PCA(2, svd_solver="full")).fit(spectra)
    table.set_output(transform="pandas")
    named = codes.with_name("named.npy")
    found = encode(table.set_params(spectraloader=FromFile()), out=named)
    np.testing.assert_allclose(found, table.transform(spectra).to_numpy(), rtol=1e-4, atol=1e-6)


class FromFile(SpectraLoader):
    """Reads spectra although the next step wants a table."""

    def transform(self, X):
        return X.to_numpy()


def test_rows_of_a_view_and_a_path(encode, spectra, codes, flux, expected):
    rows = np.array([5, 3, 99, 3])
    np.testing.assert_array_equal(encode(store=spectra[rows]), expected[rows])
    grid, meta = WavelengthGrid(5000.0, 0.5, 30), pd.DataFrame(index=range(110))
    store = codes.with_name("store.npy")
    write_spectra(lambda row: flux[row], store, grid, meta=meta)
    found = encode(store=str(store), out=str(codes.with_name("all.npy")))
    np.testing.assert_array_equal(found, expected)


def test_killed_worker_loses_and_doubles_no_row(both_workers, encode, spectra, log, expected):
    dying = Projection(log, kill="worker", at=spectra[4 * BLOCK][0]).fit(spectra)
    np.testing.assert_array_equal(encode(dying, client=both_workers), expected)
    assert os.path.exists(f"{log}.killed")
    seen = times_seen(log)
    assert len(seen) == 7
    assert seen[repr(spectra[4 * BLOCK][0])] >= 2


def test_results_that_died_with_all_workers_are_computed_again(
    monkeypatch, both_workers, here, encode, log, expected
):
    write, written = part_module.PartialResult.write, []

    def killing(part, *arguments):
        if not written:
            # Three more blocks are under way: wait until their results wait to be fetched.
            while sum("transform" in key for key, at in both_workers.who_has().items() if at) < 3:
                pass
            for pid in both_workers.run(os.getpid).values():
                os.kill(pid, signal.SIGKILL)
        written.append(arguments[0])
        write(part, *arguments)

    monkeypatch.setattr(part_module.PartialResult, "write", killing)
    with here.as_current():  # another client is at hand as well
        found = encode(client=both_workers)
    np.testing.assert_array_equal(found, expected)
    assert sorted(written) == list(range(7))
    assert max(times_seen(log).values()) >= 2


def test_estimator_is_sent_once_and_not_with_each_block(both_workers, encode, spectra, log):
    encode(NotesLoading(log).fit(spectra), client=both_workers, block_rows=4)
    assert len(lines_of(log)) == 28
    assert 1 <= len(lines_of(f"{log}.loaded")) <= 4


def test_killed_client_is_gone_on_from_by_another_process(encode, spectra, codes, log, expected):
    script = """
        import os, sys
        from distributed import Client, LocalCluster
        from archive_helpers import Projection, add_line
        from specvae.distributed import transform_archive
        from specvae.spectra import NpyStore, SpectraArray

        if __name__ == "__main__":
            store, codes, log = sys.argv[1:]
            add_line(f"{log}.client", str(os.getpid()))
            spectra = SpectraArray(NpyStore(store))
            model = Projection(log, kill="client", at=spectra[5 * 16][0]).fit(spectra)
            with LocalCluster(
                n_workers=1, threads_per_worker=1, dashboard_address=":0"
            ) as workers, Client(workers) as client:
                transform_archive(model, spectra, codes, client, block_rows=16)
    """
    file = codes.with_name("log.txt.py")
    file.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, file, codes.with_name("flux.npy"), codes, log],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert files_in(codes.parent) == UNFINISHED
    n_written = codes.with_name("codes.journal.part").read_text().count('"block"')
    # The sixth was given out when the fourth was written.
    assert 4 <= n_written <= 5
    Path(log).unlink()
    model = Projection(log, kill="client", at=spectra[5 * BLOCK][0]).fit(spectra)
    np.testing.assert_array_equal(encode(model), expected)
    assert n_blocks_seen(log) == 7 - n_written
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"]


@pytest.mark.parametrize("n_writes", range(1, 18))
@pytest.mark.parametrize("fraction", [0, 0.5])
def test_interrupted_anywhere_the_same_call_goes_on(
    monkeypatch, encode, codes, log, expected, n_writes, fraction
):
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        stop_at_write(broken, n_writes, KeyboardInterrupt(), fraction=fraction)
        encode()
    n_done = max(0, (n_writes - 4) // 2)
    assert files_in(codes.parent) == (UNFINISHED if n_done else ["flux.npy"])
    Path(log).unlink(missing_ok=True)
    np.testing.assert_array_equal(encode(), expected)
    assert n_blocks_seen(log) == 7 - n_done
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"]


@pytest.mark.parametrize("n_writes", [1, 2, 4, 8, 9])
def test_full_disk_is_one_message_and_the_same_call_goes_on(
    monkeypatch, encode, codes, log, expected, n_writes
):
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as broken, pytest.raises(OSError) as caught:
        stop_at_write(broken, n_writes, full)
        encode()
    n_done = max(0, (n_writes - 4) // 2)
    assert caught.value.errno == errno.ENOSPC
    assert f"full after {n_done * BLOCK} of 110 spectra" in str(caught.value)
    assert "repeat the same call" in str(caught.value)
    assert files_in(codes.parent) == (UNFINISHED if n_done else ["flux.npy"])
    Path(log).unlink(missing_ok=True)
    np.testing.assert_array_equal(encode(), expected)
    assert n_blocks_seen(log) == 7 - n_done


def test_other_errors_of_the_disk_stay_what_they_are(monkeypatch, encode):
    stop_at_write(monkeypatch, 6, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error") as caught:
        encode()
    assert caught.value.errno == errno.EIO


def test_too_little_space_is_said_before_anything_is_written(monkeypatch, encode, codes):
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(part_module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match=r"110 spectra needs 1.45e-06 GB, 1e-06 GB are free"):
        encode()
    assert files_in(codes.parent) == ["flux.npy"]


def test_blocks_that_were_damaged_are_computed_again(encode, codes, log, expected):
    leave_unfinished(encode, n_blocks=4)
    content = bytearray(codes.with_name("codes.npy.part").read_bytes())
    content[-1] ^= 1  # the last block, which nothing speaks of
    content[128 + BLOCK * 12] ^= 1  # the second block
    codes.with_name("codes.npy.part").write_bytes(content)
    with open(codes.with_name("codes.journal.part"), "ab") as journal:
        journal.write(b'{"block": 6, "crc32": 17}\n{"block": 5, "cr')
    Path(log).unlink()
    np.testing.assert_array_equal(encode(), expected)
    assert n_blocks_seen(log) == 4


@pytest.mark.parametrize("lost", ["codes.npy.part", "codes.journal.part"])
def test_rows_or_journal_alone_are_worth_nothing(encode, codes, log, expected, lost):
    leave_unfinished(encode)
    codes.with_name(lost).unlink()
    Path(log).unlink()
    np.testing.assert_array_equal(encode(), expected)
    assert n_blocks_seen(log) == 7


def test_default_of_block_rows_is_that_of_the_unfinished_call(encode, log, expected):
    leave_unfinished(encode, n_blocks=3)
    Path(log).unlink()
    np.testing.assert_array_equal(encode(block_rows=None), expected)
    assert n_blocks_seen(log) == 4


def test_other_arguments_are_refused(encode, model, spectra, codes, flux):
    leave_unfinished(encode)
    before = codes.with_name("codes.npy.part").read_bytes()
    other = Projection(model.log).fit(spectra)
    other.weights_[1, 1] += 1e-3
    refused = r"codes.npy.part was begun with other arguments \({}.*or delete codes.npy.part and"
    with pytest.raises(ValueError, match=refused.format("estimator was Projection ")):
        encode(other)
    with pytest.raises(ValueError, match=refused.format("method was transform, now predict")):
        encode(method="predict")
    with pytest.raises(ValueError, match=refused.format("store was 110 spectra of 30 pixels, ")):
        encode(store=spectra[::-1])
    with pytest.raises(ValueError, match=refused.format("block rows was 16, now 17")):
        encode(block_rows=17)
    flux[0, 0] += 1.0  # with the same path, the store is not the same
    np.save(codes.with_name("flux.npy"), flux)
    with pytest.raises(ValueError, match=refused.format("spectrum 0 of the store has changed")):
        encode()
    assert codes.with_name("codes.npy.part").read_bytes() == before


def test_same_file_is_not_written_twice_at_a_time(encode, codes, spectra):
    leave_unfinished(encode)
    identity = {"estimator": "any"}
    arguments = {"n_rows": 110, "block_rows": 16, "default_block_rows": 16, "again": bool}
    other = codes.with_name("other.npy")
    held = part_module.PartialResult(other, identity, {}, **arguments)
    with pytest.raises(BlockingIOError, match="another process is writing"):
        part_module.PartialResult(other, identity, {}, **arguments)
    held.close()
    assert files_in(codes.parent) == UNFINISHED


def test_existing_files_are_not_replaced(encode, codes):
    codes.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"the result exists; read it with numpy\.load"):
        encode()
    codes.unlink()
    leave_unfinished(encode)
    codes.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"would replace an existing file: move that away"):
        encode()
    codes.with_name("codes.npy.part").unlink()
    with pytest.raises(FileExistsError, match=r"would replace an existing file: move that away"):
        encode()
    assert codes.read_bytes() == b"old"


def test_call_that_stopped_when_the_file_had_its_name(monkeypatch, encode, log, codes, expected):
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(
            part_module, "sync_folder", lambda folder: signal.raise_signal(signal.SIGINT)
        )
        encode()
    assert files_in(codes.parent) == ["codes.journal.part", "codes.npy", "flux.npy"]
    Path(log).unlink()
    np.testing.assert_array_equal(encode(), expected)
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"] and not lines_of(log)


def cut_short(store, row):
    """Remove the rows from this one on; an open store finds out when it reads them."""
    content = store.read_bytes()
    os.truncate(store, 128 + 4 * 30 * row)
    return content


def test_unreadable_rows_are_named_when_all_else_is_done(encode, spectra, codes, log, expected):
    content = cut_short(codes.with_name("flux.npy"), 107)
    wanted = r"spectrum 107 cannot be used: cannot be read: .*flux.npy.* Nor can 108, 109\. 96 of"
    with pytest.raises(SpectrumError, match=wanted) as caught:
        encode()
    assert caught.value.row == 107
    assert files_in(codes.parent) == UNFINISHED
    codes.with_name("flux.npy").write_bytes(content)
    Path(log).unlink()
    np.testing.assert_array_equal(encode(), expected)
    assert n_blocks_seen(log) == 1


def test_unusable_rows_become_nan_where_that_is_asked_for(encode, spectra, codes, flux, log):
    flux[[4, 5, 40]] = np.nan
    flux[7 * 14 - 2 :] = np.nan  # all of the last block
    np.save(codes.with_name("flux.npy"), flux)
    bad = np.isnan(flux).all(axis=1)
    model = make_pipeline(
        MedianNormalizer(),
        SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=1, n_threads=1),
    ).fit(spectra[~bad])
    with pytest.raises(SpectrumError, match=r"spectrum 4 cannot be used: .* Nor can 5, 40, 96"):
        encode(model)
    with pytest.warns(DataQualityWarning, match="17 spectra .* NaN in the result: 4, 5, 40, 96,"):
        found = encode(model, invalid="nan")
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), bad)
    assert not np.isnan(found[~bad]).any()
    np.testing.assert_allclose(found[~bad], model.transform(spectra[~bad]), rtol=1e-4, atol=1e-6)


def test_unusable_rows_are_remembered_by_the_journal(monkeypatch, encode, spectra, codes, expected):
    cut_short(codes.with_name("flux.npy"), 109)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(part_module, "give_name", interrupt)
        encode(invalid="nan")
    with pytest.warns(DataQualityWarning, match="1 spectra cannot be used .*: 109"):
        found = encode(invalid="nan")
    np.testing.assert_array_equal(found[:109], expected[:109])
    assert np.isnan(found[109]).all()


@pytest.mark.parametrize("step", ["give_name", "sync_folder"])
def test_rows_that_were_nan_are_tried_again_by_raise(
    monkeypatch, encode, codes, log, expected, step
):
    content = cut_short(codes.with_name("flux.npy"), 105)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(part_module, step, interrupt)  # before or after the file has its name
        encode(invalid="nan")
    with pytest.raises(SpectrumError, match=r"spectrum 105 cannot .* 96 of 110 spectra are writ"):
        encode()
    assert files_in(codes.parent) == UNFINISHED
    codes.with_name("flux.npy").write_bytes(content)
    Path(log).unlink()
    np.testing.assert_array_equal(encode(), expected)
    assert n_blocks_seen(log) == 1
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"]


def test_one_mode_keeps_what_the_other_wrote(monkeypatch, encode, spectra, codes, flux, log):
    flux[::BLOCK] = np.nan  # one spectrum of each block
    np.save(codes.with_name("flux.npy"), flux)
    scale = make_pipeline(MedianNormalizer(), Projection(log).fit(spectra))
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(part_module, "give_name", interrupt)
        encode(scale, invalid="nan")
    with pytest.raises(SpectrumError, match="spectrum 0 cannot be used"):
        encode(scale)
    Path(log).unlink()
    with pytest.warns(DataQualityWarning, match="7 spectra cannot be used"):
        found = encode(scale, invalid="nan")
    assert not lines_of(log)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), np.isnan(flux).all(axis=1))


def test_outage_stops_the_call_and_leaves_no_nan(monkeypatch, encode, codes, expected):
    monkeypatch.setattr(archive_module, "_MAX_UNUSABLE", 20)
    content = cut_short(codes.with_name("flux.npy"), 24)  # half of the second block, and the rest
    wanted = r"16 of 110 spectra are written, the call stopped early; .* give a store without them"
    with pytest.raises(SpectrumError, match=wanted):
        encode(invalid="nan")
    codes.with_name("flux.npy").write_bytes(content)
    np.testing.assert_array_equal(encode(invalid="nan"), expected)


def test_many_spectra_without_flux_are_no_outage(monkeypatch, encode, spectra, codes, flux, log):
    monkeypatch.setattr(archive_module, "_MAX_UNUSABLE", 20)
    flux[20:60] = np.nan
    np.save(codes.with_name("flux.npy"), flux)
    scale = make_pipeline(MedianNormalizer(), Projection(log).fit(spectra))
    with pytest.warns(DataQualityWarning, match="40 spectra cannot be used"):
        found = encode(scale, invalid="nan")
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), np.isnan(flux).all(axis=1))


def test_file_that_appears_meanwhile_is_not_replaced(monkeypatch, encode, codes, expected):
    give_name = part_module.give_name

    def late(part, path):
        codes.write_bytes(b"other")
        give_name(part, path)

    with monkeypatch.context() as racing:
        racing.setattr(part_module, "give_name", late)
        with pytest.raises(FileExistsError, match="would replace an existing file: move that away"):
            encode()
    assert codes.read_bytes() == b"other"
    codes.unlink()
    np.testing.assert_array_equal(encode(), expected)


def test_file_that_appears_before_the_lock_leaves_no_journal(monkeypatch, encode, codes):
    lock = part_module.lock

    def late(journal, out):
        lock(journal, out)
        out.write_bytes(b"other")

    monkeypatch.setattr(part_module, "lock", late)
    with pytest.raises(FileExistsError, match="the result exists"):
        encode()
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"]


def test_call_that_stopped_when_the_file_had_two_names(monkeypatch, encode, codes, log, expected):
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(part_module, "give_name", interrupt)
        encode()
    os.link(codes.with_name("codes.npy.part"), codes)
    Path(log).unlink()
    np.testing.assert_array_equal(encode(), expected)
    assert files_in(codes.parent) == ["codes.npy", "flux.npy"] and not lines_of(log)


def test_another_complete_file_is_not_taken_for_the_result(monkeypatch, encode, codes):
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(part_module, "sync_folder", interrupt)
        encode()
    np.save(codes, np.zeros((110, 3)))
    with pytest.raises(FileExistsError, match="would replace an existing file"):
        encode()
    assert not np.load(codes).any()


def test_archive_without_a_usable_row_is_an_error(encode, codes):
    cut_short(codes.with_name("flux.npy"), 0)
    with pytest.raises(SpectrumError, match=r"and 99 more\. Nothing is written; mend the store"):
        encode(invalid="nan")
    assert files_in(codes.parent) == ["flux.npy"]


def test_too_many_unusable_rows_stop_the_call(monkeypatch, encode, codes):
    monkeypatch.setattr(archive_module, "_MAX_UNUSABLE", 20)
    cut_short(codes.with_name("flux.npy"), 20)
    with pytest.raises(SpectrumError, match="16 of 110 spectra are written, the call stopped"):
        encode()


def test_fault_that_passes_is_no_fault(monkeypatch, encode, expected):
    read, failed = NpyStore._read_at, []

    def failing(store, view, position):
        if not failed:
            failed.append(position)
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(store, view, position)

    # Three rows are read beforehand, for the journal.
    monkeypatch.setattr(archive_module, "sample_rows", lambda spectra: {})
    monkeypatch.setattr(NpyStore, "_read_at", failing)
    np.testing.assert_array_equal(encode(), expected)
    assert failed


def test_integers_have_no_nan(encode, codes):
    assert encode(method="count", out=codes.with_name("n.npy")).tolist() == [7] * 110
    cut_short(codes.with_name("flux.npy"), 109)
    with pytest.raises(TypeError, match=r"has no NaN .* leave invalid at 'raise'"):
        encode(method="count", invalid="nan")


def test_store_that_no_worker_finds_stops_the_call(monkeypatch, encode, codes, spectra):
    monkeypatch.setattr(archive_module, "sample_rows", lambda spectra: {})
    codes.with_name("flux.npy").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        encode()
    assert "nothing is written" in caught.value.__notes__[0]
    assert files_in(codes.parent) == []


def test_errors_of_the_program_stop_the_call(encode, spectra, codes, log):
    with pytest.raises(ZeroDivisionError) as caught:
        encode(Projection(log, error="divide").fit(spectra))
    assert "nothing is written" in caught.value.__notes__[0]
    assert files_in(codes.parent) == ["flux.npy"]
    with pytest.raises(TypeError, match="pair must give one array, it gave 2"):
        encode(method="pair")
    uneven = Projection(log, at=spectra[20][0]).fit(spectra)
    with pytest.raises(TypeError, match=r"rows .* gave float64 of shape .* must give the same for"):
        encode(uneven, method="uneven")


def test_few_blocks_are_under_way(monkeypatch, encode, log):
    ahead, write = [], part_module.PartialResult.write

    def counted(part, *arguments):
        write(part, *arguments)
        ahead.append(len(lines_of(log)) - len(part.done))

    monkeypatch.setattr(part_module.PartialResult, "write", counted)
    encode(block_rows=2)
    assert len(ahead) == 55 and max(ahead) <= 1 and min(ahead) >= 0


def test_threads_of_a_worker_take_turns(encode):
    assert encode(method="alone", block_rows=55).tolist() == [1.0] * 110


def test_nothing_stays_on_the_cluster(encode, here):
    encode()
    assert not here.futures


def test_interrupted_call_takes_its_work_back(monkeypatch, encode, here):
    stop_at_write(monkeypatch, 6, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        encode()
    # The traceback, which holds all that the call had, is alive.
    assert caught.tb is not None
    assert not here.futures


def test_progress_bar_where_it_is_asked_for(encode, codes, capsys):
    encode(progress=True)
    assert "transform of spectra" in capsys.readouterr().err
    codes.unlink()
    encode(progress=False)
    assert capsys.readouterr().err == ""


def test_arguments_that_cannot_be_used(monkeypatch, encode, model, spectra, codes, flux, log):
    with pytest.raises(TypeError, match=r"client must be a distributed.Client .* got 'tcp://here'"):
        encode(client="tcp://here")
    with pytest.raises(TypeError, match=r"store must be a SpectraArray or the path .* got ndarray"):
        encode(store=flux)
    with pytest.raises(ValueError, match="store has no spectra"):
        encode(store=spectra[:0])
    with pytest.raises(ValueError, match=r"method of Projection .* got 'decode'; it has 'trans"):
        encode(method="decode")
    with pytest.raises(NotFittedError):
        encode(Projection(log))
    with pytest.raises(ValueError, match="invalid must be one of 'raise', 'nan', got 'drop'"):
        encode(invalid="drop")
    with pytest.raises(ValueError, match="block_rows must be an integer >= 1, got 0"):
        encode(block_rows=0)
    with pytest.raises(FileNotFoundError, match="the folder for the result does not exist"):
        encode(out=codes.parent / "missing" / "codes.npy")
    monkeypatch.setattr(archive_module, "_MAX_SENT_BYTES", 1000)
    with pytest.raises(ValueError, match=r"an array of 1.32e-05 GB, which would be sent to every"):
        encode(store=SpectraArray(flux))
    assert files_in(codes.parent) == ["flux.npy"]


def test_without_dask_the_extra_is_named(monkeypatch, encode):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"transform_archive needs distributed: pip install"):
        encode()
