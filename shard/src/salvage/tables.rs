//! Blocks, wherever they lie in table files, and of every key the newest version that is left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ringkeep_io::{Buffer, Directory, File, Io, OpenMode, PAGE};

use super::blobs::BlobFiles;
use super::{Keep, Remains, Salvaged};
use crate::content::Content;
use crate::error::{Error, Result};
use crate::ranges::{Ranges, hides};
use crate::table::{Block, Part, Section, TableId};
use crate::table_set::{table_name, table_number};
use crate::verify::{Damage, KeysAtRisk};
use crate::version::Version;

/// The entries of a section of one table file in order, as far as they can be read.
struct Remnant {
    section: Section,
    io: Io,
    file: File,
    name: String,
    id: TableId,
    pages: u32,
    /// Entries below this key do not count.
    from: Box<[u8]>,
    /// The page behind the current block.
    next_page: u32,
    block: Option<Block>,
    at: usize,
    /// The last key seen, and where pages behind it could not be used.
    last_key: Box<[u8]>,
    lost: Option<(u32, String)>,
    damages: Vec<Damage>,
}

impl Remains {
    pub(super) async fn keep_newest<E: From<Error>>(
        self,
        io: &Io,
        directory: &Directory,
        keep: &mut Keep<'_, E>,
    ) -> std::result::Result<Salvaged, E> {
        let mut found = self.found.clone();
        let mut remnants = self.remnants(io, directory, &mut found)?;
        // The least key first, of one key the newest version.
        let mut heap = BinaryHeap::new();
        for (index, remnant) in remnants.iter_mut().enumerate() {
            remnant.advance().await?;
            heap.extend(remnant.head(index));
        }
        let blobs = BlobFiles::new(io, directory);
        let ranges = Ranges::of(&self.ranges);
        let mut changes = self.changes.into_iter().peekable();
        let mut last: Option<Box<[u8]>> = None;
        loop {
            let logged = changes
                .peek()
                .map(|((key, Reverse(version)), _)| (key, *version));
            let tabled = heap
                .peek()
                .map(|Reverse((key, Reverse(version), _))| (key, *version));
            let from_log = match (logged, tabled) {
                (None, None) => break,
                (Some((key, version)), Some((other, than))) => {
                    (key, Reverse(version)) <= (other, Reverse(than))
                }
                (logged, _) => logged.is_some(),
            };
            let (op, version) = if from_log {
                let ((_, Reverse(version)), op) = changes.next().expect("just looked at");
                (op, version)
            } else {
                let Reverse((key, Reverse(version), index)) = heap.pop().expect("just looked at");
                let op = blobs.op(&key, remnants[index].content()).await;
                remnants[index].advance().await?;
                let head = remnants[index].head(index);
                heap.extend(head);
                match op {
                    Ok(op) => (op, version),
                    // Perhaps an older one is left.
                    Err(error) => {
                        let after = last.clone().unwrap_or_default();
                        let keys = KeysAtRisk::Between { after, to: key };
                        found.damages.push(Damage::of(error, 0, keys));
                        continue;
                    }
                }
            };
            if last.as_deref() == Some(op.key()) {
                continue;
            }
            let is_removed = hides(ranges.newest_over(op.key()), version);
            if let Some(value) = op.value().filter(|_| !is_removed) {
                keep(op.key(), value, op.until())?;
                found.keys += 1;
            }
            last = Some(op.key().into());
        }
        let damages = remnants.into_iter().flat_map(|remnant| remnant.damages);
        found.damages.extend(damages);
        Ok(found)
    }

    /// The tables that count: those of the manifest, or every one there is.
    fn remnants(
        &self,
        io: &Io,
        directory: &Directory,
        found: &mut Salvaged,
    ) -> Result<Vec<Remnant>> {
        let tables: Vec<(TableId, Box<[u8]>)> = match &self.manifest {
            Some(manifest) => {
                let runs = manifest.runs.iter();
                let tables = runs.flat_map(|run| {
                    let tables = run.tables.iter();
                    tables.map(|table| (table.id, run.from.clone()))
                });
                tables.collect()
            }
            None => {
                let names = directory
                    .list()
                    .map_err(|e| Error::io(e, "the shard's directory"))?;
                let numbers = names.iter().filter_map(|name| table_number(name));
                numbers
                    .map(|number| (TableId(number), Box::default()))
                    .collect()
            }
        };
        let mut remnants = Vec::new();
        for (id, from) in tables {
            let name = table_name(id);
            let opened = directory.open(&name, OpenMode::Read);
            match opened.and_then(|file| Ok((file.size()?, file))) {
                // Older versions stand in for newer ones that are lost.
                Ok((bytes, file)) => {
                    remnants.extend([Section::Present, Section::Past].map(|section| Remnant {
                        section,
                        io: io.clone(),
                        file: file.clone(),
                        name: name.clone(),
                        id,
                        pages: (bytes / PAGE as u64) as u32,
                        from: from.clone(),
                        next_page: 0,
                        block: None,
                        at: 0,
                        last_key: Box::default(),
                        lost: None,
                        damages: Vec::new(),
                    }))
                }
                Err(error) => found.damages.push(Damage {
                    file: name,
                    offset: 0,
                    detail: format!("it cannot be read: {error}"),
                    keys: KeysAtRisk::Any,
                }),
            }
        }
        Ok(remnants)
    }
}

type Head = Reverse<(Box<[u8]>, Reverse<Version>, usize)>;

impl Remnant {
    /// The current entry, for the heap.
    fn head(&self, index: usize) -> Option<Head> {
        let block = self.block.as_ref()?;
        let (key, version) = (block.key(self.at), block.version(self.at));
        Some(Reverse((key, Reverse(version), index)))
    }

    fn content(&self) -> Content<'_> {
        let block = self.block.as_ref();
        block.map_or(Content::Removed, |block| block.content(self.at))
    }

    /// To the next entry that counts.
    async fn advance(&mut self) -> Result<()> {
        loop {
            match &self.block {
                Some(block) if self.at + 1 < block.count() => self.at += 1,
                _ => {
                    self.block = self.next_block().await?;
                    self.at = 0;
                }
            }
            let Some(block) = &self.block else {
                return Ok(());
            };
            let key = block.key(self.at);
            if let Some((page, detail)) = self.lost.take() {
                self.report(page, detail, Some(key.clone()));
            }
            let counts = *key >= *self.from;
            self.last_key = key;
            if counts {
                return Ok(());
            }
        }
    }

    /// The next data block that is whole.
    async fn next_block(&mut self) -> Result<Option<Block>> {
        while self.next_page < self.pages {
            let page = self.next_page;
            match self.part(page).await {
                Ok((part, buffer)) => {
                    self.next_page += part.handle.pages;
                    let kind = part.handle.kind;
                    if !kind.is_data() {
                        continue;
                    }
                    match part.into_block(buffer, self.pages) {
                        Ok(block) if kind == self.section.data() => return Ok(Some(block)),
                        Ok(_) => {}
                        // Its page count may be what is damaged.
                        Err(detail) => {
                            self.next_page = page + 1;
                            self.lost.get_or_insert((page, detail));
                        }
                    }
                }
                Err(detail) => {
                    self.next_page = page + 1;
                    self.lost.get_or_insert((page, detail));
                }
            }
        }
        if let Some((page, detail)) = self.lost.take() {
            self.report(page, detail, None);
        }
        Ok(None)
    }

    /// What begins at a page, whole pages of it; or what is wrong there.
    async fn part(&self, page: u32) -> std::result::Result<(Part, Buffer), String> {
        let first = self.read(page, 1).await?;
        let part = Part::at(&first, page, self.id).ok_or("nothing whole begins here")?;
        if part.handle.pages == 0 || part.handle.pages > self.pages - page {
            return Err("longer than the file".into());
        }
        let buffer = match part.handle.pages {
            1 => first,
            // Only data is of use.
            _ if !part.handle.kind.is_data() => first,
            pages => self.read(page, pages).await?,
        };
        Ok((part, buffer))
    }

    async fn read(&self, page: u32, pages: u32) -> std::result::Result<Buffer, String> {
        let (offset, bytes) = (u64::from(page) * PAGE as u64, pages as usize * PAGE);
        let done = self
            .io
            .read(&self.file, offset, Buffer::zeroed(bytes))
            .await;
        match done.result {
            Ok(read) if read == bytes => Ok(done.buffer),
            Ok(_) => Err("the file ends here".into()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }

    /// Of the past nothing is asked for but what the present has lost, which says so itself.
    fn report(&mut self, page: u32, detail: String, before: Option<Box<[u8]>>) {
        if self.section == Section::Past {
            return;
        }
        let after = self.last_key.clone();
        self.damages.push(Damage {
            file: self.name.clone(),
            offset: u64::from(page) * PAGE as u64,
            detail,
            keys: match before {
                Some(to) => KeysAtRisk::Between { after, to },
                None => KeysAtRisk::Any,
            },
        });
    }
}
