//! `warren-monitor top`: a live view of the pool.
//!
//! What is shown is asked for once a second and drawn when it has come, or when a key was pressed: never more often than a
//! person can see. The terminal is given back as it was, however the view ends.

mod board;
mod draw;
mod feed;
mod keys;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use anyhow::anyhow;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warren_monitor::config::Config;
use warren_runtime::{clock, config::duration};

use super::{Failure, connection::Connection, help::help};
use board::{Board, Flow};

// Reading keys and asking the monitor end well within it.
const PARTING: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(after_help = help!("  warren-monitor top\n  warren-monitor top --every 5s --url http://monitor.example:8080\n
Keys: Tab or 1 to 4 another table, s another order, up and down, q ends"))]
pub struct Args {
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = every)]
    every: Duration,
    #[command(flatten)]
    connection: Connection,
}

fn every(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(|error| error.to_string())?;
    // Twice a second is as much as anybody sees, and as much as a monitor should be asked by one of many.
    if time < Duration::from_millis(500) { Err("expected at least 500ms".to_owned()) } else { Ok(time) }
}

pub async fn run(args: Args, config: &Config) -> Result<(), Failure> {
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        return Err(Failure::Usage(anyhow!("top needs a terminal; elsewhere: warren-monitor overview")));
    }
    let client = args.connection.client(config)?;
    // A monitor that is not there is told as by every other command, before the screen is taken.
    let first = feed::look(&client).await?;

    let stop = CancellationToken::new();
    let working = TaskTracker::new();
    let (fed, mut news) = feed::start(client.clone(), first, args.every, &working, stop.clone());
    let mut pressed = keys::start(&working, stop.clone());
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;

    let mut board = Board::new(fed, client.address().to_string());
    let mut terminal = ratatui::try_init()?;
    let shown = async {
        loop {
            terminal.draw(|frame| draw::draw(frame, &mut board, clock::now()))?;
            tokio::select! {
                key = pressed.recv() => match key.map(|key| board.press(key)) {
                    Some(Flow::Goes) => {}
                    Some(Flow::Ends) | None => return Ok(()),
                },
                changed = news.changed() => match changed {
                    Ok(()) => board.feed(news.borrow_and_update().clone()),
                    Err(_) => return Ok(()),
                },
                _ = terminated.recv() => return Ok(()),
                _ = hung_up.recv() => return Ok(()),
            }
        }
    };
    let ended: io::Result<()> = shown.await;
    let restored = ratatui::try_restore();
    stop.cancel();
    working.close();
    if timeout(PARTING, working.wait()).await.is_err() {
        // From a terminal that hung up the library's reader never returns, and the runtime would wait for it on a busy core.
        std::process::exit(1);
    }
    ended.and(restored).map_err(Failure::from)
}
