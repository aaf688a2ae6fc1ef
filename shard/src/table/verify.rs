//! Every block of a table, read from the device and compared with its checksum.

use std::rc::Rc;

use ringkeep_io::PAGE;

use super::open_table::{block_buffer, read_part};
use super::{Block, BlockHandle, BlockReader, Section, Table};
use crate::error::Result;
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
                        block.await?;
                        after = to;
                    }
                }
                after = to;
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
