//! Numbers as people read them.

/// Groups digits by three with narrow no-break spaces (U+202F): one column wide, and still one word to awk.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// The two largest units of a duration: `42s`, `3m 5s`, `2h`, `4d 7h`.
pub(super) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let Some(largest) = units.iter().position(|&(_, size)| seconds >= size) else {
        return "0s".to_owned();
    };
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, size) in units.into_iter().skip(largest).take(2) {
        if rest / size > 0 {
            parts.push(format!("{}{name}", rest / size));
        }
        rest %= size;
    }
    parts.join(" ")
}

/// A link's speed: `2.5 Gbit/s`.
pub(super) fn speed(mbps: u32) -> String {
    if mbps < 1_000 {
        format!("{mbps} Mbit/s")
    } else {
        format!("{} Gbit/s", f64::from(mbps) / 1e3)
    }
}

/// Three digits and a prefix: `12.3k`.
pub(super) fn scaled(value: f64) -> String {
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (size, prefix) = steps.into_iter().find(|(size, _)| value >= *size).unwrap_or((1.0, ""));
    let scaled = value / size;
    let digits = if prefix.is_empty() || scaled >= 100.0 {
        0
    } else if scaled >= 10.0 {
        1
    } else {
        2
    };
    format!("{scaled:.digits$}{prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        let plain = |number| grouped(number).replace('\u{202f}', "_");
        assert_eq!(plain(0), "0");
        assert_eq!(plain(999), "999");
        assert_eq!(plain(1_000), "1_000");
        assert_eq!(plain(u64::MAX), "18_446_744_073_709_551_615");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (42, "42s"),
            (60, "1m"),
            (185, "3m 5s"),
            (3_601, "1h"),
            (7_440, "2h 4m"),
            (86_400 * 4 + 3_600 * 7 + 59, "4d 7h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn large_numbers_have_three_digits() {
        let all = [(0.4, "0"), (999.0, "999"), (1_000.0, "1.00k"), (12_340.0, "12.3k")];
        for (value, text) in all.into_iter().chain([(987_600_000.0, "988M"), (2.5e9, "2.50G")]) {
            assert_eq!(scaled(value), text);
        }
    }

    #[test]
    fn speeds_have_the_fitting_unit() {
        assert_eq!(speed(100), "100 Mbit/s");
        assert_eq!(speed(2_500), "2.5 Gbit/s");
        assert_eq!(speed(100_000), "100 Gbit/s");
    }
}
