//! Names: directories of files and directories.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{MemoryFile, Space};
use crate::directory::is_plain;
use crate::file::failed;
use crate::{Doing, OpenMode, Result};

#[derive(Clone, Debug)]
pub(crate) struct MemoryDirectory {
    space: Arc<Space>,
    names: Arc<Mutex<BTreeMap<String, Node>>>,
}

#[derive(Debug)]
enum Node {
    File(Arc<MemoryFile>),
    Directory(MemoryDirectory),
}

impl MemoryDirectory {
    pub fn new(space: Arc<Space>) -> MemoryDirectory {
        MemoryDirectory {
            space,
            names: Arc::default(),
        }
    }

    pub fn space(&self) -> &Space {
        &self.space
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory at a path below this one, made when missing.
    pub fn find(&self, path: &Path) -> Result<MemoryDirectory> {
        let mut found = self.clone();
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let name = name.to_string_lossy();
            found = match found.create_directory(&name) {
                Err(error) if error.errno != libc::EEXIST => return Err(error),
                _ => found.directory(&name)?,
            };
        }
        Ok(found)
    }

    pub fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<MemoryFile>> {
        let name = plain(name, Doing::Open)?;
        let mut names = self.names();
        let errno = match (names.get(name), mode) {
            (Some(Node::Directory(_)), _) => libc::EISDIR,
            (Some(Node::File(_)), OpenMode::CreateNew) => libc::EEXIST,
            (Some(Node::File(file)), _) => return Ok(Arc::clone(file)),
            (None, OpenMode::CreateNew) => {
                let file = Arc::new(MemoryFile::new(Arc::clone(&self.space)));
                names.insert(name.to_owned(), Node::File(Arc::clone(&file)));
                return Ok(file);
            }
            (None, _) => libc::ENOENT,
        };
        Err(failed(Doing::Open)(errno))
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        let name = plain(name, Doing::Remove)?;
        let mut names = self.names();
        let errno = match names.get(name) {
            Some(Node::File(_)) => {
                names.remove(name);
                return Ok(());
            }
            Some(Node::Directory(_)) => libc::EISDIR,
            None => libc::ENOENT,
        };
        Err(failed(Doing::Remove)(errno))
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (plain(from, Doing::Rename)?, plain(to, Doing::Rename)?);
        let mut names = self.names();
        let node = names.remove(from).ok_or(libc::ENOENT);
        names.insert(to.to_owned(), node.map_err(failed(Doing::Rename))?);
        Ok(())
    }

    pub fn list(&self) -> Vec<String> {
        self.names().keys().cloned().collect()
    }

    pub fn create_directory(&self, name: &str) -> Result<()> {
        let name = plain(name, Doing::Create)?;
        let mut names = self.names();
        if names.contains_key(name) {
            return Err(failed(Doing::Create)(libc::EEXIST));
        }
        let directory = MemoryDirectory::new(Arc::clone(&self.space));
        names.insert(name.to_owned(), Node::Directory(directory));
        Ok(())
    }

    pub fn directory(&self, name: &str) -> Result<MemoryDirectory> {
        let name = plain(name, Doing::Open)?;
        let errno = match self.names().get(name) {
            Some(Node::Directory(directory)) => return Ok(directory.clone()),
            Some(Node::File(_)) => libc::ENOTDIR,
            None => libc::ENOENT,
        };
        Err(failed(Doing::Open)(errno))
    }

    pub fn free_bytes(&self) -> u64 {
        self.space.free_bytes()
    }
}

fn plain(name: &str, doing: Doing) -> Result<&str> {
    match is_plain(name) && !name.contains('\0') {
        true => Ok(name),
        false => Err(failed(doing)(libc::EINVAL)),
    }
}
