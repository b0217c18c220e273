"""The web process as a real process, with a real manager in this one."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qm.cli.serving import Service
from qm.cli.settings import Settings
from qm.manager.webchild import WebChild
from qm.manager.webprocess import WebError, WebProcess
from qm.wire.address import Address
from qm.wire.handover import WebConfig, WebExit, WebReady
from tests.web.calling import KEY, Manager, running_manager

HERE = Address("127.0.0.1", 0)
NOBODY = Address("127.0.0.1", 1)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def manager() -> Iterator[Manager]:
    with running_manager() as manager:
        manager.work("work")
        yield manager


@pytest.fixture
def web(manager: Manager) -> Iterator[WebProcess]:
    web = WebProcess(manager.address, HERE, KEY)
    web.start()
    yield web
    web.stop()


def get(address: Address, path: str = "/") -> tuple[int, str]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def pid_of(web: WebProcess) -> int:
    assert web._child is not None
    return web._child.pid


def keep(web: WebProcess, until: Callable[[], bool], seconds: float = 20.0) -> None:
    """What qmanager's main loop does, until something is so."""
    deadline = time.monotonic() + seconds
    while not until():
        left = deadline - time.monotonic()
        assert left > 0, "it took too long"
        wanted = web.timeout()
        select.select(web.fds(), [], [], left if wanted is None else min(wanted, left))
        web.check()


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def config(**fields: object) -> WebConfig:
    return WebConfig(**{"rpc": NOBODY, "authkey": KEY.hex(), "http": HERE, **fields})  # type: ignore[arg-type]


class Run:
    """`python -m qm.web`, told what a test likes."""

    def __init__(self, line: bytes, close_stdin: bool = False) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qm.web"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()
        if close_stdin:
            self.process.stdin.close()

    def ready(self) -> Address:
        assert self.process.stdout is not None
        return WebReady.of_line(self.process.stdout.readline()).http

    def ended(self) -> tuple[int, str]:
        """The exit code and what stands on stderr, once it ended by itself."""
        code = self.process.wait(15)
        assert self.process.stderr is not None
        return code, self.process.stderr.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    with ExitStack() as stack:

        def start(line: bytes, close_stdin: bool = False) -> Run:
            run = Run(line, close_stdin)
            stack.callback(run.close)
            return run

        yield start


def test_the_page_shows_real_tasks(manager: Manager, web: WebProcess) -> None:
    id_ = manager.finish("1 + 1", 2)
    status, text = get(web.address)
    assert status == 200
    assert "Done:      1" in text and id_ in text and "1 + 1" in text


def test_a_killed_web_process_comes_back_at_the_same_address(manager: Manager, web: WebProcess) -> None:
    first, address = pid_of(web), web.address
    os.kill(first, signal.SIGKILL)
    keep(web, lambda: not web.serves)
    keep(web, lambda: web.serves)
    assert web.address == address and pid_of(web) != first
    assert get(address)[0] == 200


def test_the_page_says_when_the_manager_is_away_and_comes_back_with_it() -> None:
    with running_manager() as manager:
        address = manager.address
        web = WebProcess(address, HERE, KEY)
        web.start()
        assert get(web.address)[0] == 200
    try:
        status, text = get(web.address)
        assert status == 503
        assert f"cannot reach the manager at {address}" in text and "hint: " in text
        assert "Traceback" not in text
        assert get(web.address, "/healthz") == (200, '{"status":"ok"}')
        with running_manager(address):
            assert get(web.address)[0] == 200
    finally:
        web.stop()


def test_fifty_silent_connections_do_not_hold_up_the_others(web: WebProcess) -> None:
    with ExitStack() as stack:
        for number in range(50):
            sock = stack.enter_context(socket.create_connection(web.address, timeout=10))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-" if number % 2 else b"")
        start = time.monotonic()
        assert get(web.address, "/healthz")[0] == 200
        assert get(web.address)[0] == 200
        assert time.monotonic() - start < 5


def test_a_frozen_manager_neither_hangs_the_page_nor_its_health(run: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        served = run(config(rpc=Address(*silent.getsockname())).to_line()).ready()
        start = time.monotonic()
        status, text = get(served)
        assert (status, "the manager does not answer" in text) == (503, True)
        again = time.monotonic()
        assert get(served, "/healthz")[0] == 200
        assert get(served)[0] == 503
        assert again - start < 4
        assert time.monotonic() - again < 1, "the second viewer does not wait for what the first waited for"


def test_the_key_is_nowhere_where_others_can_read_it(web: WebProcess) -> None:
    place = Path(f"/proc/{pid_of(web)}")
    for name in ("cmdline", "environ"):
        content = (place / name).read_bytes()
        assert content, "else this proves nothing"
        assert KEY not in content and KEY.hex().encode() not in content


def test_settings_of_ours_and_their_secrets_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_SECRET", "hidden")
    monkeypatch.setenv("HARMLESS", "kept")
    web = WebProcess(NOBODY, HERE, KEY)
    try:
        web.start()
        environ = Path(f"/proc/{pid_of(web)}/environ").read_bytes()
        assert b"HARMLESS=kept" in environ
        assert b"QM_" not in environ and b"hidden" not in environ
        assert "Umask:\t0077" in Path(f"/proc/{pid_of(web)}/status").read_text()
    finally:
        web.stop()


def test_what_lies_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bottle", "logging", "waitress"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "qm").mkdir()
    monkeypatch.chdir(tmp_path)
    web = WebProcess(NOBODY, HERE, KEY)
    try:
        assert get(web.start(), "/healthz")[0] == 200
    finally:
        web.stop()


def test_a_taken_port_is_said_in_words_and_by_exit_code(
    run: Callable[..., Run], capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        code, said = run(config(http=address).to_line()).ended()
        assert code == WebExit.CANNOT_LISTEN
        assert said.splitlines() == [
            f"qmanager-web: cannot listen on port {address.port} of 127.0.0.1: address already in use",
            "hint: choose another by --http HOST:PORT, or stop what uses it",
        ]
        with pytest.raises(WebError, match=f"port {address.port} of 127.0.0.1"):
            WebProcess(NOBODY, address, KEY).start()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "there is no configuration on stdin"),
        (b"half a line", "there is no configuration on stdin"),
        (b"nonsense\n", "the configuration cannot be read"),
        (config(authkey="abcd").to_line(), "an authkey has at least 32 bytes"),
        (config(authkey="no digits").to_line(), "hexadecimal"),
        (config(log_level="loud").to_line(), "'loud' is not a log level"),
        (config(log_format="xml").to_line(), "'xml' is not a log format"),
    ],
)
def test_a_bad_configuration_ends_with_a_clear_line(run: Callable[..., Run], line: bytes, said: str) -> None:
    code, text = run(line, close_stdin=True).ended()
    assert code == WebExit.BAD_CONFIG
    assert text.startswith("qmanager-web: ") and said in text
    assert "Traceback" not in text and KEY.hex() not in text


def test_sigterm_ends_it_cleanly(run: Callable[..., Run]) -> None:
    web = run(config().to_line())
    web.ready()
    web.process.terminate()
    assert web.ended() == (0, "")


def test_the_end_of_its_stdin_ends_it_cleanly(run: Callable[..., Run]) -> None:
    web = run(config().to_line())
    web.ready()
    assert web.process.stdin is not None
    web.process.stdin.close()
    assert web.ended() == (0, "")


def test_ctrl_c_does_not_end_it(run: Callable[..., Run]) -> None:
    web = run(config().to_line())
    address = web.ready()
    for _ in range(5):
        web.process.send_signal(signal.SIGINT)
    assert get(address, "/healthz")[0] == 200


def test_a_configuration_from_another_parent_is_not_served(run: Callable[..., Run]) -> None:
    assert run(config(parent=1).to_line()).ended() == (0, "")


def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    child = WebChild(config(parent=os.getpid()))
    try:
        for _ in range(30):
            os.kill(child.pid, signal.SIGINT)
            time.sleep(0.01)
        eventually(lambda: child.hear() is not None)
    finally:
        assert child.end(5) == 0
    assert capfd.readouterr().err == ""


#: A qmanager that has only its web process, and says who it is.
PARENT = """
import json, sys
from qm.manager.webprocess import WebProcess
from qm.wire.address import Address
web = WebProcess(Address("127.0.0.1", 1), Address("127.0.0.1", 0), b"k" * 32)
address = web.start()
print(json.dumps([web._child.pid, *address]), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_it_ends_with_its_parent_whatever_ends_that(ending: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid, *address = json.loads(parent.stdout.readline())
        assert get(Address(*address), "/healthz")[0] == 200
        parent.send_signal(ending)
        parent.wait(10)
        eventually(lambda: not is_alive(pid))
    with pytest.raises(ConnectionRefusedError):
        get(Address(*address))


def test_it_ends_with_its_parent_even_if_somebody_else_holds_its_stdin() -> None:
    holding = PARENT.replace(
        "print(",
        "import os, subprocess\n"
        "os.set_inheritable(web._child._stdin.fileno(), True)\n"
        "other = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=subprocess.DEVNULL)\n"
        "print(other.pid, flush=True)\n"
        "print(",
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        other = int(parent.stdout.readline())
        try:
            pid = json.loads(parent.stdout.readline())[0]
            parent.kill()
            parent.wait(10)
            eventually(lambda: not is_alive(pid))
            assert is_alive(other)
        finally:
            os.kill(other, signal.SIGKILL)


def test_a_stop_does_not_wait_for_one_that_cannot_hear(manager: Manager) -> None:
    web = WebProcess(manager.address, HERE, KEY)
    web.start()
    pid = pid_of(web)
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    web.stop()
    assert 4 < time.monotonic() - start < 9
    assert not is_alive(pid)


def test_a_stop_is_quick_and_leaves_no_process(manager: Manager) -> None:
    web = WebProcess(manager.address, HERE, KEY)
    web.start()
    pid = pid_of(web)
    with socket.create_connection(web.address, timeout=10):
        start = time.monotonic()
        web.stop()
        assert time.monotonic() - start < 3
    assert not is_alive(pid)


def test_the_page_is_stopped_last_after_it_said_that_it_is_not_ready(tmp_path: Path) -> None:
    settings = Settings(
        rpc=HERE,
        http=HERE,
        store=f"sqlite:{tmp_path}/queue.db",
        durability="full",
        authkey_file=tmp_path / "authkey",
    )
    service = Service(settings)
    service.start()
    assert service.http is not None and service._store is not None
    address, close = service.http, service._store.close
    assert get(address, "/readyz") == (200, '{"status":"ready"}')
    said: list[tuple[int, str]] = []

    def close_and_look() -> None:
        said.append(get(address, "/readyz"))
        close()
        said.append(get(address, "/readyz"))
        said.append(get(address, "/healthz"))

    service._store.close = close_and_look  # type: ignore[method-assign]
    service.stop()
    assert [status for status, _ in said] == [503, 503, 200]
    assert "not ready" in said[0][1]
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_a_name_of_ours_and_tasks_for_others_are_told_to_the_page(manager: Manager) -> None:
    manager.finish("the input", "the output")
    web = WebProcess(
        manager.address, Address("0.0.0.0", 0), KEY, hosts=["tasks.example.org"], show_payloads=True
    )
    web.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", web.address.port, timeout=10)
        for host, status in (("tasks.example.org", 200), ("evil.example", 421)):
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            assert (answer.status, b"the output" in answer.read()) == (status, status == 200)
        connection.close()
    finally:
        web.stop()
