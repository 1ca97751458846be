//! Notations with units.

use std::str::FromStr;
use std::time::Duration;

/// A duration such as `300s`, `5m`, `2h`; a number alone is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// A size such as `512MiB` or `1GiB`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

impl FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, unit) = split(text).ok_or(())?;
        let factor = match unit {
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            _ => return Err(()),
        };
        number.checked_mul(factor).map(Duration::from_secs).map(Self).ok_or(())
    }
}

impl FromStr for Bytes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, unit) = split(text).ok_or(())?;
        let shift = match unit {
            "KiB" | "K" => 10,
            "MiB" | "M" => 20,
            "GiB" | "G" => 30,
            _ => return Err(()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        let seconds = |text: &str| text.parse::<Seconds>().map(|parsed| parsed.0.as_secs());
        assert_eq!(
            [seconds("300s"), seconds("5m"), seconds("2h"), seconds("7")],
            [300, 300, 7200, 7].map(Ok)
        );
        assert_eq!(
            [seconds("5d"), seconds("s"), seconds("-1s"), seconds("99999999999999999999h")],
            [Err(()); 4]
        );
        let bytes = |text: &str| text.parse::<Bytes>().map(|parsed| parsed.0);
        assert_eq!(
            [bytes("512MiB"), bytes("1 GiB"), bytes("4K")],
            [512 << 20, 1 << 30, 4096].map(Ok)
        );
        assert_eq!([bytes("512"), bytes("MiB"), bytes("9999999999999999999G")], [Err(()); 3]);
    }
}
