//! Reading keys, on a thread that may wait for them.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

// How soon the thread notices that it is not needed any more.
const WAIT: Duration = Duration::from_millis(100);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// End.
    Quit,
    /// The next table.
    Next,
    /// The table before.
    Previous,
    /// The table of this number, from 1.
    Table(usize),
    /// Another order.
    Sort,
    /// So many lines further down, or up.
    Scroll(isize),
    /// To the first line.
    Home,
    /// The size of the terminal has changed.
    Redraw,
}

/// Reads from now on; ends soon after `stop` is cancelled.
pub fn start(tracker: &TaskTracker, stop: CancellationToken) -> mpsc::Receiver<Key> {
    let (tx, rx) = mpsc::channel(16);
    tracker.spawn_blocking(move || {
        while !stop.is_cancelled() {
            match event::poll(WAIT) {
                Ok(false) => {}
                Ok(true) => {
                    let Ok(event) = event::read() else { return };
                    if meaning(&event).is_some_and(|key| tx.blocking_send(key).is_err()) {
                        return;
                    }
                }
                // The terminal is gone. The receiver sees the end of the channel.
                Err(_) => return,
            }
        }
    });
    rx
}

fn meaning(event: &Event) -> Option<Key> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => of_key(key),
        Event::Resize(..) => Some(Key::Redraw),
        // Not ours, and more of them may come with another version of the library.
        _ => None,
    }
}

fn of_key(key: &KeyEvent) -> Option<Key> {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Some(Key::Next),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Some(Key::Previous),
        KeyCode::Char(digit @ '1'..='9') => Some(Key::Table(digit as usize - '0' as usize)),
        KeyCode::Char('s') => Some(Key::Sort),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Scroll(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Scroll(-1)),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(Key::Scroll(10)),
        KeyCode::PageUp => Some(Key::Scroll(-10)),
        KeyCode::Home | KeyCode::Char('g') => Some(Key::Home),
        _ => None,
    }
}
