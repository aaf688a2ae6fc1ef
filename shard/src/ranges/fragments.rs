//! Ranges cut at each other's ends, so that no two overlap.

use std::rc::Rc;

use super::RangeDelete;
use crate::version::Version;

/// A stretch of keys over which the same range deletes lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fragment {
    pub from: Rc<[u8]>,
    /// The first key behind it.
    pub to: Rc<[u8]>,
    /// Newest first.
    versions: Vec<Version>,
}

impl Fragment {
    /// The newest one that a reader at `at` sees; zero where there is none.
    #[inline]
    pub fn newest_up_to(&self, at: Version) -> Version {
        let mut versions = self.versions.iter();
        versions.find(|v| **v <= at).copied().unwrap_or_default()
    }

    /// The versions that somebody who reads at `watermark` or above may see, newest first.
    pub fn needed_from(&self, watermark: Version) -> &[Version] {
        let above = self.versions.iter().take_while(|v| **v > watermark).count();
        &self.versions[..self.versions.len().min(above + 1)]
    }

    fn add(&mut self, version: Version) {
        if let Err(place) = self.versions.binary_search_by(|v| version.cmp(v)) {
            self.versions.insert(place, version);
        }
    }
}

/// In the order of their keys.
#[derive(Clone, Default, Debug)]
pub(super) struct Fragments(Vec<Fragment>);

impl Fragments {
    pub fn iter(&self) -> impl Iterator<Item = &Fragment> {
        self.0.iter()
    }

    pub fn of(&self, key: &[u8]) -> Option<&Fragment> {
        let fragment = self.0.get(self.first_ending_above(key))?;
        (*fragment.from <= *key).then_some(fragment)
    }

    /// Those with a key from `from` on.
    pub fn above(&self, from: &[u8]) -> &[Fragment] {
        &self.0[self.first_ending_above(from)..]
    }

    /// Those with a key from `first` to `last`, both included.
    pub fn touching(&self, first: &[u8], last: &[u8]) -> &[Fragment] {
        let start = self.first_ending_above(first);
        let end = self.0.partition_point(|fragment| *fragment.from <= *last);
        &self.0[start..end.max(start)]
    }

    pub fn add(&mut self, range: &RangeDelete) {
        if range.from >= range.to {
            return;
        }
        self.cut(&range.from);
        self.cut(&range.to);
        let mut place = self.first_ending_above(&range.from);
        let mut from: Rc<[u8]> = (*range.from).into();
        while *from < *range.to {
            match self.0.get_mut(place) {
                Some(fragment) if fragment.from == from => {
                    fragment.add(range.version);
                    from = Rc::clone(&fragment.to);
                }
                next => {
                    let to = match next {
                        Some(fragment) if *fragment.from < *range.to => Rc::clone(&fragment.from),
                        _ => (*range.to).into(),
                    };
                    let gap = Fragment {
                        from,
                        to: Rc::clone(&to),
                        versions: vec![range.version],
                    };
                    self.0.insert(place, gap);
                    from = to;
                }
            }
            place += 1;
        }
    }

    /// No fragment has `key` inside it any more but as its first one.
    fn cut(&mut self, key: &[u8]) {
        let place = self.first_ending_above(key);
        let Some(fragment) = self.0.get_mut(place) else {
            return;
        };
        if *fragment.from < *key {
            let mut behind = fragment.clone();
            behind.from = key.into();
            fragment.to = Rc::clone(&behind.from);
            self.0.insert(place + 1, behind);
        }
    }

    fn first_ending_above(&self, key: &[u8]) -> usize {
        self.0.partition_point(|fragment| *fragment.to <= *key)
    }
}
