"""Our side of DICOM's network against pynetdicom's own service classes, on 127.0.0.1."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import struct
import threading
import time
from pathlib import Path

import pytest

from fedpet.errors import DataError, EngineError, FedpetError, RefusalError, StoreError
from fedpet.imaging.pacs.entity import echo
from fedpet.imaging.pacs.gate import Gate
from fedpet.imaging.pacs.inbox import Inbox
from fedpet.imaging.pacs.pull import find, pull
from fedpet.imaging.pacs.query import Wanted
from fedpet.imaging.pacs.receiver import receiver
from fedpet.imaging.pacs.records import Pulled, SeriesDone
from fedpet.imaging.pacs.settings import Limits, Listen, PacsSettings, Tls
from fedpet.imaging.pacs.settings import Peer as PeerSettings
from pacs_peer import (
    Peer,
    contents,
    free_port,
    read_all,
    send,
    serving,
    write_certificates,
    write_single,
    write_subjects,
)

# pynetdicom 3.0 leaves a socket that never connected to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected():
    """Let it be collected within the test, not in another one or at the end of all."""
    yield
    gc.collect()


PATIENTS = ("SECRET-1", "SECRET-2")
WANTED = tuple(Wanted(row=row, patient_id=name) for row, name in enumerate(PATIENTS, start=2))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Files of two patients: PET, CT, RTSTRUCT, SEG, and a secondary capture that we refuse."""
    folder = tmp_path_factory.mktemp("source")
    write_subjects(folder, PATIENTS)
    return folder


@pytest.fixture
def peer(source):
    """A PACS that holds them."""
    return Peer(datasets=read_all(source))


def settings(
    port: int, *, ae_title: str = "FEDPET", tls: Tls | None = None, listen: Listen | None = None,
    title: str = "PACSCHU", host: str = "127.0.0.1", **limits: float,
) -> PacsSettings:  # fmt: skip
    return PacsSettings(
        ae_title=ae_title,
        pacs=PeerSettings(ae_title=title, host=host, port=port, tls=tls is not None),
        listen=listen or Listen(port=free_port()),
        tls=tls or Tls(),
        limits=Limits(**{"timeout_s": 10.0, "free_gb": 0.0, "retries": 1, **limits}),
    )


def run(made: PacsSettings, folder: Path, **kwargs: object) -> tuple[Pulled, list[object]]:
    records = list(pull(made, folder, WANTED, folder / "images", **kwargs))
    assert isinstance(records[-1], Pulled)
    return records[-1], records


def wanted_files(source: Path) -> dict[str, bytes]:
    return {
        str(one.SOPInstanceUID): one.get("PixelData", b"")
        for one in read_all(source)
        if one.Modality != "OT"
    }


def nameless(error: FedpetError) -> bool:
    return "SECRET" not in str(error) and "1.2.826" not in str(error)


def test_an_echo_is_answered(tmp_path):
    """The first thing that a data manager tries."""
    with serving(Peer()) as port:
        assert 0 < echo(settings(port), tmp_path) < 5


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"title": "WRONG"}, "FP-3013", "reason 7: called AE title not recognised"),
        ({"ae_title": "STRANGER"}, "FP-3012", "reason 3: calling AE title not recognised"),
        ({"host": "no-such-host.invalid"}, "FP-3015", "no host named"),
    ],
)
def test_a_refusal_is_told_in_words_with_what_to_ask_for(tmp_path, change, code, words):
    """The standard's numbers mean nothing to the person who reads them."""
    with serving(Peer(), callers=["FEDPET"]) as port, pytest.raises(FedpetError) as told:
        echo(settings(port, **change), tmp_path)
    assert told.value.code == code
    assert words in str(told.value)
    assert told.value.do


def test_a_port_where_nobody_listens_is_told(tmp_path):
    """A wrong port is the most frequent mistake."""
    with pytest.raises(EngineError, match="nothing listens on that port") as told:
        echo(settings(free_port()), tmp_path)
    assert told.value.code == "FP-3015"


def test_a_port_of_another_program_is_told(tmp_path):
    """Something that accepts and hangs up is no PACS, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: [server.accept()[0].close() for _ in "12"]).start()
        with pytest.raises(EngineError, match="closed the connection at once") as told:
            echo(settings(server.getsockname()[1]), tmp_path)
    assert told.value.code == "FP-3015"


def test_series_are_found_by_patient_or_accession_within_their_days(tmp_path, peer):
    """What a list may say: who, which examination, when."""
    lines = [
        Wanted(row=1, patient_id="SECRET-1"),
        Wanted(row=2, accession="ASECRET-2"),
        Wanted(row=3, patient_id="SECRET-1", first="20250103"),
        Wanted(row=4, patient_id="SECRET-1", first="20250101", last="20250102"),
        Wanted(row=5, patient_id="NOBODY"),
    ]
    with serving(peer) as port:
        told = [asked.series for asked, _ in find(settings(port), tmp_path, lines)]
    all_four = {"PT": 1, "CT": 1, "SEG": 1, "RTSTRUCT": 1}
    assert told == [all_four, all_four, {}, all_four, {}]


def test_studies_of_other_patients_that_a_loose_pacs_returns_are_left_out(tmp_path, peer):
    """Some PACS ignore case, padding or the question; another patient must never come."""
    peer.loose = True
    with serving(peer) as port:
        ((asked, series),) = find(settings(port), tmp_path, WANTED[:1])
    assert sum(asked.series.values()) == 4
    own = {str(one.SeriesInstanceUID) for one in peer.datasets if one.PatientID == "SECRET-1"}
    assert {one.series for one in series} <= own


@pytest.mark.parametrize("by", ["get", "move"])
def test_what_is_pulled_equals_what_was_sent(tmp_path, source, peer, by):
    """Every wanted object arrives whole, and nothing else does."""
    listen = Listen(port=free_port())
    peer.destinations["FEDPET"] = ("127.0.0.1", listen.port)
    with serving(peer) as port:
        done, _ = run(settings(port, listen=listen), tmp_path, by=by)
    assert (done.complete, done.series, done.failed) == (2, 8, {})
    assert contents(tmp_path / "images") == wanted_files(source)
    assert not (tmp_path / "images/.incoming").exists()


def test_complete_series_are_not_fetched_twice(tmp_path, peer):
    """A pull of weeks is continued; a file that was removed or emptied comes again."""
    with serving(peer) as port:
        made = settings(port)
        run(made, tmp_path)
        peer.fetched.clear()
        done, _ = run(made, tmp_path)
        assert (done.series, done.skipped, peer.fetched) == (0, 8, [])
        for damage in (Path.unlink, lambda path: path.write_bytes(b"")):
            damage(next((tmp_path / "images").rglob("*.dcm")))
            done, _ = run(made, tmp_path)
            assert (done.series, done.skipped) == (1, 7)


def test_only_the_modalities_asked_for_come(tmp_path, source, peer):
    """A PET-only project has no reason to hold the CT."""
    with serving(peer) as port:
        done, _ = run(settings(port), tmp_path, modalities=("PT",))
    assert done.series == 2
    assert {one.Modality for one in read_all(tmp_path / "images")} == {"PT"}


def test_a_series_that_lost_an_object_is_tried_again(tmp_path, peer):
    """A hiccup of the PACS needs nobody's attention."""
    peer.losing = {str(peer.datasets[0].SeriesInstanceUID): 1}
    with serving(peer) as port:
        done, records = run(settings(port), tmp_path)
    assert done.failed == {}
    attempts = [one.attempt for one in records if isinstance(one, SeriesDone) and one.error]
    assert attempts == [1]


def test_a_series_that_stays_incomplete_fails_its_line_and_no_other(tmp_path, peer):
    """The data manager hears which line of the list, never who."""
    series = str(peer.datasets[0].SeriesInstanceUID)
    peer.losing = {series: 99}
    with serving(peer) as port:
        done, _ = run(settings(port), tmp_path)
        assert list(done.failed) == [2]
        assert "objects of a series" in done.failed[2]
        assert done.complete == 1
        peer.losing.clear()
        done, _ = run(settings(port), tmp_path)
    assert (done.series, done.skipped, done.failed) == (1, 7, {})


def test_a_pacs_that_hangs_up_is_called_again(tmp_path, source, peer):
    """A PACS that restarts in the night costs a series its second attempt, nothing else."""
    peer.aborting = 2
    with serving(peer) as port:
        done, _ = run(settings(port), tmp_path)
    assert (done.complete, done.failed) == (2, {})
    assert contents(tmp_path / "images") == wanted_files(source)


def test_a_pacs_that_always_hangs_up_ends_the_pull(tmp_path, peer):
    """Five failures in a row are no accident of one series."""
    peer.aborting = 99
    with serving(peer) as port, pytest.raises(EngineError) as told:
        run(settings(port), tmp_path)
    assert told.value.code == "FP-3019"
    assert nameless(told.value)


def test_something_that_accepts_and_says_nothing_is_told(tmp_path):
    """After the time of pacs.toml, not for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(EngineError) as told:
        echo(settings(server.getsockname()[1], timeout_s=1.0), tmp_path)
    assert told.value.code == "FP-3015"
    assert "no DICOM answer came in 1 s" in str(told.value)


def test_a_pacs_without_c_get_is_told_with_the_other_ways(tmp_path, peer):
    """Many PACS speak C-MOVE only."""
    with serving(peer, services=["find", "move"]) as port, pytest.raises(EngineError) as told:
        run(settings(port), tmp_path, by="get")
    assert told.value.code == "FP-3018"
    assert "--by move" in str(told.value)


def test_a_pacs_that_does_not_know_the_way_back_is_told(tmp_path, peer):
    """C-MOVE needs our title in the list of the PACS; the text says what to ask for."""
    with serving(peer) as port, pytest.raises(RefusalError) as told:
        run(settings(port), tmp_path, by="move")
    assert told.value.code == "FP-3017"
    assert "move destination unknown" in str(told.value)
    assert "AE title FEDPET" in str(told.value)


def test_a_failure_of_the_pacs_is_told_in_words_and_without_names(tmp_path, peer):
    """Statuses are numbers; identifiers stay out of every text."""
    peer.status = 0xA700
    with serving(peer) as port, pytest.raises(EngineError, match="out of resources") as told:
        run(settings(port), tmp_path)
    assert nameless(told.value)


def test_a_second_pull_at_the_same_time_is_refused(tmp_path, peer):
    """Two of them would count each other's files."""
    with serving(peer) as port:
        first = pull(settings(port), tmp_path, WANTED, tmp_path / "images")
        next(first)
        with pytest.raises(StoreError, match="Another pull") as told:
            run(settings(port), tmp_path)
        first.close()
        assert told.value.code == "FP-3025"
        assert run(settings(port), tmp_path)[0].complete == 2


def test_a_damaged_journal_is_told(tmp_path, peer):
    """With what removing it costs."""
    (tmp_path / "pacs.db").write_bytes(b"no database at all" * 100)
    with serving(peer) as port, pytest.raises(StoreError, match="damaged"):
        run(settings(port), tmp_path)


def test_the_journal_and_the_tree_hold_no_identifier(tmp_path, peer):
    """File names and the journal are read by administrators and backups."""
    with serving(peer) as port:
        run(settings(port), tmp_path)
    assert b"SECRET" not in (tmp_path / "pacs.db").read_bytes()
    assert not [path for path in tmp_path.rglob("*") if "SECRET" in path.name]


def test_the_disk_is_never_filled(tmp_path, peer):
    """A full disk stops the hospital's other programs too."""
    with serving(peer) as port, pytest.raises(StoreError, match="disk is full") as told:
        run(settings(port, free_gb=1e6), tmp_path)
    assert told.value.code == "FP-3022"
    assert not list((tmp_path / "images").rglob("*.dcm"))


def test_no_more_objects_come_than_allowed(tmp_path, peer):
    """A mistaken list must not copy the archive."""
    with serving(peer) as port, pytest.raises(StoreError, match="the limit of"):
        run(settings(port, objects=5), tmp_path)
    assert len(list((tmp_path / "images").rglob("*.dcm"))) == 5


@pytest.fixture
def node(tmp_path):
    """Our receiver: its settings and inbox."""
    made = settings(1)
    return made, Inbox(tmp_path / "in", made.limits)


def test_the_receiver_keeps_what_is_sent_as_it_was_sent(tmp_path, node, source):
    """Byte for byte: the data set of the file is the one that was sent."""
    made, inbox = node
    files = sorted((source / "SECRET-1/PT").iterdir())
    with receiver(made, tmp_path, inbox) as port:
        assert send(files, port, called="FEDPET") == [0] * 4
    kept = contents(tmp_path / "in")
    assert kept == contents(source / "SECRET-1/PT")
    assert inbox.files == 4


@pytest.mark.parametrize(("called", "calling"), [("OTHER", "PACSCHU"), ("FEDPET", "STRANGER")])
def test_the_receiver_refuses_callers_that_it_does_not_know(
    tmp_path, node, source, called, calling
):
    """Only the PACS may put images into a hospital's cohort."""
    made, inbox = node
    files = sorted((source / "SECRET-1/PT").iterdir())
    with receiver(made, tmp_path, inbox) as port:
        assert set(send(files, port, called=called, calling=calling)) == {-1}
    assert inbox.files == 0


def test_the_receiver_refuses_addresses_that_are_not_listed(tmp_path, source):
    """An AE title is no secret; an address is one more hurdle."""
    made = settings(1, listen=Listen(port=free_port(), hosts=("192.0.2.1",)))
    inbox = Inbox(tmp_path / "in", made.limits)
    with receiver(made, tmp_path, inbox) as port:
        files = sorted((source / "SECRET-1/PT").iterdir())
        assert set(send(files, port, called="FEDPET")) == {-1}


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, node):
    """Names come from others; only digits and dots may become a path."""
    made, inbox = node
    write_single(tmp_path / "evil", "SEG", "1.2.840.10008.5.1.4.1.1.66.4", patient="SECRET-1")
    data = (tmp_path / "evil").read_bytes()
    start = data.index(b"\x20\x00\x0e\x00UI") + 8
    length = int.from_bytes(data[start - 2 : start], "little")
    evil = b"../../../evil".ljust(length, b"\0")
    (tmp_path / "evil").write_bytes(data[:start] + evil + data[start + length :])
    with receiver(made, tmp_path, inbox) as port:
        assert send([tmp_path / "evil"], port, called="FEDPET") == [0xC000]
    assert inbox.refused == {"not_understood": 1}
    assert not list((tmp_path / "in").rglob("*.dcm"))


def test_an_object_larger_than_allowed_ends_its_connection(tmp_path, source):
    """Memory is bounded whatever a sender announces; the next sender is served."""
    made = settings(1, object_mb=1)
    inbox = Inbox(tmp_path / "in", made.limits)
    write_subjects(tmp_path / "large", ["SECRET-9"], slices=1, size=1024)
    with receiver(made, tmp_path, inbox) as port:
        (large,) = (tmp_path / "large/SECRET-9/PT").iterdir()
        assert send([large], port, called="FEDPET") == [-1]
        files = sorted((source / "SECRET-1/PT").iterdir())
        assert send(files, port, called="FEDPET") == [0] * 4


def test_a_unit_of_four_gigabytes_is_not_believed(tmp_path, node, source):
    """Six bytes must not make us reserve four gigabytes."""
    made, inbox = node
    with receiver(made, tmp_path, inbox) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as rude:
            rude.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + b"\0" * 100)
            assert rude.recv(100) == b""
        assert send(sorted((source / "SECRET-1/PT").iterdir()), port, called="FEDPET") == [0] * 4


def test_our_own_port_in_use_is_told(tmp_path, node):
    """Two receivers cannot share a port."""
    made, inbox = node
    again = receiver(made, tmp_path, inbox)
    with receiver(made, tmp_path, inbox), pytest.raises(StoreError) as told:
        again.__enter__()
    assert told.value.code == "FP-3021"


def test_a_closed_gate_is_closed():
    """Closing returns only when the reader stands still; pynetdicom's own pause loses answers."""
    reading, ended = [], threading.Event()

    def read() -> None:
        while not ended.is_set():
            gate.wait()
            reading.append(True)
            time.sleep(0)
            reading.pop()

    reader = threading.Thread(target=read, daemon=True)
    gate = Gate(reader)
    reader.start()
    for _ in range(500):
        gate.clear()
        assert not reading
        gate.set()
    ended.set()
    reader.join(5)
    assert not reader.is_alive()


def test_half_written_files_of_a_killed_process_are_removed(tmp_path):
    """They would be findings of the cohort."""
    (tmp_path / "in/.incoming").mkdir(parents=True)
    (tmp_path / "in/.incoming/1-1.part").write_bytes(b"half")
    Inbox(tmp_path / "in", Limits()).close()
    assert not (tmp_path / "in/.incoming").exists()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority and what it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return folder


def context(folder: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(folder / "ca.pem")
    made.load_cert_chain(folder / "pacs.pem", folder / "pacs.key")
    return made


OURS = Tls(certificate="node.pem", key="node.key", ca="ca.pem")


def test_tls_goes_both_ways(tmp_path, certificates, source, peer):
    """The PACS shows its certificate, we show ours, and images come through it."""
    made_of = settings
    with serving(peer, tls=context(certificates)) as port:
        made = made_of(port, tls=OURS)
        done = [*pull(made, certificates, WANTED, tmp_path / "images")][-1]
        (certificates / "pacs.db").unlink()
        assert done.complete == 2
        assert contents(tmp_path / "images") == wanted_files(source)


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (Tls(certificate="node.pem", key="node.key", ca="stranger.pem"), "not accepted"),
        (Tls(certificate="stranger.pem", key="stranger.key", ca="ca.pem"), "unknown ca|TLS"),
    ],
)
def test_a_certificate_of_another_authority_is_refused(certificates, tls, words):
    """In either direction; the text says that it is TLS, and whose."""
    serve = serving(Peer(), tls=context(certificates))
    with serve as port, pytest.raises(EngineError, match=words) as told:
        echo(settings(port, tls=tls), certificates)
    assert told.value.code in ("FP-3016", "FP-3015")


def test_a_pacs_that_wants_tls_is_told_to_one_that_does_not(tmp_path, certificates):
    """And the other way round."""
    with serving(Peer(), tls=context(certificates)) as port, pytest.raises(EngineError) as told:
        echo(settings(port, timeout_s=2.0), tmp_path)
    assert "TLS" in str(told.value)
    with serving(Peer()) as port, pytest.raises(EngineError) as told:
        echo(settings(port, tls=OURS, timeout_s=2.0), certificates)
    assert told.value.code == "FP-3016"


def test_a_certificate_file_that_is_none_is_told(tmp_path):
    """Each by the name of its key in pacs.toml."""
    (tmp_path / "bad.pem").write_text("no certificate")
    for tls, words in ((Tls(ca="absent.pem"), "no file"), (Tls(ca="bad.pem"), "cannot be used")):
        with pytest.raises(DataError, match=words):
            echo(settings(1, tls=tls), tmp_path)


def test_a_mute_connection_to_our_tls_port_holds_up_nobody(tmp_path, certificates, source):
    """A port scanner must not stop a pull."""
    made = settings(1, tls=OURS, listen=Listen(port=free_port(), tls=True))
    inbox = Inbox(tmp_path / "in", made.limits)
    with (
        receiver(made, certificates, inbox) as port,
        socket.create_connection(("127.0.0.1", port)),
    ):
        started = time.monotonic()
        back = settings(port, ae_title="PACSCHU", title="FEDPET", tls=OURS)
        assert echo(back, certificates) < 5
        assert time.monotonic() - started < 5
