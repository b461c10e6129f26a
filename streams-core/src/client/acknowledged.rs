//! Acknowledged records of a partition: where they lie in its log, and whether nobody else wrote between them.

/// Records of one producer that a partition has acknowledged since somebody asked. Offsets are those of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// Offset of the first.
    pub first: i64,
    /// Offset of the last.
    pub last: i64,
    /// How many.
    pub records: u64,
}

impl Acknowledged {
    /// One record.
    #[must_use]
    pub fn one(offset: i64) -> Self {
        Self { first: offset, last: offset, records: 1 }
    }

    /// A batch of `records`, the last of them at `last`. Records of a batch follow each other.
    #[must_use]
    pub fn batch(last: i64, records: u64) -> Self {
        Self { first: last - records.max(1) as i64 + 1, last, records }
    }

    /// These and `others`.
    pub fn add(&mut self, others: Self) {
        self.first = self.first.min(others.first);
        self.last = self.last.max(others.last);
        self.records += others.records;
    }

    /// Whether the log holds nothing but these from offset `from` to the last of them. Without a known `from` only what is between them
    /// counts. Markers of transactions lie in the log as well: a transactional producer cannot tell.
    ///
    /// ```
    /// use streams_core::client::Acknowledged;
    ///
    /// let mut written = Acknowledged::batch(11, 2); // 10 and 11
    /// assert!(written.follow(Some(10)));
    /// assert!(!written.follow(Some(9)), "somebody else wrote 9");
    /// written.add(Acknowledged::one(13));
    /// assert!(!written.follow(Some(10)), "somebody else wrote 12");
    /// ```
    #[must_use]
    pub fn follow(&self, from: Option<i64>) -> bool {
        let from = from.unwrap_or(self.first);
        from == self.first && u64::try_from(self.last - from).is_ok_and(|gone| gone + 1 == self.records)
    }
}
