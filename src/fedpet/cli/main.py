"""The program `fedpet`: its commands, and the one place where every error ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType

import click

from fedpet import __version__
from fedpet.cli import faults
from fedpet.cli.lazy import Entry, LazyGroup
from fedpet.cli.terminal import Answer, Terminal

PLAN = LazyGroup(
    "plan",
    entries={
        "new": Entry(
            "fedpet.cli.plans:new", "Write a plan to start from, with every key explained"
        ),
        "check": Entry("fedpet.cli.plans:check", "Find every mistake in a plan"),
        "show": Entry(
            "fedpet.cli.plans:show", "Read a plan in words: what is computed, what leaves"
        ),
    },
    short_help="Write, check and read plans",
    help="""Write, check and read plans.

A plan is one file that says what is computed, on whom, and what leaves a hospital. A hospital
approves its fingerprint; nothing is computed for another one.

  fedpet plan new plan.toml      then edit it
  fedpet plan check plan.toml
  fedpet plan show plan.toml

Next: `fedpet run plan.toml --sites FOLDER`.""",
)
IMPORT = LazyGroup(
    "import",
    entries={
        "medicalfolder": Entry(
            "fedpet.cli.cohort_folders:medicalfolder", "Import a MedicalFolderDataset"
        ),
        "bids": Entry("fedpet.cli.cohort_folders:bids", "Import a BIDS data set with PET"),
    },
    short_help="Bring another layout into a hospital's folder",
    help="""Bring another layout of images and tables into a hospital's folder.

The images become DICOM, so that all that is checked in a hospital's own images is checked in them.

  fedpet cohort import medicalfolder data hospitals/lyon --pet-units suv
  fedpet cohort import bids data hospitals/lyon

Next: correct dictionary.toml in the new folder, then `fedpet cohort build FOLDER`.""",
)
COHORT = LazyGroup(
    "cohort",
    entries={
        "import": Entry("fedpet.cli.main:IMPORT", "Bring another layout into a hospital's folder"),
        "dictionary": Entry(
            "fedpet.cli.cohort_folders:dictionary", "Draft a table's data dictionary"
        ),
        "build": Entry("fedpet.cli.cohorts:build", "Turn DICOM and a table into a checked cohort"),
        "show": Entry("fedpet.cli.cohorts:show", "Summarise a built cohort"),
        "check": Entry(
            "fedpet.cli.cohorts:check", "List findings, and what changed since the build"
        ),
        "scans": Entry("fedpet.cli.scans:scans", "List every series, used or not, and why"),
        "lesions": Entry("fedpet.cli.lesions:lesions", "Write lesions as DICOM SEG for a viewer"),
        "suv": Entry("fedpet.cli.suv_log:suv", "Explain how each scan became SUV"),
        "changes": Entry("fedpet.cli.changes:changes", "Compare two scans of each subject"),
        "deidentify": Entry(
            "fedpet.cli.deidentifying:deidentify", "Write images without their patients"
        ),
        "subject": Entry("fedpet.cli.deidentifying:subject", "Tell who is behind a pseudonym"),
    },
    short_help="Build and check a hospital's cohort",
    help="""Build and check a hospital's cohort.

A hospital's folder holds DICOM images, a clinical table with its dictionary, and cohort.toml.
The build reads them and writes FOLDER/cohort, which is all that models read.

  fedpet cohort build hospitals/lyon
  fedpet cohort show hospitals/lyon

Next: `fedpet run PLAN --sites hospitals`.""",
)
PACS = LazyGroup(
    "pacs",
    entries={
        "echo": Entry("fedpet.cli.pacs:echo", "Is the PACS there, and does it know us?"),
        "find": Entry("fedpet.cli.pacs:find", "Which series of a patient list does it have?"),
        "pull": Entry("fedpet.cli.pacs:pull", "Fetch the series of a patient list"),
        "listen": Entry("fedpet.cli.pacs:listen", "Receive what the PACS sends"),
    },
    short_help="Fetch a hospital's images from its PACS",
    help="""Fetch a hospital's images from its PACS: C-ECHO, C-FIND, C-GET, C-MOVE, DICOMweb, TLS.

The PACS and this node must know each other's AE title, host and port. They stand in
HOSPITAL/node/pacs.toml; `fedpet help pacs` shows one.

  fedpet node pacs echo hospitals/lyon
  fedpet node pacs find hospitals/lyon --list patients.csv
  fedpet node pacs pull hospitals/lyon --list patients.csv

Next: `fedpet cohort build HOSPITAL`.""",
)
REQUEST = LazyGroup(
    "request",
    entries={
        "list": Entry("fedpet.cli.requests:list_", "List the plans that ask to compute here"),
        "show": Entry("fedpet.cli.requests:show", "Read a plan in words before deciding"),
        "diff": Entry("fedpet.cli.requests:diff", "What changed since the last version"),
        "approve": Entry("fedpet.cli.requests:approve", "Approve a plan and sign it"),
        "refuse": Entry("fedpet.cli.requests:refuse", "Refuse a plan, with a reason"),
        "withdraw": Entry("fedpet.cli.requests:withdraw", "Take an approval back"),
        "add": Entry("fedpet.cli.requests:add", "Take in a plan that came as a file"),
        "verify": Entry("fedpet.cli.requests:verify", "Check a hospital's signed decision"),
    },
    short_help="Read and decide what may be computed here",
    help="""Read and decide what may be computed here. Nothing is, until a person approves it.

  fedpet node request list hospitals/lyon
  fedpet node request show hospitals/lyon 9c41d2
  fedpet node request approve hospitals/lyon 9c41d2 --person "Anne Martin"

Next: `fedpet node audit list HOSPITAL`.""",
)
POLICY = LazyGroup(
    "policy",
    entries={
        "show": Entry("fedpet.cli.policies:show", "Show the hospital's rules"),
        "set": Entry("fedpet.cli.policies:set_", "Change one of the hospital's rules"),
    },
    short_help="The hospital's own rules",
    help="""The hospital's own rules, which no plan can weaken.

  fedpet node policy show hospitals/lyon
  fedpet node policy set hospitals/lyon subjects_min 20 --person "Anne Martin"

Next: `fedpet node request list HOSPITAL`.""",
)
AUDIT = LazyGroup(
    "audit",
    entries={
        "list": Entry("fedpet.cli.audits:list_", "List what was asked, decided and answered"),
        "verify": Entry("fedpet.cli.audits:verify", "Is the audit whole?"),
        "export": Entry("fedpet.cli.audits:export", "Write the audit as a page or JSON lines"),
    },
    short_help="What was asked, decided and answered",
    help="""What was asked, decided and answered: chained, signed, and known to other hospitals.

  fedpet node audit verify hospitals/lyon
  fedpet node audit export hospitals/lyon -o audit.html

Next: give the page to the data-protection officer.""",
)
SUBJECT = LazyGroup(
    "subject",
    entries={
        "remove": Entry("fedpet.cli.subjects:remove", "Take subjects out, at once and for good"),
        "list": Entry("fedpet.cli.subjects:list_", "List who was taken out"),
    },
    short_help="Take subjects out who withdrew",
    help="""Take subjects out who withdrew: of the cohort, its cache and every later answer.

  fedpet node subject remove hospitals/lyon sub-7f3a2c --person "Anne Martin"
  fedpet node subject list hospitals/lyon

Next: delete their rows and images in HOSPITAL, as your rules demand.""",
)
NODE = LazyGroup(
    "node",
    entries={
        "request": Entry("fedpet.cli.main:REQUEST", "Read and decide what may be computed here"),
        "policy": Entry("fedpet.cli.main:POLICY", "The hospital's own rules"),
        "audit": Entry("fedpet.cli.main:AUDIT", "What was asked, decided and answered"),
        "subject": Entry("fedpet.cli.main:SUBJECT", "Take subjects out who withdrew"),
        "init": Entry("fedpet.cli.nodes:init", "Make a hospital's keys"),
        "join": Entry("fedpet.cli.nodes:join", "Join a federation with an invitation"),
        "members": Entry("fedpet.cli.members:members", "Compare whose keys sums are masked for"),
        "check": Entry("fedpet.cli.nodes:check", "Would a hospital's node work here?"),
        "start": Entry("fedpet.cli.nodes:start", "Run a hospital's node"),
        "stop": Entry("fedpet.cli.nodes:stop", "Stop a hospital's node"),
        "status": Entry("fedpet.cli.nodes:status", "Is a hospital's node there?"),
        "logs": Entry("fedpet.cli.nodes:logs", "Read a hospital's node's own log"),
        "pacs": Entry("fedpet.cli.main:PACS", "Fetch a hospital's images from its PACS"),
        "isolation": Entry(
            "fedpet.cli.isolation:isolation", "Tell how well a plan's code would be confined"
        ),
    },
    short_help="Run a hospital's node",
    help="""Run a hospital's node: what happens inside the hospital, by its own people.

  fedpet node pacs echo hospitals/lyon
  fedpet node init hospitals/lyon
  fedpet node join lyon.invite hospitals/lyon
  fedpet node start hospitals/lyon --background

Next: `fedpet cohort build HOSPITAL`, or `fedpet node status HOSPITAL`.""",
)
STATS = LazyGroup(
    "stats",
    entries={
        "describe": Entry("fedpet.cli.stats:describe", "Counts, means, quantiles, categories"),
        "table-one": Entry("fedpet.cli.stats:table_one", "Each hospital's table 1, and alarms"),
        "duplicates": Entry("fedpet.cli.stats:duplicates", "Subjects who are at two hospitals"),
        "km": Entry("fedpet.cli.stats_survival:km", "Survival curves, medians"),
        "log-rank": Entry("fedpet.cli.stats_survival:log_rank", "Do the curves of groups differ?"),
        "cox": Entry("fedpet.cli.stats_survival:cox", "Hazard ratios, exact"),
        "evaluate": Entry("fedpet.cli.stats_performance:evaluate", "Judge a Cox model"),
        "leave-one-out": Entry(
            "fedpet.cli.stats_performance:leave_one_out", "Judge where it was not fitted"
        ),
        "matrix": Entry(
            "fedpet.cli.stats_performance:matrix", "Each hospital's model at every hospital"
        ),
    },
    short_help="Ask statistics over all hospitals",
    help="""Ask statistics over all hospitals, one at a time; only sums leave.

The plan says which may be asked, in [statistics]; each hospital's policy refuses what could tell
of few subjects. With every result stands what was asked, of whom, and what is withheld.

  fedpet stats describe plan.toml --sites hospitals

Next: `fedpet stats table-one PLAN --sites FOLDER`.""",
)
BIOMARKERS = LazyGroup(
    "biomarkers",
    entries={
        "screen": Entry("fedpet.cli.screening:screen", "Hazard ratios, forest plots, cutpoints"),
    },
    short_help="Which biomarkers tell of the outcome?",
    help="""Which biomarkers tell of the outcome, over all hospitals, and how sure is that?

  fedpet biomarkers screen plan.toml --sites hospitals

Next: open biomarkers.html.""",
)
COORDINATOR = LazyGroup(
    "coordinator",
    entries={
        "init": Entry("fedpet.cli.coordinators:init", "Make a coordinator's folder"),
        "start": Entry("fedpet.cli.coordinators:start", "Run the coordinator"),
        "stop": Entry("fedpet.cli.coordinators:stop", "Stop the coordinator"),
        "status": Entry(
            "fedpet.cli.coordinators:status", "Is the coordinator there, and who else?"
        ),
        "check": Entry("fedpet.cli.coordinators:check", "Would the coordinator run here?"),
        "backup": Entry("fedpet.cli.coordinators:backup", "Save a coordinator's keys and members"),
        "restore": Entry("fedpet.cli.coordinators:restore", "Bring a saved coordinator back"),
    },
    short_help="Run the part that never sees a patient",
    help="""Run the coordinator: it carries questions to hospitals and sums back.

  fedpet coordinator init coordinator --host fedpet.example.org
  fedpet coordinator start coordinator --background

Next: `fedpet site invite NAME --coordinator coordinator`.""",
)
SITE = LazyGroup(
    "site",
    entries={
        "invite": Entry("fedpet.cli.sites:invite", "Write an invitation for a hospital"),
        "list": Entry("fedpet.cli.sites:list_", "Who is a member, and who is there?"),
        "approve": Entry("fedpet.cli.sites:approve", "Make a site that joined a member"),
        "suspend": Entry("fedpet.cli.sites:suspend", "Ask a site nothing for a while"),
        "resume": Entry("fedpet.cli.sites:resume", "Ask a suspended site again"),
        "revoke": Entry("fedpet.cli.sites:revoke", "Take a site's keys out of use"),
        "renew": Entry("fedpet.cli.sites:renew", "Replace an invitation that expired"),
        "rotate": Entry("fedpet.cli.sites:rotate", "Let a site change its keys"),
    },
    short_help="Invite hospitals, and say who is a member",
    help="""Invite hospitals to a federation, and say who is a member. Nothing here needs a restart.

  fedpet site invite nice --coordinator coordinator
  fedpet site approve nice --coordinator coordinator

Next: `fedpet run PLAN --coordinator coordinator`.""",
)
PRIVACY_AUDIT = LazyGroup(
    "audit",
    entries={
        "privacy": Entry(
            "fedpet.cli.privacy_audits:privacy", "What do a plan's models tell of patients?"
        ),
    },
    short_help="Attack what a plan trains, and measure",
    help="""Attack what a plan trains, and measure what it tells of patients.

  fedpet audit privacy fedpet-demo/run

Next: give the page to the data-protection officer.""",
)
MODEL = LazyGroup(
    "model",
    entries={
        "verify": Entry("fedpet.cli.models:verify", "Is all that a model's passport says true?"),
        "show": Entry("fedpet.cli.models:show", "Read a model's passport in words"),
    },
    short_help="Where does a model come from?",
    help="""Where does a model come from, and who has signed for it?

Beside every model that a run keeps lies its passport: the plan, the code, the roster, the rounds,
and what every hospital signed. It is checked without any network.

  fedpet model verify runs/pfs-pet-9c41aa02/models/network-federated.safetensors

Next: `fedpet model show FILE`.""",
)
ENTRIES = {
    "demo": Entry("fedpet.cli.demo:demo", "Ten phantom hospitals, from DICOM folders to a report"),
    "cohort": Entry("fedpet.cli.main:COHORT", "Build and check a hospital's cohort"),
    "node": Entry("fedpet.cli.main:NODE", "Run a hospital's node: fetch images from its PACS"),
    "coordinator": Entry(
        "fedpet.cli.main:COORDINATOR", "Run the part of a federation that never sees a patient"
    ),
    "site": Entry("fedpet.cli.main:SITE", "Invite hospitals, and say who is a member"),
    "plan": Entry("fedpet.cli.main:PLAN", "Write, check and read plans"),
    "run": Entry("fedpet.cli.runs:run", "Run a plan over the hospitals of a folder"),
    "watch": Entry("fedpet.cli.watching:watch", "See what every hospital does now"),
    "resume": Entry("fedpet.cli.runs:resume", "Continue a run that was interrupted"),
    "stats": Entry("fedpet.cli.main:STATS", "Ask statistics over all hospitals"),
    "biomarkers": Entry("fedpet.cli.main:BIOMARKERS", "Which biomarkers tell of the outcome?"),
    "audit": Entry("fedpet.cli.main:PRIVACY_AUDIT", "Attack what a plan trains, and measure"),
    "model": Entry("fedpet.cli.main:MODEL", "Where does a model come from, and who signed for it?"),
    "predict": Entry("fedpet.cli.predicting:predict", "Tell one subject's risk, in its hospital"),
    "report": Entry("fedpet.cli.reports:report", "Write a run's report and model card"),
    "help": Entry("fedpet.cli.helping:help_", "Explain a topic, or an error by its FP code"),
}
FEDPET = LazyGroup(
    "fedpet",
    entries=ENTRIES,
    top=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Hospitals learn together, from FDG PET-CT and clinical data, which patients benefit
from treatment. Images and records stay in each hospital; only sums leave.

  fedpet demo                              see it work, without any data
  fedpet cohort build HOSPITAL             your DICOM and your table
  fedpet plan new plan.toml                what shall be computed
  fedpet run plan.toml --sites HOSPITALS   compute it, and read the report

For research only.""",
)
click.version_option(__version__, prog_name="fedpet", message="%(prog)s %(version)s")(FEDPET)


def main() -> None:
    """Run the program with what was typed, and end the process."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (until the end)
    code = run(sys.argv[1:])
    if code == faults.EXIT_INTERRUPTED:
        # Python ends by the signal, not with our code, if Ctrl-C fell into an `exec` of a library.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command and return its exit code; no error passes through.

    Args:
        args: What was typed after `fedpet`.
    """
    terminal = Terminal(format=_format_of(args), color="NO_COLOR" not in os.environ)
    code = 0
    try:
        with interruptible(terminal):
            found = FEDPET.main(
                args=list(args), prog_name="fedpet", standalone_mode=False, obj=terminal
            )
            code = terminal.answer(found) if isinstance(found, Answer) else int(found or 0)
            sys.stdout.flush()
    except BaseException as error:  # the program's edge; see `faults`
        if isinstance(error, SystemExit):
            raise
        try:
            code = faults.tell(error, terminal, args=args)
            sys.stdout.flush()
        except BrokenPipeError:
            code = faults.silence()
        except OSError:  # nowhere to tell it, such as a full disk: the code still tells
            code = getattr(error, "exit_code", 1)
    return code


def _format_of(args: Sequence[str]) -> str:
    """Return the format asked for, even where the rest of the line cannot be understood."""
    asked = "--format=json" in args or ("--format", "json") in pairwise(args)
    return "json" if asked else "text"


@contextmanager
def interruptible(terminal: Terminal) -> Iterator[None]:
    """Let a second Ctrl-C leave at once: what is closed is on disk, nothing else is kept.

    The first one is noted too: a library that is being imported may swallow the exception.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return

    def handle(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, lambda *_: os._exit(faults.EXIT_INTERRUPTED))
        terminal.interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
