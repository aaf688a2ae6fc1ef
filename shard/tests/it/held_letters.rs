//! Batches over two shards, with the letters between them held up by hand: moments that chance seldom finds.

use ringkeep_io::{Crash, Doing};
use ringkeep_shard::{
    Call, Durability, Error, Letter, Moment, Op, Reply, Result, ShardId, ShardOptions, Version,
};

use crate::cross::{Database, put};
use crate::world::tiny_options;

/// A database whose letters wait until they are let go.
struct Held {
    database: Database,
    letters: Vec<(ShardId, Letter)>,
}

impl Held {
    fn new() -> Held {
        let options = ShardOptions {
            // Nothing becomes durable by the way.
            tail_bytes: 8 << 10,
            idle_close_after: 1 << 50,
            ..tiny_options()
        };
        Held {
            database: Database::new(1, options),
            letters: Vec::new(),
        }
    }

    /// Lets the shards work until there is nothing they could do without a letter.
    fn settle(&mut self) {
        let Database {
            shards,
            replies,
            io,
            ..
        } = &mut self.database;
        for _ in 0..1000 {
            let mut more = io.turn() > 0;
            for shard in shards.iter_mut() {
                more |= shard.turn();
                self.letters.extend(shard.letters());
                replies.extend(shard.replies());
            }
            let deadlines = shards.iter().filter_map(|shard| shard.next_deadline());
            let deadline = deadlines.min();
            match more {
                true => {}
                false if io.in_flight() == 0 && deadline.is_none_or(|at| at > 1 << 49) => return,
                false => io.park(deadline),
            }
        }
    }

    /// Lets everything that was held go.
    fn deliver(&mut self) {
        for (to, letter) in std::mem::take(&mut self.letters) {
            self.database.shards[usize::from(to.0)].deliver(letter);
        }
        self.settle();
    }

    fn ask(&mut self, shard: u16, call: Call) -> Option<Reply> {
        let token = self.database.call(shard, call);
        self.settle();
        self.database.replies.remove(&token)
    }

    fn write(&mut self, shard: u16, op: Op, durability: Durability) -> Option<Reply> {
        let ops = vec![op];
        self.ask(shard, Call::Write { ops, durability })
    }

    fn get(&mut self, shard: u16, key: u64) -> Result<Option<u64>> {
        let read = self.get_at(shard, key, None);
        read.expect("a read of the present is answered without letters")
    }

    /// Nothing while it waits.
    fn get_at(&mut self, shard: u16, key: u64, at: Option<Version>) -> Option<Result<Option<u64>>> {
        let key = key.to_be_bytes().into();
        let room = Vec::new();
        let at = at.map(|version| Moment { millis: 0, version });
        match self.ask(shard, Call::Get { key, at, room })? {
            Reply::Value(got) => {
                let number = || u64::from_be_bytes(got.value[..].try_into().expect("a number"));
                Some(Ok(got.found.then(number)))
            }
            Reply::Failed(error) => Some(Err(error)),
            other => panic!("{other:?} is no answer to a get"),
        }
    }

    /// One shard hears that another is gone.
    fn lose(&mut self, shard: usize, peer: u16) {
        let is_lost = |shard: ShardId| shard == ShardId(peer);
        self.database.shards[shard].lose_peers(is_lost, "a drill");
    }

    fn lose_power(&mut self, crash: Crash) {
        self.letters.clear();
        self.database.lose_power(crash);
        self.settle();
        self.deliver();
    }
}

/// Key 1 on shard 0, which decides, and key 2 on shard 1.
fn batch() -> Call {
    let parts = vec![(ShardId(0), vec![put(1, 7)]), (ShardId(1), vec![put(2, 7)])];
    Call::Commit { parts }
}

/// An undecided batch kept old log frames; a power cut took the newest ones, whose changes were in tables; and
/// what was replayed from the old ones lay above them.
#[test]
fn replayed_changes_never_hide_newer_ones_in_tables() {
    let mut held = Held::new();
    held.ask(0, batch());
    held.deliver();
    assert!(!held.letters.is_empty(), "the vote of shard 1 waits");
    let older = held.write(1, put(5, 1), Durability::Sync);
    assert!(matches!(older, Some(Reply::Written(_))), "{older:?}");
    for key in [5, 6, 7] {
        let newer = held.write(1, put(key, 2), Durability::Buffered);
        assert!(matches!(newer, Some(Reply::Written(_))), "{newer:?}");
    }
    let flushed = held.ask(1, Call::Flush);
    assert!(matches!(flushed, Some(Reply::Done)), "{flushed:?}");
    held.lose_power(Crash::LoseAll);
    assert_eq!(held.get(1, 5), Ok(Some(2)), "the flush had made it durable");

    // The frames that were lost had numbers. What is written now must not count as being in tables.
    let newest = held.write(1, put(5, 3), Durability::Sync);
    assert!(matches!(newest, Some(Reply::Written(_))), "{newest:?}");
    held.lose_power(Crash::LoseAll);
    assert_eq!(held.get(1, 5), Ok(Some(3)));
}

/// A write was under way when a batch above it was committed elsewhere, and then its shard failed. To show the
/// batch would show the write, and not to show it would tear the batch.
#[test]
fn a_shard_that_failed_below_a_committed_batch_refuses_to_be_read() {
    let mut held = Held::new();
    let token = held.database.call(0, batch());
    held.settle();
    held.deliver();
    assert!(!held.letters.is_empty(), "the vote of shard 1 waits");
    held.database.disk.stick_next(Doing::Write);
    let local = held.database.call(
        1,
        Call::Write {
            ops: vec![put(5, 1)],
            durability: Durability::Sync,
        },
    );
    held.database.shards[1].turn();
    held.deliver();
    let committed = held.database.replies.remove(&token);
    assert!(
        matches!(committed, Some(Reply::Written(_))),
        "{committed:?}"
    );
    held.deliver();
    held.lose(1, 2);
    held.settle();
    let local = held.database.replies.remove(&local);
    assert!(
        matches!(local, Some(Reply::Failed(Error::Unknown { .. }))),
        "{local:?}"
    );
    for key in [2, 5] {
        let read = held.get(1, key);
        assert!(matches!(read, Err(Error::Unreadable { .. })), "{read:?}");
    }
    assert_eq!(held.get(0, 1), Ok(Some(7)));
    held.lose_power(Crash::LoseAll);
    assert_eq!(held.get(0, 1), Ok(Some(7)));
    assert_eq!(held.get(1, 2), Ok(Some(7)));
}

/// A shard failed for another reason while it waited to hear how a batch had ended. A read at a version beyond the
/// batch was answered without it, and other shards showed it.
#[test]
fn a_failed_shard_does_not_answer_for_a_batch_that_it_has_yet_to_hear_of() {
    let mut held = Held::new();
    let token = held.database.call(0, batch());
    held.settle();
    held.deliver();
    assert!(!held.letters.is_empty(), "the vote of shard 1 waits");
    held.lose(1, 2);
    held.deliver();
    let Some(Reply::Written(written)) = held.database.replies.remove(&token) else {
        panic!("not committed");
    };
    let at = Some(written.version);
    assert_eq!(held.get_at(1, 2, at), None, "the outcome is on its way");
    held.deliver();
    assert_eq!(held.get_at(1, 2, at), Some(Ok(Some(7))));
}

/// The same, and the coordinator is gone: nobody will ever tell.
#[test]
fn a_shard_whose_coordinator_is_gone_refuses_to_read_beyond_the_undecided_batch() {
    let mut held = Held::new();
    held.ask(0, batch());
    held.deliver();
    let before = held.get(1, 2);
    held.lose(1, 0);
    held.settle();
    let read = held.get_at(1, 2, Some(Version(u64::MAX - 1)));
    let refused = matches!(read, Some(Err(Error::Unreadable { .. })));
    assert!(refused, "{read:?}");
    assert_eq!(
        held.get(1, 2),
        before,
        "the present is what was acknowledged"
    );
}

/// A shard voted for a batch of which another participant was gone before its vote: the coordinator waited for that, its caller for the
/// batch, and readers of the first for its outcome.
#[test]
fn a_participant_that_is_gone_has_voted_no() {
    let mut held = Held::new();
    let keys = [(0, 1), (1, 2), (2, 3)];
    let part = |(shard, key)| (ShardId(shard), vec![put(key, 7)]);
    let parts = keys.map(part).to_vec();
    let token = held.database.call(0, Call::Commit { parts });
    held.settle();
    held.letters.retain(|(to, _)| *to != ShardId(1));
    held.deliver();
    assert_eq!(held.letters.len(), 1, "the vote of shard 2 waits");
    held.deliver();
    let at = Some(Version(u64::MAX - 1));
    assert_eq!(held.get_at(2, 3, at), None, "the outcome may come");
    held.lose(0, 1);
    held.lose(2, 1);
    held.settle();
    held.deliver();
    let failed = held.database.replies.remove(&token);
    assert!(
        matches!(failed, Some(Reply::Failed(Error::Failed { .. }))),
        "{failed:?}"
    );
    assert_eq!(held.get_at(2, 3, at), Some(Ok(None)), "it is aborted");
    assert_eq!(held.get(0, 1), Ok(None));
}
