//! Values of a page of a scan that are in blob files: read beside each other while the page fills.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;

use ringkeep_io::Buffer;

use super::{BlobFile, BlobRef};
use crate::core::Core;
use crate::error::Result;
use crate::scan_page::ScanPage;
use crate::token::Token;

/// Values on their way. More would wait for each other on the device.
const IN_FLIGHT_MAX: usize = 8;

/// What is being read for one page.
#[derive(Default)]
pub(crate) struct Fetches(VecDeque<Fetch>);

struct Fetch {
    file: Rc<BlobFile>,
    reference: BlobRef,
    reading: Pin<Box<dyn Future<Output = Result<Buffer>>>>,
    /// Which entry of the page has room for it.
    entry: usize,
}

impl Fetches {
    /// Fills the last entry of the page, now or soon.
    pub async fn add<T: Token>(
        &mut self,
        core: &Core<T>,
        reference: &BlobRef,
        page: &mut ScanPage,
    ) -> Result<()> {
        let entry = page.len() - 1;
        let (table, handle) = reference.place();
        let cached = core.cache.borrow().get(table, handle);
        if let Some(block) = cached.filter(|block| block.handle() == handle) {
            page.fill(entry, block.blob(reference.length()));
            return Ok(());
        }
        let file = core.blobs.get(reference.file())?;
        let reading = Box::pin(file.read(&core.io, reference));
        self.0.push_back(Fetch {
            file,
            reference: *reference,
            reading,
            entry,
        });
        self.finish(page, IN_FLIGHT_MAX).await
    }

    /// Waits until no more than `most` are on their way.
    pub async fn finish(&mut self, page: &mut ScanPage, most: usize) -> Result<()> {
        while self.0.len() > most
            && let Some(fetch) = self.0.pop_front()
        {
            let stored = fetch.reading.await?;
            let value = fetch.file.value(&fetch.reference, stored)?;
            page.fill(fetch.entry, &value[..fetch.reference.length()]);
        }
        Ok(())
    }
}
