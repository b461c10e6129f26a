//! Memory that is read before it is used. Reads of lines that are not near wait for each other only if there is work between them, or if
//! one needs what another gave: asked for together, memory answers all of them in about the time that it needs for one.

/// Places that are read together: about as many as a processor asks memory for at the same time.
pub(crate) const TOGETHER: usize = 16;

/// Reads a word of each line that will be used, and does nothing with it.
#[inline]
pub(crate) fn fetch(words: impl Iterator<Item = u64>) {
    std::hint::black_box(words.fold(0, |all, word| all ^ word));
}
