"""What a study is asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.read import Data
from verydeep.errors import InputError, did_you_mean
from verydeep.run.ray_session import check_installed
from verydeep.study.budget import Budget, budget_of
from verydeep.study.claim import Claim
from verydeep.study.claims import TRANSFER
from verydeep.study.claims import claims as claims_of
from verydeep.study.conditions import INITIALISATIONS, Initialisation
from verydeep.study.plan import Part, make_plan
from verydeep.study.recipes import read_settings
from verydeep.system.files import expanded, from_anywhere
from verydeep.system.option_names import option, placeholder
from verydeep.system.settings import Compute


@dataclass(frozen=True)
class Wish:
    """What a study is asked for; see :func:`verydeep.reproduce`.

    Attributes:
        data: As given.
        out: Folder of the study.
        groups: Groups of claims.
        claims: Their claims.
        budget: The named budget.
        hours: Time to fit the sizes to; None takes those of the budget.
        seeds: Number of seeds; None leaves it to the budget.
        initialise: How deeper nets are initialised.
        jobs: Parts at a time.
        layout: Folder layout of the data; None detects it.
        settings: Changes to the recipe, by dotted path.
        compute: Device and precision.
        transfer_data: Another data set for features; None without claims about transfer.
        ray: Address of a Ray cluster that does the parts, or ``local``; None: processes do them.
    """

    data: Data
    out: Path
    groups: tuple[str, ...]
    claims: tuple[Claim, ...]
    budget: Budget
    hours: float | None
    seeds: int | None
    initialise: Initialisation
    jobs: int
    layout: str | None
    settings: Mapping[str, Any]
    compute: Compute
    transfer_data: Data | None = None
    ray: str | None = None

    @classmethod
    def of(
        cls,
        data: Data,
        out: str | Path,
        *,
        claims: Iterable[str] | str,
        budget: str,
        initialise: str,
        settings: Mapping[str, Any] | Iterable[str] | None,
        compute: Compute | str | None,
        **others: Any,
    ) -> Wish:
        """Check what is asked for.

        Raises:
            InputError: A name is unknown, a number is too small, or a setting cannot be used.
        """
        for name in ("hours", "seeds", "jobs"):
            value = others[name]
            if value is not None and not value > 0:
                raise InputError(f"{option(name)} must be above 0, got {value} instead")
        names = claims.split(",") if isinstance(claims, str) else claims
        groups = tuple(name.strip() for name in names)
        _check_transfer(groups, others.get("transfer_data"))
        if others.get("ray") is not None:
            check_installed(f"{option('ray')}")
            # Workers have other working directories.
            data = from_anywhere(data)
            others["transfer_data"] = from_anywhere(others.get("transfer_data"))
            out = expanded(out).absolute()
        way = _initialisation(initialise)
        return cls(
            data=data,
            out=expanded(out),
            groups=groups,
            claims=claims_of(groups, way),
            budget=budget_of(budget),
            initialise=way,
            settings=read_settings(settings or ()),
            compute=Compute.of(compute),
            **others,
        )

    def parts(self, budget: Budget) -> tuple[Part, ...]:
        """Return the parts of the study with the seeds of a budget."""
        needs = (need for claim in self.claims for need in claim.needs)
        return make_plan(needs, range(budget.seeds))


def _check_transfer(groups: tuple[str, ...], data: Data | None) -> None:
    """Refuse claims about transfer without other data, and the other way round."""
    if TRANSFER in groups and data is None:
        raise InputError(
            f"claims about {TRANSFER} need a data set whose classes the nets have not learned: "
            f"give one with {option('transfer_data', placeholder('DATA'))}"
        )
    if data is not None and TRANSFER not in groups:
        raise InputError(
            f"{option('transfer_data')} is for claims about {TRANSFER}, which are not asked for: "
            f"name them in {option('claims')}"
        )


def _initialisation(word: str) -> Initialisation:
    for known in INITIALISATIONS:
        if word == known:
            return known
    raise InputError(
        f"{option('initialise')} must be {' or '.join(INITIALISATIONS)}, got {word!r} instead"
        f"{did_you_mean(word, INITIALISATIONS)}"
    )
