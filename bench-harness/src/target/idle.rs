//! Waiting for a store's background work, which most stores only let one look at.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::Failure;

/// Looks in a row that must find no work and nothing changed.
const IDLE_LOOKS: u32 = 4;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Waits until `look` has found the same state without work several times in a row. It returns the state and
/// whether there is work to do.
pub fn wait_until_idle<S: PartialEq + Debug>(
    mut look: impl FnMut() -> Result<(S, bool), Failure>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let (mut idle, mut before) = (0, look()?.0);
    while idle < IDLE_LOOKS {
        if began.elapsed() > WAIT_MAX {
            return Err(Failure(format!(
                "background work still had not ended after {} s: {before:?}",
                WAIT_MAX.as_secs()
            )));
        }
        std::thread::sleep(LOOK_EVERY);
        let (now, works) = look()?;
        idle = match now == before && !works {
            true => idle + 1,
            false => 0,
        };
        before = now;
    }
    Ok(())
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
        assert_eq!(wait_until_idle(|| Ok(looks.next().unwrap())), Ok(()));
        assert_eq!(looks.len(), 0);
    }
}
