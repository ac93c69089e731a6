//! Walking through the tasks, newest first, a page at a time.
//!
//! What the indexes can tell apart is not even looked at: state, queue, kind, of tasks that wait for a slot the priority.
//! For what lies inside a record, a request looks at a bounded number of tasks: where few of them pass, a page may be short
//! or empty and still name the next.

use warren_core::{TaskId, record::TaskRecord};
use warren_runtime::redis::{Error, Store};

use super::{filter::Filter, position::Position};
use crate::index::{Counts, Direction, Lane, Walk};

// What one request may look at, and how many of those it loads at once.
const LOOKED_AT: usize = 5_000;
const LOADED: usize = 250;

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
    let named = named(store, filter).await?;
    if filter.after.is_none() {
        page.tasks.extend(named.clone());
    }
    let lanes = lanes(store, filter).await?;
    let mut walk =
        Walk::new(store, Direction::Newest, lanes).between(filter.since, filter.until, filter.after.as_ref());
    let mut looked_at = 0;
    loop {
        let missing = filter.limit.saturating_sub(page.tasks.len());
        let number = if filter.looks_inside() { LOADED } else { missing.clamp(1, LOADED) };
        let places: Vec<_> = walk.next(number).await?.into_iter().map(|(place, _)| place).collect();
        let last = places.len() < number;
        for (place, record) in load(store, places).await? {
            if page.tasks.len() >= filter.limit {
                return Ok(page);
            }
            let Position { task, .. } = &place;
            // One that is gone by now was thrown away since its index was read. One that has moved meanwhile may be met twice.
            let shown = |(shown, _): &(TaskId, TaskRecord)| shown == task;
            let known = named.iter().any(shown) || page.tasks.iter().any(shown);
            if let Some(record) = record.filter(|record| !known && filter.admits(record) && filter.finds(task, record))
            {
                page.tasks.push((task.clone(), record));
            }
            page.next = Some(place);
            looked_at += 1;
        }
        if last {
            return Ok(Page { next: None, ..page });
        }
        if looked_at >= LOOKED_AT || page.tasks.len() >= filter.limit {
            return Ok(page);
        }
    }
}

// The task whose id is what is searched for: it comes first, however old it is.
async fn named(store: &Store, filter: &Filter) -> Result<Option<(TaskId, TaskRecord)>, Error> {
    let Some(task) = filter.text.as_ref().and_then(|text| TaskId::parse(text).ok()) else { return Ok(None) };
    let record = match store.task(&task).await {
        Ok(record) => record,
        Err(Error::Record { .. }) => None,
        Err(error) => return Err(error),
    };
    let passes = |record: &TaskRecord| {
        let since = record.since();
        filter.states.contains(&record.state())
            && filter.since.is_none_or(|earliest| since >= earliest)
            && filter.until.is_none_or(|latest| since <= latest)
            && filter.admits(record)
    };
    Ok(record.filter(passes).map(|record| (task, record)))
}

async fn lanes(store: &Store, filter: &Filter) -> Result<Vec<Lane>, Error> {
    if let Some(group) = filter.fingerprint {
        return Ok(vec![Lane::whole(store.keys().group(group))]);
    }
    let counts = Counts::load(store).await?;
    let shelves = counts.shelves(&filter.states, filter.queue.as_ref(), filter.kind.as_ref());
    Ok(shelves.flat_map(|shelf| shelf.lanes(store.keys(), filter.priority)).collect())
}

async fn load(store: &Store, places: Vec<Position>) -> Result<Vec<(Position, Option<TaskRecord>)>, Error> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = places.iter().map(|place| store.keys().task(&place.task)).collect();
    let stored: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(names).query_async(&mut store.shared()).await?;
    let read = |stored: Option<Vec<u8>>| stored.and_then(|stored| serde_json::from_slice(&stored).ok());
    Ok(places.into_iter().zip(stored.into_iter().map(read)).collect())
}
