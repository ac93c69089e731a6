//! Walking through the tasks, newest first, a page at a time.
//!
//! The index of each state is in order; a page is what comes first of all of them. A request looks at a bounded number
//! of tasks: where few of them pass the filter, a page may be short or empty and still name the next.

use futures::future::try_join_all;
use redis::AsyncCommands;
use warren_core::{TaskId, Timestamp, record::TaskRecord};
use warren_runtime::redis::{Error, Store};

use super::{filter::Filter, position::Position};

// What one request may look at, and how many of those it loads at once.
const LOOKED_AT: usize = 5_000;
const LOADED: usize = 200;

/// Some tasks, and where the next ones begin.
#[derive(Debug)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<(TaskId, TaskRecord)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Position>,
}

/// The next page that the filter asks for.
pub async fn page(store: &Store, filter: &Filter) -> Result<Page, Error> {
    let mut page = Page { tasks: Vec::new(), next: filter.after.clone() };
    let mut looked_at = 0;
    loop {
        let missing = filter.limit - page.tasks.len();
        let number = if filter.looks_inside() { LOADED } else { missing.min(LOADED) };
        let places = newest(store, filter, page.next.as_ref(), number).await?;
        let last = places.len() < number;
        for (place, record) in load(store, places).await? {
            let Position { task, .. } = &place;
            // One that is gone by now was thrown away since its index was read.
            if let Some(record) = record.filter(|record| filter.admits(record)) {
                page.tasks.push((task.clone(), record));
            }
            page.next = Some(place);
            looked_at += 1;
            if page.tasks.len() == filter.limit {
                return Ok(page);
            }
        }
        if last {
            return Ok(Page { next: None, ..page });
        }
        if looked_at >= LOOKED_AT {
            return Ok(page);
        }
    }
}

async fn newest(
    store: &Store,
    filter: &Filter,
    after: Option<&Position>,
    number: usize,
) -> Result<Vec<Position>, Error> {
    let indexes: Vec<_> = match filter.fingerprint {
        Some(group) => vec![store.keys().group(group)],
        None => filter.states.iter().map(|state| store.keys().state(*state)).collect(),
    };
    let lists = indexes.iter().map(|index| newest_in(store, index, filter, after, number));
    Ok(merge(try_join_all(lists).await?, number))
}

// What comes first of several lists that are each in order.
fn merge(lists: Vec<Vec<Position>>, number: usize) -> Vec<Position> {
    let mut all: Vec<_> = lists.into_iter().flatten().collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup_by(|a, b| a.task == b.task);
    all.truncate(number);
    all
}

async fn newest_in(
    store: &Store,
    index: &str,
    filter: &Filter,
    after: Option<&Position>,
    number: usize,
) -> Result<Vec<Position>, Error> {
    let mut connection = store.shared();
    let latest = match (after.map(|position| position.at), filter.until) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let latest = latest.map_or("+inf".to_owned(), |at| at.as_millis().to_string());
    let earliest = filter.since.map_or("-inf".to_owned(), |at| at.as_millis().to_string());
    let step = isize::try_from(number).unwrap_or(isize::MAX);
    let (mut found, mut skipped) = (Vec::new(), 0);
    // More than one round only where many tasks share the millisecond at which the page before ended.
    while found.len() < number {
        let members: Vec<(String, f64)> =
            connection.zrevrangebyscore_limit_withscores(index, &latest, &earliest, skipped, step).await?;
        let end = members.len() < number;
        let places = members.into_iter().filter_map(|(task, score)| place(&task, score));
        found.extend(places.filter(|place| after.is_none_or(|after| place < after)));
        if end {
            break;
        }
        skipped += step;
    }
    Ok(found)
}

fn place(task: &str, score: f64) -> Option<Position> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are milliseconds below 2⁵³")]
    let at = Timestamp::from_millis(score as u64);
    Some(Position { at, task: TaskId::parse(task).ok()? })
}

async fn load(store: &Store, places: Vec<Position>) -> Result<Vec<(Position, Option<TaskRecord>)>, Error> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = places.iter().map(|place| store.keys().task(&place.task)).collect();
    let stored: Vec<Option<Vec<u8>>> = store.shared().mget(names).await?;
    let read = |stored: Option<Vec<u8>>| stored.and_then(|stored| serde_json::from_slice(&stored).ok());
    Ok(places.into_iter().zip(stored.into_iter().map(read)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(at: u64, task: &str) -> Position {
        Position { at: Timestamp::from_millis(at), task: TaskId::parse(task).unwrap() }
    }

    #[test]
    fn a_page_is_what_is_newest_in_any_state() {
        let lists = vec![vec![position(9, "a"), position(2, "b")], vec![position(5, "d"), position(5, "c")], vec![]];
        let merged = merge(lists, 3);
        assert_eq!(merged, [position(9, "a"), position(5, "d"), position(5, "c")]);
    }
}
