//! Another plan of a seed: small groups that are answered from the log's tail, gaps behind them in which the log gets them,
//! or closes, or begins another segment, and processes that are killed at any moment of it. What the other plans do
//! at length, transactions and keyspaces and damage at rest, is left out.

use crate::draw;
use crate::plan::{Action, End, Failing, Fault, Leaves, Life, Plan, Promise, Setting, Step};
use crate::random::Random;

/// More operations than there are.
const LATE: u64 = 1 << 40;

/// How large the log's tail may be.
const TAILS: [usize; 7] = [0, 1000, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 64 << 10];

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x7a_11_5e_ed);
    let mut setting = setting(&mut random);
    let mut habits = Habits::draw(&mut random, &setting);
    match Random::new(seed ^ 0x57_a2_d5).below(100) {
        0..25 => stand_still(&mut setting, &mut habits),
        25..55 => leave_gaps(&mut setting, &mut habits),
        _ => {}
    }
    let lives = random.between(3, 12);
    let lives = (0..lives).map(|_| habits.life(&mut random)).collect();
    Plan {
        seed,
        setting,
        lives,
        ways: 0,
    }
}

fn setting(random: &mut Random) -> Setting {
    let shards = *random.pick(&[1, 1, 1, 2, 3]);
    Setting {
        shards,
        hosts: random.between(1, u64::from(shards)) as usize,
        clients: random.between(1, 4) as usize,
        keys: *random.pick(&[3, 8, 20]),
        memtable_bytes: 4096 << random.below(4),
        retention: 0,
        idle_close_after: *random.pick(&[20_000, 100_000, 1_000_000, 5_000_000]),
        tail_bytes: *random.pick(&TAILS[1..]),
        failing_factor: *random.pick(&[1, 40]),
        ..draw::setting(random)
    }
}

/// The device is so slow, and memory so large, that several full frames are in flight.
fn stand_still(setting: &mut Setting, habits: &mut Habits) {
    setting.memtable_bytes = 128 << 10;
    setting.tail_bytes = 128 << 10;
    setting.group_bytes = 4096;
    (setting.latency_least, setting.latency_most) = (100_000, 10_000_000);
    (habits.bytes, habits.burst) = (3000, 40);
}

/// Few groups, some of them too large for the tail and in one frame with what is in it; the power takes frames between others, and
/// whoever opens behind that is killed.
fn leave_gaps(setting: &mut Setting, habits: &mut Habits) {
    (setting.shards, setting.hosts) = (1, 1);
    setting.memtable_bytes = setting.memtable_bytes.min(16 << 10);
    setting.segment_bytes = 16 << 10;
    setting.group_bytes = setting.group_bytes.max(8 << 10);
    setting.tail_bytes = 8 << 10;
    // Nothing makes the log durable.
    setting.idle_close_after = 50_000_000;
    (habits.sync, habits.periodic, habits.closes) = (0, 0, 0);
    habits.bursts = 2;
    (habits.faults, habits.ends_while_opening) = (0, 80);
    habits.leaves_gaps = true;
}

/// What a seed does, and how often.
struct Habits {
    keys: u64,
    clients: u64,
    idle_close_after: u64,
    /// Percent of writes that wait for the device, or have it synced in time.
    sync: u64,
    periodic: u64,
    /// Percent of lives that end in order.
    closes: u64,
    /// What a write brings at most, where that is the same in all lives.
    bytes: u64,
    /// Some writes bring more than the tail has room for.
    leaves_gaps: bool,
    /// Writes without a pause between.
    burst: u64,
    bursts: u64,
    /// Percent of bursts behind which there is a flush.
    flushes: u64,
    /// Percent of lives in which something fails.
    faults: u64,
    /// Percent of openings that do not come to their end, again and again.
    ends_while_opening: u64,
}

impl Habits {
    fn draw(random: &mut Random, setting: &Setting) -> Habits {
        Habits {
            keys: u64::from(setting.keys),
            clients: setting.clients as u64,
            idle_close_after: setting.idle_close_after,
            sync: *random.pick(&[0, 5, 20]),
            periodic: *random.pick(&[0, 0, 20]),
            closes: *random.pick(&[0, 10, 40]),
            bytes: 0,
            leaves_gaps: false,
            burst: *random.pick(&[1, 3, 8, 20]),
            bursts: *random.pick(&[3, 8, 20]),
            flushes: *random.pick(&[0, 5, 20]),
            faults: *random.pick(&[0, 0, 20, 60]),
            ends_while_opening: *random.pick(&[0, 20, 40]),
        }
    }

    fn life(&self, random: &mut Random) -> Life {
        let mut life = Life::default();
        while random.chance(self.ends_while_opening) && life.kills_while_opening.len() < 3 {
            life.kills_while_opening.push(self.within_opening(random));
        }
        if random.chance(self.ends_while_opening / 4) {
            life.cuts_while_opening.push(self.within_opening(random));
        }
        life.harms_tails = random.chance(8);
        if random.chance(15) {
            life.tail_bytes = Some(*random.pick(&TAILS));
        }
        // Some processes end before anybody has asked them for anything.
        let bursts = match random.chance(15) {
            true => 0,
            false => random.between(1, self.bursts),
        };
        // Of few large groups a tail is full as of many small ones.
        let bytes = self.bytes.max(*random.pick(&[20, 200, 900, 3000]));
        for _ in 0..bursts {
            match self.leaves_gaps {
                true => self.gap(&mut life.steps, bytes, random),
                false => self.burst(&mut life.steps, bytes, random),
            }
        }
        if random.chance(self.faults) {
            self.fail(&mut life, random);
        }
        life.end = self.end(life.steps.len() as u64, random);
        life
    }

    /// An operation of an opening. Where there are gaps, one behind what is put back.
    fn within_opening(&self, random: &mut Random) -> u64 {
        match self.leaves_gaps {
            true => random.between(36, 70),
            false => random.below(150),
        }
    }

    fn burst(&self, steps: &mut Vec<Step>, bytes: u64, random: &mut Random) {
        for _ in 0..random.between(1, self.burst) {
            self.write(steps, bytes, random);
        }
        let mut step = |client, action| steps.push(Step { client, action });
        let client = random.below(self.clients) as usize;
        if random.chance(self.flushes) {
            step(client, Action::Flush);
        }
        let pause = |nanos| Action::Pause { nanos };
        match random.below(20) {
            0..3 => {}
            3..8 => step(0, pause(1 << random.between(10, 20))),
            // The log gets what it is owed after a millisecond.
            8..11 => step(0, pause(random.between(900_000, 1_300_000))),
            11..14 => step(0, pause(random.below(2 * self.idle_close_after))),
            14..16 => step(0, pause(2_000_000 + 2 * self.idle_close_after)),
            16 => step(0, Action::Idle),
            17 => step(client, Action::Get(random.below(self.keys) as u32)),
            18 => step(client, Action::Compact),
            _ => step(0, Action::Wait),
        }
        let count = random.between(1, 3);
        match random.below(20) {
            0..4 => step(0, Action::KillCopies { count }),
            4 => step(0, Action::CutCopies { count }),
            _ => {}
        }
    }

    /// Frames from the tail alone, one that has more in it, and one that follows it.
    fn gap(&self, steps: &mut Vec<Step>, bytes: u64, random: &mut Random) {
        let small = |steps: &mut Vec<Step>, random: &mut Random| {
            for _ in 0..random.between(1, 3) {
                self.write(steps, bytes.min(900), random);
            }
        };
        let pause = |steps: &mut Vec<Step>, nanos| {
            let action = Action::Pause { nanos };
            steps.push(Step { client: 0, action });
        };
        if random.chance(50) {
            small(steps, random);
            pause(steps, 1_500_000);
        }
        small(steps, random);
        let (key, bytes) = (
            random.below(self.keys) as u32,
            random.between(4200, 7000) as u32,
        );
        let action = Action::Write(key, Some(bytes), Promise::Buffered);
        steps.push(Step {
            client: random.below(self.clients) as usize,
            action,
        });
        steps.push(Step {
            client: 0,
            action: Action::Wait,
        });
        if random.chance(80) {
            small(steps, random);
        }
        if random.chance(30) {
            pause(steps, 1_500_000);
        }
    }

    fn write(&self, steps: &mut Vec<Step>, bytes: u64, random: &mut Random) {
        let promise = match random.below(100) {
            of if of < self.sync => Promise::Sync,
            of if of < self.sync + self.periodic => Promise::Periodic(1 << random.between(13, 23)),
            _ => Promise::Buffered,
        };
        let mut change = || {
            let key = random.below(self.keys) as u32;
            let bytes = random.below(bytes) as u32;
            (key, (!random.chance(10)).then_some(bytes))
        };
        let (key, bytes) = change();
        let batch = [(key, bytes), change(), change()];
        let action = match random.below(10) {
            0 => Action::Batch(batch.to_vec(), promise),
            _ => Action::Write(key, bytes, promise),
        };
        let client = random.below(self.clients) as usize;
        steps.push(Step { client, action });
    }

    /// Something fails, mostly late: a log that has failed takes nothing any more.
    fn fail(&self, life: &mut Life, random: &mut Random) {
        if random.chance(15) {
            life.fails_while_opening.push(Failing {
                doing: *random.pick(&[Fault::Read, Fault::Write, Fault::Sync, Fault::Store]),
                spared: random.below(60),
                times: *random.pick(&[1, u64::MAX]),
            });
        }
        let steps = &mut life.steps;
        let back = random.below(30).min(steps.len() as u64) as usize;
        let at = steps.len() - back;
        let mut put = |at: usize, action| steps.insert(at, Step { client: 0, action });
        match random.below(10) {
            0 => {
                put(
                    at,
                    Action::Fill {
                        bytes: random.below(20) * 4096,
                    },
                );
                put(
                    at + random.below(back as u64 + 1) as usize + 1,
                    Action::Free,
                );
            }
            1 => {
                put(
                    at,
                    Action::Stick(*random.pick(&[Fault::Write, Fault::Sync])),
                );
                put(
                    at + random.below(back as u64 + 1) as usize + 1,
                    Action::Unstick,
                );
            }
            _ => {
                let doing = [
                    Fault::Write,
                    Fault::Write,
                    Fault::Sync,
                    Fault::Store,
                    Fault::Allocate,
                ];
                let doing = *random.pick(&doing);
                let (spared, times) = (random.below(8), *random.pick(&[1, 1, u64::MAX]));
                put(
                    at,
                    Action::Fail {
                        doing,
                        spared,
                        times,
                    },
                );
            }
        }
    }

    fn end(&self, steps: u64, random: &mut Random) -> End {
        if self.leaves_gaps && random.chance(80) {
            return End::Cut {
                spared: LATE,
                leaves: Leaves::Writes,
            };
        }
        let spared = random.below(4 * steps + 10);
        let within = random.chance(30).then(|| random.below(40));
        let cut = random.chance(50);
        if random.chance(self.closes) {
            return match random.chance(80) {
                true => End::Close { cut, within },
                false => End::Drop { cut, within },
            };
        }
        match random.below(16) {
            0..7 => End::Kill { spared: LATE },
            7..9 => End::Kill { spared },
            9..13 => End::KillWithin { spared },
            _ => End::Cut {
                spared: *random.pick(&[spared, LATE]),
                leaves: *random.pick(&[
                    Leaves::Random,
                    Leaves::Nothing,
                    Leaves::Everything,
                    Leaves::Writes,
                    Leaves::Sectors,
                ]),
            },
        }
    }
}
