"""The runner against real hosts: user values stay data, host keys are checked, what is cut off is noticed."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flows.runner.run import Status
from flows.runner.workspace import Login, root
from tests.flows.conftest import HOST
from tests.flows.plays import Seen, new_run, play, playbook, until
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

# Prints the document as a module on the host received it, and keeps a copy in a file there.
ECHO = """
    - name: Show what arrived on the host
      ansible.builtin.command:
        argv: [/usr/bin/python3, -c, "import sys; print(sys.stdin.read())"]
        stdin: "{{ pumasi.parameters | to_json }}"
        stdin_add_newline: false
      register: shown
      changed_when: false
    - name: Write it to a file of the host
      ansible.builtin.copy:
        content: "{{ pumasi.parameters | to_json }}"
        dest: /tmp/parameters.json
        mode: "0600"
    - name: Use each value as a word of a shell
      ansible.builtin.shell: "printf %s {{ item | quote }}"
      loop: "{{ pumasi.words }}"
      register: word
      changed_when: false
    - name: Hand it back
      ansible.builtin.set_stats:
        data:
          pumasi_outputs:
            parameters: "{{ shown.stdout | from_json }}"
            controller: "{{ pumasi.parameters }}"
            words: "{{ word.results | map(attribute='stdout') }}"
        per_host: false
"""


def attacks(mark: str) -> dict[str, Any]:
    """Every attack of the field notes, each in place of a value, a key, or an object; one that runs makes the file ``mark``."""
    run = f"{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}"
    also = f"{{% for x in [lookup('pipe', 'touch {mark}')] %}}{{{{ x }}}}{{% endfor %}}"
    return {
        "template": run,
        "statement": also,
        "comment": "{# nothing #}",
        "key": {run: 1, also: {run: run}},
        "nested": [[{"a": [run, {"b": also}]}], run],
        "unsafe": {"__ansible_unsafe": run},
        "unsafe-beside": [{"__ansible_unsafe": run, "x": run}, run],
        "vault": {"__ansible_vault": run},
        "vault-shaped": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n33363965326261303431"},
        "tagged": {"__ansible_type": "_AnsibleTaggedStr", "value": run, "tags": []},
        "prefect": {"__prefect_kind": "jinja", "template": run},
        "connection": {"ansible_connection": "local", "ansible_host": "127.0.0.1", "ansible_user": "root",
                       "ansible_ssh_common_args": f"-oProxyCommand='touch {mark}'"},
        "names": {"ansible_python_interpreter": f"/bin/sh -c 'touch {mark}'", "ansible_become_exe": f"touch {mark}", "vars": run},
        "yaml": f"!unsafe &a *a\n- ? {run}\n: !!python/object/apply:os.system ['touch {mark}']",
        "shell": f"'; touch {mark}; $(touch {mark}) `touch {mark}` && touch {mark} | touch {mark} > {mark}",
        "option": f"-oProxyCommand=touch {mark}",
        "numbers": [0, -1, 1.5, 1e300, 2**63, True, False, None, "", " "],
        "looks-like": ["yes", "null", "0x10", "1_000", "~", "2026-01-01", "on"],
        "letters": "한글 🦊 \" ' \\ \t\n\u2028 end",
        "long": "x" * 100_000,
    }  # fmt: skip


# Objects that look like Ansible's own marks: reading the document fails, closed. The door refuses them before (offerings).
REFUSED = ("tagged", "unsafe", "unsafe-beside", "vault", "vault-shaped")


@pytest.mark.parametrize("name", REFUSED)
def test_objects_shaped_like_ansibles_own_end_the_run_and_run_nothing(
    flow_rack: Rack, login: Login, tmp_path: Path, name: str
) -> None:
    mark = f"/tmp/pwned-{os.getpid()}-{name}"
    result = play(
        playbook(tmp_path, ECHO, hosts="target"),
        login=login,
        ssh_key=flow_rack.private_key,
        values={"parameters": {"value": attacks(mark)[name]}, "words": []},
    )
    assert (result.status, result.task) == (Status.FAILED, "Show what arrived on the host")
    assert flow_rack.ssh(HOST, f"ls {mark} 2>/dev/null || echo none").strip() == "none"
    assert not Path(mark).exists()


def test_user_values_arrive_literally_and_run_nothing(flow_rack: Rack, login: Login, tmp_path: Path) -> None:
    mark = f"/tmp/pwned-{os.getpid()}"
    values = {name: value for name, value in attacks(mark).items() if name not in REFUSED}
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values.values())
    words = [text[:1000] for text in texts]
    result = play(
        playbook(tmp_path, ECHO, hosts="target"),
        login=login,
        ssh_key=flow_rack.private_key,
        values={"parameters": values, "words": words},
    )
    assert result.ok, result
    assert result.outputs == {"parameters": values, "controller": values, "words": words}
    on_host = flow_rack.ssh(HOST, f"cat /tmp/parameters.json; rm /tmp/parameters.json; ls {mark} 2>/dev/null || true")
    assert json.loads(on_host) == values
    assert not Path(mark).exists()


def test_user_values_as_top_level_names_change_nothing(flow_rack: Rack, login: Login, tmp_path: Path) -> None:
    """Even where they stand beside ``parameters``: the document is one variable, so no name in it means anything to Ansible."""
    mark = tmp_path / "pwned"
    names = {"ansible_connection": "local", "ansible_host": "127.0.0.1", "inventory_hostname": "x", "playbook_dir": "/",
             "ansible_ssh_common_args": f"-oProxyCommand='touch {mark}'", "environment": {"X": "y"}}  # fmt: skip
    tasks = """
    - name: Ask the host for its name
      ansible.builtin.command: hostname
      register: name
      changed_when: false
    - name: Hand it back
      ansible.builtin.set_stats: {data: {pumasi_outputs: {name: "{{ name.stdout }}"}}, per_host: false}
"""
    result = play(playbook(tmp_path, tasks, hosts="target"), login=login, ssh_key=flow_rack.private_key, values=names)
    assert result.outputs == {"name": HOST}
    assert not mark.exists()


def test_a_host_with_another_key_is_refused(flow_rack: Rack, login: Login, tmp_path: Path) -> None:
    other = Login(login.name, login.address, login.ssh_port, login.ssh_user, flow_rack.host_key("zone-b-01"))
    touched = "    - name: Touch\n      ansible.builtin.file: {path: /tmp/touched, state: touch}\n"
    result = play(playbook(tmp_path, touched, hosts="target"), login=other, ssh_key=flow_rack.private_key)
    assert result.status is Status.UNREACHABLE
    assert flow_rack.ssh(HOST, "ls /tmp/touched 2>/dev/null || echo none").strip() == "none"


def test_a_host_that_is_off_is_noticed_in_time(flow_rack: Rack, login: Login, tmp_path: Path) -> None:
    flow_rack.off(HOST)
    try:
        seen = Seen()
        path = playbook(tmp_path, "    - name: Say hello\n      ansible.builtin.command: hostname\n", hosts="target")
        result = play(path, login=login, ssh_key=flow_rack.private_key, emit=seen)
    finally:
        flow_rack.on(HOST)
    assert (result.status, result.task) == (Status.UNREACHABLE, "Say hello")
    assert result.seconds < 20
    assert seen.told() == [("Say hello", "started"), ("Say hello", "unreachable")]


def test_a_host_cut_off_in_the_middle_of_a_task_is_noticed_in_time(
    flow_rack: Rack, login: Login, tmp_path: Path
) -> None:
    seen = Seen()
    results = []
    path = playbook(tmp_path, "    - name: Work for long\n      ansible.builtin.command: sleep 120\n", hosts="target")
    runner = threading.Thread(
        target=lambda: results.append(play(path, login=login, ssh_key=flow_rack.private_key, emit=seen, seconds=100))
    )
    runner.start()
    seen.wait_for("Work for long", "started")
    assert until(lambda: flow_rack.ssh(HOST, "pgrep -fx 'sleep 120' || :").strip() != "", 30)
    flow_rack.cut(HOST)
    cut = time.monotonic()
    try:
        runner.join(40)
        noticed = time.monotonic() - cut
    finally:
        flow_rack.join(HOST)
    assert results[0].status is Status.UNREACHABLE
    assert noticed < 22  # three probes of five seconds, and the rest of the one under way


def test_cancelling_on_a_real_host_leaves_no_connection_and_the_fence_ends_the_rest(
    flow_rack: Rack, login: Login, tmp_path: Path
) -> None:
    seen, stop, first = Seen(), threading.Event(), new_run(1)
    results = []
    task = """
    - name: Work for long
      ansible.builtin.shell: 'trap "" HUP TERM; while :; do sleep 1; done'
      become: true
"""
    runner = threading.Thread(
        target=lambda: results.append(
            play(
                playbook(tmp_path, task, hosts="target"),
                run_id=first,
                login=login,
                ssh_key=flow_rack.private_key,
                emit=seen,
                stop=stop.is_set,
                seconds=100,
            )
        )
    )
    runner.start()
    seen.wait_for("Work for long", "started")
    still = f"cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -cx 'PUMASI_RUN={first}' || true"
    assert until(lambda: flow_rack.ssh(HOST, still).strip() != "0", 20)
    stop.set()
    runner.join(20)
    assert results[0].status is Status.CANCELLED
    assert not [path for path in root().iterdir() if (path / "run").exists() and (path / "run").read_text() == first]
    assert flow_rack.ssh(HOST, still).strip() != "0"  # cancelling is no fence: what runs on the host goes on
    second = first.replace(":1", ":2")
    fence = "    - name: Fence\n      ansible.builtin.import_role: {name: fence}\n      become: true\n"
    subject = {"run": {"id": second, "subject": second.partition(":")[0], "attempt": 2}}
    fenced = play(
        playbook(tmp_path, fence, hosts="target"),
        run_id=second,
        login=login,
        ssh_key=flow_rack.private_key,
        values=subject,
    )
    assert fenced.ok, fenced
    assert flow_rack.ssh(HOST, still).strip() == "0"
