"""Runs one playbook through ansible-runner: stoppable, watched task by task, leaving no process and no secret behind."""
