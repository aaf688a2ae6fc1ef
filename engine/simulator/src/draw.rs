//! What a seed draws: a configuration, and then lives of steps. Each seed leaves out a random part of what
//! can be done, so that rare things are common in some of them (swarm testing).

use crate::content;
use crate::model::{LISTS, SPACE_KEYS, SPACES};
use crate::plan::{
    Action, End, Failing, Fault, Leaves, Life, Plan, Promise, Setting, SpaceAction, Step, Transact,
};
use crate::random::Random;

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    let mut random = Random::new(seed);
    let setting = setting(&mut random);
    let swarm = Swarm::draw(&mut random, &setting);
    let lives = (0..random.between(2, 10))
        .map(|_| swarm.life(&mut random))
        .collect();
    let mut plan = Plan {
        seed,
        setting,
        lives,
        ways: 0,
    };
    disturb(&mut plan);
    // By numbers of its own, so that all other seeds stay what they were.
    let mut random = Random::new(seed ^ WINDOWS);
    let has_spaces = swarm.kinds.iter().any(|(kind, _)| *kind == Kind::Space);
    if has_spaces && random.chance(50) {
        add_windows(&mut plan, &mut random);
    }
    let mut random = Random::new(seed ^ CODECS);
    if has_spaces && random.chance(50) {
        let codecs = [None, Some(0), Some(1), Some(2)];
        plan.setting.codecs = (0..SPACES).map(|_| *random.pick(&codecs)).collect();
    }
    let mut random = Random::new(seed ^ BLOBS);
    plan.setting.blob_bytes = *random.pick(&[None, None, Some(1), Some(64), Some(300), Some(1000)]);
    add_tail(&mut plan);
    hinder_endings(&mut plan, &swarm);
    plan
}

/// Lives that end while the disk is full, or right behind the failure of something that is not the log, with promises to keep.
fn hinder_endings(plan: &mut Plan, swarm: &Swarm) {
    let mut random = Random::new(plan.seed ^ ENDINGS);
    if !random.chance(15) {
        return;
    }
    let promises = [
        Promise::Sync,
        Promise::Buffered,
        Promise::Periodic(1 << random.between(10, 35)),
    ];
    for life in &mut plan.lives {
        if random.chance(50) {
            continue;
        }
        let is_full = random.chance(50);
        let fate = match is_full {
            true => Action::Fill {
                bytes: random.below(40) * 4096,
            },
            false => Action::Fail {
                doing: *random.pick(&[
                    Fault::Create,
                    Fault::Allocate,
                    Fault::SyncDirectory,
                    Fault::Read,
                ]),
                spared: random.below(4),
                times: random.between(1, 3),
            },
        };
        life.steps.push(Step {
            client: 0,
            action: fate,
        });
        for _ in 0..random.between(1, 40) {
            let client = random.below(swarm.clients) as usize;
            let promise = *random.pick(&promises);
            let action = match random.below(10) {
                0 => Action::Flush,
                1 => Action::Compact,
                2 => Action::Get(swarm.key(&mut random)),
                3 if swarm.large > 0 => {
                    let bytes = random.between(4_000, 40_000) as u32;
                    Action::Write(swarm.key(&mut random), Some(bytes), promise)
                }
                3 | 4 => {
                    let removals =
                        (0..random.between(2, 8)).map(|_| (swarm.key(&mut random), None));
                    Action::Batch(removals.collect(), promise)
                }
                5..7 => Action::Write(swarm.key(&mut random), None, promise),
                _ => Action::Write(swarm.key(&mut random), swarm.bytes(&mut random), promise),
            };
            life.steps.push(Step { client, action });
        }
        let (cut, within) = (true, None);
        life.end = match random.chance(50) {
            true => End::Close { cut, within },
            false => End::Drop { cut, within },
        };
    }
}

/// And for the log's tail, which may fail.
fn add_tail(plan: &mut Plan) {
    let mut random = Random::new(plan.seed ^ 0x74_61_69_6c);
    plan.setting.tail_bytes = *random.pick(&[0, 4 << 10, 8 << 10, 16 << 10, 64 << 10]);
    let fails = random.chance(20);
    for life in &mut plan.lives {
        if fails && random.chance(50) {
            let action = Action::Fail {
                doing: Fault::Store,
                spared: random.below(30),
                times: *random.pick(&[1, 1, 3, u64::MAX]),
            };
            let place = random.below(life.steps.len() as u64 + 1) as usize;
            life.steps.insert(place, Step { client: 0, action });
        }
    }
}

/// What came later, with numbers of its own: what a seed has drawn before stays.
fn disturb(plan: &mut Plan) {
    let mut random = Random::new(plan.seed ^ 0xc10c);
    let (clock, openings, endings) = (random.chance(15), random.chance(10), random.chance(20));
    for life in &mut plan.lives {
        if clock {
            for _ in 0..random.below(4) {
                let millis = 1 << random.below(37);
                let (back, furthest) = (random.chance(50), 1 << random.below(12));
                let moves = Action::MoveClock {
                    millis: if back { -millis } else { millis },
                };
                let reads = Action::AsOfTime {
                    back: random.below(furthest),
                    reverse: random.chance(40),
                };
                for action in [moves, reads] {
                    let place = random.below(life.steps.len() as u64 + 1) as usize;
                    life.steps.insert(place, Step { client: 0, action });
                }
            }
        }
        if openings && random.chance(20) {
            life.fails_while_opening.push(Failing {
                doing: *random.pick(&Fault::DRAWN),
                spared: random.below(40),
                times: *random.pick(&[1, 1, 3, u64::MAX]),
            });
        }
        if endings
            && random.chance(50)
            && let End::Close { within, .. } | End::Drop { within, .. } = &mut life.end
        {
            *within = Some(random.below(40));
        }
    }
}

/// Sets the numbers for windows of keyspaces apart from those for all else.
const WINDOWS: u64 = 0x77_69_6e_64_6f_77;

/// The same for endings.
const ENDINGS: u64 = 0x65_6e_64_69_6e_67;

/// The same for blob files.
const BLOBS: u64 = 0x62_6c_6f_62_73;

/// The same for codecs of keyspaces.
const CODECS: u64 = 0x63_6f_64_65_63;

/// Keyspaces that keep more of the past than the database, or less, are written again, and read as they were.
fn add_windows(plan: &mut Plan, random: &mut Random) {
    let windows = [None, Some(0), Some(5), Some(50), Some(1000)];
    plan.setting.windows = (0..SPACES).map(|_| *random.pick(&windows)).collect();
    for life in &mut plan.lives {
        let mut steps = Vec::new();
        for step in life.steps.drain(..) {
            let Step { client, action } = &step;
            let mut more = Vec::new();
            if let Action::Space { space, .. } = *action {
                let key = random.below(u64::from(SPACE_KEYS)) as u32;
                let bytes = random.below(300) as u32;
                let furthest = 1 << random.below(8);
                let back = random.below(furthest);
                let by_database = random.chance(30);
                let actions = [
                    SpaceAction::Put(key, bytes),
                    SpaceAction::AsOf { back, by_database },
                ];
                let chosen = actions.into_iter().filter(|_| random.chance(50));
                more.extend(chosen.map(|action| Step {
                    client: *client,
                    action: Action::Space { space, action },
                }));
            }
            steps.push(step);
            steps.extend(more);
        }
        life.steps = steps;
    }
}

/// Another plan of a seed: many clients who do little but transactions over a few lists, and so are in each other's
/// way all the time.
pub fn histories(seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x1157);
    let setting = Setting {
        clients: random.between(3, 12) as usize,
        keys: 3,
        ..setting(&mut random)
    };
    let life = |random: &mut Random| {
        let count = random.between(50, 500);
        let steps = (0..count).map(|_| Step {
            client: random.below(setting.clients as u64) as usize,
            action: match random.below(200) {
                0 => Action::Flush,
                1 => Action::Compact,
                2 => Action::Wait,
                3 => Action::CutCopies { count: 1 },
                4..8 => Action::Hold {
                    host: random.below(5) as usize,
                    nanos: 1 << random.between(14, 25),
                },
                _ => Swarm::append(random),
            },
        });
        let steps = steps.collect();
        let spared = random.below(20 * count);
        let end = match random.below(4) {
            0 => End::Kill { spared },
            1 => End::Close {
                cut: true,
                within: None,
            },
            2 => End::Drop {
                cut: true,
                within: None,
            },
            _ => End::Cut {
                spared,
                leaves: Leaves::Random,
            },
        };
        Life {
            steps,
            end,
            ..Life::default()
        }
    };
    let lives = (0..random.between(1, 3))
        .map(|_| life(&mut random))
        .collect();
    Plan {
        seed,
        setting,
        lives,
        ways: 0,
    }
}

pub(crate) fn setting(random: &mut Random) -> Setting {
    let shards = *random.pick(&[1, 2, 2, 3, 3, 4, 5]);
    let slow = random.chance(20);
    let (latency_least, latency_most) = *random.pick(&[
        (10_000, 100_000),
        (50_000, 60_000),
        (1_000, 2_000_000),
        (20_000, 20_000),
    ]);
    Setting {
        shards,
        hosts: random.between(1, u64::from(shards)) as usize,
        clients: random.between(1, 6) as usize,
        keys: *random.pick(&[3, 8, 20, 60, 150]),
        memtable_bytes: 4096 << random.below(5),
        cache_bytes: *random.pick(&[0, 0, 8 << 10, 32 << 10, 256 << 10]),
        rows_bytes: *random.pick(&[0, 4 << 10, 16 << 10, 128 << 10]),
        segment_bytes: 16384 << random.below(3),
        group_bytes: 4096 << random.below(3),
        table_bytes: 8192 << random.below(3),
        runs_max: random.between(1, 5) as usize,
        retention: *random.pick(&[0, 0, 10, 100, 1000]),
        windows: Vec::new(),
        codecs: Vec::new(),
        blob_bytes: None,
        idle_close_after: *random.pick(&[100_000, 1_000_000, 20_000_000]),
        tail_bytes: 0,
        latency_least,
        latency_most,
        tail_per_mille: if slow { random.between(1, 50) } else { 0 },
        tail_factor: random.between(2, 50),
        short_per_mille: if random.chance(25) { 50 } else { 0 },
        failing_factor: 1,
    }
}

/// What a seed does, and how often.
struct Swarm {
    keys: u32,
    clients: u64,
    /// Kinds of steps with their weights.
    kinds: Vec<(Kind, u64)>,
    promises: Vec<Promise>,
    /// Percent of writes that remove.
    removals: u64,
    value_bytes: [u64; 2],
    /// Percent of values that end, and the longest of their times in milliseconds.
    ending: u64,
    stay_most: u64,
    /// Percent of values that take several blocks or frames.
    large: u64,
    steps_most: u64,
    ends: Vec<Kind>,
    /// Percent of openings that the power cuts.
    cut_openings: u64,
    faults: Vec<Fault>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Write,
    Batch,
    DeleteRange,
    Transact,
    Append,
    Get,
    MultiGet,
    Scan,
    AsOf,
    Space,
    Pin,
    ReadPinned,
    Flush,
    Compact,
    Wait,
    Idle,
    Fail,
    Full,
    Stick,
    Hold,
    CutCopies,
    FlipCopies,
    MisdirectCopies,
    Cut,
    Kill,
    Close,
    Drop,
}

impl Swarm {
    fn draw(random: &mut Random, setting: &Setting) -> Swarm {
        let mut kinds = vec![(Kind::Write, 30)];
        let mut maybe = |kind, percent, weight| {
            if random.chance(percent) {
                kinds.push((kind, 1 + random.below(weight)));
            }
        };
        maybe(Kind::Batch, 70, 30);
        maybe(Kind::DeleteRange, 40, 12);
        maybe(Kind::Transact, 50, 20);
        maybe(Kind::Append, 40, 20);
        maybe(Kind::Get, 70, 20);
        maybe(Kind::MultiGet, 50, 10);
        maybe(Kind::Scan, 40, 5);
        maybe(Kind::AsOf, 50, 6);
        maybe(Kind::Space, 50, 30);
        maybe(Kind::Pin, 50, 6);
        maybe(Kind::ReadPinned, 50, 4);
        maybe(Kind::Flush, 50, 6);
        maybe(Kind::Compact, 30, 3);
        maybe(Kind::Wait, 60, 10);
        maybe(Kind::Idle, 30, 2);
        maybe(Kind::CutCopies, 60, 6);
        // Faults in a third of the seeds at most, each: what hides behind them must be reached as well.
        maybe(Kind::Fail, 20, 2);
        maybe(Kind::Full, 15, 2);
        maybe(Kind::Stick, 15, 2);
        maybe(Kind::Hold, 30, 10);
        maybe(Kind::FlipCopies, 15, 1);
        maybe(Kind::MisdirectCopies, 10, 1);
        let mut promises = vec![Promise::Sync];
        if random.chance(50) {
            promises.push(Promise::Buffered);
        }
        if random.chance(30) {
            promises.push(Promise::Periodic(1000 << random.below(12)));
        }
        if random.chance(10) && promises.len() > 1 {
            promises.remove(0);
        }
        let mut ends = vec![Kind::Cut];
        for kind in [Kind::Cut, Kind::Kill, Kind::Close, Kind::Drop] {
            if random.chance(40) {
                ends.push(kind);
            }
        }
        let most = *random.pick(&[20, 200, 900, 3000]);
        let faults = Fault::DRAWN
            .into_iter()
            .filter(|_| random.chance(40))
            .collect();
        Swarm {
            keys: setting.keys,
            clients: setting.clients as u64,
            kinds,
            promises,
            removals: *random.pick(&[0, 10, 30, 60]),
            value_bytes: [*random.pick(&[0, 1, 8]), most],
            ending: *random.pick(&[0, 0, 10, 50, 100]),
            stay_most: *random.pick(&[1, 5, 40, 500]),
            large: if random.chance(30) { 5 } else { 0 },
            steps_most: *random.pick(&[5, 20, 60, 200]),
            ends,
            cut_openings: if random.chance(40) { 40 } else { 0 },
            faults,
        }
    }

    fn life(&self, random: &mut Random) -> Life {
        let mut cuts_while_opening = Vec::new();
        while random.chance(self.cut_openings) && cuts_while_opening.len() < 3 {
            cuts_while_opening.push(random.below(120));
        }
        let mut steps = Vec::new();
        let count = random.between(1, self.steps_most);
        // Some stretches of a life are busy, and some have long gaps.
        while (steps.len() as u64) < count {
            let kind = self.kind(random);
            self.add(&mut steps, kind, random);
        }
        let spared = random.below(6 * count + 10);
        let end = match random.pick(&self.ends) {
            Kind::Kill => End::Kill { spared },
            Kind::Close => End::Close {
                cut: random.chance(50),
                within: None,
            },
            Kind::Drop => End::Drop {
                cut: random.chance(50),
                within: None,
            },
            _ => End::Cut {
                spared,
                leaves: *random.pick(&[
                    Leaves::Random,
                    Leaves::Random,
                    Leaves::Nothing,
                    Leaves::Everything,
                    Leaves::Writes,
                    Leaves::Sectors,
                ]),
            },
        };
        Life {
            cuts_while_opening,
            steps,
            end,
            ..Life::default()
        }
    }

    fn kind(&self, random: &mut Random) -> Kind {
        let sum = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut left = random.below(sum);
        for (kind, weight) in &self.kinds {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        Kind::Write
    }

    fn add(&self, steps: &mut Vec<Step>, kind: Kind, random: &mut Random) {
        let client = random.below(self.clients) as usize;
        let key = random.below(u64::from(self.keys)) as u32;
        let removes_ranges = self
            .kinds
            .iter()
            .any(|(kind, _)| *kind == Kind::DeleteRange);
        let mut step = |action| steps.push(Step { client, action });
        let reverse = random.chance(40);
        match kind {
            Kind::Write => {
                let promise = *random.pick(&self.promises);
                step(Action::Write(key, self.bytes(random), promise));
            }
            Kind::Batch => {
                let count = random.between(2, 8);
                let ops = (0..count).map(|_| (self.key(random), self.bytes(random)));
                let ops = ops.collect();
                step(Action::Batch(ops, *random.pick(&self.promises)));
            }
            Kind::DeleteRange => {
                let (from, to) = self.range(random);
                let some = |random: &mut Random| -> Vec<_> {
                    let count = if random.chance(30) {
                        random.between(1, 4)
                    } else {
                        0
                    };
                    (0..count)
                        .map(|_| (self.key(random), self.bytes(random)))
                        .collect()
                };
                step(Action::DeleteRange {
                    before: some(random),
                    from,
                    to,
                    after: some(random),
                    promise: *random.pick(&self.promises),
                });
            }
            Kind::Transact => step(Action::Transact(self.transact(random))),
            Kind::Append => step(Self::append(random)),
            Kind::Get => step(Action::Get(key)),
            Kind::MultiGet => {
                let count = random.between(1, 12).min(u64::from(self.keys));
                step(Action::MultiGet(
                    (0..count).map(|_| self.key(random)).collect(),
                ));
            }
            Kind::Scan => {
                let to = key + random.between(1, u64::from(self.keys - key)) as u32;
                step(Action::Scan {
                    from: key,
                    to,
                    reverse,
                });
            }
            Kind::AsOf => {
                let furthest = 1 << random.below(10);
                let back = random.below(furthest);
                step(Action::AsOf { back, reverse });
            }
            Kind::Space => {
                let space = random.below(u64::from(SPACES)) as u32;
                let action = match random.below(13) {
                    0 | 1 => SpaceAction::Make,
                    2 => SpaceAction::Drop,
                    3 | 4 => SpaceAction::Read { reverse },
                    10 => SpaceAction::Keep,
                    11 | 12 => SpaceAction::ReadKept { reverse },
                    5 if removes_ranges => {
                        let from = random.below(u64::from(SPACE_KEYS)) as u32;
                        let to = random.between(u64::from(from) + 1, u64::from(SPACE_KEYS)) as u32;
                        SpaceAction::DeleteRange(from, to)
                    }
                    _ => SpaceAction::Put(
                        random.below(u64::from(SPACE_KEYS)) as u32,
                        random.below(600) as u32,
                    ),
                };
                step(Action::Space { space, action });
            }
            Kind::Pin => step(Action::Pin),
            Kind::ReadPinned => step(Action::ReadPinned { reverse }),
            Kind::Flush => step(Action::Flush),
            Kind::Compact => step(Action::Compact),
            Kind::Wait => step(Action::Wait),
            Kind::Idle => step(Action::Idle),
            Kind::Fail if !self.faults.is_empty() => step(Action::Fail {
                doing: *random.pick(&self.faults),
                spared: random.below(20),
                times: random.between(1, 3),
            }),
            Kind::Fail => {}
            Kind::Full => {
                step(Action::Fill {
                    bytes: random.below(60) * 4096,
                });
                for _ in 0..random.below(30) {
                    let kind = *random.pick(&[Kind::Write, Kind::Batch, Kind::Get, Kind::Flush]);
                    self.add(steps, kind, random);
                }
                let action = Action::Free;
                steps.push(Step { client, action });
            }
            Kind::Hold => step(Action::Hold {
                host: random.below(5) as usize,
                nanos: 1 << random.between(14, 25),
            }),
            Kind::Stick => {
                let fault = *random.pick(&[Fault::Write, Fault::Write, Fault::Sync, Fault::Read]);
                step(Action::Stick(fault));
                for _ in 0..random.below(10) {
                    self.add(steps, Kind::Write, random);
                }
                let action = Action::Unstick;
                steps.push(Step { client, action });
            }
            Kind::CutCopies => step(Action::CutCopies {
                count: random.between(1, 8),
            }),
            Kind::FlipCopies => step(Action::FlipCopies {
                count: random.between(1, 12),
            }),
            Kind::MisdirectCopies => step(Action::MisdirectCopies {
                count: random.between(1, 4),
            }),
            Kind::Cut | Kind::Kill | Kind::Close | Kind::Drop => {}
        }
    }

    fn transact(&self, random: &mut Random) -> Transact {
        let mut ops: Vec<_> = (0..random.between(0, 5))
            .map(|_| (self.key(random), self.bytes(random)))
            .collect();
        // In the order in which the engine takes them: the first one's shard coordinates.
        ops.sort_by_cached_key(|(key, _)| content::key(*key));
        ops.dedup_by_key(|(key, _)| *key);
        let removes_ranges = self
            .kinds
            .iter()
            .any(|(kind, _)| *kind == Kind::DeleteRange);
        let removes = (removes_ranges && random.chance(20)).then(|| self.range(random));
        let count = random.between(0, 6);
        let reads = (0..count).map(|_| self.key(random)).collect();
        let range = random.chance(25).then(|| {
            let from = self.key(random);
            let to = from + random.between(1, u64::from(self.keys - from)) as u32;
            (from, to)
        });
        Transact {
            reads,
            range,
            removes,
            ops,
            think: Self::think(random),
            serializable: random.chance(50),
            promise: *random.pick(&self.promises),
        }
    }

    fn append(random: &mut Random) -> Action {
        let mut lists: Vec<u32> = (0..LISTS).filter(|_| random.chance(40)).collect();
        let appended = random.below(lists.len() as u64 + 1) as usize;
        // Which are read and which are appended to differs each time.
        if !lists.is_empty() {
            let around = random.below(lists.len() as u64) as usize;
            lists.rotate_left(around);
        }
        let appends = lists.split_off(lists.len() - appended);
        Action::Append {
            reads: lists,
            appends,
            think: Self::think(random),
            serializable: random.chance(70),
        }
    }

    /// Mostly a moment, now and then time for a flush.
    fn think(random: &mut Random) -> u8 {
        match random.chance(20) {
            true => random.between(20, 200) as u8,
            false => random.below(8) as u8,
        }
    }

    fn key(&self, random: &mut Random) -> u32 {
        random.below(u64::from(self.keys)) as u32
    }

    /// Mostly a few keys, now and then any.
    fn range(&self, random: &mut Random) -> (u32, u32) {
        let from = self.key(random);
        let most = u64::from(self.keys - from);
        let most = if random.chance(60) { most.min(4) } else { most };
        (from, from + random.between(1, most) as u32)
    }

    fn bytes(&self, random: &mut Random) -> Option<u32> {
        if random.chance(self.removals) {
            return None;
        }
        let [least, most] = self.value_bytes;
        let bytes = match random.chance(self.large) {
            true => random.between(4_000, 20_000),
            false => random.between(least, most),
        } as u32;
        Some(match random.chance(self.ending) {
            true => content::staying(bytes, random.below(self.stay_most + 1) as u32),
            false => bytes,
        })
    }
}
