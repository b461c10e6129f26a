//! Dead letters: counted, shown, and put back into the topics that they came from.

// Which of them.
mod filter;
// Sets of offsets.
mod offsets;
// What was put back already.
mod marks;
// A dead-letter topic, letter by letter.
mod letters;
// How many of which kind.
mod list;
// One by one.
mod show;
// Back to where they came from.
mod replay;

pub use filter::{Filter, parse_offsets, parse_time};
pub use letters::Letter;
pub use list::{Kind, Listing, list};
pub use offsets::Offsets;
pub use replay::{Left, Progress, Replay, ReplayOptions, Target, replay};
pub use show::{Bytes, ShownHeader, ShownLetter, show};
