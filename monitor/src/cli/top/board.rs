//! What is on the screen: the last answers, which table, in which order, and how far down.

use std::cmp::Reverse;

use warren_core::{TaskState, Timestamp};
use warren_runtime::terminal::Table;

use super::{feed::Fed, keys::Key};
use crate::cli::{
    finding,
    queues::{self, Queue},
    workers::{self, Worker},
};

/// Everything that is drawn.
#[derive(Debug)]
pub struct Board {
    /// The last answers.
    pub fed: Fed,
    /// Where they come from.
    pub address: String,
    /// The table that is shown.
    pub view: View,
    /// How many of its rows are above the screen.
    pub scrolled: usize,
    order: usize,
}

/// In which order the rows of a table stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By name.
    Name,
    /// The most waiting tasks first.
    Queued,
    /// The most dead letters first.
    Dead,
    /// Those that are well first.
    Health,
    /// Those that run most first.
    Busy,
    /// What runs longest first.
    Longest,
    /// As the monitor tells it.
    Told,
}

impl Order {
    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Queued => "queued",
            Self::Dead => "dead",
            Self::Health => "health",
            Self::Busy => "busy",
            Self::Longest => "longest",
            Self::Told => "time",
        }
    }
}

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The queues.
    Queues,
    /// The workers.
    Workers,
    /// What runs.
    Running,
    /// What is wrong.
    Findings,
}

/// Whether the view goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Goes,
    /// It ends.
    Ends,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 4] = [Self::Queues, Self::Workers, Self::Running, Self::Findings];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Queues => "Queues",
            Self::Workers => "Workers",
            Self::Running => "Running",
            Self::Findings => "Findings",
        }
    }

    // In which orders it can be shown; the first at first.
    fn orders(self) -> &'static [Order] {
        match self {
            Self::Queues => &[Order::Name, Order::Queued, Order::Dead],
            Self::Workers => &[Order::Name, Order::Health, Order::Busy],
            Self::Running => &[Order::Longest],
            Self::Findings => &[Order::Told],
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|view| *view == self).unwrap_or_default()
    }
}

impl Board {
    /// With these answers, from this address.
    pub fn new(fed: Fed, address: String) -> Self {
        Self { fed, address, view: View::Queues, scrolled: 0, order: 0 }
    }

    /// New answers.
    pub fn feed(&mut self, fed: Fed) {
        self.fed = fed;
    }

    /// A key was pressed.
    pub fn press(&mut self, key: Key) -> Flow {
        match key {
            Key::Quit => return Flow::Ends,
            Key::Next => self.show(self.view.place() + 1),
            Key::Previous => self.show(self.view.place() + View::ALL.len() - 1),
            Key::Table(number) if (1..=View::ALL.len()).contains(&number) => self.show(number - 1),
            Key::Table(_) | Key::Redraw => {}
            Key::Sort => self.order = (self.order + 1) % self.view.orders().len(),
            Key::Scroll(lines) => self.scrolled = self.scrolled.saturating_add_signed(lines),
            Key::Home => self.scrolled = 0,
        }
        Flow::Goes
    }

    fn show(&mut self, place: usize) {
        self.view = View::ALL[place % View::ALL.len()];
        (self.scrolled, self.order) = (0, 0);
    }

    /// The order in which the table is shown.
    pub fn order(&self) -> Order {
        self.view.orders()[self.order]
    }

    /// The table that is shown.
    pub fn table(&self, now: Timestamp) -> Table {
        let known = &self.fed.known;
        match self.view {
            View::Queues => queues::table(&self.sorted_queues(), now),
            View::Workers => workers::table(&self.sorted_workers(), now),
            View::Running => workers::running(&known.workers, now),
            View::Findings => finding::table(&known.overview.findings, now),
        }
    }

    fn sorted_queues(&self) -> Vec<Queue> {
        let mut queues = self.fed.known.overview.queues.clone();
        let count = |queue: &Queue, state: TaskState| queue.states.get(state.name()).copied().unwrap_or_default();
        match self.order() {
            Order::Queued => queues.sort_by_key(|queue| Reverse(count(queue, TaskState::Queued))),
            Order::Dead => queues.sort_by_key(|queue| Reverse(count(queue, TaskState::Dead))),
            Order::Name | Order::Health | Order::Busy | Order::Longest | Order::Told => {
                queues.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        queues
    }

    fn sorted_workers(&self) -> Vec<Worker> {
        let mut workers = self.fed.known.workers.clone();
        match self.order() {
            Order::Health => workers.sort_by(|a, b| a.health.cmp(&b.health)),
            Order::Busy => workers.sort_by_key(|worker| Reverse(worker.running.len())),
            Order::Name | Order::Queued | Order::Dead | Order::Longest | Order::Told => {
                workers.sort_by(|a, b| a.id.cmp(&b.id));
            }
        }
        workers
    }

    /// How many rows a table has, for its title.
    pub fn count(&self, view: View) -> usize {
        let known = &self.fed.known;
        match view {
            View::Queues => known.overview.queues.len(),
            View::Workers => known.workers.len(),
            View::Running => known.workers.iter().map(|worker| worker.running.len()).sum(),
            View::Findings => known.overview.findings.len(),
        }
    }
}
