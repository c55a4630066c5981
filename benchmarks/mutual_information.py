"""Compare `histogram_mutual_information` with ``np.histogram2d`` in loops, on an archive's size.

270,000 spectra, 128 latents, 6 labels, 6 scales. The loop over all 4,608 tables takes minutes, so
both sides are timed in turn on the same sample of latents with all labels and scales; each sample
gives a ratio, and their median is printed, with a control that times the same function on both
sides. The tables of the sample are compared, count by count. The full size is then run once by
itself, for its seconds and its peak memory. Seconds belong to the machine; the ratio is the claim.
Run ``python benchmarks/mutual_information.py [record.json]``.
"""

import json
import resource
import sys
import time

import numpy as np

from specvae.metrics import histogram_mutual_information
from specvae.metrics._bins import DEFAULT_BINS
from specvae.metrics._histogram_information import PairInformation, bin_columns

N_SPECTRA = 270_000
N_LATENTS = 128
N_LABELS = 6
N_ROUNDS = 8
N_SAMPLED = 4
CLAIMED_RATIO = 10.0


def example(seed=0):
    """Codes in float32 and labels that some of them know of."""
    rng = np.random.default_rng(seed)
    codes = rng.standard_normal((N_SPECTRA, N_LATENTS), dtype=np.float32)
    labels = rng.standard_normal((N_SPECTRA, N_LABELS))
    labels += codes[:, :N_LABELS]
    return codes, labels


def plug_in(counts):
    """Mutual information in nats of a table of counts."""
    share = counts / counts.sum()
    expected = share.sum(axis=1, keepdims=True) * share.sum(axis=0)
    filled = share > 0
    return (share[filled] * np.log(share[filled] / expected[filled])).sum()


def in_loops(codes, labels):
    codes = codes.astype(np.float64)
    return np.array(
        [
            [
                [plug_in(np.histogram2d(code, label, n_bins)[0]) for code in codes.T]
                for n_bins in DEFAULT_BINS
            ]
            for label in labels.T
        ]
    )


def at_once(codes, labels):
    return histogram_mutual_information(codes, labels, DEFAULT_BINS)


def seconds(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def count_differences(codes, labels):
    """Cells of all tables whose count is not that of ``np.histogram2d``."""
    wrong = 0
    binned = bin_columns(codes, DEFAULT_BINS, binning="width")
    ((root, scales),) = binned.families
    counter = PairInformation(binned, len(DEFAULT_BINS))
    for label in labels.T:
        of_label = bin_columns(label[:, None], DEFAULT_BINS, binning="width").columns[0][0]
        for code, place in zip(codes.T.astype(np.float64), binned.columns[0], strict=True):
            table = counter.joint_counts(
                place[None] - place.min() // root**2 * root**2, of_label, root
            )[0]
            for halvings, scale in scales:
                n_bins, width = root >> halvings, 1 << halvings
                ours = table.reshape(n_bins, width, n_bins, width).sum(axis=(1, 3))
                wrong += int((ours != np.histogram2d(code, label, DEFAULT_BINS[scale])[0]).sum())
    return wrong


def measure():
    codes, labels = example()
    ratios, control = [], []
    for number in range(N_ROUNDS):
        sample = codes[:, number * N_SAMPLED : (number + 1) * N_SAMPLED]
        slow, expected = seconds(in_loops, sample, labels)
        fast, found = seconds(at_once, sample, labels)
        again, _ = seconds(at_once, sample, labels)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
        ratios.append(slow / fast)
        control.append(fast / again)
    wrong = count_differences(codes[:, :N_SAMPLED], labels)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    full, _ = seconds(at_once, codes, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "spectra, latents, labels, bins": [N_SPECTRA, N_LATENTS, N_LABELS, list(DEFAULT_BINS)],
        "pairs of columns timed on both sides": N_ROUNDS * N_SAMPLED * N_LABELS,
        "cells whose counts differ": wrong,
        "loop / at once": float(np.median(ratios)),
        "lowest and highest ratio": [min(ratios), max(ratios)],
        "at once / at once (control)": float(np.median(control)),
        "full size, seconds on this machine": full,
        "peak memory of the process, MiB": peak / 1024,
        "of which above the peak before, MiB": (peak - before) / 1024,
        "codes and labels themselves, MiB": (codes.nbytes + labels.nbytes) / 2**20,
    }


def main():
    record = measure()
    for name, value in record.items():
        print(f"{name:40s}{value if not isinstance(value, float) else round(value, 2)}")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(record, file, indent=2)
    assert record["cells whose counts differ"] == 0
    found = record["loop / at once"]
    assert found >= CLAIMED_RATIO, f"{found:.2f} times as fast, {CLAIMED_RATIO} claimed"


if __name__ == "__main__":
    main()
