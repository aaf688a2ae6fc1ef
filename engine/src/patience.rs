//! Whether to poll for a moment before sleeping. Polling saves two context switches when the other side
//! answers at once from another core, and costs time and heat when it does not: the answer needs the
//! device, or the other side needs the very core that polls. Which it is, the last attempts tell.

use std::time::{Duration, Instant};

/// Learns from each attempt.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Above zero: it pays.
    balance: i32,
    /// Chances passed since the last attempt.
    passed: u32,
}

/// The balance stays within these, so that a change of weather is noticed soon.
const BALANCE_MAX: i32 = 8;

/// While it does not pay, one chance in so many is taken all the same.
const PASSED_MAX: u32 = 64;

impl Patience {
    /// Polls `ready` for at most `time`, if that has paid lately; true once it is ready.
    pub(crate) fn wait(&mut self, time: Duration, ready: impl Fn() -> bool) -> bool {
        if ready() {
            return true;
        }
        if time.is_zero() || !self.is_worth_it() {
            return false;
        }
        let until = Instant::now() + time;
        let came = loop {
            // The clock costs as much as several looks.
            if (0..LOOKS_PER_CLOCK).any(|_| {
                std::hint::spin_loop();
                ready()
            }) {
                break true;
            }
            if Instant::now() >= until {
                break false;
            }
        };
        self.learn(came);
        came
    }

    fn is_worth_it(&mut self) -> bool {
        self.passed += 1;
        let worth_it = self.balance >= 0 || self.passed > PASSED_MAX;
        if worth_it {
            self.passed = 0;
        }
        worth_it
    }

    fn learn(&mut self, came: bool) {
        // A failure costs the whole time, a success saves about half of it.
        let change = if came { 1 } else { -2 };
        self.balance = (self.balance + change).clamp(-BALANCE_MAX, BALANCE_MAX);
    }
}

const LOOKS_PER_CLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_up_what_does_not_pay_and_tries_again_now_and_then() {
        let mut patience = Patience::default();
        let mut attempts = |chances: usize, came: bool| {
            let taken = (0..chances).filter(|_| {
                let taken = patience.is_worth_it();
                if taken {
                    patience.learn(came);
                }
                taken
            });
            taken.count()
        };
        assert_eq!(attempts(100, true), 100);
        assert!(attempts(1000, false) < 30);
        // The weather changes: a few tries later it polls every time.
        attempts(1000, true);
        assert_eq!(attempts(100, true), 100);
    }
}
