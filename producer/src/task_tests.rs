use super::*;

const DAY: Duration = Duration::from_hours(24);

fn fields(task: &NewTask) -> Vec<String> {
    match task.check(Timestamp::from_millis(0)) {
        Ok(()) => Vec::new(),
        Err(invalid) => invalid.problems().iter().map(|problem| problem.field.clone()).collect(),
    }
}

#[test]
fn what_is_sound_is_accepted() {
    let task = NewTask::new("resize")
        .queue("images")
        .id("a-1")
        .priority(200)
        .delay(DAY * 310)
        .expiration(DAY)
        .deadline(Timestamp::from_millis(7))
        .once()
        .order_key("customer 42")
        .max_attempts(1)
        .timeout(Duration::from_millis(1))
        .backoff(Backoff::Fixed(Duration::ZERO))
        .reply_to("answers")
        .header("tenant", "acme")
        .json(&[1, 2]);
    assert_eq!(fields(&task), Vec::<String>::new());
    assert_eq!((task.priority.get(), task.payload.as_slice()), (9, b"[1,2]".as_slice()));
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let task = NewTask::new("no kind")
        .queue("Images")
        .id("")
        .delay(DAY * 311)
        .eta(Timestamp::from_millis(5))
        .expiration(Duration::ZERO)
        .order_key("")
        .max_attempts(0)
        .timeout(DAY * 311)
        .backoff(Backoff::Fixed(DAY * 311))
        .reply_to("")
        .correlation_id("c".repeat(256))
        .app_id("")
        .traceparent("00")
        .content_type("");
    let expected = [
        "kind",
        "queue",
        "id",
        "delay",
        "eta",
        "expiration",
        "order_key",
        "max_attempts",
        "timeout",
        "backoff",
        "reply_to",
        "correlation_id",
        "app_id",
        "traceparent",
        "content_type",
    ];
    assert_eq!(fields(&task), expected);
}

#[test]
fn an_eta_too_far_ahead_is_refused() {
    let far = Timestamp::from_millis(0).plus(MAX_DELAY).plus(Duration::from_millis(1));
    assert_eq!(fields(&NewTask::new("a").eta(far)), ["eta"]);
}

#[test]
fn headers_that_mean_something_to_others_are_refused() {
    for name in ["delay", "task", "traceparent", "warren-attempt", "CC", "x-death", ""] {
        assert_eq!(fields(&NewTask::new("a").header(name, 1)), [format!("headers.{name}")], "{name}");
    }
    assert_eq!(fields(&NewTask::new("a").header("large", "x".repeat(HEADER_BYTES))), ["headers"]);
}
