//! Handing tasks in, and telling the event log of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use tokio::sync::Semaphore;
use warren_core::{QueueName, TaskId, event::Event, event::Submitted};
use warren_runtime::{
    Uplink,
    amqp::{
        self, Connector, Link, Names, Publisher, Topology,
        publisher::{self, LARGEST_BODY},
    },
    clock,
    command_log::CommandLog,
    event_log::EventLog,
    readiness::Latch,
};

use crate::{
    Config, Error, NewTask,
    message::{self, Message},
};

/// How many tasks of one [`pipeline`](Producer::pipeline) are on their way at once.
pub const WINDOW: usize = publisher::WINDOW;

// The broker confirms many at once, and has nothing to do until the next ones come: they are made ready meanwhile.
const AHEAD: usize = 1_000;
// Handed over together they cost the client library a quarter of what they cost one by one.
const CHUNK: usize = 100;
const BYTES_ON_THEIR_WAY: usize = 64 << 20;
// A log that takes nothing must not hold up tasks: a task without this event is shown from its first attempt on.
const PATIENCE_WITH_THE_LOG: Duration = Duration::from_secs(5);

/// Hands tasks in. Cheap to clone; all clones share one connection, which is made anew by itself when it breaks.
///
/// Call [`close`](Producer::close) before the process ends, or the last events are lost: the tasks are not, but the
/// monitor will know of them only when they start.
#[derive(Debug, Clone)]
pub struct Producer {
    publisher: Publisher,
    log: EventLog,
    commands: CommandLog,
    connector: Connector,
    topology: Topology,
    app_id: Option<String>,
    limit: usize,
    preview_bytes: usize,
    uplink: Arc<Mutex<Option<Uplink>>>,
}

impl Producer {
    /// Connects, and fails at once where that cannot be done.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        // The publisher's own loop would try for ever, and keep the reason to the logs.
        let connector = Connector::new(config.amqp.clone(), &clock::process_name());
        let link = connector.connect("check").await.map_err(Error::Connect)?;
        link.close().await;
        Ok(Self::start(config, None))
    }

    /// Begins to connect, and keeps trying. The latch is met while there is a connection.
    pub fn start(config: &Config, latch: Option<Latch>) -> Self {
        let process = clock::process_name();
        let connector = Connector::new(config.amqp.clone(), &process);
        let names = Names::new(&config.namespace);
        let uplink = Uplink::start(connector.clone(), &names, &process, latch);
        Self {
            publisher: uplink.publisher.clone(),
            log: uplink.log.clone(),
            commands: CommandLog::new(uplink.publisher.clone(), &names, &process),
            connector,
            topology: Topology::new(names, &config.amqp),
            app_id: config.app_id.clone(),
            limit: config.max_body_bytes.min(LARGEST_BODY),
            preview_bytes: config.preview_bytes,
            uplink: Arc::new(Mutex::new(Some(uplink))),
        }
    }

    /// Whether a task would be accepted, as far as can be told without sending it.
    pub fn check(&self, task: &NewTask) -> Result<(), Error> {
        task.check(clock::now())?;
        self.check_size(task)
    }

    /// Hands one task in, and returns its id when the broker has confirmed that it is safe in its queue.
    ///
    /// Not cancel safe: when the future is dropped, the task may or may not have been handed in.
    ///
    /// # Errors
    /// See [`Error`]. Nothing is sent where a field cannot be accepted.
    pub async fn enqueue(&self, task: NewTask) -> Result<TaskId, Error> {
        let Message { outgoing, submitted } = self.compose(task)?;
        let published = self.publisher.publish(&outgoing).await;
        published.map_err(|error| Error::publish(error, &submitted.about.queue, self.limit))?;
        Ok(self.report(submitted).await)
    }

    /// Hands many tasks in at once, and returns their results in the order of the tasks.
    pub async fn enqueue_many(&self, tasks: impl IntoIterator<Item = NewTask>) -> Vec<Result<TaskId, Error>> {
        let tasks = stream::iter(tasks).map(|task| ((), Ok::<_, Error>(task)));
        self.pipeline(tasks).map(|((), result)| result).collect().await
    }

    /// Hands a stream of tasks in, any number of them, with at most [`WINDOW`] and 64 MiB on their way at once, and the next
    /// thousand made ready.
    ///
    /// What comes with each task comes out with its result, in the order of the tasks; what is an error already passes
    /// through in its place.
    pub fn pipeline<T, E: From<Error>>(
        &self,
        tasks: impl Stream<Item = (T, Result<NewTask, E>)>,
    ) -> impl Stream<Item = (T, Result<TaskId, E>)> {
        let room = Arc::new(Semaphore::new(BYTES_ON_THEIR_WAY));
        let placed = tasks.then(move |(tag, task)| {
            let room = room.clone();
            async move {
                let bytes = task.as_ref().map_or(0, NewTask::size).min(BYTES_ON_THEIR_WAY);
                let bytes = u32::try_from(bytes).expect("the room is smaller than 4 GiB");
                (tag, task, room.acquire_many_owned(bytes).await.expect("the room is never closed"))
            }
        });
        placed
            .ready_chunks(CHUNK)
            .map(move |chunk| self.enqueue_chunk(chunk))
            .buffered((WINDOW + AHEAD) / CHUNK)
            .flat_map(stream::iter)
    }

    // All of it is composed before the first message is handed over, so that they follow closely on each other.
    async fn enqueue_chunk<T, E: From<Error>, Place>(
        &self,
        chunk: Vec<(T, Result<NewTask, E>, Place)>,
    ) -> Vec<(T, Result<TaskId, E>)> {
        let (mut outgoing, mut composed, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (tag, task, place) in chunk {
            let submitted = task.and_then(|task| {
                let message = self.compose(task)?;
                outgoing.push(message.outgoing);
                Ok(message.submitted)
            });
            composed.push((tag, submitted));
            places.push(place);
        }
        let mut published = self.publisher.publish_all(&outgoing).await.into_iter();
        let mut results = Vec::with_capacity(composed.len());
        for (tag, submitted) in composed {
            let result = match submitted {
                Err(error) => Err(error),
                Ok(submitted) => match published.next().expect("each message has a result") {
                    Ok(()) => Ok(self.report(submitted).await),
                    Err(error) => Err(Error::publish(error, &submitted.about.queue, self.limit).into()),
                },
            };
            results.push((tag, result));
        }
        results
    }

    fn compose(&self, mut task: NewTask) -> Result<Message, Error> {
        self.check_size(&task)?;
        if let (None, Some(app)) = (&task.app_id, &self.app_id) {
            task = task.app_id(app);
        }
        let names = self.topology.names();
        Ok(message::compose(task, names, clock::now(), clock::task_id(), self.preview_bytes)?)
    }

    /// Why a task would have to wait now, if it would.
    pub fn obstacle(&self) -> Option<Error> {
        let limit = self.limit;
        self.publisher.obstacle().map(|error| Error::publish(error, &QueueName::default(), limit))
    }

    /// Makes a queue, with all that a pool needs, unless it is there already.
    pub async fn declare(&self, queue: &QueueName) -> Result<(), Error> {
        let link = self.connector.connect("declare").await.map_err(Error::Connect)?;
        let declared = async {
            if exists(&link, &self.topology.names().queue(queue)).await? {
                return Ok(());
            }
            self.topology.declare(&link).await?;
            self.topology.declare_queue(&link, queue).await
        };
        let declared = declared.await;
        link.close().await;
        declared.map_err(|source| Error::Declare { queue: queue.clone(), source })
    }

    /// Writes the events that are left, and ends the connection, for all clones. What is handed in afterwards is
    /// refused as [`Error::Disconnected`].
    pub async fn close(&self) {
        let uplink = self.uplink.lock().expect("no panic while the uplink is taken").take();
        if let Some(uplink) = uplink {
            uplink.close().await;
        }
    }

    fn check_size(&self, task: &NewTask) -> Result<(), Error> {
        let (size, limit) = (task.size(), self.limit);
        if size > limit { Err(Error::TooLarge { size, limit }) } else { Ok(()) }
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn log(&self) -> &EventLog {
        &self.log
    }

    pub(crate) fn commands(&self) -> &CommandLog {
        &self.commands
    }

    async fn report(&self, submitted: Submitted) -> TaskId {
        let id = submitted.task.clone();
        let event = Event::Submitted(submitted);
        if !self.log.offer(&event) {
            let noted = tokio::time::timeout(PATIENCE_WITH_THE_LOG, self.log.note(&event)).await;
            if !matches!(noted, Ok(Ok(()))) {
                tracing::warn!(task.id = %id, "the task is in its queue, but its submission is not in the log");
            }
        }
        id
    }
}

// The channel on which the answer is no is closed by the broker; it is dropped here anyway.
async fn exists(link: &Link, queue: &str) -> Result<bool, amqp::Error> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = link.channel().await?.queue_declare(queue.into(), options, FieldTable::default()).await;
    let asked = asked.map_err(|source| amqp::Error::Broker { what: format!("look for {queue}"), source });
    match asked {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
