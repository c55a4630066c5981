"""Encode or predict an archive, block by block, here or on the workers of a cluster."""

import sys
import uuid
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._optional import import_optional
from .._progress import progress_bar
from .._validation import check_choice, check_number
from ..exceptions import DataQualityWarning, SpectrumError
from ..spectra import SpectraArray
from ._block import UNREADABLE, Archive, Block, compute_block
from ._identity import digest, sample_rows
from ._keep import check_client, keep
from ._part import PartialResult

# Blocks of about this many pixels: 204 spectra of HARPS, some tens of seconds of a processor.
_BLOCK_PIXELS = 2**26

# Blocks that a worker has or waits for: one to work on and one to go on with.
_BLOCKS_PER_WORKER = 2

# An archive in memory travels to every worker; more of it is refused.
_MAX_SENT_BYTES = 2**28

# So many spectra that cannot be used are no accident: the call stops.
_MAX_UNUSABLE = 1000

_N_SHOWN = 10


def transform_archive(
    estimator: Any,
    store: Any,
    out: str | Path,
    client: Any = None,
    *,
    method: str = "transform",
    block_rows: int | None = None,
    invalid: str = "raise",
    progress: bool | None = None,
) -> np.ndarray:
    """Apply a fitted estimator to all spectra of a store into one .npy file, here or on a cluster.

    With a client of dask, blocks of rows go to the workers, which read the spectra themselves;
    their results come back to this process, which writes them. Interrupted at any moment, by
    Ctrl-C, a killed worker or client, a full disk or a power cut, the same call goes on where it
    stopped. The file appears under its name only when it is complete.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Fitted. It is sent to the workers once.
    store : SpectraArray of shape (n_spectra, n_pixels), str or Path
        The spectra, or what `SpectraArray.open` opens. All workers must find the store under the
        same path.
    out : str or Path
        The .npy file to write. Until it is complete, ``.part`` is added to its name and a journal
        lies beside it.
    client : distributed.Client, optional
        Connected to a scheduler. Needs the extra `distributed`. By default this process computes
        one block after the other.
    method : str, default="transform"
        Method of `estimator` that takes spectra and gives one array with a row for each:
        "transform", "predict", "reconstruct".
    block_rows : int, optional
        Spectra in a block; by default as many as have 67 million pixels, or what the unfinished
        call had. So many are computed again, at most, where a worker is killed.
    invalid : {"raise", "nan"}, default="raise"
        What to do with spectra that cannot be read or used: finish all other blocks and then
        raise an error, or write NaN and warn. The call may be repeated with the other. A thousand
        of them stop it at once; with "nan", a thousand that cannot be read, as when a disk is
        gone for a while. When a call goes on, "raise" tries all of them again, and "nan" those
        that could not be read.
    progress : bool, optional
        Whether to draw a progress bar; by default where stderr is a terminal.

    Returns
    -------
    result : memmap of shape (n_spectra, ...)
        The file, opened for reading. Names of columns are not kept, whatever `set_output` says.

    Raises
    ------
    SpectrumError
        Naming the first spectra that cannot be read or used, at the end or where they are too
        many. Blocks without one are written, and the same call computes the others.
    ValueError
        If an argument cannot be used, or an unfinished result is there that was begun with
        another estimator, store, method or `block_rows`.
    TypeError
        If `store` is no `SpectraArray` or path, `client` no client of dask, or the method does
        not give one array of numbers.
    NotFittedError
        If the estimator is not fitted.
    FileExistsError
        If `out` exists.
    FileNotFoundError
        If the folder of `out` is missing, or a worker does not find the store.
    BlockingIOError
        If another process is writing the same file.
    OSError
        If the disk has too little space, or becomes full.
    ImportError
        With a client, if dask is missing.

    Warns
    -----
    DataQualityWarning
        With ``invalid="nan"``, naming the spectra that are NaN.

    See Also
    --------
    search_backend : Searches on a cluster.

    Notes
    -----
    This process alone writes: pages of a file that two machines fill from both ends do not
    survive on every network file system, and a worker that was taken for dead cannot write later.
    It holds two blocks of results at most; so does each worker. Codes and labels are small
    beside spectra, of which nothing passes through here. A reconstruction is as large as the
    spectra and comes through the network card of this machine.

    A block whose worker is killed is computed by another one. A block that takes four workers
    with it stops the call, as errors of the program do: the message says so, and what is written
    stays. Where there is no worker, the call waits for one.

    Start workers with one thread, ``dask worker --nthreads 1``: a worker takes one block at a
    time whatever it has. torch uses one thread there, unless the estimator has another
    `n_threads`.

    Results are those of the estimator on one machine but for rounding: how many rows a network
    takes at once decides how its sums are rounded. Other processors round differently too.

    The journal knows the estimator by a digest of its parameters and tensors, and the store by its
    path, its rows and the checksums of three of them. When a call goes on, all that is written is
    compared with its checksums first.

    Examples
    --------
    >>> import tempfile
    >>> from specvae.estimators import SpectralAutoencoder
    >>> from specvae.spectra import NpyStore
    >>> flux = np.random.default_rng(0).normal(1.0, 0.1, (60, 50)).astype(np.float32)
    >>> model = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=2).fit(flux)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/flux.npy", flux)
    ...     spectra = SpectraArray(NpyStore(f"{folder}/flux.npy"))
    ...     codes = transform_archive(model, spectra, f"{folder}/codes.npy")
    >>> codes.shape
    (60, 2)

    With a client, here of a cluster in this process:

    >>> from distributed import Client, LocalCluster
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/flux.npy", flux)
    ...     spectra = SpectraArray(NpyStore(f"{folder}/flux.npy"))
    ...     with (
    ...         LocalCluster(processes=False, dashboard_address=":0") as cluster,
    ...         Client(cluster) as client,
    ...     ):
    ...         codes = transform_archive(model, spectra, f"{folder}/codes.npy", client)
    >>> codes.shape
    (60, 2)
    """
    with filled_archive(
        estimator,
        store,
        out,
        client,
        method=method,
        block_rows=block_rows,
        invalid=invalid,
        progress=progress,
    ) as values:
        return values


@contextmanager
def filled_archive(
    estimator: Any,
    store: Any,
    out: str | Path,
    client: Any = None,
    *,
    method: str = "transform",
    block_rows: int | None = None,
    invalid: str = "raise",
    progress: bool | None = None,
) -> Iterator[np.ndarray]:
    """Do as `transform_archive`, but keep the journal until the block ends without an error.

    Whatever fails in the block, the same call finds the finished file and computes nothing again.
    The block may remove the file when it has made of it what it wanted.
    """
    if client is not None:
        check_client(client, "transform_archive")
    spectra = _check_store(store, is_sent=client is not None)
    _check_method(estimator, method)
    check_choice("invalid", invalid, ("raise", "nan"))
    if block_rows is not None:
        check_number("block_rows", block_rows, minimum=1, integer=True)
    out = Path(out)
    n_rows, n_pixels = spectra.shape
    identity = {
        "estimator": f"{type(estimator).__name__} {digest(estimator)}",
        "method": method,
        "store": f"{n_rows} spectra of {n_pixels} pixels, {digest(spectra)}",
    }
    part = PartialResult(
        out,
        identity,
        sample_rows(spectra),
        n_rows=n_rows,
        block_rows=block_rows,
        default_block_rows=max(1, _BLOCK_PIXELS // n_pixels),
        again=lambda reason: invalid == "raise" or reason.startswith(UNREADABLE),
    )
    archive = Archive(estimator, spectra, method, keep_rest=invalid == "nan")
    show = sys.stderr.isatty() if progress is None else progress
    try:
        unusable = _fill(part, archive, client, show=show)
        if unusable:
            _refuse(unusable, part, invalid)
        part.finish()
        yield np.load(out, mmap_mode="r")
        part.remove_journal()
    finally:
        part.close()
    _warn_of_unusable(_joined(part.done.values()))


def _fill(part: PartialResult, archive: Archive, client: Any, *, show: bool) -> dict[int, str]:
    """Compute the blocks that are missing; return the spectra that forbid to finish."""
    missing = [block for block in range(part.n_blocks) if block not in part.done]
    unusable: dict[int, str] = {}
    all_unusable: dict[int, Block] = {}  # of the wanted blocks; filled with NaN at the end
    desc = f"{archive.method} of spectra"
    compute = _computed_here if client is None else _computed
    with (
        progress_bar(total=part.n_rows, desc=desc, show=show) as bar,
        closing(compute(part, archive, missing, client)) as computed,
    ):
        bar.update(part.n_rows_done)
        for block, found in computed:
            if found.values is not None:
                part.write(block, found.values, found.unusable)
                start, stop = part.span(block)
                bar.update(stop - start)
            elif archive.keep_rest:
                all_unusable[block] = found
            unusable |= {row: why for row, why in found.unusable.items() if part.again(why)}
            if len(unusable) >= _MAX_UNUSABLE:
                return unusable
    for block, found in all_unusable.items():
        if part.layout is None or part.layout[1].kind not in "fc":
            return _joined(each.unusable for each in all_unusable.values())
        start, stop = part.span(block)
        shape, dtype = part.layout
        part.write(block, np.full((stop - start, *shape), np.nan, dtype), found.unusable)
    return {} if archive.keep_rest else unusable


def _computed_here(
    part: PartialResult, archive: Archive, blocks: list[int], client: None
) -> Generator[tuple[int, Block], None, None]:
    for block in blocks:
        with _says_what_is_kept(part):
            found = compute_block(archive, *part.span(block))
        yield block, found


def _computed(
    part: PartialResult, archive: Archive, blocks: list[int], client: Any
) -> Generator[tuple[int, Block], None, None]:
    """Yield blocks as they are done; few at a time are with the workers, and one is here."""
    if not blocks:
        return
    distributed = import_optional("distributed", caller="transform_archive", extra="distributed")
    waiting = iter(blocks)
    name = f"specvae-{archive.method}-{uuid.uuid4().hex}"
    running: dict[Any, int] = {}  # future -> block
    ready = distributed.as_completed(loop=client.loop)  # not that of another client
    kept = keep(client, archive)

    def submit() -> None:
        n_wanted = _BLOCKS_PER_WORKER * max(1, len(client.nthreads()))
        while len(running) < n_wanted and (block := next(waiting, None)) is not None:
            start, stop = part.span(block)
            key = f"{name}-{block}"
            future = client.submit(compute_block, kept, start, stop, key=key, pure=False)
            running[future] = block
            ready.add(future)

    try:
        submit()
        for future in ready:
            with _says_what_is_kept(part):
                found = future.result()
            block = running.pop(future)
            del future  # the worker may forget it
            yield block, found
            submit()
    finally:
        client.cancel([*running, kept])


@contextmanager
def _says_what_is_kept(part: PartialResult) -> Iterator[None]:
    """Add to an error of a block, or of the cluster, what it means for the result."""
    try:
        yield
    except Exception as error:
        kept = f"{part.n_rows_done} of {part.n_rows} spectra are written"
        error.add_note(
            f"transform_archive stopped; {kept}, and the same call goes on from there."
            if part.n_rows_done
            else "transform_archive stopped; nothing is written."
        )
        raise


def _joined(unusable: Iterable[dict[int, str]]) -> dict[int, str]:
    return {row: why for block in unusable for row, why in block.items()}


def _refuse(unusable: dict[int, str], part: PartialResult, invalid: str) -> NoReturn:
    first = min(unusable)
    stopped = len(unusable) >= _MAX_UNUSABLE
    others = [str(row) for row in sorted(unusable)[1 : 1 + _N_SHOWN]]
    more = len(unusable) - 1 - len(others)
    too = (
        f" Nor can {', '.join(others)}{f' and {more} more' if more > 0 else ''}." if others else ""
    )
    stay = (
        f"{part.n_rows_done} of {part.n_rows} spectra are written"
        f"{', the call stopped early' if stopped else ', all blocks without such spectra'}; "
        if part.n_rows_done
        else "Nothing is written; "
    )
    other = "repeat it with invalid='nan'" if invalid == "raise" else "give a store without them"
    raise SpectrumError(
        first,
        f"cannot be used: {unusable[first].rstrip('.')}.{too} {stay}mend the store and repeat the "
        f"same call, or {other}.",
    )


def _warn_of_unusable(unusable: dict[int, str]) -> None:
    if not unusable:
        return
    rows = sorted(unusable)
    more = f" and {len(rows) - _N_SHOWN} more" if len(rows) > _N_SHOWN else ""
    warnings.warn(
        f"{len(rows)} spectra cannot be used and are NaN in the result: "
        f"{', '.join(map(str, rows[:_N_SHOWN]))}{more}. The first {unusable[rows[0]]}",
        DataQualityWarning,
        stacklevel=5,  # whoever called transform_archive
    )


def _check_store(store: Any, *, is_sent: bool) -> SpectraArray:
    if isinstance(store, str | Path):
        store = SpectraArray.open(store)
    if not isinstance(store, SpectraArray):
        raise TypeError(
            f"store must be a SpectraArray or the path of a store, got {type(store).__name__}; "
            "save an array with numpy.save and give SpectraArray(NpyStore(path))."
        )
    if not len(store):
        raise ValueError("store has no spectra; give at least one.")
    rows = store._store
    if is_sent and isinstance(rows, np.ndarray) and rows.nbytes > _MAX_SENT_BYTES:
        raise ValueError(
            f"store holds an array of {1e-9 * rows.nbytes:.3g} GB, which would be sent to every "
            "worker; give SpectraArray(NpyStore(path)) of an array that numpy.save wrote, so that "
            "the workers read it themselves."
        )
    return store


def _check_method(estimator: Any, method: Any) -> None:
    if not (isinstance(method, str) and callable(getattr(estimator, method, None))):
        known = ("transform", "predict", "reconstruct", "predict_proba")
        has = [name for name in known if hasattr(estimator, name)]
        raise ValueError(
            f"method must name a method of {type(estimator).__name__} that takes spectra, got "
            f"{method!r}; it has {', '.join(map(repr, has)) or 'none'}."
        )
    check_is_fitted(estimator)
