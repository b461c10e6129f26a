//! What the example binaries share.
//!
//! [`Options`] -> [`App`] (clients and settings) -> [`Feed`] writes the input, [`Tail`] reads the output,
//! [`run`] shows both in a [`View`] while the topology runs.

mod app;
mod feed;
mod http;
mod options;
mod run;
mod stop;
mod tail;
mod topics;
mod view;

pub use app::{App, log_filter, report};
pub use feed::{Feed, Feeder, Target};
pub use options::Options;
pub use run::{Results, run};
pub use stop::Stop;
pub use tail::Tail;
pub use view::{Progress, View, bytes, thousands};

/// An error of a binary, with its sentence for the user.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
