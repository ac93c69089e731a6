//! Numbers as people read them.

use std::time::Duration;

/// A time that passed or will pass, in its two largest units: `850ms`, `4.2s`, `42s`, `4m10s`, `3h05m`, `2d04h`.
pub fn duration(time: Duration) -> String {
    let (millis, seconds) = (time.as_millis(), time.as_secs());
    match seconds {
        0 => format!("{millis}ms"),
        1..10 => format!("{}.{}s", seconds, (millis % 1000) / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        86_400.. => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A whole number with its thousands apart: `1 234 567`, the gaps being narrow and not to be broken.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes: `512 B`, `1.5 KiB`, `2.0 GiB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1 << 10 {
        return format!("{bytes} B");
    }
    let (shift, unit) = match bytes {
        0..0x10_0000 => (10, "KiB"),
        0x10_0000..0x4000_0000 => (20, "MiB"),
        0x4000_0000.. => (30, "GiB"),
    };
    format!("{}.{} {unit}", bytes >> shift, ((bytes % (1 << shift)) * 10) >> shift)
}

/// So many a second: `0/s`, `0.4/s`, `12.5/s`, `1 250/s`.
pub fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        return if per_second > 0.0 { "<0.1/s".to_owned() } else { "0/s".to_owned() };
    }
    if per_second < 100.0 {
        return format!("{per_second:.1}/s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a rate for people")]
    let whole = per_second.round() as u64;
    format!("{}/s", number(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_by_table() {
        for (millis, text) in [
            (0, "0ms"),
            (850, "850ms"),
            (4_250, "4.2s"),
            (42_999, "42s"),
            (250_000, "4m10s"),
            (11_100_000, "3h05m"),
            (187_200_000, "2d04h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn numbers_by_table() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")] {
            assert_eq!(number(value), text);
        }
        for (value, text) in [(1, "1 B"), (1_536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")] {
            assert_eq!(bytes(value), text);
        }
        for (value, text) in [(0.0, "0/s"), (0.01, "<0.1/s"), (0.44, "0.4/s"), (1_250.0, "1\u{202f}250/s")] {
            assert_eq!(rate(value), text);
        }
    }
}
