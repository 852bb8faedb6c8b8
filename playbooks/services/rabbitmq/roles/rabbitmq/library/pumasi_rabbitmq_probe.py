#!/usr/bin/python
"""Use a delivered RabbitMQ the way its owner will: over the network, by TLS, with a real client and the real password.

Publishes a message to a queue of its own, takes it back and removes the queue; then shows that a wrong password is refused.
Waits up to `patience` seconds for a broker that does not listen yet: it takes some ten seconds to start, also with its host.
Runs where the client is (the controller), with the play's interpreter: Ansible puts it in the place of `/usr/bin/python` only.
Returns `problem`: "" or one of `client_missing`, `unreachable`, `login_refused`, `message_lost`, `wrong_password_accepted`,
`refusal_unclear`; with the client's own words in `detail`.
"""

from __future__ import annotations

import ssl
import time

from ansible.module_utils.basic import AnsibleModule

try:
    import amqp
except ImportError:
    amqp = None

BODY = "pumasi"


def main():
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "vhost": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 10},
            "patience": {"type": "int", "default": 30},
        }
    )
    given = module.params
    if amqp is None:
        module.exit_json(problem="client_missing", detail="The Python package amqp is not installed here.")

    def login(password):
        seconds = given["seconds"]
        connection = amqp.Connection(
            host=f"{given['address']}:{given['port']}",
            userid=given["username"],
            password=password,
            login_method="PLAIN",
            virtual_host=given["vhost"],
            # The certificate is the broker's own; who uses it for good is given it to trust.
            ssl={"cert_reqs": ssl.CERT_NONE},
            confirm_publish=True,
            connect_timeout=seconds,
            read_timeout=seconds,
            write_timeout=seconds,
        )
        connection.connect()
        return connection

    def login_once_it_listens(password):
        deadline = time.monotonic() + given["patience"]
        while True:
            try:
                return login(password)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def said(error):
        return str(error)[-500:]

    try:
        connection = login_once_it_listens(given["password"])
    except amqp.AMQPError as error:
        module.exit_json(problem="login_refused", detail=said(error))
    except OSError as error:
        module.exit_json(problem="unreachable", detail=said(error))
    try:
        channel = connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.basic_publish(amqp.Message(BODY), routing_key=queue)
        taken = channel.basic_get(queue, no_ack=True)
        channel.queue_delete(queue)
        connection.close()
    except (amqp.AMQPError, OSError) as error:
        module.exit_json(problem="message_lost", detail=said(error))
    if taken is None or taken.body != BODY:
        module.exit_json(problem="message_lost", detail="The queue did not give back what was published to it.")

    try:
        login(given["password"][::-1] + "x").close()
    except amqp.AccessRefused:
        module.exit_json(problem="", detail="")
    except (amqp.AMQPError, OSError) as error:
        module.exit_json(problem="refusal_unclear", detail=said(error))
    module.exit_json(
        problem="wrong_password_accepted", detail="The broker took a password that is not the delivered one."
    )


if __name__ == "__main__":
    main()
