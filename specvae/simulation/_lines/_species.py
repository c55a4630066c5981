"""Names of atoms, ions and molecules as line lists write them."""

import re
from typing import Any

from ._atoms import ELEMENTS, N_STAGES

MOLECULES = ("C2", "CH", "CN", "MgH", "TiO")
"""The molecules that the model knows, by the word of VALD without its 1."""

# Charges 0, 1 and 2 in Roman letters.
_ROMAN = {"I": 1, "II": 2, "III": 3}
_SYMBOLS = {element.number: symbol for symbol, element in ELEMENTS.items()}
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d?)")


def parse_species(word: Any, *, row: str = "") -> str:
    """Return the canonical name of a species, such as "Fe 1", "Ca 2" or "CH 1".

    Known are "Fe 1" and "CH 1" (VALD), "Fe I" and "FeI", the bare names of molecules, and numbers:
    the atomic number, two digits for each atom of a molecule, and behind the point the charge in
    one digit (MOOG, isotopes after it are passed over) or two (Kurucz). "26.1" and 26.01 are
    "Fe 2", "106.0" is "CH 1".

    Parameters
    ----------
    word : str or float
    row : str, default=""
        Where the word was found, for the message.

    Raises
    ------
    ValueError
        If the species is not known.
    """
    text = str(word).strip()
    if re.fullmatch(r"\d+(\.\d*)?", text):
        name = _from_number(text)
    else:
        name = _from_name(text)
    if name is None:
        where = f"{row}: " if row else ""
        raise ValueError(
            f"{where}unknown species {word!r}; known are the elements up to U in the stages 1 to "
            f"{N_STAGES}, written 'Fe 1', 'Fe I', 'FeI' or 26.0 (neutral), 'Fe 2' or 26.01, and "
            f"the molecules {', '.join(MOLECULES)} ('CH 1' or 'CH')."
        )
    return name


def split_species(species: str) -> tuple[str, int]:
    """Return the element or molecule of a canonical name, and the stage: ("Fe", 2) of "Fe 2"."""
    symbol, stage = species.split(" ")
    return symbol, int(stage)


def _from_name(text: str) -> str | None:
    molecule = re.fullmatch(r"(\w+)(\s+1)?", text)
    if molecule and molecule[1] in MOLECULES:
        return f"{molecule[1]} 1"
    # A digit that touches the symbol could count atoms: only Roman letters may.
    atom = re.fullmatch(r"([A-Z][a-z]?)(?:\s+(\d)|\s*(I{1,3}))", text)
    if atom is None or atom[1] not in ELEMENTS:
        return None
    stage = int(atom[2]) if atom[2] else _ROMAN[atom[3]]
    return f"{atom[1]} {stage}" if 1 <= stage <= N_STAGES else None


def _from_number(text: str) -> str | None:
    code, _, digits = text.partition(".")
    first, second = f"{digits}00"[0], f"{digits}00"[1]
    symbol, molecule = _SYMBOLS.get(int(code)), _MOLECULE_NUMBERS.get(int(code))
    if symbol:
        charge = int(second if first == "0" else first)
        return f"{symbol} {charge + 1}" if charge < N_STAGES else None
    # What follows the charge of a molecule are its isotopes: 106.00112 is 12CH.
    return f"{molecule} 1" if molecule and first == "0" else None


def _molecule_number(molecule: str) -> int:
    atoms = [
        ELEMENTS[symbol].number
        for symbol, count in _FORMULA.findall(molecule)
        for _ in range(int(count or 1))
    ]
    light, heavy = sorted(atoms)
    return 100 * light + heavy


_MOLECULE_NUMBERS = {_molecule_number(molecule): molecule for molecule in MOLECULES}
