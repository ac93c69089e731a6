use std::{path::PathBuf, time::Duration};

use warren_core::retry::{Backoff, Jitter as CoreJitter};
use warren_runtime::config::{Sources, load};

use super::*;
use crate::handler::testing::Folder;

fn load_with(toml: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let folder = Folder::new();
    let file = folder.0.join("worker.toml");
    std::fs::write(&file, toml).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&Sources { file: Some(file), environment, flags: Vec::new() })
}

fn problems(toml: &str) -> String {
    load_with(toml, &[]).unwrap_err().to_string()
}

const FULL: &str = r#"
namespace = "pool-2"
slots = 6
prefetch = 12
grace = "1m"
heartbeat = "2s"
crashes = 4
max_result_bytes = 1000

[[queues]]
name = "mail"
weight = 3
default_kind = "mail.send"

[[queues]]
name = "rest"

[http]
listen = "127.0.0.1:9"

[defaults]
timeout = "10s"
backoff = "fixed:40"

[handlers."mail.send"]
type = "command"
command = ["sh", "-c", "cat"]
directory = "/"
env = ["HOME", "LANG"]
kill_grace = "250ms"
timeout = "20s"
max_attempts = 2
backoff = "exponential:10:20"
jitter = "none"
slots = 2

[handlers.Resize]
type = "process"
command = ["python3", "resize.py"]
processes = 3
max_tasks_per_process = 100

[handlers.notify]
type = "http"
url = "https://example.org/tasks"
headers = { X-From = "warren", Authorization = { env = "PATH" } }
"#;

#[test]
fn an_empty_configuration_is_the_default() {
    let config = load_with("", &[]).unwrap();
    assert_eq!(config.weights(), [(QueueName::default(), 1)]);
    assert_eq!((config.grace, config.heartbeat), (Duration::from_secs(30), Duration::from_secs(5)));
    assert_eq!((config.crashes, config.max_result_bytes), (3, 65536));
    assert_eq!((config.namespace.as_str(), u32::from(config.prefetch())), ("warren", config.slots));
    assert_eq!(config.default_policy(), Policy::default());
    let mut kinds: Vec<_> = config.assignments().unwrap().into_keys().map(|kind| kind.to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, ["echo", "sleep"]);
}

#[test]
fn everything_can_be_said() {
    let config = load_with(FULL, &[]).unwrap();
    assert_eq!((config.slots, config.prefetch(), config.namespace.as_str()), (6, 12, "pool-2"));
    let mail = (QueueName::parse("mail").unwrap(), QueueName::parse("rest").unwrap());
    assert_eq!(config.weights(), [(mail.0.clone(), 3), (mail.1, 1)]);
    assert_eq!(config.default_kinds(), HashMap::from([(mail.0, Kind::parse("mail.send").unwrap())]));

    let policy = config.handlers["mail.send"].policy().over(&config.defaults);
    let backoff = Backoff::Exponential { first: Duration::from_millis(10), max: Duration::from_millis(20) };
    let expected = Policy {
        max_attempts: 2.try_into().unwrap(),
        backoff,
        jitter: CoreJitter::None,
        timeout: Duration::from_secs(20),
    };
    assert_eq!((policy.policy(), policy.slots()), (expected, 2));
    assert_eq!(config.handlers["mail.send"].kill_grace(), Duration::from_millis(250));
    assert_eq!(config.handlers["mail.send"].directory, Some(PathBuf::from("/")));

    let inherited = config.handlers["Resize"].policy().over(&config.defaults).policy();
    assert_eq!(
        (inherited.timeout, inherited.backoff),
        (Duration::from_secs(10), Backoff::Fixed(Duration::from_millis(40)))
    );
    let value = config.handlers["notify"].headers.as_ref().unwrap()["Authorization"].resolve().unwrap();
    assert_eq!(value.as_bytes(), std::env::var("PATH").unwrap().as_bytes());
    assert!(!format!("{config:?}").contains("warren\""), "the values of headers are not shown");
}

#[test]
fn the_environment_wins_and_its_text_becomes_what_is_asked_for() {
    let environment =
        [("WARREN_SLOTS", "9"), ("WARREN_HANDLERS__NOTIFY__TIMEOUT", "7s"), ("WARREN_DEFAULTS__MAX_ATTEMPTS", "8")];
    let config = load_with(FULL, &environment).unwrap();
    assert_eq!((config.slots, config.handlers["notify"].timeout), (9, Some(Duration::from_secs(7))));
    assert_eq!(config.default_policy().max_attempts.get(), 8);
}

#[test]
fn what_handlers_are_told_is_no_configuration() {
    let told = ["TASK_ID", "TASK_KIND", "KIND", "QUEUE", "ATTEMPT", "PRIORITY", "TIMEOUT_MS"];
    let names: Vec<_> = told.iter().map(|name| format!("WARREN_{name}")).collect();
    let environment: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert!(load_with("", &environment).is_ok());
}

#[test]
fn unknown_keys_are_named_in_full() {
    let text = problems(
        "colour = 1\n[handlers.a]\ntype = 'command'\ncommand = ['sh']\ncolour = 'red'\n[defaults]\ntimeuot = '5s'\n\
         [[queues]]\nname = 'x'\nwait = 3",
    );
    for problem in [
        "colour: unknown key",
        "handlers.a.colour: unknown key",
        "defaults.timeuot: unknown key",
        "queues.0.wait: unknown key",
    ] {
        assert!(text.contains(problem), "{problem} is missing in {text}");
    }
}

#[test]
fn bad_values_of_a_handler_are_named_by_their_key() {
    let command = "type = 'command'\ncommand = ['sh']";
    for (table, problem) in [
        ("command = ['sh']", r#"handlers.k: missing configuration field "handlers.k.type""#),
        ("type = 'shell'", "handlers.k.type: "),
        ("type = 'command'", "handlers.k.command: expected a program"),
        ("type = 'command'\ncommand = []", "handlers.k.command: expected a program"),
        ("type = 'command'\ncommand = 'ls -l'", "handlers.k.command: "),
        ("type = 'http'", "handlers.k.url: expected an address"),
        ("type = 'http'\nurl = 'ftp://x/'", "handlers.k.url: expected an address"),
        ("type = 'http'\nurl = 'http://x/'\nenv = ['A']", "handlers.k.env: not a key of type http"),
        ("type = 'http'\nurl = 'http://x/'\nheaders = { 'a b' = 'c' }", "handlers.k.headers.a b: not a valid name"),
        ("type = 'http'\nurl = 'http://x/'\nheaders = { A = \"b\\n\" }", "handlers.k.headers.A: expected text"),
        (
            "type = 'http'\nurl = 'http://x/'\nheaders = { A = { env = 'NOT_SET_ANYWHERE' } }",
            "handlers.k.headers.A: the environment has no variable NOT_SET_ANYWHERE",
        ),
        ("type = 'http'\nurl = 'http://x/'\nheaders = { A = { enw = 'X' } }", "handlers.k.headers.A"),
        (&format!("{command}\nprocesses = 3"), "handlers.k.processes: not a key of type command"),
        (&format!("{command}\nurl = 'http://x/'"), "handlers.k.url: not a key of type command"),
        (&format!("{command}\ntimeout = 5"), "handlers.k.timeout: expected a whole number with a unit"),
        (&format!("{command}\ntimeout = '0s'"), "handlers.k.timeout: expected more than zero"),
        (&format!("{command}\nmax_attempts = 0"), "handlers.k.max_attempts: "),
        (&format!("{command}\nbackoff = 'linear:1'"), "handlers.k.backoff: expected fixed:MS or"),
        (&format!("{command}\njitter = 'some'"), "handlers.k.jitter: "),
        (&format!("{command}\nslots = 5"), "handlers.k.slots: expected 1 to 4, the slots of the worker, got 5"),
        (&format!("{command}\nslots = 0"), "handlers.k.slots: expected 1 to 4"),
        (&format!("{command}\nkill_grace = '10s'"), "handlers.k.kill_grace: expected at most 9s"),
        (&format!("{command}\nenv = ['WARREN_AMQP__URL']"), "handlers.k.env: WARREN_AMQP__URL is the worker's own"),
        (&format!("{command}\nenv = ['A=B']"), "handlers.k.env: expected names of variables"),
    ] {
        let text = problems(&format!("slots = 4\n[handlers.k]\n{table}"));
        assert!(text.contains(&format!("\n  {problem}")), "{problem} is missing in {text}");
    }
}

#[test]
fn bad_values_of_a_worker_are_named_by_their_key() {
    for (toml, problem) in [
        ("slots = 0", "slots: expected 1 to 10000, got 0"),
        ("slots = 4\n[defaults]\nslots = 5", "defaults.slots: expected 1 to 4"),
        ("prefetch = 0", "prefetch: expected at least 1"),
        ("crashes = 0", "crashes: expected at least 1"),
        ("heartbeat = '0s'", "heartbeat: expected more than zero"),
        ("queues = []", "queues: expected at least one"),
        ("namespace = 'A b'", "namespace: queue must be"),
        ("[[queues]]\nname = 'a'\n[[queues]]\nname = 'a'", "queues[1].name: a is listed twice"),
        ("[[queues]]\nname = 'a'\nweight = 0", "queues[0].weight: expected at least 1"),
        ("[[queues]]\nname = 'a.b'", "queues[0].name: queue must be"),
        ("[[queues]]\nname = 'a'\ndefault_kind = 'a b'", "queues[0].default_kind: kind must be"),
        ("[handlers.'a b']\ntype = 'command'\ncommand = ['sh']", "handlers.a b: kind must be"),
    ] {
        let text = problems(toml);
        assert!(text.contains(&format!("\n  {problem}")), "{problem} is missing in {text}");
    }
}

#[test]
fn what_keeps_a_program_from_running_is_told_with_its_key() {
    let toml = "[handlers.good]\ntype = 'command'\ncommand = ['sh']\n[handlers.bad]\ntype = 'command'\n\
                command = ['no-such-program']\n[handlers.worse]\ntype = 'process'\ncommand = ['./x']\ndirectory = '/no/such'";
    let problems = load_with(toml, &[]).unwrap().handler_problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("handlers.bad: program \"no-such-program\" is not found in PATH"), "{problems:?}");
    assert_eq!(problems[1], "handlers.worse: directory \"/no/such\" is not found");
}

#[test]
fn a_kind_that_is_built_in_can_be_run_otherwise() {
    let toml = "slots = 4\n[defaults]\ntimeout = '3s'\n[handlers.echo]\ntype = 'command'\ncommand = ['cat']\nslots = 3";
    let assignments = load_with(toml, &[]).unwrap().assignments().unwrap();
    let of = |kind: &str| &assignments[&Kind::parse(kind).unwrap()];
    assert_eq!((of("echo").slots, of("sleep").slots), (3, 1));
    assert_eq!(of("sleep").policy.timeout, Duration::from_secs(3));
}

#[test]
fn the_shipped_configuration_is_valid() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/worker.toml"));
    let config: Config = load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    assert_eq!(config.handlers["sha256"].handler, HandlerType::Command);
    assert_eq!(config.handler_problems(), Vec::<String>::new());
}
