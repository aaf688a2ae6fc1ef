//! Every block of a table, read from the device and compared with its checksum.

use std::rc::Rc;

use ringkeep_io::PAGE;

use super::open_table::{block_buffer, read_part};
use super::{Block, BlockHandle, BlockReader, Section, Table};
use crate::blob::blob_name;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::token::Token;
use crate::verify::{Inspection, KeysAtRisk};

impl Table {
    /// Damage in one block hides no other. The top indexes are in memory.
    pub async fn verify_blocks<T: Token>(&self, inspection: &mut Inspection<'_, T>) -> Result<()> {
        self.verify_section(Section::Present, inspection).await?;
        self.verify_section(Section::Past, inspection).await
    }

    async fn verify_section<T: Token>(
        &self,
        section: Section,
        inspection: &mut Inspection<'_, T>,
    ) -> Result<()> {
        let mut reader = BlockReader::sequential(inspection.io().clone());
        let mut after = Box::default();
        for top in self.top(section) {
            for index in 0..top.count() {
                let to = top.key(index);
                let handle = top.handle_at(index);
                let read = reader.load(self, handle).await;
                let partition = self.verify_block(read, handle, &after, &to, inspection);
                if let Some(partition) = partition.await? {
                    for index in 0..partition.count() {
                        let (handle, to) = (partition.handle_at(index), partition.key(index));
                        let read = reader.load_listed(self, &partition, index).await;
                        let block = self.verify_block(read, handle, &after, &to, inspection);
                        if let Some(block) = block.await? {
                            self.verify_blobs(&block, &after, inspection).await?;
                        }
                        after = to;
                    }
                }
                after = to;
            }
        }
        Ok(())
    }

    /// What the entries of a block, whose keys are those above `after`, refer to.
    async fn verify_blobs<T: Token>(
        &self,
        block: &Block,
        after: &[u8],
        inspection: &mut Inspection<'_, T>,
    ) -> Result<()> {
        for index in 0..block.count() {
            let Content::Elsewhere(_, reference) = block.content(index) else {
                continue;
            };
            let mut held = self.blobs().iter();
            let read = match held.find(|file| file.id == reference.file()) {
                Some(file) => match file.read(inspection.io(), reference).await {
                    Ok(stored) => file.value(reference, stored).map(drop),
                    Err(error) => Err(error),
                },
                None => Err(Error::Missing {
                    file: blob_name(reference.file()),
                }),
            };
            inspection.took(reference.file_bytes()).await?;
            if let Err(error) = read {
                let before = index.checked_sub(1).map(|before| block.key(before));
                let (after, to) = (before.unwrap_or(after.into()), block.key(index));
                let keys = KeysAtRisk::Between { after, to };
                inspection.damage_at(error, reference.offset(), keys);
            }
        }
        Ok(())
    }

    /// The block that was read, if it is whole. Its keys are those above `after`, up to `to`.
    async fn verify_block<T: Token>(
        &self,
        mut read: Result<Rc<Block>>,
        handle: BlockHandle,
        after: &[u8],
        to: &[u8],
        inspection: &mut Inspection<'_, T>,
    ) -> Result<Option<Rc<Block>>> {
        if read.is_err() {
            // By itself: an error may be of a neighbour that was read along with it.
            let buffer = block_buffer(inspection.io(), handle.pages as usize);
            let (file, name) = (self.file(), self.name());
            let alone = read_part(inspection.io(), file, name, handle, buffer).await;
            let decoded = alone.and_then(|buffer| self.decode_block(handle, buffer));
            read = decoded.map(Rc::new);
        }
        inspection
            .took(u64::from(handle.pages) * PAGE as u64)
            .await?;
        match read {
            Ok(block) => Ok(Some(block)),
            Err(error) => {
                let (after, to) = (after.into(), to.into());
                let offset = u64::from(handle.page) * PAGE as u64;
                inspection.damage_at(error, offset, KeysAtRisk::Between { after, to });
                Ok(None)
            }
        }
    }
}
