"""Feed spectra from a store to a training: ``python benchmarks/feeding.py [n_threads]``.

Three tables. Rates: spectra of 327,680 pixels a second, in random order and batches of 32, from
warm float16 stores (.npy, HDF5, Zarr shards): reading alone; as numpy does it (an array of the
sorted rows, float32 of it, the rows in order, the check); and the batches that a training gets.
Waiting: the share of a training step that waits for its batch, with and without prefetch. Overhead:
`fit` against a loop written by hand on the same array: the same network, loss, optimizer, rates,
epochs and validation share, which keeps the best weights too. As `fit` does, that loop lets the C
library keep freed memory; what `fit` gains over one that does not is printed beside it.

What is compared runs in turn in one process; each pair gives a ratio, of which the median and the
extremes are printed, beside a control that times the same side twice. The target of the rate is for
the clock on the wall; the overhead is judged by the time of the processor, since others may use the
machine and the same side twice differs by more than the limit on the wall. Writes
benchmarks/results/feeding.json; the stores, 0.6 GB each, are temporary.
"""

import copy
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from specvae._memory import keep_freed_memory
from specvae.estimators import SpectralAutoencoder
from specvae.estimators._batch_order import make_loader
from specvae.estimators._build import DECODERS, ENCODERS, build_parts, flux_scaler
from specvae.estimators._data import SpectraDataset, TrainingData, ahead
from specvae.estimators._net import rise_and_fall
from specvae.networks import Autoencoder, masked_l1
from specvae.spectra import HDF5Store, NpyStore, SpectraArray, ZarrStore

SEED = 0
N_SPECTRA, N_PIXELS = 960, 327_680
N_ROUNDS = 5
BATCH = 32
TARGET_RATE = 5000.0
LEARNING_RATE = 3e-3
# name: pixels, batch, parts, spectra, epochs, largest ratio of fit to the loop by hand
FITS = {
    "conv, 327,680 pixels, batch 8": (327_680, 8, "conv", 18, 3, 1.05),
    "dense, 7,214 pixels, batch 256": (7_214, 256, "dense", 2560, 8, 1.2),
}


def spectra(n_spectra: int, n_pixels: int) -> np.ndarray:
    """Return continuum with lines and noise, float16, missing at both ends."""
    rng = np.random.default_rng(SEED)
    template = (1.0 - 0.5 * (rng.random(n_pixels) < 0.05)).astype(np.float32)
    template[: n_pixels // 50] = template[-n_pixels // 50 :] = np.nan
    flux = np.empty((n_spectra, n_pixels), dtype=np.float16)
    for row in range(n_spectra):
        noise = rng.standard_normal(n_pixels, dtype=np.float32)
        flux[row] = template + 0.02 * noise + 0.1 * rng.standard_normal()
    return flux


def write_npy(flux: np.ndarray, folder: str) -> Any:
    np.save(f"{folder}/flux.npy", flux)
    return NpyStore(f"{folder}/flux.npy")


def write_hdf5(flux: np.ndarray, folder: str) -> Any:
    import h5py

    with h5py.File(f"{folder}/flux.h5", "w") as file:
        file["flux"] = flux
    return HDF5Store(f"{folder}/flux.h5")


def write_zarr(flux: np.ndarray, folder: str) -> Any:
    import zarr

    n_rows, n_pixels = flux.shape
    array = zarr.create_array(
        f"{folder}/flux.zarr",
        shape=flux.shape,
        chunks=(1, n_pixels),
        shards=(64, n_pixels),
        dtype="float16",
        compressors=None,
        fill_value=np.nan,
    )
    for start in range(0, n_rows, 64):
        array[start : start + 64] = flux[start : start + 64]
    return ZarrStore(f"{folder}/flux.zarr")


STORES = {".npy": write_npy, "HDF5": write_hdf5, "Zarr shards": write_zarr}


def seconds(function: Callable[[], Any]) -> np.ndarray:
    """Seconds that a call takes, on the wall and of the processor."""
    start = time.perf_counter(), time.process_time()
    function()
    return np.array([time.perf_counter(), time.process_time()]) - start


def spread(values: Any) -> list[float]:
    """Return median, least and largest."""
    return [float(each) for each in (np.median(values), np.min(values), np.max(values))]


def spreads(values: Any) -> dict[str, list[float]]:
    """Return those of the clock on the wall, and of the processor."""
    wall, processor = np.transpose(values)
    return {"wall": spread(wall), "processor": spread(processor)}


def shown(values: list[float], form: str) -> str:
    median, low, high = (format(value, form) for value in values)
    return f"{median} ({low} to {high})"


def dataset_of(store: Any) -> SpectraDataset:
    n_rows = store.shape[0]
    return SpectraDataset(TrainingData(SpectraArray(store), np.ones(n_rows)), np.arange(n_rows))


def rates_of(store: Any) -> dict[str, dict[str, list[float]]]:
    """Spectra a second of each way through one store, in turn."""
    dataset = dataset_of(store)
    kept = np.empty((BATCH, store.shape[1]), dtype=store.dtype)
    generator = torch.Generator().manual_seed(SEED)
    batches = np.random.default_rng(SEED).permutation(store.shape[0]).reshape(-1, BATCH)

    def raw() -> None:
        for rows in batches:
            store.read_into(kept, rows)

    def numpy() -> None:
        for rows in batches[:10]:
            unique, back = np.unique(rows, return_inverse=True)
            flux = store[unique].astype(np.float32)[back]
            assert not np.isinf(flux).any()

    def training(shuffle_block: int, *, prefetch: bool) -> None:
        loader = make_loader(dataset, BATCH, generator, shuffle_block=shuffle_block)
        for batch in ahead(dataset, loader) if prefetch else loader:
            assert batch.flux.dtype == torch.float32

    ways: dict[str, tuple[Callable[[], None], int]] = {
        "reading alone, float16": (raw, store.shape[0]),
        "as numpy does it": (numpy, 10 * BATCH),
        "training batches": (lambda: training(1, prefetch=False), store.shape[0]),
        "training batches, prefetched": (lambda: training(1, prefetch=True), store.shape[0]),
        "prefetched, blocks of 64": (lambda: training(64, prefetch=True), store.shape[0]),
    }
    for way, _ in ways.values():  # warm
        way()
    rates: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for _ in range(N_ROUNDS):
        for name, (way, n_read) in ways.items():
            rates[name].append(n_read / seconds(way))
    found = {name: spreads(each) for name, each in rates.items()}
    ratio = np.array(rates["training batches"]) / np.array(rates["as numpy does it"])
    return found | {"training batches / as numpy does it": spreads(ratio)}


def measure_rates() -> dict[str, Any]:
    flux = spectra(N_SPECTRA, N_PIXELS)
    record = {}
    for name, write in STORES.items():
        with tempfile.TemporaryDirectory() as folder:
            record[name] = rates_of(write(flux, folder))
        print(f"Spectra of {N_PIXELS} pixels a second, warm {name}, float16:")
        for way, found in record[name].items():
            form = ".2f" if "/" in way else ".0f"
            of_processor = shown(found["processor"], form)
            print(f"  {way:38s}{shown(found['wall'], form):26s}processor: {of_processor}")
    return record


def network_of(flux: np.ndarray, kind: str) -> Autoencoder:
    """Build an autoencoder for these spectra, as `fit` does."""
    n_pixels = flux.shape[1]
    scaler = flux_scaler(flux, np.arange(len(flux)), np.ones(len(flux)))
    parts = (ENCODERS[kind], (n_pixels, 8), {}), (DECODERS[kind], (8, n_pixels), {})
    return Autoencoder(*build_parts(SEED, *parts), scaler, 8)


def step(network: Autoencoder, optimizer: torch.optim.Optimizer, flux: torch.Tensor) -> float:
    optimizer.zero_grad()
    loss = masked_l1(network(flux).reconstruction, network.target(flux)).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def waiting(store: Any, kind: str, batch_size: int, n_steps: int) -> dict[str, Any]:
    """Share of the time of a training that waits for batches, with and without prefetch."""
    dataset = dataset_of(store)
    network = network_of(SpectraArray(store)[: 2 * batch_size].to_numpy(), kind).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    record = {}
    for name in ("without prefetch", "with prefetch"):
        loader = make_loader(
            dataset, batch_size, torch.Generator().manual_seed(SEED), shuffle_block=1
        )
        batches = ahead(dataset, loader) if name == "with prefetch" else (each for each in loader)
        waited, steps = [], []
        with closing(batches):
            for _ in range(n_steps + 2):
                start = time.perf_counter()
                flux = next(batches).flux
                there = time.perf_counter()
                step(network, optimizer, flux)
                waited.append(there - start)
                steps.append(time.perf_counter() - there)
        # The first steps find an empty queue and new memory.
        share = sum(waited[2:]) / (sum(waited[2:]) + sum(steps[2:]))
        record[name] = {"share": share, "seconds a step": float(np.median(steps[2:]))}
    return record


def measure_waiting() -> dict[str, Any]:
    record = {}
    for name, (n_pixels, batch_size, kind, *_) in FITS.items():
        n_steps = 8 if kind == "conv" else 40
        with tempfile.TemporaryDirectory() as folder:
            n_spectra = (n_steps + 2) * batch_size
            record[name] = waiting(
                write_npy(spectra(n_spectra, n_pixels), folder), kind, batch_size, n_steps
            )
        for way, found in record[name].items():
            print(
                f"Waits for data, {name}, {way}: {100 * found['share']:.2f} % of the time, "
                f"steps of {found['seconds a step']:.3f} s"
            )
    return record


def fit_by_hand(X: np.ndarray, batch_size: int, kind: str, n_epochs: int) -> Autoencoder:
    generator = torch.Generator().manual_seed(SEED)
    flux, order = torch.from_numpy(X), torch.randperm(len(X), generator=generator)
    valid, train = order.split([max(1, round(0.1 * len(X))), len(X) - max(1, round(0.1 * len(X)))])
    network = network_of(X[train.numpy()], kind)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    n_steps = n_epochs * -(-len(train) // batch_size)
    n_done, best, weights = 0, np.inf, {}
    for _ in range(n_epochs):
        network.train()
        for rows in train[torch.randperm(len(train), generator=generator)].split(batch_size):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * rise_and_fall(n_done, n_steps)
            step(network, optimizer, flux[rows])
            n_done += 1
        network.eval()
        total = 0.0
        with torch.no_grad():
            for rows in valid.split(batch_size):
                some = flux[rows]
                error = masked_l1(network(some).reconstruction, network.target(some))
                total += error.sum().item()
        if total < best:
            best, weights = total, copy.deepcopy(network.state_dict())
    network.load_state_dict(weights)
    return network


def measure_overhead() -> dict[str, Any]:
    record = {}
    for name, (n_pixels, batch_size, kind, n_spectra, n_epochs, limit) in FITS.items():
        X = spectra(n_spectra, n_pixels).astype(np.float32)
        model = SpectralAutoencoder(
            8,
            encoder=kind,
            decoder=kind,
            max_epochs=n_epochs,
            batch_size=batch_size,
            learning_rate=LEARNING_RATE,
            patience=None,
            device="cpu",
            random_state=SEED,
        )

        def plainly(X=X, arguments=(batch_size, kind, n_epochs)) -> None:
            fit_by_hand(X, *arguments)

        def by_hand(plainly=plainly) -> None:
            with keep_freed_memory():
                plainly()

        def by_fit(X=X, model=model) -> None:
            model.fit(X)

        by_hand(), by_fit()  # what is done once in a process
        ratios, control, plain = [], [], []
        for number in range(N_ROUNDS):
            turn = [by_hand, by_fit, by_hand, plainly]
            first, ours, second, third = map(seconds, turn)
            ratios.append(ours / (0.5 * (first + second)))
            plain.append(ours / third)
            control.append(first / second if number % 2 else second / first)
        record[name] = {
            "fit / by hand": spreads(ratios),
            "by hand / by hand (control)": spreads(control),
            "fit / by hand, freed memory handed back": spreads(plain),
            "limit": limit,
            "seconds by hand": float(second[0]),
        }
        print(f"Fit / loop by hand, {name}, limit {limit}:")
        for what, found in record[name].items():
            if isinstance(found, dict):
                wall, processor = (shown(each, ".3f") for each in found.values())
                print(f"  {what:42s}{wall:26s}processor: {processor}")
    return record


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
    record: dict[str, Any] = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seed": SEED,
        "rates": measure_rates(),
        "waiting": measure_waiting(),
        "overhead": measure_overhead(),
    }
    missed = [
        f"{ratio:.3f} of at most {found['limit']} for {name}"
        for name, found in record["overhead"].items()
        if (ratio := found["fit / by hand"]["processor"][0]) > found["limit"]
    ]
    rate = record["rates"][".npy"]["training batches"]["wall"][0]
    if rate < TARGET_RATE:
        missed.append(f"{rate:.0f} of {TARGET_RATE:.0f} spectra a second")
    record["missed"] = missed
    print("Missed: " + "; ".join(missed) if missed else "Both targets are met.")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "feeding.json").write_text(json.dumps(record, indent=2) + "\n")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
