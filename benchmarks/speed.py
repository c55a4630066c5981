"""The published networks, eager as published and as here: ``python benchmarks/speed.py``.

The encoder, the two decoders and the variational network of Cvrcek et al. 2025 (A&A 693, A256,
appendix B and table 9) are written down plainly, layer by layer, at their 327,680 pixels; those of
the package get the same weights and must give the same output. Then both are timed in one run:
encoding, decoding and training steps, in rounds in which each variant is timed once, so that a busy
machine slows all of them. Ratios are those of one round; the table gives their median, smallest and
largest. "eager again" is the control: the same code as "eager" in another process, whose ratio
would be 1.00 on a quiet machine. Every variant runs in a process of its own, since a training of
the package changes how the C library keeps memory.

Errors are relative, |x - x'| / |x|, against the eager network in float64: with the weights that
torch draws for the eager network, and with those of `initialise`, which keep the signal as large as
in a trained network: with the former the output is little but the biases. What bfloat16 does to
trained weights is measured on labels: a SpectralRegressor is trained on simulated spectra, and the
largest move of a label is given in units of its error.

``--networks encoder "conv decoder"`` takes some of them, of the others the record keeps what an
earlier run found; ``--rounds`` and ``--threads`` say how often and with how many threads. Prints
tables, writes benchmarks/results/speed.json.
"""

import argparse
import json
import multiprocessing as mp
import platform
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from specvae.estimators import SpectralRegressor
from specvae.estimators._compute import Compute
from specvae.estimators._data import Batch
from specvae.estimators._precision import has_native_bfloat16, largest_move, settle_precision
from specvae.networks import ConvDecoder, ConvEncoder, ResNetDecoder, initialise
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

N_PIXELS, N_POSITIONS, N_CHANNELS, N_LATENTS = 327_680, 20, 512, 128
BATCH = 32
SEED = 0
RESULT = Path(__file__).parent / "results" / "speed.json"
# Wanted ratios to eager code of one batch, one thread; bfloat16 on a processor with AMX.
TARGETS = {
    "encoder": {"float32": 5.0, "bfloat16": 7.5},
    "conv decoder": {"float32": 6.5, "bfloat16": 9.0},
    "resnet decoder": {"float32": 7.0, "bfloat16": 9.0},
    "train conv-conv": {"float32": 3.0, "bfloat16": 5.0},
    "train conv-resnet": {"float32": 2.0, "bfloat16": 2.5},
}
LARGEST_ERROR = {"encoder": 1e-6, "conv decoder": 3e-6, "resnet decoder": 1e-4}

ENCODER = tuple(
    zip(
        (7, 5, 5) + (3,) * 11,
        (16,) * 3 + (32,) * 3 + (64,) * 3 + (128,) * 3 + (256, 512),
        strict=True,
    )
)
RESNET = (512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 32, 32, 16, 16, 16)


class EagerEncoder(nn.Module):
    """Table B.1: 14 convolutions of stride 2, one of stride 1, a linear head."""

    def __init__(self, n_outputs: int):
        super().__init__()
        layers, n_in = [], 1
        for kernel, n_out in ENCODER:
            layers += [nn.Conv1d(n_in, n_out, kernel, 2, kernel // 2), nn.LeakyReLU(0.1)]
            n_in = n_out
        layers += [nn.Conv1d(n_in, n_in, 3, 1, 1), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(N_CHANNELS * N_POSITIONS, n_outputs)

    def forward(self, flux):
        return self.head(self.body(flux[:, None]).flatten(1))


class EagerConvDecoder(nn.Module):
    """Table B.2: the encoder in reverse, with transposed convolutions of 4 taps."""

    def __init__(self, n_inputs: int):
        super().__init__()
        self.head = nn.Linear(n_inputs, N_CHANNELS * N_POSITIONS)
        layers, n_in = [nn.ConvTranspose1d(512, 512, 3, 1, 1), nn.LeakyReLU(0.1)], N_CHANNELS
        for n_out in (*[n_out for _, n_out in ENCODER[-2::-1]], 1):
            layers += [nn.ConvTranspose1d(n_in, n_out, 4, 2, 1), nn.LeakyReLU(0.1)]
            n_in = n_out
        self.body = nn.Sequential(*layers)
        self.output = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, code):
        start = self.head(code).view(-1, N_CHANNELS, N_POSITIONS)
        return self.output(self.body(start))[:, 0]


class EagerBlock(nn.Module):
    """Instance norm, ReLU and transposed convolution, twice; beside it a skip of one tap."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.InstanceNorm1d(n_in),
            nn.ReLU(),
            nn.ConvTranspose1d(n_in, n_out, 5, stride, 2, output_padding=stride - 1),
            nn.InstanceNorm1d(n_out),
            nn.ReLU(),
            nn.ConvTranspose1d(n_out, n_out, 5, 1, 2),
        )
        self.upsample = nn.Sequential()
        if stride == 2:
            one_tap = nn.ConvTranspose1d(n_in, n_out, 1, 2, output_padding=1)
            self.upsample = nn.Sequential(nn.InstanceNorm1d(n_in), nn.ReLU(), one_tap)

    def forward(self, values):
        return self.net(values) + self.upsample(values)


class EagerResNetDecoder(nn.Module):
    """The residual decoder as in the published code: 15 blocks with kernels of 5."""

    def __init__(self, n_inputs: int):
        super().__init__()
        self.head = nn.Linear(n_inputs, N_CHANNELS * N_POSITIONS)
        widths = (N_CHANNELS, *RESNET)
        self.blocks = nn.Sequential(
            *(EagerBlock(widths[k], widths[k + 1], 1 if k == 0 else 2) for k in range(len(RESNET)))
        )
        self.output = nn.Conv1d(RESNET[-1], 1, 3, padding=1)

    def forward(self, code):
        start = self.head(code).view(-1, N_CHANNELS, N_POSITIONS)
        return self.output(self.blocks(start))[:, 0]


def pair(name: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """Return the eager network, ours with the same weights, and a batch for both."""
    generator = torch.Generator().manual_seed(SEED)
    flux = torch.randn(BATCH, N_PIXELS, generator=generator)
    code = torch.randn(BATCH, N_LATENTS, generator=generator)
    kinds = {
        "encoder": (ConvEncoder(N_PIXELS, N_LATENTS), EagerEncoder(N_LATENTS), flux),
        "conv decoder": (ConvDecoder(N_LATENTS, N_PIXELS), EagerConvDecoder(N_LATENTS), code),
        "resnet decoder": (ResNetDecoder(N_LATENTS, N_PIXELS), EagerResNetDecoder(N_LATENTS), code),
    }
    if name in kinds:
        ours, eager, batch = kinds[name]
        same_weights(ours, eager)
        return eager, ours, batch
    decoder = {"vae": "conv decoder", "train conv-conv": "conv decoder"}.get(name, "resnet decoder")
    n_outputs = 2 * N_LATENTS if name == "vae" else N_LATENTS
    encoders = ConvEncoder(N_PIXELS, n_outputs), EagerEncoder(n_outputs)
    same_weights(*encoders)
    ours, eager, _ = kinds[decoder]
    same_weights(ours, eager)
    first = nn.Sequential(encoders[1], MeanOf(), eager)
    n_rows = {"vae": BATCH, "train conv-conv": 8}.get(name, 2)
    return first, nn.Sequential(encoders[0], MeanOf(), ours), flux[:n_rows]


class MeanOf(nn.Module):
    """The mean of a code, without its log variance where it has one."""

    def forward(self, code):
        return code[:, :N_LATENTS]


def same_weights(ours: nn.Module, eager: nn.Module, *, as_torch_draws: bool = False) -> None:
    """Give the networks the same weights: those of the eager one, or drawn as ours are."""
    if as_torch_draws:
        names = [name for name, _ in in_order_of_eager(ours)]
        values = eager.state_dict().values()
        ours.load_state_dict(dict(zip(names, values, strict=True)))
        return
    generator = torch.Generator().manual_seed(SEED)
    initialise(ours, generator)
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.ndim == 1:  # biases count too
                parameter.normal_(0.0, 0.05, generator=generator)
    values = [value for _, value in in_order_of_eager(ours)]
    eager.load_state_dict(dict(zip(eager.state_dict(), values, strict=True)))


def in_order_of_eager(ours: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Names and tensors of our network, in the order that the eager one has."""
    state = ours.state_dict().items()
    head = [item for item in state if item[0].startswith("head")]
    rest = [item for item in state if not item[0].startswith("head")]
    is_decoder = isinstance(ours, ConvDecoder | ResNetDecoder)
    return head + rest if is_decoder else rest + head


def worker(connection, name: str, variant: str, n_threads: int) -> None:
    """Time one call of one variant whenever asked."""
    torch.set_num_threads(n_threads)
    eager, ours, batch = pair(name)
    network = (eager if variant.startswith("eager") else ours).eval()
    precision = "bfloat16" if variant.endswith("bfloat16") else "float32"
    compute = Compute(precision, n_threads, compile=variant.startswith("compiled"))
    is_training = name.startswith("train")
    rows = 1 if variant == "eager one by one" else len(batch)
    optimizer = torch.optim.Adam(network.parameters(), 1e-5) if is_training else None

    def step():
        optimizer.zero_grad()
        for part in batch.split(rows):
            loss = (part - network(part)).abs().mean() * (len(part) / len(batch))
            loss.backward()
        optimizer.step()

    def infer():
        for part in batch.split(rows):
            network(part)

    call = step if is_training else infer
    grad = torch.enable_grad() if is_training else torch.inference_mode()
    with grad:
        if variant.startswith("eager"):
            serve(connection, call)
        else:
            with compute.on(network, training=is_training):
                serve(connection, call)


def serve(connection, call) -> None:
    call()
    call()
    connection.send("ready")
    while connection.recv():
        start = time.perf_counter()
        call()
        connection.send(time.perf_counter() - start)


def timed(name: str, variants: list[str], n_rounds: int, n_threads: int) -> dict[str, list[float]]:
    """Seconds of each variant in each round."""
    context = mp.get_context("spawn")
    pipes, processes = {}, []
    for variant in variants:
        pipes[variant], theirs = context.Pipe()
        arguments = (theirs, name, variant, n_threads)
        process = context.Process(target=worker, args=arguments, daemon=True)
        process.start()
        theirs.close()  # so that the end of the worker is the end of the pipe
        processes.append(process)
        assert pipes[variant].recv() == "ready"
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for k in range(n_rounds):
        first = k % len(variants)  # none has the same place in each round
        for variant in variants[first:] + variants[:first]:
            pipes[variant].send(True)
            seconds[variant].append(pipes[variant].recv())
    for process in processes:
        process.terminate()
        process.join()
    return seconds


def summary(base: list[float], other: list[float]) -> dict[str, float]:
    """Ratios base / other of the rounds."""
    ratio = np.array(base) / np.array(other)
    return {"median": np.median(ratio), "min": ratio.min(), "max": ratio.max()}


def errors(name: str, *, as_torch_draws: bool) -> dict[str, float]:
    """Relative error against the eager network in float64, on two spectra."""
    eager, ours, batch = pair(name)
    if as_torch_draws:
        torch.manual_seed(SEED)
        eager = type(eager)(N_LATENTS)
        same_weights(ours, eager, as_torch_draws=True)
    batch = batch[:2]
    with torch.inference_mode():
        found = {"eager float32": eager(batch), "float32": ours(batch)}
        with torch.autocast("cpu", torch.bfloat16):
            found["bfloat16"] = ours(batch)
        exact = eager.double()(batch.double())
        found["float64"] = ours.double()(batch.double())
    return {kind: float((x - exact).norm() / exact.norm()) for kind, x in found.items()}


def moves_of_labels() -> dict[str, float]:
    """Largest move of a label of a trained network by bfloat16, in units of its mean error."""
    grid = WavelengthGrid(5100.0, 0.1, 4096)
    spectra = simulate_spectra(1200, grid, random_state=SEED)
    flux = spectra.flux / np.nanmedian(spectra.flux, axis=1, keepdims=True)
    labels = spectra.labels.iloc[:, :3]
    train, test = slice(0, 1000), slice(1000, 1200)
    model = SpectralRegressor(max_epochs=40, random_state=SEED, n_threads=1)
    model.fit(flux[train], labels[train])
    values = torch.from_numpy(labels[test].to_numpy(dtype=np.float32))
    batch = Batch(torch.from_numpy(flux[test].astype(np.float32)), torch.ones(len(values)), values)
    error = np.abs(model.predict(flux[test]) - labels[test].to_numpy()).mean(axis=0)
    constant = np.abs(labels[test] - labels[train].mean()).mean().to_numpy()
    return {
        "largest move / error": largest_move(model.net_.module_, [batch]),
        "auto chooses": settle_precision(model.net_.module_, [batch]),
        "error / constant's": float((error / constant).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["encoder", "conv decoder", "resnet decoder", "vae", "train conv-conv"]
    names += ["train conv-resnet"]
    parser.add_argument("--networks", nargs="+", default=names, choices=names)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, mp.cpu_count()])
    parser.add_argument("--compile", action="store_true", help="time compiled networks as well")
    chosen = parser.parse_args()
    cpu = torch.device("cpu")
    record: dict = {
        "machine": {
            "processor": processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "native bfloat16": has_native_bfloat16(cpu),
            "AMX": has_amx(),
            "n_cores": mp.cpu_count(),
        },
        "torch": torch.__version__,
        "seed": SEED,
        "errors": {},
        "bfloat16 on trained weights": moves_of_labels(),
        "timings": [],
    }
    print(json.dumps(record["machine"]), "torch", torch.__version__)
    print("bfloat16 on trained weights:", record["bfloat16 on trained weights"])
    missed = []
    move = record["bfloat16 on trained weights"]["largest move / error"]
    if move > 0.1:
        missed.append(f"bfloat16 moves a label by {move:.2f} of its error, 0.1 allowed")
    for name, limit in LARGEST_ERROR.items():
        if name not in chosen.networks:
            continue
        record["errors"][name] = {}
        for weights, as_torch_draws in (("torch's", True), ("initialise's", False)):
            found = errors(name, as_torch_draws=as_torch_draws)
            record["errors"][name][weights] = found
            shown = ", ".join(f"{kind} {value:.1e}" for kind, value in found.items())
            print(f"{name}, {weights} weights: relative errors: {shown}")
            assert found["float64"] < 1e-12, "the outputs are not the same"
            if found["float32"] > limit:
                missed.append(
                    f"{name}: float32 error {found['float32']:.1e} of {limit:.0e} with {weights} "
                    f"weights (eager {found['eager float32']:.1e})"
                )
    variants = ["eager", "eager again", "eager one by one", "float32", "bfloat16"]
    if chosen.compile:
        variants += ["compiled float32", "compiled bfloat16"]
    for n_threads in dict.fromkeys(chosen.threads):
        for name in chosen.networks:
            seconds = timed(name, variants, chosen.rounds, n_threads)
            n_rows = len(pair(name)[2])
            print(f"{name}, {n_threads} threads, batch {n_rows}: ratio to eager [min - max]")
            row = {"network": name, "n_threads": n_threads, "batch": n_rows, "variants": {}}
            for variant in variants:
                to_batch = summary(seconds["eager"], seconds[variant])
                to_single = summary(seconds["eager one by one"], seconds[variant])
                ms = 1e3 * float(np.median(seconds[variant])) / n_rows
                row["variants"][variant] = {
                    "ms a spectrum": ms,
                    "to eager": to_batch,
                    "to eager one by one": to_single,
                }
                wanted = TARGETS.get(name, {}).get(variant)
                note = f"wanted {wanted}" if wanted and n_threads == 1 else ""
                print(
                    f"  {variant:>18} {to_batch['median']:6.2f} "
                    f"[{to_batch['min']:.2f} - {to_batch['max']:.2f}]  to one by one "
                    f"{to_single['median']:5.2f}  {ms:8.1f} ms {note}",
                    flush=True,
                )
                if wanted and n_threads == 1 and to_batch["median"] < wanted:
                    missed.append(f"{name} {variant}: {to_batch['median']:.2f} of {wanted}")
            record["timings"].append(row)
    record["missed"] = missed
    keep_others(record, RESULT)
    print("Missed:", "; ".join(missed) or "nothing")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2, default=float) + "\n")


def keep_others(record: dict, path: Path) -> None:
    """Take over what an earlier run on the same machine measured and this one did not."""
    if not path.exists():
        return
    earlier = json.loads(path.read_text())
    if any(earlier[name] != record[name] for name in ("machine", "torch", "seed")):
        return
    measured = {(row["network"], row["n_threads"]) for row in record["timings"]}
    for row in earlier["timings"]:
        if (row["network"], row["n_threads"]) not in measured:
            record["timings"].append(row)
    record["errors"] = earlier["errors"] | record["errors"]
    networks = {row["network"] for row in record["timings"]} - {name for name, _ in measured}
    record["missed"] += [each for each in earlier["missed"] if each.split(":")[0] in networks]


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def has_amx() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "amx_bf16" in cpuinfo.read_text()


if __name__ == "__main__":
    main()
