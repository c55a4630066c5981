"""Parameters and time of the published networks: ``python benchmarks/evidence/timing.py``.

Table 9 of Cvrcek et al. 2025. The six models are built from the package's networks at 327,680
pixels; weights are random, since neither number depends on them. Parameters are counted. Each model
gets a batch of 32 spectra (or codes), as in the paper, on one thread, in rounds in which each model
is timed once; and on a GPU, where there is one, after a warm-up and with the device waited for
(neither of which the published code does). An autoencoder encodes and decodes, the variational
ones their mean.

The ratio to eager code is read from benchmarks/results/speed.json, in which `benchmarks/speed.py`
timed the published networks, written down layer by layer, and ours in turn on one machine; of an
autoencoder it is the ratio of the sums over its two parts. The forward model's time is read from
benchmarks/results/simulation_speed.json.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _evidence import RESULTS, Claim, Evidence, Options, Table, Verdict, parse_options
from torch import nn

from specvae.estimators._compute import Compute
from specvae.networks import ConvDecoder, ConvEncoder, ResNetDecoder

HARPS_PIXELS = 327_680
BATCH = 32  # of the published times
ATLAS9_S, ETC_S = 89.0, 27.0


@dataclass(frozen=True)
class Model:
    """A row of table 9."""

    name: str
    n_latents: int
    n_heads: int  # outputs of the encoder for each latent; 0 without an encoder
    decoder: type[nn.Module] | None
    published_parameters: float  # millions
    published_cpu_ms: float
    published_gpu_ms: float
    parts: tuple[str, ...]  # names in speed.json


RESNET, CONV = "resnet decoder", "conv decoder"
MODELS = (
    Model("beta-VAE (U*), CNN-CNN", 128, 2, ConvDecoder, 7.0, 113.8, 0.386, ("vae",)),
    Model("infoVAE, CNN-ResNet", 32, 2, ResNetDecoder, 14.0, 779.6, 3.970, ("encoder", RESNET)),
    Model("AE, CNN-ResNet", 9, 2, ResNetDecoder, 13.3, 795.0, 3.910, ("encoder", RESNET)),
    Model("encoder, CNN", 6, 1, None, 1.5, 38.4, 0.190, ("encoder",)),
    Model("decoder, CNN", 6, 0, ConvDecoder, 1.7, 76.3, 0.217, (CONV,)),
    Model("decoder, ResNet", 6, 0, ResNetDecoder, 11.6, 729.9, 3.694, (RESNET,)),
)


@dataclass(frozen=True)
class Sizes:
    """Pixels of what is timed, and how often."""

    n_pixels: int
    batch: int
    n_rounds: int


SIZES = {
    "test": Sizes(1024, 2, 1),
    "cpu": Sizes(HARPS_PIXELS, BATCH, 5),
    "full": Sizes(HARPS_PIXELS, BATCH, 20),
}


class Pair(nn.Module):
    """Encoder and decoder; of the encoder's outputs the decoder gets the means."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, n_latents: int):
        super().__init__()
        self.encoder, self.decoder, self.n_latents = encoder, decoder, n_latents

    def forward(self, flux):
        return self.decoder(self.encoder(flux)[:, : self.n_latents])


def build(model: Model, n_pixels: int) -> nn.Module:
    """Return the network of a row."""
    if model.n_heads == 0:
        return model.decoder(model.n_latents, n_pixels)
    encoder = ConvEncoder(n_pixels, model.n_heads * model.n_latents)
    if model.decoder is None:
        return encoder
    return Pair(encoder, model.decoder(model.n_latents, n_pixels), model.n_latents)


def count_parameters(model: Model) -> int:
    """Parameters at the length of HARPS, counted without memory for them."""
    with torch.device("meta"):
        network = build(model, HARPS_PIXELS)
    return sum(parameter.numel() for parameter in network.parameters())


def batch_for(model: Model, sizes: Sizes) -> torch.Tensor:
    width = sizes.n_pixels if model.n_heads else model.n_latents
    return torch.randn(sizes.batch, width, generator=torch.Generator().manual_seed(0))


def cpu_times(sizes: Sizes) -> dict[str, list[float]]:
    """Milliseconds a spectrum of each model in each round, on one thread."""
    networks = {model.name: build(model, sizes.n_pixels).eval() for model in MODELS}
    batches = {model.name: batch_for(model, sizes) for model in MODELS}
    times: dict[str, list[float]] = {model.name: [] for model in MODELS}
    for k in range(sizes.n_rounds + 1):
        for name, network in networks.items():
            with torch.inference_mode(), Compute("float32", 1).on(network):
                start = time.perf_counter()
                network(batches[name])
                seconds = time.perf_counter() - start
            if k:  # the first round warms up
                times[name].append(1e3 * seconds / sizes.batch)
        print(f"round {k} of {sizes.n_rounds}", flush=True)
    return times


def gpu_times(sizes: Sizes) -> dict[str, list[float]] | None:
    """Milliseconds a spectrum on the GPU; None where there is none."""
    if not torch.cuda.is_available():
        return None
    times: dict[str, list[float]] = {}
    for model in MODELS:
        network = build(model, sizes.n_pixels).eval().to("cuda")
        batch = batch_for(model, sizes).to("cuda")
        times[model.name] = []
        with torch.inference_mode(), Compute("float32").on(network):
            for k in range(sizes.n_rounds + 3):
                torch.cuda.synchronize()
                start = time.perf_counter()
                network(batch)
                torch.cuda.synchronize()
                if k >= 3:
                    times[model.name].append(1e3 * (time.perf_counter() - start) / sizes.batch)
    return times


def recorded_ms(variant: str) -> dict[str, float]:
    """Milliseconds a spectrum of each row, by speed.json: one thread, batches of 32."""
    record = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    of_part = {
        row["network"]: row["variants"][variant]["ms a spectrum"]
        for row in record["timings"]
        if row["n_threads"] == 1 and row["batch"] == BATCH
    }
    return {model.name: sum(of_part[part] for part in model.parts) for model in MODELS}


def nearer_to_ms(published: float, here_ms: float) -> bool:
    """Whether a published number is nearer to milliseconds than to tenths of them, as logarithms.

    The published code multiplies seconds by 100 under the heading of milliseconds; a column made
    like that would hold tenths of the true numbers.
    """
    return bool(abs(np.log10(published / here_ms)) < abs(np.log10(10.0 * published / here_ms)))


def verdict(holds: bool) -> Verdict:
    return "holds" if holds else "fails"


def tables_of(
    parameters: dict[str, int],
    cpu: dict[str, list[float]],
    gpu: dict[str, list[float]] | None,
    eager: dict[str, float],
    ours: dict[str, float],
    simulator: dict[str, float],
) -> list[Table]:
    """Return the two tables."""
    rows = []
    for model in MODELS:
        times = cpu[model.name]
        on_gpu = f"{np.median(gpu[model.name]):.3f}" if gpu else "no GPU here"
        rows.append(
            [
                model.name,
                model.n_latents,
                f"{parameters[model.name]:,}",
                f"{model.published_parameters} M",
                f"{np.median(times):.1f} ({min(times):.1f} to {max(times):.1f})",
                f"{eager[model.name]:.0f}",
                round(eager[model.name] / ours[model.name], 1),
                model.published_cpu_ms,
                on_gpu,
                model.published_gpu_ms,
            ]
        )
    models = Table(
        "Parameters, and milliseconds for one spectrum",
        [
            "model",
            "code",
            "parameters",
            "published",
            "CPU here, ms (range)",
            "eager code, ms",
            "eager / package, that run",
            "published CPU, ms",
            "GPU here, ms",
            "published GPU, ms",
        ],
        rows,
        "CPU here: one thread, batches of 32, median of the rounds of this run. The machine is "
        "shared with other programs, so that milliseconds of different runs differ by a factor of "
        "two or three; only ratios of one run mean something. Eager code and its ratio are of "
        "one run of `benchmarks/speed.py`, which writes the published layers down as published. "
        "The autoencoders have two outputs for each latent, as published; the package's "
        "deterministic SpectralAutoencoder has one.",
    )
    named = {
        "ATLAS9, published": ATLAS9_S,
        "ETC with its download, published": ETC_S,
        "forward model here, a new star": simulator["rest spectrum, any star"]
        + simulator["redraw"],
        "forward model here, another exposure": simulator["redraw"],
        "decoder, ResNet, here": float(np.median(cpu["decoder, ResNet"])) / 1e3,
        "decoder, CNN, here": float(np.median(cpu["decoder, CNN"])) / 1e3,
    }
    rows = [[name, f"{value:.3g}", f"{ATLAS9_S / value:.3g}"] for name, value in named.items()]
    simulators = Table(
        "One simulated HARPS spectrum on one core",
        ["by", "seconds", "ATLAS9's 89 s / this"],
        rows,
        "The forward model's times are of simulation_speed.json, another run. It is closed-form "
        "physics and far simpler than ATLAS9, to which the last column is a comparison of costs "
        "only, between different machines.",
    )
    return [models, simulators]


def claims_of(
    parameters: dict[str, int],
    cpu: dict[str, list[float]],
    gpu: dict[str, list[float]] | None,
    eager: dict[str, float],
    simulator: dict[str, float],
) -> list[Claim]:
    """Return the claims of table 9 and of the text beside it."""
    source = "Cvrcek et al. 2025, table 9"
    medians = {name: float(np.median(times)) for name, times in cpu.items()}
    same = all(
        round(parameters[model.name] / 1e6, 1) == model.published_parameters for model in MODELS
    )
    in_ms = [nearer_to_ms(model.published_cpu_ms, eager[model.name]) for model in MODELS]
    slowest = max(medians, key=medians.__getitem__)
    speedup = 1e3 * ATLAS9_S / medians[slowest]
    ratio = medians["decoder, ResNet"] / medians["decoder, CNN"]
    new_star = simulator["rest spectrum, any star"] + simulator["redraw"]
    names = ("beta-VAE (U*), CNN-CNN", "infoVAE, CNN-ResNet")
    gpu_text, on_gpu = "no GPU here", "cannot be told here"
    if gpu:
        found = [float(np.median(gpu[name])) for name in names]
        gpu_text = f"{found[0]:.3f} and {found[1]:.3f} ms, with the device waited for."
        on_gpu = verdict(found[0] <= 0.386 and found[1] <= 3.970)
    return [
        Claim(
            source,
            "The models have 7.0, 14.0, 13.3, 1.5, 1.7 and 11.6 million parameters.",
            ", ".join(f"{parameters[model.name]:,}" for model in MODELS) + ".",
            verdict(same),
        ),
        Claim(
            source,
            "The CPU column, 38.4 to 795.0, is in milliseconds.",
            "Published over eager code here: "
            + ", ".join(f"{model.published_cpu_ms / eager[model.name]:.2f}" for model in MODELS)
            + "; the public code multiplies seconds by 100, which would make these about 0.1 on "
            "like machines.",
            verdict(all(in_ms)),
        ),
        Claim(
            "Cvrcek et al. 2025, section 4.3 and table 9",
            "Even the slowest model takes only 795 ms on one CPU core, over a hundred times less "
            "than the 89 s of ATLAS9.",
            f"The slowest here, {slowest}, takes {medians[slowest]:.0f} ms, {speedup:.0f} times "
            f"less than their ATLAS9; the package's forward model takes {1e3 * new_star:.0f} ms "
            "for a new star, so that a network saves time against ATLAS9, not against every "
            "simulator.",
            verdict(speedup > 100.0),
        ),
        Claim(
            source,
            "The CNN decoder, 76.3 ms, is faster than the ResNet decoder, 729.9 ms (9.6 times).",
            f"{ratio:.1f} times in the rounds of this run, "
            f"{eager['decoder, ResNet'] / eager['decoder, CNN']:.1f} times for eager code.",
            verdict(ratio > 1.0),
        ),
        Claim(
            source,
            "On a GPU the CNN-CNN model takes just 0.386 ms, infoVAE CNN-ResNet 3.970 ms.",
            gpu_text,
            on_gpu,
        ),
    ]


def run(options: Options) -> Evidence:
    """Count, time and compare."""
    sizes = SIZES[options.size]
    parameters = {model.name: count_parameters(model) for model in MODELS}
    cpu, gpu = cpu_times(sizes), gpu_times(sizes)
    eager, ours = recorded_ms("eager"), recorded_ms("float32")
    record = json.loads((RESULTS / "simulation_speed.json").read_text(encoding="utf-8"))
    simulator = record["HARPS"]
    numbers: dict[str, Any] = {
        "parameters": parameters,
        "CPU ms": cpu,
        "GPU ms": gpu,
        "eager ms of speed.json": eager,
        "float32 ms of speed.json": ours,
    }
    return Evidence(
        name="timing",
        title="Parameters and time of the published networks",
        question="Do table 9's parameters and times of Cvrcek et al. come out again, and what does "
        "a spectrum cost here?",
        seeds=[0],
        chosen_on=[],
        reported_on=["no stars: random numbers through networks with random weights"],
        does_not_show=[
            "Absolute times: the machine is shared, and is not that of the paper. Ratios of one "
            "run are what to compare.",
            "ATLAS9 and the ETC themselves: their 89 s and 27 s are the paper's, the latter with "
            "the time of a download, for which the paper itself calls it unreliable.",
            "Reading spectra from a disk, which the paper finds to take 7 to 384 ms a batch of 32; "
            "see docs/scale.md.",
            "Training times, and anything about how good the networks are.",
        ],
        settings={
            "Pixels": sizes.n_pixels,
            "Batch": sizes.batch,
            "Rounds": sizes.n_rounds,
            "Precision": "float32, one thread",
        },
        tables=tables_of(parameters, cpu, gpu, eager, ours, simulator),
        claims=claims_of(parameters, cpu, gpu, eager, simulator),
        numbers=numbers,
    )


def main() -> None:
    options = parse_options(__doc__)
    run(options).write(options)


if __name__ == "__main__":
    main()
