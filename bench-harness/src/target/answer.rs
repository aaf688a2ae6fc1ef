//! What comes back from a target, and the check that it is right.

use crate::workload::OpKind;
use crate::workload::stream::Mix;

/// Why an operation failed, in the target's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure with the text of any error.
    pub fn new(error: impl std::fmt::Display) -> Failure {
        Failure(error.to_string())
    }
}

/// What a pipelined operation returned, owned because the call is long over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// A write was acknowledged.
    #[default]
    Done,
    /// A get.
    Value(Option<Vec<u8>>),
    /// A multi_get, in the order of its keys.
    Values(Vec<Option<Vec<u8>>>),
    /// A scan.
    Entries(Vec<(Vec<u8>, Vec<u8>)>),
}

/// Takes what an operation read: counts it and, when asked to, proves it.
#[derive(Debug, Default)]
pub struct Answer<'a> {
    /// Values or entries returned.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys that were not there.
    pub absent: u64,
    /// Answers that were wrong.
    pub wrong: u64,
    /// What was wrong with the first of them.
    pub first_wrong: Option<String>,
    check: Option<&'a Mix>,
    numbers: Vec<u64>,
    last_key: Vec<u8>,
    reverse: bool,
}

impl<'a> Answer<'a> {
    /// Counts only.
    pub fn counting() -> Answer<'a> {
        Answer::default()
    }

    /// Counts and checks against `mix`.
    pub fn checking(mix: &'a Mix) -> Answer<'a> {
        Answer {
            check: Some(mix),
            ..Answer::default()
        }
    }

    /// Makes ready for an operation on the keys with these numbers.
    #[inline]
    pub fn expect(&mut self, numbers: &[u64], reverse: bool) {
        if self.check.is_some() {
            self.numbers.clear();
            self.numbers.extend_from_slice(numbers);
            self.last_key.clear();
            self.reverse = reverse;
        }
    }

    /// The value of the `i`-th key of the operation.
    #[inline]
    pub fn value(&mut self, i: usize, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.rows += 1;
                self.bytes += value.len() as u64;
            }
            None => self.absent += 1,
        }
        if let Some(mix) = self.check {
            self.check_value(mix, i, value);
        }
    }

    /// The next entry of a scan.
    #[inline]
    pub fn entry(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes += (key.len() + value.len()) as u64;
        if let Some(mix) = self.check {
            self.check_entry(mix, key, value);
        }
    }

    /// Everything in a pipelined operation's reply.
    pub fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Done => {}
            Reply::Value(value) => self.value(0, value.as_deref()),
            Reply::Values(values) => {
                for (i, value) in values.iter().enumerate() {
                    self.value(i, value.as_deref());
                }
            }
            Reply::Entries(entries) => {
                for (key, value) in entries {
                    self.entry(key, value);
                }
            }
        }
    }

    /// Checks that a read of this kind said anything at all.
    pub fn finish(&mut self, kind: OpKind, before: (u64, u64)) {
        if self.check.is_none() {
            return;
        }
        let said = self.rows + self.absent - before.0 - before.1;
        let wanted = match kind {
            OpKind::Get | OpKind::Rmw => 1,
            OpKind::MultiGet => self.numbers.len() as u64,
            _ => return,
        };
        if said != wanted {
            self.note(format!("{}: {said} answers for {wanted} keys", kind.name()));
        }
    }

    fn check_value(&mut self, mix: &Mix, i: usize, value: Option<&[u8]>) {
        let Some(&number) = self.numbers.get(i) else {
            self.note(format!("an answer for key {i} of {}", self.numbers.len()));
            return;
        };
        match value {
            None if mix.must_exist(number) => {
                self.note(format!("key {number} was loaded and is missing"));
            }
            Some(_) if mix.must_be_absent(number) => {
                self.note("a key that was never written has a value".to_string());
            }
            Some(value) => {
                if let Err(message) = mix.values.check(number, value) {
                    self.note(message);
                }
            }
            None => {}
        }
    }

    fn check_entry(&mut self, mix: &Mix, key: &[u8], value: &[u8]) {
        let in_order = self.last_key.is_empty()
            || match self.reverse {
                false => self.last_key.as_slice() < key,
                true => self.last_key.as_slice() > key,
            };
        if !in_order {
            self.note("a scan returned keys out of order".to_string());
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if value.len() < 16 {
            return;
        }
        // The value names its key; the key bytes written from that name must be the ones found.
        let number = u64::from_le_bytes(value[8..16].try_into().expect("eight bytes"));
        if let Err(message) = mix.values.check(number, value) {
            self.note(message);
        } else if !mix.is_key(number, key) {
            self.note(format!(
                "a scan returned the value of key {number} under another key"
            ));
        }
    }

    fn note(&mut self, message: String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert(message);
    }
}
