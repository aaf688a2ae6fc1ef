//! Waits for several futures of one kind at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::Result;

/// Drives all of them to their end; what they came to, or the first error, in their order.
pub(crate) async fn join_all<R, F: Future<Output = Result<R>>>(
    futures: impl IntoIterator<Item = F>,
) -> Result<Vec<R>> {
    let mut results: Vec<Option<Result<R>>> = Vec::new();
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
