use warren_core::QueueName;

use super::*;
use crate::amqp::{Config, Connector};

// How much a writer gathers that wrote `last` the last time, and how long it takes: so many are there at first, and so many
// come two milliseconds later.
async fn gathered(last: usize, first: usize, then: impl Fn() -> Then, later: usize) -> (usize, Duration) {
    let connector = Connector::new(Config::default(), "test");
    let (_unconnected, publisher) = Publisher::new(connector, None);
    let (mut writer, log) = EventLog::new(publisher, &Names::new(&QueueName::default()), "test");
    writer.last = last;
    let push = async |count: usize, then: &dyn Fn() -> Then| {
        for _ in 0..count {
            log.push(Content::Encoded("{}".into()), then()).await.unwrap();
        }
    };
    push(first, &then).await;
    let (begun, mut entries, stop) = (Instant::now(), Vec::new(), CancellationToken::new());
    let coming = async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        push(later, &|| Then::Call(Box::new(|| {}))).await;
    };
    let gathering = async {
        writer.gather(&mut entries, &stop).await;
        begun.elapsed()
    };
    let ((), took) = tokio::join!(coming, gathering);
    (entries.len(), took)
}

#[tokio::test(start_paused = true)]
async fn a_busy_writer_waits_for_half_as_many_as_the_last_time_unless_somebody_waits_for_it() {
    let millis = Duration::from_millis;
    let call = || Then::Call(Box::new(|| {}));
    let tell = || Then::Tell(oneshot::channel().0);
    assert_eq!(gathered(BUSY - 1, 20, call, 80).await, (20, millis(0)), "it is not busy");
    let (count, took) = gathered(200, 20, call, 80).await;
    assert!(count == 100 && (millis(2)..LINGER).contains(&took), "{count} after {took:?}");
    assert_eq!(gathered(200, 100, call, 80).await, (100, millis(0)), "they are there");
    assert_eq!(gathered(200, 20, call, 10).await, (30, LINGER), "no more come in time");
    assert_eq!(gathered(200, 20, tell, 80).await, (20, millis(0)), "somebody waits");
    let sent = || Then::TellSent(oneshot::channel().0);
    assert_eq!(gathered(200, 20, sent, 80).await, (20, millis(0)), "somebody waits until it is sent");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_waits_for_company() {
    let nothing = || Then::Nothing;
    let (count, took) = gathered(0, 1, nothing, 2).await;
    assert!(count == 3 && took < LINGER, "{count} after {took:?}");
    assert_eq!(gathered(0, 1, nothing, 0).await, (1, LINGER));
}
