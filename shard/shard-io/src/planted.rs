//! Mistakes that can be switched on, one at a time, to see whether the tests notice. Only with the feature
//! `planted`, which the simulator's alarm test asks for; without it [`planted`] is a constant and nothing of
//! this is in the program.

macro_rules! defects {
    ($($(#[doc = $story:literal])+ $name:ident,)*) => {
        /// A mistake, with its story.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum Defect { $($(#[doc = $story])+ $name,)* }

        impl Defect {
            /// Every mistake that can be planted.
            pub const ALL: &[Defect] = &[$(Defect::$name),*];

            /// What it does.
            pub fn story(self) -> &'static str {
                match self { $(Defect::$name => concat!($($story),+).trim_ascii(),)* }
            }
        }
    };
}

defects! {
    // The log.
    /// A log write that should carry its own durability does not.
    DurableWriteIsNot,
    /// A durable frame is written right behind plain ones, without the sync between.
    DurableBehindPlain,
    /// A sync of the log counts for frames that were still in flight.
    SyncCoversFlights,
    /// A failed sync of the log is taken for a good one.
    FailedSyncIgnored,
    /// A failed log write is taken for a good one.
    FailedWriteIgnored,
    /// The last record of a group of several is not in its frame.
    LastRecordDropped,
    /// A buffer is filled anew while the device still reads the old write from it.
    BufferReusedInFlight,
    /// A flush frees log segments before its tables are durable.
    LogFreedEarly,
    /// An idle log is emptied although the outcome of a batch is not known everywhere.
    LogEmptiedEarly,
    /// Log segments are removed before the manifest that does not count them is durable.
    SegmentsRemovedEarly,
    /// The directory entry of a new log segment is not synced.
    SegmentNameNotSynced,

    // Its tail.
    /// A write is answered without having been put in the log's tail.
    TailNotWritten,
    /// Room in the log's tail is used again before the log has what was there.
    TailUsedAgainEarly,
    /// An opening takes up what the log's tail has behind a gap.
    TailGapIgnored,
    /// What an opening has taken from the log's tail is not put in the log.
    TailNotRestored,
    /// What an opening has taken from the log's tail goes behind the log's last frame, although the log went on elsewhere.
    TailPutElsewhere,
    /// After a close the log's epochs begin anew, and older entries of the tail come between those that count.
    TailEpochsComeAgain,
    /// The last frame that an opening puts back from the log's tail does not say that it is the last.
    TailEndForgotten,
    /// What had landed in later segments is not forgotten when an opening puts frames of the same numbers back.
    CutNotForgotten,
    /// A write is answered from the log's tail while a closing frame is in flight, which is in no tail.
    TailBehindClosing,
    /// Writes that were answered from the log's tail become a table before the log has them.
    TailFlushedEarly,

    // Answers.
    /// A write is answered when it is submitted.
    AnsweredBeforeWritten,
    /// A synced write is answered when it is written.
    AnsweredBeforeDurable,
    /// A group is answered before the one in front of it.
    AnsweredOutOfOrder,
    /// Reads see a group as soon as it is in the memtable.
    VisibleBeforeAnswered,
    /// Dropping the last handle does not sync what was answered.
    DropWithoutSync,
    /// A shard that has failed, or whose disk is full, ends without a sync of what was answered.
    PromisesForgotten,
    /// A closing waits for ever for room that the disk does not have.
    RoomAwaited,
    /// What waits for room in the log asks for it again at each turn.
    RoomAskedAgain,

    // Recovery.
    /// A new incarnation writes with the epoch and the segment numbers of the old one.
    EpochNotRaised,
    /// A frame counts by its sequence alone: the tail that a recycled segment kept is replayed.
    StaleTailAccepted,
    /// What later frames say of durable ones is not looked at: damage is cut as a torn tail.
    WatermarkIgnored,
    /// A log frame's payload is not compared with its checksum.
    FrameChecksumSkipped,
    /// What was replayed is not synced before the manifest builds on it.
    ReplayNotSynced,
    /// The clock begins again below what was recovered.
    VersionsReused,
    /// Frames whose changes are in tables are replayed above them.
    TablesReplayed,
    /// Files that the manifest does not name stay.
    OrphansKept,

    // Superblock and manifest.
    /// One copy of the superblock is written instead of four.
    SuperblockOneCopy,
    /// The superblock is switched before the manifest is durable.
    ManifestNotSynced,
    /// The manifest is not compared with its checksum.
    ManifestChecksumSkipped,
    /// A flushed run is listed as the oldest instead of the newest.
    ManifestOrder,
    /// Opening leaves copies of the superblock behind that a power cut between the halves left behind.
    SuperblockLeftHalf,
    /// After a failed superblock write the next edit goes on.
    FailedSuperblockRetried,

    // Tables, merges, caches.
    /// A table is named before it is synced.
    TableNotSynced,
    /// A table's directory entry is not synced.
    TableNameNotSynced,
    /// A table's block is not compared with its checksum.
    BlockChecksumSkipped,
    /// A merge keeps the version before the one that it should keep.
    OldVersionKept,
    /// A merge drops removals that older runs below still need.
    RemovalDroppedEarly,
    /// A merge does not ask which versions are still read.
    PinForgotten,
    /// A merge asks for the oldest version that is still read, and for no other.
    YoungerPinForgotten,
    /// The inputs of a merge are removed before the manifest stops naming them.
    InputsRemovedEarly,
    /// A filter says no to one in sixty keys that are there.
    FilterFalseNegative,
    /// A cached block is served for another table, as after the reuse of a file's number.
    StaleCacheLine,
    /// A merge does not ask how much of the past is to be kept.
    RetentionForgotten,
    /// A get of the past finds nothing where a table's newest version of the key is too new.
    PastNotRead,
    /// A scan of the past and a merge see of each table the newest versions only.
    PastLeftOut,
    /// A multi-get that must fetch some blocks reads them at a later instant.
    MultiGetTwoInstants,

    // Blob files.
    /// A table is named before the blob file that it refers to is synced.
    BlobsNotSynced,
    /// A value of a blob file is not compared with its checksum.
    BlobChecksumSkipped,
    /// A blob file is removed with the first table that referred to it, whoever else does.
    BlobRemovedEarly,
    /// Merges pass references on to whatever is left of a blob file.
    BlobNeverCollected,

    // Values that end.
    /// A merge drops what has ended although older runs below still need it hidden.
    EndedDroppedEarly,
    /// A merge drops what has ended at present, whoever still reads at an earlier time.
    EndedForReaders,
    /// Reads at a snapshot judge ends at the present.
    EndsJudgedNow,
    /// Values that end are shown to other threads, which do not judge.
    EndingRowShown,
    /// A merge keeps a value and forgets that it ends.
    EndForgotten,
    /// A clock that was ahead in an earlier life ends values for readers of this one.
    EndedByEarlierClock,

    // Keyspaces.
    /// The list of keyspaces is not durable when one is made or dropped.
    CatalogNotSynced,
    /// A new keyspace gets the number of one that was dropped.
    KeyspaceNumberReused,
    /// Handles of a dropped keyspace are let in.
    DroppedKeyspaceOpen,
    /// Merges take a keyspace that was made last for one that is gone.
    NewKeyspaceDropped,
    /// A scan of everything in the default keyspace goes on into the others.
    ScanPastKeyspace,
    /// Merges keep of each keyspace what the window of the database asks for, whatever its own.
    WindowOfKeyspaceIgnored,
    /// A keyspace is read at any version of the past that the database still has.
    WindowOfKeyspaceUnchecked,

    // Pages of a scan.
    /// A page that is full counts as the last of its range.
    FullPageTakenForLast,
    /// A scan goes on at the last key of a page instead of behind it.
    LastOfPageRepeated,
    /// A page brings the entries along that its memory held before.
    PageRoomNotCleared,

    // Range deletes.
    /// A scan shows what range deletes have removed.
    RangeIgnoredByScan,
    /// A flush forgets the range deletes of its memtable.
    RangeLostAtFlush,
    /// A range delete hides what is written after it, too.
    RangeHidesNewer,
    /// A range delete is forgotten while tables still hold what it hides.
    RangeDroppedEarly,
    /// Rows that a range delete removed stay with the callers.
    RangeRowsKept,
    /// Writes under a range that is undecided are let through.
    RangeNotLocked,
    /// A transaction does not look for range deletes over what it changes.
    RangeNotValidated,

    // Batches over several shards.
    /// A prepared part is not durable when its shard votes for it.
    PrepareNotSynced,
    /// A decision is answered before it is durable.
    DecisionNotSynced,
    /// Opening takes every undecided part for aborted.
    DecisionLost,
    /// A participant does not apply its part.
    PartNotApplied,
    /// The frames of a decision are freed while a participant may still ask.
    DecisionFreedEarly,
    /// The locks of a part are let go when it is prepared.
    LocksReleasedEarly,
    /// A read at a version does not wait for batches that are undecided below it.
    UndecidedNotAwaited,
    /// The outcome of a part is logged behind what is written to its keys later.
    OutcomeOvertaken,
    /// Writes that waited for a batch's lock are never taken up again.
    HeldUpForgotten,

    // Transactions.
    /// Nothing that a transaction depends on is validated.
    NotValidated,
    /// The keys that a serializable transaction has read are not validated.
    ReadsNotValidated,
    /// The ranges that a serializable transaction has read are not validated.
    RangesNotValidated,
    /// Validation looks for newer versions in memory alone.
    TablesNotValidated,
    /// Validation does not wait for writes that were in line before the locks were taken.
    LineNotAwaited,
    /// What a transaction has read may change between its validation and its commit.
    ReadsNotLocked,
    /// A snapshot shows a keyspace as it is now.
    SnapshotOfKeyspaceMoves,
}

/// Whether this mistake is switched on.
#[cfg(feature = "planted")]
#[inline]
pub fn planted(defect: Defect) -> bool {
    switch::CURRENT.load(std::sync::atomic::Ordering::Relaxed) == defect as u32
}

/// Whether this mistake is switched on: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Defect) -> bool {
    false
}

/// Switches one mistake on, or all off.
#[cfg(feature = "planted")]
pub fn plant(defect: Option<Defect>) {
    let value = defect.map_or(u32::MAX, |defect| defect as u32);
    switch::CURRENT.store(value, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(feature = "planted")]
mod switch {
    use std::sync::atomic::AtomicU32;

    pub static CURRENT: AtomicU32 = AtomicU32::new(u32::MAX);
}
