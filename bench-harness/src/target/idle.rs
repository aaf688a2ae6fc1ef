//! Waiting for a store's background work, which most stores only let one look at.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::Failure;

/// Looks in a row that must find no work and nothing changed.
const IDLE_LOOKS: u32 = 4;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Waits until `look` has found the same state without work several times in a row, and says when it was found so first. `look`
/// returns the state and whether there is work to do.
pub fn wait_until_idle<S: PartialEq + Debug>(
    mut look: impl FnMut() -> Result<(S, bool), Failure>,
) -> Result<Instant, Failure> {
    let began = Instant::now();
    let (mut idle, mut since, mut before) = (0, began, look()?.0);
    while idle < IDLE_LOOKS {
        if began.elapsed() > WAIT_MAX {
            return Err(Failure(format!(
                "background work still had not ended after {} s: {before:?}",
                WAIT_MAX.as_secs()
            )));
        }
        std::thread::sleep(LOOK_EVERY);
        let (now, works) = look()?;
        if now == before && !works {
            idle += 1;
        } else {
            (idle, since) = (0, Instant::now());
        }
        before = now;
    }
    Ok(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_change_both_start_the_count_again() {
        let mut looks = [
            (0, false),
            (0, false),
            (0, true),
            (0, false),
            (1, false),
            (1, false),
            (1, false),
            (1, false),
            (1, false),
        ]
        .into_iter();
        let mut last_change = None;
        let since = wait_until_idle(|| {
            let look = looks.next().unwrap();
            if looks.len() == IDLE_LOOKS as usize {
                last_change = Some(Instant::now());
            }
            Ok(look)
        });
        assert_eq!(looks.len(), 0);
        assert!(since.unwrap() >= last_change.unwrap());
    }
}
