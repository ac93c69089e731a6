use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn task() -> TaskId {
    TaskId::parse("t").unwrap()
}

fn queue() -> QueueName {
    QueueName::default()
}

fn order(id: u64, millis: u64, command: Command) -> Order {
    let (id, by) = (OrderId::parse(&format!("o{id}")).unwrap(), Operator::parse("ann").unwrap());
    Order { id, at: at(millis), by, reason: None, command }
}

fn cancel(id: u64, millis: u64) -> Order {
    order(id, millis, Command::Cancel { task: task(), until: at(millis).plus(HOLDS) })
}

fn in_force(orders: &[Order]) -> InForce {
    let mut in_force = InForce::default();
    for order in orders {
        in_force.apply(order);
    }
    in_force
}

#[test]
fn the_wire_format_is_fixed() {
    let mut batch = Batch::new("monitor-1");
    let reason = Some("too late".to_owned());
    batch.orders = vec![
        Order { reason, ..cancel(1, 5) },
        order(2, 6, Command::Pause { queue: queue() }),
        order(3, 7, Command::ResumeWorker { worker: WorkerId::parse("w-1").unwrap() }),
    ];
    batch.lapsed = vec![Lapse { order: OrderId::parse("o1").unwrap(), target: Target::Task(task()) }];
    batch.marker = Some("m-1".to_owned());
    let text = String::from_utf8(batch.encode()).unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(Batch::decode(text.as_bytes()).unwrap(), batch);
}

#[test]
fn a_newer_writers_commands_and_fields_are_passed_over() {
    let body = br#"{"v":2,"source":"s","more":1,"orders":[
        {"id":"a","at":1,"by":"ann","command":"explode","task":"t","radius":3},
        {"id":"b","at":2,"by":"ann","mood":"fine","command":"pause","queue":"default"}]}"#;
    let batch = Batch::decode(body).unwrap();
    assert_eq!(batch.orders[0].command, Command::Unknown);
    let in_force = in_force(&batch.orders);
    assert_eq!(in_force.len(), 1);
    assert!(in_force.pause_of(&queue()).is_some());
}

#[test]
fn the_newest_order_counts_and_a_cancel_always() {
    let pause = |id, millis| order(id, millis, Command::Pause { queue: queue() });
    let resume = |id, millis| order(id, millis, Command::Resume { queue: queue() });
    assert!(in_force(&[pause(1, 5)]).pause_of(&queue()).is_some());
    assert!(in_force(&[pause(1, 5), resume(2, 6)]).pause_of(&queue()).is_none());
    assert!(in_force(&[resume(2, 6), pause(1, 5)]).pause_of(&queue()).is_none());
    assert!(in_force(&[resume(2, 6), pause(3, 7)]).pause_of(&queue()).is_some());

    let haste = order(9, 9, Command::RunNow { task: task() });
    let both = in_force(&[cancel(1, 5), haste.clone()]);
    assert!(both.cancel_of(&task(), at(10)).is_some() && both.haste_of(&task(), at(10)).is_none());
    assert!(in_force(&[haste]).haste_of(&task(), at(10)).is_some());
}

#[test]
fn what_has_lapsed_or_is_too_old_is_in_force_no_longer() {
    let mut orders = in_force(&[cancel(1, 5)]);
    let lapse = |id: &str| Lapse { order: OrderId::parse(id).unwrap(), target: Target::Task(task()) };
    assert!(!orders.lapse(&lapse("o2")), "another order");
    assert!(orders.lapse(&lapse("o1")) && orders.is_empty());

    let mut orders = in_force(&[cancel(1, 5), order(2, 5, Command::Pause { queue: queue() })]);
    let late = at(5).plus(HOLDS);
    assert!(orders.cancel_of(&task(), at(6)).is_some() && orders.cancel_of(&task(), late).is_none());
    orders.forget(late);
    assert_eq!(orders.len(), 1, "a pause holds until it is taken back");
}

fn any_order() -> impl Strategy<Value = Order> {
    (0_u64..6, 0_u64..6, 0_u8..6).prop_map(|(id, millis, what)| {
        let worker = WorkerId::parse("w").unwrap();
        let command = match what {
            0 => Command::Cancel { task: task(), until: at(id * 10) },
            1 => Command::RunNow { task: task() },
            2 => Command::Pause { queue: queue() },
            3 => Command::Resume { queue: queue() },
            4 => Command::Drain { worker },
            _ => Command::ResumeWorker { worker },
        };
        // An order is what its id says: two that differ have different ids.
        order(id * 100 + millis * 10 + u64::from(what), millis, command)
    })
}

proptest! {
    #[test]
    fn orders_apply_in_any_order_any_number_of_times_with_one_result(
        (orders, shuffled) in proptest::collection::vec(any_order(), 0..24).prop_flat_map(|orders| {
            let twice: Vec<_> = orders.iter().chain(&orders).cloned().collect();
            (Just(orders), Just(twice).prop_shuffle())
        })
    ) {
        let once = in_force(&orders);
        prop_assert_eq!(&once, &in_force(&shuffled));
        // Stating anew what is in force changes nothing, and tells a newcomer everything.
        let stated: Vec<_> = once.orders().cloned().collect();
        prop_assert_eq!(&in_force(&stated), &once);
    }
}
