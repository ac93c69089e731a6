"""Dramatiq as safe as Warren: published with confirms, acknowledged after the task (as it always does)."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=os.environ["AMQP_URL"], confirm_delivery=True, max_priority=9)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="peer-dramatiq")
def echo(text):
    return None
