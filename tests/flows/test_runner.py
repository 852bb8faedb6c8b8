"""One playbook: what is told of it while it runs, what comes out, and that nothing is left of it."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from flows.runner.events import HIDDEN, Entry
from flows.runner.leftovers import alive, end_processes, identity, reap, reap_orphans
from flows.runner.run import Result, Status
from flows.runner.workspace import BadTarget, Login, Workspace, root
from tests.flows.plays import PLAYBOOKS, Seen, new_run, play, playbook, until

REPO = PLAYBOOKS.parent

# Ends neither with its terminal, nor with its session, nor when asked to.
STUBBORN = """
    - name: Hold on to everything
      ansible.builtin.shell: |
        setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' &
        trap "" TERM HUP; sleep 300; sleep 300
"""


def marked(run_id: str) -> list[int]:
    """Processes of a run, whoever owns them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"PUMASI_RUN={run_id}".encode() in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def workspaces_of(run_id: str) -> list[Path]:
    return [path for path in root().iterdir() if (path / "run").exists() and (path / "run").read_text() == run_id]


def nothing_left(run_id: str) -> bool:
    return not marked(run_id) and not workspaces_of(run_id)


def test_tasks_are_told_by_name_with_their_result_and_outputs_come_back(tmp_path: Path) -> None:
    seen, run_id = Seen(), new_run()
    result = play(
        playbook(
            tmp_path,
            """
    - name: Look at the weather
      ansible.builtin.command: "true"
      changed_when: false
    - name: Water the flowers
      ansible.builtin.command: "true"
    - name: Shovel snow
      ansible.builtin.command: "true"
      when: false
    - name: Try something that may fail
      ansible.builtin.command: "false"
      ignore_errors: true
    - name: Hand back
      ansible.builtin.set_stats:
        data: {pumasi_outputs: {size: 3, name: "{{ pumasi.name }}"}}
        per_host: false
""",
        ),
        run_id=run_id,
        values={"name": "집 {{ 7 * 7 }}"},
        emit=seen,
    )
    assert (result.status, result.task, result.message) == (Status.OK, None, "")
    assert result.outputs == {"size": 3, "name": "집 {{ 7 * 7 }}"}
    assert seen.told() == [
        ("Look at the weather", "started"), ("Look at the weather", "ok"),
        ("Water the flowers", "started"), ("Water the flowers", "changed"),
        ("Shovel snow", "started"), ("Shovel snow", "skipped"),
        ("Try something that may fail", "started"), ("Try something that may fail", "ok"),
        ("Hand back", "started"), ("Hand back", "ok"),
    ]  # fmt: skip
    changed = seen.tasks()[3][1]
    assert changed.kind == "task"
    assert set(changed.data) == {"step", "play", "task", "host", "status", "seconds", "message"}
    assert (changed.data["step"], changed.data["play"], changed.data["host"]) == ("provision", "Try", "localhost")
    assert 0 < changed.data["seconds"] < 10
    assert seen.tasks()[2][1].data["seconds"] is None
    assert nothing_left(run_id)


def test_a_failed_task_is_named_with_its_reason(tmp_path: Path) -> None:
    seen = Seen()
    result = play(
        playbook(
            tmp_path,
            """
    - name: Ask for the impossible
      ansible.builtin.shell: "echo the disk is full >&2; exit 3"
    - name: Never reached
      ansible.builtin.debug:
""",
        ),
        emit=seen,
    )
    assert (result.status, result.task, result.outputs) == (Status.FAILED, "Ask for the impossible", {})
    assert "the disk is full" in result.message
    assert seen.told() == [("Ask for the impossible", "started"), ("Ask for the impossible", "failed")]
    assert seen.tasks()[1][1].data["message"] == result.message


def test_a_rescued_failure_is_no_failure(tmp_path: Path) -> None:
    result = play(
        playbook(
            tmp_path,
            """
    - name: Try
      block:
        - name: Fall
          ansible.builtin.command: "false"
      rescue:
        - name: Get up
          ansible.builtin.command: "true"
""",
        )
    )
    assert (result.status, result.task) == (Status.OK, None)


def test_a_playbook_that_cannot_begin_says_why(tmp_path: Path) -> None:
    path = tmp_path / "broken.yml"
    path.write_text("- hosts: localhost\n  tasks: {this is: [no playbook}\n")
    result = play(path)
    assert (result.status, result.task) == (Status.FAILED, None)
    assert "broken.yml" in result.message


def test_entries_arrive_within_a_second_of_their_happening(tmp_path: Path) -> None:
    seen = Seen()
    stamps = tmp_path / "stamps"
    tasks = "".join(
        f"""
    - name: Task {number}
      ansible.builtin.shell: "date +%s.%N >> {stamps}; sleep 0.3"
"""
        for number in range(4)
    )
    assert play(playbook(tmp_path, tasks), emit=seen).ok
    happened = [float(line) for line in stamps.read_text().split()]
    started = [at for at, entry in seen.tasks() if entry.data["status"] == "started"]
    ended = [at for at, entry in seen.tasks() if entry.data["status"] == "changed"]
    assert len(started) == len(ended) == len(happened) == 4
    assert max(start - moment for start, moment in zip(started, happened, strict=True)) < 1
    assert max(end - moment - 0.3 for end, moment in zip(ended, happened, strict=True)) < 1
    assert [at for at, _ in seen.entries] == sorted(at for at, _ in seen.entries)


def test_secrets_show_in_no_entry_and_no_result_even_without_no_log(tmp_path: Path) -> None:
    seen = Seen()
    secret = 'p4ss"wörd/ +$x'
    path = playbook(
        tmp_path,
        """
    - name: Leak through a message
      ansible.builtin.debug:
        msg: "{{ pumasi.password }}"
    - name: Leak through {{ pumasi.password }}
      ansible.builtin.shell: "printf %s \\"$PW\\" | tee /dev/stderr | base64; exit 1"
      environment: {PW: "{{ pumasi.password }}"}
""",
    )
    result = play(path, values={"password": secret}, secrets=(secret,), emit=seen)
    assert result.status is Status.FAILED
    told = repr([entry.data for _, entry in seen.entries]) + repr(result)
    assert "p4ss" not in told
    assert "***" in result.message


def test_what_no_log_hides_stays_hidden(tmp_path: Path) -> None:
    seen = Seen()
    result = play(
        playbook(
            tmp_path,
            """
    - name: Handle with care
      ansible.builtin.shell: "echo tender; exit 1"
      no_log: true
""",
        ),
        emit=seen,
    )
    assert result.message == HIDDEN
    assert "tender" not in repr(seen.entries)


def test_secrets_are_in_no_command_line_and_only_in_the_values_file(tmp_path: Path) -> None:
    """Looks at every process and every file of the run while a task runs."""
    secret, run_id, gate = "sEcret-0f3a9c77", new_run(), tmp_path / "gate"
    seen, results = Seen(), []
    path = playbook(
        tmp_path,
        f"""
    - name: Use the secret
      ansible.builtin.debug: {{msg: "{{{{ pumasi.password }}}}"}}
      no_log: true
    - name: Wait
      ansible.builtin.shell: "until test -e {gate}; do sleep 0.1; done"
""",
    )
    os.environ["PUMASI_TEST_SECRET"] = secret  # stands for what is in a worker's own environment
    values = {"password": secret}
    runner = threading.Thread(
        target=lambda: results.append(play(path, run_id=run_id, values=values, secrets=(secret,), emit=seen))
    )
    runner.start()
    try:
        seen.wait_for("Wait", "started")
        assert until(lambda: len(marked(run_id)) >= 3)
        for pid in marked(run_id):
            assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        (workspace,) = workspaces_of(run_id)
        assert workspace.stat().st_mode & 0o777 == 0o700
        holding = [
            file.name for file in workspace.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()
        ]
        assert holding == ["values.json"]
        assert (workspace / "values.json").stat().st_mode & 0o777 == 0o600
    finally:
        gate.touch()
        runner.join(30)
        del os.environ["PUMASI_TEST_SECRET"]
    assert results[0].ok
    assert nothing_left(run_id)


def test_cancelling_ends_every_process_and_removes_the_workspace(tmp_path: Path) -> None:
    run_id, seen = new_run(), Seen()
    stop = threading.Event()
    results: list[Result] = []
    runner = threading.Thread(
        target=lambda: results.append(play(playbook(tmp_path, STUBBORN), run_id=run_id, emit=seen, stop=stop.is_set))
    )
    runner.start()
    seen.wait_for("Hold on to everything", "started")
    assert until(lambda: len(marked(run_id)) >= 5)
    began = time.monotonic()
    stop.set()
    runner.join(30)
    assert (results[0].status, results[0].task) == (Status.CANCELLED, "Hold on to everything")
    assert nothing_left(run_id)
    assert time.monotonic() - began < 10


def test_the_deadline_stops_a_run(tmp_path: Path) -> None:
    run_id, over = new_run(), list[float]()

    def clock() -> float:
        """3 s have gone by once the playbook is in the midst of its work; noted is when that was."""
        if not over and len(marked(run_id)) >= 5:
            over.append(time.monotonic())
        return 3.0 if over else 0.0

    result = play(playbook(tmp_path, STUBBORN), run_id=run_id, seconds=3, clock=clock)
    assert (result.status, result.task, result.seconds) == (Status.TIMEOUT, "Hold on to everything", 3.0)
    assert time.monotonic() - over[0] < 9
    assert nothing_left(run_id)


def test_an_exception_in_the_waiting_thread_leaves_nothing_behind(tmp_path: Path) -> None:
    """As when Prefect's signal handler raises in the main thread."""
    run_id = new_run()

    def interrupted() -> bool:
        if len(marked(run_id)) >= 5:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        play(playbook(tmp_path, STUBBORN), run_id=run_id, stop=interrupted)
    assert nothing_left(run_id)


@pytest.fixture
def killed(tmp_path: Path) -> str:
    """The run of a flow process that was killed with -9 while its playbook was under way."""
    run_id = new_run(attempt=2)
    code = (
        "import sys; from pathlib import Path; from tests.flows.plays import play;"
        "play(Path(sys.argv[1]), run_id=sys.argv[2], seconds=300)"
    )
    flow = subprocess.Popen(
        [sys.executable, "-c", code, playbook(tmp_path, STUBBORN), run_id], cwd=REPO, start_new_session=True
    )
    assert until(lambda: len(marked(run_id)) >= 5, 30)
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    return run_id


def test_what_a_killed_flow_left_is_ended_by_the_next_attempt(killed: str) -> None:
    subject = killed.partition(":")[0]
    assert marked(killed)
    assert workspaces_of(killed)
    assert reap(subject, before=2, root=root()) == 0  # an earlier attempt must not end a later one
    assert marked(killed)
    assert reap(str(uuid.uuid4()), before=9, root=root()) == 0
    assert marked(killed)
    assert reap(subject, before=3, root=root()) >= 1  # how many: as far as the closing of the terminal has got
    assert nothing_left(killed)


def test_what_a_killed_flow_left_is_ended_when_a_worker_starts(killed: str, tmp_path: Path) -> None:
    living = new_run()
    seen, stop = Seen(), threading.Event()
    path = playbook(tmp_path, STUBBORN)
    runner = threading.Thread(target=lambda: play(path, run_id=living, emit=seen, stop=stop.is_set))
    runner.start()
    seen.wait_for("Hold on to everything", "started")
    assert reap_orphans(root=root()) >= 1
    assert nothing_left(killed)
    assert marked(living)
    assert workspaces_of(living)
    stop.set()
    runner.join(30)
    assert nothing_left(living)


def test_a_process_is_known_by_number_and_start() -> None:
    ours = identity()
    assert alive(ours)
    assert not alive(f"{os.getpid()}-1")
    assert identity(2**22 + 1) == ""
    child = subprocess.Popen(["true"])
    number = identity(child.pid)
    child.wait()
    assert not alive(number)


def test_only_marked_processes_are_ended() -> None:
    bystander = subprocess.Popen(["sleep", "60"], env={"PUMASI_RUN": "", "PUMASI_OWNER": "1-1"})
    try:
        end_processes(lambda mark: mark.run == "")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "{{ lookup('pipe','id') }}"),
        ("name", "-oProxyCommand=id"),
        ("address", "10.0.0.1 -oProxyCommand=id"),
        ("address", "{{ 1 }}"),
        ("ssh_user", "root -o ProxyCommand=id"),
        ("ssh_user", "{{ x }}"),
        ("ssh_port", 0),
        ("known_key", ""),
        ("known_key", "ssh-ed25519 AAAA\n* ssh-ed25519 BBBB"),
    ],
)
def test_a_host_entry_that_is_not_plain_is_refused(field: str, value: object) -> None:
    entry = {"name": "h", "address": "10.0.0.1", "ssh_port": 22, "ssh_user": "ops", "known_key": "ssh-ed25519 AAAA"}
    Login(**entry)  # type: ignore[arg-type]
    with pytest.raises(BadTarget, match=field):
        Login(**{**entry, field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("run_id", ["../../x:1", "x", str(uuid.UUID(int=1)), f"{uuid.UUID(int=1)}:1\n"])
def test_a_run_needs_a_plain_name(run_id: str) -> None:
    with pytest.raises(ValueError, match="a run is named"):
        Workspace(run_id, seats=[], values={}, ssh_key=Path("/nonexistent"))


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "flows.runner.workspace.Path", lambda *parts: tmp_path.joinpath(*(p.lstrip("/") for p in parts))
    )
    shared = tmp_path / "dev" / "shm"
    (shared / f"pumasi-{os.getuid()}").mkdir(parents=True, mode=0o755)
    with pytest.raises(PermissionError, match="0700"):
        root()


def test_entries_are_small(tmp_path: Path) -> None:
    seen = Seen()
    play(
        playbook(tmp_path, "    - name: Talk\n      ansible.builtin.shell: 'yes loudly | head -c 100000; exit 1'\n"),
        emit=seen,
    )
    assert len(seen.entries[-1][1].data["message"]) <= 1000
    assert isinstance(seen.entries[-1][1], Entry)
