//! `/api/series`: figures over time, for charts.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{QueueName, Span, figure::Final, histogram::Histogram};
use warren_runtime::{clock, http::Problem};

use super::{View, failure::Failure, rates::round};
use crate::figures::{self, Bucket, Figures, Gauge};

/// Figures in steps of equal length, the oldest first. The last step is not over yet.
#[expect(clippy::struct_field_names, reason = "the field is what the API calls it")]
#[derive(Debug, Serialize, ToSchema)]
pub struct Series {
    /// 15m, 6h or 7d.
    pub range: String,
    /// The queue; null for all of them.
    pub queue: Option<String>,
    /// How long a step is.
    pub step_seconds: u64,
    /// When each step begins, in seconds since 1970.
    pub at: Vec<u64>,
    /// What happened in each step.
    pub series: Lines,
}

/// One list for each figure, with an entry for each step.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Lines {
    /// Tasks that were handed in.
    pub submitted: Vec<u64>,
    /// Attempts that began.
    pub started: Vec<u64>,
    /// Tasks that succeeded.
    pub succeeded: Vec<u64>,
    /// Attempts that failed.
    pub failed: Vec<u64>,
    /// Tasks that became dead letters.
    pub dead: Vec<u64>,
    /// Tasks that were cancelled.
    pub cancelled: Vec<u64>,
    /// Tasks that expired.
    pub expired: Vec<u64>,
    /// Tasks that may start, on average; null where nobody looked.
    pub queued: Vec<Option<f64>>,
    /// Tasks that wait for their time, on average; null where nobody looked.
    pub delayed: Vec<Option<f64>>,
    /// Tasks that run, on average; null where nobody looked.
    pub running: Vec<Option<f64>>,
    /// Workers that are there, on average; null where nobody looked. Absent for a single queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<Option<f64>>>,
    /// Half of the attempts waited no longer in their queue; null where none began.
    pub wait_p50_ms: Vec<Option<f64>>,
    /// 95 of a hundred.
    pub wait_p95_ms: Vec<Option<f64>>,
    /// 99 of a hundred.
    pub wait_p99_ms: Vec<Option<f64>>,
    /// Half of the attempts took no longer; null where none ended.
    pub run_p50_ms: Vec<Option<f64>>,
    /// 95 of a hundred.
    pub run_p95_ms: Vec<Option<f64>>,
    /// 99 of a hundred.
    pub run_p99_ms: Vec<Option<f64>>,
}

/// Figures over time.
#[utoipa::path(
    get,
    path = "/api/series",
    params(
        ("range" = Option<String>, Query, description = "15m (in steps of 10 s; the default), 6h (5 min) or 7d (2 h)"),
        ("queue" = Option<String>, Query, description = "The queue; all of them if not given"),
    ),
    responses(
        (status = 200, description = "What was counted", body = Series),
        (status = 422, description = "A parameter cannot be read; the problem names it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn series(
    State(view): State<View>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Series>, Failure> {
    let Wanted { span, queue } = Wanted::parse(&query?.0)?;
    let steps = span.steps(clock::now());
    let buckets = figures::read(&view.store, span, &steps).await?;
    Ok(Json(Series {
        range: span.name().to_owned(),
        queue: queue.as_ref().map(ToString::to_string),
        step_seconds: span.step().as_secs(),
        at: steps,
        series: Lines::of(&buckets, queue.as_ref()),
    }))
}

#[derive(Debug, PartialEq)]
struct Wanted {
    span: Span,
    queue: Option<QueueName>,
}

impl Wanted {
    fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut wanted = Self { span: Span::Minutes15, queue: None };
        for (name, value) in parameters {
            let problem = |error: &dyn std::fmt::Display| Problem::field(name, error.to_string());
            match name.as_str() {
                "range" => wanted.span = value.parse().map_err(|error| problem(&error))?,
                "queue" => wanted.queue = Some(value.parse().map_err(|error| problem(&error))?),
                unknown => return Err(Problem::field(unknown, "unknown parameter: expected range or queue")),
            }
        }
        Ok(wanted)
    }
}

impl Lines {
    fn of(buckets: &[Bucket], queue: Option<&QueueName>) -> Self {
        let mut lines = Self { workers: queue.is_none().then(Vec::new), ..Self::default() };
        for bucket in buckets {
            lines.add(bucket, &bucket.of(queue));
        }
        lines
    }

    fn add(&mut self, bucket: &Bucket, figures: &Figures) {
        self.submitted.push(figures.submitted);
        self.started.push(figures.started);
        self.succeeded.push(figures.came(Final::Succeeded));
        self.failed.push(figures.failed);
        self.dead.push(figures.came(Final::Dead));
        self.cancelled.push(figures.came(Final::Cancelled));
        self.expired.push(figures.came(Final::Expired));
        let gauge = |gauge| bucket.gauge(figures, gauge).map(round);
        self.queued.push(gauge(Gauge::Queued));
        self.delayed.push(gauge(Gauge::Delayed));
        self.running.push(gauge(Gauge::Running));
        if let Some(workers) = &mut self.workers {
            workers.push(bucket.workers().map(round));
        }
        let read = |histogram: &Histogram, share| histogram.quantile(share).map(round);
        self.wait_p50_ms.push(read(&figures.wait, 0.5));
        self.wait_p95_ms.push(read(&figures.wait, 0.95));
        self.wait_p99_ms.push(read(&figures.wait, 0.99));
        self.run_p50_ms.push(read(&figures.run, 0.5));
        self.run_p95_ms.push(read(&figures.run, 0.95));
        self.run_p99_ms.push(read(&figures.run, 0.99));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Wanted, Problem> {
        let parameters: Vec<_> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Wanted::parse(&parameters)
    }

    #[test]
    fn a_bad_parameter_is_named() {
        assert_eq!(parse(&[]).unwrap().span, Span::Minutes15);
        assert_eq!(parse(&[("range", "7d"), ("queue", "mail")]).unwrap().span, Span::Days7);
        for (name, value) in [("range", "1h"), ("queue", "A B"), ("step", "5")] {
            let problem = parse(&[(name, value)]).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(name)));
        }
    }

    #[test]
    fn every_line_has_an_entry_for_each_step() {
        let fields = [("q/default/submitted", 3), ("samples", 1), ("q/default/queued", 2)];
        let fields: Vec<_> = fields.iter().map(|(field, number)| ((*field).to_owned(), *number)).collect();
        let lines = Lines::of(&[Bucket::default(), Bucket::read(&fields)], None);
        let text = serde_json::to_value(&lines).unwrap();
        for (name, line) in text.as_object().unwrap() {
            assert_eq!(line.as_array().map(Vec::len), Some(2), "{name}");
        }
        assert_eq!((lines.submitted, lines.queued), (vec![0, 3], vec![None, Some(2.0)]));
        assert!(Lines::of(&[], Some(&QueueName::default())).workers.is_none());
    }
}
