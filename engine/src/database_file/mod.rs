//! The file `database`: who this database is, how many shards it has, and which slots each owns.
//! Written twice in its life: before the shards are made (state creating) and after (ready). Only a
//! database that is ready has ever acknowledged anything.

mod format;
pub(crate) mod fuzz;

use std::path::Path;

use ringkeep_io::{
    Buffer, Completion, Directory, File, Io, IoError, OpenMode, Ticket, WriteDurability,
};

use crate::routing::Routing;
use crate::{Error, Result};

/// The name of the file.
pub(crate) const NAME: &str = "database";

/// Its name until it is whole; left behind by a creation that was cut short.
pub(crate) const NAME_UNFINISHED: &str = "database.new";

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DatabaseFile {
    pub(crate) store: [u8; 16],
    pub(crate) state: State,
    pub(crate) sequence: u64,
    pub(crate) routing: Routing,
}

/// How far the making of the database went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// Shards may be missing or half made; nothing is in them.
    Creating = 1,
    /// Every shard exists.
    Ready = 2,
}

impl State {
    fn from_id(id: u8) -> Option<State> {
        [State::Creating, State::Ready]
            .into_iter()
            .find(|state| *state as u8 == id)
    }
}

/// Reads the file; nothing when there is none. Copies that are damaged or behind are written again.
pub(crate) fn read(io: &Io, directory: &Directory, path: &Path) -> Result<Option<DatabaseFile>> {
    let Some(found) = look(io, directory, path, OpenMode::ReadWrite)? else {
        return Ok(None);
    };
    if !found.everywhere {
        let at = |error| in_file(path, error);
        write_copies(io, &found.file, &found.newest).map_err(at)?;
    }
    Ok(Some(found.newest))
}

/// Reads the file and leaves it as it is.
pub(crate) fn peek(io: &Io, directory: &Directory, path: &Path) -> Result<Option<DatabaseFile>> {
    let found = look(io, directory, path, OpenMode::Read)?;
    Ok(found.map(|found| found.newest))
}

struct Found {
    file: File,
    newest: DatabaseFile,
    /// All copies are it.
    everywhere: bool,
}

/// The newest valid copy counts even if it is the only one: what it refers to, the shards, was
/// durable before it was written.
fn look(io: &Io, directory: &Directory, path: &Path, mode: OpenMode) -> Result<Option<Found>> {
    let at = |error| in_file(path, error);
    let file = match directory.open(NAME, mode) {
        Ok(file) => file,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    // One by one: a sector that cannot be read takes one copy with it.
    let (mut copies, mut unread) = (Vec::new(), None);
    for copy in 0..format::COPIES {
        let offset = (copy * format::COPY_BYTES) as u64;
        let done = wait(
            io,
            io.read(&file, offset, Buffer::zeroed(format::COPY_BYTES)),
        );
        let length = done.result.unwrap_or_else(|error| {
            unread = Some(error);
            0
        });
        copies.push(format::decode(&done.buffer[..length], copy));
    }
    let valid = copies.iter().filter_map(|copy| match copy {
        format::Copy::Valid(file) => Some(file),
        _ => None,
    });
    let Some(newest) = valid.max_by_key(|file| file.sequence).cloned() else {
        return Err(match unread {
            // What could not be read may be whole: nobody shall restore a backup over it.
            Some(error) => at(error),
            None => refusal(path, &copies),
        });
    };
    let everywhere = copies
        .iter()
        .all(|copy| *copy == format::Copy::Valid(newest.clone()));
    Ok(Some(Found {
        file,
        newest,
        everywhere,
    }))
}

/// Makes the file, durable under its name before this returns.
pub(crate) fn create(
    io: &Io,
    directory: &Directory,
    path: &Path,
    contents: &DatabaseFile,
) -> Result<()> {
    let create = || {
        match directory.remove(NAME_UNFINISHED) {
            Err(error) if !error.is_missing() => return Err(error),
            _ => {}
        }
        let file = directory.open(NAME_UNFINISHED, OpenMode::CreateNew)?;
        write_copies(io, &file, contents)?;
        directory.rename(NAME_UNFINISHED, NAME)?;
        directory.sync()
    };
    create().map_err(|error| in_file(path, error))
}

/// Replaces what an existing file says.
pub(crate) fn replace(
    io: &Io,
    directory: &Directory,
    path: &Path,
    contents: &DatabaseFile,
) -> Result<()> {
    let replace = || {
        let file = directory.open(NAME, OpenMode::ReadWrite)?;
        write_copies(io, &file, contents)
    };
    replace().map_err(|error| in_file(path, error))
}

/// Two copies, a sync, the other two, a sync: at any instant two copies are whole.
fn write_copies(io: &Io, file: &File, contents: &DatabaseFile) -> ringkeep_io::Result<()> {
    for half in [[0, 2], [1, 3]] {
        for copy in half {
            let mut buffer = Buffer::zeroed(format::COPY_BYTES);
            format::encode(contents, copy, &mut buffer);
            let at = (copy * format::COPY_BYTES) as u64;
            let ticket = io.write(
                file,
                at,
                buffer,
                format::COPY_BYTES,
                WriteDurability::Cached,
            );
            wait(io, ticket).result?;
        }
        wait(io, io.sync(file)).result?;
    }
    Ok(())
}

fn refusal(path: &Path, copies: &[format::Copy]) -> Error {
    let path = path.join(NAME);
    let count = |wanted: &format::Copy| copies.iter().filter(|copy| *copy == wanted).count();
    for copy in copies {
        match copy {
            // One copy alone could be a flipped bit in the version.
            format::Copy::Version(found) if count(copy) >= 2 => {
                return Error::Version {
                    path,
                    found: *found,
                    supported: format::VERSION,
                };
            }
            _ => {}
        }
    }
    let detail = match &copies[0] {
        format::Copy::Damaged(detail) => format!("all four copies; of the first, {detail}"),
        _ => "all four copies, each in another way".to_owned(),
    };
    Error::Corrupt { path, detail }
}

fn in_file(path: &Path, error: IoError) -> Error {
    Error::Io {
        path: path.join(NAME),
        error,
    }
}

/// Waits for one operation; only while a database is opened.
fn wait(io: &Io, mut ticket: Ticket) -> Completion {
    loop {
        if let Some(completion) = ticket.try_take() {
            return completion;
        }
        if io.turn() == 0 && !ticket.is_done() {
            io.park(None);
        }
    }
}
