//! The processor time of a process, by the kernel's word.

use std::{fs::read_to_string, path::Path, time::Duration};

/// What a process has used so far; `None` where it is gone.
pub fn of(pid: u32) -> Option<Duration> {
    read(&format!("/proc/{pid}/stat"))
}

/// What this process has used so far.
pub fn own() -> Duration {
    read("/proc/self/stat").expect("the kernel tells a process of itself")
}

/// The process whose id is in a file, as the scripts keep them.
pub fn pid_in(file: &Path) -> Option<u32> {
    read_to_string(file).ok()?.split_whitespace().next()?.parse().ok()
}

// proc(5): fields 14 and 15, user and system time in clock ticks. The second field is the program's name, in
// parentheses, and may hold anything.
fn read(path: &str) -> Option<Duration> {
    let stat = read_to_string(path).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time() {
        let before = own();
        while own().saturating_sub(before) < Duration::from_millis(30) {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        assert!(of(std::process::id()).is_some());
        assert_eq!(of(u32::MAX), None);
    }
}
