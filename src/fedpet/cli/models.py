"""`fedpet model verify|show`: where does a model come from, and is that true?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import NotFoundError, StoreError

if TYPE_CHECKING:
    from fedpet.privacy.identity import Roster

FILE = click.Path(path_type=Path)
MODEL, PASSPORT = ".safetensors", ".passport.json"
EPSILON = "epsilon {:.3g} spent on its cohort"


@click.command("verify", cls=FedpetCommand, short_help="Is all that a model's passport says true?")
@click.argument("file", type=FILE)
@click.option("--roster", type=FILE, help="The list of hospitals' keys that you trust.")
@click.option("--signer", metavar="FINGERPRINT", help="Whose signature it must be, or its start.")
@click.pass_obj
def verify(terminal: Terminal, file: Path, roster: Path | None, signer: str | None) -> Answer:
    """Check a model's passport, without any network.

    Checks the signature, the digest of the model's file, the plan's fingerprint, the code, and
    what every hospital signed: its statement on the model, its votes, the head of its audit.
    Without --roster the keys are those that the passport itself names; without --signer anyone's
    signature will do. Compare the fingerprint that is shown with the one you were told.

    Reads FILE, NAME.safetensors or NAME.passport.json, and the other of the two beside it. Writes
    nothing. Ends with code 3 if anything does not hold, and names it.

      fedpet model verify runs/pfs-pet-9c41aa02/models/network-federated.safetensors
      fedpet model verify network-federated.passport.json --signer 5d01ab9c

    Next: `fedpet model show FILE` reads it in words.
    """
    from fedpet.federation.passports import verify_passport

    del terminal
    model, passport = _pair(file)
    checks = verify_passport(
        _read(passport),
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest() if model.exists() else None,
        roster=None if roster is None else _roster(roster),
        signer=signer,
    )
    lines = [f"{'ok ' if one.passed else 'NO '} {one.name}: {one.told}" for one in checks]
    failed = [one for one in checks if not one.passed]
    error = None
    if failed:
        error = StoreError(
            f"The passport of '{model.name}' does not hold: {failed[0].name}.",
            why=failed[0].told,
            do="Do not use the model; take both files anew from whoever ran the experiment.",
            code="FP-3061",
        )
    return Answer(
        data={
            "file": model.name,
            "holds": not failed,
            "checks": [
                {"name": one.name, "passed": one.passed, "told": one.told} for one in checks
            ],
        },
        text="\n".join(lines),
        error=error,
    )


@click.command("show", cls=FedpetCommand, short_help="Read a model's passport in words")
@click.argument("file", type=FILE)
@click.pass_obj
def show(terminal: Terminal, file: Path) -> Answer:
    """Read a model's passport in words; whether it is true, `fedpet model verify` tells.

    Reads FILE, NAME.safetensors or NAME.passport.json. Writes nothing.

      fedpet model show runs/pfs-pet-9c41aa02/models/network-federated.safetensors

    Next: `fedpet model verify FILE`.
    """
    from fedpet.federation.passports import read_passport
    from fedpet.privacy.identity import PublicIdentity

    del terminal
    passport, signer = read_passport(_read(_pair(file)[1]))
    try:
        signed_by = PublicIdentity(bytes.fromhex(signer["key"])).fingerprint
        lines = _in_words(passport, signed_by)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            "The passport was altered; it is not what fedpet wrote.",
            do="Take it anew from whoever ran the experiment.",
            code="FP-3060",
        ) from error
    return Answer(data={"passport": passport, "signer": signed_by}, text="\n".join(lines))


def _in_words(passport: dict[str, Any], signed_by: str) -> list[str]:
    model, versions = passport["model"], passport["versions"]
    lines = [
        f"Model       {model['name']}, {model['bytes']} bytes, SHA-256 {model['sha256']}",
        f"Plan        {passport['plan']['fingerprint']}",
        f"Run         {passport['experiment']}, {len(passport['rounds'])} rounds of training",
        f"Code        fedpet {passport['code']['fedpet']}"
        + (f", the plan's own {passport['code']['own'][:16]}" if passport["code"]["own"] else ""),
        f"Computed    {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"Noise       {passport['privacy']['differential_privacy']}",
        f"Signed by   {signed_by}",
        "",
        "Hospitals that signed",
    ]
    for one in passport["statements"]:
        spent = "" if one["epsilon"] is None else f", {EPSILON.format(one['epsilon'])}"
        lines.append(f"  {one['site']}: cohort {one['cohort'][:16]}{spent}")
    lines += [f"  {site}: did not sign. {why}" for site, why in passport["silent"].items()]
    if passport["acceptance"]:
        lines += ["", "Candidates"]
    for one in passport["acceptance"]:
        verdict = "accepted" if one["accepted"] else f"rejected, back to round {one['back_to']}"
        lines.append(
            f"  round {one['round']}: {one['accepts']} of {one['votes']} votes, "
            f"loss {one['loss_before']:.3f} -> {one['loss']:.3f}: {verdict}"
        )
    return lines


def _pair(file: Path) -> tuple[Path, Path]:
    """Return the model's file and its passport, whichever of the two was named."""
    stem = file.name.removesuffix(PASSPORT).removesuffix(MODEL)
    if stem == file.name:
        raise NotFoundError(
            f"'{file.name}' is neither a model nor a passport.",
            do=f"Name a file that ends with {MODEL} or {PASSPORT}.",
            code="FP-6030",
        )
    return file.with_name(stem + MODEL), file.with_name(stem + PASSPORT)


def _read(passport: Path) -> bytes:
    try:
        return passport.read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"There is no passport '{passport.name}'.",
            do="It lies beside the model's file; take both from whoever ran the experiment.",
            code="FP-6030",
        ) from error


def _roster(path: Path) -> Roster:
    from fedpet.privacy.identity import Roster

    try:
        return Roster.from_bytes(path.read_bytes())
    except OSError as error:
        raise NotFoundError(
            f"There is no roster at '{path.name}'.", do="Ask your coordinator for it."
        ) from error
