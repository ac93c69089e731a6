"""taskiq as safe as Warren: persistent, published with confirms (as aio-pika does), acknowledged after the task."""

import os

from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

broker = AioPikaBroker(
    os.environ["AMQP_URL"],
    qos=100,
    dead_letter_queue=Queue(name="peer-taskiq-dead", type=QueueType.CLASSIC),
).with_queue(Queue(name="peer-taskiq", type=QueueType.CLASSIC, max_priority=9))


@broker.task(task_name="echo")
async def echo(text: str) -> None:
    """Does nothing."""
