//! `warren-monitor top`, the live view, in real terminals.

use std::process::Stdio;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use warren_tests::{
    Pool,
    pool::{PATIENCE, Service},
    process::path_of,
    servers,
};

use crate::terminal::{Scene, error, run};

/// `warren-monitor top` in a terminal of its own, which util-linux' script makes.
struct Top {
    child: Child,
    seen: String,
}

impl Top {
    fn start(monitor: &Service) -> Self {
        let line =
            format!("stty rows 30 cols 110; {} top; echo ended $?; stty -a", path_of("warren-monitor").display());
        let mut command = Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .env("WARREN_MONITOR_URL", &monitor.url)
            .env("TERM", "xterm-256color");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Self { child: command.spawn().expect("script is part of every Debian"), seen: String::new() }
    }

    async fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().expect("a pipe").write_all(keys.as_bytes()).await.expect("the terminal takes keys");
    }

    /// Reads until the screen has been sent this text, or everything.
    async fn read_until(&mut self, text: Option<&str>) {
        let reading = async {
            let output = self.child.stdout.as_mut().expect("a pipe");
            let mut bytes = vec![0; 4096];
            while text.is_none_or(|text| !self.seen.contains(text)) {
                match output.read(&mut bytes).await.expect("the terminal can be read") {
                    0 => break,
                    read => self.seen.push_str(&String::from_utf8_lossy(&bytes[..read])),
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reading).await;
        assert!(in_time.is_ok(), "{text:?} was not shown: {:?}", self.seen);
    }
}

#[tokio::test]
async fn top_shows_the_pool_as_it_changes_and_gives_the_terminal_back() {
    let scene = Scene::new().await;
    let mut top = Top::start(&scene.monitor);
    top.read_until(Some("default")).await;
    assert!(top.seen.contains("\u{1b}[?1049h"), "a screen of its own: {:?}", top.seen);
    top.press("3").await;
    top.read_until(Some("busy")).await;
    // What happens is shown without a key: the task ends, and nothing runs any more.
    scene.pool.open_gate();
    top.read_until(Some("nothing")).await;
    top.press("q").await;
    top.read_until(None).await;
    let (_, after) = top.seen.rsplit_once("\u{1b}[?1049l").expect("the screen of before comes back");
    assert!(after.contains("ended 0") && after.contains(" icanon") && after.contains(" echo "), "{after:?}");
    assert!(top.seen.contains("\u{1b}[?25h"), "the cursor comes back: {:?}", top.seen);
}

#[tokio::test]
async fn top_wants_a_terminal_and_a_monitor() {
    let pool = Pool::new();
    let monitor = pool.monitor().await;
    let piped = run(&monitor.url, &["top"], &[]);
    assert_eq!(piped.status.code(), Some(2), "{piped:?}");
    assert!(error(&piped).contains("terminal") && piped.stdout.is_empty(), "{piped:?}");
    let mut away = Top::start(&Service { process: monitor.process, url: "http://127.0.0.1:1".to_owned() });
    away.read_until(None).await;
    assert!(away.seen.contains("ended 3") && !away.seen.contains("1049h"), "{:?}", away.seen);
}

// Its terminal goes away, and the signal that tells of it is blocked, as under some supervisors.
const VANISHING: &str = r#"
import os, pty, signal, sys, termios, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
child, terminal = pty.fork()
if child == 0:
    termios.tcsetwinsize(0, (30, 110))
    os.execv(sys.argv[1], [sys.argv[1], "top", "--url", sys.argv[2]])
seen = b""
while b"default" not in seen:
    seen += os.read(terminal, 65536)
os.close(terminal)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    gone, status = os.waitpid(child, os.WNOHANG)
    if gone:
        sys.exit(0)
    time.sleep(0.05)
os.kill(child, signal.SIGKILL)
sys.exit("top goes on without a terminal")
"#;

#[tokio::test]
async fn top_ends_when_its_terminal_is_gone() {
    let scene = Scene::new().await;
    let mut command = Command::new(servers::python());
    let patience = PATIENCE.as_secs().to_string();
    command.args(["-c", VANISHING]).arg(path_of("warren-monitor")).args([&scene.monitor.url, &patience]);
    command.env("TERM", "xterm-256color");
    let output = command.output().await.expect("python runs");
    assert!(output.status.success(), "{output:?}");
}
