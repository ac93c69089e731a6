"""Celery as safe as Warren: acknowledged late, published with confirms, every event sent."""

import os

from celery import Celery

app = Celery("celery_tasks", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_default_queue="peer",
    task_queue_max_priority=9,
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=32,
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)


@app.task(name="echo")
def echo(text):
    return text
