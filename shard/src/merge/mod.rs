//! One ordered stream out of several.

pub(crate) mod heap;
#[cfg(test)]
pub(crate) mod seeded;
