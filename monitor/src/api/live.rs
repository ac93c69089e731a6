//! `/api/live`: the overview as it changes, as server-sent events.
//!
//! However many listen, it is looked up once a second, and only while somebody listens.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::State,
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::View;

const INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Looks the overview up for all who listen.
#[derive(Debug)]
pub struct Live {
    view: View,
    news: watch::Sender<Option<News>>,
    audience: Arc<Audience>,
}

/// Lets one listen.
#[derive(Debug, Clone)]
pub struct Listening {
    news: watch::Receiver<Option<News>>,
    audience: Arc<Audience>,
}

#[derive(Debug, Default)]
struct Audience {
    number: AtomicUsize,
    arrived: Notify,
}

// Counts one listener, for as long as it listens.
#[derive(Debug)]
struct Seat(Arc<Audience>);

#[derive(Debug, Clone)]
enum News {
    Overview { text: Arc<str>, compared: Arc<Value> },
    Problem(Arc<str>),
}

impl Live {
    /// With nobody listening yet.
    pub fn new(view: View) -> (Self, Listening) {
        let (news, receiver) = watch::channel(None);
        let audience = Arc::<Audience>::default();
        let listening = Listening { news: receiver, audience: audience.clone() };
        (Self { view, news, audience }, listening)
    }

    /// Looks until `stop`; then all streams end.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = interval(INTERVAL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looking = async {
            loop {
                rounds.tick().await;
                if self.audience.is_empty() {
                    // Whoever comes later wants to know how it is then.
                    self.news.send_replace(None);
                }
                while self.audience.is_empty() {
                    self.audience.arrived.notified().await;
                }
                self.tell(self.look().await);
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    async fn look(&self) -> News {
        match self.view.overview().await {
            Ok(overview) => {
                let text = serde_json::to_string(&overview).expect("an overview is always valid JSON");
                let mut compared = serde_json::to_value(&overview).expect("an overview is always valid JSON");
                // These change with every look.
                compared["at"] = Value::Null;
                compared["lag_seconds"] = json!(compared["lag_seconds"].is_null());
                News::Overview { text: text.into(), compared: compared.into() }
            }
            Err(failure) => News::Problem(failure.text().into()),
        }
    }

    fn tell(&self, new: News) {
        self.news.send_if_modified(|known| {
            let changed = known.as_ref().is_none_or(|known| known.differs(&new));
            if changed {
                *known = Some(new);
            }
            changed
        });
    }
}

impl News {
    fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Overview { compared, .. }, Self::Overview { compared: new, .. }) => compared != new,
            (Self::Problem(problem), Self::Problem(new)) => problem != new,
            (Self::Overview { .. }, Self::Problem(_)) | (Self::Problem(_), Self::Overview { .. }) => true,
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Overview { text, .. } => Event::default().event("overview").data(text),
            Self::Problem(problem) => Event::default().event("problem").data(problem),
        }
    }
}

impl Audience {
    fn is_empty(&self) -> bool {
        self.number.load(Ordering::Acquire) == 0
    }
}

impl Seat {
    fn take(audience: &Arc<Audience>) -> Self {
        audience.number.fetch_add(1, Ordering::AcqRel);
        audience.arrived.notify_one();
        Self(audience.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.number.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The overview as it changes.
#[utoipa::path(
    get,
    path = "/api/live",
    responses((
        status = 200,
        description = "Server-sent events, at most one a second: `overview`, with the body of /api/overview, at the beginning \
                       and when it has changed; `problem`, with a problem (RFC 9457), when it cannot be looked up",
        body = String,
        content_type = "text/event-stream",
    ))
)]
pub async fn live(State(listening): State<Listening>) -> impl IntoResponse {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    ([("x-accel-buffering", "no")], Sse::new(events(listening)).keep_alive(keep_alive))
}

fn events(Listening { news, audience }: Listening) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((news, Seat::take(&audience)), async |(mut news, seat)| {
        loop {
            news.changed().await.ok()?;
            let event = news.borrow_and_update().as_ref().map(News::event);
            if let Some(event) = event {
                return Some((Ok(event), (news, seat)));
            }
        }
    })
}
