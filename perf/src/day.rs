//! Calendar days, for exceptions that end.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A day, as `2027-01-31`; days compare by their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day {
    year: u32,
    month: u32,
    day: u32,
}

impl Day {
    /// Now, in UTC.
    pub fn today() -> Day {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Day::after_epoch(since.map_or(0, |since| since.as_secs() / 86_400))
    }

    fn after_epoch(mut days: u64) -> Day {
        let mut year = 1970;
        while days >= year_days(year) {
            days -= year_days(year);
            year += 1;
        }
        let mut month = 1;
        while days >= month_days(year, month) {
            days -= month_days(year, month);
            month += 1;
        }
        Day {
            year,
            month,
            day: days as u32 + 1,
        }
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u32) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u32, month: u32) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Day, String> {
        let wrong = || format!("`{text}` is not a day; write it as 2027-01-31");
        let parts: Vec<u32> = text
            .split('-')
            .map(|part| part.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        match parts[..] {
            [year @ 1970..=9999, month @ 1..=12, day @ 1..=31]
                if u64::from(day) <= month_days(year, month) =>
            {
                Ok(Day { year, month, day })
            }
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Day, String> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Day { year, month, day } = self;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, text) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_453, "2025-12-31"),
            (20_454, "2026-01-01"),
        ] {
            let day = Day::after_epoch(days);
            assert_eq!(day.to_string(), text);
            assert_eq!(text.parse(), Ok(day));
        }
        assert!(Day::today() > "2025-01-01".parse().unwrap());
    }

    #[test]
    fn no_such_days_are_refused() {
        for text in [
            "",
            "2027",
            "2027-13-01",
            "2027-02-29",
            "2027-01-00",
            "31.1.2027",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
