//! Days until the disk is full.

use ringkeep_bench::report::Report;

/// Size of the data at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub day: f64,
    pub bytes: f64,
}

/// `2026-03-01T12:00:00Z` or `2026-03-01` in days since 1970.
pub fn day(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "0:0:0"));
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut parts = time
        .trim_end_matches('Z')
        .split(':')
        .map(|part| part.parse::<f64>().ok());
    let mut next = || parts.next().unwrap_or(Some(0.0));
    let seconds = next()? * 3600.0 + next()? * 60.0 + next()?;
    // Civil to days by Howard Hinnant's algorithm.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days as f64 + seconds / 86_400.0)
}

/// `time,bytes` a line.
pub fn samples(text: &str) -> Result<Vec<Sample>, String> {
    text.lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', 't']))
        .map(|(number, line)| {
            let parsed = line.split_once(',').and_then(|(time, size)| {
                let bytes = size.parse::<ringkeep_bench::quantity::Size>().ok()?.bytes;
                Some(Sample {
                    day: day(time.trim())?,
                    bytes: bytes as f64,
                })
            });
            parsed.ok_or_else(|| {
                format!(
                    "line {}: `{line}` is no sample; write 2026-03-01T12:00:00Z,12.5GiB",
                    number + 1
                )
            })
        })
        .collect()
}

/// The sizes that saved runs found.
pub fn sampled(reports: &[(String, Report)]) -> Vec<Sample> {
    reports
        .iter()
        .filter_map(|(_, report)| {
            let bytes = report
                .phases()
                .map(|(_, phase)| phase.cost.disk_bytes)
                .max()?;
            Some(Sample {
                day: day(&report.run.started)?,
                bytes: bytes as f64,
            })
        })
        .collect()
}

/// Bytes a day by least squares, and days from the last sample until `capacity`; no days if it does not grow.
pub fn until_full(samples: &[Sample], capacity: f64) -> Option<(f64, Option<f64>)> {
    let n = samples.len() as f64;
    let mean = |pick: fn(&Sample) -> f64| samples.iter().map(pick).sum::<f64>() / n;
    let (day, bytes) = (mean(|s| s.day), mean(|s| s.bytes));
    let spread: f64 = samples.iter().map(|s| (s.day - day).powi(2)).sum();
    if samples.len() < 2 || spread < 1e-12 {
        return None;
    }
    let slope = samples
        .iter()
        .map(|s| (s.day - day) * (s.bytes - bytes))
        .sum::<f64>()
        / spread;
    let last = samples.iter().map(|s| s.day).fold(f64::MIN, f64::max);
    let now = bytes + slope * (last - day);
    let left = (slope > 0.0).then(|| ((capacity - now) / slope).max(0.0));
    Some((slope, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(day("1970-01-01"), Some(0.0));
        assert_eq!(day("2026-11-21T12:00:00Z"), Some(20_778.5));
        assert_eq!(day("soon"), None);
    }

    #[test]
    fn a_line_is_followed_to_the_capacity() {
        let text = "time,bytes\n2026-01-01,100GB\n2026-01-11,110GB\n2026-01-21,120GB\n";
        let samples = samples(text).unwrap();
        let (slope, days) = until_full(&samples, 150e9).unwrap();
        assert!((slope / 1e9 - 1.0).abs() < 1e-6);
        assert!((days.unwrap() - 30.0).abs() < 1e-6);
        assert_eq!(until_full(&samples[..1], 1e12), None);
        let shrinking = [
            samples[2],
            Sample {
                day: 1e5,
                ..samples[0]
            },
        ];
        assert_eq!(until_full(&shrinking, 1e12).unwrap().1, None);
        assert!(
            super::samples("yesterday,1GB")
                .unwrap_err()
                .contains("line 1")
        );
    }
}
