//! Which cores belong to the target and which to the drivers.
//!
//! An application's threads and the store's would not all sit on one core, nor would they on a planner's box.
//! With two cores or more the drivers take the last ones for themselves; a target is opened from a thread that
//! may only use the others, and whatever threads it starts and pins stay there.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of this process, divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// For the target.
    pub target: Vec<usize>,
    /// For drivers, one each; empty leaves them to the scheduler.
    pub drivers: Vec<usize>,
}

impl Placement {
    /// Gives the last `drivers` of the cores that this process may use to the drivers, if one is left.
    pub fn of(drivers: usize) -> Placement {
        Placement::divide(&cores_allowed(), drivers)
    }

    /// Drivers and target share all cores, the drivers pinned to the first ones.
    pub fn colocated(drivers: usize) -> Placement {
        let cores = cores_allowed();
        Placement {
            drivers: cores.iter().copied().take(drivers).collect(),
            target: cores,
        }
    }

    fn divide(cores: &[usize], drivers: usize) -> Placement {
        if cores.len() <= drivers {
            return Placement {
                target: cores.to_vec(),
                drivers: Vec::new(),
            };
        }
        let (target, own) = cores.split_at(cores.len() - drivers);
        Placement {
            target: target.to_vec(),
            drivers: own.to_vec(),
        }
    }

    /// Runs `open` on a thread that is held to the target's cores.
    pub fn on_target_cores<T: Send>(&self, open: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                hold_to(&self.target);
                open()
            });
            opener.join().expect("opening a target does not panic")
        })
    }
}

/// Holds this process to these cores, if called before it starts threads.
pub fn hold_process_to(cores: &[usize]) -> Result<(), String> {
    let own = cores_allowed();
    if let Some(odd) = cores.iter().find(|core| !own.contains(core)) {
        return Err(format!(
            "core {odd} cannot be used; this process may use {own:?}"
        ));
    }
    hold_to(cores);
    Ok(())
}

/// Holds the calling thread to these cores; a refusal leaves it where it is.
fn hold_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    let _ = sched_setaffinity(None, &set);
}

/// The cores that this thread may run on; none if the kernel does not say.
pub fn cores_allowed() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU)
            .filter(|&core| set.is_set(core))
            .collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_take_the_last_cores_if_any_is_left() {
        let divided = Placement::divide(&[0, 1, 4, 5], 2);
        assert_eq!((divided.target, divided.drivers), (vec![0, 1], vec![4, 5]));
        let alone = Placement::divide(&[3], 1);
        assert_eq!((alone.target, alone.drivers), (vec![3], vec![]));
    }

    #[test]
    fn threads_of_the_target_stay_on_its_cores() {
        let placement = Placement::of(1);
        let seen = placement.on_target_cores(|| std::thread::spawn(cores_allowed).join().unwrap());
        assert_eq!(seen, placement.target);
    }
}
