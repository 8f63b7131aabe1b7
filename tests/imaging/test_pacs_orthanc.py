"""`fedpet node pacs` against a real Orthanc: the walk of a data manager, through the program."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import RLELossless

from orthanc import PORTS, Namespace, Orthanc, namespace, orthanc, wait_for
from pacs_peer import contents, free_port, read_all, write_certificates, write_subjects

PATIENTS = [f"SECRET-{number}" for number in range(3)]


@pytest.fixture(scope="module")
def network():
    """A network with nothing but loopback."""
    with namespace() as made:
        yield made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three patients: PET, CT (one of them compressed), RTSTRUCT, SEG, a secondary capture."""
    folder = tmp_path_factory.mktemp("source")
    write_subjects(folder, PATIENTS)
    for path in (folder / PATIENTS[0] / "CT").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    return folder


@pytest.fixture(scope="module")
def pacs(network, source, tmp_path_factory):
    """An Orthanc that holds them, sent by C-STORE."""
    with orthanc(network, tmp_path_factory.mktemp("orthanc") / "plain") as made:
        network.send(made.dicom, "PACSCHU", source)
        yield made


def hospital(folder: Path, made: Orthanc, *, further: str = "", **changes: object) -> Path:
    """Write a hospital with pacs.toml and a patient list."""
    values = {"ae_title": "FEDPET", "title": "PACSCHU", "port": made.dicom, **changes}
    (folder / "node").mkdir()
    (folder / "node/password").write_text("password of a test\n")
    (folder / "node/pacs.toml").write_text(
        f"""
ae_title = "{values["ae_title"]}"
[pacs]
ae_title = "{values["title"]}"
host = "127.0.0.1"
port = {values["port"]}
tls = {"true" if further else "false"}
[listen]
port = {made.ours}
callers = ["PACSCHU", "CONSOLE"]
[web]
url = "http://127.0.0.1:{made.http}/dicom-web"
user = "fedpet"
password_file = "password"
[limits]
timeout_s = 20.0
free_gb = 0.1
{further}
"""
    )
    lines = ["patient_id;from;to", *(f"{name};2025-01-01;2025-01-31" for name in PATIENTS)]
    (folder / "patients.csv").write_text("\n".join([*lines, "SECRET-NOBODY;;"]))
    return folder


def wanted(source: Path) -> dict[str, bytes]:
    """What should arrive: all but the secondary captures."""
    return {
        str(one.SOPInstanceUID): one.get("PixelData", b"")
        for one in read_all(source)
        if one.Modality != "OT"
    }


def ask(network: Namespace, *words: object) -> tuple[int, dict[str, object], str]:
    """Run a command for programs; gives exit code, answer, and all that was printed."""
    done = network.fedpet("node", "pacs", *words, "--format", "json")
    assert "Traceback" not in done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout), done.stdout + done.stderr


def test_orthanc_and_its_web_service_answer(tmp_path, network, pacs):
    """C-ECHO and QIDO with a login."""
    code, answer, told = ask(network, "echo", hospital(tmp_path, pacs))
    assert code == 0, told
    assert answer["data"]["web"] is True


@pytest.mark.parametrize(
    ("changes", "exit_code", "fp"),
    [
        ({"title": "WRONG"}, 5, "FP-3013"),
        ({"port": free_port()}, 4, "FP-3015"),
    ],
)
def test_a_wrong_title_and_a_wrong_port_are_told_apart(
    tmp_path, network, pacs, changes, exit_code, fp
):
    """Orthanc's own refusals, in words."""
    code, answer, _ = ask(network, "echo", hospital(tmp_path, pacs, **changes))
    assert (code, answer["error"]["code"]) == (exit_code, fp)


def test_a_node_that_orthanc_does_not_know_may_not_ask(tmp_path, network, pacs, source):
    """Orthanc accepts the connection and then refuses the question."""
    folder = hospital(tmp_path, pacs, ae_title="STRANGER")
    code, answer, told = ask(network, "pull", folder, "--list", folder / "patients.csv")
    assert code in (4, 5), told
    assert answer["error"]["code"] in ("FP-3018", "FP-3019", "FP-3012")


@pytest.mark.parametrize("by", ["get", "web"])
def test_a_list_is_found(tmp_path, network, pacs, by):
    """By line of the list, with counts by modality."""
    folder = hospital(tmp_path, pacs)
    code, answer, told = ask(network, "find", folder, "--list", folder / "patients.csv", "--by", by)
    assert code == 0, told
    rows = answer["data"]["rows"]
    full = {"PT": 1, "CT": 1, "SEG": 1, "RTSTRUCT": 1}
    assert [row["series"] for row in rows] == [full, full, full, {}]
    assert [row["objects"] for row in rows] == [10, 10, 10, 0]


@pytest.mark.parametrize("by", ["get", "move", "web"])
def test_what_is_pulled_equals_what_was_stored(tmp_path, network, pacs, source, by):
    """Whatever the way: the same objects, the same pixels, nothing else; and once only."""
    folder = hospital(tmp_path, pacs)
    call = ("pull", folder, "--list", folder / "patients.csv", "--by", by)
    code, answer, told = ask(network, *call)
    assert code == 0, told
    assert answer["data"]["pull"]["series"] == 12
    assert answer["data"]["pull"]["absent"] == [5]
    assert contents(folder / "images") == wanted(source)
    code, answer, _ = ask(network, *call)
    assert (code, answer["data"]["pull"]["skipped"], answer["data"]["pull"]["files"]) == (0, 12, 0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("/dicom-web", "/nothing-here", "404"),
        ("password of a test", "wrong", "wants a login"),
        ("http://127.0.0.1:", "http://127.0.0.1:1", "Cannot reach"),
    ],
)
def test_what_the_web_service_refuses_is_told_in_words(tmp_path, network, pacs, old, new, words):
    """HTTP's addresses carry identifiers; none of them is shown."""
    folder = hospital(tmp_path, pacs)
    for path in (folder / "node/pacs.toml", folder / "node/password"):
        path.write_text(path.read_text().replace(old, new))
    call = ("find", folder, "--list", folder / "patients.csv", "--by", "web")
    code, answer, told = ask(network, *call)
    assert code in (4, 5)
    assert answer["error"]["code"] in ("FP-3024", "FP-3015")
    assert words in told


def test_a_pull_that_was_killed_is_continued(tmp_path, network, pacs, source):
    """Kill -9 in the middle: no half file, nothing done twice, the same end."""
    write_subjects(tmp_path / "many", [f"MANY-{number}" for number in range(10)], slices=8)
    network.send(pacs.dicom, "PACSCHU", tmp_path / "many")
    folder = tmp_path / "hospital"
    folder.mkdir()
    hospital(folder, pacs)
    names = "\n".join(f"MANY-{number}" for number in range(10))
    (folder / "patients.txt").write_text(names)
    call = ("node", "pacs", "pull", folder, "--list", folder / "patients.txt", "--format", "json")
    killed = network.start(sys.executable, "-m", "fedpet.cli.main", *call)
    images = folder / "images"
    wait_for(lambda: images.is_dir() and len(list(images.rglob("*.dcm"))) > 20)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(read_all(images)) < 10 * 18
    code, answer, told = ask(network, *call[2:6])
    assert code == 0, told
    assert answer["data"]["pull"]["skipped"] > 0
    assert answer["data"]["pull"]["complete"] == 10
    assert contents(images) == wanted(tmp_path / "many")


def test_ctrl_c_leaves_whole_files_and_names_what_continues(tmp_path, network, pacs):
    """Whoever needs the machine back must not fear for the pull."""
    folder = hospital(tmp_path, pacs)
    call = ("node", "pacs", "pull", folder, "--list", folder / "patients.csv")
    stopped = network.start(sys.executable, "-m", "fedpet.cli.main", *call)
    images = folder / "images"
    wait_for(lambda: images.is_dir() and len(list(images.rglob("*.dcm"))) > 1)
    stopped.send_signal(signal.SIGINT)
    _, told = stopped.communicate(timeout=30)
    assert stopped.returncode == 130, told
    assert "fedpet node pacs pull" in told
    assert "Traceback" not in told
    assert not (images / ".incoming").exists()


def test_the_receiver_takes_what_is_sent(tmp_path, network, pacs, source):
    """`listen`, ended by Ctrl-C."""
    folder = hospital(tmp_path, pacs)
    words = ("node", "pacs", "listen", folder, "--format", "json")
    listening = network.start(sys.executable, "-m", "fedpet.cli.main", *words)
    line = listening.stderr.readline()
    assert "listens on 127.0.0.1" in line
    network.send(pacs.ours, "FEDPET", source / PATIENTS[0] / "PT", source / PATIENTS[0] / "CT")
    listening.send_signal(signal.SIGINT)
    out, err = listening.communicate(timeout=30)
    assert listening.returncode == 0, err
    assert json.loads(out)["data"]["files"] == 8
    assert len(contents(folder / "images")) == 8


def test_orthanc_over_tls(tmp_path, network, source):
    """With its certificate and ours; without TLS it does not talk to us, and we say why."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    keys = tmp_path / "keys"
    keys.mkdir()
    write_certificates(keys)
    options = {
        "DicomTlsEnabled": True, "DicomTlsCertificate": str(keys / "pacs.pem"),
        "DicomTlsPrivateKey": str(keys / "pacs.key"),
        "DicomTlsTrustedCertificates": str(keys / "ca.pem"),
        "DicomTlsRemoteCertificateRequired": True,
    }  # fmt: skip
    with orthanc(network, tmp_path / "orthanc", **options) as made:
        (tmp_path / "plain").mkdir()
        code, answer, _ = ask(network, "echo", hospital(tmp_path / "plain", made))
        assert (code, answer["error"]["code"]) == (4, "FP-3015")
        assert "TLS" in str(answer["error"])
        (tmp_path / "tls").mkdir()
        files = f'certificate = "{keys}/node.pem"\nkey = "{keys}/node.key"\nca = "{keys}/ca.pem"'
        folder = hospital(tmp_path / "tls", made, further=f"[tls]\n{files}")
        code, _, told = ask(network, "echo", folder)
        assert code == 0, told


TLS_DOOR = """
import socket, ssl, sys, threading
here, there, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/web.pem", folder + "/web.key")
context.load_verify_locations(folder + "/node.pem")
context.verify_mode = ssl.CERT_REQUIRED
def pump(one, other):
    try:
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(raw):
    try:
        inside = context.wrap_socket(raw, server_side=True)
    except OSError:
        return
    outside = socket.create_connection(("127.0.0.1", there))
    threading.Thread(target=pump, args=(inside, outside), daemon=True).start()
    pump(outside, inside)
    inside.close()
door = socket.create_server(("127.0.0.1", here))
print("open", flush=True)
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""


def web_certificates(folder: Path) -> None:
    """Write a certificate that names the address, as HTTPS demands, and one for the node."""
    for name, subject in (
        ("web", "subjectAltName=IP:127.0.0.1"),
        ("node", "basicConstraints=CA:TRUE"),
    ):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-addext", subject,
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip


@contextmanager
def https(network: Namespace, made: Orthanc, keys: Path) -> Iterator[Orthanc]:
    """Set a door with TLS before Orthanc's web service, which wants our certificate."""
    port = next(PORTS)
    door = network.start(sys.executable, "-c", TLS_DOOR, port, made.http, keys)
    try:
        assert door.stdout is not None
        assert door.stdout.readline() == "open\n"
        yield replace(made, http=port)
    finally:
        door.kill()
        door.communicate()


def test_the_web_service_over_https_with_certificates_of_both(
    tmp_path, network, pacs, source, monkeypatch
):
    """Its authority must be ours, and ours its, whatever the environment says of others."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    keys = tmp_path / "keys"
    keys.mkdir()
    web_certificates(keys)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(keys / "node.pem"))
    ours = f'certificate = "{keys}/node.pem"\nkey = "{keys}/node.key"'
    with https(network, pacs, keys) as door:

        def pulled(name: str, tls: str) -> tuple[int, dict, str, Path]:
            (tmp_path / name).mkdir()
            folder = hospital(tmp_path / name, door)
            settings = folder / "node/pacs.toml"
            text = settings.read_text().replace("http://", "https://")
            settings.write_text(f"{text}\n[tls]\n{tls}\n")
            call = ("pull", folder, "--list", folder / "patients.csv", "--by", "web")
            return (*ask(network, *call), folder)

        code, answer, told, folder = pulled("both", f'{ours}\nca = "{keys}/web.pem"')
        assert code == 0, told
        assert answer["data"]["pull"]["series"] == 12
        assert contents(folder / "images") == wanted(source)
        for name, tls in (
            ("stranger", f'{ours}\nca = "{keys}/node.pem"'),
            ("nameless", f'ca = "{keys}/web.pem"'),
        ):
            code, answer, told, folder = pulled(name, tls)
            assert code == 4, told
            assert answer["error"]["code"] in ("FP-3015", "FP-3016"), told
            assert not list(folder.glob("images/*"))
