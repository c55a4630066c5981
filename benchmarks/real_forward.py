"""Compare simulated spectra with observed ones of stars whose labels are known.

Both sides, degraded to one resolution, are divided by a running high quantile, since the observed
continuum is not calibrated; then they are correlated. Labels come from catalogues and are not
fitted; the velocity is, since it is no part of the comparison. Run
``python benchmarks/real_forward.py`` (needs matplotlib); it writes
benchmarks/results/real_forward.json and pictures beside it.

Printed for each star, at R = 2,000 over 4000 to 6800 Angstrom and at R = 20,000 over 5000 to 6500:
the correlation with the default line list, with the default list without its invented lines, with
lines whose positions and strengths come from the mask of the star's type, with and without those
strong lines that masks leave out, and as a control the simulation moved by 3 Angstrom. Each is also
given for windows of 400 Angstrom, to say where the model fails.
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
from astropy.table import Table
from matplotlib import pyplot
from scipy.ndimage import gaussian_filter1d, percentile_filter

from specvae.simulation import LineList, StellarSpectrumSimulator, default_line_list
from specvae.spectra import HARPS_GRID, read_spectrum, resample_flux

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared/data"
RESULTS = ROOT / "benchmarks/results"

# Sun: IAU 2015; the others: SWEET-Cat, 2024 (catalogue rows of these names).
STARS = {
    "Sun": ("Sun_Ganymede_HARPS", "G2", 5772.0, 4.44, 0.00, 2.0),
    "HD189733": ("HARPS.2007-08-29T00-02-50.897_s1d_A", "K2", 4969.0, 4.31, -0.07, 3.0),
    "38Vir": ("38Vir_HARPS_2017", "G2", 6440.0, 4.42, 0.16, 20.0),
    "Gl581": ("Gl581_HARPS.2010-09-18T23-42-36.178_s1d_A", "M2", 3248.0, 4.96, -0.20, 2.0),
}
RANGES = {2_000: (4000.0, 6800.0), 20_000: (5000.0, 6500.0)}
# Half an echelle order: where orders meet, every 40 to 75 Angstrom, the pipeline leaves steps of 2
WINDOW_AA = {2_000: 30.0, 20_000: 25.0}
HIGH_PERCENTILE = 90
CLAIMS = {("Sun", 2_000, "default"): 0.8, ("HD189733", 2_000, "default"): 0.8}
CLAIMS["Sun", 20_000, "mask + famous"] = 0.7
GAP_AA = (5295.0, 5345.0)
TELLURIC_AA = ((6276.0, 6330.0), (6860.0, 6910.0))

# The masks give contrasts, in units of about 0.45 of the continuum (median over solar lines).
DEPTH_PER_CONTRAST = 0.45


def normalised(flux, wavelength_aa, resolution):
    """Flux at one resolution on a coarse axis, over its running high quantile."""
    low_aa, high_aa = RANGES[resolution]
    n_pixels = int(np.log((high_aa + 100.0) / (low_aa - 100.0)) * 4 * resolution)
    axis_aa = np.geomspace(low_aa - 100.0, high_aa + 100.0, n_pixels)
    step_aa = np.median(np.diff(wavelength_aa))
    sigma = 0.5 * (low_aa + high_aa) / (resolution * 2.355) / step_aa
    # Missing pixels carry no weight.
    seen = np.isfinite(flux)
    smooth = gaussian_filter1d(np.where(seen, flux, 0.0).astype(float), sigma)
    weight = gaussian_filter1d(seen.astype(float), sigma)
    smooth[weight > 0.5] /= weight[weight > 0.5]
    smooth[weight <= 0.5] = np.nan
    coarse = np.interp(axis_aa, wavelength_aa, smooth)
    width = int(WINDOW_AA[resolution] / (high_aa - low_aa) * len(axis_aa))
    filled = pd.Series(coarse).interpolate(limit_direction="both").to_numpy()
    high = gaussian_filter1d(percentile_filter(filled, HIGH_PERCENTILE, size=width), width / 4)
    return axis_aa, coarse / high


def good_pixels(axis_aa, resolution):
    low_aa, high_aa = RANGES[resolution]
    good = (axis_aa > low_aa) & (axis_aa < high_aa)
    for start_aa, stop_aa in (GAP_AA, *TELLURIC_AA):
        good &= (axis_aa < start_aa) | (axis_aa > stop_aa)
    return good


def correlation(one, other, good):
    good = good & np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[good], other[good])[0, 1])


def mask_lines(path):
    """Lines at the positions of a mask, of iron, as strong as its contrasts ask in the Sun.

    Depths say nothing once a line is saturated: they become equivalent widths, with the width of a
    weak simulated line, and these become oscillator strengths by the simulated curve of growth.
    """
    table = Table.read(path)
    wavelength_aa = np.array(table["lambda"], dtype=float)
    depth = np.clip(DEPTH_PER_CONTRAST * np.array(table["contrast"], dtype=float), 0.0, 0.95)
    strength, width_kms, depths = solar_growth()
    wanted_kms = depth * width_kms[0] / depths[0]
    return pd.DataFrame(
        {
            "species": "Fe 1",
            "wavelength_aa": wavelength_aa,
            "excitation_ev": 3.0,
            "log_gf": np.interp(np.log(wanted_kms), np.log(width_kms), strength),
            "damping": 0.0,
            "name": "",
        }
    )


def solar_growth():
    """Equivalent widths (km/s) and depths in the Sun of lone iron lines against their log gf."""
    strength = np.arange(-4.5, 0.1, 0.25)
    centre_aa = 5400.0 + 10.0 * np.arange(len(strength))
    table = {"species": "Fe 1", "wavelength_aa": centre_aa, "excitation_ev": 3.0, "damping": 0.0}
    lines = LineList.from_table(pd.DataFrame({**table, "log_gf": strength}))
    simulator = StellarSpectrumSimulator(HARPS_GRID, lines, atmosphere=False)
    flux = simulated(simulator, *STARS["Sun"][2:])
    width_kms, depth = [], []
    for centre in centre_aa:
        pixels = HARPS_GRID.slice(centre - 4.9, centre + 4.9)
        lost = 1.0 - flux[pixels] / np.linspace(
            flux[pixels][0], flux[pixels][-1], len(flux[pixels])
        )
        width_kms.append(lost.sum() * HARPS_GRID.step / centre * 299_792.458)
        depth.append(lost.max())
    return strength, np.array(width_kms), np.array(depth)


def simulated(simulator, teff_k, logg_dex, mh_dex, vsini_kms, rv_kms=0.0):
    labels = {"teff_k": teff_k, "logg_dex": logg_dex, "mh_dex": mh_dex, "vsini_kms": vsini_kms}
    return simulator.simulate({**labels, "rv_kms": rv_kms}, 0).noiseless_flux[0]


def line_lists(folder, mask):
    """Line lists to compare, by name."""
    everything = default_line_list().to_table()
    drawn = everything["name"] == "drawn"
    famous = everything[~drawn]
    mask_table = mask_lines(folder / "lines" / f"ESPRESSO_{mask}.fits")
    # Masks leave out the strongest lines: those of the default list that they lack are added.
    position = np.sort(mask_table["wavelength_aa"].to_numpy())
    nearest = np.searchsorted(position, famous["wavelength_aa"]).clip(1, len(position) - 1)
    far = np.minimum(
        np.abs(famous["wavelength_aa"] - position[nearest]),
        np.abs(famous["wavelength_aa"] - position[nearest - 1]),
    )
    added = famous[(far > 0.06).to_numpy()]
    tables = {
        "default": everything,
        "real lines": famous,
        "mask": mask_table,
        "mask + famous": pd.concat([mask_table, added]),
    }
    return {name: LineList.from_table(table) for name, table in tables.items()}


def fitted_velocity(observed, spectrum):
    """Velocity in km/s by which `observed` is moved against `spectrum`, on the HARPS grid."""
    pixels = HARPS_GRID.slice(5400.0, 6200.0)
    step = 1e-6
    wavelength_aa = HARPS_GRID.wavelength_aa[pixels]
    axis = np.arange(np.log(5410.0), np.log(6190.0), step)
    sides = []
    for flux in (observed, spectrum):
        fine = np.interp(axis, np.log(wavelength_aa), np.nan_to_num(flux[pixels]))
        fine = fine / gaussian_filter1d(fine, 2000) - 1.0
        sides.append(np.clip(fine, -1.0, 1.0))
    product = np.fft.irfft(np.fft.rfft(sides[0]) * np.conj(np.fft.rfft(sides[1])), len(axis))
    shift = int(np.argmax(product))
    if shift > len(axis) // 2:
        shift -= len(axis)
    return shift * step * 299_792.458


def measure(folder, star):
    file, mask, teff_k, logg_dex, mh_dex, vsini_kms = STARS[star]
    spectrum = read_spectrum(folder / "harps" / f"{file}.fits.gz")
    observed = resample_flux(spectrum.flux, spectrum.wavelength_aa, HARPS_GRID)
    lists = line_lists(folder, mask)
    causes = (teff_k, logg_dex, mh_dex, vsini_kms)
    first = StellarSpectrumSimulator(HARPS_GRID, lists["real lines"], atmosphere=False)
    rv_kms = fitted_velocity(observed, simulated(first, *causes))
    result = {"rv_kms": round(rv_kms, 2)}
    pictures = {}
    for name, lines in lists.items():
        simulator = StellarSpectrumSimulator(HARPS_GRID, lines, atmosphere=False)
        flux = simulated(simulator, *causes, rv_kms)
        for resolution in RANGES:
            axis_aa, seen = normalised(observed, HARPS_GRID.wavelength_aa, resolution)
            _, model = normalised(flux, HARPS_GRID.wavelength_aa, resolution)
            good = good_pixels(axis_aa, resolution)
            entry = result.setdefault(str(resolution), {}).setdefault(name, {})
            entry["r"] = correlation(seen, model, good)
            for low_aa in range(4000, 6800, 400):
                window = good & (axis_aa >= low_aa) & (axis_aa < low_aa + 400)
                if window.sum() > 100:
                    entry[str(low_aa)] = correlation(seen, model, window)
            if name in ("default", "mask + famous"):
                pictures[resolution, name] = (axis_aa, seen, model)
            if name == "default":
                moved = np.interp(axis_aa - 3.0, axis_aa, model)
                result[str(resolution)]["moved by 3 A"] = {"r": correlation(seen, moved, good)}
    return result, pictures


def draw(star, pictures, folder):
    panels = {
        2_000: ((4000, 4700), (4700, 5400), (5400, 6100), (6100, 6800)),
        20_000: ((5160, 5200), (5400, 5440), (5880, 5920), (6150, 6190)),
    }
    for resolution, name in pictures:
        axis_aa, seen, model = pictures[resolution, name]
        figure, axes = pyplot.subplots(4, 1, figsize=(13, 12), layout="constrained")
        for ax, (low_aa, high_aa) in zip(axes, panels[resolution], strict=True):
            part = (axis_aa > low_aa) & (axis_aa < high_aa)
            ax.plot(axis_aa[part], seen[part], "k", lw=0.8, label="observed")
            ax.plot(axis_aa[part], model[part], "C1", lw=0.8, label=f"simulated, {name}")
            ax.set(xlim=(low_aa, high_aa), ylim=(0, 1.3))
        axes[0].legend(loc="lower right")
        axes[0].set_title(f"{star}, R = {resolution}")
        axes[-1].set_xlabel("wavelength in air [Angstrom]")
        kind = name.replace(" ", "_").replace("+", "and")
        figure.savefig(folder / f"forward_{star}_{resolution}_{kind}.png", dpi=80)
        pyplot.close(figure)


def main():
    record = {}
    for star in STARS:
        record[star], pictures = measure(DATA, star)
        draw(star, pictures, RESULTS)
        for resolution in map(str, RANGES):
            print(f"{star}, R = {resolution}, velocity {record[star]['rv_kms']:.2f} km/s")
            for name, entry in record[star][resolution].items():
                windows = "  ".join(
                    f"{low}: {value:.2f}" for low, value in entry.items() if low != "r"
                )
                print(f"  {name:14s} r = {entry['r']:.3f}   {windows}")
    (RESULTS / "real_forward.json").write_text(json.dumps(record, indent=1) + "\n")
    for (star, resolution, name), claimed in CLAIMS.items():
        value = record[star][str(resolution)][name]["r"]
        print(f"{star} R = {resolution} {name}: r = {value:.3f}, wanted {claimed}")
        assert value >= claimed


if __name__ == "__main__":
    main()
