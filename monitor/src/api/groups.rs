//! `/api/dead/groups`: the dead letters, by what they have in common.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{Fingerprint, TaskId, Timestamp, record::TaskRecord};

use super::{
    View,
    failure::Failure,
    filter::Filter,
    task::{last_error, reason},
    time::Time,
};

// More than anybody reads; and where every letter is a group of its own, all there are may be too many to be looked at.
const LARGEST: usize = 500;
const LOOKED_AT: usize = 5_000;
const SAMPLE: usize = 500;

/// Groups of dead letters, most numerous first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Groups {
    /// The groups: at most 500.
    pub groups: Vec<Group>,
    /// How many there are in all, of any queue and kind.
    pub total: u64,
}

/// Dead letters of one queue and kind that failed in the same way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Group {
    /// Names the group: sixteen hexadecimal digits.
    pub fingerprint: String,
    /// Their kind.
    pub kind: Option<String>,
    /// Their queue.
    pub queue: Option<String>,
    /// Why they are dead.
    pub reason: Option<String>,
    /// What went wrong with the one that died last; the others differ in numbers, ids, names and paths.
    pub error: Option<String>,
    /// How many there are.
    pub count: u64,
    /// Since when the first of them is dead.
    pub first: Time,
    /// Since when the last of them is dead.
    pub last: Time,
    /// The one that died last.
    pub sample: String,
}

/// The dead letters by kind and fingerprint of their error, most numerous first.
#[utoipa::path(
    get,
    path = "/api/dead/groups",
    params(
        ("queue" = Option<String>, Query, description = "The queue"),
        ("kind" = Option<String>, Query, description = "The kind"),
    ),
    responses(
        (status = 200, description = "What is known", body = Groups),
        (status = 422, description = "A parameter cannot be read; the problem names it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn groups(
    State(view): State<View>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Groups>, Failure> {
    let filter = Filter::of_groups(&query?.0)?;
    let total = view.store.shared().zcard(view.store.keys().groups()).await?;
    let mut groups = Vec::new();
    for begin in (0..LOOKED_AT).step_by(LARGEST) {
        let page = page(&view, begin).await?;
        let is_last = page.len() < LARGEST;
        groups.extend(page.into_iter().filter(|(_, record)| filter.admits(record)).map(|(group, _)| group));
        if is_last || groups.len() >= LARGEST {
            break;
        }
    }
    groups.truncate(LARGEST);
    Ok(Json(Groups { groups, total }))
}

type Scored = Vec<(String, f64)>;

async fn page(view: &View, begin: usize) -> Result<Vec<(Group, TaskRecord)>, Failure> {
    let (mut connection, keys) = (view.store.shared(), view.store.keys());
    let (from, to) = (index(begin), index(begin + LARGEST - 1));
    let names: Vec<String> = connection.zrevrange(keys.groups(), from, to).await?;
    let fingerprints: Vec<Fingerprint> = names.iter().filter_map(|name| name.parse().ok()).collect();
    if fingerprints.is_empty() {
        return Ok(Vec::new());
    }
    let mut asking = redis::pipe();
    for fingerprint in &fingerprints {
        let key = keys.group(*fingerprint);
        asking.cmd("ZCARD").arg(&key);
        asking.cmd("ZRANGE").arg(&key).arg(0).arg(0).arg("WITHSCORES");
        asking.cmd("ZREVRANGE").arg(&key).arg(0).arg(0).arg("WITHSCORES");
    }
    let answers: Vec<redis::Value> = asking.query_async(&mut connection).await?;
    let mut found = Vec::new();
    for (fingerprint, answer) in fingerprints.into_iter().zip(answers.chunks_exact(3)) {
        let (count, first, last) = (read(&answer[0])?, read::<Scored>(&answer[1])?, read::<Scored>(&answer[2])?);
        if let (Some((_, first)), Some((sample, last))) = (first.first(), last.first())
            && let Ok(sample) = TaskId::parse(sample)
        {
            found.push((fingerprint, count, time(*first), time(*last), sample));
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let samples: Vec<_> = found.iter().map(|(.., sample)| keys.task(sample)).collect();
    let records: Vec<Option<Vec<u8>>> = connection.mget(samples).await?;
    let groups = found.into_iter().zip(records).filter_map(|((fingerprint, count, first, last, sample), record)| {
        let record: TaskRecord = serde_json::from_slice(&record?).ok()?;
        let about = record.about()?;
        let group = Group {
            fingerprint: fingerprint.to_string(),
            kind: about.kind.as_ref().map(ToString::to_string),
            queue: Some(about.queue.to_string()),
            reason: reason(&record).map(str::to_owned),
            error: last_error(&record).map(|error| error[..error.floor_char_boundary(SAMPLE)].to_owned()),
            count,
            first,
            last,
            sample: sample.to_string(),
        };
        Some((group, record))
    });
    Ok(groups.collect())
}

fn read<T: redis::FromRedisValue>(value: &redis::Value) -> Result<T, Failure> {
    T::from_redis_value(value.clone()).map_err(|error| redis::RedisError::from(error).into())
}

fn time(score: f64) -> Time {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are milliseconds below 2⁵³")]
    Timestamp::from_millis(score as u64).into()
}

fn index(number: usize) -> isize {
    isize::try_from(number).unwrap_or(isize::MAX)
}
