//! Waits for several futures of one kind at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::Result;

/// Drives all of them to their end; the first error in their order, if any.
pub(super) async fn join_all<F: Future<Output = Result<()>>>(
    futures: impl IntoIterator<Item = F>,
) -> Result<()> {
    let mut results: Vec<Option<Result<()>>> = Vec::new();
    let mut waiting: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    results.resize_with(waiting.len(), || None);
    poll_fn(|context| {
        for (future, result) in waiting.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *result = Some(done);
            }
        }
        match results.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
