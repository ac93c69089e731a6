use std::sync::Arc;

use ratatui::{Terminal, backend::TestBackend};
use serde_json::json;
use warren_core::Timestamp;

use super::*;
use crate::cli::top::{
    board::Flow,
    feed::{Fed, Known, Silence},
    keys::Key,
};

fn known() -> Known {
    let states = json!({"queued": 1200, "delayed": 3, "running": 2, "succeeded": 98765, "dead": 4, "cancelled": 0, "expired": 0});
    let queue = |name: &str, queued: u64| {
        json!({"queue": name, "ready": queued, "consumers": 1, "dead": 0, "suspect": 0, "asked": null,
            "states": {"queued": queued, "running": 1, "dead": 0}, "arrival_rate": 12.5, "service_rate": 20.0,
            "drain_seconds": 60.0})
    };
    let overview = json!({"namespace": "warren", "at": "2026-01-31T12:00:00Z", "monitor": "m", "version": "1.0.0",
        "leader": "m", "lag_seconds": 0.2, "states": states, "workers": {"alive": 1, "lost": 1}, "slots": 4, "busy": 2,
        "findings": [{"finding": "lost_worker", "since": "2026-01-31T11:59:00Z", "worker": "web-2"}], "unroutable": 0,
        "queues": [queue("default", 3), queue("mail", 1197)],
        "rates": {"submitted": 12.5, "started": 20.0, "succeeded": 19.5, "failed": 0.5},
        "latency": {"wait": {"p50_ms": 12.0, "p95_ms": 250.0, "p99_ms": null}, "run": {"p50_ms": 100.0}}});
    let running = json!([{"task": "t-1", "kind": "send-mail", "attempt": 2, "since": "2026-01-31T11:58:00Z"}]);
    let workers = json!([
        {"id": "web-1", "health": "alive", "slots": 4, "busy": 2, "ended": 7, "queues": {"mail": 1},
         "seen": "2026-01-31T12:00:00Z", "running": running},
        {"id": "web-2", "health": "lost", "slots": 4, "busy": 0, "ended": 1, "seen": "2026-01-31T11:58:30Z"},
    ]);
    let line: Vec<_> = (0..20).map(|n| json!(n * 10)).collect();
    let series = json!({"step_seconds": 10, "series": {"submitted": line, "succeeded": line, "failed": [], "queued": [null, 5]}});
    Known {
        overview: serde_json::from_value(overview).unwrap(),
        workers: serde_json::from_value(workers).unwrap(),
        series: serde_json::from_value(series).unwrap(),
    }
}

fn screen(board: &mut Board, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = Timestamp::parse("2026-01-31T12:00:05Z").unwrap();
    terminal.draw(|frame| draw(frame, board, now)).unwrap();
    terminal.backend().to_string()
}

fn board() -> Board {
    Board::new(Fed { known: Arc::new(known()), silence: None }, "http://127.0.0.1:8080/".to_owned())
}

#[test]
fn the_whole_pool_is_on_one_screen() {
    insta::assert_snapshot!(screen(&mut board(), 110, 24));
}

#[test]
fn keys_choose_table_and_order() {
    let mut board = board();
    assert_eq!(board.press(Key::Sort), Flow::Goes);
    let queues = screen(&mut board, 110, 24);
    assert!(queues.find("mail") < queues.find("default"), "{queues}");
    board.press(Key::Table(3));
    assert!(screen(&mut board, 110, 24).contains("send-mail"));
    board.press(Key::Next);
    assert!(screen(&mut board, 110, 24).contains("lost_worker"));
    board.press(Key::Next);
    assert_eq!((board.view, board.press(Key::Quit)), (View::Queues, Flow::Ends));
}

#[test]
fn a_small_terminal_shows_what_fits_and_scrolls() {
    let mut board = board();
    board.press(Key::Scroll(100));
    let small = screen(&mut board, 60, 9);
    assert!(small.contains("mail") && !small.contains("default"), "{small}");
    // Nothing of it may panic on a terminal that is hardly there.
    for (width, height) in [(1, 1), (3, 5)] {
        screen(&mut board, width, height);
    }
}

#[test]
fn a_monitor_that_falls_silent_is_told_beside_what_was_known_last() {
    let mut board = board();
    let since = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
    board.fed.silence = Some(Silence { since, why: "connection refused".to_owned() });
    let text = screen(&mut board, 110, 24);
    assert!(text.contains("no answer for 5.0s: connection refused") && text.contains("mail"), "{text}");
}
