//! What is left of a damaged database, as a new one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ringkeep_io::{Directory, Io};
use ringkeep_shard::salvage::{Remains, identify};
use ringkeep_shard::{Call, Damage, Durability, Error as ShardError, Identity, ShardId};

use crate::expiry::put_until;
use crate::host::{folder, root};
use crate::lock::Lock;
use crate::place::Place;
use crate::verify::tell;
use crate::{Batch, Database, Error, Options, Result, database_file, error};

/// A batch of so many bytes is written at once.
const BATCH_BYTES: usize = 1 << 20;

/// What a salvage kept, and what it could not. `Display` tells it to people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvage {
    /// Keys in the new database.
    pub keys: u64,
    /// Bytes of these keys and their values.
    pub bytes: u64,
    /// What could not be read, shard by shard.
    pub damages: Vec<(ShardId, Damage)>,
    /// What else one has to know before using the new database.
    pub notes: Vec<String>,
}

/// How far a salvage is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SalvageProgress {
    /// The shard being read.
    pub shard: ShardId,
    /// Of so many.
    pub shards: u16,
    /// Keys kept so far.
    pub keys: u64,
    /// Bytes kept so far.
    pub bytes: u64,
}

/// Reads all that can be read of the database in `from`, which nobody may have open, and writes it to a new database
/// in `to`, made with `options`. Of each key the newest value that is left is kept. `from` is not changed.
///
/// Where nothing is damaged the result is what opening would show. Otherwise it says what is missing, and which keys may
/// show an older value or be gone. The logs of all shards are held in memory.
///
/// ```
/// # fn main() -> ringkeep::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("ringkeep-salvage-{}", std::process::id()));
/// # std::fs::create_dir(&folder).unwrap();
/// # let (damaged, new) = (folder.join("damaged"), folder.join("new"));
/// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
/// # let db = ringkeep::Database::open(&damaged, options.clone())?;
/// # db.put("hello", "world")?;
/// # db.close()?;
/// let found = ringkeep::salvage(damaged, &new, options.clone(), |so_far| {
///     eprintln!("shard {} of {}: {} keys", so_far.shard, so_far.shards, so_far.keys);
/// })?;
/// println!("{found}");
/// assert_eq!(found.keys, 1);
/// # assert!(ringkeep::Database::open(&new, options)?.get("hello")?.is_some());
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok(())
/// # }
/// ```
pub fn salvage(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: Options,
    mut progress: impl FnMut(&SalvageProgress),
) -> Result<Salvage> {
    let options = options.validated()?;
    let place = Place::find(from.as_ref(), false)?;
    let lock = Lock::take(&place)?;
    let io = Io::open(&options.io(1)).map_err(|error| Error::Io {
        path: place.path.clone(),
        error,
    })?;
    let source = Source::read(&io, &place.path)?;
    if to.as_ref().join(database_file::NAME).exists() {
        return Err(Error::Option {
            name: "to",
            detail: "there is a database already; name a folder that does not exist".into(),
        });
    }
    let new = Options {
        create_if_missing: true,
        ..options
    };
    let db = Database::open(to, new)?;
    let mut kept = source.keep(&io, &db, &mut progress)?;
    db.flush()?;
    db.close()?;
    kept.notes.sort();
    drop(io);
    lock.release();
    Ok(kept)
}

/// The remains of all shards.
struct Source {
    shards: u16,
    remains: Vec<(ShardId, Directory, Remains)>,
    found: Salvage,
}

/// Why the keeping of keys stops.
enum Stop {
    Reading(ShardError),
    Writing(Error),
}

impl From<ShardError> for Stop {
    fn from(error: ShardError) -> Stop {
        Stop::Reading(error)
    }
}

impl Source {
    fn read(io: &Io, path: &Path) -> Result<Source> {
        let top = root(io, path)?;
        let mut found = Salvage::default();
        let (store, shards) = match database_file::peek(io, &top, path) {
            Ok(Some(file)) => (file.store, file.routing.shards),
            Ok(None) | Err(Error::Corrupt { .. }) => {
                let Some(identity) = any_identity(io, &top, path)? else {
                    return Err(Error::Corrupt {
                        path: path.join(database_file::NAME),
                        detail:
                            "and no superblock of a shard is left: nothing says whose the files are"
                                .into(),
                    });
                };
                let note = "the file `database` is lost: a shard's superblock stood in for it";
                found.notes.push(note.into());
                (identity.store, identity.shards)
            }
            Err(error) => return Err(error),
        };
        let mut remains = Vec::new();
        for shard in (0..shards).map(ShardId) {
            let directory = match top.directory(&folder(shard)) {
                Ok(directory) => directory,
                Err(error) => {
                    let note = format!("shard {shard} is lost, with all its keys: {error}");
                    found.notes.push(note);
                    continue;
                }
            };
            let identity = Identity {
                store,
                shard,
                shards,
            };
            let left = Remains::read(io, &directory, &identity)
                .map_err(|error| error::of_shard(shard, error))?;
            remains.push((shard, directory, left));
        }
        Ok(Source {
            shards,
            remains,
            found,
        })
    }

    fn keep(
        self,
        io: &Io,
        db: &Database,
        progress: &mut impl FnMut(&SalvageProgress),
    ) -> Result<Salvage> {
        let mut found = self.found;
        let all = self.remains.iter();
        let decided: BTreeMap<_, _> = all.flat_map(|(.., left)| left.decisions()).collect();
        for (shard, directory, left) in self.remains {
            let mut batch = Batch::new();
            let (keys, bytes) = (&mut found.keys, &mut found.bytes);
            let mut tell = |keys, bytes| {
                progress(&SalvageProgress {
                    shard,
                    shards: self.shards,
                    keys,
                    bytes,
                });
            };
            let mut keep = |key: &[u8], value: &[u8], until: Option<u64>| {
                batch.push(put_until(key, value, until.unwrap_or(u64::MAX)));
                *keys += 1;
                *bytes += (key.len() + value.len()) as u64;
                if batch.bytes() >= BATCH_BYTES {
                    write(db, std::mem::take(&mut batch)).map_err(Stop::Writing)?;
                    tell(*keys, *bytes);
                }
                Ok(())
            };
            let salvaged =
                left.keep(io, &directory, &decided, &mut keep)
                    .map_err(|stop| match stop {
                        Stop::Reading(error) => error::of_shard(shard, error),
                        Stop::Writing(error) => error,
                    })?;
            write(db, batch)?;
            tell(found.keys, found.bytes);
            let damages = salvaged.damages.into_iter();
            found.damages.extend(damages.map(|damage| (shard, damage)));
            let notes = salvaged.notes.into_iter();
            found
                .notes
                .extend(notes.map(|note| format!("shard {shard}: {note}")));
        }
        Ok(found)
    }
}

/// Whose database this is, by the first shard that says so.
fn any_identity(io: &Io, top: &Directory, path: &Path) -> Result<Option<Identity>> {
    let names = top.list().map_err(|error| in_folder(path, error))?;
    let shards = names.iter().filter(|name| name.starts_with("shard-"));
    let directories = shards.filter_map(|name| top.directory(name).ok());
    Ok(directories
        .filter_map(|directory| identify(io, &directory))
        .next())
}

/// Each shard's part by itself: what is salvaged need not be there all at once.
fn write(db: &Database, batch: Batch) -> Result<()> {
    let shards = &db.inner().shards;
    let durability = Durability::Buffered;
    for (shard, ops) in batch.split(&shards.routing, &db.inner().pins)? {
        shards.ask(shard, Call::Write { ops, durability })?;
    }
    Ok(())
}

fn in_folder(path: &Path, error: ringkeep_io::IoError) -> Error {
    Error::Io {
        path: path.into(),
        error,
    }
}

impl fmt::Display for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys ({} bytes) kept", self.keys, self.bytes)?;
        match self.damages.len() + self.notes.len() {
            0 => f.write_str("; nothing is missing")?,
            _ => f.write_str("; what is missing or doubtful:")?,
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        self.damages
            .iter()
            .try_for_each(|(shard, damage)| tell(f, *shard, damage))
    }
}
